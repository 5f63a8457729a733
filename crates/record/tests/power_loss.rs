//! Whole runs on a simulated disk whose power goes at a random moment, and every state that the
//! disk may then be found in.
//!
//! Whatever was durable must be there, unaltered, and reading or opening what is left must need no
//! hands. `HANSARD_TORTURE=100000` tries that many states instead of a few thousand,
//! `HANSARD_SEED` begins at another seed. A failure names the seed of its run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use hansard_core::event::End;
use hansard_core::policy::OnLoss;
use hansard_core::reader::{Item, Reader, Tail};
use hansard_core::verify::{Verdict, verify};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Part, SessionId, Sink, SinkError, Stream};
use hansard_record::order::Spot;
use hansard_record::sim::{Odds, Rng, SimClock, SimDisk, SimRecorder};
use hansard_record::{FileSink, Group, Lost, Options, Spool, SpoolOptions};
use support::{key, session};

/// States tried for each run; the runs differ in more than the states of one.
const STATES: u64 = 10;

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Runs `one` for as many states as were asked for; it answers what it saw.
fn torture(what: &str, one: fn(u64, &mut Seen)) {
    let (wanted, seed) = (env("HANSARD_TORTURE", 3_000), env("HANSARD_SEED", 1));
    let mut seen = Seen::default();
    let mut runs = 0;
    while seen.states < wanted {
        one(seed + runs, &mut seen);
        runs += 1;
    }
    println!("ok: power loss, {what}: {runs} runs from seed {seed}, {seen:?}");
    // A single run, tried again for its seed, may well be kind.
    let is_calm = what == "spool" && seen.moved == 0;
    let kind = runs > 10 && (seen.acknowledged == 0 || seen.torn == 0 || is_calm);
    assert!(!kind, "the runs were too kind: {seen:?}");
}

#[derive(Debug, Default)]
struct Seen {
    states: u64,
    /// States in which something had been acknowledged.
    acknowledged: u64,
    /// States with something behind it that had not.
    torn: u64,
    /// States that read as damaged behind all that was acknowledged.
    damaged: u64,
    /// Runs in which the disk failed as well as losing power.
    faulty: u64,
    /// Runs in which a spool wrote parts again to get rid of files that they pinned.
    moved: u64,
}

fn random_odds(rng: &mut Rng) -> Odds {
    if rng.one_in(2) {
        return Odds::default();
    }
    Odds {
        short_write: [0, 5, 20][rng.below(3) as usize],
        full: [0, 10, 50][rng.below(3) as usize],
        broken_write: [0, 0, 100][rng.below(3) as usize],
        failed_sync: [0, 0, 60][rng.below(3) as usize],
    }
}

fn options(rng: &mut Rng) -> Options {
    let bounds = Bounds {
        frame_bytes: [512, 2048, 65536][rng.below(3) as usize],
        segment_bytes: [4096, 20_000, 262_144][rng.below(3) as usize],
        ..Bounds::default()
    };
    let (queue_bytes, wake_bytes) = ([16_384, 131_072][rng.below(2) as usize], 4096);
    let group = Group {
        bytes: [0, 4096, 1024 * 1024][rng.below(3) as usize],
        ..Group::default()
    };
    Options {
        bounds,
        group,
        queue_bytes,
        wake_bytes,
        merge_ns: 0,
        ..Options::default()
    }
}

/// Bytes that do not compress, of any length up to a few kilobytes.
fn random_bytes(rng: &mut Rng) -> Vec<u8> {
    let max = [40, 500, 6000][rng.below(3) as usize];
    (0..=rng.up_to(max)).map(|_| rng.next_u64() as u8).collect()
}

/// What a simulated capture did until it was told that it is over.
struct Told {
    /// Everything that was handed over.
    bytes: Vec<u8>,
    /// How much of it a flush, a close or the recorder itself called durable.
    durable: usize,
    closed: bool,
    /// It was closed, or told that its session is lost.
    over: bool,
}

