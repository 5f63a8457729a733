//! The archive: receipts, packs, alarms, threads, adoption, and reading back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::Read;
use std::sync::Arc;

use hansard_core::frame::{Frame, Part};
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::SigningKey;
use hansard_core::verify::Verdict;
use hansard_core::{Class, Seal};
use hansard_store::archive::Put;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::fault::{Fault, Faults};
use hansard_store::reindex::adopt;
use hansard_store::segment::Unfit;
use hansard_store::{
    AlarmKind, Archive, ArchiveError, ArchiveOptions, BlobName, BlobStore, Catalog, SealedSegment,
};
use support::{bytes_of, forked, recording, signed};

const NONE: u32 = u32::MAX;

/// An archive in memory, and its stores.
struct Fixture {
    blobs: MemoryBlobs,
    catalog: MemoryCatalog,
    faults: Faults,
    archive: Archive,
}

fn fixture() -> Fixture {
    let faults = Faults::new();
    let (blobs, catalog) = (
        MemoryBlobs::new(faults.clone()),
        MemoryCatalog::new(faults.clone()),
    );
    let options = ArchiveOptions {
        pack_bytes: 100_000,
        pack_age_ns: 1000,
    };
    let archive = Archive::new(Arc::new(blobs.clone()), Arc::new(catalog.clone()), options);
    Fixture {
        blobs,
        catalog,
        faults,
        archive,
    }
}

impl Fixture {
    fn packs(&self) -> Vec<BlobName> {
        let listed = self.blobs.list("pack", None, 1000).unwrap();
        listed.into_iter().map(|listed| listed.name).collect()
    }

