//! Whole recordings on the real clock, threads and disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_core::event::{End, Fact};
use hansard_core::policy::OnLoss;
use hansard_core::reader::Tail;
use hansard_core::verify::{Verdict, verify};
use hansard_core::{Body, Class, Fields, Part, Receipt, Sink, SinkError, Stream, Value};
use hansard_record::real_disk::RealDisk;
use hansard_record::{Cause, Count, Environment, FileSink, Lost, Options, Recorder};
use support::{TempDir, key, read_all, session};

fn open(path: &std::path::Path, options: Options) -> Recorder {
    let sink = FileSink::create(path, &RealDisk).unwrap();
    let session = session(1, OnLoss::Hold, 30_000);
    Recorder::open(
        session,
        key(),
        Box::new(sink),
        &Environment::real(),
        options,
    )
    .unwrap()
}

fn bytes_of(events: &[hansard_core::Event], wanted: Stream) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        if let Body::Data { stream, bytes } = &event.body
            && *stream == wanted
        {
            all.extend_from_slice(bytes);
        }
    }
    all
}

fn ended() -> End {
    End {
        reason: "exited".into(),
        exit_status: Some(0),
        signal: None,
    }
}

#[test]
fn every_byte_of_a_flood_arrives_in_order_from_several_threads() {
    let dir = TempDir::new("flood");
    let path = dir.path().join("a.hansard");
    let recorder = open(&path, Options::default());
    let threads: Vec<_> = [Stream::Stdout, Stream::Stderr]
        .into_iter()
        .map(|stream| {
            let recorder = recorder.clone();
            std::thread::spawn(move || {
                let mut all = Vec::new();
                for i in 0..20_000u32 {
                    let line = format!("{i} {:x}\n", i.wrapping_mul(2_654_435_761));
                    recorder.data(stream, line.as_bytes()).unwrap();
                    all.extend_from_slice(line.as_bytes());
                }
                let large = vec![b'x'; 300_000];
                recorder.data(stream, &large).unwrap();
                all.extend_from_slice(&large);
                (stream, all)
            })
        })
        .collect();
    let said: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let summary = recorder.close(ended()).unwrap();
    let stored = std::fs::read(&path).unwrap();
    let report = verify(stored.as_slice()).unwrap();
    assert_eq!(report.verdict, Verdict::Complete);
    let (events, _) = read_all(&stored);
    for (stream, bytes) in &said {
        assert!(bytes_of(&events, *stream) == *bytes, "{stream:?} differs");
    }
    let bytes = said.iter().map(|(_, b)| b.len() as u64).sum::<u64>();
    assert_eq!(summary.produced.bytes, bytes);
    assert_eq!(summary.recorded, summary.produced);
    assert_eq!(summary.missing, Count::default());
    assert_eq!(summary.stored_bytes, stored.len() as u64);
}

#[test]
fn nothing_follows_the_end() {
    let dir = TempDir::new("closed");
    let recorder = open(&dir.path().join("a.hansard"), Options::default());
    recorder
        .event(Body::Mark {
            label: "here".into(),
        })
        .unwrap();
    recorder.close(ended()).unwrap();
    assert_eq!(
        recorder.data(Stream::Output, b"x").unwrap_err().cause,
        Cause::Closed
    );
    assert_eq!(recorder.close(ended()).unwrap_err().cause, Cause::Closed);
}

#[test]
fn an_event_that_nobody_could_read_and_a_reason_without_end_cost_nothing_else() {
    let dir = TempDir::new("unreadable");
    let path = dir.path().join("a.hansard");
    let recorder = open(&path, Options::default());
    recorder.data(Stream::Output, b"before").unwrap();
    let argv = Value::List(vec![Value::from(""); 5000]);
    let fact = Fact {
        event: "session.command".into(),
        fields: Fields::new().with("argv", argv),
    };
    recorder.event(Body::Command(fact)).unwrap();
    recorder.data(Stream::Output, b" after").unwrap();
    let reason = "é".repeat(1 << 20);
    let end = End {
        reason: reason.clone(),
        signal: Some(reason.clone()),
        ..ended()
    };
    recorder.close(end).unwrap();
    let stored = std::fs::read(&path).unwrap();
    assert_eq!(
        verify(stored.as_slice()).unwrap().verdict,
        Verdict::Complete
    );
    let (events, tail) = read_all(&stored);
    assert_eq!(tail, Tail::Complete);
    assert_eq!(bytes_of(&events, Stream::Output), b"before after");
    let gap = events.iter().find_map(|event| match &event.body {
        Body::Gap(gap) => Some(gap),
        _ => None,
    });
    let gap = gap.unwrap();
    assert!(gap.cause.contains("no reader takes"), "{}", gap.cause);
    assert_eq!(gap.events, Some(1));
    let Some(Body::End(end)) = events.last().map(|event| &event.body) else {
        panic!("{:?}", events.last());
    };
    assert!(reason.starts_with(&end.reason) && end.reason.len() > 1000);
}