/// A session: output, pauses, now and then a flush, perhaps an end.
fn capture(recorder: &mut SimRecorder, rng: &mut Rng) -> Told {
    let mut told = Told {
        bytes: Vec::new(),
        durable: 0,
        closed: false,
        over: false,
    };
    let steps = 5 + rng.below(120);
    for _ in 0..steps {
        if step(recorder, rng, &mut told).is_err() {
            return told;
        }
        let (_, recorded) = recorder.produced_and_recorded();
        told.durable = told.durable.max(recorded.bytes as usize);
    }
    if rng.one_in(2) {
        told.closed = recorder.close(End::default()).is_ok();
        if told.closed {
            told.durable = told.bytes.len();
        }
    }
    told
}

fn step(recorder: &mut SimRecorder, rng: &mut Rng, told: &mut Told) -> Result<(), Lost> {
    match rng.below(12) {
        0 => {
            recorder.flush()?;
            told.durable = told.bytes.len();
        }
        1 | 2 => recorder.advance(rng.below(3_000_000_000)),
        3 => recorder.event(Body::Resize { cols: 80, rows: 24 })?,
        _ => {
            let bytes = random_bytes(rng);
            told.bytes.extend_from_slice(&bytes);
            recorder.data(Stream::Output, &bytes)?;
        }
    }
    Ok(())
}

fn one_file_run(seed: u64, seen: &mut Seen) {
    let mut rng = Rng::new(seed);
    let (disk, clock) = (SimDisk::new(rng.next_u64()), SimClock::new(0));
    let path = Path::new("/rec/a.hansard");
    hansard_record::disk::Disk::create_dir(&disk, path.parent().unwrap()).unwrap();
    hansard_record::disk::Disk::sync_dir(&disk, Path::new("/")).unwrap();
    let odds = random_odds(&mut rng);
    seen.faulty += u64::from(odds.full + odds.failed_sync + odds.broken_write > 0);
    disk.set_odds(odds);
    disk.cut_power_at(disk.calls() + 1 + rng.below(80), rng.one_in(2));
    let on_loss = [OnLoss::Hold, OnLoss::End][rng.below(2) as usize];
    let options = options(&mut rng);
    let session = session(1, on_loss, 1_000);
    let opened = FileSink::create(path, &disk)
        .ok()
        .and_then(|sink| SimRecorder::open(session, key(), Box::new(sink), &clock, options).ok());
    let opened_at_all = opened.is_some();
    let told = opened.map(|mut recorder| capture(&mut recorder, &mut rng));
    let told = told.unwrap_or(Told {
        bytes: Vec::new(),
        durable: 0,
        closed: false,
        over: false,
    });
    for _ in 0..STATES {
        let found = disk.after_power_loss(rng.next_u64()).content(path);
        seen.states += 1;
        seen.acknowledged += u64::from(opened_at_all);
        check_file(seed, found.as_deref(), opened_at_all, &told, seen);
    }
}

/// What is in the file must begin with all that was durable, and hold nothing that was not said.
fn check_file(seed: u64, found: Option<&[u8]>, opened: bool, told: &Told, seen: &mut Seen) {
    let found = found.unwrap_or_default();
    if !opened {
        return;
    }
    let (mut events, mut data, mut damaged) = (0u64, Vec::new(), false);
    let mut reader = Reader::new(found);
    let tail = loop {
        match reader
            .next_item()
            .unwrap_or_else(|e| panic!("seed {seed}: {e:?}"))
        {
            Item::Frame(frame) if !damaged => {
                events += frame.events.len() as u64;
                for event in frame.events {
                    if let Body::Data { bytes, .. } = event.body {
                        data.extend_from_slice(&bytes);
                    }
                }
            }
            Item::Frame(_) | Item::Seal(_) => {}
            Item::Damage(_) => damaged = true,
            Item::End(tail) => break tail,
        }
    };
    assert!(
        events > 0,
        "seed {seed}: the header was durable and is gone"
    );
    assert!(
        data.len() >= told.durable,
        "seed {seed}: {} bytes were durable, {} are there ({tail:?})",
        told.durable,
        data.len()
    );
    assert!(told.bytes.starts_with(&data), "seed {seed}: altered");
    seen.torn += u64::from(matches!(tail, Tail::Torn { .. }));
    seen.damaged += u64::from(damaged);
    let verdict = verify(found).unwrap().verdict;
    if told.closed {
        assert_eq!(verdict, Verdict::Complete, "seed {seed}");
    }
}

