//! Following a session while it is recorded, archived and forgotten: every part once, in order, and
//! for those who come late the screen first.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hansard_core::frame::{Frame, Part};
use hansard_view::Screen;
use hansardd::follow::{Events, Follow, FollowError, Followed, Next, Screens, Told};
use support::{Shape, World, bytes_of, events_of, id, mix, parts};

/// Long enough that only a bug runs into it.
const PATIENCE: Duration = Duration::from_secs(20);

fn all_of(follow: &mut Follow, pause: impl Fn(usize)) -> Vec<Part> {
    let mut parts = Vec::new();
    loop {
        pause(parts.len());
        match follow.next(PATIENCE).unwrap() {
            Next::Part(part) => parts.push(part),
            Next::End => return parts,
            other => panic!("{other:?} after {} parts", parts.len()),
        }
    }
}

#[test]
fn across_all_borders_while_it_is_recorded_and_archived() {
    for round in 0..30u64 {
        let recording = parts(
            round,
            Shape::of(1 + (round % 6) as u32, 1 + (round % 4) as u32),
        );
        let world = World::new();
        let mut life = world.life();
        let followed = life.followed();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mut followers = Vec::new();
            for n in 0..4u64 {
                let (followed, recording, done) = (&followed, &recording, &done);
                followers.push(scope.spawn(move || {
                    // Some begin late, some are slow.
                    let late = mix(round * 7 + n) % 3000;
                    (0..late).for_each(|_| std::thread::yield_now());
                    let mut follow = followed.follow(id(round), 0).unwrap();
                    let got = all_of(&mut follow, |at| {
                        let slow = if n % 2 == 0 {
                            mix(at as u64 + n) % 50
                        } else {
                            0
                        };
                        (0..slow).for_each(|_| std::thread::yield_now());
                    });
                    assert_eq!(got, *recording, "round {round}, follower {n}");
                    let _ = done.load(Ordering::Relaxed);
                }));
            }
            let mut rng = round;
            for part in &recording {
                life.put(std::slice::from_ref(part));
                rng = mix(rng);
                for _ in 0..rng % 3 {
                    life.keeper.step();
                    life.world.clock.advance(1_000_000);
                }
            }
            life.settle();
            done.store(true, Ordering::Relaxed);
            for follower in followers {
                follower.join().unwrap();
            }
        });
        assert_eq!(life.spool.usage().parts, 0);
        // And once more when everything is archived.
        let mut follow = followed.follow(id(round), 0).unwrap();
        assert_eq!(all_of(&mut follow, |_| {}), recording);
    }
}

#[test]
fn one_that_is_put_by_anywhere_goes_on_there() {
    let recording = parts(3, Shape::of(4, 3));
    let world = World::new();
    let mut life = world.life();
    let followed = life.followed();
    let (mut got, mut position) = (Vec::new(), (0, 0));
    let mut read_on = || loop {
        let mut events = Events::look_through(&followed, id(3), position);
        match events.next(Duration::ZERO).unwrap() {
            Told::Events(more) => got.extend(more),
            Told::Waiting => return false,
            Told::End => return true,
            Told::Lost { what, .. } => panic!("{what}"),
        }
        position = events.position();
    };
    for (n, part) in recording.iter().enumerate() {
        life.put(std::slice::from_ref(part));
        if n % 2 == 0 {
            life.keeper.step();
        }
        read_on();
    }
    life.settle();
    assert!(read_on(), "its end");
    assert_eq!(got, events_of(&recording));
}

#[test]
fn one_that_waits_is_woken_and_one_that_need_not_wait_does_not() {
    let world = World::new();
    let mut life = world.life();
    let recording = parts(
        1,
        Shape {
            ends: false,
            ..Shape::of(2, 2)
        },
    );
    let followed = life.followed();
    let mut follow = followed.follow(id(1), 0).unwrap();
    assert_eq!(follow.next(Duration::ZERO), Ok(Next::Waiting));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| follow.next(PATIENCE));
        life.put(&recording[..1]);
        assert_eq!(first.join().unwrap(), Ok(Next::Part(recording[0].clone())));
    });
    life.put(&recording[1..]);
    life.settle();
    for part in &recording[1..] {
        assert_eq!(follow.next(Duration::ZERO), Ok(Next::Part(part.clone())));
    }
    assert_eq!(follow.next(Duration::ZERO), Ok(Next::Waiting));
}

