//! The spool: bounds, locks, release, faults, and what a crash leaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hansard_core::{Part, Sink, SinkError};
use hansard_record::conformance::sample_parts;
use hansard_record::disk::{Disk, DiskFile};
use hansard_record::order::Spot;
use hansard_record::real_disk::RealDisk;
use hansard_record::sim::{Odds, Rng, SimDisk, WriteFault};
use hansard_record::{Spool, SpoolOptions};
use support::TempDir;

fn dir() -> &'static Path {
    Path::new("/spool")
}

fn open_with(disk: &SimDisk, bytes_max: u64, file_bytes_max: u64) -> Spool {
    let holder = "the test".to_owned();
    let options = SpoolOptions {
        bytes_max,
        file_bytes_max,
        holder,
    };
    Spool::open(dir(), Arc::new(disk.clone()), options).unwrap()
}

fn open(disk: &SimDisk) -> Spool {
    open_with(disk, 1 << 30, 20_000)
}

fn all(spool: &Spool) -> Vec<Part> {
    spool
        .pending(None, usize::MAX)
        .iter()
        .map(|p| spool.read(p).unwrap())
        .collect()
}

fn files(disk: &SimDisk) -> usize {
    disk.list(dir())
        .unwrap()
        .iter()
        .filter(|n| n.to_str().unwrap().starts_with("spool-"))
        .count()
}

fn names(parts: &[Part]) -> Vec<(hansard_core::SessionId, Spot)> {
    parts
        .iter()
        .map(|part| (part.session(), Spot::of(part)))
        .collect()
}

#[test]
fn what_was_put_is_there_after_a_restart_byte_for_byte_and_in_order() {
    let disk = SimDisk::new(1);
    let parts = sample_parts(1).unwrap();
    let mut spool = open(&disk);
    for batch in parts.chunks(3) {
        spool.put(batch).unwrap();
    }
    assert!(files(&disk) > 3, "the parts are spread over several files");
    assert_eq!(all(&spool), parts);
    drop(spool);
    let mut spool = open(&disk);
    assert_eq!(all(&spool), parts);
    assert!(spool.damage().is_empty());
    // The same again succeeds and changes nothing, whatever a sender remembers.
    spool.put(&parts[10..20]).unwrap();
    assert_eq!(all(&spool), parts);
    // And it can be read in pieces.
    let first = spool.pending(None, 7);
    let rest = spool.pending(first.last(), usize::MAX);
    assert_eq!(first.len() + rest.len(), parts.len());
}

#[test]
fn two_daemons_never_share_a_spool_and_the_second_is_told_who_has_it() {
    let disk = SimDisk::new(1);
    let spool = open(&disk);
    let second = Spool::open(dir(), Arc::new(disk.clone()), SpoolOptions::default());
    let error = second.err().unwrap().to_string();
    assert!(error.contains("/spool/lock is held by the test"), "{error}");
    drop(spool);
    open(&disk);

    let temp = TempDir::new("lock");
    let dir = temp.path().join("spool");
    let options = SpoolOptions {
        holder: "hansardd, process 812".into(),
        ..Default::default()
    };
    let spool = Spool::open(&dir, Arc::new(RealDisk), options.clone()).unwrap();
    let error = Spool::open(&dir, Arc::new(RealDisk), options.clone())
        .err()
        .unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(
        error
            .to_string()
            .ends_with("is held by hansardd, process 812"),
        "{error}"
    );
    drop(spool);
    Spool::open(&dir, Arc::new(RealDisk), options).unwrap();
}

#[test]
fn a_full_spool_says_so_and_takes_parts_again_when_some_are_released() {
    let disk = SimDisk::new(1);
    let parts = sample_parts(1).unwrap();
    let mut spool = open_with(&disk, 60_000, 20_000);
    let mut taken = 0;
    let full = loop {
        match spool.put(&parts[taken..=taken]) {
            Ok(_) => taken += 1,
            Err(e) => break e,
        }
    };
    let SinkError::Retry(why) = full else {
        panic!("{full:?}")
    };
    assert!(
        why.starts_with("spool /spool is full: ") && why.contains("of 60000 bytes"),
        "{why}"
    );
    // What is there already needs no room.
    spool.put(&parts[..taken]).unwrap();
    spool.forget(&names(&parts[..taken / 2]));
    spool.put(&parts[taken..=taken]).unwrap();
    assert_eq!(all(&spool), parts[taken / 2..=taken]);
    assert!(spool.usage().bytes <= 60_000);
}

