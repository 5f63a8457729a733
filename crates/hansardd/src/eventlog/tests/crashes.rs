//! Killed at every step, and everything again from any earlier point.

use super::*;

const AGES: Ages = Ages {
    compress_after_ns: Some(0),
    keep_ns: None,
};

/// What was given to the log, and what was promised.
struct Keeper {
    sessions: Vec<Vec<Event>>,
    /// Events of each session that were given.
    given: Vec<usize>,
    /// Those of them before which nothing need come again.
    promised: Vec<usize>,
}

impl Keeper {
    fn new() -> Self {
        Self {
            sessions: vec![events(0, 20), events(1, 3), events(2, 14)],
            given: vec![0; 3],
            promised: vec![0; 3],
        }
    }

    /// Gives everything that was not given, in pieces, with syncs, a day's turn and tidying between.
    fn work(&mut self, world: &World, log: &mut EventLog, rng: &mut Rng) -> io::Result<()> {
        let mut tidy = world.tidy(log.current(), AGES);
        let mut step = 0;
        while (0..3).any(|s| self.given[s] < self.sessions[s].len()) {
            step += 1;
            let s = rng.up_to(2);
            let from = self.given[s];
            let until = (from + 1 + rng.up_to(4)).min(self.sessions[s].len());
            log.events(&header(s as u8), &self.sessions[s][from..until])?;
            self.given[s] = until;
            if step % 4 == 0 {
                log.sync()?;
                self.promised.clone_from(&self.given);
            }
            match step % 7 {
                3 => log.tick()?,
                5 => world.clock.advance(20 * HOUR),
                6 => assert_eq!(tidy.run(&mut |_| {})?.removed, 0),
                _ => {}
            }
        }
        log.sync()?;
        self.promised.clone_from(&self.given);
        Ok(())
    }

    /// What was promised is in the log, once.
    fn check_promised(&self, world: &World, what: &str) {
        let lines = world.lines();
        for s in 0..3 {
            for line in lines_of(s as u8, &self.sessions[s][..self.promised[s]]) {
                assert_eq!(lines.get(&line), Some(&1), "{what}: {line}");
            }
        }
    }

    /// Begins again, each session somewhere before what was promised.
    fn rewind(&mut self, rng: &mut Rng) {
        for s in 0..3 {
            self.given[s] = rng.up_to(self.promised[s]);
        }
    }
}

/// Runs until this call, then again on what is left; answers the calls of a run that is not cut.
fn crash(seed: u64, at: Option<(u64, bool)>, power_loss: bool, again: Option<u64>) -> u64 {
    let what = format!("seed {seed} at {at:?} power loss {power_loss} again {again:?}");
    let mut world = World::new(seed);
    let mut rng = Rng::new(seed);
    let mut keeper = Keeper::new();
    let mut cut = at;
    for round in 0..4 {
        if let Some((call, after)) = cut.take() {
            world.disk.cut_power_at(world.disk.calls() + call, after);
        }
        let done = world.open().and_then(|mut log| {
            keeper.work(&world, &mut log, &mut rng)?;
            Ok(log)
        });
        match done {
            Ok(log) => {
                if at.is_none() {
                    return world.disk.calls();
                }
                // What a crash left of tidying.
                world.tidy(log.current(), AGES).run(&mut |_| {}).unwrap();
                assert_eq!(world.lines(), once(&keeper.sessions), "{what}");
                return world.disk.calls();
            }
            Err(_) if round == 3 => panic!("{what}: it does not come to an end"),
            Err(_) => {}
        }
        world = world.with(match power_loss {
            true => world.disk.after_power_loss(seed ^ round),
            false => world.disk.after_crash(),
        });
        // A second crash, while the first is made good.
        cut = again
            .filter(|_| round == 0)
            .map(|call| (call, call % 2 == 0));
        if cut.is_none() {
            let log = world.open().unwrap();
            world.tidy(log.current(), AGES).run(&mut |_| {}).unwrap();
            keeper.check_promised(&world, &what);
        }
        keeper.rewind(&mut rng);
    }
    0
}

#[test]
fn a_crash_at_any_step_loses_and_doubles_nothing() {
    let calls = crash(1, None, false, None);
    assert!(calls > 60, "{calls}");
    for call in 1..=calls {
        for after in [false, true] {
            for power_loss in [false, true] {
                crash(1, Some((call, after)), power_loss, None);
            }
        }
    }
}

#[test]
fn two_crashes_after_each_other_lose_and_double_nothing() {
    for seed in 2..200 {
        let calls = crash(seed, None, false, None);
        let mut rng = Rng::new(seed);
        let at = (1 + rng.below(calls), rng.one_in(2));
        let again = 1 + rng.below(25);
        for power_loss in [false, true] {
            crash(seed, Some(at), power_loss, Some(again));
        }
    }
}

/// Gives it again until it is taken, as the keeper does.
fn until_taken(mut act: impl FnMut() -> io::Result<()>) -> u64 {
    let mut failures = 0;
    while act().is_err() {
        failures += 1;
        assert!(failures < 1000, "never taken");
    }
    failures
}

#[test]
fn a_disk_that_fails_is_waited_for() {
    let mut failures = 0;
    for seed in 0..60 {
        let world = World::new(seed);
        let mut log = world.open().unwrap();
        world.disk.set_odds(Odds {
            short_write: 5,
            full: 6,
            broken_write: 9,
            failed_sync: 5,
        });
        let sessions = [events(0, 40), events(1, 40)];
        for from in (0..42).step_by(3) {
            let part = |s: usize| &sessions[s][from..(from + 3).min(42)];
            for s in 0..2 {
                failures += until_taken(|| log.events(&header(s as u8), part(s)));
            }
            failures += until_taken(|| log.tick());
            if from % 2 == 0 {
                failures += until_taken(|| log.sync());
            }
            if from % 5 == 0 {
                world.clock.advance(30 * HOUR);
            }
        }
        failures += until_taken(|| log.sync());
        // Nothing but what is durable counts.
        let world = world.with(world.disk.after_power_loss(seed));
        assert_eq!(world.lines(), once(&sessions), "seed {seed}");
    }
    assert!(failures > 300, "{failures}");
}

#[test]
fn a_full_disk_holds_whoever_gives_and_takes_no_memory() {
    let world = World::new(4);
    let mut log = world.open().unwrap();
    log.sync().unwrap();
    world.disk.set_capacity(Some(20_000));
    // One event of a session after the other: 10 MB of lines and no room for them.
    let all = events(0, 40_000);
    let mut given = 0;
    while given < all.len() {
        if log
            .events(&header(0), &all[given..(given + 100).min(all.len())])
            .is_err()
        {
            break;
        }
        given += 100;
    }
    assert!(given < all.len(), "it took everything");
    assert!(log.file.waiting() < LINES_BYTES_MAX + 200_000);
    assert!(log.sync().is_err());
    world.disk.set_capacity(None);
    log.events(&header(0), &all[given..]).unwrap();
    log.sync().unwrap();
    assert_eq!(world.lines(), once(&[all]));
}
