//! The catalog in SQLite, killed while it writes, and held by one process at a time.
//!
//! The test starts itself again as the process to be killed: it advances heads and puts rows, and
//! says on standard output what was acknowledged.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hansard_store::catalog::conformance::{segment, session};
use hansard_store::catalog::sqlite::SqliteCatalog;
use hansard_store::catalog::{Advanced, EventRow, SegmentUpdate};
use hansard_store::{Catalog, CatalogError, Query};
use support::{TempDir, mix, torture};

const DIR: &str = "HANSARD_STORE_KILL_DIR";
const SESSIONS: u8 = 20;

/// What the killed process does: every session's next segment, its event, its update; for ever.
fn work(dir: &Path) {
    let catalog = SqliteCatalog::open(dir, "the one to be killed").unwrap();
    loop {
        let sessions: Vec<_> = (1..=SESSIONS).map(session).collect();
        let heads = catalog.heads(&sessions).unwrap();
        let next = |head: &Option<_>| {
            head.as_ref()
                .map_or(0, |h: &hansard_store::catalog::SegmentRow| h.number + 1)
        };
        let rows: Vec<_> = sessions
            .iter()
            .zip(&heads)
            .map(|(of, head)| segment(*of, next(head), 1).unwrap())
            .collect();
        let done = catalog.advance(&rows).unwrap();
        assert!(done.iter().all(|d| *d == Advanced::Done));
        println!("{}", rows[0].number);
        std::io::stdout().flush().unwrap();
        let waiting = catalog.unprojected(1000).unwrap();
        let events: Vec<_> = waiting
            .iter()
            .map(|row| event(row.session, row.number))
            .collect();
        catalog.put_events(events.into()).unwrap();
        let updates = waiting.iter().map(|row| update(row.session, row.number));
        catalog.project(&updates.collect::<Vec<_>>()).unwrap();
    }
}

fn event(session: hansard_core::SessionId, number: u32) -> EventRow {
    EventRow {
        session,
        seq: u64::from(number),
        ordinal: 0,
        time_ns: u64::from(number),
        name: "resize".to_owned(),
        user: "alice".to_owned(),
        host: "web-1".to_owned(),
        kind: "terminal".to_owned(),
        facts: "{}".to_owned(),
    }
}

fn update(session: hansard_core::SessionId, segment: u32) -> SegmentUpdate {
    SegmentUpdate {
        session,
        segment,
        start: None,
        last_ns: 0,
        end: None,
        events: 1,
        data_bytes: 0,
        stored_bytes: 0,
        gaps: 0,
        counted: hansard_view::document::Counted::default(),
    }
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    if let Some(dir) = std::env::var_os(DIR) {
        return work(Path::new(&dir));
    }
    let dir = TempDir::new("kill");
    let mut acknowledged = None;
    for kill in 0..torture(12) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "what_was_acknowledged_outlives_a_kill",
                "--exact",
                "--nocapture",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .filter_map(|l| l.parse::<u32>().ok())
                .max()
        });
        std::thread::sleep(Duration::from_millis(40 + mix(kill) % 160));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = acknowledged.max(reader.join().unwrap());

        let catalog = SqliteCatalog::open(dir.path(), "the test").unwrap();
        catalog.check().unwrap();
        let sessions: Vec<_> = (1..=SESSIONS).map(session).collect();
        for head in catalog.heads(&sessions).unwrap() {
            assert!(head.map(|head| head.number) >= acknowledged);
        }
        // Everything is counted once, or waits.
        let waiting = catalog.unprojected(100_000).unwrap();
        for of in &sessions {
            let there = catalog.segments(*of, 0, 100_000).unwrap();
            let query = Query {
                session: Some(*of),
                ..Query::default()
            };
            let row = catalog.sessions(&query).unwrap().rows.pop();
            let counted = row.map_or(0, |row| row.segments);
            let waits = waiting.iter().filter(|row| row.session == *of).count() as u64;
            assert_eq!(counted + waits, there.len() as u64);
            for pair in there.windows(2) {
                assert_eq!(pair[1].predecessor, pair[0].digest);
            }
        }
    }
    assert!(acknowledged.is_some_and(|n| n > 10), "{acknowledged:?}");
}

#[test]
fn a_catalog_is_held_by_one_and_stays_when_closed() {
    let dir = TempDir::new("held");
    let row = segment(session(1), 0, 1).unwrap();
    {
        let catalog = SqliteCatalog::open(dir.path(), "process 812").unwrap();
        match SqliteCatalog::open(dir.path(), "another").map(drop) {
            Err(CatalogError::Retry(why)) => {
                assert!(why.ends_with("is held by process 812"), "{why}")
            }
            other => panic!("{other:?}"),
        }
        catalog.advance(std::slice::from_ref(&row)).unwrap();
    }
    let catalog = SqliteCatalog::open(dir.path(), "another").unwrap();
    assert_eq!(catalog.heads(&[session(1)]).unwrap(), [Some(row)]);
}

#[test]
fn what_is_no_catalog_is_not_taken_for_one() {
    let foreign = TempDir::new("foreign");
    let file = foreign.path().join("catalog.sqlite");
    for content in [
        &b"not a database, but long enough to look like a file with something in it"[..],
        &[0xa5; 8192],
    ] {
        std::fs::write(&file, content).unwrap();
        let opened = SqliteCatalog::open(foreign.path(), "test").map(drop);
        assert!(
            matches!(opened, Err(CatalogError::Damaged(_))),
            "{opened:?}"
        );
    }
    // Another program's database, and one of ours of a later version.
    for (application, version, refused) in [(7, 1, false), (0x484e_5343, 99, true)] {
        let dir = TempDir::new("foreign");
        drop(SqliteCatalog::open(dir.path(), "test").unwrap());
        let path = dir.path().join("catalog.sqlite");
        let mut bytes = std::fs::read(&path).unwrap();
        // Application id and user version in the file's header (https://sqlite.org/fileformat.html).
        bytes[68..72].copy_from_slice(&u32::to_be_bytes(application));
        bytes[60..64].copy_from_slice(&u32::to_be_bytes(version));
        std::fs::write(&path, bytes).unwrap();
        match SqliteCatalog::open(dir.path(), "test").map(drop) {
            Err(CatalogError::Refused(_)) if refused => {}
            Err(CatalogError::Damaged(_)) if !refused => {}
            other => panic!("{other:?}"),
        }
    }
}