#[test]
fn a_file_keeps_what_was_durable() {
    torture("one file", one_file_run);
}

/// What happened to the parts of one run of a spool.
#[derive(Default)]
struct Offered {
    /// Every part that was ever offered, by place.
    parts: BTreeMap<(SessionId, Spot), Part>,
    acknowledged: HashSet<(SessionId, Spot)>,
    forgotten: HashSet<(SessionId, Spot)>,
    /// The last batch that was offered and not acknowledged, of each session.
    owed: BTreeMap<SessionId, Vec<Part>>,
}

fn place(part: &Part) -> (SessionId, Spot) {
    (part.session(), Spot::of(part))
}

/// Room for everything.
const AMPLE: u64 = 1 << 30;

fn open_spool(disk: &SimDisk, file_bytes_max: u64) -> std::io::Result<Spool> {
    open_bounded(disk, file_bytes_max, AMPLE)
}

fn open_bounded(disk: &SimDisk, file_bytes_max: u64, bytes_max: u64) -> std::io::Result<Spool> {
    let holder = "torture".to_owned();
    let options = SpoolOptions {
        bytes_max,
        file_bytes_max,
        holder,
    };
    Spool::open(Path::new("/spool"), Arc::new(disk.clone()), options)
}

/// Several writers put what they have, now and then something is released, until the power goes. Of
/// the first session little is ever released, so that it pins files.
fn fill(spool: &mut Spool, rng: &mut Rng) -> Offered {
    let mut offered = Offered::default();
    let bounds = Bounds {
        frame_bytes: 1024,
        segment_bytes: 8192,
        ..Bounds::default()
    };
    let mut writers: Vec<SegmentWriter> = (0..1 + rng.below(4) as u16)
        .map(|n| SegmentWriter::new(session(n, OnLoss::Hold, 0), key(), bounds).unwrap())
        .collect();
    for i in 0..10 + rng.below(100) {
        let n = rng.below(writers.len() as u64) as usize;
        for _ in 0..rng.below(4) {
            writers[n]
                .push_data(i, Stream::Output, &random_bytes(rng))
                .unwrap();
        }
        writers[n].cut().unwrap();
        let new = writers[n].parts();
        let Some(id) = new.first().map(Part::session) else {
            continue;
        };
        let mut batch = offered.owed.remove(&id).unwrap_or_default();
        batch.extend(new);
        offered
            .parts
            .extend(batch.iter().map(|part| (place(part), part.clone())));
        match spool.put(&batch) {
            Ok(_) => offered.acknowledged.extend(batch.iter().map(place)),
            Err(SinkError::Retry(_)) => drop(offered.owed.insert(id, batch)),
            Err(e) => panic!("{e:?}"),
        }
        if rng.one_in(6) {
            let pinning = session(0, OnLoss::Hold, 0).id;
            let pending = spool.pending(None, 1 + rng.below(90) as usize);
            let gone = pending
                .iter()
                .filter(|p| p.session != pinning || rng.one_in(30));
            let names: Vec<_> = gone.map(|p| (p.session, p.spot)).collect();
            spool.forget(&names);
            offered.forgotten.extend(names);
        }
    }
    offered
}

