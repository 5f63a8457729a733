//! What a spool holds of one session, whatever it holds of others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::path::Path;
use std::sync::Arc;

use hansard_core::frame::Part;
use hansard_core::{SessionId, Sink};
use hansard_record::conformance::sample_parts;
use hansard_record::order::Spot;
use hansard_record::sim::SimDisk;
use hansard_record::{Spool, SpoolOptions};

#[test]
fn the_parts_of_one_session_are_found_without_the_others() {
    let disk = Arc::new(SimDisk::new(1));
    let mut spool = Spool::open(Path::new("/spool"), disk, SpoolOptions::default()).unwrap();
    let (ours, theirs) = (sample_parts(1).unwrap(), sample_parts(2).unwrap());
    for (a, b) in ours.iter().zip(&theirs) {
        spool.put(&[a.clone(), b.clone()]).unwrap();
    }
    let session = ours[0].session();
    let read = |spool: &Spool, after, max| -> Vec<Part> {
        let pending = spool.pending_of(session, after, max);
        pending.iter().map(|p| spool.read(p).unwrap()).collect()
    };
    let count = ours.len().min(theirs.len());
    assert_eq!(read(&spool, None, usize::MAX), ours[..count]);
    assert_eq!(read(&spool, Some(Spot::of(&ours[4])), 3), ours[5..8]);
    let released: Vec<_> = ours[..7].iter().map(|p| (session, Spot::of(p))).collect();
    spool.forget(&released);
    assert_eq!(read(&spool, None, 2), ours[7..9]);
    let nobody = SessionId::from_bytes([9; 16]);
    assert!(spool.pending_of(nobody, None, 9).is_empty());
}
