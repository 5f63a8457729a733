//! Deleting for good, ended at every call of a store: never a row without its session, never a blob
//! lost that somebody points to, and what is deleted is gone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::Read;
use std::sync::Arc;

use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Class, SessionId};
use hansard_store::archive::ArchiveError;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::catalog::{Burial, Buried, Catalog, Retention as _};
use hansard_store::fault::{Fault, Faults};
use hansard_store::project::Projector;
use hansard_store::reindex::adopt;
use hansard_store::retention::{self, Retired, Rule, Telling, UNENDED_NS};
use hansard_store::{AlarmKind, Archive, ArchiveOptions, BlobStore, Query, SealedSegment};
use support::{bytes_of, id, key, recording, split};

const DAY: u64 = 86_400_000_000_000;
/// When the sessions of the tests happened.
const THEN: u64 = 1_700_000_000_000_000_000;

#[derive(Clone)]
struct World {
    blobs: MemoryBlobs,
    catalog: MemoryCatalog,
    faults: Faults,
}

impl World {
    fn new() -> Self {
        let faults = Faults::new();
        Self {
            blobs: MemoryBlobs::new(faults.clone()),
            catalog: MemoryCatalog::new(faults.clone()),
            faults,
        }
    }

    fn archive(&self) -> Archive {
        let (blobs, catalog) = (Arc::new(self.blobs.clone()), Arc::new(self.catalog.clone()));
        Archive::new(blobs, catalog, ArchiveOptions::default())
    }

    fn project(&self) {
        let (blobs, catalog) = (Arc::new(self.blobs.clone()), Arc::new(self.catalog.clone()));
        Projector::new(blobs, catalog).run_all().unwrap();
    }

    /// Archives these in one pack, and makes their rows.
    fn keep(&self, sessions: &[Vec<SealedSegment>]) {
        let archive = self.archive();
        let put = archive.put(&sessions.concat(), 0);
        assert!(put.receipts.iter().all(Result::is_ok));
        assert_eq!(archive.flush().trouble, None);
        self.project();
    }

    fn run(&self, rules: &[Rule], utc_ns: u64) -> Result<Retired, ArchiveError> {
        retention::run(&self.blobs, &self.catalog, rules, utc_ns, &mut |_| Ok(()))
    }

    fn packs(&self) -> usize {
        self.blobs.list("pack", None, 100).unwrap().len()
    }

    fn is_whole(&self, session: &[SealedSegment]) -> bool {
        let archive = self.archive();
        let mut bytes = Vec::new();
        let reader = archive.open_session(session[0].facts().session).unwrap();
        reader.is_some_and(|mut reader| {
            reader.read_to_end(&mut bytes).unwrap();
            bytes == bytes_of(session)
        })
    }

    fn is_gone(&self, session: SessionId) -> bool {
        let query = Query {
            session: Some(session),
            ..Query::default()
        };
        let rows = self.catalog.sessions(&query).unwrap().rows.len()
            + self.catalog.events(&query).unwrap().rows.len()
            + self.catalog.segments(session, 0, 10).unwrap().len();
        let tombstone = self.archive().tombstone(session).unwrap();
        rows == 0 && tombstone.is_some()
    }

    /// Whether any pack still holds a segment of this session.
    fn has_bytes_of(&self, session: SessionId) -> bool {
        let listed = self.blobs.list("pack", None, 100).unwrap();
        listed.iter().any(|pack| {
            let entries = hansard_store::pack::read_table(&self.blobs, &pack.name).unwrap();
            entries.iter().any(|entry| entry.session == session)
        })
    }
}

fn rule(user: &str, days: Option<u64>) -> Rule {
    Rule {
        name: format!("of {user}"),
        user: Some(user.to_owned()),
        keep_ns: days.map(|days| days * DAY),
        ..Rule::default()
    }
}

/// Session `n` is of user n % 7.
fn sessions() -> Vec<Vec<SealedSegment>> {
    (0..7).map(|n| recording(n, 2 + (n % 3) as u32)).collect()
}

