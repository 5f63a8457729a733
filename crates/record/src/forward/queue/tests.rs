//! The queue, with a service that says whatever a test wants it to say.

use super::*;
use crate::SpoolOptions;
use crate::conformance::sample_parts;
use crate::sim::{SimDisk, SimRandom};
use hansard_core::Sink;
use std::path::Path;
use std::sync::Mutex;

struct Scene {
    disk: SimDisk,
    spool: Spool,
    queue: Queue,
    alarms: Arc<Mutex<Vec<Alarm>>>,
    status: Arc<Status>,
}

fn scene(parts: &[Part]) -> Scene {
    let disk = SimDisk::new(1);
    let options = SpoolOptions::default();
    let mut spool = Spool::open(Path::new("/spool"), Arc::new(disk.clone()), options).unwrap();
    parts.chunks(5).for_each(|batch| {
        spool.put(batch).unwrap();
    });
    let alarms = Arc::new(Mutex::new(Vec::new()));
    let status = Arc::new(Status::new(spool.clone()));
    let raised = Arc::clone(&alarms);
    let queue = Queue::new(
        spool.clone(),
        Quarantine::new(Path::new("/aside"), Arc::new(disk.clone())),
        Arc::new(SimRandom::new(1)),
        Arc::clone(&status),
        (
            Arc::new(move |alarm| raised.lock().unwrap().push(alarm)),
            Arc::new(|_, _| Ok(())),
        ),
    );
    Scene {
        disk,
        spool,
        queue,
        alarms,
        status,
    }
}

/// Two sessions, their parts by turns.
fn mixed() -> (Vec<Part>, Vec<Part>, Vec<Part>) {
    let (mut a, mut b) = (sample_parts(1).unwrap(), sample_parts(2).unwrap());
    a.truncate(b.len());
    b.truncate(a.len());
    let both = a.iter().zip(&b).flat_map(|(a, b)| [a.clone(), b.clone()]);
    (both.collect(), a, b)
}

/// Everything that is sent now.
fn drain(queue: &mut Queue, now: Instant) -> Vec<Part> {
    let mut all = Vec::new();
    loop {
        let batch = queue.next(now);
        if batch.parts.is_empty() {
            return all;
        }
        all.extend(batch.parts.into_iter().map(|(_, part)| part));
    }
}

fn problem(session: SessionId, kind: ProblemKind, at: &Part) -> Problem {
    Problem {
        session,
        kind,
        at: Spot::of(at),
        why: "because".into(),
    }
}

fn of(parts: &[Part], session: SessionId) -> Vec<Part> {
    let mine = parts.iter().filter(|part| part.session() == session);
    mine.cloned().collect()
}

/// What a service says that has archived a segment of these.
fn receipt(parts: &[Part], segment: u32) -> Stored {
    let mut seals = parts.iter().filter(|part| part.segment() == segment);
    let seal = seals.find_map(|part| match part.check() {
        Ok(Sound::Seal(seal)) => Some(seal.digest),
        _ => None,
    });
    Stored::new(parts[0].session(), segment, seal.unwrap())
}

#[test]
fn all_that_is_not_stored_is_sent_in_order_on_every_connection() {
    let (both, a, _) = mixed();
    let mut scene = scene(&both);
    let now = Instant::now();
    assert_eq!(drain(&mut scene.queue, now), both);
    assert!(drain(&mut scene.queue, now).is_empty());
    let session = a[0].session();
    scene.queue.stored(&receipt(&a, 1), now);
    scene.queue.rewind();
    let left: Vec<Part> = both
        .iter()
        .filter(|part| part.session() != session || part.segment() > 1)
        .cloned()
        .collect();
    assert_eq!(drain(&mut scene.queue, now), left);
    assert_eq!(scene.spool.usage().parts, left.len());
    // Sending goes on in the order of the spool with what comes later.
    let more = sample_parts(3).unwrap();
    scene.spool.clone().put(&more).unwrap();
    assert_eq!(drain(&mut scene.queue, now), more);
}

