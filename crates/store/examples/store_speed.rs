//! What the store does in a second: heads, blobs, segments, rows, queries. Prints figures and
//! asserts nothing about them.
//!
//! `cargo run --release -p hansard-store --example store_speed -- [DIRECTORY [WHAT …]]`
//! works in the directory, and measures only what is named.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use hansard_core::event::{End, Fact, Stream};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Policy, SessionId};
use hansard_store::blob::fs::FsBlobs;
use hansard_store::catalog::conformance::segment;
use hansard_store::catalog::sqlite::SqliteCatalog;
use hansard_store::project::Projector;
use hansard_store::reindex::reindex;
use hansard_store::{Archive, ArchiveOptions, BlobName, BlobStore, Catalog, Query, SealedSegment};

fn main() {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = given.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("hansard-store-speed-{}", std::process::id()))
    });
    std::fs::create_dir_all(&dir).unwrap();
    let named: Vec<String> = std::env::args().skip(2).collect();
    let wanted = |what: &str| named.is_empty() || named.iter().any(|n| n == what);
    if wanted("heads") {
        heads(&dir);
    }
    if wanted("blobs") {
        blobs(&dir);
    }
    if wanted("small") {
        segments(&dir, "small", &recordings(400, 10, small));
    }
    if wanted("bulk") {
        segments(&dir, "bulk", &recordings(16, 24, bulk));
    }
    if wanted("rows") {
        rows(&dir);
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Times something; answers seconds. Prints what it took of a processor, because on a machine that
/// others use too that says more.
fn seconds(act: impl FnOnce()) -> f64 {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    act();
    let took = start.elapsed().as_secs_f64();
    print!("[{took:.2} s, {:.2} s of processor] ", cpu_seconds() - cpu);
    took
}

/// Processor time of all threads so far: fields 14 and 15 of proc(5)'s stat, in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap();
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|t| t.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn number(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}

/// Spreads numbers.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    n ^ (n >> 29)
}

fn id(n: usize) -> SessionId {
    let mut random = [0u8; 10];
    random[..8].copy_from_slice(&mix(n as u64).to_le_bytes());
    SessionId::new_v7(1_700_000_000_000 + n as u64, random)
}

fn heads(dir: &Path) {
    let home = dir.join("heads");
    std::fs::create_dir(&home).unwrap();
    let catalog = SqliteCatalog::open(&home, "bench").unwrap();
    let rows: Vec<Vec<_>> = (0..200)
        .map(|n| (0..200).map(|s| segment(id(s), n, 1).unwrap()).collect())
        .collect();
    let took = seconds(|| {
        rows.iter()
            .for_each(|rows| drop(catalog.advance(rows).unwrap()));
    });
    let rate = number(rows.len() * 200) / took;
    println!("heads, batches of 200, 1 thread: {rate:.0}/s");
    for threads in [1usize, 32] {
        let each = 2000 / threads;
        let work = |t: usize| {
            for n in 0..u32::try_from(each).unwrap() {
                let row = segment(id(1000 * threads + t), n, 1).unwrap();
                catalog.advance(&[row]).unwrap();
            }
        };
        let took = seconds(|| in_threads(threads, work));
        let rate = number(each * threads) / took;
        println!("heads, one by one, {threads} threads: {rate:.0}/s");
    }
}

fn in_threads(threads: usize, work: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for t in 0..threads {
            let work = &work;
            scope.spawn(move || work(t));
        }
    });
}

