//! Two hundred who watch one session at once: each sees it to its end, and the session has all it would
//! have had without them; also one that prints as fast as it may.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hansardd::api::limits::FOLLOWERS_OF_ONE_MAX;
use serde_json::Value as Json;

use crate::place::{Place, WITHIN};
use crate::speak::{ask_until, cookie, get, request};

const VIEWERS: usize = 200;

/// Of so many that viewers are as many in one's name as may be.
fn cookies(place: &Place) -> [String; 4] {
    let names = ["ada", "bob", "cyd", "dan"];
    assert!(VIEWERS / names.len() <= FOLLOWERS_OF_ONE_MAX);
    names.map(|name| {
        place.user(name, "auditor", &["--no-totp"]);
        cookie(place, name)
    })
}

#[test]
fn two_hundred_watch_one_session() {
    let mut place = Place::new("web-viewers");
    let cookies = cookies(&place);
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
    let asks = cookies.map(|own| request(&place, ("GET", &path), &[("Cookie", &own)], ""));
    let there = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (place, there) = (&place, &there);
        let viewers: Vec<_> = (0..VIEWERS)
            .map(|n| {
                let text = &asks[n % asks.len()];
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

/// Rows of a screen as its viewer has it: of each run, where it stands and its text.
type Rows = Vec<Vec<(u64, String)>>;

/// Somebody who watches to the end: the screen they are left with, and how many pictures it took.
fn left_with(place: &Place, text: &str, there: &AtomicUsize) -> (Rows, usize) {
    let host = place.origin.strip_prefix("http://").unwrap();
    let mut bytes = Vec::new();
    // All come at the same moment: whoever is told to come again does.
    while !bytes.starts_with(b"HTTP/1.1 200 ") {
        bytes.clear();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut first = [0; 4096];
        while !bytes.windows(5).any(|seen| seen == b"begun") {
            match stream.read(&mut first) {
                Ok(n @ 1..) => bytes.extend_from_slice(&first[..n]),
                _ => break,
            }
        }
        if bytes.starts_with(b"HTTP/1.1 200 ") {
            there.fetch_add(1, Ordering::SeqCst);
            stream.read_to_end(&mut bytes).unwrap();
        }
    }
    let (mut screen, mut pictures, mut is_over) = (Rows::new(), 0, false);
    let text = String::from_utf8(bytes).unwrap();
    // Between lines stand the lengths of pieces.
    for line in text.lines().filter(|line| line.starts_with('{')) {
        assert!(!is_over, "behind the end: {line}");
        let line: Json = serde_json::from_str(line).unwrap();
        is_over = line["family"] == "over";
        if line["family"] == "frame" {
            pictures += 1;
            paint(&mut screen, &line);
        }
    }
    assert!(is_over, "cut");
    (screen, pictures)
}

fn paint(screen: &mut Rows, frame: &Json) {
    if let Some(rows) = frame["size"][1].as_u64() {
        *screen = vec![Vec::new(); rows as usize];
    }
    for row in frame["rows"].as_array().unwrap() {
        let runs = row[1].as_array().unwrap().iter();
        let runs = runs.map(|run| {
            (
                run[0].as_u64().unwrap(),
                run[2].as_str().unwrap().to_owned(),
            )
        });
        screen[row[0].as_u64().unwrap() as usize] = runs.collect();
    }
}

#[test]
fn two_hundred_watch_a_session_that_floods_its_screen() {
    let mut place = Place::new("web-flood");
    let cookies = cookies(&place);
    let go = place.scratch.join("go");
    let script = format!(
        "printf 'begun\\r\\n'; while [ ! -e {} ]; do sleep 0.05; done; seq 1000000 1300000; echo the last line",
        go.display()
    );
    let mut watched = place.record("flood", &script);
    let sid = place.session("flood", false)["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/sessions/{sid}/watch");
    let asks = cookies
        .each_ref()
        .map(|own| request(&place, ("GET", &path), &[("Cookie", own)], ""));
    let there = AtomicUsize::new(0);
    let mut took = Duration::ZERO;
    let seen: Vec<_> = std::thread::scope(|scope| {
        let (place, there) = (&place, &there);
        let viewers: Vec<_> = (0..VIEWERS)
            .map(|n| {
                let text = &asks[n % asks.len()];
                scope.spawn(move || left_with(place, text, there))
            })
            .collect();
        let since = Instant::now();
        while there.load(Ordering::SeqCst) < VIEWERS && since.elapsed() < WITHIN {
            std::thread::sleep(Duration::from_millis(50));
        }
        let begun = Instant::now();
        std::fs::write(&go, "").unwrap();
        assert_eq!(
            there.load(Ordering::SeqCst),
            VIEWERS,
            "not all came to look"
        );
        let seen = viewers.into_iter().map(|viewer| viewer.join().unwrap());
        let seen = seen.collect();
        took = begun.elapsed();
        seen
    });
    assert!(watched.wait().unwrap().success());
    let ended = place.session("flood", true);
    assert_eq!(ended["gaps"], 0, "{ended}");
    let shown = place.client(&["cat", &sid], "");
    let wanted = (1_000_000..=1_300_000).map(|n| n.to_string());
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert!(
        lines[1..300_002].iter().copied().eq(wanted),
        "not all of it is recorded"
    );
    assert_eq!(lines[300_002], "the last line");
    // The screen that the recording ends with is the one that each was left with.
    let end = get(
        &place,
        &format!("/v1/sessions/{sid}/frames?from_ms=3600000"),
        &cookies[0],
    );
    let mut last = Rows::new();
    paint(&mut last, &end.json()["frames"][0]);
    assert!(
        last.iter()
            .any(|row| row.iter().any(|(_, text)| text == "the last line"))
    );
    // No more pictures than a viewer's eye needs, whatever was printed.
    let most = 20 * (took.as_secs() as usize + 1) + 20;
    for (screen, pictures) in seen {
        assert_eq!(screen, last);
        assert!(pictures <= most, "{pictures} pictures in {took:?}");
    }
    place.daemon.stop();
}
