//! Links for people without an account: what they open, what they do not, and that all of it is on
//! record.

use std::process::Command;

use hansardd::api::table::{Id, OPEN_TO_LINKS, Op, ROUTES, Verb};
use serde_json::{Value as Json, json};

use crate::browser::{is_here, led};
use crate::place::{Place, wait_for};
use crate::speak::{Answer, ask, cookie, get};

/// Shows one thing after another, each on a screen of its own.
const SCRIPT: &str = "printf 'before words\\r\\n'; sleep 1; \
    printf '\\033[2J\\033[Hinside words\\r\\n'; sleep 1; printf '\\033[2J\\033[Hafter words\\r\\n'";

struct Shared {
    place: Place,
    sid: String,
    other: String,
}

impl Shared {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        place.user("ada", "auditor", &["--no-totp"]);
        let mut children = [
            place.record("shared", SCRIPT),
            place.record("other", "echo x"),
        ];
        for child in &mut children {
            child.wait().unwrap();
        }
        let sid = |title| {
            place.session(title, true)["sid"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let (sid, other) = (sid("shared"), sid("other"));
        Self { place, sid, other }
    }

    /// Makes a link with the client: its name, and what opens it.
    fn link(&self, viewer: &str, more: &[&str]) -> (String, String) {
        let mut args = vec!["share", &self.sid, "--for", viewer, "--json"];
        args.extend(more);
        let made: Json = serde_json::from_str(&self.place.client(&args, "")).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("name"), text("link"))
    }

    /// When this came to stand on the screen, whole milliseconds since the start, rounded down.
    fn moment(&self, words: &str) -> u64 {
        let cookie = cookie(&self.place, "ada");
        let words = words.replace(' ', "%20");
        let path = format!("/v1/sessions/{}/find?text={words}", self.sid);
        let found = get(&self.place, &path, &cookie).json();
        found["findings"][0]["at_ns"].as_u64().unwrap() / 1_000_000
    }

    /// A link to what lies between the first screen and the last.
    fn stretch(&self) -> (u64, String) {
        let (from, until) = (self.moment("inside words"), self.moment("after words"));
        let clip = format!("{}ms..{}ms", from + 1, until - 1);
        (from + 1, self.link("Mr Stretch", &["--clip", &clip]).1)
    }

    fn by(&self, link: &str, line: (&str, &str)) -> Answer {
        let (_, secret) = link.split_once('#').unwrap();
        let bearer = format!("Bearer {secret}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Origin", self.place.origin.as_str()),
            ("Content-Type", "application/json"),
        ];
        ask(&self.place, line, &headers, "")
    }

    fn of(&self, path: &str) -> String {
        format!("/v1/sessions/{}{path}", self.sid)
    }
}

