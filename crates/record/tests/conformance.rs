//! Every sink of this crate, through the one suite.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;
use std::sync::Arc;

use hansard_record::conformance::{Subject, check};
use hansard_record::sim::SimDisk;
use hansard_record::{FileSink, MemorySink, Spool, SpoolOptions};

#[test]
fn memory() {
    check(|| {
        let sink = MemorySink::new();
        let inside = sink.clone();
        Subject {
            sink: Box::new(sink),
            stored: Box::new(move |session| inside.recording(session)),
            many_sessions: true,
        }
    })
    .unwrap();
}

#[test]
fn file() {
    check(|| {
        let disk = SimDisk::new(1);
        let path = Path::new("/a.hansard");
        Subject {
            sink: Box::new(FileSink::create(path, &disk).unwrap()),
            stored: Box::new(move |_| disk.content(path).unwrap()),
            many_sessions: false,
        }
    })
    .unwrap();
}

#[test]
fn spool() {
    check(|| {
        let disk = Arc::new(SimDisk::new(1));
        let options = SpoolOptions {
            file_bytes_max: 20_000,
            ..SpoolOptions::default()
        };
        let spool = Spool::open(Path::new("/spool"), disk, options).unwrap();
        let inside = spool.clone();
        Subject {
            sink: Box::new(spool),
            stored: Box::new(move |session| {
                let of_session = inside.pending(None, usize::MAX).into_iter();
                of_session
                    .filter(|pending| pending.session == session)
                    .flat_map(|pending| inside.read(&pending).unwrap().bytes().to_vec())
                    .collect()
            }),
            many_sessions: true,
        }
    })
    .unwrap();
}