#[test]
fn released_parts_go_with_their_files_and_are_still_known() {
    let disk = SimDisk::new(1);
    let parts = sample_parts(1).unwrap();
    let mut spool = open(&disk);
    spool.put(&parts).unwrap();
    let (gone, rest) = parts.split_at(parts.len() - 4);
    spool.forget(&names(gone));
    assert_eq!(all(&spool), rest);
    spool.put(gone).unwrap();
    assert_eq!(all(&spool), rest, "the same again changes nothing");
    let mut other = gone[3].clone();
    if let Part::Frame(frame) = &mut other {
        frame.bytes[5] ^= 1;
    }
    assert!(matches!(spool.put(&[other]), Err(SinkError::Conflict(_))));
    spool.forget(&names(rest));
    assert_eq!(all(&spool), []);
    assert!(files(&disk) <= 1, "{} files are left", files(&disk));
}

#[test]
fn a_failed_sync_costs_a_file_and_no_part() {
    let disk = SimDisk::new(1);
    let parts = sample_parts(1).unwrap();
    let mut spool = open(&disk);
    for (i, batch) in parts.chunks(5).enumerate() {
        if i % 3 == 1 {
            disk.fail_next_sync();
        }
        spool.put(batch).unwrap();
    }
    assert_eq!(all(&spool), parts);
    drop(spool);
    for seed in 0..200 {
        let found = open(&disk.after_power_loss(seed));
        assert_eq!(all(&found), parts, "seed {seed}");
        assert!(found.damage().is_empty());
    }
}

#[test]
fn a_write_that_breaks_costs_a_file_and_no_part() {
    let disk = SimDisk::new(1);
    let parts = sample_parts(1).unwrap();
    let mut spool = open(&disk);
    for batch in parts.chunks(5) {
        disk.fail_next_write(WriteFault::Broken);
        // One that breaks while a new file is begun is answered with "retry".
        if let Err(e) = spool.put(batch) {
            assert!(matches!(e, SinkError::Retry(_)), "{e:?}");
            spool.put(batch).unwrap();
        }
    }
    assert_eq!(all(&spool), parts);
}

#[test]
fn a_full_disk_is_waited_for() {
    let disk = SimDisk::new(1);
    let parts = sample_parts(1).unwrap();
    let mut spool = open(&disk);
    spool.put(&parts[..4]).unwrap();
    disk.set_capacity(Some(5000));
    let error = spool.put(&parts[4..]).unwrap_err();
    assert!(matches!(error, SinkError::Retry(_)), "{error:?}");
    disk.set_capacity(None);
    spool.put(&parts[4..]).unwrap();
    assert_eq!(all(&spool), parts);
}

#[test]
fn damage_to_what_was_durable_is_named_and_everything_around_it_kept() {
    let disk = SimDisk::new(1);
    let parts = sample_parts(1).unwrap();
    let mut spool = open_with(&disk, 1 << 30, 1 << 20);
    for part in &parts {
        spool.put(std::slice::from_ref(part)).unwrap();
    }
    drop(spool);
    let file = Path::new("/spool/spool-0000000001");
    // In the middle of the third part.
    let offset = 16
        + parts[..3]
            .iter()
            .map(|p| p.bytes().len() + 56)
            .sum::<usize>()
        - 20;
    disk.rot(file, offset, 3);
    let mut spool = open_with(&disk, 1 << 30, 1 << 20);
    assert_eq!(spool.damage().len(), 1);
    assert_eq!(spool.damage()[0].path, file);
    let mut left = parts.clone();
    left.remove(2);
    assert_eq!(all(&spool), left);
    // A sender that still has the part repairs it.
    spool.put(&parts[2..3]).unwrap();
    left.push(parts[2].clone());
    assert_eq!(all(&spool), left);
}