fn blobs(dir: &Path) {
    let store = FsBlobs::open(&dir.join("blobs"), "bench").unwrap();
    let name = |n: usize| BlobName::parse(&format!("bench/{:02x}-{n}", n % 256)).unwrap();
    // So that directories are there.
    (0..256).for_each(|n| store.put(&name(n), b"x").unwrap());
    let mut next = 256;
    for threads in [1usize, 64] {
        let each = 2000 / threads;
        let first = next;
        next += each * threads;
        let work = |t: usize| {
            for n in 0..each {
                store.put(&name(first + t * each + n), &[7; 4096]).unwrap();
            }
        };
        let took = seconds(|| in_threads(threads, work));
        let rate = number(each * threads) / took;
        println!("blobs of 4 KiB, {threads} threads: {rate:.0}/s");
    }
    let pack = vec![7u8; 5 * 1024 * 1024];
    let took = seconds(|| (0..40).for_each(|n| store.put(&name(next + n), &pack).unwrap()));
    let rate = 40.0 * number(pack.len()) / took / 1e6;
    println!("blobs of 5 MiB, 1 thread: {rate:.0} MB/s");
}

type Fill = fn(&mut SegmentWriter, usize, u64);

/// Somebody at work: some lines and a command in each segment.
fn small(writer: &mut SegmentWriter, n: usize, at: u64) {
    for i in 0..40u64 {
        let line = format!("{n:08x} {:016x} drwxr-xr-x root\r\n", mix(n as u64 ^ i));
        writer
            .push_data(at + i, Stream::Output, line.as_bytes())
            .unwrap();
    }
    writer.push(at + 50, &command(n)).unwrap();
}

/// Text pouring over a terminal.
fn bulk(writer: &mut SegmentWriter, n: usize, at: u64) {
    let mut text = String::new();
    for i in 0..20_000u64 {
        let word = mix(n as u64 * 1_000_003 + i);
        let (request, ms, host) = (word >> 32, word % 900, word % 250);
        let _ = write!(
            text,
            "\x1b[32mINFO\x1b[0m request {request:x} took {ms} ms from 192.0.2.{host}\r\n"
        );
    }
    writer
        .push_data(at, Stream::Output, text.as_bytes())
        .unwrap();
}

/// A hundred facts in each segment.
fn facts(writer: &mut SegmentWriter, n: usize, at: u64) {
    (0..100).for_each(|i| writer.push(at + i as u64, &command(n * 100 + i)).unwrap());
}

fn command(n: usize) -> Body {
    Body::Command(Fact {
        event: "session.command".to_owned(),
        fields: Fields::new()
            .with("path", "/usr/bin/git")
            .with("argv", "status --short --branch")
            .with("pid", n as u64)
            .with("return_code", 0u64),
    })
}

fn header(n: usize, key: &SigningKey) -> Session {
    Session {
        id: id(n),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", format!("user-{}", n % 40)),
        origin: Fields::new().with("addr.remote", "192.0.2.7:4711"),
        target: Fields::new().with("server_hostname", format!("host-{}", n % 100)),
        start_utc_ns: (1_700_000_000_000 + n as u64) * 1_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "bench".to_owned(),
    }
}

/// Recordings, each a list of segments, and their raw bytes.
fn recordings(sessions: usize, segments: u64, fill: Fill) -> (Vec<Vec<SealedSegment>>, u64) {
    let mut raw = 0;
    let one = |n: usize| {
        let key = SigningKey::from_seed([7; 32]);
        // Sealed by age alone, so that each segment is one filling.
        let bounds = Bounds {
            segment_ns: 1_000_000,
            segment_bytes: u64::MAX,
            ..Bounds::default()
        };
        let mut writer = SegmentWriter::new(header(n, &key), key, bounds).unwrap();
        for segment in 0..segments {
            let at = segment * 1_000_000;
            fill(
                &mut writer,
                n * 1000 + usize::try_from(segment).unwrap(),
                at,
            );
            if segment + 1 < segments {
                writer.cut().unwrap();
                writer.tick(at + 1_000_000).unwrap();
            }
        }
        let end = segments * 1_000_000 - 1;
        writer.finish(end, &End::default()).unwrap();
        let parts = writer.parts();
        let bytes: Vec<u8> = parts.iter().flat_map(|p| p.bytes()).copied().collect();
        raw += hansard_core::verify::verify(&bytes[..]).unwrap().raw_bytes;
        let segments = parts.chunk_by(|a, b| a.segment() == b.segment());
        segments
            .map(|parts| SealedSegment::from_parts(parts).unwrap())
            .collect()
    };
    let made = (0..sessions).map(one).collect();
    (made, raw)
}

