//! The keeper in ordinary life and in trouble: what is taken in is told once, archived once, and
//! forgotten; what must not be archived is put aside, and nobody else notices.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hansard_core::frame::{Frame, Part, Sound};
use hansard_core::seal::Digest;
use hansard_core::{Sink, SinkError};
use hansard_record::disk::Disk;
use hansard_record::order::Spot;
use hansard_store::catalog::{Burial, Buried, Retention};
use hansard_store::fault::{Fault, Faults};
use hansard_store::{AlarmKind, Catalog};
use hansardd::keeper::{Matter, Owners};
use support::{Shape, World, bytes_of, events_of, id, interleave, key, parts, parts_signed};

fn sessions(count: u64) -> Vec<Vec<Part>> {
    (0..count)
        .map(|n| parts(n, Shape::of(1 + (n % 4) as u32, 1 + (n % 3) as u32)))
        .collect()
}

/// The digest in each seal.
fn digests_of(recording: &[Part]) -> Vec<Option<Digest>> {
    let sound = recording.iter().map(|part| part.check().unwrap());
    let seal = |sound| match sound {
        Sound::Seal(seal) => Some(Some(seal.digest)),
        _ => None,
    };
    sound.filter_map(seal).collect()
}

#[test]
fn what_comes_in_is_told_archived_and_forgotten() {
    let world = World::new();
    let sessions = sessions(12);
    let mut life = world.life();
    for part in interleave(&sessions, 7) {
        life.put(&[part]);
        life.keeper.step();
    }
    life.settle();
    world.must_be_done(&life, &sessions);
    assert!(world.alarms.lock().unwrap().is_empty());
    let figures = life.keeper_figures();
    assert_eq!(figures.rereads, 0);
    assert_eq!(figures.segments_waiting, 0);
    assert_eq!((figures.waiting_since_ns, figures.sessions), (None, 0));
}

#[test]
fn without_room_to_remember_segments_they_are_read_again_and_it_is_the_same() {
    let world = World::new();
    let sessions = sessions(9);
    let mut life = world.life();
    life.keeper = life.keeper.with_growing_bytes(1);
    for part in interleave(&sessions, 3) {
        life.put(&[part]);
        life.keeper.step();
    }
    life.settle();
    world.must_be_done(&life, &sessions);
    assert!(life.keeper_figures().rereads > 10);
}

#[test]
fn while_the_archive_fails_events_are_told_and_parts_wait() {
    let world = World {
        tap_faults: Faults::new(),
        ..World::new()
    };
    let sessions = sessions(8);
    let said = Arc::new(Mutex::new(Vec::new()));
    let of_said = Arc::clone(&said);
    let mut life = world.life_with(|hooks| {
        let say = move |why: Option<&str>| of_said.lock().unwrap().push(why.is_some());
        hooks.trouble = Arc::new(say);
    });
    let all = interleave(&sessions, 5);
    life.put(&all[..20]);
    life.settle();
    // The catalog and the blobs go; the log does not.
    world.faults.go_down_at(1, Fault::Before);
    life.put(&all[20..]);
    for _ in 0..50 {
        life.keeper.step();
        world.clock.advance(1_000_000);
    }
    let told: usize = sessions.iter().map(|s| events_of(s).len()).sum();
    assert_eq!(world.log.lock().unwrap().told(), told, "the log went on");
    let figures = life.keeper_figures();
    assert!(figures.segments_waiting > 0);
    assert!(figures.waiting_since_ns.is_some() && figures.trouble.is_some());
    assert!(life.spool.usage().parts >= all.len() - 20);
    world.faults.heal();
    life.settle();
    world.must_be_done(&life, &sessions);
    assert_eq!(life.keeper_figures().trouble, None);
    // Once each, however often it was tried.
    assert_eq!(*said.lock().unwrap(), [true, false]);
}

#[test]
fn while_the_log_is_full_nothing_is_archived_and_nothing_lost() {
    let world = World::new();
    let sessions = sessions(6);
    let mut life = world.life();
    world.log.lock().unwrap().refuses = true;
    life.put(&interleave(&sessions, 2));
    for _ in 0..20 {
        life.keeper.step();
        world.clock.advance(100_000_000);
    }
    assert!(world.catalog.heads(&[id(0)]).unwrap()[0].is_none());
    assert!(life.keeper_figures().trouble.unwrap().contains("full"));
    world.log.lock().unwrap().refuses = false;
    life.settle();
    world.must_be_done(&life, &sessions);
}

