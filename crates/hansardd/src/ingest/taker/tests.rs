//! One connection's parts, with a gate, an archive and a disk that do what a test wants.

use super::*;
use hansard_core::Receipt;
use hansard_identity::{HostId, Principal};
use hansard_record::MemorySink;
use hansard_record::conformance::sample_parts;
use hansard_record::memory_sink::PutFault;
use std::sync::Mutex;

#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    ruling: Option<Ruling>,
    archived: HashMap<SessionId, Vec<Digest>>,
    is_down: bool,
    /// What was said of where sessions begin.
    beginnings: Vec<(SessionId, Spot)>,
    /// Answers of sinks, before they are asked.
    refusals: Vec<(SessionId, SinkError)>,
    memory: MemorySink,
}

impl Gate for World {
    fn owner(&self, _: &Peer, _: SessionId, _: &Part) -> Ruling {
        let ruling = self.0.lock().unwrap().ruling.clone();
        ruling.unwrap_or(Ruling::Allowed)
    }
}

struct OneSink(World);

impl Sink for OneSink {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        let mut state = self.0.0.lock().unwrap();
        for (session, error) in &state.refusals {
            if parts.iter().any(|part| part.session() == *session) {
                return Err(error.clone());
            }
        }
        state.memory.put(parts)
    }
}

impl Depot for World {
    fn sink(&self, _: &Peer) -> Box<dyn Sink + Send> {
        Box::new(OneSink(self.clone()))
    }

    fn archived(&self, session: SessionId) -> Result<Option<u32>, String> {
        let state = self.0.lock().unwrap();
        if state.is_down {
            return Err("down".into());
        }
        let stored = state.archived.get(&session).map_or(0, Vec::len);
        Ok(stored.checked_sub(1).map(|n| n as u32))
    }

    fn begins_at(&self, session: SessionId, spot: Spot) {
        self.0.lock().unwrap().beginnings.push((session, spot));
    }

    fn holds(&self, session: SessionId, segment: u32, digest: &Digest) -> Result<bool, String> {
        let state = self.0.lock().unwrap();
        if state.is_down {
            return Err("down".into());
        }
        let stored = state.archived.get(&session);
        Ok(stored.and_then(|all| all.get(segment as usize)) == Some(digest))
    }
}

