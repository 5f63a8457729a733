//! What is recalled of holds and deletions where a catalog is built anew: what holds, and nothing that was refused,
//! or told and not done after all.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use hansard_core::event::{End, Fact};
use hansard_core::seal::SigningKey;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Session};
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::catalog::{Burial, Catalog, Retention as _};
use hansard_store::limits::QUERY_ROWS_MAX;
use hansard_store::project::Projector;
use hansard_store::reindex::{Recalled, recall, reindex};
use hansard_store::retention::{self, Rule, Telling};
use hansard_store::{Archive, ArchiveOptions, BlobStore, SealedSegment};
use support::{header, id, key, recording, split};

const DAY: u64 = 86_400_000_000_000;
/// When the sessions of the tests happened.
const THEN: u64 = 1_700_000_000_000_000_000;

/// Sessions that something is said of.
fn sessions() -> Vec<Vec<SealedSegment>> {
    (0..8).map(|n| recording(n, 3)).collect()
}

fn archive(blobs: &MemoryBlobs, catalog: &MemoryCatalog) -> Archive {
    let (blobs, catalog) = (Arc::new(blobs.clone()), Arc::new(catalog.clone()));
    Archive::new(blobs, catalog, ArchiveOptions::default())
}

/// These in one pack.
fn kept(all: &[Vec<SealedSegment>]) -> (MemoryBlobs, MemoryCatalog) {
    let (blobs, catalog) = (MemoryBlobs::default(), MemoryCatalog::default());
    let put = archive(&blobs, &catalog);
    let receipts = put.put(&all.concat(), 0).receipts;
    assert!(receipts.iter().all(Result::is_ok));
    assert_eq!(put.flush().trouble, None);
    let (stored, rows) = (Arc::new(blobs.clone()), Arc::new(catalog.clone()));
    Projector::new(stored, rows).run_all().unwrap();
    (blobs, catalog)
}

/// These in one pack; the catalog is lost then, and built anew.
fn built_anew(
    all: &[Vec<SealedSegment>],
    keys: &[[u8; 32]],
) -> (MemoryBlobs, MemoryCatalog, Recalled) {
    let (blobs, _) = kept(all);
    let catalog = MemoryCatalog::default();
    again(&blobs, &catalog);
    let recalled = recall(&catalog, keys).unwrap();
    assert_eq!(recall(&catalog, keys).unwrap().deleted, 0);
    (blobs, catalog, recalled)
}

/// Builds the catalog anew from what is there; how many segments were taken, and how many are of what was deleted.
fn again(blobs: &MemoryBlobs, catalog: &MemoryCatalog) -> (u64, u64) {
    let stored: Arc<dyn BlobStore> = Arc::new(blobs.clone());
    let anew: Arc<dyn Catalog> = Arc::new(catalog.clone());
    let (done, _) = reindex(&stored, &anew).unwrap();
    (done.segments, done.deleted)
}

/// Numbers of those that were deleted, and of those that are held.
fn fates(catalog: &MemoryCatalog) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let blobs = MemoryBlobs::default();
    let archive = archive(&blobs, catalog);
    let gone = |n: &u64| archive.tombstone(id(*n)).unwrap().is_some();
    let held = |n: &u64| catalog.held(&[id(*n)]).unwrap() == [true];
    let all = 0..8;
    (
        all.clone().filter(gone).collect(),
        all.filter(held).collect(),
    )
}

/// What is said: an event, with a `!` that it was refused or not done; of which session; and the request that it is
/// of, if it says one.
type Says<'a> = (&'a str, u64, Option<&'a str>);