#[test]
fn one_poisoned_recording_among_two_hundred() {
    let mut sessions: Vec<Vec<Part>> = (0..200).map(|n| parts(n, Shape::of(2, 2))).collect();
    let poisoned = 77;
    let Part::Frame(frame) = sessions[poisoned][2].clone() else {
        panic!()
    };
    let mut bytes = frame.bytes.clone();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    sessions[poisoned][2] = Part::Frame(Frame { bytes, ..frame });

    let world = World::new();
    let mut life = world.life();
    life.put(&interleave(&sessions, 1));
    life.settle();
    let bad = sessions.remove(poisoned);
    world.must_be_done(&life, &sessions);
    let session = bad[0].session();
    assert_eq!(world.stored(session), Vec::<u8>::new());
    assert_eq!(world.aside(session), bytes_of(&bad), "all of it is kept");
    let alarms = world.alarms.lock().unwrap().clone();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(
        (alarms[0].matter, alarms[0].session),
        (Matter::Unsound, Some(session))
    );
    let noted = world.catalog.quarantined(None, 10).unwrap();
    assert_eq!(noted.len(), 1);
    assert!(noted[0].what.contains(&session.to_string()));

    // After a start its sender's repeats go the same way, and nobody is alarmed again.
    drop(life);
    let mut life = world.life();
    life.put(&bad);
    life.settle();
    assert_eq!(life.spool.usage().parts, 0);
    assert_eq!(world.stored(session), Vec::<u8>::new());
    assert_eq!(world.alarms.lock().unwrap().len(), 1);
}

#[test]
fn a_fork_of_what_is_archived_is_put_aside() {
    let world = World::new();
    let honest = parts(1, Shape::of(4, 1));
    let mut life = world.life();
    life.put(&honest);
    life.settle();
    drop(life);
    let forked = parts(
        1,
        Shape {
            fork: 2,
            branch: 5,
            ..Shape::of(4, 1)
        },
    );
    let world = World {
        disk: hansard_record::sim::SimDisk::new(2),
        ..world
    };
    let mut life = world.life();
    life.put(&forked);
    life.settle();
    assert_eq!(life.spool.usage().parts, 0);
    assert_eq!(world.stored(id(1)), bytes_of(&honest));
    let alarms = world.alarms.lock().unwrap().clone();
    assert_eq!(alarms[0].matter, Matter::Chain(AlarmKind::Fork));
    let aside: Vec<Part> = forked
        .iter()
        .filter(|p| p.segment() >= 2)
        .cloned()
        .collect();
    assert_eq!(world.aside(id(1)), bytes_of(&aside));
}

#[test]
fn what_was_deleted_for_good_may_be_forgotten_by_who_still_has_it() {
    let world = World::new();
    let recording = parts(1, Shape::of(3, 2));
    let mut life = world.life();
    life.put(&recording);
    life.settle();
    world.projector().run_all().unwrap();
    let burial = Burial {
        by: "retention".to_owned(),
        why: "older than 90 days".to_owned(),
        utc_ns: 1,
    };
    world.catalog.bury(id(1), &burial).unwrap();
    drop(life);
    let world = World {
        disk: hansard_record::sim::SimDisk::new(2),
        ..world
    };
    let digests = digests_of(&recording);
    let settled = std::mem::take(&mut *world.settled.lock().unwrap());
    assert_eq!(settled.into_values().collect::<Vec<_>>(), digests);
    let told = world.log.lock().unwrap().told();
    let mut life = world.life();
    life.put(&recording);
    life.settle();
    assert_eq!(life.spool.usage().parts, 0);
    // Of what was deleted the last segment's digest is all that is known.
    let settled = world.settled.lock().unwrap().clone();
    let wanted = [None, None, digests[2]];
    assert_eq!(settled.into_values().collect::<Vec<_>>(), wanted);
    assert_eq!(
        world.log.lock().unwrap().told(),
        told,
        "nothing is told again"
    );
    assert!(world.alarms.lock().unwrap().is_empty());
    assert_eq!(world.stored(id(1)), Vec::<u8>::new());
}

