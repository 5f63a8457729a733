//! A catalog from the blobs alone: the listing comes out equal, and one poisoned blob or segment
//! stops nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use hansard_store::blob::fs::FsBlobs;
use hansard_store::catalog::sqlite::{SqliteCatalog, set_aside};
use hansard_store::catalog::{Cursor, EventRow, Page, SessionRow};
use hansard_store::pack::read_table;
use hansard_store::project::Projector;
use hansard_store::reindex::{adopt, reindex};
use hansard_store::{
    Archive, ArchiveOptions, BlobName, BlobStore, Catalog, CatalogError, Query, SealedSegment,
};
use support::{TempDir, bytes_of, mix, recording, torture};

type Stores = (Arc<dyn BlobStore>, Arc<dyn Catalog>);

fn open(dir: &Path) -> Stores {
    let blobs = FsBlobs::open(&dir.join("archive"), "test").unwrap();
    let catalog = dir.join("catalog");
    let _ = std::fs::create_dir(&catalog);
    (
        Arc::new(blobs),
        Arc::new(SqliteCatalog::open(&catalog, "test").unwrap()),
    )
}

/// Archives sessions as they come in: interleaved, a batch at a time, some without an end.
fn archive_all((blobs, catalog): &Stores, sessions: &[Vec<SealedSegment>]) {
    let options = ArchiveOptions {
        pack_bytes: 50_000,
        ..ArchiveOptions::default()
    };
    let archive = Archive::new(blobs.clone(), catalog.clone(), options);
    for group in sessions.chunks(64) {
        let longest = group.iter().map(Vec::len).max().unwrap_or(0);
        for round in 0..longest {
            let batch: Vec<SealedSegment> =
                group.iter().filter_map(|s| s.get(round).cloned()).collect();
            let put = archive.put(&batch, 0);
            assert!(put.receipts.iter().all(Result::is_ok));
        }
    }
    assert_eq!(archive.flush().trouble, None);
    assert_eq!(archive.waits().1, 0);
}

fn all<T>(mut ask: impl FnMut(&Query) -> Page<T>) -> Vec<T> {
    let (mut query, mut rows) = (Query::default(), Vec::new());
    loop {
        let page = ask(&query);
        rows.extend(page.rows);
        match page.next {
            None => return rows,
            next => query.after = next,
        }
    }
}

fn listing(catalog: &dyn Catalog) -> (Vec<SessionRow>, Vec<EventRow>) {
    (
        all(|query| catalog.sessions(query).unwrap()),
        all(|query| catalog.events(query).unwrap()),
    )
}

/// Sessions of one to twelve segments of four events, of which every ninth is still going on; from
/// 10,000 sessions on of one to fifty, so that these make a million events.
fn sessions(count: u64) -> Vec<Vec<SealedSegment>> {
    let segments_max = if count < 10_000 { 12 } else { 50 };
    let one = |n: u64| {
        let mut segments = recording(n, 1 + (mix(n) % segments_max) as u32);
        if n % 9 == 8 && segments.len() > 1 {
            segments.pop();
        }
        segments
    };
    (0..count).map(one).collect()
}

#[test]
fn the_listing_comes_out_equal() {
    let dir = TempDir::new("reindex");
    let sessions = sessions(torture(300));
    let before = {
        let stores = open(dir.path());
        archive_all(&stores, &sessions);
        Projector::new(stores.0.clone(), stores.1.clone())
            .run_all()
            .unwrap();
        listing(&*stores.1)
    };
    assert_eq!(before.0.len(), sessions.len());
    let segments: u64 = sessions.iter().map(|s| s.len() as u64).sum();
    assert_eq!(
        before.0.iter().map(|row| row.segments).sum::<u64>(),
        segments
    );

    // The catalog is damaged: whoever opens or reads it is told so, and one call sets it aside.
    let catalog = dir.path().join("catalog");
    let file = catalog.join("catalog.sqlite");
    let length = std::fs::metadata(&file).unwrap().len();
    let damaged = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    damaged
        .write_all_at(&vec![0xa5; length as usize - 4096], 4096)
        .unwrap();
    drop(damaged);
    let found = SqliteCatalog::open(&catalog, "test").and_then(|c| c.check());
    assert!(matches!(found, Err(CatalogError::Damaged(_))), "{found:?}");
    let aside = set_aside(&catalog, "test").unwrap().unwrap();
    assert!(aside.ends_with("catalog.sqlite.damaged-1"));
    assert_eq!(set_aside(&catalog, "test").unwrap(), None);

    let (blobs, catalog) = open(dir.path());
    let (adopted, progress) = reindex(&blobs, &catalog).unwrap();
    assert_eq!((adopted.segments, progress.segments), (segments, segments));
    assert_eq!((adopted.quarantined, adopted.after_loss), (0, 0));
    assert!(listing(&*catalog) == before, "the listing differs");
    // Again, over a catalog that has everything: nothing changes.
    let (adopted, progress) = reindex(&blobs, &catalog).unwrap();
    assert_eq!(
        (adopted.segments, adopted.known, progress.segments),
        (0, segments, 0)
    );
    assert!(
        listing(&*catalog) == before,
        "the listing differs the second time"
    );
    assert_eq!(adopt(&*blobs, &*catalog).unwrap().packs, 0);

    let archive = Archive::new(blobs, catalog, ArchiveOptions::default());
    for session in sessions.iter().step_by(17) {
        let mut reader = archive
            .open_session(session[0].facts().session)
            .unwrap()
            .unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
        assert_eq!(bytes, bytes_of(session));
    }
}

