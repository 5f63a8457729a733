//! Packs in no order, in rounds, forked, with losses and damage: the catalog comes out the same.

use hansard_core::event::{End, Stream};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Policy};

use super::*;
use crate::blob::memory::MemoryBlobs;
use crate::catalog::memory::MemoryCatalog;
use crate::pack::PackBuilder;

/// A session of four segments; `branch` differs from segment `fork` on.
fn session(number: u8, fork: u8, branch: u8) -> Vec<SealedSegment> {
    let key = SigningKey::from_seed([number; 32]);
    let header = Session {
        id: SessionId::from_bytes([number; 16]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 0,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "test".to_owned(),
    };
    let bounds = Bounds {
        segment_ns: 10,
        ..Bounds::default()
    };
    let mut writer = SegmentWriter::new(header, key, bounds).unwrap();
    for segment in 0..3u8 {
        let byte = if segment >= fork { branch } else { 0 };
        let at = u64::from(segment) * 10;
        writer.push_data(at, Stream::Output, &[byte]).unwrap();
        writer.cut().unwrap();
        writer.tick(at + 10).unwrap();
    }
    writer.finish(31, &End::default()).unwrap();
    let parts = writer.parts();
    let segments = parts.chunk_by(|a, b| a.segment() == b.segment());
    let segments: Vec<_> = segments
        .map(|p| SealedSegment::from_parts(p).unwrap())
        .collect();
    assert_eq!(segments.len(), 4);
    segments
}

fn put(blobs: &MemoryBlobs, segments: &[SealedSegment]) -> BlobName {
    let mut builder = PackBuilder::default();
    segments.iter().for_each(|segment| builder.push(segment));
    let pack = builder.finish();
    let name = pack.name().unwrap();
    blobs.put(&name, pack.bytes()).unwrap();
    name
}

fn run(blobs: &MemoryBlobs, anew: bool, entries_max: usize) -> (Adopted, MemoryCatalog) {
    let catalog = MemoryCatalog::default();
    let adopted = Adoption::new(blobs, &catalog, anew, entries_max)
        .run()
        .unwrap();
    (adopted, catalog)
}

fn contents(catalog: &MemoryCatalog, number: u8) -> Vec<Digest> {
    let rows = catalog
        .segments(SessionId::from_bytes([number; 16]), 0, 100)
        .unwrap();
    rows.iter().map(|row| row.content).collect()
}

fn contents_of(segments: &[SealedSegment]) -> Vec<Digest> {
    segments
        .iter()
        .map(|segment| segment.facts().content)
        .collect()
}

#[test]
fn however_many_rounds_it_takes_the_result_is_the_same() {
    let blobs = MemoryBlobs::default();
    // Spread over packs, some in two of them, in no order.
    let all: Vec<SealedSegment> = (0..9).flat_map(|n| session(n, 9, 0)).collect();
    for n in 0..7 {
        let some: Vec<_> = all.iter().skip(n).step_by(5).rev().cloned().collect();
        put(&blobs, &some);
    }
    for anew in [false, true] {
        for entries_max in [1, 2, 3, 7, 1000] {
            let (adopted, catalog) = run(&blobs, anew, entries_max);
            assert_eq!((adopted.segments, adopted.packs), (36, 7), "{entries_max}");
            assert_eq!((adopted.quarantined, adopted.too_early), (0, 0));
            for n in 0..9 {
                assert_eq!(contents(&catalog, n), contents_of(&session(n, 9, 0)));
            }
        }
    }
}

#[test]
fn of_a_fork_the_branch_that_goes_on_is_taken_and_the_other_is_an_alarm() {
    for branch in 1..=8 {
        let blobs = MemoryBlobs::default();
        let (main, fork) = (session(1, 9, 0), session(1, 2, branch));
        put(&blobs, &main);
        put(&blobs, &fork[2..3]);
        let (adopted, catalog) = run(&blobs, true, 1000);
        assert_eq!(contents(&catalog, 1), contents_of(&main), "branch {branch}");
        assert_eq!((adopted.segments, adopted.quarantined), (4, 1));
        assert_eq!(adopted.alarms[0].kind, AlarmKind::Fork);
        let aside = catalog.quarantined(None, 10).unwrap();
        assert!(
            aside[0]
                .what
                .ends_with(&format!("{}/2", adopted.alarms[0].session))
        );
    }
}

#[test]
fn what_follows_a_loss_waits_for_its_sender_or_is_taken_when_building_anew() {
    let blobs = MemoryBlobs::default();
    let segments = session(1, 9, 0);
    put(&blobs, &segments[..1]);
    put(&blobs, &segments[2..]);
    let (adopted, catalog) = run(&blobs, false, 1000);
    assert_eq!((adopted.segments, adopted.too_early), (1, 2));
    assert_eq!(contents(&catalog, 1), contents_of(&segments[..1]));
    assert!(catalog.quarantined(None, 10).unwrap().is_empty());
    let (adopted, catalog) = run(&blobs, true, 1000);
    assert_eq!((adopted.segments, adopted.after_loss), (3, 1));
    assert_eq!(contents(&catalog, 1).len(), 3);
}

#[test]
fn a_damaged_copy_gives_way_to_a_sound_one() {
    let blobs = MemoryBlobs::default();
    let segments = session(1, 9, 0);
    let names = [put(&blobs, &segments), put(&blobs, &segments[1..3])];
    for name in names {
        let blobs = {
            let copy = MemoryBlobs::default();
            for listed in blobs.list("pack", None, 10).unwrap() {
                let bytes = blobs.read(&listed.name, 0..listed.bytes).unwrap();
                copy.put(&listed.name, &bytes).unwrap();
            }
            let entries = read_table(&copy, &name).unwrap();
            let entry = entries.iter().find(|e| e.number == 1).unwrap();
            copy.rot(&name, usize::try_from(entry.offset + 90).unwrap(), 2);
            copy
        };
        let (adopted, catalog) = run(&blobs, true, 1000);
        assert_eq!(contents(&catalog, 1), contents_of(&segments));
        assert_eq!((adopted.segments, adopted.after_loss), (4, 0));
    }
}
