//! The keeper killed at every call of a store or a tap, and the power cut at every write: after the
//! next starts everything that was acknowledged is archived once and told once, and nothing was
//! ever archived that had not been told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use hansard_core::Sink;
use hansard_core::frame::{Frame, Part};
use hansard_store::Catalog;
use hansard_store::fault::Fault;
use support::{Life, Shape, World, bytes_of, interleave, mix, parts};

fn sessions() -> Vec<Vec<Part>> {
    (0..6)
        .map(|n| parts(n, Shape::of(1 + (n % 3) as u32, 1 + (n % 3) as u32)))
        .collect()
}

/// One life: takes in what is offered, works, and may be killed anywhere.
fn live(mut life: Life, offers: &[Part]) -> Life {
    for part in offers {
        life.put(std::slice::from_ref(part));
        life.keeper.step();
    }
    life.settle();
    life
}

#[test]
fn killed_at_every_call_of_a_store_or_a_tap() {
    let sessions = sessions();
    let all = interleave(&sessions, 11);
    let (first, second) = all.split_at(all.len() * 2 / 3);
    for fault in Fault::ALL {
        let mut call = 1;
        loop {
            let world = World::new();
            world.faults.go_down_at(call, fault);
            drop(live(world.life(), first));
            let was_killed = world.faults.has_failed();
            world.faults.heal();
            world.must_have_logged_what_is_archived(&sessions);
            // The second life is killed as well, a little later than it began.
            world.faults.go_down_at(1 + call % 7, fault);
            drop(live(world.life(), &[]));
            world.faults.heal();
            world.must_have_logged_what_is_archived(&sessions);
            let life = live(world.life(), second);
            world.must_be_done(&life, &sessions);
            assert!(
                world.alarms.lock().unwrap().is_empty(),
                "call {call}, {fault:?}"
            );
            if !was_killed {
                break;
            }
            call += 1;
        }
        assert!(call > 30, "{call} calls");
    }
}

#[test]
fn failing_once_at_every_call_needs_no_restart() {
    let sessions = sessions();
    let all = interleave(&sessions, 12);
    for fault in Fault::ALL {
        let mut call = 1;
        loop {
            let world = World::new();
            world.faults.fail_once_at(call, fault);
            let life = live(world.life(), &all);
            let has_failed = world.faults.has_failed();
            world.faults.heal();
            world.must_be_done(&life, &sessions);
            if !has_failed {
                break;
            }
            call += 1;
        }
    }
}

/// Without any help of a sender, every part that was acknowledged is in the archive, in the spool or
/// aside.
fn must_hold(world: &World, life: &Life, acknowledged: &[Part]) {
    for part in acknowledged {
        let session = part.session();
        let mut held = world.stored(session);
        for pending in life.spool.pending_of(session, None, 1000) {
            held.extend_from_slice(life.spool.read(&pending).unwrap().bytes());
        }
        held.extend(world.aside(session));
        let bytes = part.bytes();
        assert!(
            held.windows(bytes.len()).any(|w| w == bytes),
            "a part is lost"
        );
    }
}

#[test]
fn the_power_cut_at_every_write() {
    let mut sessions = sessions();
    // One of them must be put aside, which writes files, too.
    let mut bad = parts(7, Shape::of(2, 2));
    if let Part::Frame(Frame { bytes, .. }) = &mut bad[2] {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
    }
    sessions.push(bad.clone());
    let all = interleave(&sessions, 13);
    sessions.pop();
    for after in [false, true] {
        let mut call = 4;
        loop {
            let mut world = World::new();
            let mut life = world.life();
            world.disk.cut_power_at(call, after);
            let mut acknowledged = 0;
            for (i, part) in all.iter().enumerate() {
                if life.tee.put(std::slice::from_ref(part)).is_err() {
                    break;
                }
                acknowledged = i + 1;
                life.keeper.step();
            }
            life.settle();
            drop(life);
            let was_cut = world.disk.calls() >= call;
            world.disk = world.disk.after_power_loss(mix(call));
            world.must_have_logged_what_is_archived(&sessions);
            // The sender has what it has no receipt of class S for, and offers it again in order.
            let mut life = world.life();
            life.settle();
            must_hold(&world, &life, &all[..acknowledged]);
            let settled = world.settled.lock().unwrap().clone();
            let again: Vec<Part> = all
                .iter()
                .filter(|p| !settled.contains_key(&(p.session(), p.segment())))
                .cloned()
                .collect();
            let bad_aside = bytes_of(&bad) == world.aside(bad[0].session());
            let again: Vec<Part> = again
                .into_iter()
                .filter(|p| !bad_aside || p.session() != bad[0].session())
                .collect();
            let life = live(life, &again);
            world.must_be_done(&life, &sessions);
            let aside = world.aside(bad[0].session());
            assert!(aside.len() >= bytes_of(&bad).len(), "call {call}");
            assert!(!world.catalog.quarantined(None, 9).unwrap().is_empty());
            assert!(!world.alarms.lock().unwrap().is_empty(), "call {call}");
            assert!(world.stored(bad[0].session()).len() < bytes_of(&bad).len());
            if !was_cut {
                break;
            }
            call += 1;
        }
        assert!(call > 60, "{call} calls");
    }
}