    /// The recording as it is archived.
    fn read(&self, segments: &[SealedSegment]) -> Vec<u8> {
        let session = segments[0].facts().session;
        let mut bytes = Vec::new();
        let mut reader = self.archive.open_session(session).unwrap().unwrap();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

fn classes(put: &Put) -> Vec<Option<Class>> {
    let class = |receipt: &Result<hansard_core::Receipt, ArchiveError>| {
        receipt.as_ref().ok().map(|receipt| receipt.class)
    };
    put.receipts.iter().map(class).collect()
}

fn alarm(put: &Put) -> AlarmKind {
    match &put.receipts[..] {
        [Err(ArchiveError::Conflict(alarm))] => alarm.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn segments_wait_in_a_pack_until_it_is_due_or_the_session_ends() {
    let f = fixture();
    let (one, two) = (recording(1, 6), recording(2, 4));
    assert_eq!(f.archive.due_ns(), None);
    assert_eq!(classes(&f.archive.put(&one[..2], 50)), [Some(Class::L); 2]);
    assert_eq!(classes(&f.archive.put(&two[..1], 60)), [Some(Class::L)]);
    assert_eq!(f.archive.due_ns(), Some(1050));
    assert!(f.archive.tick(1049).settled.is_empty());
    assert!(f.packs().is_empty());
    // Offered again while they wait: still class L, and not a second time in the pack.
    assert_eq!(classes(&f.archive.put(&one[..2], 70)), [Some(Class::L); 2]);

    let settled = f.archive.tick(1050).settled;
    assert_eq!(settled.len(), 3);
    assert!(settled.iter().all(|s| s.outcome.is_ok()));
    assert_eq!(
        (f.packs().len(), f.archive.waits().1, f.archive.due_ns()),
        (1, 0, None)
    );
    assert_eq!(
        classes(&f.archive.put(&one[..2], 1060)),
        [Some(Class::S); 2]
    );

    // The end of a session takes along what waits of others.
    assert_eq!(
        classes(&f.archive.put(&two[1..3], 2000)),
        [Some(Class::L); 2]
    );
    let put = f.archive.put(&one[2..], 2001);
    assert_eq!(classes(&put), [Some(Class::S); 4]);
    assert_eq!(put.flushed.settled.len(), 6);
    assert_eq!(f.packs().len(), 2);
    assert_eq!(classes(&f.archive.put(&two[3..], 2002)), [Some(Class::S)]);
    for session in [&one, &two] {
        assert_eq!(f.read(session), bytes_of(session));
    }
}

#[test]
fn a_pack_that_is_full_is_written() {
    let f = fixture();
    let options = ArchiveOptions {
        pack_bytes: 2000,
        ..ArchiveOptions::default()
    };
    let archive = Archive::new(
        Arc::new(f.blobs.clone()),
        Arc::new(f.catalog.clone()),
        options,
    );
    let segments = recording(1, 50);
    let put = archive.put(&segments[..49], 0);
    let full = classes(&put)
        .iter()
        .filter(|c| **c == Some(Class::S))
        .count();
    assert_eq!(full, put.flushed.settled.len());
    assert!(f.packs().len() > 5, "{} packs", f.packs().len());
    assert!(archive.waits().1 < 10);
    for name in f.packs() {
        assert!(f.blobs.size(&name).unwrap() < 6000);
    }
}

#[test]
fn a_fork_is_a_conflict_wherever_it_begins() {
    let f = fixture();
    let segments = recording(1, 6);
    f.archive.put(&segments[..4], 0);
    for settled in [false, true] {
        for fork in 0..4 {
            // Other events from there on: sealed by the right key, and not what is archived.
            let other = forked(1, 6, fork, 99);
            let offered = &other[fork as usize..=fork as usize];
            assert_eq!(alarm(&f.archive.put(offered, 0)), AlarmKind::Fork, "{fork}");
        }
        let other = forked(1, 6, 2, 99);
        let kind = alarm(&f.archive.put(&other[4..5], 0));
        assert_eq!(kind, AlarmKind::BrokenChain);
        if !settled {
            f.archive.flush();
        }
    }
    assert_eq!(
        classes(&f.archive.put(&segments[4..], 0)),
        [Some(Class::S); 2]
    );
    assert_eq!(f.read(&segments), bytes_of(&segments));
    // A session that ended goes on for nobody: this one is longer.
    let longer = recording(1, 8);
    assert_eq!(alarm(&f.archive.put(&longer[6..7], 0)), AlarmKind::AfterEnd);
}

#[test]
fn a_second_writer_is_a_conflict() {
    let f = fixture();
    let segments = recording(1, 6);
    f.archive.put(&segments[..2], 0);
    // The same header, sealed with another key from the beginning.
    let stranger = SigningKey::from_seed([9; 32]);
    let theirs = signed(1, 6, NONE, 0, &stranger);
    assert_eq!(
        alarm(&f.archive.put(&theirs[2..3], 0)),
        AlarmKind::SecondWriter
    );
    assert_eq!(alarm(&f.archive.put(&theirs[..1], 0)), AlarmKind::Fork);
    f.archive.flush();
    assert_eq!(
        alarm(&f.archive.put(&theirs[2..3], 0)),
        AlarmKind::SecondWriter
    );
    assert_eq!(f.read(&segments), bytes_of(&segments[..2]));
}

#[test]
fn a_recording_that_another_signed_than_its_header_names_is_a_conflict() {
    let mut session = support::header(1, &support::key(1));
    session.recorder_key = support::key(2).public();
    let bounds = hansard_core::writer::Bounds::default();
    let mut writer =
        hansard_core::writer::SegmentWriter::new(session, support::key(1), bounds).unwrap();
    writer
        .finish(1, &hansard_core::event::End::default())
        .unwrap();
    match SealedSegment::from_parts(&writer.parts()) {
        Err(Unfit::Alarm(alarm)) => assert_eq!(alarm.kind, AlarmKind::SecondWriter),
        other => panic!("{other:?}"),
    }
}

/// The parts of a segment, as they came from a recorder.
fn parts(segment: &SealedSegment) -> Vec<Part> {
    let (session, number) = (segment.facts().session, segment.facts().number);
    let mut reader = Reader::resume(segment.bytes(), 0);
    let mut parts = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) => {
                let from = frame.offset as usize;
                let bytes = segment.bytes()[from..from + frame.stored_bytes as usize].to_vec();
                parts.push(Part::Frame(Frame {
                    session,
                    segment: number,
                    index: frame.index,
                    bytes,
                }));
            }
            Item::Seal(seal) => {
                let bytes = segment.bytes()[seal.offset as usize..seal.end as usize].to_vec();
                parts.push(Part::Seal(Seal {
                    session,
                    segment: number,
                    bytes,
                }));
                return parts;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn old_bytes_offered_as_new_are_a_conflict() {
    let segments = recording(1, 3);
    let old = parts(&segments[1]);
    assert_eq!(SealedSegment::from_parts(&old).unwrap(), segments[1]);
    let claim = |session, segment| {
        let moved = old.iter().cloned().map(|part| match part {
            Part::Frame(frame) => Part::Frame(Frame {
                session,
                segment,
                ..frame
            }),
            Part::Seal(seal) => Part::Seal(Seal {
                session,
                segment,
                ..seal
            }),
        });
        SealedSegment::from_parts(&moved.collect::<Vec<_>>())
    };
    for (session, number) in [
        (segments[1].facts().session, 2),
        (support::id(5), 1),
        (support::id(5), 0),
    ] {
        match claim(session, number) {
            Err(Unfit::Alarm(alarm)) => {
                assert_eq!(alarm.kind, AlarmKind::Misplaced);
                assert_eq!((alarm.session, alarm.segment), (session, number));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_no_sound_segment_is_refused() {
    let segments = recording(1, 3);
    let good = segments[0].bytes();
    let two = bytes_of(&segments[..2]);
    let mut cases = vec![Vec::new(), b"not a recording".to_vec(), two];
    cases.extend((0..good.len()).map(|end| good[..end].to_vec()));
    for at in 0..good.len() {
        let mut flipped = good.to_vec();
        flipped[at] ^= 1 << (at % 8);
        cases.push(flipped);
    }
    for case in cases {
        match SealedSegment::from_bytes(case) {
            Err(Unfit::Malformed(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let all = parts(&segments[0]);
    for without in 0..all.len() {
        let mut some = all.clone();
        some.remove(without);
        assert!(SealedSegment::from_parts(&some).is_err());
    }
}

#[test]
fn a_segment_that_comes_too_early_is_asked_for_again() {
    let f = fixture();
    let segments = recording(1, 5);
    let put = f.archive.put(&segments[2..3], 0);
    assert!(matches!(put.receipts[..], [Err(ArchiveError::Retry(_))]));
    f.archive.put(&segments[..2], 0);
    assert_eq!(
        classes(&f.archive.put(&segments[2..], 0)),
        [Some(Class::S); 3]
    );
}

#[test]
fn what_follows_a_loss_is_taken_where_it_is_known_that_nobody_has_it() {
    let f = fixture();
    let segments = recording(1, 7);
    f.archive.put(&segments[..2], 0);
    f.archive.flush();
    let mut behind = segments[4].clone();
    behind.set_after_loss();
    f.archive.put(&[behind, segments[5].clone()], 0);
    let flushed = f.archive.flush();
    assert!(flushed.settled.iter().all(|s| s.outcome.is_ok()));
    assert_eq!(flushed.settled.len(), 2);
    let session = segments[0].facts().session;
    let rows = f.catalog.segments(session, 0, 10).unwrap();
    let numbers: Vec<(u32, bool)> = rows.iter().map(|r| (r.number, r.after_loss)).collect();
    assert_eq!(numbers, [(0, false), (1, false), (4, true), (5, false)]);
    // It is read as far as it is there, and is not whole.
    let read = f.read(&segments);
    assert!(read.ends_with(segments[5].bytes()) && read.starts_with(segments[0].bytes()));
    let report = f.archive.verify_session(session).unwrap().unwrap().report;
    assert_eq!((report.segments, report.damages_count), (4, 1));
    // What was given up is not taken any more, nor what is another's or of an earlier time.
    let late = f.archive.put(&segments[2..3], 0);
    assert!(matches!(late.receipts[..], [Err(ArchiveError::Refused(_))]));
    let mut early = recording(1, 40)[39].clone();
    early.set_after_loss();
    assert!(early.facts().number > 5);
    f.archive.put(&segments[6..], 0);
    assert_eq!(alarm(&f.archive.put(&[early], 0)), AlarmKind::AfterEnd);
}

#[test]
fn another_archive_over_the_same_catalog_is_noticed() {
    let f = fixture();
    let options = ArchiveOptions::default();
    let other = Archive::new(
        Arc::new(f.blobs.clone()),
        Arc::new(f.catalog.clone()),
        options,
    );
    let segments = recording(1, 9);
    f.archive.put(&segments[..2], 0);
    f.archive.flush();
    // The other goes on; what the first remembers is old, and does not stand in the way.
    other.put(&segments[2..4], 0);
    other.flush();
    assert_eq!(
        classes(&f.archive.put(&segments[4..6], 0)),
        [Some(Class::L); 2]
    );
    // Both have the same waiting: both settle it.
    other.put(&segments[4..6], 0);
    assert!(f.archive.flush().settled.iter().all(|s| s.outcome.is_ok()));
    assert!(other.flush().settled.iter().all(|s| s.outcome.is_ok()));
    // Of two that differ the first settled wins, and the other is an alarm.
    let branch = forked(1, 9, 6, 99);
    f.archive.put(&segments[6..8], 0);
    other.put(&branch[6..8], 0);
    assert!(f.archive.flush().settled.iter().all(|s| s.outcome.is_ok()));
    let lost = other.flush().settled;
    assert!(
        lost.iter()
            .all(|s| s.outcome.as_ref().is_err_and(|a| a.kind == AlarmKind::Fork))
    );
    assert_eq!(classes(&f.archive.put(&segments[8..], 0)), [Some(Class::S)]);
    assert_eq!(f.read(&segments), bytes_of(&segments));
}

#[test]
fn threads_share_packs_and_all_get_their_receipts() {
    let f = fixture();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let archive = &f.archive;
            scope.spawn(move || {
                for n in 0..12 {
                    let segments = recording(thread * 100 + n, 3);
                    let put = archive.put(&segments[..2], 0);
                    assert!(put.receipts.iter().all(Result::is_ok));
                    let put = archive.put(&segments[2..], 0);
                    assert_eq!(classes(&put), [Some(Class::S)]);
                }
            });
        }
    });
    for thread in 0..8u64 {
        for n in 0..12 {
            let segments = recording(thread * 100 + n, 3);
            assert_eq!(f.read(&segments), bytes_of(&segments));
        }
    }
}

#[test]
fn what_a_dead_sender_left_in_a_blob_is_adopted() {
    let f = fixture();
    let (one, two) = (recording(1, 4), recording(2, 3));
    f.archive.put(&one[..2], 0);
    f.archive.flush();
    // The pack is written, the heads are not advanced; service and sender die for good.
    f.archive.put(&one[2..3], 0);
    f.faults.go_down_at(4, Fault::Before);
    let put = f.archive.put(&two, 0);
    assert!(
        matches!(put.flushed.trouble, Some(ArchiveError::Retry(_))),
        "{put:?}"
    );
    assert_eq!(classes(&put), [Some(Class::L); 3]);
    f.faults.heal();
    assert_eq!(f.packs().len(), 2);
    assert!(
        f.archive
            .open_session(two[0].facts().session)
            .unwrap()
            .is_none()
    );

    let adopted = adopt(&f.blobs, &f.catalog).unwrap();
    assert_eq!(
        (adopted.packs, adopted.segments, adopted.quarantined),
        (1, 4, 0)
    );
    assert_eq!(f.read(&two), bytes_of(&two));
    assert_eq!(f.read(&one), bytes_of(&one[..3]));
    assert_eq!(adopt(&f.blobs, &f.catalog).unwrap().packs, 0);
    // The sender was not so dead after all.
    assert_eq!(classes(&f.archive.put(&two, 0)), [Some(Class::S); 3]);
    assert_eq!(classes(&f.archive.put(&one[3..], 0)), [Some(Class::S)]);
}

#[test]
fn a_blob_that_is_not_what_its_name_says_stands_in_nobodys_way() {
    let f = fixture();
    let segments = recording(1, 3);
    f.faults.go_down_at(4, Fault::Before);
    assert!(f.archive.put(&segments, 0).flushed.trouble.is_some());
    f.faults.heal();
    // The pack that was written rots before it is pointed to.
    f.blobs.rot(&f.packs()[0], 50, 3);
    let flushed = f.archive.flush();
    assert_eq!((flushed.settled.len(), flushed.trouble), (3, None));
    assert_eq!(f.packs().len(), 2);
    assert_eq!(f.read(&segments), bytes_of(&segments));
}

#[test]
fn too_much_that_waits_is_pushed_back() {
    let f = fixture();
    let options = ArchiveOptions {
        pack_bytes: 4 << 20,
        ..ArchiveOptions::default()
    };
    let archive = Archive::new(
        Arc::new(f.blobs.clone()),
        Arc::new(f.catalog.clone()),
        options,
    );
    let segment = |n: u64| {
        let key = support::key(n);
        let bounds = hansard_core::writer::Bounds {
            segment_bytes: 8 << 20,
            ..Default::default()
        };
        let session = support::header(n, &key);
        let mut writer = hansard_core::writer::SegmentWriter::new(session, key, bounds).unwrap();
        let noise: Vec<u8> = (0..6 << 17)
            .flat_map(|i| support::mix(n << 32 | i).to_le_bytes())
            .collect();
        writer
            .push_data(1, hansard_core::Stream::Output, &noise)
            .unwrap();
        writer
            .finish(2, &hansard_core::event::End::default())
            .unwrap();
        support::split(&writer.parts()).remove(0)
    };
    let mut offered = Vec::new();
    // Reading heads and tombstones succeeds, and writing blobs does not.
    for n in 0..14 {
        let segment = segment(n);
        f.faults.go_down_at(3, Fault::Before);
        let put = archive.put(std::slice::from_ref(&segment), 0);
        f.faults.heal();
        offered.push(segment);
        match &put.receipts[0] {
            Ok(receipt) => assert_eq!(receipt.class, Class::L),
            Err(ArchiveError::Retry(why)) => {
                assert!(n > 8 && why.contains("too much waits"), "{n}: {why}");
                assert!(archive.waits().0 < 72 << 20);
                // It passes: everything is written, and the rest is taken.
                assert_eq!(archive.flush().settled.len() as u64, n);
                assert_eq!(
                    classes(&archive.put(&offered[n as usize..], 0)),
                    [Some(Class::S)]
                );
                return;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("memory grows without a bound");
}

#[test]
fn a_damaged_or_lost_segment_costs_itself_only() {
    for lost in [false, true] {
        let f = fixture();
        let segments = recording(1, 6);
        for segment in &segments {
            f.archive.put(std::slice::from_ref(segment), 0);
            f.archive.flush();
        }
        let session = segments[0].facts().session;
        let report = f.archive.verify_session(session).unwrap().unwrap();
        assert!(report.is_intact());
        assert_eq!(report.report.verdict, Verdict::Complete);

        let place = f.catalog.segments(session, 2, 1).unwrap().remove(0).place;
        match lost {
            true => f.blobs.delete(&place.blob).unwrap(),
            false => f.blobs.rot(&place.blob, place.offset as usize + 200, 0),
        }
        let report = f.archive.verify_session(session).unwrap().unwrap();
        assert!(!report.is_intact());
        assert_eq!(report.report.verdict, Verdict::Damaged);
        assert_eq!(report.problems.len(), 1);
        assert_eq!(report.problems[0].segment, 2);
        assert_eq!(report.report.segments, 5);
        assert_eq!(report.report.head, Some(segments[5].facts().digest));
    }
}

#[test]
fn a_recording_that_ends_too_early_is_not_fresh() {
    let f = fixture();
    let segments = recording(1, 4);
    for segment in &segments {
        f.archive.put(std::slice::from_ref(segment), 0);
        f.archive.flush();
    }
    let session = segments[0].facts().session;
    let place = f.catalog.segments(session, 3, 1).unwrap().remove(0).place;
    f.blobs.delete(&place.blob).unwrap();
    let report = f.archive.verify_session(session).unwrap().unwrap();
    // What is left is sound in itself; only the catalog knows that there was more.
    assert_eq!(report.report.damages_count, 0);
    assert!(!report.is_intact());
    assert!(f.archive.verify_session(support::id(77)).unwrap().is_none());
}

/// Whoever can write the catalog can say that a session is another one's segments: each is sound.
#[test]
fn sessions_that_change_places_in_the_catalog_are_not_intact() {
    let f = fixture();
    let (asked, other) = (recording(1, 3), recording(2, 3));
    f.archive.put(&other, 0);
    f.archive.flush();
    let (asked, other) = (asked[0].facts().session, other[0].facts().session);
    let mut rows = f.catalog.segments(other, 0, 10).unwrap();
    rows.iter_mut().for_each(|row| row.session = asked);
    f.catalog.advance(&rows).unwrap();
    let report = f.archive.verify_session(asked).unwrap().unwrap();
    assert_eq!(report.report.verdict, Verdict::Complete);
    assert!(!report.is_intact());
    assert!(report.problems[0].what.contains(&other.to_string()));
}

#[test]
fn what_is_archived_while_a_session_is_checked_is_no_damage() {
    let f = fixture();
    let segments = recording(1, 4);
    let archive = |segment: &SealedSegment| {
        f.archive.put(std::slice::from_ref(segment), 0);
        f.archive.flush();
    };
    let session = segments[0].facts().session;
    segments[..2].iter().for_each(archive);
    // The head was asked for, and then more came.
    let newest = f.catalog.heads(&[session]).unwrap().remove(0).unwrap();
    segments[2..].iter().for_each(archive);
    let report = f.archive.verify_up_to(session, newest).unwrap().unwrap();
    assert!(report.is_intact());
    assert_eq!(report.report.verdict, Verdict::Unfinished);
    assert_eq!(report.report.segments, 2);
    let report = f.archive.verify_session(session).unwrap().unwrap();
    assert_eq!(report.report.verdict, Verdict::Complete);
}
