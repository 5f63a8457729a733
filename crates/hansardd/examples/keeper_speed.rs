//! How fast the store role is, on this machine and this disk:
//!
//! ```text
//! cargo run --release -p hansardd --example keeper_speed -- DIRECTORY [SECONDS]
//! ```
//!
//! One line of JSON for each measurement. What each event or byte costs in processor time is told
//! beside it, whole and by thread: that hardly depends on what else the machine does. All stores are real and in DIRECTORY, which must be on the
//! disk that is meant; what they leave there is removed.

#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a program for people, whose figures need not be exact"
)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hansard_core::event::{End, Fact, Stream};
use hansard_core::frame::Part;
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Policy, SessionId, Sink};
use hansard_record::clock::{Clock, RealClock};
use hansard_record::real_disk::RealDisk;
use hansard_record::{Environment, Options, Recorder, Spool, SpoolOptions};
use hansard_store::blob::fs::FsBlobs;
use hansard_store::catalog::sqlite::SqliteCatalog;
use hansard_store::project::Projector;
use hansard_store::{Archive, ArchiveOptions, BlobStore, Catalog};
use hansardd::follow::{Events, Followed, Told};
use hansardd::keeper::{ASIDE_BYTES_MAX, Aside, Hooks, Keeper, KeeperThread, Projecting, Stores};
use hansardd::live::Live;
use hansardd::tee::{Source, Tee};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Threads that put frames at the same time.
const WRITERS: u64 = 16;