#[test]
fn a_second_writer_and_what_follows_an_end_are_put_aside() {
    let world = World::new();
    let mut life = world.life();
    // Another key goes on with a session, from its second segment on.
    let honest = parts(1, Shape::of(3, 1));
    let other = parts_signed(
        1,
        Shape {
            ends: false,
            ..Shape::of(3, 1)
        },
        &key(99),
    );
    let (first, _) = honest.split_at(honest.iter().position(|p| p.segment() == 1).unwrap());
    life.put(first);
    let rest: Vec<Part> = other.iter().filter(|p| p.segment() == 1).cloned().collect();
    life.put(&rest);
    // And a session goes on after its end.
    let ended = parts(2, Shape::of(1, 1));
    life.put(&ended);
    life.settle();
    let longer = parts(2, Shape::of(2, 1));
    let after: Vec<Part> = longer
        .iter()
        .filter(|p| p.segment() == 1)
        .cloned()
        .collect();
    life.put(&after);
    life.settle();
    let alarms = world.alarms.lock().unwrap().clone();
    let kinds: Vec<Matter> = alarms.iter().map(|a| a.matter).collect();
    assert!(
        kinds.contains(&Matter::Chain(AlarmKind::BrokenChain)),
        "{kinds:?}"
    );
    assert!(
        kinds.contains(&Matter::Chain(AlarmKind::AfterEnd)),
        "{kinds:?}"
    );
    assert_eq!(world.stored(id(1)), bytes_of(first));
    assert_eq!(world.stored(id(2)), bytes_of(&ended));
    assert_eq!(
        (world.aside(id(1)), world.aside(id(2))),
        (bytes_of(&rest), bytes_of(&after))
    );
    assert_eq!(life.spool.usage().parts, 0);
}

#[test]
fn a_hole_waits_for_its_sender_and_is_then_read_in_order() {
    let world = World::new();
    let recording = parts(3, Shape::of(3, 4));
    let mut life = world.life();
    life.put(&recording);
    // What is written after it says that it was durable.
    let other = parts(4, Shape::of(1, 1));
    life.put(&other);
    drop(life);
    // The medium damages a part in the middle; at the next start it is not there any more.
    let name = world.disk.list(Path::new("/spool")).unwrap();
    let name = name
        .iter()
        .find(|n| n.to_str().unwrap().starts_with("spool-"))
        .unwrap();
    let path = Path::new("/spool").join(name);
    let content = world.disk.content(&path).unwrap();
    let lost = recording[6].bytes();
    let at = content.windows(lost.len()).position(|w| w == lost).unwrap();
    world.disk.rot(&path, at + lost.len() / 2, 3);
    let mut life = world.life();
    assert!(!life.spool.damage().is_empty());
    life.settle();
    let alarms = world.alarms.lock().unwrap().clone();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0].matter, Matter::Hole);
    assert!(life.spool.usage().parts > 0);
    life.put(&recording[..8]);
    life.settle();
    world.must_be_done(&life, &[recording, other]);
    assert_eq!(world.alarms.lock().unwrap().len(), 1);
}

/// Segments 0 and 1 are archived, and the sender has nothing before segment 4 any more.
fn with_a_loss() -> (World, Vec<Part>, Vec<Part>) {
    let world = World::new();
    world.log.lock().unwrap().has_gaps = true;
    let recording = parts(3, Shape::of(6, 3));
    let of = |from: u32, to: u32| -> Vec<Part> {
        let is_of = |part: &&Part| (from..to).contains(&part.segment());
        recording.iter().filter(is_of).cloned().collect()
    };
    let (first, rest) = (of(0, 2), of(4, 6));
    let mut life = world.life();
    life.put(&first);
    life.settle();
    assert_eq!(world.stored(id(3)), bytes_of(&first));
    (world, recording, rest)
}

/// Without a word about what is missing.
fn read_through(life: &support::Life) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reader = life.archive.open_session(id(3)).unwrap();
    reader.unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn matters(world: &World) -> Vec<Matter> {
    let alarms = world.alarms.lock().unwrap();
    alarms.iter().map(|alarm| alarm.matter).collect()
}

