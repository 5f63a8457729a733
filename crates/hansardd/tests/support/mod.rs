//! What the tests share: recordings made from a number, stores that outlive whoever uses them, and
//! lives of a keeper over them.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hansard_core::event::{End, Event, Fact, Gap, Stream};
use hansard_core::frame::Part;
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::{Digest, SigningKey};
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Policy, SessionId, Sink};
use hansard_record::sim::{SimClock, SimDisk};
use hansard_record::{Spool, SpoolOptions};
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::fault::{Fault, Faults};
use hansard_store::project::Projector;
use hansard_store::{Archive, ArchiveOptions, Catalog};
use hansardd::follow::Followed;
use hansardd::keeper::{Aside, Hooks, Keeper, Raised, Stores, Tap, TapTrouble, Told};
use hansardd::live::Live;
use hansardd::tee::{Source, Tee};

/// A number from a number, well mixed (SplitMix64).
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn id(number: u64) -> SessionId {
    let mut random = [0u8; 10];
    random[..8].copy_from_slice(&mix(number).to_le_bytes());
    SessionId::new_v7(1_700_000_000_000 + number / 4, random)
}

pub fn key(number: u64) -> SigningKey {
    let mut seed = [7u8; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(seed)
}

pub fn header(number: u64, key: &SigningKey) -> Session {
    Session {
        id: id(number),
        parent: None,
        kind: ["terminal", "exec", "ssh"][number as usize % 3].to_owned(),
        subject: Fields::new().with("user", format!("user-{}", number % 7)),
        origin: Fields::new().with("addr.remote", "192.0.2.7:4711"),
        target: Fields::new().with("server_hostname", format!("host-{}", number % 5)),
        start_utc_ns: (1_700_000_000_000 + number / 4) * 1_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "test".to_owned(),
    }
}

/// How a recording is made.
#[derive(Clone, Copy)]
pub struct Shape {
    pub segments: u32,
    pub frames: u32,
    /// Segments from this on differ by `branch`.
    pub fork: u32,
    pub branch: u64,
    pub ends: bool,
}

impl Shape {
    pub fn of(segments: u32, frames: u32) -> Self {
        Self {
            segments,
            frames,
            fork: 0,
            branch: 0,
            ends: true,
        }
    }
}

/// A recording's parts, the same for the same numbers.
pub fn parts(number: u64, shape: Shape) -> Vec<Part> {
    parts_signed(number, shape, &key(number))
}

pub fn parts_signed(number: u64, shape: Shape, key: &SigningKey) -> Vec<Part> {
    let bounds = Bounds {
        segment_ns: 1_000_000,
        frame_ns: u64::MAX,
        ..Bounds::default()
    };
    let mut writer = SegmentWriter::new(header(number, key), key.clone(), bounds).unwrap();
    for segment in 0..shape.segments {
        let now = u64::from(segment) * 1_000_000;
        for frame in 0..shape.frames {
            for i in 0..3u64 {
                let mut seed =
                    mix(number ^ mix(u64::from(segment) << 16 | u64::from(frame) << 8 | i));
                if segment >= shape.fork {
                    seed ^= shape.branch;
                }
                push(&mut writer, now + u64::from(frame) * 1000 + i * 100, seed);
            }
            if segment + 1 < shape.segments || frame + 1 < shape.frames || !shape.ends {
                writer.cut().unwrap();
            }
        }
        if segment + 1 < shape.segments {
            writer.tick(now + 1_000_000).unwrap();
        }
    }
    if shape.ends {
        let end = End {
            reason: "exited".to_owned(),
            exit_status: Some(0),
            signal: None,
        };
        let at = u64::from(shape.segments - 1) * 1_000_000 + 500_000;
        writer.finish(at, &end).unwrap();
    }
    writer.parts()
}

fn push(writer: &mut SegmentWriter, at: u64, seed: u64) {
    match seed % 6 {
        0 => writer.push(
            at,
            &Body::Resize {
                cols: 80 + (seed >> 8 & 31) as u16,
                rows: 24,
            },
        ),
        1 => writer.push(
            at,
            &Body::Command(Fact {
                event: "session.command".to_owned(),
                fields: Fields::new().with("path", format!("/bin/{seed:x}")),
            }),
        ),
        2 => writer.push(at, &Body::Gap(Gap::default())),
        3 => writer.push_data(
            at,
            Stream::Output,
            format!(
                "\x1b[{};{}H\x1b[3{}m{seed:x}",
                seed >> 8 & 15,
                seed >> 16 & 63,
                seed >> 24 & 7
            )
            .as_bytes(),
        ),
        _ => writer.push_data(at, Stream::Output, format!("{seed:x}\r\n").as_bytes()),
    }
    .unwrap();
}

pub fn bytes_of(parts: &[Part]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|p| p.bytes().iter().copied())
        .collect()
}

/// The events of a recording.
pub fn events_of(parts: &[Part]) -> Vec<Event> {
    events_in(&bytes_of(parts))
}