fn open(dir: &Path) -> (Arc<dyn BlobStore>, Arc<dyn Catalog>) {
    std::fs::create_dir_all(dir.join("catalog")).unwrap();
    let blobs = FsBlobs::open(&dir.join("archive"), "bench").unwrap();
    let catalog = SqliteCatalog::open(&dir.join("catalog"), "bench").unwrap();
    (Arc::new(blobs), Arc::new(catalog))
}

/// Checks and archives everything, one segment of each session at a time: bytes in, receipts out.
fn archive_all(archive: &Archive, sessions: &[Vec<SealedSegment>]) {
    let longest = sessions.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..longest {
        let fresh = |s: &SealedSegment| SealedSegment::from_bytes(s.bytes().to_vec()).unwrap();
        let batch: Vec<_> = sessions
            .iter()
            .filter_map(|s| s.get(round).map(fresh))
            .collect();
        let put = archive.put(&batch, 0);
        assert!(put.receipts.iter().all(Result::is_ok));
    }
    assert_eq!(archive.flush().trouble, None);
}

fn segments(dir: &Path, what: &str, (sessions, raw): &(Vec<Vec<SealedSegment>>, u64)) {
    let (blobs, catalog) = open(&dir.join(what));
    let archive = Archive::new(blobs, catalog, ArchiveOptions::default());
    let count: usize = sessions.iter().map(Vec::len).sum();
    let stored: usize = sessions.iter().flatten().map(|s| s.bytes().len()).sum();
    let raw = number(usize::try_from(*raw).unwrap());
    let took = seconds(|| archive_all(&archive, sessions));
    println!(
        "archive, {what} ({count} segments of {} bytes): {:.0} segments/s, {:.0} MB/s stored, {:.0} MB/s raw",
        stored / count,
        number(count) / took,
        number(stored) / took / 1e6,
        raw / took / 1e6,
    );
    let took = seconds(|| {
        for session in sessions {
            let report = archive.verify_session(session[0].facts().session).unwrap();
            assert!(report.unwrap().is_intact());
        }
    });
    println!("verify, {what}: {:.0} MB/s raw", raw / took / 1e6);
}

fn rows(dir: &Path) {
    let (sessions, _) = recordings(1000, 4, facts);
    let home = dir.join("rows");
    let (blobs, catalog) = open(&home);
    let options = ArchiveOptions::default();
    archive_all(
        &Archive::new(blobs.clone(), catalog.clone(), options),
        &sessions,
    );
    let mut done = 0;
    let took = seconds(|| {
        let mut projector = Projector::new(blobs.clone(), catalog.clone());
        done = projector.run_all().unwrap().events;
    });
    let done = number(usize::try_from(done).unwrap());
    println!("project: {:.0} rows/s ({done} rows)", done / took);
    let text = |text: &str| Some(text.to_owned());
    for (what, user, host, name) in [
        ("a user", text("user-7"), None, None),
        ("a host", None, text("host-7"), None),
        (
            "a name on a host",
            None,
            text("host-7"),
            text("session.command"),
        ),
    ] {
        let query = Query {
            user,
            host,
            name,
            limit: 100,
            newest_first: true,
            ..Query::default()
        };
        let took = seconds(|| (0..20).for_each(|_| drop(catalog.events(&query).unwrap())));
        println!("query, newest 100 of {what}: {:.2} ms", took / 20.0 * 1e3);
    }
    drop((blobs, catalog));
    std::fs::remove_dir_all(home.join("catalog")).unwrap();
    let (blobs, catalog) = open(&home);
    let took = seconds(|| drop(reindex(&blobs, &catalog).unwrap()));
    println!("reindex: {:.0} rows/s, {took:.1} s", done / took);
}
