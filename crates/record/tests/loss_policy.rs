//! What happens when the record cannot be made durable: held, ended, or gone on with, and nothing
//! missing that is not said. All in simulated time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use hansard_core::event::{End, Event};
use hansard_core::fields::Fields;
use hansard_core::policy::OnLoss;
use hansard_core::reader::Tail;
use hansard_core::{Body, Sink, SinkError, Stream};
use hansard_record::memory_sink::PutFault;
use hansard_record::sim::{Rng, SimClock, SimRecorder};
use hansard_record::{Cause, Count, Lost, MemorySink, Options};
use proptest::prelude::*;
use support::{key, read_all, session};

const MS: u64 = 1_000_000;

fn small() -> Options {
    let mut options = Options {
        queue_bytes: 4096,
        wake_bytes: 1024,
        ..Options::default()
    };
    options.merge_ns = 0;
    options.group.bytes = 0;
    options.bounds.frame_bytes = 512;
    options.bounds.segment_bytes = 4096;
    options
}

fn open(on_loss: OnLoss, hold_ms: u64) -> (SimRecorder, MemorySink, SimClock) {
    let (sink, clock) = (MemorySink::new(), SimClock::new(1_700_000_000_000_000_000));
    let given = Box::new(sink.clone());
    let recorder =
        SimRecorder::open(session(1, on_loss, hold_ms), key(), given, &clock, small()).unwrap();
    (recorder, sink, clock)
}

fn recorded(sink: &MemorySink) -> (Vec<Event>, Tail) {
    let id = session(1, OnLoss::Hold, 0).id;
    read_all(&sink.recording(id))
}

fn data_of(events: &[Event]) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        if let Body::Data { bytes, .. } = &event.body {
            all.extend_from_slice(bytes);
        }
    }
    all
}

fn gaps_of(events: &[Event]) -> Count {
    let mut sum = Count::default();
    for event in events {
        if let Body::Gap(gap) = &event.body {
            sum.events += gap.events.unwrap();
            sum.bytes += gap.bytes.unwrap();
        }
    }
    sum
}

/// Offers lines until the recorder says that they are lost.
fn until_lost(recorder: &mut SimRecorder) -> Lost {
    for _ in 0..1_000_000 {
        if let Err(lost) = recorder.data(Stream::Output, &[b'x'; 100]) {
            return lost;
        }
        recorder.advance(MS);
    }
    panic!("never lost");
}

#[test]
fn a_sink_that_recovers_within_the_bound_costs_nothing_but_time() {
    let (mut recorder, sink, _) = open(OnLoss::Hold, 30_000);
    sink.fail_times(8, PutFault::LoseAfter);
    sink.fail_times(4, PutFault::LosePartly(1));
    let mut said = Vec::new();
    for i in 0..1000u32 {
        let line = format!("line {i}\n");
        recorder.data(Stream::Output, line.as_bytes()).unwrap();
        said.extend_from_slice(line.as_bytes());
    }
    assert!(
        recorder.now_ns() > 1000 * MS,
        "the capture was held back while the queue was full"
    );
    let summary = recorder.close(End::default()).unwrap();
    let (events, tail) = recorded(&sink);
    assert_eq!(data_of(&events), said);
    assert_eq!(tail, Tail::Complete);
    assert_eq!(summary.missing, Count::default());
    assert_eq!(sink.complaints(), Vec::<String>::new());
}

