//! A medium that has lost some sectors: what stood there is lost, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::Read as _;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use hansard_core::verify::Verdict;
use hansard_store::archive::ArchiveError;
use hansard_store::blob::fs::FsBlobs;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::blob::{BlobError, Listed};
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::pack::read_table;
use hansard_store::project::Projector;
use hansard_store::reindex::{adopt, reindex};
use hansard_store::retention::{Rule, run, superfluous};
use hansard_store::{Archive, ArchiveOptions, BlobName, BlobStore, Catalog, Query, SealedSegment};
use support::{TempDir, bytes_of, id, recording};

/// A blob and the bytes of it that cannot be read.
type Bad = (BlobName, Range<u64>);

/// Blobs with sectors that cannot be read any more.
#[derive(Clone, Default)]
struct BadSectors {
    blobs: MemoryBlobs,
    bad: Arc<Mutex<Vec<Bad>>>,
    /// One that cannot be deleted.
    stuck: Arc<Mutex<Option<BlobName>>>,
}

impl BadSectors {
    fn lose(&self, name: &BlobName, range: Range<u64>) {
        self.bad.lock().unwrap().push((name.clone(), range));
    }
}

impl BlobStore for BadSectors {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError> {
        self.blobs.put(name, bytes)
    }

    fn read(&self, name: &BlobName, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let bad = self.bad.lock().unwrap();
        let hit = |(of, lost): &Bad| of == name && lost.start < range.end && range.start < lost.end;
        match bad.iter().any(hit) {
            true => Err(BlobError::Unreadable(format!("{name}: input/output error"))),
            false => self.blobs.read(name, range),
        }
    }

    fn size(&self, name: &BlobName) -> Result<u64, BlobError> {
        self.blobs.size(name)
    }

    fn list(
        &self,
        family: &str,
        after: Option<&BlobName>,
        limit: usize,
    ) -> Result<Vec<Listed>, BlobError> {
        self.blobs.list(family, after, limit)
    }

    fn delete(&self, name: &BlobName) -> Result<(), BlobError> {
        match self.stuck.lock().unwrap().as_ref() == Some(name) {
            true => Err(BlobError::Retry(format!("{name}: not permitted"))),
            false => self.blobs.delete(name),
        }
    }
}

const SESSIONS: u64 = 6;

/// Sessions of five segments in packs of a few, and the packs' names.
fn archived(blobs: &BadSectors) -> (Vec<Vec<SealedSegment>>, Arc<dyn Catalog>, Vec<BlobName>) {
    let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::default());
    let options = ArchiveOptions {
        pack_bytes: 4000,
        ..ArchiveOptions::default()
    };
    let archive = Archive::new(Arc::new(blobs.clone()), catalog.clone(), options);
    let sessions: Vec<_> = (0..SESSIONS).map(|n| recording(n, 5)).collect();
    for round in 0..5 {
        let batch: Vec<_> = sessions.iter().map(|s| s[round].clone()).collect();
        assert!(archive.put(&batch, 0).receipts.iter().all(Result::is_ok));
    }
    assert_eq!(archive.flush().trouble, None);
    let listed = blobs.list("pack", None, 1000).unwrap();
    let names: Vec<_> = listed.into_iter().map(|listed| listed.name).collect();
    assert!(names.len() > 2, "{}", names.len());
    (sessions, catalog, names)
}

fn anew() -> Arc<dyn Catalog> {
    Arc::new(MemoryCatalog::default())
}

#[test]
fn one_bad_sector_costs_the_segment_that_it_is_in() {
    let blobs = BadSectors::default();
    let (sessions, catalog, names) = archived(&blobs);
    let hit = read_table(&blobs, &names[1]).unwrap()[1].clone();
    blobs.lose(&names[1], hit.offset + 10..hit.offset + 20);
    let shared: Arc<dyn BlobStore> = Arc::new(blobs.clone());

    // Rows: that segment is put aside with the reason, and no other waits behind it.
    let mut projector = Projector::new(shared.clone(), catalog.clone());
    let progress = projector.run_all().unwrap();
    assert_eq!((progress.segments, progress.quarantined), (29, 1));

    // The catalog can be built anew, and lists as many sessions.
    let built = anew();
    let (adopted, progress) = reindex(&shared, &built).unwrap();
    assert_eq!((adopted.segments, adopted.quarantined), (29, 1));
    assert_eq!(progress.segments, 29);
    let rows = built.sessions(&Query::default()).unwrap().rows;
    assert_eq!(rows.len() as u64, SESSIONS);

    // Whoever reads the session is told what is missing, and reads what is behind it.
    let archive = Archive::new(shared, catalog, ArchiveOptions::default());
    let number = (0..SESSIONS).find(|n| id(*n) == hit.session).unwrap();
    let report = archive.verify_session(hit.session).unwrap().unwrap();
    assert!(!report.is_intact());
    assert_eq!(report.report.verdict, Verdict::Damaged);
    assert_eq!(report.problems[0].segment, hit.number);
    assert!(report.problems[0].what.contains("input/output error"));
    let mut left = sessions[number as usize].clone();
    left.remove(hit.number as usize);
    let mut read = Vec::new();
    let mut reader = archive.open_session(hit.session).unwrap().unwrap();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes_of(&left));
}