fn one_spool_run(seed: u64, seen: &mut Seen) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(rng.next_u64());
    let file_bytes_max = [8_000, 40_000, 1 << 20][rng.below(3) as usize];
    let odds = random_odds(&mut rng);
    seen.faulty += u64::from(odds.full + odds.failed_sync + odds.broken_write > 0);
    disk.set_odds(odds);
    disk.cut_power_at(disk.calls() + 1 + rng.below(150), rng.one_in(2));
    let bytes_max = [150_000, AMPLE][rng.below(2) as usize];
    let mut offered = match open_bounded(&disk, file_bytes_max, bytes_max) {
        Ok(mut spool) => {
            let offered = fill(&mut spool, &mut rng);
            seen.moved += u64::from(spool.usage().moved_bytes > 0);
            offered
        }
        Err(_) => Offered::default(),
    };
    // Now and then only the program dies. What it had not synced can be read by the next one, and
    // what that one is offered again counts as durable: so it had better be.
    let disk = if rng.one_in(3) {
        let disk = disk.after_crash();
        let mut spool = open_spool(&disk, file_bytes_max).unwrap();
        for owed in std::mem::take(&mut offered.owed).into_values() {
            spool
                .put(&owed)
                .unwrap_or_else(|e| panic!("seed {seed}: {e:?}"));
            offered.acknowledged.extend(owed.iter().map(place));
        }
        disk
    } else {
        disk
    };
    for _ in 0..STATES {
        let mut found = disk.after_power_loss(rng.next_u64());
        // The power may go again while the spool is opened, more than once.
        while rng.one_in(3) {
            found.cut_power_at(found.calls() + 1 + rng.below(12), rng.one_in(2));
            drop(open_spool(&found, file_bytes_max));
            found = found.after_power_loss(rng.next_u64());
        }
        seen.states += 1;
        seen.acknowledged += u64::from(!offered.acknowledged.is_empty());
        let spool = open_spool(&found, file_bytes_max)
            .unwrap_or_else(|e| panic!("seed {seed}: opening needs hands: {e}"));
        check_spool(seed, spool, &offered, seen);
    }
}

/// All that was acknowledged and not released is there, nothing is altered, and a sender that
/// repeats itself gets on.
fn check_spool(seed: u64, mut spool: Spool, offered: &Offered, seen: &mut Seen) {
    assert!(
        spool.damage().is_empty(),
        "seed {seed}: {:?}",
        spool.damage()
    );
    let mut found = HashSet::new();
    let mut last: BTreeMap<SessionId, Spot> = BTreeMap::new();
    for pending in spool.pending(None, usize::MAX) {
        let part = spool
            .read(&pending)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let said = offered.parts.get(&place(&part));
        assert!(
            said == Some(&part),
            "seed {seed}: {} is altered",
            pending.spot
        );
        // What was released may come back, in any order: its receiver has it already.
        if offered.forgotten.contains(&place(&part)) {
            continue;
        }
        if let Some(before) = last.insert(pending.session, pending.spot) {
            let in_order = before.is_followed_by(pending.spot)
                || between_is_forgotten(offered, pending.session, before, pending.spot);
            assert!(in_order, "seed {seed}: {} after {before}", pending.spot);
        }
        found.insert(place(&part));
    }
    for wanted in offered.acknowledged.difference(&offered.forgotten) {
        assert!(found.contains(wanted), "seed {seed}: {} is lost", wanted.1);
    }
    let unpromised = found.difference(&offered.acknowledged).count();
    seen.torn += u64::from(unpromised > 0);
    // The very same again succeeds, whether or not a part of it had made it.
    for owed in offered.owed.values() {
        spool
            .put(owed)
            .unwrap_or_else(|e| panic!("seed {seed}: a repeat is refused: {e:?}"));
    }
}

fn between_is_forgotten(offered: &Offered, id: SessionId, from: Spot, to: Spot) -> bool {
    let mut between = offered
        .parts
        .keys()
        .filter(|(session, spot)| *session == id && from < *spot && *spot < to);
    from < to && between.all(|name| offered.forgotten.contains(name))
}

#[test]
fn a_spool_keeps_what_was_durable() {
    torture("spool", one_spool_run);
}