/// The events of a recording's bytes, which must be sound.
pub fn events_in(bytes: &[u8]) -> Vec<Event> {
    let mut reader = Reader::new(bytes);
    let mut events = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) => events.extend(frame.events),
            Item::Seal(_) => {}
            Item::Damage(damage) => panic!("{damage:?}"),
            Item::End(_) => return events,
        }
    }
}

/// An event log: what it was told, and how much of that is durable.
#[derive(Default)]
pub struct Log {
    pub durable: BTreeMap<SessionId, Vec<u64>>,
    volatile: Vec<(SessionId, u64)>,
    pub refuses: bool,
    /// Segments were lost, so events are missing.
    pub has_gaps: bool,
    pub syncs: u64,
}

impl Log {
    fn next_seq(&self, session: SessionId) -> u64 {
        let last = self.volatile.iter().rev().find(|(s, _)| *s == session);
        let last = last.map(|(_, seq)| *seq);
        let durable = || {
            self.durable
                .get(&session)
                .and_then(|seqs| seqs.last().copied())
        };
        last.or_else(durable).map_or(0, |seq| seq + 1)
    }

    pub fn told(&self) -> usize {
        self.volatile.len() + self.durable.values().map(Vec::len).sum::<usize>()
    }
}

struct LogTap {
    log: Arc<Mutex<Log>>,
    faults: Faults,
}

impl Tap for LogTap {
    fn events(&mut self, told: &Told<'_>, events: &[Event]) -> Result<(), TapTrouble> {
        let fault = self.faults.enter();
        if fault == Some(Fault::Before) {
            return Err(TapTrouble("told to fail".to_owned()));
        }
        let mut log = self.log.lock().unwrap();
        if log.refuses {
            return Err(TapTrouble("the log's disk is full".to_owned()));
        }
        assert_eq!(told.header.unwrap().id, told.session);
        let half = if fault == Some(Fault::Partly) {
            events.len() / 2
        } else {
            events.len()
        };
        for event in &events[..half] {
            let next = log.next_seq(told.session);
            assert!(
                event.seq <= next || log.has_gaps,
                "event {next} was left out"
            );
            if event.seq >= next {
                log.volatile.push((told.session, event.seq));
            }
        }
        fault.map_or(Ok(()), |_| Err(TapTrouble("told to fail".to_owned())))
    }

    fn sync(&mut self) -> Result<(), TapTrouble> {
        let fault = self.faults.enter();
        if matches!(fault, Some(Fault::Before | Fault::Partly)) {
            return Err(TapTrouble("told to fail".to_owned()));
        }
        let mut log = self.log.lock().unwrap();
        log.syncs += 1;
        for (session, seq) in std::mem::take(&mut log.volatile) {
            log.durable.entry(session).or_default().push(seq);
        }
        fault.map_or(Ok(()), |_| Err(TapTrouble("told to fail".to_owned())))
    }
}

/// What was told to be archived, and with which digest.
pub type Settled = BTreeMap<(SessionId, u32), Option<Digest>>;

/// What outlives a keeper.
#[derive(Clone)]
pub struct World {
    pub disk: SimDisk,
    pub blobs: MemoryBlobs,
    pub catalog: MemoryCatalog,
    pub faults: Faults,
    pub tap_faults: Faults,
    pub clock: SimClock,
    pub log: Arc<Mutex<Log>>,
    pub alarms: Arc<Mutex<Vec<Raised>>>,
    pub settled: Arc<Mutex<Settled>>,
    pub aside_bytes_max: u64,
}

/// One life over a world. Dropping it is a kill.
pub struct Life {
    pub spool: Spool,
    pub live: Live,
    pub tee: Tee,
    pub keeper: Keeper,
    pub archive: Arc<Archive>,
    pub world: World,
}

impl World {
    pub fn new() -> Self {
        let faults = Faults::new();
        Self {
            disk: SimDisk::new(1),
            blobs: MemoryBlobs::new(faults.clone()),
            catalog: MemoryCatalog::new(faults.clone()),
            tap_faults: faults.clone(),
            faults,
            clock: SimClock::new(1_700_000_000_000_000_000),
            log: Arc::default(),
            alarms: Arc::default(),
            settled: Arc::default(),
            aside_bytes_max: 1 << 30,
        }
    }

    pub fn life(&self) -> Life {
        self.life_with(|_| {})
    }