#[test]
fn the_first_rule_that_fits_decides_and_both_clocks_must_agree() {
    let world = World::new();
    let all = sessions();
    world.keep(&all);
    world.catalog.hold(id(3), true).unwrap();
    let rules = [
        rule("user-1", None),
        rule("user-2", Some(100)),
        Rule {
            name: "the rest".to_owned(),
            keep_ns: Some(10 * DAY),
            ..Rule::default()
        },
    ];
    // Twenty days after the sessions, but dated only now.
    let now = THEN + 20 * DAY;
    assert_eq!(world.run(&rules, now).unwrap().sessions, 0);
    assert_eq!(world.run(&rules, now + 9 * DAY).unwrap().sessions, 0);
    let mut told = Vec::new();
    let retired = retention::run(
        &world.blobs,
        &world.catalog,
        &rules,
        now + 11 * DAY,
        &mut |telling| {
            let Telling::Deleting(row, burial) = telling else {
                panic!("{telling:?}")
            };
            // Before it is done.
            assert!(world.catalog.heads(&[row.session]).unwrap()[0].is_some());
            told.push((row.start.user.clone(), burial.by.clone()));
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(retired.sessions, 4);
    told.sort();
    let of = |n: u64| (format!("user-{n}"), "the rest".to_owned());
    assert_eq!(told, [of(0), of(4), of(5), of(6)]);
    for n in 0..7u64 {
        assert_eq!(world.is_gone(id(n)), [0, 4, 5, 6].contains(&n), "{n}");
        assert_eq!(
            world.is_whole(&all[n as usize]),
            [1, 2, 3].contains(&n),
            "{n}"
        );
        let source = Arc::new(world.archive()).source(id(n)).unwrap();
        assert_eq!(source.is_some(), [1, 2, 3].contains(&n), "{n}");
    }
    assert_eq!(world.run(&rules, now + 101 * DAY).unwrap().sessions, 1);
    world.catalog.hold(id(3), false).unwrap();
    assert_eq!(world.run(&rules, now + 102 * DAY).unwrap().sessions, 1);
    assert!(world.is_whole(&all[1]));
    // What is left was written again without the others, and the old pack is gone.
    world.run(&rules, now + 103 * DAY).unwrap();
    assert_eq!(world.packs(), 1);
    assert!((0..7).all(|n| world.has_bytes_of(id(n)) == (n == 1)));
    assert_eq!(adopt(&world.blobs, &world.catalog).unwrap().packs, 0);
}

#[test]
fn what_has_no_end_is_kept_for_longer_as_it_may_be_going_on() {
    let world = World::new();
    let (mut quiet, ended) = (recording(1, 3), recording(8, 3));
    let more = quiet.pop().unwrap();
    world.keep(&[quiet.clone(), ended]);
    let rules = [rule("user-1", Some(10))];
    world.run(&rules, THEN + DAY).unwrap();
    let days = |days| THEN + days * DAY;
    assert_eq!(world.run(&rules, days(12)).unwrap().sessions, 1);
    assert!(world.is_whole(&quiet) && world.is_gone(id(8)));
    assert_eq!(world.run(&rules, days(99)).unwrap().sessions, 0);
    // Its end comes after all.
    world.keep(&[vec![more]]);
    world.run(&rules, days(100)).unwrap();
    assert_eq!(world.run(&rules, days(111)).unwrap().sessions, 1);
    let lost = recording(15, 3);
    world.keep(&[lost[..2].to_vec()]);
    world.run(&rules, days(111)).unwrap();
    // By its own clock it has been quiet for long enough, by the service's not yet.
    assert_eq!(world.run(&rules, days(122)).unwrap().sessions, 0);
    assert_eq!(world.run(&rules, days(212)).unwrap().sessions, 1);
    assert!(world.is_gone(id(15)), "quiet for longer than keep and that");
}

#[test]
fn nothing_is_deleted_of_which_nobody_could_be_told() {
    let world = World::new();
    world.keep(&sessions());
    let rules = [rule("user-1", Some(1))];
    world.run(&rules, THEN + DAY).unwrap();
    let mut deaf = |_: &Telling<'_>| Err("the diary is full".to_owned());
    let now = THEN + 9 * DAY;
    let failed = retention::run(&world.blobs, &world.catalog, &rules, now, &mut deaf);
    assert_eq!(
        failed,
        Err(ArchiveError::Retry("the diary is full".to_owned()))
    );
    assert!(world.is_whole(&sessions()[1]));
}

#[test]
fn a_sender_that_comes_late_may_forget_and_a_writer_that_goes_on_is_an_alarm() {
    let world = World::new();
    let mut one = recording(1, 4);
    let late = one.split_off(2);
    world.keep(&[one.clone()]);
    let burial = Burial {
        by: "alice".to_owned(),
        why: "asked".to_owned(),
        utc_ns: 5,
    };
    let buried = world.catalog.bury(id(1), &burial).unwrap();
    assert!(matches!(buried, Buried::Done(_)));
    retention::clear(&world.blobs, &world.catalog).unwrap();
    assert_eq!(world.packs(), 0);
    let archive = world.archive();
    for segment in &one {
        let put = archive.put(std::slice::from_ref(segment), 0);
        assert_eq!(put.receipts[0].as_ref().unwrap().class, Class::S);
    }
    let put = archive.put(&late[..1], 0);
    let Err(ArchiveError::Conflict(alarm)) = &put.receipts[0] else {
        panic!("{put:?}");
    };
    assert_eq!(alarm.kind, AlarmKind::AfterEnd);
    assert_eq!((archive.flush().settled.len(), world.packs()), (0, 0));
    let tombstone = archive.tombstone(id(1)).unwrap().unwrap();
    assert_eq!(
        (tombstone.burial, tombstone.digest),
        (burial, one[1].facts().digest)
    );
    assert!(archive.verify_session(id(1)).unwrap().is_none());
}

#[test]
fn ended_at_any_call_it_is_finished_by_the_next_runs() {
    let all = sessions();
    // Most of it, so that the pack is written again; then the rest.
    let most: Vec<Rule> = (1..7)
        .map(|n| rule(&format!("user-{n}"), Some(1)))
        .collect();
    let (then, now) = (THEN + DAY, THEN + 10 * DAY);
    let prepared = || {
        let world = World::new();
        world.keep(&all);
        world.catalog.date(then).unwrap();
        world.faults.heal();
        world
    };
    let world = prepared();
    assert_eq!(world.run(&most, now).unwrap().repacked, 1);
    world.run(&most, now).unwrap();
    let calls = world.faults.calls();
    assert!(calls > 30, "{calls}");
    for call in 1..=calls {
        for fault in Fault::ALL {
            let world = prepared();
            world.faults.go_down_at(call, fault);
            let died = world.run(&most, now).and_then(|_| world.run(&most, now));
            world.faults.heal();
            assert!(world.is_whole(&all[0]), "{call} {fault:?}");
            if call < calls || fault != Fault::After {
                assert!(died.is_err(), "{call} {fault:?}");
            }
            // It starts again, as a service does.
            let adopted = adopt(&world.blobs, &world.catalog).unwrap();
            assert_eq!(
                (adopted.segments, adopted.quarantined),
                (0, 0),
                "{call} {fault:?}"
            );
            retention::superfluous(&world.blobs, &world.catalog).unwrap();
            for _ in 0..2 {
                world.run(&most, now).unwrap();
            }
            assert!(world.is_whole(&all[0]), "{call} {fault:?}");
            let report = world.archive().verify_session(id(0)).unwrap().unwrap();
            assert!(report.is_intact());
            for n in 1..7 {
                assert!(world.is_gone(id(n)), "{call} {fault:?}: {n}");
                assert!(!world.has_bytes_of(id(n)), "{call} {fault:?}: {n}");
            }
            // Moves that were half made leave what is live in two.
            assert!(world.packs() <= 2, "{call} {fault:?}");
        }
    }
}

#[test]
fn what_a_crash_left_in_a_pack_that_nothing_points_to_goes_too() {
    let world = World::new();
    let one = recording(1, 3);
    // The same segments in two packs: one was written by a service that died before step 2.
    let archive = world.archive();
    archive.put(&one[..1], 0);
    world.faults.go_down_at(2, Fault::Before);
    assert!(archive.put(&one[1..], 0).flushed.trouble.is_some());
    world.faults.heal();
    for segment in &one {
        world.keep(&[vec![segment.clone()]]);
    }
    assert!(world.packs() > 1);
    world.catalog.bury(id(1), &burial("x")).unwrap();
    retention::clear(&world.blobs, &world.catalog).unwrap();
    assert!(world.has_bytes_of(id(1)));
    assert_eq!(adopt(&world.blobs, &world.catalog).unwrap().deleted, 3);
    let superfluous = retention::superfluous(&world.blobs, &world.catalog).unwrap();
    assert_eq!((superfluous.deleted, superfluous.left), (1, None));
    assert_eq!(world.packs(), 0);
}

/// A catalog that was put back from a copy says that a segment is in a pack that was written anew since, and is
/// gone: the new one is the only one that has it.
#[test]
fn an_older_catalog_costs_nothing_that_was_moved_to_another_pack() {
    let world = World::new();
    let all = sessions();
    world.keep(&all);
    // The copy: as the catalog is now, over the same blobs.
    let copy = World {
        catalog: MemoryCatalog::default(),
        ..world.clone()
    };
    assert!(adopt(&copy.blobs, &copy.catalog).unwrap().segments > 0);
    copy.project();
    let most: Vec<Rule> = (1..7)
        .map(|n| rule(&format!("user-{n}"), Some(1)))
        .collect();
    world.catalog.date(THEN + DAY).unwrap();
    let now = THEN + 10 * DAY;
    assert_eq!(world.run(&most, now).unwrap().repacked, 1);
    world.run(&most, now).unwrap();
    assert_eq!(world.packs(), 1);
    assert!(!copy.is_whole(&all[0]));

    // A row with the same content is not enough for a pack to be superfluous.
    let superfluous = || {
        retention::superfluous(&copy.blobs, &copy.catalog)
            .unwrap()
            .deleted
    };
    assert_eq!(superfluous(), 0);
    let adopted = adopt(&copy.blobs, &copy.catalog).unwrap();
    let known = all[0].len() as u64;
    assert_eq!((adopted.known, adopted.quarantined), (known, 0));
    assert_eq!(superfluous(), 0);
    assert!(copy.is_whole(&all[0]));
    retention::clear(&copy.blobs, &copy.catalog).unwrap();
    assert!(copy.is_whole(&all[0]));
}

fn burial(by: &str) -> Burial {
    Burial {
        by: by.to_owned(),
        why: "old".to_owned(),
        utc_ns: THEN,
    }
}
/// A host whose clock is years ahead or behind says that a session which goes on is long quiet.
#[test]
fn a_session_without_an_end_is_deleted_by_the_services_clock_too() {
    let world = World::new();
    let header = support::header(1, &key(1));
    let mut writer = SegmentWriter::new(header, key(1), Bounds::default()).unwrap();
    writer.tick(70_000_000_000).unwrap();
    world.keep(&[split(&writer.parts())]);
    let rules = [Rule {
        name: "all".to_owned(),
        keep_ns: Some(10 * DAY),
        ..Rule::default()
    }];
    let now = THEN + 10_000 * DAY;
    let deleted = |at| world.run(&rules, at).unwrap().sessions;
    assert_eq!(deleted(now), 0);
    assert_eq!(deleted(now + 11 * DAY), 0);
    assert_eq!(deleted(now + 10 * DAY + UNENDED_NS), 0);
    assert_eq!(deleted(now + 11 * DAY + UNENDED_NS), 1);
}
