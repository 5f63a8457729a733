//! Rules of the configuration, a clock that jumps, and the events that tell.

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Policy, SessionId, Value};
use hansard_record::sim::SimClock;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::project::Projector;
use hansard_store::{Archive, ArchiveOptions, SealedSegment};
use hansard_view::document::catalogue;

use super::*;
use crate::config::Span;
use crate::eventlog::day::DAY_NS;

const NOON: u64 = 1_795_262_400_000_000_000;

fn keep(archive: &Archive, number: u8, labels: &[&str]) {
    keep_of(archive, number, labels, NOON);
}

fn keep_of(archive: &Archive, number: u8, labels: &[&str], start_utc_ns: u64) {
    let key = SigningKey::from_seed([number; 32]);
    let labels = labels.iter().map(|label| Value::from(*label)).collect();
    let session = Session {
        id: SessionId::from_bytes([number; 16]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", format!("user-{number}")),
        origin: Fields::new(),
        target: Fields::new()
            .with("server_hostname", "host-1")
            .with("server_labels", Value::List(labels)),
        start_utc_ns,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "test".to_owned(),
    };
    let mut writer = SegmentWriter::new(session, key, Bounds::default()).unwrap();
    writer.finish(5, &End::default()).unwrap();
    let segment = SealedSegment::from_parts(&writer.parts()).unwrap();
    assert!(archive.put(&[segment], 0).receipts[0].is_ok());
}

#[test]
fn a_clock_that_jumps_deletes_nothing_and_time_does() {
    let clock = SimClock::new(NOON);
    let (blobs, catalog) = (
        Arc::new(MemoryBlobs::default()),
        Arc::new(MemoryCatalog::default()),
    );
    let archive = Archive::new(blobs.clone(), catalog.clone(), ArchiveOptions::default());
    keep(&archive, 1, &["env=prod", "role=db"]);
    keep(&archive, 2, &["env=test"]);
    Projector::new(blobs.clone(), catalog.clone())
        .run_all()
        .unwrap();
    let mut rules = vec![Configured::default(), Configured::default()];
    rules[0].labels.insert("env".to_owned(), "prod".to_owned());
    rules[0].labels.insert("role".to_owned(), "db".to_owned());
    rules[0].keep = Span::days(300);
    rules[1].keep = Span::days(30);

    let mut retention = Retention::new(blobs, catalog.clone(), Arc::new(clock.clone()));
    let mut told = Vec::new();
    let mut run = |told: &mut Vec<Body>| {
        let done = retention.run(&rules, &mut |body| {
            told.push(body);
            Ok(())
        });
        done.unwrap().sessions
    };
    assert_eq!(run(&mut told), 0);
    // Ten years ahead, for an hour.
    clock.set_utc_ns(NOON + 3652 * DAY_NS);
    assert_eq!(run(&mut told), 0);
    clock.advance(DAY_NS / 24);
    assert_eq!(run(&mut told), 0);
    clock.set_utc_ns(NOON + DAY_NS / 24);
    assert_eq!(run(&mut told), 0);
    for _ in 0..28 {
        clock.advance(DAY_NS);
        assert_eq!(run(&mut told), 0);
    }
    clock.advance(3 * DAY_NS - 1);
    // Three days without a look are no jump: the monotonic clock has gone on, too.
    assert_eq!(run(&mut told), 1);
    let events: Vec<_> = told
        .iter()
        .map(|body| match body {
            Body::Admin(fact) => fact,
            other => panic!("{other:?}"),
        })
        .collect();
    let names: Vec<&str> = events.iter().map(|fact| fact.event.as_str()).collect();
    assert_eq!(
        names,
        ["retention.paused", "retention.paused", "recording.deleted"]
    );
    for fact in &events {
        let row = catalogue::find(&fact.event).unwrap();
        for (name, _) in fact.fields.iter() {
            assert!(row.field(name).is_some(), "{} {name}", fact.event);
        }
    }
    let deleted = &events[2].fields;
    assert_eq!(deleted.text("owner"), Some("user-2"));
    assert_eq!(deleted.text("rule"), Some("retention rule 2"));
    assert_eq!(deleted.text("session_start"), Some("2026-11-21T12:00:00Z"));
    assert_eq!(deleted.text("digest").map(str::len), Some(64));
    let tombstone = archive.tombstone(SessionId::from_bytes([2; 16])).unwrap();
    assert_eq!(tombstone.unwrap().burial.by, "retention rule 2");
}

/// One host whose clock is ten years ahead.
#[test]
fn a_recording_that_is_dated_into_the_future_stops_no_rule() {
    let clock = SimClock::new(NOON);
    let (blobs, catalog) = (
        Arc::new(MemoryBlobs::default()),
        Arc::new(MemoryCatalog::default()),
    );
    let archive = Archive::new(blobs.clone(), catalog.clone(), ArchiveOptions::default());
    keep(&archive, 1, &[]);
    keep_of(&archive, 2, &[], NOON + 3652 * DAY_NS);
    Projector::new(blobs.clone(), catalog.clone())
        .run_all()
        .unwrap();
    let mut rules = vec![Configured::default()];
    rules[0].keep = Span::days(3);
    let mut told = 0;
    // Each time as at a start.
    let mut run = |clock: &SimClock| {
        let mut retention = Retention::new(blobs.clone(), catalog.clone(), Arc::new(clock.clone()));
        let done = retention.run(&rules, &mut |_| {
            told += 1;
            Ok(())
        });
        done.unwrap().sessions
    };
    assert_eq!(run(&clock), 0);
    clock.advance(6 * DAY_NS);
    assert_eq!(run(&clock), 1);
    assert_eq!(told, 1);
}