#[test]
fn what_a_sender_has_no_more_is_lost_and_what_follows_is_archived() {
    let (world, recording, rest) = with_a_loss();
    let mut life = world.life();
    life.live.begins_at(id(3), Spot::of(&rest[0]));
    life.put(&rest);
    life.settle();
    assert_eq!(matters(&world), [Matter::Lost]);
    let what = world.alarms.lock().unwrap()[0].what.clone();
    assert!(what.starts_with("segments 2 to 3 are not here"), "{what}");
    assert_eq!(life.spool.usage().parts, 0);
    let last = world.catalog.heads(&[id(3)]).unwrap()[0].clone().unwrap();
    assert!(last.is_final && last.number == 5);
    let tail = bytes_of(&rest);
    assert!(read_through(&life).ends_with(&tail));
    for segment in [0, 1, 4, 5] {
        assert!(
            world
                .settled
                .lock()
                .unwrap()
                .contains_key(&(id(3), segment))
        );
    }
    // Nothing of it is heard again.
    drop(life);
    let mut life = world.life();
    life.put(&recording[..2]);
    life.put(&rest);
    life.settle();
    assert_eq!(matters(&world), [Matter::Lost]);
    assert_eq!(life.spool.usage().parts, 0);
}

#[test]
fn a_hole_that_waits_is_a_loss_when_its_sender_says_where_it_begins() {
    let (world, recording, rest) = with_a_loss();
    let mut life = world.life();
    // A segment that was handed over in part, and is not offered again.
    let part_of = recording.iter().position(|p| p.segment() == 2).unwrap();
    let part_of = &recording[part_of..part_of + 2];
    life.put(part_of);
    life.settle();
    drop(life);
    let mut life = world.life();
    life.put(&rest[..4]);
    life.settle();
    assert_eq!(matters(&world), [Matter::Hole]);
    // Another place than that of the hole says nothing about it.
    let second = rest.iter().find(|part| part.segment() == 5).unwrap();
    life.live.begins_at(id(3), Spot::of(second));
    life.settle();
    assert_eq!(matters(&world), [Matter::Hole]);
    life.live.begins_at(id(3), Spot::of(&rest[0]));
    life.put(&rest);
    life.settle();
    assert_eq!(matters(&world), [Matter::Hole, Matter::Lost]);
    assert_eq!(world.aside(id(3)), bytes_of(part_of));
    assert_eq!(life.spool.usage().parts, 0);
    assert!(read_through(&life).ends_with(&bytes_of(&rest)));
}

#[test]
fn without_room_aside_a_loss_stays_a_hole_and_holds_up_nobody() {
    let (world, recording, rest) = with_a_loss();
    let world = World {
        aside_bytes_max: 10,
        ..world
    };
    let part_of = recording.iter().position(|p| p.segment() == 2).unwrap();
    let mut life = world.life();
    life.put(&recording[part_of..part_of + 2]);
    life.settle();
    drop(life);
    let mut life = world.life();
    life.live.begins_at(id(3), Spot::of(&rest[0]));
    life.put(&rest);
    let other = parts(4, Shape::of(2, 2));
    life.put(&other);
    life.settle();
    assert_eq!(matters(&world), [Matter::Hole]);
    assert_eq!(world.stored(id(4)), bytes_of(&other));
    assert_eq!(life.spool.usage().parts, rest.len() + 2);
}

#[test]
fn a_loss_is_told_again_after_a_kill_and_archived_once() {
    let (world, _, rest) = with_a_loss();
    let mut life = world.life();
    life.live.begins_at(id(3), Spot::of(&rest[0]));
    life.put(&rest[..3]);
    life.keeper.step();
    assert_eq!(matters(&world), [Matter::Lost]);
    drop(life);
    let mut life = world.life();
    life.settle();
    assert_eq!(matters(&world), [Matter::Lost, Matter::Hole]);
    life.live.begins_at(id(3), Spot::of(&rest[0]));
    life.put(&rest);
    life.settle();
    assert_eq!(matters(&world), [Matter::Lost, Matter::Hole, Matter::Lost]);
    assert_eq!(life.spool.usage().parts, 0);
    assert!(read_through(&life).ends_with(&bytes_of(&rest)));
}

#[test]
fn nothing_is_given_up_that_is_here_nor_another_key_taken_behind_a_loss() {
    let world = World::new();
    let whole = parts(3, Shape::of(6, 3));
    let fourth = whole.iter().find(|part| part.segment() == 4).unwrap();
    let mut life = world.life();
    life.live.begins_at(id(3), Spot::of(fourth));
    life.put(&whole);
    life.settle();
    world.must_be_done(&life, &[whole]);
    assert_eq!(matters(&world), []);

    let (world, ..) = with_a_loss();
    let forged = parts_signed(3, Shape::of(6, 3), &key(99));
    let forged: Vec<Part> = forged.into_iter().filter(|p| p.segment() >= 4).collect();
    let mut life = world.life();
    life.live.begins_at(id(3), Spot::of(&forged[0]));
    life.put(&forged);
    life.settle();
    let wanted = [Matter::Lost, Matter::Chain(AlarmKind::SecondWriter)];
    assert_eq!(matters(&world), wanted);
    let newest = world.catalog.heads(&[id(3)]).unwrap()[0].clone().unwrap();
    assert_eq!(newest.number, 1);
}