#[test]
fn a_session_that_is_to_be_retried_waits_longer_each_time_and_holds_nobody_up() {
    let (both, a, b) = mixed();
    let mut scene = scene(&both);
    let mut now = Instant::now();
    let (mine, other) = (a[0].session(), b[0].session());
    let first = scene.queue.next(now).parts.len();
    assert!(first > 0);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert!(
            scene
                .queue
                .problem(&problem(mine, ProblemKind::Retry, &a[3]), now)
        );
        let sent = drain(&mut scene.queue, now);
        assert_eq!(of(&sent, mine), []);
        let again = scene.queue.next(now).again_at.unwrap();
        waits.push(again - now);
        now = again;
        // All of it, from its beginning.
        let sent = drain(&mut scene.queue, now);
        assert_eq!(of(&sent, mine), a);
        assert_eq!(of(&sent, other), []);
    }
    assert!(waits.iter().max() > Some(&Duration::from_secs(10)));
    assert!(waits.iter().max() <= Some(&RETRY_MAX));
    // It goes on with the others afterwards, and once it is stored, waits are short again.
    let c = sample_parts(3).unwrap();
    scene.spool.clone().put(&c).unwrap();
    assert_eq!(drain(&mut scene.queue, now), c);
    let last = a.last().unwrap().segment();
    scene.queue.stored(&receipt(&a, last), now);
    assert_eq!(of(&drain(&mut scene.queue, now), mine), []);
    assert!(scene.queue.held.is_empty());
    assert_eq!(scene.status.snapshot().retries, 12);
}

#[test]
fn what_comes_while_a_session_waits_is_sent_behind_what_it_owes() {
    let (both, a, _) = mixed();
    let (early, late) = both.split_at(60);
    let mut scene = scene(early);
    let now = Instant::now();
    drain(&mut scene.queue, now);
    let mine = a[0].session();
    scene
        .queue
        .problem(&problem(mine, ProblemKind::Retry, &a[3]), now);
    scene.spool.clone().put(late).unwrap();
    let sent = drain(&mut scene.queue, now);
    assert_eq!(of(&sent, mine), []);
    assert_eq!(sent.len(), late.len() / 2);
    let again = scene.queue.next(now).again_at.unwrap();
    assert_eq!(drain(&mut scene.queue, again), of(&both, mine));
}

#[test]
fn a_session_in_conflict_is_put_aside_whole_with_one_alarm_and_the_others_go_on() {
    let (both, a, b) = mixed();
    let (early, late) = both.split_at(60);
    let mut scene = scene(early);
    let now = Instant::now();
    drain(&mut scene.queue, now);
    let mine = a[0].session();
    let conflict = problem(mine, ProblemKind::Conflict, &a[3]);
    scene.queue.problem(&conflict, now);
    scene.queue.problem(&conflict, now);
    assert!(scene.spool.pending_of(mine, None, 1).is_empty());
    // What the recorder still puts follows, and is not sent.
    scene.spool.clone().put(late).unwrap();
    assert_eq!(drain(&mut scene.queue, now), of(late, b[0].session()));
    assert!(scene.spool.pending_of(mine, None, 1).is_empty());

    let alarms = scene.alarms.lock().unwrap().clone();
    assert_eq!(alarms.len(), 1);
    assert_eq!(
        (alarms[0].session, alarms[0].kind),
        (mine, AlarmKind::Conflict)
    );
    assert_eq!((alarms[0].parts, &alarms[0].failed), (30, &None));
    assert!(alarms[0].why.contains("because"));
    let snapshot = scene.status.snapshot();
    assert_eq!(
        (snapshot.conflicts, snapshot.parts_aside),
        (2, a.len() as u64)
    );
    use crate::disk::Disk;
    let names = scene.disk.list(&alarms[0].aside).unwrap();
    let aside: Vec<u8> = names
        .iter()
        .flat_map(|name| scene.disk.content(&alarms[0].aside.join(name)).unwrap())
        .collect();
    let expected: Vec<u8> = a.iter().flat_map(|part| part.bytes().to_vec()).collect();
    assert_eq!(aside, expected);
}

