//! A terminal that pours while somebody types at another one: it gives way, and loses nothing by it.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::site::{Site, finished};
use crate::support::{end_of, shown};

/// More than a terminal may show at once beside somebody who types.
const LINES: u32 = 300_000;

/// Nobody types any more once this is dropped, whatever became of the test.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn what_pours_beside_somebody_who_types_is_all_shown_and_recorded() {
    let site = Site::new();
    let mut typist = site.ssh(&["-tt"], &["stty raw -echo; echo ready; exec cat"]);
    let mut typist = typist.stdin(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut echo) = (typist.stdin.take().unwrap(), typist.stdout.take().unwrap());
    let mut said = Vec::new();
    while !said.ends_with(b"ready\n") && !said.ends_with(b"ready\r\n") {
        let mut byte = [0];
        echo.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    let is_over = AtomicBool::new(false);
    let poured = std::thread::scope(|scope| {
        let over = Over(&is_over);
        scope.spawn(|| {
            // One key after the other, each when the one before came back.
            while !is_over.load(Ordering::SeqCst) {
                let mut key = *b"k";
                keys.write_all(&key).unwrap();
                echo.read_exact(&mut key).unwrap();
                assert_eq!(key, *b"k");
            }
        });
        let pours = site.ssh(&["-tt"], &[&format!("seq {LINES}")]);
        let poured = finished({ pours }.spawn().unwrap());
        drop(over);
        poured
    });
    typist.kill().unwrap();
    typist.wait().unwrap();
    assert_eq!(poured.status.code(), Some(0), "{:?}", poured.stderr);
    let all: String = (1..=LINES).map(|n| format!("{n}\r\n")).collect();
    assert!(
        poured.stdout == all.as_bytes(),
        "{} bytes",
        poured.stdout.len()
    );
    let sessions = site.sessions();
    let (session, _) = sessions
        .iter()
        .find(|(session, _)| {
            let command = session.target.text("command").unwrap_or_default();
            session.kind == "terminal" && command.starts_with("seq ")
        })
        .unwrap();
    let terminal = site.daemon.complete(session.id);
    assert!(shown(&terminal) == poured.stdout);
    assert_eq!(end_of(&terminal).exit_status, Some(0));
}
