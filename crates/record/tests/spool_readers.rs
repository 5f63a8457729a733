//! What a reader of the spool sees: one session by itself, the newest part, that something came.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hansard_core::{Part, SessionId, Sink};
use hansard_record::conformance::sample_parts;
use hansard_record::order::Spot;
use hansard_record::sim::SimDisk;
use hansard_record::{Spool, SpoolOptions};

fn names(parts: &[Part]) -> Vec<(SessionId, Spot)> {
    let name = |part: &Part| (part.session(), Spot::of(part));
    parts.iter().map(name).collect()
}

#[test]
fn a_session_is_read_by_itself_and_whoever_reads_is_told_of_what_comes() {
    let disk = SimDisk::new(1);
    let options = SpoolOptions {
        file_bytes_max: 20_000,
        ..SpoolOptions::default()
    };
    let opened = Spool::open(Path::new("/spool"), Arc::new(disk.clone()), options);
    let mut spool = opened.unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let listener = (Arc::clone(&told), spool.clone());
    spool.listen(Arc::new(move || {
        // What it is told of is there to be read.
        let (told, spool) = &listener;
        told.store(spool.pending(None, usize::MAX).len(), Ordering::SeqCst);
    }));
    let (a, b) = (sample_parts(1).unwrap(), sample_parts(2).unwrap());
    for (n, (a, b)) in a.iter().zip(&b).enumerate() {
        spool.put(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(told.load(Ordering::SeqCst), 2 * n + 2);
    }
    let session = a[0].session();
    let of = |after, max| -> Vec<Part> {
        let pending = spool.pending_of(session, after, max);
        pending.iter().map(|p| spool.read(p).unwrap()).collect()
    };
    assert_eq!(of(None, 5), a[..5]);
    assert_eq!(of(Some(Spot::of(&a[4])), 3), a[5..8]);
    assert_eq!(spool.newest().map(|p| p.session), Some(b[0].session()));

    // What is released is gone from there, and from what is still to be kept elsewhere.
    let before = spool.usage().pending_bytes;
    let bytes: usize = a[..5].iter().map(|part| part.bytes().len()).sum();
    spool.forget(&names(&a[..5]));
    assert_eq!(of(None, 1), a[5..6]);
    let released = before - spool.usage().pending_bytes;
    assert!(released > bytes as u64 && released < bytes as u64 + 5 * 100);
    spool.forget(&names(&a));
    spool.forget(&names(&b));
    assert_eq!((spool.usage().pending_bytes, spool.usage().parts), (0, 0));
    assert!(spool.newest().is_none());
}