/// A recording whose events say these things.
fn diary(number: u64, says: &[Says<'_>]) -> Vec<SealedSegment> {
    let mut header = header(number, &key(number));
    header.kind = "service".to_owned();
    day(header, &key(number), says)
}

fn day(header: Session, key: &SigningKey, says: &[Says<'_>]) -> Vec<SealedSegment> {
    let mut writer = SegmentWriter::new(header, key.clone(), Bounds::default()).unwrap();
    for (at, (event, about, request)) in says.iter().enumerate() {
        let mut fact = Fact {
            event: event.trim_start_matches('!').to_owned(),
            fields: Fields::new()
                .with("success", !event.starts_with('!'))
                .with("recording", id(*about).to_string())
                .with("rule", "the rule")
                .with("reason", "old")
                .with("host", "web1")
                .with("segments", 3)
                .with("digest", "ab".repeat(32)),
        };
        if let Some(request) = request {
            fact.fields.push("request_id", *request);
        }
        writer.push(at as u64 * 1000, &Body::Admin(fact)).unwrap();
    }
    writer.finish(1_000_000, &End::default()).unwrap();
    split(&writer.parts())
}

const HELD: &str = "recording.held";
const RELEASED: &str = "recording.released";
const DELETED: &str = "recording.deleted";

#[test]
fn a_catalog_that_is_built_anew_recalls_holds_and_deletions_of_its_own_services_only() {
    let own = diary(
        50,
        &[
            (HELD, 0, None),
            (HELD, 1, None),
            (DELETED, 2, None),
            (DELETED, 1, None),
            // Told, and prevented by a hold that was just set.
            (DELETED, 4, None),
            (HELD, 4, Some("a-1")),
            (RELEASED, 4, Some("a-2")),
            (HELD, 5, None),
            (DELETED, 5, None),
            (RELEASED, 5, Some("a-3")),
            (DELETED, 5, None),
            (RELEASED, 0, None),
            ("!recording.released", 1, None),
            ("!recording.held", 0, None),
        ],
    );
    let forged = diary(51, &[(DELETED, 3, None), (RELEASED, 1, None)]);
    let mut all = sessions();
    all.extend([own, forged]);
    let (blobs, catalog, recalled) = built_anew(&all, &[key(50).public()]);
    assert_eq!((recalled.held, recalled.deleted), (1, 2));
    let (gone, held) = fates(&catalog);
    assert_eq!((gone, held), (BTreeSet::from([2, 5]), BTreeSet::from([1])));
    let tombstone = archive(&blobs, &catalog).tombstone(id(2)).unwrap().unwrap();
    assert_eq!(tombstone.burial.by, "the rule");
    // Adopting leaves alone what is deleted, though its bytes are in a pack with others.
    let gone = (all[2].len() + all[5].len()) as u64;
    assert_eq!(again(&blobs, &catalog), (0, gone));
}

/// As services of before said it: a hold that was refused because there is nothing to be held any more stood as set.
#[test]
fn a_hold_on_what_was_deleted_takes_no_tombstone_away() {
    let own = diary(
        50,
        &[
            (DELETED, 2, None),
            (HELD, 2, None),
            (HELD, 3, None),
            (RELEASED, 3, None),
            (DELETED, 3, None),
            (HELD, 3, Some("a-1")),
            ("!recording.held", 3, Some("a-1")),
        ],
    );
    let mut all = sessions();
    all.push(own);
    let (_, catalog, recalled) = built_anew(&all, &[key(50).public()]);
    assert_eq!((recalled.held, recalled.deleted), (0, 2));
    let gone = BTreeSet::from([2, 3]);
    assert_eq!(fates(&catalog), (gone, BTreeSet::new()));
}

#[test]
fn what_was_told_and_not_done_after_all_is_not_recalled() {
    let own = diary(
        50,
        &[
            // The lifting failed: it is held still.
            (HELD, 0, Some("a-1")),
            (RELEASED, 0, Some("a-2")),
            ("!recording.released", 0, Some("a-2")),
            // So did the holding of what was held, and of what was not.
            (HELD, 1, Some("a-3")),
            (HELD, 1, Some("a-4")),
            ("!recording.held", 1, Some("a-4")),
            (HELD, 2, Some("a-5")),
            ("!recording.held", 2, Some("a-5")),
            // Who may not is refused, and changes nothing; whoever asked before them did.
            (HELD, 3, Some("a-6")),
            ("!recording.held", 3, None),
            ("!recording.held", 3, Some("a-7")),
            // Others came between: what is taken back is what failed.
            (HELD, 4, Some("a-8")),
            (RELEASED, 4, Some("a-9")),
            (HELD, 4, Some("a-a")),
            ("!recording.held", 4, Some("a-8")),
            // Not deleted: somebody held it first.
            (DELETED, 5, None),
            ("!recording.deleted", 5, None),
            (DELETED, 6, None),
            ("!recording.deleted", 6, None),
            (DELETED, 6, None),
        ],
    );
    let mut all = sessions();
    all.push(own);
    let (_, catalog, _) = built_anew(&all, &[key(50).public()]);
    let (gone, held) = fates(&catalog);
    assert_eq!(gone, BTreeSet::from([6]));
    assert_eq!(held, BTreeSet::from([0, 1, 3, 4]));
}

/// What the event of a deletion says of a session that is in no pack any more is all that is left of it.
#[test]
fn a_catalog_that_is_built_anew_has_the_tombstones_of_what_is_gone() {
    let told = [
        (DELETED, 77, None),
        (DELETED, 78, None),
        (HELD, 78, Some("a-1")),
    ];
    let all = [diary(50, &told), diary(51, &[(DELETED, 79, None)])];
    let (blobs, catalog, recalled) = built_anew(&all, &[key(50).public()]);
    assert_eq!((recalled.held, recalled.deleted), (1, 1));
    let archive = archive(&blobs, &catalog);
    let tombstone = archive.tombstone(id(77)).unwrap().unwrap();
    assert_eq!(tombstone.burial.by, "the rule");
    assert_eq!((tombstone.segments, tombstone.number), (3, 2));
    assert_eq!((tombstone.digest, tombstone.key), ([0xab; 32], [0; 32]));
    assert_eq!(tombstone.start.host, "web1");
    for n in [78, 79] {
        assert!(archive.tombstone(id(n)).unwrap().is_none());
    }
}

/// The recording that told of a hold is old, the hold is in force: without being told again it would be lost with
/// the next catalog.
#[test]
fn before_what_tells_of_holds_and_deletions_is_deleted_it_is_told_again() {
    let says = [
        (HELD, 0, None),
        (HELD, 1, None),
        (RELEASED, 1, None),
        (DELETED, 2, None),
        (DELETED, 3, None),
    ];
    let (blobs, catalog) = kept(&[sessions(), vec![diary(50, &says)]].concat());
    catalog.hold(id(0), true).unwrap();
    let burial = Burial {
        by: "the rule".to_owned(),
        why: "old".to_owned(),
        utc_ns: THEN,
    };
    catalog.bury(id(2), &burial).unwrap();
    let rule = Rule {
        name: "of the service".to_owned(),
        kind: Some("service".to_owned()),
        keep_ns: Some(DAY),
        ..Rule::default()
    };
    let mut told = Vec::new();
    for days in [10, 12] {
        let mut tell = |telling: &Telling<'_>| {
            told.push(match telling {
                Telling::Deleting(row, _) => ("deleting", row.session),
                Telling::NotDeleted(row, ..) => ("not deleted", row.session),
                Telling::Held { session, told_in } => {
                    assert_eq!(*told_in, id(50));
                    ("held", *session)
                }
                Telling::Deleted(tombstone) => ("deleted", tombstone.session),
            });
            Ok(())
        };
        let rules = std::slice::from_ref(&rule);
        retention::run(&blobs, &catalog, rules, THEN + days * DAY, &mut tell).unwrap();
    }
    assert!(
        archive(&blobs, &catalog)
            .tombstone(id(50))
            .unwrap()
            .is_some()
    );
    told[..2].sort_unstable();
    let again = [("deleted", id(2)), ("held", id(0))];
    assert_eq!(told[..2], again);
    assert_eq!(told[2..], [("deleting", id(50))]);
}

/// Each day of a service begins with a later or an earlier clock than the one before it.
#[test]
fn the_last_word_on_a_hold_is_the_one_that_was_said_last_whatever_the_clock_said() {
    let begun = |order: [u64; 4]| {
        let (service, mut all) = (key(50), sessions());
        let says: [&[Says<'_>]; 4] = [
            &[(HELD, 0, None), (HELD, 1, None)],
            &[(RELEASED, 0, None)],
            &[],
            &[(HELD, 0, None), (RELEASED, 1, None)],
        ];
        for (n, (day_of, says)) in order.iter().zip(says).enumerate() {
            let mut header = support::header(50 + n as u64, &service);
            header.kind = "service".to_owned();
            header.start_utc_ns = THEN + day_of * DAY;
            if n > 0 {
                let before = id(50 + n as u64 - 1).to_string();
                header.target.push("previous.session", before);
            }
            all.push(day(header, &service, says));
        }
        let (_, catalog, _) = built_anew(&all, &[service.public()]);
        catalog.held(&[id(0), id(1)]).unwrap()
    };
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [0, 9, 1, 2], [5, 9, 9, 1]] {
        assert_eq!(begun(order), [true, false], "{order:?}");
    }
}

/// More than one answer of the catalog holds: each word counts in its turn, and a deletion that was told over and
/// over is one.
#[test]
fn however_often_something_was_said_the_last_word_counts() {
    let mut says: Vec<Says<'_>> = Vec::new();
    for n in 0..QUERY_ROWS_MAX as u64 + 10 {
        says.push(("recording.held", 1, None));
        says.push(("recording.released", 1, None));
        says.push(("recording.deleted", n % 4 + 4, None));
    }
    says.push(("recording.held", 1, None));
    let mut all = sessions();
    let diary = diary(100, &says);
    let own = [diary[0].facts().key];
    all.push(diary);
    let (_, catalog, recalled) = built_anew(&all, &own);
    assert_eq!((recalled.held, recalled.deleted), (1, 4));
    assert_eq!(fates(&catalog), ([4, 5, 6, 7].into(), [1].into()));
}
