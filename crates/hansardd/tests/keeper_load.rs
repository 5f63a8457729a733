//! The keeper when there is much: sessions that never end, recorders that lose, threads that all put
//! at once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hansard_core::event::{End, Stream};
use hansard_core::frame::Part;
use hansard_core::{Body, OnLoss, Policy, SessionId, Sink};
use hansard_record::sim::SimDisk;
use hansard_record::{Environment, Options, Recorder, Spool, SpoolOptions};
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::fault::{Fault, Faults};
use hansard_store::{Archive, ArchiveOptions, Catalog};
use hansardd::keeper::{Aside, Hooks, Keeper, KeeperThread, Stores};
use hansardd::live::Live;
use hansardd::tee::{Source, Tee};
use support::{Shape, World, bytes_of, events_in, header, id, key, parts};

#[test]
fn tails_that_never_end_are_looked_at_once() {
    let world = World::new();
    let mut life = world.life();
    let tails: Vec<Vec<Part>> = (0..400)
        .map(|n| {
            parts(
                n,
                Shape {
                    ends: false,
                    ..Shape::of(1, 20)
                },
            )
        })
        .collect();
    let mut total = 0;
    for round in 0..21 {
        let row: Vec<Part> = tails
            .iter()
            .filter_map(|tail| tail.get(round).cloned())
            .collect();
        total += row.len();
        life.put(&row);
        while life.keeper.step().is_busy {}
    }
    assert_eq!(life.spool.usage().parts, total);
    let figures = life.keeper_figures();
    assert_eq!(figures.parts, total as u64, "each part is read once");
    assert_eq!((figures.sessions, figures.segments_waiting), (400, 0));
    // More of them than are remembered costs reading those again, and no more memory.
    assert!(
        figures.growing < 400 && figures.rereads < total as u64 * 2 / 3,
        "{figures:?}"
    );
    // With all of that waiting, another session goes through as if it were alone.
    let other = parts(1000, Shape::of(2, 2));
    life.put(&other);
    let began = life.keeper_figures().parts;
    life.settle();
    assert_eq!(world.stored(id(1000)), bytes_of(&other));
    assert_eq!(life.keeper_figures().parts - began, other.len() as u64);
    // A start reads everything once more, and not more often.
    drop(life);
    let mut life = world.life();
    life.settle();
    assert_eq!(life.keeper_figures().parts, total as u64);
}

/// A service with real threads over stores in memory.
struct Service {
    tee: Tee,
    spool: Spool,
    catalog: MemoryCatalog,
    faults: Faults,
    archive: Arc<Archive>,
    _keeper: KeeperThread,
}

impl Service {
    fn start(spool_bytes_max: u64) -> Self {
        let disk = Arc::new(SimDisk::new(1));
        let options = SpoolOptions {
            bytes_max: spool_bytes_max,
            file_bytes_max: 256 * 1024,
            ..SpoolOptions::default()
        };
        let spool = Spool::open(Path::new("/spool"), disk.clone(), options).unwrap();
        let (aside, aside_sessions) = Aside::open(Path::new("/aside"), disk, 1 << 20).unwrap();
        let clock = Environment::real().clock;
        let live = Live::new(clock.clone(), Arc::new(|_, _| {}));
        let faults = Faults::new();
        let catalog = MemoryCatalog::new(faults.clone());
        let options = ArchiveOptions {
            pack_bytes: 100_000,
            pack_age_ns: 20_000_000,
        };
        let blobs = Arc::new(MemoryBlobs::default());
        let archive = Arc::new(Archive::new(blobs, Arc::new(catalog.clone()), options));
        let stores = Stores {
            spool: spool.clone(),
            archive: archive.clone(),
            catalog: Arc::new(catalog.clone()),
            aside,
            aside_sessions,
        };
        let keeper = Keeper::new(stores, live.clone(), Vec::new(), clock, Hooks::default());
        Self {
            tee: Tee::new(spool.clone(), live, Source::Local),
            spool,
            catalog,
            faults,
            archive,
            _keeper: KeeperThread::start(keeper).unwrap(),
        }
    }

    fn drain(&self) {
        let began = Instant::now();
        while self.spool.usage().parts > 0 {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{:?}",
                self.spool.usage()
            );
            std::thread::yield_now();
        }
    }

    fn stored(&self, session: SessionId) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut reader = self.archive.open_session(session).unwrap().unwrap();
        std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
        bytes
    }
}

#[test]
fn many_that_put_at_once_are_all_archived_in_order() {
    let service = Service::start(64 << 20);
    let recordings: Vec<Vec<Part>> = (0..64).map(|n| parts(n, Shape::of(4, 6))).collect();
    std::thread::scope(|scope| {
        for recording in &recordings {
            let mut tee = service.tee.from(Source::Host("host-1".into()));
            scope.spawn(move || {
                for batch in recording.chunks(3) {
                    tee.put(batch).unwrap();
                }
            });
        }
    });
    service.drain();
    for recording in &recordings {
        assert_eq!(service.stored(recording[0].session()), bytes_of(recording));
    }
}

/// Recorders that may lose, over a spool that fills up because the archive is down: what is missing
/// is said.
#[test]
fn what_was_recorded_and_what_was_lost_is_what_was_produced() {
    let service = Service::start(8 << 20);
    service.faults.go_down_at(1, Fault::Before);
    let policy = Policy {
        on_loss: OnLoss::Continue,
        hold_ms_max: 20_000,
        ..Policy::default()
    };
    let produced = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..4u64 {
            let (service, policy, produced) = (&service, policy.clone(), &produced);
            scope.spawn(move || {
                let session = hansard_core::Session {
                    policy,
                    ..header(number, &key(number))
                };
                let sink = Box::new(service.tee.clone());
                let recorder = Recorder::open(
                    session,
                    key(number),
                    sink,
                    &Environment::real(),
                    Options::default(),
                );
                let recorder = recorder.unwrap();
                let mut noise = number;
                for round in 0..300 {
                    if round == 200 {
                        // By now more was produced than the spool holds.
                        service.faults.heal();
                    }
                    let bytes: Vec<u8> = (0..2048)
                        .flat_map(|_| {
                            noise = support::mix(noise);
                            noise.to_le_bytes()
                        })
                        .collect();
                    recorder.data(Stream::Output, &bytes).unwrap();
                    produced.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
                // The end waits for room, as a recorder does.
                let _ = recorder.close(End::default());
            });
        }
    });
    service.drain();
    let (mut recorded, mut lost, mut ended) = (0u64, 0u64, 0);
    for number in 0..4u64 {
        let bytes = service.stored(id(number));
        let head = service.catalog.heads(&[id(number)]).unwrap()[0]
            .clone()
            .unwrap();
        ended += u32::from(head.is_final);
        for event in events_in(&bytes) {
            match event.body {
                Body::Data { bytes, .. } => recorded += bytes.len() as u64,
                Body::Gap(gap) => lost += gap.bytes.unwrap(),
                _ => {}
            }
        }
    }
    assert_eq!(ended, 4);
    assert_eq!(recorded + lost, produced.load(Ordering::Relaxed));
    assert!(recorded > 0 && lost > 0, "{recorded} recorded, {lost} lost");
}