/// Sessions that are open and silent.
const IDLE: u64 = 4000;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let Some(dir) = args.next() else {
        return Err("usage: keeper_speed DIRECTORY [SECONDS]".into());
    };
    let seconds: u64 = args.next().map_or(Ok(5), |text| text.parse())?;
    let dir = PathBuf::from(dir).join(format!("keeper_speed-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let outcome = measure(&dir, seconds);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(dir: &Path, seconds: u64) -> Outcome<()> {
    let idle = dir.join("idle");
    std::fs::create_dir(&idle)?;
    idle_sessions(&Service::start(&idle)?)?;
    let frames = dir.join("frames");
    std::fs::create_dir(&frames)?;
    frames_of_events(&Service::start(&frames)?, seconds)?;
    let text = dir.join("text");
    std::fs::create_dir(&text)?;
    terminal_text(&Service::start(&text)?, seconds)?;
    let lag = dir.join("lag");
    std::fs::create_dir(&lag)?;
    live_lag(&Service::start(&lag)?, seconds)
}

/// The store role, as the daemon runs it.
struct Service {
    tee: Tee,
    spool: Spool,
    live: Live,
    archive: Arc<Archive>,
    keeper: KeeperThread,
    projecting: Projecting,
}

impl Service {
    fn start(dir: &Path) -> Outcome<Self> {
        let disk: Arc<RealDisk> = Arc::new(RealDisk);
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        let spool = Spool::open(&dir.join("spool"), disk.clone(), SpoolOptions::default())?;
        std::fs::create_dir(dir.join("catalog"))?;
        let blobs: Arc<dyn BlobStore> =
            Arc::new(FsBlobs::open(&dir.join("archive"), "keeper_speed")?);
        let catalog: Arc<dyn Catalog> =
            Arc::new(SqliteCatalog::open(&dir.join("catalog"), "keeper_speed")?);
        let archive = Archive::new(blobs.clone(), catalog.clone(), ArchiveOptions::default());
        let archive = Arc::new(archive);
        let (aside, aside_sessions) = Aside::open(&dir.join("quarantine"), disk, ASIDE_BYTES_MAX)?;
        let live = Live::new(clock.clone(), Arc::new(|_, _| {}));
        let stores = Stores {
            spool: spool.clone(),
            archive: archive.clone(),
            catalog: catalog.clone(),
            aside,
            aside_sessions,
        };
        let keeper = Keeper::new(stores, live.clone(), Vec::new(), clock, Hooks::default());
        let settled = keeper.settled_bell();
        let keeper = KeeperThread::start(keeper)?;
        let projector = Projector::new(blobs, catalog);
        let projecting = Projecting::start(projector, live.clone(), settled, Box::new(|_| {}))?;
        let tee = Tee::new(spool.clone(), live.clone(), Source::Local);
        Ok(Self {
            tee,
            spool,
            live,
            archive,
            keeper,
            projecting,
        })
    }

    /// Waits until everything that is sealed is archived, and then until it is projected.
    fn drain(&self, segments: u64) {
        while self.keeper.figures().segments < segments {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn drain_rows(&self, segments: u64) {
        while self.projecting.figures().segments < segments {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn session(number: u64, key: &SigningKey) -> Session {
    let mut random = [0u8; 10];
    random[..8].copy_from_slice(&number.to_le_bytes());
    Session {
        id: SessionId::new_v7(RealClock.utc_ns() / 1_000_000, random),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "alice").with("login", "root"),
        origin: Fields::new().with("addr.remote", "192.0.2.7:50512"),
        target: Fields::new().with("server_hostname", "web-1.example"),
        start_utc_ns: RealClock.utc_ns(),
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "keeper_speed".to_owned(),
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed([9; 32])
}

fn resident_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line
        .unwrap_or("0 kB")
        .trim()
        .trim_end_matches(" kB")
        .to_owned();
    Ok(text.parse()?)
}

/// Processor time so far, microseconds: of the process, and of the threads that are named.
struct Cpu {
    all: u64,
    of: Vec<(&'static str, u64)>,
}

/// Threads whose time is told apart.
const THREADS: [&str; 4] = ["keeper", "projector", "rows", "catalog"];

impl Cpu {
    fn now() -> Outcome<Self> {
        let mut of = THREADS.map(|name| (name, 0)).to_vec();
        for task in std::fs::read_dir("/proc/self/task")? {
            // One that ends meanwhile is none of those.
            let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else {
                continue;
            };
            let (name, us) = name_and_us(&stat);
            if let Some((_, sum)) = of.iter_mut().find(|(known, _)| *known == name) {
                *sum += us;
            }
        }
        let (_, all) = name_and_us(&std::fs::read_to_string("/proc/self/stat")?);
        Ok(Self { all, of })
    }

    /// What was used since, for each of so many, as fields of JSON.
    fn since(&self, count: u64) -> Outcome<String> {
        let now = Self::now()?;
        let each =
            |after: u64, before: u64| after.saturating_sub(before) as f64 / count.max(1) as f64;
        let mut said = format!(r#""cpu_us_each":{:.2}"#, each(now.all, self.all));
        for ((name, after), (_, before)) in now.of.iter().zip(&self.of) {
            said.push_str(&format!(r#","{name}_us":{:.2}"#, each(*after, *before)));
        }
        Ok(said)
    }
}

/// Name and processor time in a line of `/proc/…/stat` (proc(5)), whose ticks are 10 ms on Linux.
fn name_and_us(stat: &str) -> (&str, u64) {
    let (name, rest) = stat.rsplit_once(") ").unwrap_or_default();
    let (_, name) = name.split_once('(').unwrap_or_default();
    let ticks = rest.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|n| n.parse::<u64>().ok()).sum();
    (name, ticks * 10_000)
}

/// Sessions that were begun, sealed once, and say nothing: what each costs in memory.
fn idle_sessions(service: &Service) -> Outcome<()> {
    // What the first ones cost is mostly what all share: caches and packs.
    let mut resident = [0; 2];
    for (resident, (first, last)) in resident.iter_mut().zip([(0, IDLE), (IDLE, 2 * IDLE)]) {
        begin_sessions(service, first..last)?;
        *resident = resident_kib()?;
    }
    let [first, second] = resident;
    println!(
        r#"{{"what":"idle","sessions":{IDLE},"resident_kib":{first},"bytes_for_each_further":{}}}"#,
        second.saturating_sub(first) * 1024 / IDLE
    );
    Ok(())
}

fn begin_sessions(service: &Service, numbers: std::ops::Range<u64>) -> Outcome<()> {
    let mut tee = service.tee.clone();
    for first in numbers.clone().step_by(100) {
        let mut batch: Vec<Part> = Vec::new();
        for number in first..first + 100 {
            let bounds = Bounds {
                segment_ns: 1,
                ..Bounds::default()
            };
            let mut writer = SegmentWriter::new(session(number, &key()), key(), bounds)?;
            writer.push_data(1, Stream::Output, b"$ ")?;
            writer.cut()?;
            writer.tick(1_000_000)?;
            batch.extend(writer.parts());
        }
        tee.put(&batch)?;
    }
    // They are sealed and wait in a pack; when it is old enough they are all archived.
    service.drain(numbers.end);
    service.drain_rows(numbers.end);
    Ok(())
}

/// Frames of 100 events from many connections: acknowledged durable, then archived and listed.
fn frames_of_events(service: &Service, seconds: u64) -> Outcome<()> {
    let (stops, events) = (AtomicBool::new(false), AtomicU64::new(0));
    let (began, cpu) = (Instant::now(), Cpu::now()?);
    let mut took: Vec<Duration> = Vec::new();
    let mut segments = 0;
    std::thread::scope(|scope| -> Outcome<()> {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (stops, events) = (&stops, &events);
                scope.spawn(move || write_frames(service, number, stops, events))
            })
            .collect();
        std::thread::sleep(Duration::from_secs(seconds));
        stops.store(true, Ordering::Relaxed);
        for writer in writers {
            let (of_one, sealed) = writer.join().map_err(|_| "a writer died")??;
            took.extend(of_one);
            segments += sealed;
        }
        Ok(())
    })?;
    let elapsed = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    let events = events.load(Ordering::Relaxed);
    println!(
        r#"{{"what":"frames","writers":{WRITERS},"events_per_second":{:.0},"put_p99_ms":{:.2},{}}}"#,
        events as f64 / elapsed,
        p99.as_secs_f64() * 1000.0,
        cpu.since(events)?
    );
    service.drain(segments);
    println!(
        r#"{{"what":"archived","events":{events},"events_per_second":{:.0},{}}}"#,
        events as f64 / began.elapsed().as_secs_f64(),
        cpu.since(events)?
    );
    let (rows, since) = (service.projecting.figures().events, Instant::now());
    let rest_cpu = Cpu::now()?;
    service.drain_rows(segments);
    let rows = service.projecting.figures().events - rows;
    let rest = since.elapsed().as_secs_f64();
    println!(
        r#"{{"what":"rows","rows":{rows},"rows_per_second":{:.0},"of_the_whole":{:.0},{}}}"#,
        rows as f64 / rest.max(0.001),
        service.projecting.figures().events as f64 / began.elapsed().as_secs_f64(),
        rest_cpu.since(rows)?
    );
    Ok(())
}

/// One connection: puts one frame after another; how long each took, and how many segments it made.
fn write_frames(
    service: &Service,
    number: u64,
    stops: &AtomicBool,
    events: &AtomicU64,
) -> Outcome<(Vec<Duration>, u64)> {
    let mut tee = service.tee.clone();
    let mut writer = SegmentWriter::new(session(number, &key()), key(), Bounds::default())?;
    let (mut took, mut segments, mut at_ns) = (Vec::new(), 0, 0u64);
    loop {
        let stop = stops.load(Ordering::Relaxed);
        for i in 0..100u64 {
            at_ns += 1_000_000;
            let fields = Fields::new()
                .with("path", "/usr/bin/stat")
                .with("pid", 4000 + (at_ns / 1_000_000 + i) % 20_000)
                .with("cwd", "/srv/app");
            let event = "session.command".to_owned();
            writer.push(at_ns, &Body::Command(Fact { event, fields }))?;
        }
        match stop {
            true => writer.finish(at_ns, &End::default())?,
            false => writer.cut()?,
        }
        let parts = writer.parts();
        segments += parts.iter().filter(|p| matches!(p, Part::Seal(_))).count() as u64;
        let began = Instant::now();
        tee.put(&parts)?;
        took.push(began.elapsed());
        events.fetch_add(100, Ordering::Relaxed);
        if stop {
            return Ok((took, segments));
        }
    }
}

/// Terminals that pour: raw text in, archived segments out.
fn terminal_text(service: &Service, seconds: u64) -> Outcome<()> {
    let bytes = AtomicU64::new(0);
    let text = some_text();
    let (began, cpu) = (Instant::now(), Cpu::now()?);
    std::thread::scope(|scope| -> Outcome<()> {
        let recorders: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (bytes, text) = (&bytes, &text);
                scope.spawn(move || -> Outcome<()> {
                    let recorder = Recorder::open(
                        session(number, &key()),
                        key(),
                        Box::new(service.tee.clone()),
                        &Environment::real(),
                        Options::default(),
                    )?;
                    while began.elapsed().as_secs() < seconds {
                        for piece in text.chunks(32 * 1024) {
                            recorder.data(Stream::Output, piece)?;
                            bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                        }
                    }
                    recorder.close(End::default())?;
                    Ok(())
                })
            })
            .collect();
        for recorder in recorders {
            recorder.join().map_err(|_| "a recorder died")??;
        }
        Ok(())
    })?;
    let recorded = began.elapsed().as_secs_f64();
    while service.spool.usage().parts > 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let bytes = bytes.load(Ordering::Relaxed);
    let told = service.keeper.figures().data_bytes;
    println!(
        r#"{{"what":"text","streams":{WRITERS},"bytes":{bytes},"recorded":{told},"mb_per_second_recorded":{:.1},"mb_per_second_archived":{:.1},"resident_kib":{},"of":"MB",{}}}"#,
        bytes as f64 / 1e6 / recorded,
        bytes as f64 / 1e6 / began.elapsed().as_secs_f64(),
        resident_kib()?,
        cpu.since(bytes / 1_000_000)?
    );
    Ok(())
}

/// Something like a build's output.
fn some_text() -> Vec<u8> {
    let mut text = Vec::new();
    let mut n = 1u64;
    while text.len() < 1024 * 1024 {
        n = n
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let line = format!(
            "\x1b[32m   Compiling\x1b[0m module_{:03} v0.{}.{} (/srv/build/{:x})\r\n",
            n >> 40 & 511,
            n >> 50 & 7,
            n >> 54 & 15,
            n >> 20 & 0xffff
        );
        text.extend_from_slice(line.as_bytes());
    }
    text
}

/// From the recorder to a follower, while somebody follows.
fn live_lag(service: &Service, seconds: u64) -> Outcome<()> {
    let session = session(1, &key());
    let id = session.id;
    let recorder = Recorder::open(
        session,
        key(),
        Box::new(service.tee.clone()),
        &Environment::real(),
        Options::default(),
    )?;
    recorder.set_frame_ns(hansard_core::limits::FRAME_CUT_FOLLOWED_NS);
    let followed = Followed {
        spool: service.spool.clone(),
        archive: service.archive.clone(),
        live: service.live.clone(),
    };
    let mut events = Events::new(&followed, id, (0, 0))?;
    let mut lags = Vec::new();
    let began = Instant::now();
    while began.elapsed().as_secs() < seconds {
        recorder.data(Stream::Output, b"x")?;
        let typed_ns = recorder.now_ns();
        loop {
            let Told::Events(told) = events.next(Duration::from_secs(5))? else {
                return Err("nothing came".into());
            };
            if told
                .iter()
                .any(|event| matches!(event.body, Body::Data { .. }))
            {
                lags.push(recorder.now_ns().saturating_sub(typed_ns));
                break;
            }
        }
    }
    lags.sort_unstable();
    let p95 = lags.get(lags.len() * 95 / 100).copied().unwrap_or_default();
    println!(
        r#"{{"what":"lag","samples":{},"p95_ms":{:.1}}}"#,
        lags.len(),
        p95 as f64 / 1e6
    );
    recorder.close(End::default())?;
    Ok(())
}
