//! A recording as a file on a disk that fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;

use hansard_core::{Part, Sink, SinkError};
use hansard_record::FileSink;
use hansard_record::conformance::sample_parts;
use hansard_record::sim::{SimDisk, WriteFault};

fn setup() -> (SimDisk, FileSink, Vec<Part>) {
    let disk = SimDisk::new(3);
    let sink = FileSink::create(path(), &disk).unwrap();
    (disk, sink, sample_parts(1).unwrap())
}

fn path() -> &'static Path {
    Path::new("/a.hansard")
}

fn bytes_of(parts: &[Part]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect()
}

#[test]
fn short_writes_are_finished() {
    let (disk, mut sink, parts) = setup();
    for part in &parts {
        disk.fail_next_write(WriteFault::Short);
        // A short write of nothing counts as full, and the next attempt succeeds.
        while let Err(e) = sink.put(std::slice::from_ref(part)) {
            assert!(matches!(e, SinkError::Retry(_)), "{e:?}");
        }
    }
    assert_eq!(disk.content(path()).unwrap(), bytes_of(&parts));
}

#[test]
fn a_full_disk_is_waited_for_and_leaves_nothing_half_written() {
    let (disk, mut sink, parts) = setup();
    let (before, after) = parts.split_at(5);
    sink.put(before).unwrap();
    disk.set_capacity(Some(bytes_of(before).len() + 100));
    for _ in 0..3 {
        assert!(matches!(sink.put(after), Err(SinkError::Retry(_))));
        assert_eq!(disk.content(path()).unwrap(), bytes_of(before));
    }
    disk.set_capacity(None);
    sink.put(after).unwrap();
    assert_eq!(disk.content(path()).unwrap(), bytes_of(&parts));
}

#[test]
fn a_failed_sync_is_never_taken_for_a_success_later() {
    let (disk, mut sink, parts) = setup();
    sink.put(&parts[..5]).unwrap();
    disk.fail_next_sync();
    assert!(matches!(sink.put(&parts[5..9]), Err(SinkError::Refused(_))));
    let calls = disk.calls();
    for part in &parts {
        assert!(matches!(
            sink.put(std::slice::from_ref(part)),
            Err(SinkError::Refused(_))
        ));
    }
    assert_eq!(disk.calls(), calls, "a poisoned file is not touched again");
    for seed in 0..100 {
        let found = disk.after_power_loss(seed).content(path()).unwrap();
        assert!(found.starts_with(&bytes_of(&parts[..5])));
    }
}

#[test]
fn a_write_that_breaks_poisons_the_file() {
    let (disk, mut sink, parts) = setup();
    sink.put(&parts[..5]).unwrap();
    disk.fail_next_write(WriteFault::Broken);
    assert!(matches!(sink.put(&parts[5..9]), Err(SinkError::Refused(_))));
    assert!(matches!(sink.put(&parts[5..9]), Err(SinkError::Refused(_))));
    assert_eq!(disk.content(path()).unwrap(), bytes_of(&parts[..5]));
}