#[test]
fn full_frames_share_an_fsync_and_what_is_due_or_asked_for_does_not_wait() {
    let (sink, clock) = (MemorySink::new(), SimClock::new(1_700_000_000_000_000_000));
    let mut options = small();
    options.group.bytes = 64 * 1024;
    options.bounds.frame_ns = 500 * MS;
    let given = Box::new(sink.clone());
    let session = session(1, OnLoss::Hold, 30_000);
    let mut recorder = SimRecorder::open(session, key(), given, &clock, options).unwrap();
    let say = |recorder: &mut SimRecorder, bytes: usize| {
        for _ in 0..bytes / 256 {
            recorder.data(Stream::Output, &[b'.'; 256]).unwrap();
        }
        data_of(&recorded(&sink).0).len()
    };
    let puts = sink.puts();
    assert_eq!(say(&mut recorder, 32 * 1024), 0, "they wait for others");
    recorder.advance(21 * MS);
    assert!(say(&mut recorder, 0) > 30 * 1024, "for 20 ms");
    assert_eq!(sink.puts(), puts + 1);
    assert!(
        say(&mut recorder, 128 * 1024) > 96 * 1024,
        "or until there are many"
    );
    assert_eq!(sink.puts(), puts + 3);
    recorder.data(Stream::Output, b"!").unwrap();
    recorder.advance(499 * MS);
    let before = say(&mut recorder, 0);
    recorder.advance(2 * MS);
    assert!(
        say(&mut recorder, 0) > before,
        "an old frame waits for none"
    );
    recorder.data(Stream::Output, b"!").unwrap();
    recorder.advance(499 * MS);
    let before = say(&mut recorder, 0);
    // What comes late fills the frame: what stood in it first is due all the same.
    say(&mut recorder, 2048);
    recorder.advance(2 * MS);
    assert!(
        say(&mut recorder, 0) > before,
        "a full one is not later than its bound"
    );
    let told = say(&mut recorder, 2048);
    recorder.flush().unwrap();
    assert!(
        say(&mut recorder, 0) > told,
        "nor does what somebody waits for"
    );
    assert_eq!(sink.complaints(), Vec::<String>::new());
}

#[test]
fn a_session_is_held_for_its_bound_and_then_lost() {
    let (mut recorder, sink, _) = open(OnLoss::Hold, 2_000);
    sink.fail_times(usize::from(u16::MAX), PutFault::LoseBefore);
    let begun_ns = recorder.now_ns();
    let lost = until_lost(&mut recorder);
    let ms = (recorder.now_ns() - begun_ns) / MS;
    assert_eq!(lost.cause, Cause::HeldTooLong);
    assert!((2_000..3_000).contains(&ms), "lost after {ms} ms");
    assert!(lost.missing.bytes > 0);
    assert!(lost.to_string().contains("told to fail"), "{lost}");
    assert_eq!(
        recorder.data(Stream::Output, b"x").unwrap_err().cause,
        Cause::HeldTooLong
    );
    assert!(sink.puts() < 20, "{} attempts in two seconds", sink.puts());
    assert_eq!(sink.complaints(), Vec::<String>::new());
}

#[test]
fn a_policy_that_ends_ends_at_the_first_failure() {
    let (mut recorder, sink, _) = open(OnLoss::End, 30_000);
    sink.fail_next(PutFault::LoseBefore);
    assert_eq!(until_lost(&mut recorder).cause, Cause::HeldTooLong);
    assert_eq!(sink.puts(), 2, "the header, and one attempt");
}

#[test]
fn conflicts_and_refusals_end_a_held_session_at_once() {
    for (fault, cause) in [
        (PutFault::Conflict, Cause::Conflict),
        (PutFault::Refuse, Cause::Refused),
    ] {
        let (mut recorder, sink, _) = open(OnLoss::Hold, 30_000);
        sink.fail_next(fault);
        assert_eq!(until_lost(&mut recorder).cause, cause);
        assert!(recorder.now_ns() < 1_000 * MS);
        assert_eq!(recorder.close(End::default()).unwrap_err().cause, cause);
        assert_eq!(sink.complaints(), Vec::<String>::new());
    }
}

#[test]
fn a_header_that_does_not_become_durable_is_no_recording() {
    let (sink, clock) = (MemorySink::new(), SimClock::new(0));
    sink.fail_times(100, PutFault::LoseBefore);
    let given = Box::new(sink.clone());
    let opened = SimRecorder::open(session(1, OnLoss::Hold, 500), key(), given, &clock, small());
    assert_eq!(opened.err().unwrap().cause, Cause::HeldTooLong);
}

