//! A session in the archive, read at any place.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::Read as _;
use std::sync::Arc;

use hansard_core::reader::{Item, Reader};
use hansard_core::verify::{Verdict, verify};
use hansard_store::archive::SessionSource;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::fault::Faults;
use hansard_store::{Archive, ArchiveOptions, BlobStore as _, Catalog as _, SealedSegment};
use hansard_view::source::{Cursor, ReadAt as _};
use support::{bytes_of, id, recording};

struct Kept {
    blobs: MemoryBlobs,
    catalog: MemoryCatalog,
    archive: Arc<Archive>,
}

/// Each segment in a pack of its own.
fn kept(segments: &[SealedSegment]) -> Kept {
    let faults = Faults::new();
    let (blobs, catalog) = (
        MemoryBlobs::new(faults.clone()),
        MemoryCatalog::new(faults.clone()),
    );
    let options = ArchiveOptions::default();
    let archive = Archive::new(Arc::new(blobs.clone()), Arc::new(catalog.clone()), options);
    for segment in segments {
        archive.put(std::slice::from_ref(segment), 0);
        archive.flush();
    }
    Kept {
        blobs,
        catalog,
        archive: Arc::new(archive),
    }
}

fn whole(source: &Arc<SessionSource>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut cursor = Cursor::new(source.clone(), 0);
    cursor.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn it_is_the_recording_at_every_place_and_nothing_behind_it() {
    let segments = recording(1, 9);
    let kept = kept(&segments);
    let session = segments[0].facts().session;
    let source = Arc::new(kept.archive.source(session).unwrap().unwrap());
    let bytes = bytes_of(&segments);
    assert_eq!(source.len().unwrap(), bytes.len() as u64);
    assert_eq!(whole(&source), bytes);
    // Back and forth, so that segments go and come again.
    for turn in 0..500 {
        let at = support::mix(turn) as usize % bytes.len();
        let mut buffer = [0; 40];
        let read = source.read_at(&mut buffer, at as u64).unwrap();
        assert!(read > 0, "at {at}");
        assert_eq!(buffer[..read], bytes[at..at + read], "at {at}");
    }
    let mut buffer = [0; 4];
    for behind in [bytes.len() as u64, u64::MAX] {
        assert_eq!(source.read_at(&mut buffer, behind).unwrap(), 0);
    }
}

#[test]
fn one_that_goes_on_or_is_unknown_is_none() {
    let segments = recording(1, 5);
    let kept = kept(&segments[..4]);
    let session = segments[0].facts().session;
    assert!(kept.archive.source(session).unwrap().is_none());
    kept.archive.put(&segments[4..], 0);
    kept.archive.flush();
    assert!(kept.archive.source(session).unwrap().is_some());
    assert!(kept.archive.source(id(77)).unwrap().is_none());
}

#[test]
fn a_last_segment_that_is_lost_is_damage_and_no_torn_tail() {
    let segments = recording(1, 6);
    let kept = kept(&segments);
    let session = segments[0].facts().session;
    for number in [5, 4] {
        let row = kept.catalog.segments(session, number, 1).unwrap().remove(0);
        kept.blobs.delete(&row.place.blob).unwrap();
        let source = Arc::new(kept.archive.source(session).unwrap().unwrap());
        let report = verify(Cursor::new(source, 0)).unwrap();
        assert_eq!(report.verdict, Verdict::Damaged, "without segment {number}");
        assert_eq!(report.segments, u64::from(number));
    }
}

#[test]
fn what_is_behind_a_lost_or_damaged_segment_stays_in_its_place() {
    for lost in [false, true] {
        let segments = recording(1, 6);
        let kept = kept(&segments);
        let session = segments[0].facts().session;
        let place = kept
            .catalog
            .segments(session, 2, 1)
            .unwrap()
            .remove(0)
            .place;
        match lost {
            true => kept.blobs.delete(&place.blob).unwrap(),
            false => kept.blobs.rot(&place.blob, place.offset as usize + 200, 0),
        }
        let source = Arc::new(kept.archive.source(session).unwrap().unwrap());
        let (found, bytes) = (whole(&source), bytes_of(&segments));
        assert_eq!(found.len(), bytes.len());
        let before: usize = segments[..2].iter().map(|s| s.bytes().len()).sum();
        let behind = before + segments[2].bytes().len();
        assert_eq!(found[..before], bytes[..before]);
        assert_eq!(found[behind..], bytes[behind..]);
        assert_ne!(found[before..behind], bytes[before..behind]);
        // Whoever reads it is told of the damage, and of everything else.
        let mut reader = Reader::new(Cursor::new(source, 0));
        let (mut seen, mut damages) = (Vec::new(), 0);
        loop {
            match reader.next_item().unwrap() {
                Item::Frame(frame) => seen.push(frame.segment),
                Item::Damage(_) => damages += 1,
                Item::Seal(_) => {}
                Item::End(_) => break,
            }
        }
        seen.dedup();
        assert!(damages > 0);
        for segment in [0, 1, 3, 4, 5] {
            assert!(seen.contains(&segment), "{segment} of {seen:?}");
        }
    }
}