#[test]
fn one_whose_session_is_put_aside_is_told_so() {
    let world = World::new();
    let mut life = world.life();
    let mut recording = parts(1, Shape::of(2, 2));
    if let Part::Frame(Frame { bytes, .. }) = &mut recording[2] {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
    }
    let followed = life.followed();
    let mut events = Events::new(&followed, id(1), (0, 0)).unwrap();
    life.put(&recording[..2]);
    assert!(matches!(events.next(PATIENCE), Ok(Told::Events(_))));
    assert!(matches!(events.next(PATIENCE), Ok(Told::Events(_))));
    life.put(&recording[2..]);
    assert!(matches!(
        events.next(PATIENCE),
        Ok(Told::Lost { segment: 0, .. })
    ));
    life.settle();
    let mut last = events.next(PATIENCE);
    while let Ok(Told::Events(_) | Told::Lost { .. } | Told::End) = last {
        if last == Ok(Told::End) {
            return;
        }
        last = events.next(PATIENCE);
    }
    assert!(matches!(last, Err(FollowError::Aside(_))), "{last:?}");
}

#[test]
fn what_the_archive_has_lost_is_said_and_the_rest_goes_on() {
    let world = World::new();
    let mut life = world.life();
    let recording = parts(1, Shape::of(3, 2));
    for part in &recording {
        life.put(std::slice::from_ref(part));
        life.keeper.step();
        life.world.clock.advance(2_000_000);
    }
    life.settle();
    let (row, _) = life.archive.segment(id(1), 1).unwrap().unwrap();
    let at = row.place.offset + row.place.bytes / 2;
    world.blobs.rot(&row.place.blob, at as usize, 2);
    let mut follow = life.followed().follow(id(1), 0).unwrap();
    let (mut got, mut lost) = (Vec::new(), Vec::new());
    loop {
        match follow.next(PATIENCE).unwrap() {
            Next::Part(part) => got.push(part),
            Next::Lost { segment, .. } => lost.push(segment),
            Next::End => break,
            Next::Waiting => panic!("{} parts", got.len()),
        }
    }
    assert_eq!(lost, [1]);
    let wanted: Vec<Part> = recording.into_iter().filter(|p| p.segment() != 1).collect();
    assert_eq!(got, wanted);
}

/// What a watcher's terminal shows in the end.
fn watched(followed: &Followed, screens: &Screens, number: u64) -> (Screen, u64, Vec<u64>) {
    let mut watch = screens.watch(id(number)).unwrap();
    assert_eq!(
        followed.live.standing(id(number)).map(|s| s.followers > 0),
        Some(true)
    );
    let mut screen = Screen::new(watch.size.0, watch.size.1);
    screen.feed(&watch.dump);
    let (first, mut seqs) = (watch.next_seq, Vec::new());
    loop {
        match watch.next(PATIENCE).unwrap() {
            Told::Events(events) => {
                for event in events {
                    seqs.push(event.seq);
                    screen.apply(&event.body);
                }
            }
            Told::End => return (screen, first, seqs),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_comes_late_sees_the_same_screen() {
    for number in 0..12u64 {
        let recording = parts(number, Shape::of(3, 3));
        let events = events_of(&recording);
        let mut wanted = Screen::default();
        events.iter().for_each(|event| wanted.apply(&event.body));
        let world = World::new();
        let mut life = world.life();
        let followed = life.followed();
        let screens = Screens::new(followed.clone());
        std::thread::scope(|scope| {
            let mut watchers = Vec::new();
            let mut rng = number;
            for part in &recording {
                life.put(std::slice::from_ref(part));
                rng = mix(rng);
                if rng.is_multiple_of(3) {
                    life.keeper.step();
                    life.world.clock.advance(2_000_000);
                }
                let is_open = part != recording.last().unwrap();
                if rng.is_multiple_of(2) && is_open {
                    let (followed, screens) = (&followed, &screens);
                    let before = followed.live.watch(id(number));
                    watchers.push(scope.spawn(move || {
                        let _before = before;
                        watched(followed, screens, number)
                    }));
                }
            }
            assert!(!watchers.is_empty());
            for watcher in watchers {
                let (screen, first, seqs) = watcher.join().unwrap();
                let rest: Vec<u64> = (first..events.len() as u64).collect();
                assert_eq!(seqs, rest, "exactly from where the screen was");
                assert_eq!(
                    (screen.size(), screen.rows()),
                    (wanted.size(), wanted.rows())
                );
            }
        });
        life.settle();
        assert_eq!(screens.usage().0, 0, "no emulator without watchers");
        assert!(screens.usage().1 > 0, "but the last screen is parked");
        // From where it was parked, with everything archived.
        let late = screens.watch(id(number)).unwrap();
        assert_eq!(late.next_seq, events.len() as u64);
        let mut screen = Screen::new(late.size.0, late.size.1);
        screen.feed(&late.dump);
        assert_eq!(screen.rows(), wanted.rows());
        assert_eq!(late.header.as_ref().unwrap().id, id(number));
        assert_eq!(bytes_of(&recording), world.stored(id(number)));
    }
}
