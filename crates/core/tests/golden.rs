//! Recordings that every version must read, and what each of them is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::path::Path;

use hansard_core::reader::{Item, Reader, Tail};
use hansard_core::verify::{Verdict, verify};

fn check(name: &str, verdict: Verdict, segments: u64, events: u64) -> hansard_core::verify::Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../formats/golden/v1")
        .join(name);
    let report = verify(std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(
        (report.verdict, report.segments, report.events),
        (verdict, segments, events),
        "{name}: {report:#?}"
    );
    report
}

#[test]
fn golden_recordings_are_read_as_ever() {
    check("hello.hansard", Verdict::Complete, 1, 4);
    check("families.hansard", Verdict::Complete, 2, 21);
    check("pipes.hansard", Verdict::Complete, 1, 31);
    check("segments.hansard", Verdict::Complete, 7, 203);
    check("bulk.hansard", Verdict::Complete, 1, 20);
    let unfinished = check("unfinished.hansard", Verdict::Unfinished, 6, 202);
    assert_eq!(unfinished.tail, Tail::Unsealed);
    let torn = check("torn.hansard", Verdict::Unfinished, 6, 200);
    assert!(matches!(torn.tail, Tail::Torn { .. }));
    let damaged = check("damaged.hansard", Verdict::Damaged, 6, 182);
    assert_eq!(damaged.damages[0].segment, Some(3));
    assert_eq!(damaged.damages[0].frame, Some(4));
    assert_eq!(damaged.damages[0].resumed_at, Some(3978));
}

/// Whoever can change stored bytes can compute checksums anew, but no signature.
#[test]
fn events_are_sealed_by_the_seal_of_their_own_segment_alone() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../formats/golden/v1/segments.hansard");
    let whole = std::fs::read(path).unwrap();
    let all = verify(whole.as_slice()).unwrap();
    assert_eq!((all.events, all.events_sealed), (203, 203));
    let mut reader = Reader::new(whole.as_slice());
    let mut events = 0;
    let end = loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) => events += frame.events.len() as u64,
            Item::Seal(seal) => break seal.end,
            other => panic!("{other:?}"),
        }
    };
    let mut changed = whole;
    changed[end as usize - 1] ^= 1;
    let report = verify(changed.as_slice()).unwrap();
    assert_eq!((report.verdict, report.segments), (Verdict::Damaged, 6));
    assert_eq!((report.events, report.events_sealed), (203, 203 - events));
}
