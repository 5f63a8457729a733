//! Archive, files and SQLite together, killed at random moments: what was acknowledged is there,
//! repeating goes on, and the listing equals one that is built anew.
//!
//! The test starts itself again as the process to be killed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hansard_core::Class;
use hansard_store::blob::fs::FsBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::catalog::sqlite::SqliteCatalog;
use hansard_store::catalog::{EventRow, SessionRow};
use hansard_store::project::Projector;
use hansard_store::reindex::{adopt, reindex};
use hansard_store::{Archive, ArchiveOptions, BlobStore, Catalog, Query, SealedSegment};
use support::{TempDir, bytes_of, mix, recording, torture};

const DIR: &str = "HANSARD_STORE_SIGKILL_DIR";
const FROM: &str = "HANSARD_STORE_SIGKILL_FROM";

fn open(dir: &Path) -> (Arc<dyn BlobStore>, Arc<dyn Catalog>) {
    let home = dir.join("catalog");
    let _ = std::fs::create_dir(&home);
    (
        Arc::new(FsBlobs::open(&dir.join("archive"), "test").unwrap()),
        Arc::new(SqliteCatalog::open(&home, "test").unwrap()),
    )
}

fn segments(number: u64) -> Vec<SealedSegment> {
    recording(number, 2 + (mix(number) % 5) as u32)
}

/// What the killed process does: starts as a service does, then archives two sessions at a time,
/// interleaved, says which are archived, and projects.
fn work(dir: &Path, from: u64) {
    let (blobs, catalog) = open(dir);
    adopt(&*blobs, &*catalog).unwrap();
    let archive = Archive::new(blobs.clone(), catalog.clone(), ArchiveOptions::default());
    let mut projector = Projector::new(blobs, catalog);
    for number in (from..).step_by(2) {
        let sessions = [segments(number), segments(number + 1)];
        for round in 0..8 {
            let batch: Vec<_> = sessions
                .iter()
                .filter_map(|s| s.get(round).cloned())
                .collect();
            let put = archive.put(&batch, 0);
            assert!(put.receipts.iter().all(Result::is_ok), "{put:?}");
            assert_eq!(put.flushed.trouble, None);
        }
        // Each has ended, and so is archived: offered again, it is recognised.
        let again = archive.put(&sessions.concat(), 0);
        let stored = |r: &Result<hansard_core::Receipt, _>| {
            r.as_ref().is_ok_and(|receipt| receipt.class == Class::S)
        };
        assert!(again.receipts.iter().all(stored), "{again:?}");
        println!("{}", number + 2);
        std::io::stdout().flush().unwrap();
        projector.run(10).unwrap();
    }
}

fn listing(catalog: &dyn Catalog) -> (Vec<SessionRow>, Vec<EventRow>) {
    let (mut sessions, mut events) = (Vec::new(), Vec::new());
    let mut query = Query::default();
    loop {
        let page = catalog.sessions(&query).unwrap();
        sessions.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    loop {
        let page = catalog.events(&query).unwrap();
        events.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
            return (sessions, events);
        }
    }
}

/// Runs the process for a while and kills it; answers up to which session it acknowledged.
fn run_and_kill(dir: &Path, from: u64, ms: u64) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["killed_at_random_moments", "--exact", "--nocapture"])
        .env(DIR, dir)
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let numbers = lines.map_while(Result::ok).filter_map(|l| l.parse().ok());
        numbers.max()
    });
    std::thread::sleep(Duration::from_millis(ms));
    // Still running: it never ends by itself, unless one of its assertions failed.
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn killed_at_random_moments() {
    if let Some(dir) = std::env::var_os(DIR) {
        let from = std::env::var(FROM).unwrap().parse().unwrap();
        return work(Path::new(&dir), from);
    }
    let dir = TempDir::new("sigkill");
    let mut acknowledged = 0;
    for kill in 0..torture(12) {
        // A sender that did not hear the last receipts offers those sessions again.
        let from = u64::saturating_sub(acknowledged, 4);
        let ms = 60 + mix(kill) % 240;
        acknowledged = acknowledged.max(run_and_kill(dir.path(), from, ms).unwrap_or(0));

        let (blobs, catalog) = open(dir.path());
        let archive = Archive::new(blobs, catalog, ArchiveOptions::default());
        for number in u64::saturating_sub(acknowledged, 20)..acknowledged {
            let wanted = segments(number);
            let session = wanted.first().unwrap().facts().session;
            let mut bytes = Vec::new();
            let mut reader = archive.open_session(session).unwrap().unwrap();
            reader.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, bytes_of(&wanted), "session {number}");
        }
    }
    assert!(acknowledged > 20, "{acknowledged} sessions");

    let (blobs, catalog) = open(dir.path());
    adopt(&*blobs, &*catalog).unwrap();
    Projector::new(blobs.clone(), catalog.clone())
        .run_all()
        .unwrap();
    let anew: Arc<dyn Catalog> = Arc::new(MemoryCatalog::default());
    let (adopted, _) = reindex(&blobs, &anew).unwrap();
    assert_eq!((adopted.quarantined, adopted.after_loss), (0, 0));
    let (here, there) = (listing(&*catalog), listing(&*anew));
    assert!(here.0.len() as u64 >= acknowledged);
    assert!(here == there, "the listing differs");
    assert!(catalog.quarantined(None, 10).unwrap().is_empty());
}