#[test]
fn a_torn_tail_is_cut_off_when_the_spool_is_opened() {
    let disk = SimDisk::new(1);
    let parts = sample_parts(1).unwrap();
    let mut spool = open(&disk);
    spool.put(&parts[..3]).unwrap();
    let file = Path::new("/spool/spool-0000000001");
    let proven = disk.content(file).unwrap();
    spool.put(&parts[3..5]).unwrap();
    drop(spool);
    let end = disk.content(file).unwrap().len() as u64;
    disk.open(file)
        .unwrap()
        .write_at(end, &[0x8e; 777])
        .unwrap();
    let mut spool = open(&disk);
    assert_eq!(all(&spool), parts[..5]);
    // What nobody is known to have synced has been put again.
    assert_eq!(disk.content(file).unwrap(), proven);
    spool.put(&parts[5..8]).unwrap();
    assert_eq!(all(&spool), parts[..8]);
    // So is one of a file that a later one knows to be durable.
    drop(spool);
    let sound = disk.content(file).unwrap();
    disk.open(file)
        .unwrap()
        .write_at(sound.len() as u64, &[0; 777])
        .unwrap();
    open(&disk);
    assert_eq!(disk.content(file).unwrap(), sound);
}

#[test]
fn threads_lose_nothing_when_the_power_goes() {
    // `HANSARD_TORTURE` asks for that many states here too; there are ten to a seed.
    let wanted = std::env::var("HANSARD_TORTURE")
        .ok()
        .and_then(|text| text.parse().ok());
    let runs = wanted.map_or(60, |states: u64| states / 10);
    for seed in 0..runs {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        if rng.one_in(2) {
            disk.set_odds(Odds {
                failed_sync: 20,
                full: 50,
                ..Odds::default()
            });
        }
        let slow = LateDisk(disk.clone(), Arc::default());
        let options = SpoolOptions {
            file_bytes_max: 3_000,
            ..SpoolOptions::default()
        };
        let Ok(spool) = Spool::open(dir(), Arc::new(slow), options) else {
            continue;
        };
        disk.cut_power_at(disk.calls() + rng.below(400), rng.one_in(2));
        let threads: Vec<_> = (1..=4u8)
            .map(|number| {
                let mut spool = spool.clone();
                std::thread::spawn(move || {
                    let mut parts = sample_parts(number).unwrap();
                    // A disk that is full for a moment is tried again; one without power in vain.
                    let mut is_taken = |part: &&Part| {
                        (0..3).any(|_| spool.put(std::slice::from_ref(*part)).is_ok())
                    };
                    let taken = parts.iter().take_while(|part| is_taken(part)).count();
                    parts.truncate(taken);
                    parts
                })
            })
            .collect();
        let acknowledged: Vec<Vec<Part>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        drop(spool);
        for state in 0..10 {
            let found = all(&open(&disk.after_power_loss(state)));
            for parts in &acknowledged {
                let Some(id) = parts.first().map(Part::session) else {
                    continue;
                };
                let of_session: Vec<Part> = found
                    .iter()
                    .filter(|p| p.session() == id)
                    .cloned()
                    .collect();
                let spots = |parts: &[Part]| parts.iter().map(Spot::of).collect::<Vec<_>>();
                assert!(
                    of_session.starts_with(parts),
                    "seed {seed}, state {state}: {:?} where {:?} were durable",
                    spots(&of_session),
                    spots(parts),
                );
            }
        }
    }
}

/// A disk whose syncs take a moment; one of them, if told so, until something else has been written
/// to the same file.
#[derive(Clone)]
struct LateDisk(SimDisk, Arc<AtomicBool>);

struct LateFile(Arc<dyn DiskFile>, Arc<AtomicBool>);

