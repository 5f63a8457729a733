//! Two hundred who watch one session at once: each sees it to its end, and the session has all it would
//! have had without them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::place::{Place, WITHIN};
use crate::speak::{ask_until, cookie, request};

const VIEWERS: usize = 200;

#[test]
fn two_hundred_watch_one_session() {
    let mut place = Place::new("web-viewers");
    place.user("ada", "auditor", &["--no-totp"]);
    let cookie = cookie(&place, "ada");
    // What is printed while all of them look on: a screen that changes, and more than one part of it.
    let go = place.scratch.join("go");
    let script = format!(
        "printf 'begun\\r\\n'; while [ ! -e {} ]; do sleep 0.05; done; \
         i=0; while [ $i -lt 2000 ]; do printf 'row %d of it\\r\\n' $i; i=$((i+1)); done; \
         printf 'the last line\\r\\n'",
        go.display()
    );
    let mut watched = place.record("watched", &script);
    let session = place.session("watched", false);
    let sid = session["sid"].as_str().unwrap();
    let path = format!("/v1/sessions/{sid}/watch");
    let text = request(&place, ("GET", &path), &[("Cookie", &cookie)], "");
    let there = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (place, text, there) = (&place, &text, &there);
        let viewers: Vec<_> = (0..VIEWERS)
            .map(|_| {
                scope.spawn(move || {
                    let is_counted = AtomicBool::new(false);
                    loop {
                        let seen = ask_until(place, text, |got| {
                            // Whoever has a picture of it looks on.
                            if got.contains("begun") && !is_counted.swap(true, Ordering::SeqCst) {
                                there.fetch_add(1, Ordering::SeqCst);
                            }
                            got.contains("\"family\":\"over\"")
                        });
                        // All come at the same moment: whoever is told to come again does.
                        if seen.status != 503 {
                            return seen;
                        }
                        std::thread::sleep(Duration::from_millis(100));
                    }
                })
            })
            .collect();
        let since = Instant::now();
        while there.load(Ordering::SeqCst) < VIEWERS && since.elapsed() < WITHIN {
            std::thread::sleep(Duration::from_millis(50));
        }
        // Whoever is there or not: nobody waits for ever.
        std::fs::write(&go, "").unwrap();
        assert_eq!(
            there.load(Ordering::SeqCst),
            VIEWERS,
            "not all came to look"
        );
        for viewer in viewers {
            let seen = viewer.join().unwrap();
            assert_eq!(seen.status, 200);
            assert!(seen.body.contains("the last line"), "{}", seen.body.len());
        }
    });
    assert!(watched.wait().unwrap().success());
    let ended = place.session("watched", true);
    assert_eq!(ended["gaps"], 0, "{ended}");
    let shown = place.client(&["cat", sid], "");
    let rows = (0..2000).filter(|n| shown.contains(&format!("row {n} of it")));
    assert_eq!(rows.count(), 2000);
    assert!(shown.contains("the last line"));
    // Each of them is on record, and what was looked at just now.
    let looks = place.events_of("session.recording.access", VIEWERS + 1);
    let live = looks.iter().filter(|look| look["format"] == "live");
    assert_eq!(live.count(), VIEWERS);
    place.daemon.stop();
}
