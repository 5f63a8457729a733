//! Chromium at every control of the player, the transcript, the counted event log, saved searches and the
//! hosts' coverage, led by `web/tests/controls.mjs`.

use std::process::{Command, Stdio};

use hansard_tests::{in_ci, repository, skipped};

use crate::browser::{CHROMIUM, WORD, is_watched, read_a_book};
use crate::place::{PASSWORD, Place, WATCHED, wait_for};

/// Prints more lines than are fetched at once, then nothing for a while, then runs a program.
const LONG: &str = "sleep 0.3; i=1; while [ $i -le 700 ]; do printf 'row %d of many\\r\\n' $i; \
    i=$((i+1)); done; sleep 5; printf 'after the pause\\r\\n'; /bin/true; sleep 1; \
    /bin/true; sleep 1; printf 'the very end\\r\\n'; sleep 1";

#[test]
fn every_control_in_a_browser() {
    let tools = repository().join("web/node_modules/playwright-core");
    if !in_ci() && (!std::path::Path::new(CHROMIUM).exists() || !tools.exists()) {
        return skipped("no chromium, or no web/node_modules: `make needs-test web-tools`");
    }
    let is_watched = is_watched();
    let mut place = match is_watched {
        true => Place::capturing("web-controls", WATCHED),
        false => Place::new("web-controls"),
    };
    place.user("ada", "admin", &["--no-totp"]);
    // A session whose daemon dies: what came of it then is a gap.
    let mut broken = place.record("broken", "printf 'before the gap\\r\\n'; sleep 600");
    wait_for("the session's output", || {
        let shown = place.session("broken", false);
        shown["data_bytes"].as_u64() > Some(0)
    });
    place.die();
    let _ = broken.kill();
    let _ = broken.wait();
    let broken = place.session("broken", true);
    let mut long = place.record("long", LONG);
    read_a_book(&place);
    assert!(long.wait().unwrap().success());
    let sid = |title: &str| {
        place.session(title, true)["sid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let done = Command::new("node")
        .arg(repository().join("web/tests/controls.mjs"))
        .env("ORIGIN", &place.origin)
        .env("PASSWORD", PASSWORD)
        .env("LONG", sid("long"))
        .env("BROKEN", broken["sid"].as_str().unwrap())
        .env("BOOK", sid("a book"))
        .env("WORD", WORD)
        .env("WATCHED", if is_watched { "1" } else { "" })
        .env("CHROMIUM", CHROMIUM)
        .stdin(Stdio::null())
        .output()
        .expect("node starts");
    let said = String::from_utf8_lossy(&done.stdout);
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}\n{complaint}");
    let steps = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert_eq!(steps, 15, "{said}");
    // What was kept and removed is on record.
    let kept = place.events_of("search.saved", 1);
    assert_eq!(kept[0]["name"], "starts of sessions", "{kept:?}");
    assert_eq!(place.events_of("search.removed", 1).len(), 1);
    place.daemon.stop();
}
