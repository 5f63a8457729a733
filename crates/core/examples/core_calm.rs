//! What sessions cost in which a person works: memory of each writer, and what is stored.
//!
//! `cargo run --release -p hansard-core --example core_calm -- FILE WRITERS`: raw output, a screen's
//! worth of it a second to each of so many writers at the same time.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Policy, SessionId, Stream};

const SECOND_NS: u64 = 1_000_000_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let raw = std::fs::read(args.next().unwrap()).unwrap();
    let count: usize = args.next().map_or(100, |n| n.parse().unwrap());
    let before = resident_kib();
    let mut writers: Vec<_> = (0..count).map(|_| writer()).collect();
    let begun = resident_kib();
    let mut stored = 0;
    let mut at = 0;
    for chunk in raw.chunks(1900) {
        at += SECOND_NS;
        for (n, writer) in writers.iter_mut().enumerate() {
            writer.push_data(at, Stream::Output, chunk).unwrap();
            writer.cut().unwrap();
            let bytes: usize = writer.parts().iter().map(|part| part.bytes().len()).sum();
            stored += if n == 0 { bytes } else { 0 };
        }
    }
    let busy = resident_kib();
    writers[0].finish(at, &End::default()).unwrap();
    let last = writers[0].parts();
    stored += last.iter().map(|part| part.bytes().len()).sum::<usize>();
    let each = |kib: usize| kib.saturating_sub(before) / count;
    println!("raw {} B, stored {stored} B", raw.len());
    println!(
        "KiB for each of {count}: {} at first, {} later",
        each(begun),
        each(busy)
    );
}

fn writer() -> SegmentWriter {
    let key = SigningKey::from_seed([1; 32]);
    let session = Session {
        id: SessionId::new_v7(1, [1; 10]),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 0,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "core_calm".into(),
    };
    SegmentWriter::new(session, key, Bounds::default()).unwrap()
}

/// Resident memory of this process.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse().unwrap()
}