#[test]
fn continuing_leaves_a_gap_of_known_size() {
    let (mut recorder, sink, _) = open(OnLoss::Continue, 30_000);
    recorder.data(Stream::Output, b"before ").unwrap();
    recorder.flush().unwrap();
    sink.fail_times(10, PutFault::LoseBefore);
    for _ in 0..200 {
        recorder.data(Stream::Output, &[b'.'; 100]).unwrap();
    }
    recorder.advance(20_000 * MS);
    recorder.data(Stream::Output, b" after").unwrap();
    let summary = recorder.close(End::default()).unwrap();
    let (events, tail) = recorded(&sink);
    let (kept, gaps) = (data_of(&events), gaps_of(&events));
    assert!(kept.starts_with(b"before .....") && kept.ends_with(b"..... after"));
    assert_eq!(tail, Tail::Complete);
    assert!(gaps.bytes > 0);
    assert_eq!(kept.len() as u64 + gaps.bytes, 7 + 20_000 + 6);
    assert_eq!(summary.missing, gaps);
    assert_eq!(summary.gaps, 1);
    assert_eq!(sink.complaints(), Vec::<String>::new());
}

#[test]
fn continuing_after_a_refusal_counts_everything_and_says_so_at_the_end() {
    let (mut recorder, sink, _) = open(OnLoss::Continue, 1_000);
    recorder.data(Stream::Output, b"kept").unwrap();
    recorder.flush().unwrap();
    sink.fail_next(PutFault::Refuse);
    for _ in 0..100 {
        recorder.data(Stream::Output, &[b'.'; 100]).unwrap();
        recorder.advance(MS);
    }
    let lost = recorder.close(End::default()).unwrap_err();
    assert_eq!(lost.cause, Cause::Refused);
    assert_eq!(lost.missing.bytes, 10_000);
    assert_eq!(data_of(&recorded(&sink).0), b"kept");
    assert_eq!(sink.complaints(), Vec::<String>::new());
}

#[test]
fn an_event_too_long_to_write_becomes_a_gap() {
    let (mut recorder, sink, _) = open(OnLoss::Hold, 1_000);
    let fields = Fields::new().with("argv", "x".repeat(2 * 1024 * 1024));
    let fact = hansard_core::event::Fact {
        event: "session.command".into(),
        fields,
    };
    recorder.event(Body::Command(fact)).unwrap();
    let summary = recorder.close(End::default()).unwrap();
    let (events, _) = recorded(&sink);
    assert_eq!(
        gaps_of(&events),
        Count {
            events: 1,
            bytes: 0
        }
    );
    assert_eq!(
        summary.missing,
        Count {
            events: 1,
            bytes: 0
        }
    );
}

#[test]
fn a_wall_clock_that_jumps_is_read_again_at_the_next_seal() {
    let (mut recorder, sink, clock) = open(OnLoss::Hold, 1_000);
    recorder.data(Stream::Output, b"a").unwrap();
    recorder.advance(61_000 * MS);
    clock.set_utc_ns(1_800_000_000_000_000_000);
    recorder.data(Stream::Output, b"b").unwrap();
    recorder.advance(61_000 * MS);
    recorder.close(End::default()).unwrap();
    let (events, _) = recorded(&sink);
    let clocks: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.body {
            Body::Clock { utc_ns, reason, .. } => Some((event.at_ns, *utc_ns, reason.as_str())),
            _ => None,
        })
        .collect();
    let [(at_ns, utc_ns, "jump")] = clocks[..] else {
        panic!("{clocks:?}")
    };
    let expected_ns = 1_800_000_000_000_000_000 + (at_ns - 61_000 * MS);
    assert_eq!(utc_ns, expected_ns);
}

#[test]
fn a_queue_too_full_for_the_next_item_is_worked_on_at_once() {
    let (sink, clock) = (MemorySink::new(), SimClock::new(0));
    let options = Options {
        queue_bytes: 131_072,
        wake_bytes: 65_536,
        ..small()
    };
    let session = session(1, OnLoss::Hold, 1_000);
    let mut recorder = SimRecorder::open(session, key(), Box::new(sink), &clock, options).unwrap();
    recorder.data(Stream::Output, &[b'x'; 65_500]).unwrap();
    recorder.data(Stream::Output, &[b'y'; 65_536]).unwrap();
    let label = "z".repeat(500_000);
    recorder.event(Body::Mark { label }).unwrap();
    recorder.data(Stream::Output, b"after").unwrap();
    assert_eq!(recorder.now_ns(), 0, "somebody waited for a deadline");
}

/// A sink that hangs: it answers only when it is told to.
struct Slow(SimClock, u64);

impl Sink for Slow {
    fn put(&mut self, _: &[hansard_core::Part]) -> Result<hansard_core::Receipt, SinkError> {
        self.0.advance(self.1);
        Ok(hansard_core::Receipt {
            class: hansard_core::Class::L,
        })
    }
}

