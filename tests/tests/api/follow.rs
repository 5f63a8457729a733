//! A session watched as it happens: by programs, by people, by those who come late.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hansard_core::event::End;
use hansard_core::{Body, Stream};
use hansard_tests::hansard;

use crate::keep::{SECOND_NS, header, id};
use crate::service::{Service, lines, own_uid};
use crate::speak::get;
use crate::terminal::on_terminal;

fn output(text: &str) -> Body {
    Body::Data {
        stream: Stream::Output,
        bytes: text.as_bytes().to_vec(),
    }
}

fn end() -> Body {
    Body::End(End {
        reason: "exited".to_owned(),
        exit_status: Some(0),
        signal: None,
    })
}

/// A session that goes on.
fn begin(service: &Service) -> String {
    let kept = &service.kept;
    kept.happen(id(1), 0, Body::Start(Box::new(header(1, "ada", "x"))));
    kept.happen(id(1), 0, Body::Resize { cols: 40, rows: 10 });
    kept.happen(id(1), SECOND_NS, output("first line\r\n"));
    id(1).to_string()
}

#[test]
fn who_comes_early_gets_every_event_and_who_comes_late_the_screen_first() {
    let service = Service::start("api-follow");
    let sid = begin(&service);
    let mut child = service
        .client(&["follow", &sid, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut early = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines(&early.next().unwrap().unwrap()).remove(0);
    for (seq, family) in [(0, "start"), (1, "resize"), (2, "data")] {
        let event = next();
        assert_eq!(
            (event["seq"].as_u64(), event["family"].as_str()),
            (Some(seq), Some(family))
        );
    }
    for n in 0..20 {
        let at = (n + 2) * SECOND_NS;
        service
            .kept
            .happen(id(1), at, output(&format!("line {n}\r\n")));
        assert_eq!(next()["text"], format!("line {n}\r\n"));
    }
    let mut child_late = service
        .client(&["follow", &sid, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut late = BufReader::new(child_late.stdout.take().unwrap()).lines();
    let mut next_late = || lines(&late.next().unwrap().unwrap()).remove(0);
    assert_eq!(next_late()["family"], "start");
    let screen = next_late();
    assert_eq!(
        (screen["family"].as_str(), screen["seq"].as_u64()),
        (Some("screen"), Some(22))
    );
    assert_eq!(
        (screen["cols"].as_u64(), screen["rows"].as_u64()),
        (Some(40), Some(10))
    );
    assert!(screen["text"].as_str().unwrap().contains("line 19"));
    service.kept.happen(id(1), 60 * SECOND_NS, output("last"));
    service.kept.happen(id(1), 61 * SECOND_NS, end());
    for next in [
        &mut next as &mut dyn FnMut() -> serde_json::Value,
        &mut next_late,
    ] {
        assert_eq!(
            (next()["seq"].as_u64(), next()["family"].as_str()),
            (Some(23), Some("end"))
        );
        assert_eq!(next()["family"], "over");
    }
    assert!(child.wait().unwrap().success() && child_late.wait().unwrap().success());
    // Through a pipe it is what was shown.
    let shown = service.ok(&["follow", &sid]);
    assert!(
        shown.starts_with("first line\r\nline 0\r\n") && shown.ends_with("last"),
        "{shown:?}"
    );
    let (_, said) = service.fails(&["follow", &id(2).to_string()]);
    assert!(said.contains("hansard ls"), "{said}");
}

#[test]
fn people_see_the_screen_and_hostile_bytes_never_reach_their_terminal() {
    let service = Service::start("api-watch");
    let sid = begin(&service);
    let kept = &service.kept;
    kept.happen(
        id(1),
        2 * SECOND_NS,
        output("\x1b]0;owned\x07\x1b[6n\x1b[?1000hgood morning\r\n"),
    );
    let program = hansard().to_str().unwrap();
    let socket = service.socket.to_str().unwrap();
    let command = [program, "follow", &sid, "--socket", socket];
    let watched = std::thread::scope(|scope| {
        let steps = [
            ("live", "", Some((100, 30))),
            ("more-to-see", "?", None),
            ("leaves", "q", None),
        ];
        let watched = scope.spawn(move || on_terminal(&command, &steps));
        // The record of looks says that it has begun.
        let patience = Instant::now();
        while service.recorded().is_empty() {
            assert!(
                patience.elapsed() < Duration::from_secs(20),
                "nobody looked"
            );
            std::thread::yield_now();
        }
        kept.happen(id(1), 3 * SECOND_NS, output("more-to-see\r\n"));
        watched.join().unwrap()
    });
    // Whoever comes when it is over sees how it ended, and leaves when they want to.
    kept.happen(id(1), 4 * SECOND_NS, end());
    let after = on_terminal(&command, &[("exit status 0", "q", None)]);
    for watched in [watched, after] {
        let shown = String::from_utf8_lossy(&watched.stdout);
        assert!(watched.status.success(), "{} {shown:?}", watched.status);
        assert!(
            shown.contains("good morning") && shown.contains("first line"),
            "{shown:?}"
        );
        for bad in ["\x1b]0;", "\x1b[6n", "\x1b[?1000h"] {
            assert!(!shown.contains(bad), "{bad:?} in {shown:?}");
        }
    }
}

/// The lines of a live view, as they come.
fn watched(service: &Service, sid: &str) -> impl FnMut() -> serde_json::Value + use<> {
    let mut stream = UnixStream::connect(&service.socket).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    let request = format!("GET /v1/sessions/{sid}/watch HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = BufReader::new(stream).lines();
    let status = all.next().unwrap().unwrap();
    assert!(status.contains(" 200 "), "{status}");
    move || {
        loop {
            let line = all.next().expect("it goes on").unwrap();
            // Between them stand the lengths of pieces.
            if line.starts_with('{') && !line.contains("\"heartbeat\"") {
                return serde_json::from_str(&line).unwrap();
            }
        }
    }
}

#[test]
fn one_painter_paints_for_all_who_watch_and_is_gone_with_the_last() {
    let service = Service::start("api-painter");
    let sid = begin(&service);
    let follows = || service.kept.follows.load(Ordering::SeqCst);
    let mut viewers: Vec<_> = (0..3).map(|_| watched(&service, &sid)).collect();
    for next in &mut viewers {
        let first = next();
        assert_eq!(
            (&first["family"], &first["size"]),
            (&"frame".into(), &vec![40, 10].into())
        );
        assert!(first.to_string().contains("first line"), "{first}");
    }
    assert_eq!(follows(), 1);
    let kept = &service.kept;
    kept.happen(id(1), 2 * SECOND_NS, output("second line\r\n"));
    kept.happen(
        id(1),
        3 * SECOND_NS,
        Body::Mark {
            label: "here".to_owned(),
        },
    );
    for next in &mut viewers {
        let mut both = [next(), next()];
        both.sort_by_key(|line| line["family"].to_string());
        assert!(
            both[0]["size"].is_null() && both[0].to_string().contains("second line"),
            "{both:?}"
        );
        assert_eq!(
            (&both[1]["family"], &both[1]["label"]),
            (&"happening".into(), &"here".into())
        );
    }
    // Whoever comes later is given the same screen, and joins the same painter.
    let mut late = watched(&service, &sid);
    let whole = late().to_string();
    assert!(
        whole.contains("first line") && whole.contains("second line"),
        "{whole}"
    );
    assert_eq!(follows(), 1);
    kept.happen(id(1), 4 * SECOND_NS, output("the end"));
    kept.happen(id(1), 5 * SECOND_NS, end());
    viewers.push(late);
    for next in &mut viewers {
        assert!(next().to_string().contains("the end"));
        assert_eq!(next()["family"], "over");
    }
    // With the last of them it goes; the next one begins anew.
    drop(viewers);
    let patience = Instant::now();
    while follows() == 1 {
        assert!(
            patience.elapsed() < Duration::from_secs(20),
            "the painter stays"
        );
        let mut next = watched(&service, &sid);
        assert!(next().to_string().contains("the end"));
        // One that begins anew tells whoever waited for it what it saw on the way to its first picture.
        let mut line = next();
        if line["family"] == "happening" {
            assert_eq!(line["label"], "here");
            line = next();
        }
        assert_eq!(line["family"], "over");
    }
}

#[test]
fn who_leaves_is_noticed_and_there_are_only_so_many_places() {
    if own_uid() != 0 {
        // Nobody but root has so many connections.
        return;
    }
    let service = Service::start("api-places");
    let sid = begin(&service);
    let connect = || {
        let mut stream = UnixStream::connect(&service.socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let request = format!("GET /v1/sessions/{sid}/follow HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (stream, String::from_utf8(head[9..].to_vec()).unwrap())
    };
    // What one account has, whichever: the others are left for others.
    let most = hansardd::api::limits::FOLLOWERS_OF_ONE_MAX;
    let streams: Vec<_> = (0..most).map(|_| connect()).collect();
    assert!(streams.iter().all(|(_, status)| status == "200"));
    assert_eq!(connect().1, "503");
    let refused = get(&service, &format!("/v1/sessions/{sid}/watch"));
    assert_eq!((refused.status, refused.code().as_str()), (503, "busy"));
    let said = refused.json()["error"].to_string();
    assert!(said.contains("you follow too much"), "{said}");
    assert!(said.contains("let one of yours end first"), "{said}");
    let head = refused.head.to_lowercase();
    assert!(head.contains("retry-after: 2\r\n"), "{head}");
    drop(streams);
    // Whoever has gone is noticed when something is to be told, and gives the place back.
    let patience = Instant::now();
    let mut seq = 0;
    while connect().1 != "200" {
        assert!(
            patience.elapsed() < Duration::from_secs(20),
            "places are not given back"
        );
        seq += 1;
        service
            .kept
            .happen(id(1), 5 * SECOND_NS, output(&format!("{seq}")));
    }
}

#[test]
fn a_service_that_stops_cuts_its_streams() {
    let service = Service::start("api-stop");
    let sid = begin(&service);
    let mut child = service
        .client(&["follow", &sid, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("\"start\""));
    service.stop();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    // It is not mistaken for the session's end.
    assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");
    assert!(said.contains("cut") && said.contains("hint:"), "{said}");
}