#[test]
fn a_table_under_a_bad_sector_costs_what_is_in_that_sector() {
    let blobs = BadSectors::default();
    let (_, _, names) = archived(&blobs);
    let mut readable = 0;
    for name in &names {
        let size = blobs.size(name).unwrap();
        // The sector that the table ends in, and what else is in it.
        let sector = (size - 1) / 4096 * 4096;
        let table = read_table(&blobs, name).unwrap();
        let whole = |e: &&hansard_store::pack::Entry| e.offset + e.bytes <= sector;
        readable += table.iter().filter(whole).count() as u64;
        blobs.lose(name, sector..size);
    }
    assert!(readable > 5, "{readable}");
    let shared: Arc<dyn BlobStore> = Arc::new(blobs);
    let built = anew();
    let (adopted, _) = reindex(&shared, &built).unwrap();
    assert_eq!(adopted.packs_damaged, names.len() as u64);
    assert_eq!(adopted.segments, readable);
}

#[test]
fn what_nobody_points_to_and_cannot_be_read_keeps_no_service_from_starting() {
    let blobs = BadSectors::default();
    let (_, catalog, names) = archived(&blobs);
    let left = BlobName::parse("pack/00ff").unwrap();
    blobs.put(&left, &[7; 5000]).unwrap();
    blobs.lose(&left, 0..5000);
    let adopted = adopt(&blobs, &*catalog).unwrap();
    assert_eq!((adopted.packs, adopted.packs_damaged), (1, 1));
    // It may be somebody's evidence: it is not cleared away.
    assert_eq!(superfluous(&blobs, &*catalog).unwrap().deleted, 0);
    assert_eq!(
        blobs.list("pack", None, 1000).unwrap().len(),
        names.len() + 1
    );
}

#[test]
fn a_pack_that_cannot_be_deleted_keeps_no_other_from_it() {
    let blobs = BadSectors::default();
    let (_, catalog, names) = archived(&blobs);
    Projector::new(Arc::new(blobs.clone()), catalog.clone())
        .run_all()
        .unwrap();
    let packs = || blobs.list("pack", None, 1000).unwrap().len();
    let read = |name: &BlobName| blobs.read(name, 0..blobs.size(name).unwrap()).unwrap();
    let kept: Vec<Vec<u8>> = names.iter().map(read).collect();
    let rules = [Rule {
        name: "all".to_owned(),
        keep_ns: Some(1),
        ..Rule::default()
    }];
    let start_ns = 1_700_000_000_000_000_000;
    catalog.date(start_ns).unwrap();
    *blobs.stuck.lock().unwrap() = Some(names[0].clone());
    let clear = |utc_ns| run(&blobs, &*catalog, &rules, utc_ns, &mut |_| Ok(()));
    let failed = clear(2 * start_ns).unwrap_err().to_string();
    assert!(failed.contains("not permitted"), "{failed}");
    assert_eq!(packs(), 1);
    *blobs.stuck.lock().unwrap() = None;
    assert_eq!(clear(2 * start_ns).unwrap().blobs, 1);
    assert_eq!(packs(), 0);

    // The same of packs that nothing points to.
    for (name, bytes) in names.iter().zip(&kept) {
        blobs.put(name, bytes).unwrap();
    }
    *blobs.stuck.lock().unwrap() = Some(names[0].clone());
    let done = superfluous(&blobs, &*catalog).unwrap();
    assert_eq!(done.deleted, names.len() as u64 - 1);
    assert_eq!(done.left.unwrap().0, names[0]);
    assert_eq!(packs(), 1);
}

#[test]
fn an_archive_of_which_nothing_can_be_read_does_not_pass_for_an_empty_one() {
    let blobs = BadSectors::default();
    let (_, _, names) = archived(&blobs);
    for name in &names {
        blobs.lose(name, 0..u64::MAX);
    }
    let shared: Arc<dyn BlobStore> = Arc::new(blobs);
    let why = reindex(&shared, &anew()).unwrap_err();
    assert!(matches!(&why, ArchiveError::Retry(_)), "{why:?}");
    assert!(why.to_string().contains("none of the packs"), "{why}");
}

#[test]
fn what_is_old_is_deleted_around_what_cannot_be_read() {
    let blobs = BadSectors::default();
    let (_, catalog, names) = archived(&blobs);
    let shared: Arc<dyn BlobStore> = Arc::new(blobs.clone());
    Projector::new(shared, catalog.clone()).run_all().unwrap();
    // One session is held, in every pack; of one pack nothing can be read.
    catalog.hold(id(0), true).unwrap();
    blobs.lose(&names[0], 0..u64::MAX);
    let all = [Rule {
        keep_ns: Some(1),
        ..Rule::default()
    }];
    let start_ns = 1_700_000_000_000_000_000;
    catalog.date(start_ns).unwrap();
    let retired = run(&blobs, &*catalog, &all, 2 * start_ns, &mut |_| Ok(())).unwrap();
    assert_eq!(retired.sessions, SESSIONS - 1);
    assert_eq!(retired.repacked as usize, names.len() - 1, "{retired:?}");
    assert_eq!(retired.waiting, 1);
}

#[test]
fn a_file_that_cannot_be_read_is_told_from_one_that_may_be_read_later() {
    let dir = TempDir::new("unreadable");
    let blobs = FsBlobs::open(&dir.path().join("archive"), "test").unwrap();
    let name = BlobName::parse("pack/aa01").unwrap();
    blobs.put(&name, b"bytes").unwrap();
    let path = dir.path().join("archive/pack/aa/aa01");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let read = blobs.read(&name, 0..5);
    assert!(matches!(read, Err(BlobError::Unreadable(_))), "{read:?}");
    let listed = blobs.list("pack", None, 10).unwrap();
    assert_eq!(listed.len(), 1);
}