#[test]
fn what_is_handed_over_is_on_its_way_before_the_frame_bound() {
    let clock = SimClock::new(0);
    let sink = Box::new(Slow(clock.clone(), 2 * MS));
    let session = session(1, OnLoss::Hold, 1_000);
    let mut recorder = SimRecorder::open(session, key(), sink, &clock, Options::default()).unwrap();
    for _ in 0..50 {
        recorder.data(Stream::Output, b"k").unwrap();
        let (produced, _) = recorder.produced_and_recorded();
        recorder.advance(1_000 * MS);
        let (_, durable) = recorder.produced_and_recorded();
        assert!(
            durable.bytes >= produced.bytes,
            "not durable one second later"
        );
    }
}

#[test]
fn a_frame_that_the_clocks_event_fills_up_is_not_called_durable_before_it_is() {
    let (sink, clock) = (MemorySink::new(), SimClock::new(0));
    let mut options = small();
    options.bounds.segment_bytes = 512;
    let session = session(1, OnLoss::Hold, 1_000);
    let given = Box::new(sink.clone());
    let mut recorder = SimRecorder::open(session, key(), given, &clock, options).unwrap();
    let mut rng = Rng::new(1);
    let mut noise =
        |len: usize| -> Vec<u8> { (0..len).map(|_| rng.next_u64().to_le_bytes()[0]).collect() };
    // The first fills a frame, and its segment. The seal has the clock looked at, which is wrong by
    // years; the event that says so fills up the frame of the second.
    recorder.data(Stream::Output, &noise(600)).unwrap();
    recorder.data(Stream::Output, &noise(500)).unwrap();
    let (events, _) = recorded(&sink);
    assert!(
        events
            .iter()
            .any(|event| matches!(event.body, Body::Clock { .. }))
    );
    let (_, durable) = recorder.produced_and_recorded();
    assert_eq!(durable.bytes, 1100);
    assert_eq!(data_of(&events).len(), 1100);
}