/// Several recorders share one spool, as in a daemon.
fn one_shared_run(seed: u64, seen: &mut Seen) {
    let mut rng = Rng::new(seed);
    let (disk, clock) = (SimDisk::new(rng.next_u64()), SimClock::new(0));
    let file_bytes_max = [20_000, 1 << 20][rng.below(2) as usize];
    let odds = random_odds(&mut rng);
    seen.faulty += u64::from(odds.full + odds.failed_sync + odds.broken_write > 0);
    let spool = open_spool(&disk, file_bytes_max).unwrap();
    disk.set_odds(odds);
    disk.cut_power_at(disk.calls() + 1 + rng.below(200), rng.one_in(2));
    let mut recorders = Vec::new();
    for number in 0..1 + rng.below(4) as u16 {
        let session = session(number, OnLoss::Hold, 1_000);
        let (id, sink) = (session.id, Box::new(spool.clone()));
        let opened = SimRecorder::open(session, key(), sink, &clock, options(&mut rng));
        recorders.extend(opened.ok().map(|recorder| {
            (
                id,
                recorder,
                Told {
                    bytes: Vec::new(),
                    durable: 0,
                    closed: false,
                    over: false,
                },
            )
        }));
    }
    drop(spool);
    for _ in 0..rng.below(200) {
        let n = rng.below(recorders.len() as u64) as usize;
        let Some((_, recorder, told)) = recorders.get_mut(n) else {
            break;
        };
        if told.over {
            continue;
        }
        told.over = step(recorder, &mut rng, told).is_err();
        let (_, recorded) = recorder.produced_and_recorded();
        told.durable = told.durable.max(recorded.bytes as usize);
        if rng.one_in(40) && recorder.close(End::default()).is_ok() {
            (told.durable, told.closed, told.over) = (told.bytes.len(), true, true);
        }
    }
    for _ in 0..STATES {
        let found = open_spool(&disk.after_power_loss(rng.next_u64()), file_bytes_max).unwrap();
        assert!(
            found.damage().is_empty(),
            "seed {seed}: {:?}",
            found.damage()
        );
        let mut recordings: BTreeMap<SessionId, Vec<u8>> = BTreeMap::new();
        for pending in found.pending(None, usize::MAX) {
            let part = found.read(&pending).unwrap();
            recordings
                .entry(pending.session)
                .or_default()
                .extend_from_slice(part.bytes());
        }
        seen.states += 1;
        seen.acknowledged += u64::from(!recorders.is_empty());
        let mut torn = false;
        for (id, _, told) in &recorders {
            let recording = recordings.get(id).map(Vec::as_slice);
            let damaged = seen.damaged;
            check_file(seed, recording, true, told, seen);
            assert_eq!(
                seen.damaged, damaged,
                "seed {seed}: a spool hands out whole parts only"
            );
            torn |= recording.is_some_and(|r| verify(r).unwrap().verdict == Verdict::Unfinished);
        }
        seen.torn += u64::from(torn);
    }
}

#[test]
fn recorders_that_share_a_spool_keep_what_was_durable() {
    torture("recorders over one spool", one_shared_run);
}

#[test]
fn a_run_can_be_replayed_from_its_seed() {
    let run = |seed: u64| {
        let mut rng = Rng::new(seed);
        let (disk, clock) = (SimDisk::new(rng.next_u64()), SimClock::new(0));
        disk.set_odds(random_odds(&mut rng));
        let path = Path::new("/a.hansard");
        let sink = FileSink::create(path, &disk).unwrap();
        let session = session(1, OnLoss::Hold, 1_000);
        let options = options(&mut rng);
        if let Ok(mut recorder) = SimRecorder::open(session, key(), Box::new(sink), &clock, options)
        {
            capture(&mut recorder, &mut rng);
        }
        (
            disk.content(path),
            disk.after_power_loss(seed).content(path),
            disk.calls(),
        )
    };
    for seed in 0..50 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1), run(2));
}