    pub fn life_with(&self, change: impl FnOnce(&mut Hooks)) -> Life {
        // What was told and not synced is gone with whoever was told.
        self.log.lock().unwrap().volatile.clear();
        let disk: Arc<dyn hansard_record::disk::Disk> = Arc::new(self.disk.clone());
        let spool =
            Spool::open(Path::new("/spool"), disk.clone(), SpoolOptions::default()).unwrap();
        let (aside, aside_sessions) =
            Aside::open(Path::new("/quarantine"), disk, self.aside_bytes_max).unwrap();
        let clock: Arc<dyn hansard_record::clock::Clock> = Arc::new(self.clock.clone());
        let live = Live::new(clock.clone(), Arc::new(|_, _| {}));
        let options = ArchiveOptions {
            pack_bytes: 2000,
            pack_age_ns: 1_000_000,
        };
        let catalog: Arc<dyn Catalog> = Arc::new(self.catalog.clone());
        let archive = Arc::new(Archive::new(
            Arc::new(self.blobs.clone()),
            catalog.clone(),
            options,
        ));
        let (alarms, settled) = (self.alarms.clone(), self.settled.clone());
        let mut hooks = Hooks {
            alarm: Arc::new(move |raised| alarms.lock().unwrap().push(raised.clone())),
            settled: Arc::new(move |stored| {
                let id = (stored.session, stored.segment);
                settled.lock().unwrap().insert(id, stored.digest);
            }),
            ..Hooks::default()
        };
        change(&mut hooks);
        let stores = Stores {
            spool: spool.clone(),
            archive: archive.clone(),
            catalog,
            aside,
            aside_sessions,
        };
        let tap = LogTap {
            log: self.log.clone(),
            faults: self.tap_faults.clone(),
        };
        let keeper = Keeper::new(stores, live.clone(), vec![Box::new(tap)], clock, hooks);
        let tee = Tee::new(spool.clone(), live.clone(), Source::Local);
        Life {
            spool,
            live,
            tee,
            keeper,
            archive,
            world: self.clone(),
        }
    }

    pub fn projector(&self) -> Projector {
        Projector::new(Arc::new(self.blobs.clone()), Arc::new(self.catalog.clone()))
    }

    /// What the archive holds of a session.
    pub fn stored(&self, session: SessionId) -> Vec<u8> {
        let archive = Archive::new(
            Arc::new(self.blobs.clone()),
            Arc::new(self.catalog.clone()),
            ArchiveOptions::default(),
        );
        let mut bytes = Vec::new();
        if let Some(mut reader) = archive.open_session(session).unwrap() {
            reader.read_to_end(&mut bytes).unwrap();
            assert_eq!(reader.problems_count(), 0);
        }
        bytes
    }

    /// Everything that is aside of a session, in the order of its files.
    pub fn aside(&self, session: SessionId) -> Vec<u8> {
        use hansard_record::disk::Disk;
        let dir = Path::new("/quarantine").join(session.to_string());
        let mut bytes = Vec::new();
        for name in self.disk.list(&dir).unwrap_or_default() {
            bytes.extend(self.disk.content(&dir.join(name)).unwrap());
        }
        bytes
    }

    /// Nothing is archived that the log could still lose.
    pub fn must_have_logged_what_is_archived(&self, sessions: &[Vec<Part>]) {
        let ids: Vec<SessionId> = sessions.iter().map(|parts| parts[0].session()).collect();
        let heads = self.catalog.heads(&ids).unwrap();
        let log = self.log.lock().unwrap();
        for head in heads.into_iter().flatten() {
            let durable = log.durable.get(&head.session).map_or(0, Vec::len) as u64;
            assert!(
                durable >= head.next_seq,
                "{durable} of {} events",
                head.next_seq
            );
        }
    }

    /// Everything is archived once, logged once, and out of the spool.
    pub fn must_be_done(&self, life: &Life, sessions: &[Vec<Part>]) {
        assert_eq!(life.spool.usage().parts, 0);
        let log = self.log.lock().unwrap();
        for parts in sessions {
            let session = parts[0].session();
            assert_eq!(self.stored(session), bytes_of(parts), "{session}");
            let count = events_of(parts).len() as u64;
            let wanted: Vec<u64> = (0..count).collect();
            assert_eq!(log.durable.get(&session), Some(&wanted), "{session}");
            let last = parts.last().unwrap().segment();
            let settled = self.settled.lock().unwrap();
            for segment in 0..=last {
                assert!(settled.contains_key(&(session, segment)));
            }
        }
    }
}

impl Life {
    pub fn put(&mut self, parts: &[Part]) {
        self.tee.put(parts).unwrap();
    }

    /// Steps until nothing is left to do, or nothing gets done any more.
    pub fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 12 {
            let before = (self.spool.usage().parts, self.keeper_figures().parts);
            let step = self.keeper.step();
            let after = (self.spool.usage().parts, self.keeper_figures().parts);
            match step.is_busy || before != after {
                true => quiet = 0,
                false => quiet += 1,
            }
            self.world.clock.advance(2_000_000_000);
        }
    }

    pub fn keeper_figures(&self) -> hansardd::keeper::Figures {
        self.keeper.figures().lock().unwrap().clone()
    }

    pub fn followed(&self) -> Followed {
        Followed {
            spool: self.spool.clone(),
            archive: self.archive.clone(),
            live: self.live.clone(),
        }
    }
}

/// Parts of several sessions, interleaved as if they were recorded at the same time.
pub fn interleave(sessions: &[Vec<Part>], seed: u64) -> Vec<Part> {
    let mut at = vec![0usize; sessions.len()];
    let (mut all, mut n) = (Vec::new(), seed);
    while at.iter().zip(sessions).any(|(at, parts)| *at < parts.len()) {
        n = mix(n);
        let which = (n % sessions.len() as u64) as usize;
        let run = 1 + (n >> 32) as usize % 4;
        for _ in 0..run {
            if let Some(part) = sessions[which].get(at[which]) {
                all.push(part.clone());
                at[which] += 1;
            }
        }
    }
    all
}
