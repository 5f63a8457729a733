//! Recordings that every version must read, and what each of them is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;

use hansard_core::reader::Tail;
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
