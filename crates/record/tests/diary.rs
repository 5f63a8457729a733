//! The own recording of a host: a chain of days without a hole, whatever happens in between.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hansard_core::event::Fact;
use hansard_core::policy::{OnLoss, Policy};
use hansard_core::verify::{Verdict, verify};
use hansard_core::{Body, Fields, Session, SessionId};
use hansard_record::diary::{About, DAY_IS_OVER, Diary, Means};
use hansard_record::disk::Disk;
use hansard_record::memory_sink::PutFault;
use hansard_record::revive::{Revival, revive};
use hansard_record::sim::{SimClock, SimDisk, SimRandom, WriteFault};
use hansard_record::{Cause, Environment, MemorySink, OpenSessions, Options, Spool, SpoolOptions};
use support::{key, read_all};

const HOUR: u64 = 3_600_000_000_000;
const YEAR: u64 = 365 * 24 * HOUR;
const START_UTC: u64 = 1_700_000_000_000_000_000;

fn about(hold_ms: u64) -> About {
    About {
        kind: "host".into(),
        target: Fields::new().with("server_id", "h1"),
        policy: Policy {
            on_loss: OnLoss::Hold,
            hold_ms_max: hold_ms,
            ..Policy::default()
        },
        recorder: "hansard test".into(),
        options: Options::default(),
        day_ns: 24 * HOUR,
    }
}

fn fact(n: u64) -> Body {
    Body::Admin(Fact {
        event: "test".into(),
        fields: Fields::new().with("n", n),
    })
}

fn number(body: &Body) -> Option<u64> {
    match body {
        Body::Admin(fact) => fact.fields.get("n")?.as_uint(),
        _ => None,
    }
}

/// A diary over a sink that can be told to fail.
struct Rig {
    disk: SimDisk,
    sink: MemorySink,
    clock: SimClock,
    diary: Diary,
}

fn environment(disk: &SimDisk, clock: &SimClock, seed: u64) -> Environment {
    Environment {
        clock: Arc::new(clock.clone()),
        disk: Arc::new(disk.clone()),
        random: Arc::new(SimRandom::new(seed)),
    }
}

fn rig(hold_ms: u64) -> Rig {
    rig_of(about(hold_ms))
}

