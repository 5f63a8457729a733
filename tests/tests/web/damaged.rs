//! A recording that the disk damages after it was made ready to be played: what the service answers of it, and
//! that a browser says so, as it says what a live view has lost.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::browser::{is_here, led};
use crate::place::{Place, wait_for};
use crate::speak::{cookie, get};

/// So much that it is made ready as soon as it is archived, with a mark behind each piece.
const SCRIPT: &str = "i=0; while [ $i -lt 60 ]; do head -c 15000 /dev/urandom | base64; \
    echo \"MARK-$i.\"; sleep 0.05; i=$((i+1)); done";

const MARKS: usize = 60;

struct Damaged {
    place: Place,
    sid: String,
}

impl Damaged {
    /// Records it, waits until it can be played at once, and has the disk lose some of it while nobody looks.
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        place.user("ada", "auditor", &["--no-totp"]);
        let mut shown = place.record("damaged", SCRIPT);
        assert!(shown.wait().unwrap().success());
        let sid = place.session("damaged", true)["sid"]
            .as_str()
            .unwrap()
            .to_owned();
        let keyframes = place.daemon.data().join("keyframes");
        wait_for("its keyframes", || {
            keyframes.join(format!("{sid}.idx")).exists()
        });
        let it = Self { place, sid };
        assert_eq!(it.marks(), (MARKS, 0), "before anything is lost");
        let Self { mut place, sid } = it;
        place.daemon.stop();
        let pack = largest(&place.daemon.data().join("archive"));
        let mut bytes = std::fs::read(&pack).unwrap();
        assert!(bytes.len() > 128 << 10, "{} bytes", bytes.len());
        let middle = bytes.len() / 2;
        bytes[middle..middle + 16].fill(0xa5);
        std::fs::write(&pack, bytes).unwrap();
        place.again("");
        Self { place, sid }
    }

    fn get(&self, path: &str, cookie: &str) -> Json {
        let answer = get(
            &self.place,
            &format!("/v1/sessions/{}{path}", self.sid),
            cookie,
        );
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// How many marks are found, and how many damaged places were passed over for that.
    fn marks(&self) -> (usize, u64) {
        let found = self.get("/find?text=MARK-", &cookie(&self.place, "ada"));
        assert_eq!(found["complete"], true, "{found}");
        let damages = found["damages"].as_u64().unwrap();
        (found["findings"].as_array().unwrap().len(), damages)
    }
}

/// The largest file below a directory.
fn largest(directory: &Path) -> PathBuf {
    let mut found = (0, PathBuf::new());
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let path = if path.is_dir() { largest(&path) } else { path };
        let bytes = std::fs::metadata(&path).map_or(0, |facts| facts.len());
        found = found.max((bytes, path));
    }
    found.1
}

#[test]
fn answers_say_what_was_damaged_since_it_was_made_ready() {
    let mut damaged = Damaged::new("web-damaged");
    let ada = cookie(&damaged.place, "ada");
    // What was kept knows nothing of it, until somebody looks at what is there.
    assert_eq!(damaged.get("/timeline", &ada)["damages"], 0);
    let (mut from_ms, mut met) = (0, Vec::new());
    loop {
        let path = format!("/frames?from_ms={from_ms}&until_ms=600000");
        let stretch = damaged.get(&path, &ada);
        met.push(stretch["damages"].as_u64().unwrap());
        if stretch["next_ns"].is_null() {
            break;
        }
        from_ms = stretch["until_ns"].as_u64().unwrap() / 1_000_000 + 1;
    }
    assert!(met.contains(&1), "{met:?}");
    let timeline = damaged.get("/timeline", &ada);
    assert_eq!(timeline["damages"], 1);
    let gaps = timeline["happenings"].as_array().unwrap().iter();
    let gaps: Vec<_> = gaps.filter(|one| one["lane"] == "gaps").collect();
    let label = gaps[0]["label"].as_str().unwrap();
    assert!(
        gaps.len() == 1 && label.starts_with("damaged at byte "),
        "{gaps:?}"
    );
    let (marks, damages) = damaged.marks();
    assert!(marks < MARKS && damages == 1, "{marks} marks, {damages}");
    assert_eq!(damaged.get("/verify", &ada)["verdict"], "damaged");
    damaged.place.daemon.stop();
}

#[test]
fn what_a_check_found_is_said_before_anybody_looks_there() {
    let mut damaged = Damaged::new("web-checked");
    let keyframes = damaged.place.daemon.data().join("keyframes");
    let kept = |sid: &str| {
        let there = |end: &&str| keyframes.join(format!("{sid}.{end}")).exists();
        let ends = ["idx", "timeline", "damaged"];
        ends.into_iter()
            .filter(|end| there(end))
            .collect::<Vec<_>>()
    };
    let ada = cookie(&damaged.place, "ada");
    assert_eq!(damaged.get("/timeline", &ada)["damages"], 0);
    assert_eq!(kept(&damaged.sid), ["idx", "timeline"]);
    assert_eq!(damaged.get("/verify", &ada)["verdict"], "damaged");
    assert_eq!(kept(&damaged.sid), ["damaged"]);
    assert_eq!(damaged.get("/timeline", &ada)["damages"], 1);
    // A start, and who looks then, forgets nothing of it.
    damaged.place.daemon.stop();
    damaged.place.again("");
    let ada = cookie(&damaged.place, "ada");
    assert_eq!(damaged.get("/timeline", &ada)["damages"], 1);
    assert_eq!(kept(&damaged.sid), ["damaged"]);
    damaged.place.daemon.stop();
}

#[test]
fn what_is_damaged_or_lost_in_a_browser() {
    if !is_here() {
        return;
    }
    let mut damaged = Damaged::new("web-damaged-page");
    let mut live = damaged.place.record("going on", "echo begun; sleep 600");
    let watched = damaged.place.session("going on", false);
    let share = ["share", &damaged.sid, "--for", "Ms Outside", "--json"];
    let made: Json = serde_json::from_str(&damaged.place.client(&share, "")).unwrap();
    let told = [
        ("DAMAGED", damaged.sid.as_str()),
        ("LIVE", watched["sid"].as_str().unwrap()),
        ("LINK", made["link"].as_str().unwrap()),
    ];
    let steps = led("damaged.mjs", &damaged.place.origin, &told);
    let _ = live.kill();
    let _ = live.wait();
    assert_eq!(steps, 5);
    damaged.place.daemon.stop();
}