#[test]
fn a_dropped_recorder_leaves_an_unfinished_but_durable_tail() {
    let dir = TempDir::new("dropped");
    let path = dir.path().join("a.hansard");
    let recorder = open(&path, Options::default());
    recorder.data(Stream::Output, b"last words").unwrap();
    drop(recorder);
    let (events, tail) = read_all(&std::fs::read(&path).unwrap());
    assert_eq!(bytes_of(&events, Stream::Output), b"last words");
    assert_eq!(tail, Tail::Unsealed);
}

#[test]
fn what_is_flushed_can_be_read_at_once_and_the_rest_within_the_bound() {
    let dir = TempDir::new("flushed");
    let path = dir.path().join("a.hansard");
    let recorder = open(&path, Options::default());
    recorder.data(Stream::Output, b"one").unwrap();
    recorder.flush().unwrap();
    let (events, _) = read_all(&std::fs::read(&path).unwrap());
    assert_eq!(bytes_of(&events, Stream::Output), b"one");

    // Within a second; a busy machine is given several chances to show it.
    let mut written = b"one".to_vec();
    let is_in_time = (0..10).any(|_| {
        let begun = Instant::now();
        recorder.data(Stream::Output, b" two").unwrap();
        written.extend_from_slice(b" two");
        loop {
            let (events, _) = read_all(&std::fs::read(&path).unwrap());
            if bytes_of(&events, Stream::Output) == written {
                return begun.elapsed() < Duration::from_secs(3);
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it is lost");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert!(is_in_time, "two seconds late, each time");
    recorder.close(ended()).unwrap();
}

#[test]
fn an_existing_file_is_never_written_over() {
    let dir = TempDir::new("existing");
    let path = dir.path().join("a.hansard");
    std::fs::write(&path, b"evidence").unwrap();
    let error = FileSink::create(&path, &RealDisk).err().expect("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"evidence");
}

#[test]
fn handles_can_be_shared_between_threads() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Recorder>();
    is_shared::<Arc<Recorder>>();
}

/// A sink that takes the header and then never answers again, or panics.
struct Bad {
    puts: u32,
    hang: Option<std::sync::mpsc::Receiver<()>>,
}

impl Sink for Bad {
    fn put(&mut self, _: &[Part]) -> Result<Receipt, SinkError> {
        self.puts += 1;
        match (&self.hang, self.puts) {
            (_, 1) => Ok(Receipt { class: Class::L }),
            (Some(hang), _) => match hang.recv() {
                Ok(()) | Err(_) => Err(SinkError::Refused("gone".into())),
            },
            (None, _) => panic!("on purpose"),
        }
    }
}

fn until_lost(recorder: &Recorder) -> Lost {
    loop {
        if let Err(lost) = recorder.data(Stream::Output, &[b'x'; 10_000]) {
            return lost;
        }
    }
}

#[test]
fn a_sink_that_hangs_does_not_hang_the_session() {
    // A busy machine is given several chances to be quick.
    assert!((0..5).any(|_| with_a_sink_that_hangs() < Duration::from_secs(4)));
}

/// How long it took until nobody waited any more.
fn with_a_sink_that_hangs() -> Duration {
    let (release, hang) = std::sync::mpsc::channel();
    let sink = Box::new(Bad {
        puts: 0,
        hang: Some(hang),
    });
    let session = session(1, OnLoss::Hold, 300);
    let env = Environment::real();
    let recorder = Recorder::open(session, key(), sink, &env, Options::default()).unwrap();
    let begun = Instant::now();
    let lost = until_lost(&recorder);
    assert_eq!(lost.cause, Cause::HeldTooLong);
    assert!(lost.detail.contains("no answer"), "{lost}");
    assert!(lost.missing.bytes > 100_000, "{lost}");
    assert_eq!(recorder.flush().unwrap_err().cause, Cause::HeldTooLong);
    drop(recorder);
    let took = begun.elapsed();
    drop(release);
    took
}

#[test]
fn a_panic_in_the_recorders_thread_is_a_loss_and_no_hang() {
    let sink = Box::new(Bad {
        puts: 0,
        hang: None,
    });
    let session = session(1, OnLoss::Hold, 60_000);
    let env = Environment::real();
    let recorder = Recorder::open(session, key(), sink, &env, Options::default()).unwrap();
    assert_eq!(until_lost(&recorder).cause, Cause::Broken);
    assert_eq!(recorder.close(ended()).unwrap_err().cause, Cause::Broken);
}