fn rig_of(about: About) -> Rig {
    let (disk, clock, sink) = (SimDisk::new(1), SimClock::new(START_UTC), MemorySink::new());
    let env = environment(&disk, &clock, 1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let given = sink.clone();
    let means = Means {
        key: key(),
        sinks: Box::new(move || Box::new(given.clone())),
        open: OpenSessions::open(Path::new("/open"), shared, [1; 16]).unwrap(),
        env,
        link: "/diary".into(),
    };
    let diary = Diary::open(about, means, &Revival::default()).unwrap();
    Rig {
        disk,
        sink,
        clock,
        diary,
    }
}

/// Header and facts of a complete recording, with its final digest.
fn day(bytes: &[u8]) -> (Session, Vec<u64>, [u8; 32]) {
    let report = verify(bytes).unwrap();
    assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.damages);
    let facts = read_all(bytes).0;
    let facts = facts.iter().filter_map(|event| number(&event.body));
    (
        report.session.unwrap(),
        facts.collect(),
        report.head.unwrap(),
    )
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// Checks that each day names the one before, and answers all facts in order.
fn check_chain(days: &[Vec<u8>]) -> Vec<u64> {
    let mut before: Option<(SessionId, [u8; 32])> = None;
    let mut all = Vec::new();
    for bytes in days {
        let (session, facts, digest) = day(bytes);
        let named = session.target.text("previous.session").map(str::to_owned);
        assert_eq!(named, before.map(|(id, _)| id.to_string()));
        let named = session.target.text("previous.digest").map(str::to_owned);
        assert_eq!(named, before.map(|(_, digest)| hex(digest)));
        before = Some((session.id, digest));
        all.extend(facts);
    }
    all
}

fn in_order(sink: &MemorySink) -> Vec<Vec<u8>> {
    let mut sessions = sink.sessions();
    sessions.sort();
    sessions.into_iter().map(|id| sink.recording(id)).collect()
}

#[test]
fn each_day_names_the_one_before_and_no_event_is_lost() {
    let rig = rig(100);
    for n in 0..60 {
        rig.diary.event(fact(n)).unwrap();
        rig.clock.advance(HOUR);
    }
    let last = rig.diary.close("the daemon stops").unwrap().unwrap();
    let days = in_order(&rig.sink);
    assert_eq!(days.len(), 3);
    assert_eq!(check_chain(&days), (0..60).collect::<Vec<_>>());
    assert_eq!(last.digest, Some(day(&days[2]).2));
    assert_eq!(verify(&*days[0]).unwrap().end.unwrap().reason, DAY_IS_OVER);
    assert_eq!(rig.sink.complaints(), Vec::<String>::new());
    assert_eq!(rig.diary.event(fact(9)).unwrap_err().cause, Cause::Closed);
}

#[test]
fn a_wall_clock_that_jumps_ten_years_begins_no_day() {
    let rig = rig(100);
    rig.diary.event(fact(1)).unwrap();
    rig.clock.set_utc_ns(START_UTC + 10 * YEAR);
    rig.diary.event(fact(2)).unwrap();
    rig.clock.set_utc_ns(START_UTC - 10 * YEAR);
    rig.diary.event(fact(3)).unwrap();
    assert_eq!(rig.sink.sessions().len(), 1);
    // And one that stands still for good does not keep a day from ending.
    rig.clock.advance(24 * HOUR);
    rig.clock.set_utc_ns(START_UTC);
    rig.diary.tick().unwrap();
    assert_eq!(rig.sink.sessions().len(), 2);
}

#[test]
fn many_threads_write_while_the_day_changes() {
    // Hours pass while one of them waits for its turn on a busy machine: that is no sink that hangs.
    let rig = rig(500 * 60 * 60 * 1000);
    thread::scope(|scope| {
        for t in 0..8u64 {
            let (diary, clock) = (rig.diary.clone(), rig.clock.clone());
            scope.spawn(move || {
                for n in 0..50 {
                    diary.event(fact(t * 50 + n)).unwrap();
                    clock.advance(HOUR);
                }
            });
        }
    });
    rig.diary.close("done").unwrap();
    let days = in_order(&rig.sink);
    assert!(days.len() > 10, "{} days", days.len());
    let mut all = Vec::new();
    for bytes in &days {
        all.extend(day(bytes).1);
    }
    all.sort_unstable();
    assert_eq!(all, (0..400).collect::<Vec<_>>());
}

#[test]
fn a_day_that_cannot_be_closed_is_told_to_every_caller() {
    let rig = rig(0);
    rig.diary.event(fact(1)).unwrap();
    rig.diary.flush().unwrap();
    rig.clock.advance(25 * HOUR);
    rig.sink.fail_times(1000, PutFault::LoseBefore);
    let lost = rig.diary.event(fact(2)).unwrap_err();
    assert_eq!(lost.cause, Cause::HeldTooLong);
    rig.sink.heal();
    assert_eq!(
        rig.diary.event(fact(3)).unwrap_err().cause,
        Cause::HeldTooLong
    );
    assert!(rig.diary.flush().is_err());
    assert_eq!(rig.sink.sessions().len(), 1);
}

#[test]
fn a_day_that_cannot_be_begun_is_begun_when_there_is_room() {
    let rig = rig(0);
    rig.diary.event(fact(1)).unwrap();
    rig.clock.advance(25 * HOUR);
    // The first day is closed while the sink takes everything; the next one's note is not written.
    rig.disk.fail_next_write(WriteFault::Full);
    let lost = rig.diary.event(fact(2)).unwrap_err();
    assert_eq!(lost.cause, Cause::Refused, "{lost}");
    rig.diary.event(fact(3)).unwrap();
    rig.diary.close("done").unwrap();
    assert_eq!(check_chain(&in_order(&rig.sink)), vec![1, 3]);
}

/// Lets time pass while something else is done, a second in each millisecond.
fn meanwhile<T>(clock: &SimClock, act: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                clock.advance(HOUR / 3600);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let done = act();
        is_done.store(true, Ordering::Release);
        done
    })
}

