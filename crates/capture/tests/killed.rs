//! SIGKILL of the daemon while sessions are handed over: what was acknowledged is there, and the
//! next start brings the recordings to their ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hansard_core::event::Stream;
use hansard_core::verify::{Verdict, verify};
use hansard_record::SpoolOptions;
use hansard_record::handoff::HandoffTape;
use hansard_record::revive::{Fate, WITHOUT_A_WORD};
use support::{Daemon, TempDir, claims, end_of, gaps, shown, wait_for};

fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/capture_daemon");
    assert!(
        path.exists(),
        "{} is built by `cargo test -p hansard-capture`",
        path.display()
    );
    path
}

fn start(dir: &Path) -> Child {
    let mut child = Command::new(program())
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut said).unwrap();
    assert_eq!(said, "ready\n");
    child
}

#[test]
fn killed_at_any_moment_acknowledged_bytes_are_there_and_the_recording_ends() {
    let mut dir = TempDir::new();
    for round in 0..6u64 {
        let mut daemon = start(dir.path());
        let socket = dir.path().join("capture.sock");
        let busy = HandoffTape::open(&socket, claims()).unwrap();
        let quiet = HandoffTape::open(&socket, claims()).unwrap();
        let ids = [busy.session().id, quiet.session().id];
        quiet.data(Stream::Output, b"quiet").unwrap();
        quiet.flush().unwrap();

        // The later the kill, the more segments are sealed by then.
        let kill_at = Duration::from_millis(20 + 60 * round);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(kill_at);
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        });
        let (mut given, mut durable) = (Vec::new(), 0);
        let gone = loop {
            let piece = format!("{:x}\n", given.len().wrapping_mul(0x9e37_79b9)).repeat(50);
            given.extend_from_slice(piece.as_bytes());
            let taken = busy.data(Stream::Output, piece.as_bytes());
            let flushed = taken.and_then(|()| match given.len() % 7 {
                0 => busy.flush().map(|()| durable = given.len()),
                _ => Ok(()),
            });
            if let Err(gone) = flushed {
                break gone;
            }
        };
        assert!(gone.why.contains("daemon"), "{gone}");
        wait_for("the quiet one to hear of it", || quiet.check().is_err());
        killer.join().unwrap();

        let next = Daemon::with(dir, SpoolOptions::default(), |_| {});
        for id in ids {
            assert!(matches!(next.revival.fate(id), Fate::Complete(_)));
            let report = verify(next.recording(id).as_slice()).unwrap();
            assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.damages);
        }
        let events = next.complete(ids[0]);
        let kept = shown(&events);
        assert!(given.starts_with(&kept));
        assert!(kept.len() >= durable, "{} of {durable}", kept.len());
        let missing = (given.len() - kept.len()) as u64;
        let gap = gaps(&events)[0];
        assert!(missing <= gap.bytes_max.unwrap(), "{missing} > {gap:?}");
        assert_eq!(end_of(&events).reason, WITHOUT_A_WORD);
        assert_eq!(shown(&next.complete(ids[1])), b"quiet");
        assert_eq!(next.notes(), 0);
        let Daemon {
            dir: back, server, ..
        } = next;
        assert_eq!(server.stop(), 0);
        dir = back;
    }
}