#[test]
fn what_cannot_be_put_aside_stays_in_the_spool_and_is_tried_again() {
    let (both, a, _) = mixed();
    let mut scene = scene(&both);
    let now = Instant::now();
    let mine = a[0].session();
    scene.disk.set_capacity(Some(0));
    scene
        .queue
        .problem(&problem(mine, ProblemKind::Refused, &a[0]), now);
    let alarm = scene.alarms.lock().unwrap()[0].clone();
    assert!(alarm.failed.is_some(), "{alarm:?}");
    assert_eq!(scene.spool.pending_of(mine, None, 1000).len(), a.len());
    scene.disk.set_capacity(None);
    let again = scene.queue.next(now).again_at.unwrap();
    scene.queue.next(again);
    assert!(scene.spool.pending_of(mine, None, 1).is_empty());
    assert_eq!(scene.alarms.lock().unwrap().len(), 1);
}

#[test]
fn a_part_that_rots_on_the_disk_costs_its_session_and_no_other() {
    use crate::disk::Disk;
    let (both, a, b) = mixed();
    let mut scene = scene(&both);
    let name = scene.disk.list(Path::new("/spool")).unwrap();
    let file = name
        .iter()
        .find(|n| n.to_str().unwrap().starts_with("spool-"));
    let path = Path::new("/spool").join(file.unwrap());
    let content = scene.disk.content(&path).unwrap();
    let needle = a[7].bytes();
    let at = content.windows(needle.len()).position(|w| w == needle);
    scene.disk.rot(&path, at.unwrap() + 20, 1);
    let sent = drain(&mut scene.queue, Instant::now());
    assert_eq!(of(&sent, a[0].session()), a[..7]);
    assert_eq!(of(&sent, b[0].session()), b);
    let alarm = scene.alarms.lock().unwrap()[0].clone();
    assert_eq!(alarm.kind, AlarmKind::Damaged);
    assert_eq!(alarm.parts, a.len() as u64 - 1);
    assert!(alarm.failed.unwrap().contains("damaged"));
    // What cannot be read stays for whoever repairs the medium.
    assert_eq!(scene.spool.usage().parts, b.len() + 1);
}

#[test]
fn only_what_is_here_is_forgotten_for_a_receipt() {
    let parts = sample_parts(1).unwrap();
    let session = parts[0].session();
    let held = |scene: &Scene| scene.spool.usage().parts;
    let now = Instant::now();

    // Of a session that was deleted, or from a service that says no digest: it is taken at its word.
    let mut old = scene(&parts);
    let word = Stored {
        digest: None,
        ..receipt(&parts, 1)
    };
    old.queue.stored(&word, now);
    assert!(held(&old) < parts.len() && held(&old) > 0);

    // Another machine has gone further with the same session: nothing is known of what is here.
    let begun = parts.iter().take_while(|part| part.segment() < 2).count();
    let mut behind = scene(&parts[..begun]);
    behind.queue.stored(&receipt(&parts, 2), now);
    assert_eq!(held(&behind), begun);
    assert!(behind.alarms.lock().unwrap().is_empty());
    behind.queue.stored(&receipt(&parts, 1), now);
    assert_eq!(held(&behind), 0);
    // Said again, there is nothing to forget.
    behind.queue.stored(&receipt(&parts, 1), now);
    assert!(behind.alarms.lock().unwrap().is_empty());

    // It has gone on otherwise than this one: the segment is another, or not complete here.
    let open = parts.iter().rposition(|part| part.segment() == 2).unwrap();
    let other = Stored {
        digest: Some([7; 32]),
        ..receipt(&parts, 2)
    };
    for (here, said) in [(&parts[..], other), (&parts[..open], receipt(&parts, 2))] {
        let mut scene = scene(here);
        drain(&mut scene.queue, now);
        scene.queue.stored(&said, now);
        let alarms = scene.alarms.lock().unwrap().clone();
        let [alarm] = &alarms[..] else {
            panic!("{alarms:?}");
        };
        assert_eq!((alarm.session, alarm.kind), (session, AlarmKind::Conflict));
        assert!(alarm.why.contains("another segment 2"), "{}", alarm.why);
        assert_eq!(
            (alarm.parts, alarm.failed.as_ref()),
            (here.len() as u64, None)
        );
        assert_eq!(scene.status.snapshot().conflicts, 1);
    }
}