impl DiskFile for LateFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(offset, buf)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        // Others get a word in before it begins.
        std::thread::sleep(std::time::Duration::from_micros(50));
        self.0.sync_data()?;
        if self.1.swap(false, Ordering::SeqCst) {
            let size = self.0.size()?;
            while self.0.size()? == size {
                std::thread::yield_now();
            }
        }
        Ok(())
    }
    fn truncate(&self, len: u64) -> std::io::Result<()> {
        self.0.truncate(len)
    }
    fn size(&self) -> std::io::Result<u64> {
        self.0.size()
    }
}

impl Disk for LateDisk {
    fn create_new(&self, path: &Path) -> std::io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(LateFile(self.0.create_new(path)?, self.1.clone())))
    }
    fn open(&self, path: &Path) -> std::io::Result<Arc<dyn DiskFile>> {
        self.0.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.remove(path)
    }
    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        self.0.create_dir(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
        self.0.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn lock(&self, path: &Path, who: &str) -> std::io::Result<Box<dyn Send + Sync>> {
        self.0.lock(path, who)
    }
}

#[test]
fn what_is_written_while_a_sync_is_under_way_waits_for_the_next() {
    let (ours, theirs) = (sample_parts(1).unwrap(), sample_parts(2).unwrap());
    let disk = SimDisk::new(1);
    let late = LateDisk(disk.clone(), Arc::default());
    let options = SpoolOptions::default();
    let mut first = Spool::open(dir(), Arc::new(late.clone()), options).unwrap();
    let mut second = first.clone();
    first.put(&ours[..1]).unwrap();
    late.1.store(true, Ordering::SeqCst);
    let part = ours[1..2].to_vec();
    let thread = std::thread::spawn(move || first.put(&part).unwrap());
    while late.1.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    second.put(&theirs[..1]).unwrap();
    thread.join().unwrap();
    drop(second);
    for seed in 0..50 {
        let found = all(&open(&disk.after_power_loss(seed)));
        assert_eq!(
            found,
            [ours[0].clone(), ours[1].clone(), theirs[0].clone()],
            "seed {seed}"
        );
    }
}

#[test]
fn threads_share_one_fsync() {
    let temp = TempDir::new("grouped");
    let dir = temp.path().join("spool");
    let counted = Arc::new(CountingDisk::default());
    let spool = Spool::open(&dir, counted.clone(), SpoolOptions::default()).unwrap();
    let threads: Vec<_> = (1..=8u8)
        .map(|number| {
            let mut spool = spool.clone();
            std::thread::spawn(move || {
                let parts = sample_parts(number).unwrap();
                for part in &parts {
                    spool.put(std::slice::from_ref(part)).unwrap();
                }
                parts
            })
        })
        .collect();
    let said: Vec<Vec<Part>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let puts = said.iter().map(Vec::len).sum::<usize>() as u64;
    let syncs = counted.syncs();
    assert!(syncs < puts, "{syncs} syncs for {puts} puts");
    let found = all(&spool);
    for parts in said {
        let id = parts[0].session();
        let of_session: Vec<Part> = found
            .iter()
            .filter(|p| p.session() == id)
            .cloned()
            .collect();
        assert_eq!(of_session, parts);
    }
}

/// The real disk, counting syncs, each of which takes a moment as on a medium that is not memory.
#[derive(Default)]
struct CountingDisk(Arc<std::sync::atomic::AtomicU64>);

impl CountingDisk {
    fn syncs(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct CountingFile(Arc<dyn DiskFile>, Arc<std::sync::atomic::AtomicU64>);

impl DiskFile for CountingFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(offset, buf)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_micros(500));
        self.0.sync_data()
    }
    fn truncate(&self, len: u64) -> std::io::Result<()> {
        self.0.truncate(len)
    }
    fn size(&self) -> std::io::Result<u64> {
        self.0.size()
    }
}

impl Disk for CountingDisk {
    fn create_new(&self, path: &Path) -> std::io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(CountingFile(
            RealDisk.create_new(path)?,
            self.0.clone(),
        )))
    }
    fn open(&self, path: &Path) -> std::io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        RealDisk.remove(path)
    }
    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
        RealDisk.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn lock(&self, path: &Path, who: &str) -> std::io::Result<Box<dyn Send + Sync>> {
        RealDisk.lock(path, who)
    }
}
