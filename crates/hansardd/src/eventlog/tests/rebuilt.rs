//! The log written anew from the archive has the lines that it had live, and goes on from there.

use hansard_core::seal::SigningKey;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_record::real_disk::RealDisk;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::project::Projector;
use hansard_store::{Archive, ArchiveOptions, Catalog, SealedSegment};

use super::*;
use crate::eventlog::day::DAY_NS;
use crate::eventlog::known::Archived;
use crate::eventlog::link::SymbolicLink;
use crate::eventlog::rebuild::rebuild;

/// A recording of several segments over two days, and its events.
fn recording(number: u8) -> (Session, Vec<SealedSegment>, Vec<Event>) {
    let key = SigningKey::from_seed([number; 32]);
    let session = Session {
        recorder_key: key.public(),
        start_utc_ns: NOON + u64::from(number) * HOUR,
        ..header(number)
    };
    let bounds = Bounds {
        segment_ns: 1000,
        ..Bounds::default()
    };
    let mut writer = SegmentWriter::new(session.clone(), key, bounds).unwrap();
    for (i, event) in events(number, 25).iter().enumerate().skip(1) {
        let at = i as u64 * HOUR;
        match &event.body {
            Body::Data { stream, bytes } => writer.push_data(at, *stream, bytes).unwrap(),
            Body::End(end) => writer.finish(at, end).unwrap(),
            body => writer.push(at, body).unwrap(),
        }
        if i % 5 == 0 && i < 26 {
            writer.cut().unwrap();
            writer.tick(at + 1000).unwrap();
        }
    }
    let parts = writer.parts();
    let parts = parts.chunk_by(|a, b| a.segment() == b.segment());
    let segments: Vec<_> = parts
        .map(|p| SealedSegment::from_parts(p).unwrap())
        .collect();
    assert!(segments.len() > 3);
    let mut events = Vec::new();
    for segment in &segments {
        hansard_store::segment::walk(segment.bytes(), |some| {
            events.extend(some);
            Ok::<(), hansard_store::segment::Unfit>(())
        })
        .unwrap();
    }
    (session, segments, events)
}

fn lines_in(dir: &Path) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if Day::of_file(path.file_name().unwrap().to_str().unwrap()).is_some() {
            for line in std::fs::read_to_string(path).unwrap().lines() {
                *lines.entry(line.to_owned()).or_default() += 1;
            }
        }
    }
    lines
}

#[test]
fn what_is_written_anew_is_what_was_logged() {
    let root = std::env::temp_dir().join(format!("hansard-rebuilt-{}", std::process::id()));
    std::fs::create_dir(&root).unwrap();
    let (blobs, catalog) = (Arc::new(MemoryBlobs::default()), MemoryCatalog::default());
    let catalog: Arc<dyn Catalog> = Arc::new(catalog);
    let archive = Archive::new(blobs.clone(), catalog.clone(), ArchiveOptions::default());
    let open = || {
        let parts = Parts {
            disk: Arc::new(RealDisk),
            clock: Arc::new(SimClock::new(NOON)),
            link: Box::new(SymbolicLink),
            known: Box::new(Archived(catalog.clone())),
            notify: Box::new(|notice| panic!("{notice:?}")),
        };
        EventLog::open(parts, &root, "service-1").unwrap()
    };
    let mut all: Vec<_> = (0..5).map(recording).collect();
    // One goes on: of it two segments are archived now.
    let rest = all[4].1.split_off(2);
    let archived = usize::try_from(all[4].1[1].facts().next_seq).unwrap();
    let mut log = open();
    assert!(
        rebuild(&archive, &*catalog, &root, "service-1").is_err(),
        "it is open"
    );
    for (session, segments, events) in &all {
        let count = if session.id == all[4].0.id {
            archived
        } else {
            events.len()
        };
        log.events(session, &events[..count]).unwrap();
        log.sync().unwrap();
        archive.put(segments, 0);
    }
    assert_eq!(archive.flush().trouble, None);
    drop(log);
    let dir = root.join("service-1");
    let live = lines_in(&dir);

    let rebuilt = rebuild(&archive, &*catalog, &root, "service-1").unwrap();
    assert_eq!(lines_in(&dir), live);
    assert_eq!(lines_in(&root.join("service-1.replaced-1")), live);
    assert_eq!(rebuilt.lines, live.values().sum::<u64>());
    assert!(rebuilt.lost == 0 && rebuilt.files > 1, "{rebuilt:?}");
    // The rows say the same as the lines.
    Projector::new(blobs.clone(), catalog.clone())
        .run_all()
        .unwrap();
    let rows = catalog
        .events(&hansard_store::Query::default())
        .unwrap()
        .rows;
    let mut of_rows = BTreeMap::new();
    for row in rows {
        *of_rows.entry(row.facts).or_default() += 1u64;
    }
    assert_eq!(of_rows, live);

    // It goes on where the archive ended, and what had ended before is known.
    let mut log = open();
    for (session, _, events) in &all {
        log.events(session, events).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let went_on = lines_in(&dir);
    archive.put(&rest, 0);
    assert_eq!(archive.flush().trouble, None);
    let again = rebuild(&archive, &*catalog, &root, "service-1").unwrap();
    assert_eq!(lines_in(&dir), went_on);
    assert!(again.lines > rebuilt.lines);
    assert!(went_on.values().all(|times| *times == 1));
    assert!(
        lines_in(&dir)
            .keys()
            .any(|line| line.contains("\"session.data\""))
    );
    let newest = root.join(LINK).canonicalize().unwrap();
    assert!(newest.starts_with(dir.canonicalize().unwrap()) && DAY_NS > 0);
    std::fs::remove_dir_all(&root).unwrap();
}