#[test]
fn one_that_keeps_trying_tells_whoever_waits_and_loses_nothing() {
    let mut about = about(2_000);
    about.options.keeps_trying = true;
    let rig = rig_of(about);
    rig.diary.event(fact(1)).unwrap();
    rig.diary.flush().unwrap();
    rig.sink.fail_times(100_000, PutFault::LoseBefore);
    // What was queued is not lost with the answer that it is not durable.
    rig.diary.event(fact(2)).unwrap();
    for _ in 0..3 {
        let lost = meanwhile(&rig.clock, || rig.diary.flush()).unwrap_err();
        assert_eq!(lost.cause, Cause::HeldTooLong);
        assert!(
            lost.to_string().contains("it is still being tried"),
            "{lost}"
        );
        assert!(!rig.diary.is_lost());
    }
    // No page is turned meanwhile: the end of a day takes room, too.
    rig.clock.advance(25 * HOUR);
    let _ = rig.diary.tick();
    assert_eq!(rig.sink.sessions().len(), 1);
    rig.sink.heal();
    meanwhile(&rig.clock, || {
        while rig.diary.flush().is_err() {
            assert!(!rig.diary.is_lost());
        }
    });
    rig.diary.event(fact(3)).unwrap();
    rig.diary.close("done").unwrap();
    assert_eq!(check_chain(&in_order(&rig.sink)), vec![1, 2, 3]);
    assert_eq!(rig.sink.sessions().len(), 2);
}

/// A daemon's start over a real spool, killed without warning.
struct Daemon {
    spool: Spool,
    diary: Diary,
}

fn start(disk: &SimDisk, clock: &SimClock, seed: u64, boot: u8, crash_early: bool) -> Daemon {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let spool = Spool::open(
        Path::new("/spool"),
        Arc::clone(&shared),
        SpoolOptions::default(),
    )
    .unwrap();
    let open = OpenSessions::open(Path::new("/open"), shared, [boot; 16]).unwrap();
    let revival = revive(&spool, &mut spool.clone(), &key(), &open).unwrap();
    let given = spool.clone();
    let means = Means {
        key: key(),
        sinks: Box::new(move || Box::new(given.clone())),
        open: open.clone(),
        env: environment(disk, clock, seed),
        link: "/diary".into(),
    };
    let diary = Diary::open(about(100), means, &revival).unwrap();
    if !crash_early {
        revival.done(&open).unwrap();
    }
    Daemon { spool, diary }
}

fn recordings(spool: &Spool) -> Vec<Vec<u8>> {
    let mut all = std::collections::BTreeMap::<SessionId, Vec<u8>>::new();
    for pending in spool.pending(None, usize::MAX) {
        let part = spool.read(&pending).unwrap();
        all.entry(pending.session).or_default().extend(part.bytes());
    }
    all.into_values().collect()
}

#[test]
fn killed_again_and_again_the_chain_of_days_has_no_hole() {
    let (disk, clock) = (SimDisk::new(1), SimClock::new(START_UTC));
    for life in 0..8u64 {
        // Lives 2 and 5 are other boots: notes of a diary are synced, and believed all the same.
        let boot = u8::try_from(life / 3).unwrap();
        let daemon = start(&disk, &clock, life, boot, life % 2 == 1);
        daemon.diary.event(fact(2 * life)).unwrap();
        if life == 4 {
            clock.advance(25 * HOUR);
        }
        daemon.diary.event(fact(2 * life + 1)).unwrap();
        daemon.diary.flush().unwrap();
        clock.advance(1_000_000_000);
        if life == 6 {
            daemon.diary.close("the daemon stops").unwrap();
        }
        // Dropping the recorder makes its tail durable but writes no end: to the next start that
        // is a kill.
        drop(daemon);
    }
    let daemon = start(&disk, &clock, 99, 9, false);
    daemon.diary.close("done").unwrap();
    let days = recordings(&daemon.spool);
    assert_eq!(days.len(), 10);
    assert_eq!(check_chain(&days), (0..16).collect::<Vec<_>>());
}

#[test]
fn a_damaged_link_is_said_and_not_passed_over() {
    let (disk, clock) = (SimDisk::new(1), SimClock::new(START_UTC));
    drop(start(&disk, &clock, 1, 1, false));
    disk.rot(Path::new("/diary"), 12, 1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let sink = MemorySink::new();
    let means = Means {
        key: key(),
        sinks: Box::new(move || Box::new(sink.clone())),
        open: OpenSessions::open(Path::new("/open2"), shared, [1; 16]).unwrap(),
        env: environment(&disk, &clock, 2),
        link: "/diary".into(),
    };
    let lost = Diary::open(about(1), means, &Revival::default())
        .err()
        .unwrap();
    assert!(lost.detail.starts_with("/diary: "), "{lost}");
}