#[test]
fn a_link_opens_its_players_routes_of_its_session_and_no_other() {
    let mut shared = Shared::new("web-link");
    let (name, link) = shared.link("Ms Outside", &["--reason", "yearly audit"]);
    let (_, secret) = link.rsplit_once('-').unwrap();
    let mut asked = 0;
    for route in &ROUTES {
        for sid in [&shared.sid, &shared.other] {
            let id = match route.id {
                Some(Id::Session) => sid,
                _ => "nobody",
            };
            let path = route.path.replace("{id}", id);
            let path = match route.op {
                Op::Find => format!("{path}?text=words"),
                _ => path,
            };
            let answer = shared.by(&link, (route.verb.as_str(), &path));
            let is_its_own = route.id.is_none() || sid == &shared.sid;
            let may = OPEN_TO_LINKS.contains(&route.op) && is_its_own;
            let expected = if may { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{:?} {answer:?}", route.op);
            assert!(!may || route.verb == Verb::Get, "a link changes nothing");
            asked += 1;
        }
    }
    assert_eq!(asked, ROUTES.len() * 2);
    let led = shared.by(&link, ("GET", "/v1/shared")).json();
    assert_eq!(led["viewer"], "Ms Outside");
    assert_eq!(led["sid"], shared.sid.as_str());
    // A view is on record once, with who it was made for, by whom, and where from.
    let mut views = Vec::new();
    wait_for("the view on record", || {
        views = shared.place.events("session.recording.access");
        views.retain(|look| {
            let is_its = look["share"] == name.as_str() && look["success"] == true;
            is_its && look["format"] == "player"
        });
        !views.is_empty()
    });
    assert_eq!(views.len(), 1, "{views:?}");
    assert_eq!(views[0]["shared_with"], "Ms Outside");
    assert_eq!(views[0]["user"], json!(format!("link {name}")));
    assert_eq!(views[0]["user_roles"], json!([]));
    assert_eq!(views[0]["addr.remote"], "127.0.0.1");
    assert_eq!(views[0]["recording"], shared.sid.as_str());
    let made = shared.place.events_of("recording.shared", 1);
    assert_eq!(made[0]["reason"], "yearly audit");
    assert_eq!(
        (&made[0]["share"], &made[0]["success"]),
        (&json!(name), &json!(true))
    );
    // The secret is in no event, no listing, and in none of the service's files.
    let told = shared.place.client(&["events", "--json", "--all"], "");
    let listed = shared.place.client(&["share", "ls", "--json"], "");
    assert!(!told.contains(secret) && !listed.contains(secret));
    assert!(listed.contains(&name), "{listed}");
    shared.place.daemon.stop();
    let found = Command::new("grep")
        .args(["-rlaF", secret])
        .arg(shared.place.scratch.path())
        .output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
}

#[test]
fn a_stretch_is_all_that_its_link_shows() {
    let mut shared = Shared::new("web-stretch");
    let (from_ms, link) = shared.stretch();
    for (from, until) in [(0, 0), (0, 600_000), (from_ms, 600_000), (600_000, 600_000)] {
        let path = shared.of(&format!("/frames?from_ms={from}&until_ms={until}"));
        let answer = shared.by(&link, ("GET", &path));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains("inside words"), "{answer:?}");
        for outside in ["before words", "after words"] {
            assert!(!answer.body.contains(outside), "{path}: {answer:?}");
        }
    }
    for (words, count) in [("before", 0), ("after", 0)] {
        let path = shared.of(&format!("/find?text={words}"));
        let found = shared.by(&link, ("GET", &path)).json();
        assert_eq!(
            found["findings"].as_array().unwrap().len(),
            count,
            "{found}"
        );
        assert_eq!(found["complete"], true);
    }
    let timeline = shared.by(&link, ("GET", &shared.of("/timeline"))).json();
    let idle = timeline["idle"].as_array().unwrap();
    assert!(
        idle.iter()
            .all(|pair| pair[0].as_u64().unwrap() >= from_ms * 1_000_000)
    );
    shared.place.daemon.stop();
}

#[test]
fn a_session_that_goes_on_is_not_shared() {
    let mut place = Place::new("web-live-link");
    place.user("ada", "auditor", &["--no-totp"]);
    let mut live = place.record("going on", "sleep 600");
    let sid = place.session("going on", false)["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let cookie = cookie(&place, "ada");
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Origin", place.origin.as_str()),
        ("Content-Type", "application/json"),
    ];
    let path = format!("/v1/sessions/{sid}/shares");
    let body = r#"{"viewer":"Ms Outside","ttl_s":60}"#;
    let answer = ask(&place, ("POST", &path), &headers, body);
    live.kill().unwrap();
    live.wait().unwrap();
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(
        answer.body.contains("share it when it has ended"),
        "{answer:?}"
    );
    let told = place.events_of("recording.shared", 1);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["success"], false, "it is on record as refused");
    place.daemon.stop();
}

