//! A spool's last room is for those who must be able to go on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use hansard_core::{Sink as _, SinkError};
use hansard_record::conformance::sample_parts;
use hansard_record::sim::SimDisk;
use hansard_record::{Spool, SpoolOptions};

#[test]
fn a_handle_leaves_room_to_the_others() {
    let (mine, theirs) = (sample_parts(1).unwrap(), sample_parts(2).unwrap());
    let bytes = |parts: &[hansard_core::Part]| -> u64 {
        parts
            .iter()
            .map(|part| part.bytes().len() as u64 + 200)
            .sum()
    };
    let options = SpoolOptions {
        bytes_max: bytes(&mine) + bytes(&theirs),
        ..SpoolOptions::default()
    };
    let disk = Arc::new(SimDisk::new(1));
    let spool = Spool::open(Path::new("/spool"), disk, options).unwrap();
    let mut ordinary = spool.leaving(bytes(&theirs));
    ordinary.put(&mine).unwrap();
    let full = ordinary.put(&theirs);
    assert!(matches!(full, Err(SinkError::Retry(_))), "{full:?}");
    spool.clone().put(&theirs).unwrap();
    // What is there already is no reason to wait.
    ordinary.put(&mine).unwrap();
}
