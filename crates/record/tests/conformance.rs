//! Every sink of this crate, through the one suite.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;

use hansard_record::conformance::{Subject, check};
use hansard_record::sim::SimDisk;
use hansard_record::{FileSink, MemorySink};

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