fn packs(blobs: &dyn BlobStore) -> Vec<BlobName> {
    let listed = blobs.list("pack", None, 10_000).unwrap();
    listed.into_iter().map(|listed| listed.name).collect()
}

/// Changes bytes of a blob behind its store's back.
fn rot(dir: &Path, name: &BlobName, at: u64) {
    let shard = &name.stem()[..2];
    let path = dir
        .join("archive")
        .join(name.family())
        .join(shard)
        .join(name.stem());
    let file = std::fs::OpenOptions::new()
        .write(true)
        .read(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn a_poisoned_table_costs_nothing_and_a_poisoned_segment_itself() {
    let dir = TempDir::new("poison");
    let sessions = sessions(60);
    let stores = open(dir.path());
    archive_all(&stores, &sessions);
    drop(stores);
    set_aside(&dir.path().join("catalog"), "test").unwrap();

    let (blobs, catalog) = open(dir.path());
    let names = packs(&*blobs);
    // A table, a foot, and in another pack a segment that is not its session's last.
    rot(dir.path(), &names[0], blobs.size(&names[0]).unwrap() - 60);
    rot(dir.path(), &names[1], blobs.size(&names[1]).unwrap() - 1);
    let entries = read_table(&*blobs, &names[2]).unwrap();
    let length = |e: &hansard_store::pack::Entry| {
        let session = sessions
            .iter()
            .find(|s| s[0].facts().session == e.session)
            .unwrap();
        session.len() as u32
    };
    let middle = |e: &&hansard_store::pack::Entry| e.number > 0 && e.number + 1 < length(e);
    let victim = entries.iter().find(middle).unwrap();
    rot(dir.path(), &names[2], victim.offset + victim.bytes / 2);

    let (adopted, progress) = reindex(&blobs, &catalog).unwrap();
    let segments: u64 = sessions.iter().map(|s| s.len() as u64).sum();
    assert_eq!((adopted.packs_damaged, adopted.quarantined), (2, 1));
    assert_eq!(
        (adopted.segments, progress.segments),
        (segments - 1, segments - 1)
    );
    assert_eq!(adopted.after_loss, 1);
    let quarantined = catalog.quarantined(None, 100).unwrap();
    assert_eq!(quarantined.len(), 3);
    let named = format!("{} {}/{}", names[2], victim.session, victim.number);
    assert!(
        quarantined.iter().any(|item| item.what == named),
        "{quarantined:?}"
    );
    let rows = all(|query| catalog.sessions(query).unwrap());
    assert_eq!(rows.len(), sessions.len());
    let row = rows
        .iter()
        .find(|row| row.session == victim.session)
        .unwrap();
    assert_eq!(row.segments, u64::from(length(victim)) - 1);

    // The session is read as far as it is there, and goes on where it did.
    let archive = Archive::new(blobs, catalog, ArchiveOptions::default());
    let report = archive.verify_session(victim.session).unwrap().unwrap();
    assert_eq!(report.report.segments, row.segments);
    assert_eq!(report.report.damages_count, 1);
}

#[test]
fn a_segment_that_rots_before_it_is_projected_is_put_aside() {
    let dir = TempDir::new("projected");
    let sessions = sessions(20);
    let (blobs, catalog) = open(dir.path());
    archive_all(&(blobs.clone(), catalog.clone()), &sessions);
    // The first segment of the first session, and everything of a whole pack.
    let first = catalog.unprojected(1).unwrap().remove(0);
    rot(dir.path(), &first.place.blob, first.place.offset + 100);
    let progress = Projector::new(blobs.clone(), catalog.clone())
        .run_all()
        .unwrap();
    let segments: u64 = sessions.iter().map(|s| s.len() as u64).sum();
    assert_eq!((progress.segments, progress.quarantined), (segments - 1, 1));
    assert!(catalog.unprojected(10).unwrap().is_empty());
    let query = Query {
        session: Some(first.session),
        ..Query::default()
    };
    // Listed all the same, at the time that its identifier says.
    let row = catalog.sessions(&query).unwrap().rows.remove(0);
    assert_eq!(row.start.kind, "unknown");
    assert!(row.start.start_utc_ns > 0 && row.segments > 0);
    let events = catalog.events(&query).unwrap().rows;
    assert!(events.iter().all(|event| event.kind == "unknown"));
}

#[test]
fn rows_hold_facts_and_never_bytes() {
    let dir = TempDir::new("facts");
    let (blobs, catalog) = open(dir.path());
    let sessions = sessions(40);
    archive_all(&(blobs.clone(), catalog.clone()), &sessions);
    Projector::new(blobs, catalog.clone()).run_all().unwrap();
    let events = all(|query| catalog.events(query).unwrap());
    let mut uids = std::collections::BTreeSet::new();
    let mut names = std::collections::BTreeMap::new();
    for event in &events {
        assert!(uids.insert(event.uid()), "{event:?}");
        *names.entry(event.name.as_str()).or_insert(0) += 1;
        assert!(!event.facts.contains("base64"), "{event:?}");
        // The row is what its document says.
        let json: serde_json::Value = serde_json::from_str(&event.facts).unwrap();
        let said = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(said("event"), event.name);
        assert_eq!(said("uid"), event.uid().to_string());
        assert_eq!(said("user"), event.user);
        assert_eq!(said("server_hostname"), event.host);
        assert_eq!(said("kind"), event.kind);
        assert_eq!(Cursor::of_event(event).seq, event.seq);
    }
    let listed: Vec<&str> = names.keys().copied().collect();
    let wanted = [
        "gap",
        "resize",
        "session.command",
        "session.data",
        "session.end",
        "session.start",
        "unknown",
    ];
    assert_eq!(listed, wanted);
    assert_eq!(names["session.start"], 40);
}
