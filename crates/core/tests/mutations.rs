//! Random mutations of recordings: every one is noticed and the first bad place is named.
//!
//! `make test` runs a fixed share; `HANSARD_TORTURE=1000000 cargo test --release -p hansard-core
//! --test mutations` the whole. The seed is fixed; `HANSARD_SEED` gives another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

use hansard_core::event::End;
use hansard_core::policy::Policy;
use hansard_core::reader::Tail;
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::verify::{Report, Verdict, verify};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, SessionId, Stream};

/// SplitMix64: enough randomness to choose places, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

struct Recording {
    bytes: Vec<u8>,
    /// Where each record begins.
    records: Vec<usize>,
    finished: bool,
}

fn recording(n: u8, finished: bool) -> Recording {
    let key = SigningKey::from_seed([n; 32]);
    let session = Session {
        id: SessionId::new_v7(1, [n; 10]),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 0,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "mutations".into(),
    };
    let bounds = Bounds {
        frame_bytes: 150,
        segment_bytes: 700,
        ..Bounds::default()
    };
    let mut writer = SegmentWriter::new(session, key, bounds).unwrap();
    let mut dice = Dice(u64::from(n));
    for i in 0..80u64 {
        let bytes: Vec<u8> = (0..dice.below(60) + 1)
            .map(|_| (dice.next() & 0x3f) as u8 + 32)
            .collect();
        writer
            .push(
                i * 10_000_000,
                &Body::Data {
                    stream: Stream::Output,
                    bytes,
                },
            )
            .unwrap();
    }
    if finished {
        writer.finish(800_000_000, &End::default()).unwrap();
    } else {
        writer.cut().unwrap();
    }
    let (mut bytes, mut records) = (Vec::new(), Vec::new());
    for part in writer.parts() {
        records.push(bytes.len());
        bytes.extend_from_slice(part.bytes());
    }
    Recording {
        bytes,
        records,
        finished,
    }
}

/// Changes `bytes` in one of five ways; answers what was done and the first byte that differs.
fn mutate(of: &Recording, other: &Recording, dice: &mut Dice) -> (&'static str, Vec<u8>) {
    let mut bytes = of.bytes.clone();
    let record = |dice: &mut Dice| {
        let i = dice.below(of.records.len());
        (
            of.records[i],
            of.records.get(i + 1).copied().unwrap_or(of.bytes.len()),
        )
    };
    match dice.below(6) {
        0 => {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            ("bit flip", bytes)
        }
        1 => {
            bytes.truncate(dice.below(bytes.len() - 4) + 4);
            ("cut", bytes)
        }
        2 => {
            let ((a, a_end), (b, b_end)) = (record(dice), record(dice));
            let (a, a_end, b, b_end) = if a <= b {
                (a, a_end, b, b_end)
            } else {
                (b, b_end, a, a_end)
            };
            if a == b {
                bytes.drain(a..a_end);
                return ("removal", bytes);
            }
            let swapped = [
                &of.bytes[..a],
                &of.bytes[b..b_end],
                &of.bytes[a_end..b],
                &of.bytes[a..a_end],
                &of.bytes[b_end..],
            ]
            .concat();
            ("swap", swapped)
        }
        3 => {
            let (a, a_end) = record(dice);
            let copy = bytes[a..a_end].to_vec();
            let to = record(dice).1;
            bytes.splice(to..to, copy);
            ("duplicate", bytes)
        }
        4 => {
            let (a, a_end) = record(dice);
            let i = dice.below(other.records.len());
            let end = other
                .records
                .get(i + 1)
                .copied()
                .unwrap_or(other.bytes.len());
            bytes.splice(a..a_end, other.bytes[other.records[i]..end].iter().copied());
            ("splice", bytes)
        }
        _ => {
            let at = dice.below(bytes.len());
            let len = dice.below(64.min(bytes.len() - at)) + 1;
            for byte in &mut bytes[at..(at + len).min(of.bytes.len())] {
                *byte = dice.next() as u8;
            }
            ("overwrite", bytes)
        }
    }
}

/// Whether the report tells that `bytes` are not the original, and where.
fn noticed(of: &Recording, bytes: &[u8], report: &Report) -> bool {
    let first_difference = of
        .bytes
        .iter()
        .zip(bytes)
        .position(|(a, b)| a != b)
        .unwrap_or(of.bytes.len().min(bytes.len()));
    let is_prefix = first_difference == bytes.len();
    if is_prefix {
        // A cut: unfinished, intact up to the last whole record. Of a recording that was
        // unfinished anyway, that is all that anybody can tell.
        let last = of
            .records
            .iter()
            .copied()
            .chain([of.bytes.len()])
            .filter(|r| *r <= bytes.len())
            .max()
            .unwrap();
        return report.verdict == Verdict::Unfinished && report.intact_bytes == last as u64;
    }
    let begins_zero_tail =
        matches!(report.tail, Tail::Torn { .. }) && report.verdict == Verdict::Unfinished;
    if begins_zero_tail {
        // Zeros to the end are what a power failure leaves.
        return bytes[first_difference.div_ceil(512) * 512..]
            .iter()
            .all(|b| *b == 0);
    }
    let Some(damage) = report.damages.first() else {
        return false;
    };
    // The first bad record, or the one behind it, is the one that is named.
    let bad = of
        .records
        .iter()
        .rposition(|r| *r <= first_difference)
        .unwrap();
    let earliest = of.records[bad] as u64;
    report.verdict == Verdict::Damaged
        && damage.offset >= earliest
        && report.intact_bytes <= damage.offset
        && report.intact_bytes >= earliest.min(bytes.len() as u64)
}

#[test]
fn every_mutation_is_noticed_and_its_place_named() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let count = number("HANSARD_TORTURE").unwrap_or(20_000);
    let seed = number("HANSARD_SEED").unwrap_or(20_261_121);
    let mut dice = Dice(seed);
    let recordings = [recording(1, true), recording(2, false), recording(3, true)];
    for of in &recordings {
        let verdict = verify(&of.bytes[..]).unwrap().verdict;
        assert_eq!(
            verdict,
            if of.finished {
                Verdict::Complete
            } else {
                Verdict::Unfinished
            }
        );
    }
    let mut done = std::collections::BTreeMap::new();
    for n in 0..count {
        let of = &recordings[dice.below(3)];
        let other = &recordings[dice.below(3)];
        let (what, bytes) = mutate(of, other, &mut dice);
        if bytes == of.bytes {
            continue;
        }
        let report = match verify(&bytes[..]) {
            Ok(report) => report,
            // Nothing of the first record is left, or its version byte is another.
            Err(_) if bytes[..8] != of.bytes[..8] => continue,
            Err(error) => panic!("seed {seed}, mutation {n}, {what}: {error}"),
        };
        assert!(
            noticed(of, &bytes, &report),
            "seed {seed}, mutation {n}, {what}: {report:#?}"
        );
        *done.entry(what).or_insert(0u64) += 1;
    }
    println!("seed {seed}: {done:?}, all noticed");
}