/// What a capture or the world does next.
#[derive(Debug, Clone)]
enum Step {
    Data(usize),
    Mark,
    Pause(u64),
    Fail(usize, u8),
    Flush,
    Jump(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..1500).prop_map(Step::Data),
        1 => Just(Step::Mark),
        4 => (0u64..3_000).prop_map(Step::Pause),
        2 => (1usize..12, 0u8..3).prop_map(|(n, kind)| Step::Fail(n, kind)),
        1 => Just(Step::Flush),
        1 => (0u64..10_000_000_000_000).prop_map(Step::Jump),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// produced = recorded + gaps, in events and in bytes, for any run that goes on.
    #[test]
    fn nothing_is_missing_that_no_gap_stands_for(
        steps in proptest::collection::vec(step(), 1..120),
        seed in any::<u64>(),
    ) {
        let (mut recorder, sink, clock) = open(OnLoss::Continue, 5_000);
        let mut rng = Rng::new(seed);
        let mut produced = Count::default();
        for step in steps {
            match step {
                Step::Data(len) => {
                    let bytes: Vec<u8> =
                        (0..len).map(|_| rng.next_u64().to_le_bytes()[0]).collect();
                    recorder.data(Stream::Output, &bytes).unwrap();
                    produced.events += 1;
                    produced.bytes += len as u64;
                }
                Step::Mark => {
                    recorder.event(Body::Mark { label: "m".into() }).unwrap();
                    produced.events += 1;
                }
                Step::Pause(ms) => recorder.advance(ms * MS),
                Step::Fail(n, 0) => sink.fail_times(n, PutFault::LoseBefore),
                Step::Fail(n, 1) => sink.fail_times(n, PutFault::LoseAfter),
                Step::Fail(n, _) => sink.fail_times(n, PutFault::LosePartly(1)),
                Step::Flush => recorder.flush().unwrap(),
                Step::Jump(utc_ns) => clock.set_utc_ns(utc_ns),
            }
            // Nothing is called durable before it is.
            if !rng.one_in(8) {
                continue;
            }
            let (_, durable) = recorder.produced_and_recorded();
            prop_assert!(durable.bytes <= data_of(&recorded(&sink).0).len() as u64);
        }
        sink.heal();
        let summary = recorder.close(End::default()).unwrap();
        prop_assert_eq!(sink.complaints(), Vec::<String>::new());
        let (events, tail) = recorded(&sink);
        prop_assert_eq!(tail, Tail::Complete);
        let gaps = gaps_of(&events);
        let kept = events.iter().filter(|event| {
            matches!(event.body, Body::Data { .. } | Body::Mark { .. })
        }).count() as u64;
        prop_assert_eq!(kept + gaps.events, produced.events);
        prop_assert_eq!(data_of(&events).len() as u64 + gaps.bytes, produced.bytes);
        prop_assert_eq!(summary.produced, produced);
        prop_assert_eq!(summary.missing, gaps);
        prop_assert_eq!(summary.recorded.bytes, data_of(&events).len() as u64);
    }
    /// The same where streams have budgets: what was left out of one and could not be said in time stands in the gap
    /// that says so, and the last account is right.
    #[test]
    fn nothing_that_a_budget_leaves_out_is_missing_from_gaps_or_account(
        steps in proptest::collection::vec((step(), 0usize..90_000), 1..60),
        seed in any::<u64>(),
    ) {
        let (sink, clock) = (MemorySink::new(), SimClock::new(1_700_000_000_000_000_000));
        let mut session = session(1, OnLoss::Continue, 5_000);
        session.kind = "exec".into();
        session.policy.bulk_bytes_max = 100_000;
        let options = Options { queue_bytes: 150_000, ..small() };
        let given = Box::new(sink.clone());
        let mut recorder = SimRecorder::open(session, key(), given, &clock, options).unwrap();
        let mut rng = Rng::new(seed);
        let mut produced = 0;
        for (step, more) in steps {
            match step {
                Step::Data(len) => {
                    // Some of them, so that many are left out before it is said.
                    let times = if rng.one_in(10) { 200 } else { 1 };
                    let bytes = vec![rng.next_u64().to_le_bytes()[0]; len + more];
                    for _ in 0..times {
                        recorder.data(Stream::Stdout, &bytes).unwrap();
                        produced += bytes.len() as u64;
                    }
                }
                Step::Mark => recorder.data(Stream::Stderr, b"").unwrap(),
                Step::Pause(ms) => recorder.advance(ms * MS / 10),
                Step::Fail(n, 0) => sink.fail_times(n, PutFault::LoseBefore),
                Step::Fail(n, _) => sink.fail_times(n, PutFault::LoseAfter),
                Step::Flush => recorder.flush().unwrap(),
                Step::Jump(utc_ns) => clock.set_utc_ns(utc_ns),
            }
        }
        sink.heal();
        // Half of the time the end comes while the queue is as full as it was.
        if seed.is_multiple_of(2) {
            recorder.advance(10_000 * MS);
        }
        let summary = recorder.close(End::default()).unwrap();
        prop_assert_eq!(sink.complaints(), Vec::<String>::new());
        let (events, tail) = recorded(&sink);
        prop_assert_eq!(tail, Tail::Complete);
        let (mut kept, mut gaps, mut told, mut account) = (0, 0, 0, None);
        for event in &events {
            match &event.body {
                Body::Data { bytes, .. } => kept += bytes.len() as u64,
                Body::Gap(gap) => {
                    let bytes = gap.bytes.unwrap();
                    gaps += bytes;
                    told += if gap.cause.contains("poured on") { bytes } else { 0 };
                }
                Body::Transfer(fact) => {
                    let number = |name: &str| match fact.fields.get(name) {
                        Some(hansard_core::Value::Uint(n)) => *n,
                        other => panic!("{name}: {other:?}"),
                    };
                    prop_assert_eq!(number("kept_bytes"), kept);
                    account = Some(number("omitted_bytes"));
                }
                _ => {}
            }
        }
        prop_assert_eq!(kept + gaps, produced);
        prop_assert_eq!(summary.recorded.bytes, kept);
        // Without an account nothing was left out, only lost; with one, its gaps are no more than it says.
        let account = account.unwrap_or_default();
        prop_assert!(told <= account && account <= gaps, "{told} {account} {gaps}");
        let lost = gaps - account;
        prop_assert!(summary.missing.bytes >= lost, "{:?} {lost}", summary.missing);
    }
}