#[test]
fn without_room_aside_the_parts_stay_and_their_session_is_refused() {
    let world = World {
        aside_bytes_max: 10,
        ..World::new()
    };
    let mut bad = parts(1, Shape::of(1, 2));
    if let Part::Frame(frame) = &mut bad[1] {
        frame.bytes[4] ^= 1;
    }
    let good = parts(2, Shape::of(2, 1));
    let mut life = world.life();
    life.put(&bad);
    life.put(&good);
    life.settle();
    assert_eq!(world.stored(id(2)), bytes_of(&good));
    assert_eq!(life.spool.usage().parts, bad.len());
    assert_eq!(world.alarms.lock().unwrap()[0].matter, Matter::AsideFull);
    let refused = life.tee.put(&parts(1, Shape::of(2, 2)));
    assert!(matches!(refused, Err(SinkError::Refused(_))), "{refused:?}");
    life.tee.put(&parts(3, Shape::of(1, 1))).unwrap();
}

#[test]
fn nothing_is_forgotten_before_whoever_could_go_on_with_it_knows() {
    let world = World::new();
    let open = parts(
        1,
        Shape {
            ends: false,
            ..Shape::of(3, 2)
        },
    );
    let told = Arc::new(Mutex::new((Vec::new(), false)));
    let of_hook = told.clone();
    let mut life = world.life_with(|hooks| {
        hooks.before_forget = Arc::new(move |session, tip| {
            let mut told = of_hook.lock().unwrap();
            told.0.push((session, tip.number, tip.next_seq));
            match told.1 {
                true => Ok(()),
                false => Err("not now".to_owned()),
            }
        });
    });
    life.put(&open);
    life.settle();
    assert_eq!(
        life.spool.usage().parts,
        open.len(),
        "nothing was forgotten"
    );
    assert!(
        told.lock()
            .unwrap()
            .0
            .iter()
            .all(|(_, number, _)| *number == 0)
    );
    told.lock().unwrap().1 = true;
    life.settle();
    let tail = open.iter().filter(|p| p.segment() == 2).count();
    assert_eq!(life.spool.usage().parts, tail);
    let numbers: Vec<u32> = told.lock().unwrap().0.iter().map(|(_, n, _)| *n).collect();
    assert_eq!(numbers.last(), Some(&1));
}

#[test]
fn whose_a_session_is_is_known_from_its_first_frame_on() {
    let world = World::new();
    let open = parts(
        1,
        Shape {
            ends: false,
            ..Shape::of(2, 1)
        },
    );
    let catalog: Arc<dyn Catalog> = Arc::new(world.catalog.clone());
    let wanted = Some(key(1).public());
    let mut life = world.life();
    let owners = Owners::new(life.live.clone(), life.spool.clone(), catalog.clone());
    assert_eq!(owners.owner_key(id(1)).unwrap(), None);
    life.put(&open[..1]);
    assert_eq!(
        owners.owner_key(id(1)).unwrap(),
        wanted,
        "before the keeper read it"
    );
    drop((life, owners));
    let mut life = world.life();
    let owners = Owners::new(life.live.clone(), life.spool.clone(), catalog.clone());
    assert_eq!(
        owners.owner_key(id(1)).unwrap(),
        wanted,
        "from the spool after a start"
    );
    life.put(&open[1..]);
    life.settle();
    drop((life, owners));
    let world = World {
        disk: hansard_record::sim::SimDisk::new(3),
        ..world
    };
    let life = world.life();
    let owners = Owners::new(life.live.clone(), life.spool.clone(), catalog.clone());
    assert_eq!(owners.owner_key(id(1)).unwrap(), wanted, "from the catalog");
    world.projector().run_all().unwrap();
    let burial = Burial {
        by: "alice".to_owned(),
        why: "asked for".to_owned(),
        utc_ns: 1,
    };
    let buried = catalog.bury(id(1), &burial).unwrap();
    assert!(matches!(buried, Buried::Done(_)), "{buried:?}");
    let key = owners.owner_key(id(1)).unwrap();
    assert_eq!(key, wanted, "of what was deleted");
}
