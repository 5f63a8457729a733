//! Files of a spool that a few parts pin: the parts are written again, the files go, and whoever reads
//! notices nothing. (What a loss of power leaves of it is tried in `power_loss.rs`.)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hansard_core::policy::OnLoss;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Part, SessionId, Sink, SinkError, Stream};
use hansard_record::order::Spot;
use hansard_record::sim::{Rng, SimDisk};
use hansard_record::spool::Pending;
use hansard_record::{Spool, SpoolOptions};
use support::{key, session};

fn open(disk: &SimDisk, bytes_max: u64) -> Spool {
    let options = SpoolOptions {
        bytes_max,
        ..SpoolOptions::default()
    };
    Spool::open(Path::new("/spool"), Arc::new(disk.clone()), options).unwrap()
}

/// A session's parts: sealed segments of about 4 KiB, and a tail of two frames that has no seal.
fn parts_of(number: u16, segments: u64) -> Vec<Part> {
    let mut rng = Rng::new(u64::from(number));
    let bounds = Bounds {
        segment_bytes: 4096,
        ..Bounds::default()
    };
    let mut writer = SegmentWriter::new(session(number, OnLoss::Hold, 0), key(), bounds).unwrap();
    let mut noise =
        |bytes: usize| -> Vec<u8> { (0..bytes).map(|_| rng.next_u64() as u8).collect() };
    for at in 0..segments {
        writer.push_data(at, Stream::Output, &noise(4200)).unwrap();
        writer.cut().unwrap();
    }
    for at in 0..2 {
        writer
            .push_data(segments + at, Stream::Output, &noise(60))
            .unwrap();
        writer.cut().unwrap();
    }
    let parts = writer.parts();
    assert!(matches!(parts.last(), Some(Part::Frame(_))));
    parts
}

fn name(part: &Part) -> (SessionId, Spot) {
    (part.session(), Spot::of(part))
}

/// What is not in the last segment is sealed, and released as soon as it is archived.
fn split(parts: &[Part]) -> (Vec<(SessionId, Spot)>, Vec<Part>) {
    let last = parts.last().unwrap().segment();
    let (sealed, tail): (Vec<_>, Vec<_>) = parts.iter().partition(|p| p.segment() < last);
    let sealed = sealed.into_iter().map(name).collect();
    (sealed, tail.into_iter().cloned().collect())
}

/// Every part of a spool in the order in which it is read, by session.
fn content(spool: &Spool) -> BTreeMap<SessionId, Vec<Part>> {
    let mut content: BTreeMap<SessionId, Vec<Part>> = BTreeMap::new();
    for pending in spool.pending(None, usize::MAX) {
        let part = spool.read(&pending).unwrap();
        content.entry(pending.session).or_default().push(part);
    }
    content
}

/// Two thousand sessions that died or are idle, each with a tail that nobody may forget, and each in
/// another place of what went through the spool.
#[test]
fn two_thousand_pinned_tails_do_not_fill_a_spool() {
    const SESSIONS: u16 = 2000;
    let (disk, bytes_max) = (SimDisk::new(1), 8 << 20);
    let mut spool = open(&disk, bytes_max);
    let (mut written, mut tails, mut released) = (0, BTreeMap::new(), Vec::new());
    for number in 0..SESSIONS {
        let parts = parts_of(number, 5);
        written += parts.iter().map(|p| p.bytes().len() as u64).sum::<u64>();
        let put = spool.put(&parts);
        put.unwrap_or_else(|e| panic!("session {number}: {e:?}, {:?}", spool.usage()));
        let (sealed, tail) = split(&parts);
        spool.forget(&sealed);
        released.extend(sealed);
        tails.insert(tail[0].session(), tail);
    }
    let usage = spool.usage();
    assert!(written > 4 * bytes_max, "{written} bytes went through it");
    assert!(usage.bytes < bytes_max / 4 * 3, "{usage:?}");
    assert!(
        usage.moved_bytes > 0 && usage.moved_bytes < written / 4,
        "{usage:?}"
    );
    assert!(content(&spool) == tails);

    // The next start finds the same, though it knows nothing of what was moved, besides what was
    // released and lies in a file that is needed. So it does when power was lost.
    drop(spool);
    let powerless = disk.after_power_loss(7);
    for disk in [&powerless, &disk] {
        let spool = open(disk, bytes_max);
        assert!(spool.damage().is_empty());
        let found = content(&spool);
        for (session, tail) in &tails {
            assert!(found[session].ends_with(tail), "{session}");
        }
    }
    let mut spool = open(&disk, bytes_max);
    spool.forget(&released);
    assert!(content(&spool) == tails);
    tails
        .values()
        .for_each(|tail| assert!(spool.put(tail).is_ok()));
    let names: Vec<_> = tails.values().flatten().map(name).collect();
    spool.forget(&names);
    assert_eq!((spool.usage().parts, spool.usage().pending_bytes), (0, 0));
}