#[test]
fn what_is_over_or_no_link_at_all_opens_nothing_and_is_on_record() {
    let mut shared = Shared::new("web-over");
    let (revoked, link) = shared.link("Ms Outside", &[]);
    let (_, short) = shared.link("Mr Short", &["--ttl", "1s"]);
    assert_eq!(
        shared.by(&link, ("GET", &shared.of("/timeline"))).status,
        200
    );
    shared
        .place
        .client(&["share", "rm", &revoked, "--reason", "enough"], "");
    for path in ["", "/timeline", "/frames", "/find?text=x", "/recording"] {
        let answer = shared.by(&link, ("GET", &shared.of(path)));
        let said = (answer.status, answer.code());
        assert_eq!(said, (410, "link_over".to_owned()), "{path}");
    }
    wait_for("the end of the short one", || {
        shared.by(&short, ("GET", "/v1/shared")).status == 410
    });
    let answer = shared.by(&short, ("GET", "/v1/shared"));
    let words = answer.json()["error"]["message"].clone();
    assert_eq!(words, "the link has expired");
    let bad = format!(
        "{}#hansard-link-{revoked}-{}",
        shared.place.origin,
        "0".repeat(64)
    );
    for none in [bad.as_str(), "#", "#hansard-link-", "#x y"] {
        let answer = shared.by(none, ("GET", &shared.of("/timeline")));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "no_such_link")
        );
    }
    // Who is signed in in the same browser lends a link nothing.
    let session = cookie(&shared.place, "ada");
    let headers = [("Cookie", session.as_str()), ("Authorization", "Bearer x")];
    let answer = ask(&shared.place, ("GET", "/v1/sessions"), &headers, "");
    assert_eq!(answer.status, 401);
    wait_for("the refusals on record", || {
        let looks = shared.place.events("session.recording.access");
        let errors = |words: &str| looks.iter().filter(|look| look["error"] == words).count();
        errors("the link was revoked") >= 4
            && errors("the link has expired") >= 1
            && errors("there is no such link") >= 5
    });
    let unshared = shared.place.events_of("recording.unshared", 1);
    assert_eq!(unshared[0]["share"], revoked.as_str());
    assert_eq!(unshared[0]["reason"], "enough");
    shared.place.daemon.stop();
}

#[test]
fn a_link_answers_no_longer_than_who_made_it_may_make_one() {
    let shared = Shared::new("web-link-maker");
    shared.place.user("bob", "admin", &["--no-totp"]);
    let session = cookie(&shared.place, "bob");
    let headers = [
        ("Origin", shared.place.origin.as_str()),
        ("Content-Type", "application/json"),
        ("Cookie", session.as_str()),
    ];
    let wish = json!({ "viewer": "Ms Outside", "ttl_s": 600 }).to_string();
    let made = ask(
        &shared.place,
        ("POST", &shared.of("/shares")),
        &headers,
        &wish,
    );
    let link = made.json()["link"].as_str().unwrap().to_owned();
    let status = |link: &str| shared.by(link, ("GET", "/v1/shared")).status;
    assert_eq!(status(&link), 200);
    let lock = shared.place.client(&["lock", "add", "user:bob"], "");
    assert_eq!(status(&link), 410);
    shared.place.client(&["lock", "rm", lock.trim()], "");
    assert_eq!(status(&link), 200);
    shared.place.client(&["user", "rm", "bob"], "");
    assert_eq!(status(&link), 410);
    // Another one of that name did not make it.
    shared.place.user("bob", "admin", &["--no-totp"]);
    assert_eq!(status(&link), 410);
    wait_for("the refusals on record", || {
        let looks = shared.place.events("session.recording.access");
        let words = "whoever made the link may share nothing (any more)";
        looks.iter().filter(|look| look["error"] == words).count() >= 3
    });
}

#[test]
fn a_link_in_a_browser() {
    if !is_here() {
        return;
    }
    let mut shared = Shared::new("web-shared");
    let (_, expired) = shared.link("Mr Short", &["--ttl", "1s"]);
    let (from_ms, stretch) = shared.stretch();
    wait_for("the end of the short one", || {
        shared.by(&expired, ("GET", "/v1/shared")).status == 410
    });
    let until_ms = (shared.moment("after words") + 1).to_string();
    let from_ms = from_ms.to_string();
    let told = [
        ("SESSION", shared.sid.as_str()),
        ("OTHER", shared.other.as_str()),
        ("EXPIRED", expired.as_str()),
        ("STRETCH", stretch.as_str()),
        ("FROM_MS", from_ms.as_str()),
        ("UNTIL_MS", until_ms.as_str()),
    ];
    assert_eq!(led("shared.mjs", &shared.place.origin, &told), 6);
    shared.place.daemon.stop();
}
