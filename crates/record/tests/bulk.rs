//! Streams beyond their budget, through whole recordings: what is kept and what is said of the rest
//! is what was handed over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use hansard_core::event::{End, Event};
use hansard_core::policy::OnLoss;
use hansard_core::reader::Tail;
use hansard_core::{Body, Stream, Value};
use hansard_record::bulk::{BULK_TOLD_BYTES, OMITTED};
use hansard_record::memory_sink::PutFault;
use hansard_record::real_disk::RealDisk;
use hansard_record::{Environment, FileSink, MemorySink, Options, Recorder};
use sha2::{Digest as _, Sha256};
use support::{TempDir, key, read_all, session};

const BUDGET: u64 = 1_000_000;

/// A piece that no stream may take for calm.
const PIECE: usize = 100_000;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn sha256(hash: &Sha256) -> String {
    let digest = hash.clone().finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Follows a stream through its recording, beside what was handed over of it, as anybody could who
/// has that. Answers the bytes kept, the bytes left out, and how often that was said.
fn followed(events: &[Event], wanted: Stream, all: &[u8]) -> (u64, u64, u64) {
    let (mut at, mut kept, mut left_out, mut said) = (0usize, 0u64, 0u64, 0u64);
    let (mut hash, mut gap) = (Sha256::new(), None);
    for event in events {
        match &event.body {
            Body::Data { stream, bytes } if *stream == wanted => {
                assert!(all[at..].starts_with(bytes), "{wanted:?} at {at}");
                at += bytes.len();
                kept += bytes.len() as u64;
            }
            // Between it and what belongs to it another stream's may stand.
            Body::Gap(of) if of.cause.contains(wanted.as_str()) => gap = of.bytes,
            Body::Transfer(fact) if fact.event == OMITTED => {
                let number = |name: &str| match fact.fields.get(name) {
                    Some(Value::Uint(number)) => *number,
                    other => panic!("{name}: {other:?}"),
                };
                if fact.fields.text("stream_name") != Some(wanted.as_str()) {
                    continue;
                }
                let more = number("omitted_bytes") - left_out;
                assert_eq!(gap.take(), Some(more));
                assert_eq!(number("kept_bytes"), kept);
                hash.update(&all[at..][..more as usize]);
                assert_eq!(fact.fields.text("sha256").unwrap(), sha256(&hash));
                at += more as usize;
                left_out += more;
                said += 1;
            }
            _ => {}
        }
    }
    assert_eq!(at, all.len(), "{wanted:?}: produced = recorded + accounted");
    (kept, left_out, said)
}

fn open(path: &std::path::Path) -> Recorder {
    let sink = FileSink::create(path, &RealDisk).unwrap();
    let mut session = session(1, OnLoss::Hold, 30_000);
    session.kind = "exec".to_owned();
    session.policy.bulk_bytes_max = BUDGET;
    let env = Environment::real();
    Recorder::open(session, key(), Box::new(sink), &env, Options::default()).unwrap()
}

#[test]
fn of_two_that_pour_at_a_time_each_has_its_account_however_it_ends() {
    let all = [noise(1, 40_000_000), noise(2, 23_000_001)];
    let streams = [Stream::Stdout, Stream::Stdin];
    for is_closed in [true, false] {
        let dir = TempDir::new("bulk");
        let path = dir.path().join("a.hansard");
        let recorder = open(&path);
        std::thread::scope(|scope| {
            for (stream, all) in streams.iter().zip(&all) {
                let recorder = &recorder;
                scope.spawn(move || {
                    for piece in all.chunks(PIECE) {
                        recorder.data(*stream, piece).unwrap();
                    }
                });
            }
        });
        if is_closed {
            let summary = recorder.close(End::default()).unwrap();
            assert_eq!(summary.recorded.bytes, 2 * BUDGET);
        }
        drop(recorder);
        let (events, tail) = read_all(&std::fs::read(&path).unwrap());
        assert_eq!(matches!(tail, Tail::Complete), is_closed, "{tail:?}");
        for (stream, all) in streams.iter().zip(&all) {
            let left_out = all.len() as u64 - BUDGET;
            let times = left_out / BULK_TOLD_BYTES + 1;
            assert_eq!(followed(&events, *stream, all), (BUDGET, left_out, times));
        }
    }
}

#[test]
fn whoever_goes_on_with_a_recording_is_told_whether_all_of_it_is_there() {
    let (sink, env) = (MemorySink::new(), Environment::real());
    let mut session = session(1, OnLoss::Continue, 30_000);
    session.kind = "exec".to_owned();
    session.policy.bulk_bytes_max = BUDGET;
    let options = Options::default();
    assert_eq!(
        options.loss_bytes_max(&session),
        None,
        "what is dropped is in memory alone"
    );
    let id = session.id;
    let recorder = Recorder::open(session, key(), Box::new(sink.clone()), &env, options).unwrap();
    let all = noise(4, 2_000_000);
    for piece in all.chunks(PIECE) {
        recorder.data(Stream::Stdout, piece).unwrap();
    }
    assert!(recorder.settle().unwrap());
    let (events, _) = read_all(&sink.recording(id));
    assert_eq!(
        followed(&events, Stream::Stdout, &all),
        (BUDGET, all.len() as u64 - BUDGET, 1)
    );
    sink.fail_times(1000, PutFault::LoseBefore);
    recorder
        .data(Stream::Stderr, b"shown and not stored")
        .unwrap();
    recorder.flush().unwrap();
    assert!(!recorder.settle().unwrap());
    sink.heal();
    recorder.close(End::default()).unwrap();
}

#[test]
fn what_is_typed_after_a_flood_is_kept_in_its_place() {
    const HOLD_NS: u64 = 150_000_000;
    let dir = TempDir::new("typed");
    let path = dir.path().join("a.hansard");
    let recorder = open(&path);
    let mut all = noise(3, 5_000_000);
    for piece in all.chunks(PIECE) {
        recorder.data(Stream::Stdin, piece).unwrap();
    }
    let over_ns = recorder.now_ns() + HOLD_NS;
    let mut typed = |is_last: bool| {
        let piece: &[u8] = if is_last { b"rm -rf /\n" } else { b"ls\n" };
        recorder.data(Stream::Stdin, piece).unwrap();
        all.extend_from_slice(piece);
    };
    while recorder.now_ns() < over_ns {
        std::thread::sleep(std::time::Duration::from_millis(1));
        typed(false);
    }
    typed(true);
    recorder.close(End::default()).unwrap();
    let (events, _) = read_all(&std::fs::read(&path).unwrap());
    let (kept, left_out, said) = followed(&events, Stream::Stdin, &all);
    assert!(said == 1 && left_out >= 4_000_000, "{said} {left_out}");
    assert!(kept >= BUDGET + 9, "{kept}");
    let last = events.iter().rev().find_map(|event| match &event.body {
        Body::Data { bytes, .. } => Some(bytes),
        _ => None,
    });
    assert!(last.unwrap().ends_with(b"rm -rf /\n"));
}