/// Somebody who reads on meanwhile gets each part once, in the order of its session.
#[test]
fn a_reader_is_where_it_was() {
    let disk = SimDisk::new(2);
    let mut spool = open(&disk, 2 << 20);
    let mut read: BTreeMap<SessionId, Vec<Spot>> = BTreeMap::new();
    let mut after: Option<Pending> = None;
    let mut wanted: BTreeMap<SessionId, Vec<Spot>> = BTreeMap::new();
    for number in 0..400 {
        let parts = parts_of(number, 3);
        spool.put(&parts).unwrap();
        wanted.insert(parts[0].session(), parts.iter().map(Spot::of).collect());
        // It is behind: what it reads now was put sessions ago, and some of it was moved since.
        let behind = spool.pending(after.as_ref(), 4);
        for pending in &behind {
            assert_eq!(name(&spool.read(pending).unwrap()).1, pending.spot);
            read.entry(pending.session).or_default().push(pending.spot);
        }
        after = behind.last().copied().or(after);
        if number % 4 == 3 {
            continue;
        }
        let (sealed, _) = split(&parts);
        wanted
            .get_mut(&parts[0].session())
            .unwrap()
            .retain(|spot| !sealed.contains(&(parts[0].session(), *spot)));
        spool.forget(&sealed);
        // So that there is room for all that stays.
        if let Some(old) = number.checked_sub(40).filter(|old| old % 4 == 3) {
            let all = parts_of(old, 3);
            let is_read = read.contains_key(&all[0].session());
            let names: Vec<_> = all.iter().map(name).collect();
            if is_read {
                spool.forget(&names);
                wanted.remove(&all[0].session());
                read.remove(&all[0].session());
            }
        }
    }
    for pending in spool.pending(after.as_ref(), usize::MAX) {
        read.entry(pending.session).or_default().push(pending.spot);
    }
    assert!(spool.usage().moved_bytes > 0);
    for (session, spots) in &wanted {
        let read = &read[session];
        assert!(read.is_sorted_by(|a, b| a < b), "{session}: {read:?}");
        let all = spots.iter().all(|spot| read.contains(spot));
        assert!(all, "{session}: {read:?} without some of {spots:?}");
    }
}

/// A spool that was filled before it knew how to make room, with a file for each tail.
#[test]
fn a_spool_that_is_full_of_pinned_files_takes_parts_again() {
    let disk = SimDisk::new(3);
    let (mut tails, mut released, ample) = (BTreeMap::new(), Vec::new(), 1 << 30);
    let options = SpoolOptions {
        bytes_max: ample,
        file_bytes_max: 30_000,
        ..SpoolOptions::default()
    };
    let opened = Spool::open(Path::new("/spool"), Arc::new(disk.clone()), options);
    let mut spool = opened.unwrap();
    for number in 0..40 {
        let parts = parts_of(number, 6);
        spool.put(&parts).unwrap();
        let (sealed, tail) = split(&parts);
        spool.forget(&sealed);
        released.extend(sealed);
        tails.insert(tail[0].session(), tail);
    }
    let full = spool.usage().bytes;
    assert!(full > 40 * 20_000, "it had no reason to make room: {full}");
    drop(spool);
    let mut spool = open(&disk, full);
    let new = parts_of(100, 6);
    // What was released has come back, as after every start, and is released again.
    spool.forget(&released);
    assert!(spool.usage().pending_bytes < full / 20);
    spool.put(&new).unwrap();
    assert!(spool.usage().bytes < full);
    tails.insert(new[0].session(), new);
    assert!(content(&spool) == tails);
}

/// What cannot be read any more is not moved and not lost sight of; other files go all the same.
#[test]
fn a_file_that_is_damaged_is_left_alone() {
    let disk = SimDisk::new(4);
    let mut spool = open(&disk, 1 << 20);
    let first = parts_of(0, 5);
    spool.put(&first).unwrap();
    let (sealed, tail) = split(&first);
    spool.forget(&sealed);
    let path = Path::new("/spool/spool-0000000001");
    let at = disk.content(path).unwrap().len() - 20;
    disk.rot(path, at, 3);
    for number in 1..300 {
        let parts = parts_of(number, 5);
        spool.put(&parts).unwrap();
        spool.forget(&split(&parts).0);
    }
    let pinned = spool.pending_of(tail[0].session(), None, 10);
    assert_eq!(pinned.len(), tail.len());
    let read = spool.read(pinned.last().unwrap());
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    assert!(disk.content(path).is_some(), "it is evidence of a loss");
    assert!(
        spool.usage().bytes < (1 << 20) / 4 * 3,
        "{:?}",
        spool.usage()
    );
}

/// A spool of a size that nobody would give it works, too: whatever is released makes room.
#[test]
fn a_tiny_spool_is_never_full_for_ever() {
    for bytes_max in [40_000, 100_000, 1 << 20] {
        let disk = SimDisk::new(5);
        let mut spool = open(&disk, bytes_max);
        let (mut number, mut was_full) = (0, 0);
        let mut held: Vec<Vec<Part>> = Vec::new();
        while was_full < 20 {
            let parts = parts_of(number, 2);
            match spool.put(&parts) {
                Ok(_) => {
                    number += 1;
                    held.push(parts);
                }
                Err(SinkError::Retry(_)) => {
                    was_full += 1;
                    assert!(!held.is_empty(), "{bytes_max}: full, and nothing is in it");
                    let gone = held.drain(..).flatten().map(|part| name(&part));
                    spool.forget(&gone.collect::<Vec<_>>());
                }
                Err(e) => panic!("{bytes_max}: {e:?}"),
            }
        }
    }
    // What could never fit is not waited for.
    let refused = open(&SimDisk::new(6), 2_000).put(&parts_of(0, 2));
    assert!(matches!(refused, Err(SinkError::Refused(_))), "{refused:?}");
}
