//! What stands behind the API is whole at every moment, wherever the parts are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hansard_core::frame::{Part, Place};
use hansard_core::verify::Verdict;
use hansard_core::{Body, Event, Sink as _};
use hansard_record::disk::Disk as _;
use hansard_store::Query;
use hansard_view::Screen;
use hansardd::api::seams::{Following as _, Listings as _, Recordings as _, Seen, Watch};
use hansardd::behind::{Listed, Recorded, Watched};
use hansardd::follow::Screens;
use hansardd::keeper::KeeperThread;
use hansardd::live::Live;
use hansardd::tee::{Source, Tee};
use support::{Life, Shape, World, bytes_of, events_of, id, parts};

fn recordings(life: &Life) -> Recorded {
    Recorded {
        from: life.followed(),
    }
}

fn read(life: &Life, number: u64) -> Option<Vec<u8>> {
    let mut reader = recordings(life).open(id(number)).unwrap()?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

#[test]
fn a_recording_is_whole_at_every_moment() {
    let all = parts(1, Shape::of(4, 3));
    for archived in 0..all.len() {
        let world = World::new();
        let mut life = world.life();
        assert_eq!(read(&life, 1), None);
        if archived > 0 {
            life.put(&all[..archived]);
            life.settle();
            assert!(
                read(&life, 1).unwrap() == bytes_of(&all[..archived]),
                "{archived}"
            );
        }
        for n in archived + 1..=all.len() {
            life.put(&all[n - 1..n]);
            assert!(
                read(&life, 1).unwrap() == bytes_of(&all[..n]),
                "{archived} {n}"
            );
        }
        life.settle();
        assert!(read(&life, 1).unwrap() == bytes_of(&all));
        assert_eq!(read(&life, 2), None);
    }
}

#[test]
fn what_is_archived_is_checked_there_and_what_is_not_as_it_is() {
    let world = World::new();
    let mut life = world.life();
    let all = parts(1, Shape::of(3, 2));
    let kept = recordings(&life);
    assert!(kept.verify(id(1)).unwrap().is_none());
    life.put(&all[..2]);
    let found = kept.verify(id(1)).unwrap().unwrap();
    assert_eq!(
        (found.newest, found.report.verdict),
        (None, Verdict::Unfinished)
    );
    life.put(&all[2..]);
    life.settle();
    let found = kept.verify(id(1)).unwrap().unwrap();
    assert_eq!(found.newest.unwrap().0, 2);
    assert!(found.is_intact() && found.report.verdict == Verdict::Complete);
}

/// Flips a bit of a part where it lies in the spool.
fn rot(world: &World, part: &Part) {
    let names = world.disk.list(Path::new("/spool")).unwrap();
    for name in names.iter().filter(|n| n.to_str().unwrap() != "lock") {
        let path = Path::new("/spool").join(name);
        let content = world.disk.content(&path).unwrap();
        let bytes = part.bytes();
        if let Some(at) = content.windows(bytes.len()).position(|w| w == bytes) {
            return world.disk.rot(&path, at + bytes.len() / 2, 3);
        }
    }
    panic!("it is not in the spool");
}

#[test]
fn a_session_of_which_a_part_was_lost_on_its_way_is_not_intact() {
    for (is_found_at_a_start, archived) in [(true, 0), (true, 4), (false, 0), (false, 4)] {
        let world = World::new();
        let recording = parts(3, Shape::of(3, 3));
        let mut life = world.life();
        life.put(&recording[..archived]);
        life.settle();
        life.put(&recording[archived..]);
        // What is written after it says that it was durable.
        life.put(&parts(4, Shape::of(1, 1)));
        let found = recordings(&life).verify(id(3)).unwrap().unwrap();
        assert!(found.is_intact());
        let lost = &recording[6];
        rot(&world, lost);
        if is_found_at_a_start {
            drop(life);
            life = world.life();
        }
        life.settle();
        let found = recordings(&life).verify(id(3)).unwrap().unwrap();
        let [difference] = &found.differences[..] else {
            panic!("{:?}", found.differences);
        };
        assert_eq!(difference.segment, lost.segment(), "{difference:?}");
        assert!(!found.is_intact());
        // Its sender has it, and offers it again.
        drop(life);
        life = world.life();
        life.put(&recording);
        life.settle();
        let found = recordings(&life).verify(id(3)).unwrap().unwrap();
        assert!(found.is_intact() && found.report.verdict == Verdict::Complete);
    }
}

/// What a watcher sees until there is nothing more.
fn seen(watch: &mut dyn Watch) -> (Vec<Seen>, bool) {
    let mut all = Vec::new();
    loop {
        match watch.next(Duration::ZERO).unwrap() {
            Seen::Nothing => return (all, false),
            Seen::Over(why) => {
                assert_eq!(why, None);
                return (all, true);
            }
            seen => all.push(seen),
        }
    }
}

#[test]
fn whoever_watches_sees_everything_from_whenever_they_came() {
    let all = parts(1, Shape::of(3, 3));
    let events = events_of(&all);
    let mut whole = Screen::default();
    events.iter().for_each(|event| whole.apply(&event.body));
    for came in 1..=all.len() {
        let world = World::new();
        let mut life = world.life();
        let watching = Watched {
            from: life.followed(),
            screens: Screens::new(life.followed()),
        };
        assert!(watching.follow(id(1)).unwrap().is_none());
        life.put(&all[..came]);
        let mut watch = watching.follow(id(1)).unwrap().unwrap();
        let (mut told, over) = seen(&mut *watch);
        // The end is known with its frame, before the seal.
        assert_eq!(over, came + 1 >= all.len());
        for part in &all[came..] {
            life.put(std::slice::from_ref(part));
            life.settle();
            told.extend(seen(&mut *watch).0);
        }
        assert!(seen(&mut *watch).1, "{came}");
        let mut screen = Screen::default();
        let mut next = 0;
        for seen in told {
            match seen {
                Seen::Event(Event { seq, body, .. }) => {
                    assert_eq!(seq, next, "{came}");
                    assert_eq!(matches!(body, Body::Start(_)), seq == 0);
                    next = seq + 1;
                    screen.apply(&body);
                }
                Seen::Screen {
                    seq, size, dump, ..
                } => {
                    assert_eq!(next, 1, "the header comes first, then the screen");
                    next = seq + 1;
                    screen = Screen::new(size.0, size.1);
                    screen.feed(dump.as_bytes());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(next, events.len() as u64, "{came}");
        assert_eq!(
            (screen.text(), screen.size()),
            (whole.text(), whole.size()),
            "{came}"
        );
    }
}

#[test]
fn a_session_is_listed_once_from_its_first_part_on() {
    let world = World::new();
    let mut life = world.life();
    let all = parts(1, Shape::of(3, 2));
    let rows = Listed {
        catalog: Arc::new(world.catalog.clone()),
        live: life.live.clone(),
        connected: Arc::new(|_| false),
    };
    let events = events_of(&all).len() as u64;
    for part in &all {
        life.put(std::slice::from_ref(part));
        life.settle();
        let listed = rows.sessions(&Query::default()).unwrap();
        assert_eq!((listed.rows.len(), listed.next), (1, None));
    }
    let before = rows.sessions(&Query::default()).unwrap().rows;
    world.projector().run_all().unwrap();
    let after = rows.sessions(&Query::default()).unwrap().rows;
    assert_eq!(before[0].events, events);
    assert_eq!((after.len(), after[0].events), (1, events));
    // After a start, what is archived and not projected yet is said to be behind.
    let late = parts(2, Shape::of(2, 1));
    life.put(&late);
    life.settle();
    drop(life);
    let life = world.life();
    let rows = Listed {
        catalog: Arc::new(world.catalog.clone()),
        live: life.live.clone(),
        connected: Arc::new(|_| false),
    };
    assert_eq!(rows.behind().unwrap().segments, 2);
    let listed = rows.events(&Query::default()).unwrap();
    assert!(!listed.rows.is_empty() && listed.next.is_none());
}

#[test]
fn what_was_durable_before_a_question_is_in_the_answer_or_it_says_that_there_is_more() {
    let world = World::new();
    let life = world.life();
    let listings = Listed {
        catalog: Arc::new(world.catalog.clone()),
        live: life.live.clone(),
        connected: Arc::new(|_| false),
    };
    let mut tee = life.tee;
    let ends_at = |number: u64| {
        let query = Query {
            session: Some(id(number)),
            ..Query::default()
        };
        let page = listings.sessions(&query).unwrap();
        page.rows.first().and_then(|row| row.end.clone())
    };
    // Nobody reads: the question does not wait for ever, and says that it is not everything.
    tee.put(&parts(0, Shape::of(1, 2))).unwrap();
    assert_eq!(ends_at(0), None);
    assert!(listings.behind().unwrap().more);
    let keeper = KeeperThread::start(life.keeper).unwrap();
    for number in 1..200 {
        tee.put(&parts(number, Shape::of(1, 2))).unwrap();
        assert!(ends_at(number).is_some(), "{number} has ended");
        assert!(!listings.behind().unwrap().more);
    }
    assert!(ends_at(0).is_some());
    assert!(keeper.is_running());
}

#[test]
fn a_session_without_an_end_says_why_none_comes() {
    let world = World::new();
    let mut life = world.life();
    let (ours, theirs) = (parts(1, Shape::of(3, 2)), parts(2, Shape::of(3, 2)));
    // One segment that is sealed, and something behind it.
    let half = 2 + ours.iter().position(|p| p.place() == Place::Seal).unwrap();
    life.put(&ours[..half]);
    let source = Source::Host("h1".into());
    let mut from_host = Tee::new(life.spool.clone(), life.live.clone(), source);
    from_host.put(&theirs[..half]).unwrap();
    life.settle();
    life.archive.flush();
    world.projector().run_all().unwrap();
    let of = |live: &Live, is_connected: bool, number: u64| {
        let listed = Listed {
            catalog: Arc::new(world.catalog.clone()),
            live: live.clone(),
            connected: Arc::new(move |host: &str| host == "h1" && is_connected),
        };
        let query = Query {
            session: Some(id(number)),
            ..Query::default()
        };
        let rows = listed.sessions(&query).unwrap().rows;
        listed.no_end(&rows[0])
    };
    assert_eq!(of(&life.live, true, 1), None);
    assert_eq!(of(&life.live, true, 2), None);
    let why = of(&life.live, false, 2).unwrap();
    assert_eq!(why, "its host is not connected");
    // What is recorded here is no matter of connections.
    assert_eq!(of(&life.live, false, 1), None);
    // Nothing of it has come since a start, whoever is connected.
    let later = Live::new(Arc::new(world.clock.clone()), Arc::new(|_, _| {}));
    let why = of(&later, true, 2).unwrap();
    assert!(why.contains("silent since this service started"), "{why}");
    // An end is an end.
    life.put(&ours[half..]);
    life.settle();
    world.projector().run_all().unwrap();
    assert_eq!(of(&later, false, 1), None);
    assert!(of(&later, false, 2).is_some());
}