impl World {
    fn taker(&self) -> Taker {
        let peer = Peer {
            cluster: "test".into(),
            principal: Principal::Host(HostId::new_v7(1, [1; 10])),
            name: "web-1".into(),
            serial: "01".into(),
            not_after_ns: u64::MAX,
        };
        let world = Arc::new(self.clone());
        let gate: Arc<dyn Gate> = world.clone();
        Taker::new(peer, gate, world, Arc::new(|_| true))
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn kept(&self, session: SessionId) -> Vec<u8> {
        self.0.lock().unwrap().memory.recording(session)
    }

    fn archive(&self, parts: &[Part]) {
        self.set(|state| {
            for part in parts {
                if let Ok(Sound::Seal(seal)) = part.check() {
                    let all = state.archived.entry(part.session()).or_default();
                    all.push(seal.digest);
                }
            }
        });
    }
}

fn offers(parts: &[Part]) -> Vec<Offer> {
    parts.iter().cloned().map(Offer::Part).collect()
}

fn bytes(parts: &[Part]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect()
}

fn kinds(taken: &Taken) -> Vec<(SessionId, ProblemKind, bool)> {
    let of = |t: &Trouble| (t.problem.session, t.problem.kind, t.cause == Cause::Foreign);
    taken.troubles.iter().map(of).collect()
}

#[test]
fn sound_parts_are_put_and_seals_are_remembered_until_they_are_stored() {
    let world = World::default();
    let parts = sample_parts(1).unwrap();
    let taken = world.taker().take(offers(&parts));
    assert_eq!(world.kept(parts[0].session()), bytes(&parts));
    let seals = parts.iter().filter(|p| p.place() == Place::Seal).count();
    assert_eq!(taken.sealed.len(), seals);
    assert_eq!((taken.troubles.len(), taken.again), (0, None));
}

#[test]
fn a_disk_that_is_full_keeps_the_batch_until_there_is_room() {
    let world = World::default();
    let parts = sample_parts(1).unwrap();
    world.set(|state| state.memory.fail_times(3, PutFault::LoseBefore));
    let mut taker = world.taker();
    let mut taken = taker.take(offers(&parts));
    for _ in 0..3 {
        assert!(taken.again.is_some() && taken.sealed.is_empty());
        taken = taker.again(taken);
    }
    assert_eq!(taken.again, None);
    assert!(!taken.sealed.is_empty());
    assert_eq!(world.kept(parts[0].session()), bytes(&parts));
}

#[test]
fn a_conflict_costs_one_session_of_a_batch() {
    let world = World::default();
    let (a, b) = (sample_parts(1).unwrap(), sample_parts(2).unwrap());
    let conflict = SinkError::Conflict("another".into());
    world.set(|state| state.refusals.push((a[0].session(), conflict)));
    let mut taker = world.taker();
    let mixed: Vec<Part> = a
        .iter()
        .zip(&b)
        .flat_map(|(a, b)| [a.clone(), b.clone()])
        .collect();
    let taken = taker.take(offers(&mixed));
    assert_eq!(
        kinds(&taken),
        [(a[0].session(), ProblemKind::Conflict, true)]
    );
    assert!(
        taken
            .sealed
            .iter()
            .all(|(session, ..)| *session == b[0].session())
    );
    assert_eq!(
        world.kept(b[0].session()),
        bytes(&b[..a.len().min(b.len())])
    );
    // Nothing more is said of it, nor taken.
    world.set(|state| state.refusals.clear());
    assert_eq!(taker.take(offers(&a)), Taken::default());
    assert!(world.kept(a[0].session()).is_empty());
}

#[test]
fn a_session_that_waits_is_taken_up_where_it_was_left_or_before() {
    let world = World::default();
    let parts = sample_parts(1).unwrap();
    let session = parts[0].session();
    world.set(|state| state.ruling = Some(Ruling::Retry("later".into())));
    let mut taker = world.taker();
    let taken = taker.take(offers(&parts[4..9]));
    assert_eq!(kinds(&taken), [(session, ProblemKind::Retry, false)]);
    assert_eq!(taken.troubles[0].problem.at, Spot::of(&parts[4]));
    world.set(|state| state.ruling = None);
    // What was under way behind it is passed over.
    assert_eq!(taker.take(offers(&parts[9..12])), Taken::default());
    let taken = taker.take(offers(&parts));
    assert!(taken.troubles.is_empty());
    assert_eq!(world.kept(session), bytes(&parts));
}

#[test]
fn where_a_host_begins_behind_the_archive_is_told() {
    let world = World::default();
    let parts = sample_parts(1).unwrap();
    let session = parts[0].session();
    let of = |segment: u32| -> Vec<Part> {
        let rest = parts.iter().filter(|part| part.segment() >= segment);
        rest.cloned().collect()
    };
    let told = || world.0.lock().unwrap().beginnings.clone();
    let first = parts.iter().filter(|part| part.segment() == 0);
    world.archive(&first.cloned().collect::<Vec<_>>());
    // From the beginning, from what the archive has, and where that ends: nothing is missing.
    for from in [0, 1] {
        world.taker().take(offers(&of(from)));
    }
    let middle = of(2).split_off(1);
    world.taker().take(offers(&middle));
    assert_eq!(told(), []);
    world.taker().take(offers(&of(2)));
    let at = Spot::of(&of(2)[0]);
    assert_eq!(told(), [(session, at)]);
    // Where sessions were forgotten, the first part of one may be any.
    let mut taker = world.taker();
    taker.has_forgotten = true;
    taker.take(offers(&of(2)));
    assert_eq!(told(), [(session, at)]);
    // Nor is anything told of who may not send it, but why.
    world.set(|state| state.ruling = Some(Ruling::Lost("gone".into())));
    let taken = world.taker().take(offers(&of(2)));
    assert_eq!(taken.troubles[0].cause, Cause::Lost);
    assert_eq!(taken.troubles[0].problem.kind, ProblemKind::Refused);
    assert_eq!(told(), [(session, at)]);
}

#[test]
fn what_is_archived_is_compared_and_not_put_again() {
    let world = World::default();
    let parts = sample_parts(1).unwrap();
    let session = parts[0].session();
    world.archive(&parts);
    let taken = world.taker().take(offers(&parts));
    let segments: Vec<u32> = taken.stored.iter().map(|stored| stored.segment).collect();
    let seals = parts.iter().filter(|p| p.place() == Place::Seal).count() as u32;
    assert_eq!(segments, (0..seals).collect::<Vec<_>>());
    assert!(world.kept(session).is_empty() && taken.troubles.is_empty());

    // Another segment in the place of the first.
    world.set(|state| state.archived.get_mut(&session).unwrap()[0] = [0; 32]);
    let taken = world.taker().take(offers(&parts));
    assert_eq!(kinds(&taken), [(session, ProblemKind::Conflict, true)]);
    assert!(taken.stored.is_empty() && world.kept(session).is_empty());

    // Not to be known now.
    let mut taker = world.taker();
    world.set(|state| state.is_down = true);
    let taken = taker.take(offers(&parts));
    assert_eq!(kinds(&taken), [(session, ProblemKind::Retry, false)]);
}

#[test]
fn what_the_spool_forgot_and_the_archive_has_by_now_is_no_alarm() {
    let world = World::default();
    let parts = sample_parts(1).unwrap();
    let session = parts[0].session();
    let mut taker = world.taker();
    taker.take(offers(&parts[..2]));
    world.archive(&parts);
    let forgotten = SinkError::Refused("released too long ago".into());
    world.set(|state| state.refusals.push((session, forgotten)));
    let taken = taker.take(offers(&parts[2..]));
    assert_eq!(kinds(&taken), [(session, ProblemKind::Retry, false)]);
    let taken = taker.take(offers(&parts));
    assert!(taken.troubles.is_empty() && !taken.stored.is_empty());
}

#[test]
fn sessions_beyond_the_bound_push_out_those_that_are_quiet() {
    let world = World::default();
    let mut taker = world.taker();
    let parts = sample_parts(1).unwrap();
    taker.take(offers(&parts[..1]));
    for n in 0..SESSIONS_MAX as u128 {
        let session = SessionId::from_bytes((n << 64).to_be_bytes());
        taker.set(session, Standing::Open);
    }
    assert_eq!(taker.sessions.len(), SESSIONS_MAX);
    let other = sample_parts(2).unwrap();
    let taken = taker.take(offers(&other[..1]));
    assert_eq!((taken.forgotten.len(), taken.troubles.len()), (1, 0));
    assert_eq!(taker.sessions.len(), SESSIONS_MAX);
    // None is quiet when all are refused.
    let all: Vec<SessionId> = taker.sessions.keys().copied().collect();
    all.iter().for_each(|session| taker.shut(*session));
    let third = sample_parts(3).unwrap();
    let taken = taker.take(offers(&third[..1]));
    assert_eq!(
        kinds(&taken),
        [(third[0].session(), ProblemKind::Retry, false)]
    );
}
