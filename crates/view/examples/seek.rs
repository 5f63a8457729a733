//! How long a seek takes in a recording of 24 hours and 2 GB of output, from a cold cache.
//!
//! `cargo run --release -p hansard-view --example seek -- DIRECTORY [SEEKS]`
//!
//! Makes the recording (always the same) and its index in DIRECTORY if they are not there, then
//! seeks to random moments. Each seek is a process of its own, begun after both files were dropped
//! from the cache (`dd iflag=nocache`). Prints one line of JSON: the time inside the process from
//! its first line to the screen's text, the time as the parent sees it, bytes asked for, bytes the
//! disk delivered (as the kernel counts), peak memory.

#![allow(clippy::print_stdout, clippy::cast_possible_truncation)]

mod shared;

use std::fs::File;
use std::io::{self, BufWriter};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hansard_view::index::{Index, index_path};
use hansard_view::source::ReadAt;
use hansard_view::{Indexed, Screen};
use shared::{Recording, Text, median};

type Failure = Box<dyn std::error::Error>;

const MINUTES: u64 = 24 * 60;
const NS: u64 = 1_000_000_000;
/// Output of the busy part of each minute.
const BURST_BYTES: usize = 1_390_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [path, at_ns, one] if one == "--one" => one_seek(Path::new(path), at_ns.parse()?),
        [directory] => many_seeks(Path::new(directory), 240),
        [directory, seeks] => many_seeks(Path::new(directory), seeks.parse()?),
        _ => Err("usage: seek DIRECTORY [SEEKS]".into()),
    }
}

fn many_seeks(directory: &Path, seeks: usize) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join("day.hansard");
    if !path.exists() {
        eprintln!("making {}", path.display());
        make_recording(&path)?;
    }
    let built = Instant::now();
    let indexed = Indexed::open(&path, &mut |_| ControlFlow::Continue(()))?;
    let built_s = built.elapsed().as_secs_f64();
    let (last_ns, output_bytes) = (indexed.index().last_ns(), indexed.index().output_bytes());
    let entries = indexed.index().entries();
    drop(indexed);
    File::open(index_path(&path))?.sync_all()?;

    let mut text = Text::new(2);
    let mut columns: [Vec<f64>; 5] = Default::default();
    for _ in 0..seeks {
        drop_from_cache(&path)?;
        drop_from_cache(&index_path(&path))?;
        let begin = Instant::now();
        let output = Command::new(std::env::current_exe()?)
            .arg(&path)
            .arg(text.below(last_ns).to_string())
            .arg("--one")
            .stderr(Stdio::inherit())
            .output()?;
        let outside_ms = begin.elapsed().as_secs_f64() * 1e3;
        if !output.status.success() {
            return Err("a seek failed".into());
        }
        let line = String::from_utf8(output.stdout)?;
        let numbers = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<f64>, _>>()?;
        for (column, number) in columns
            .iter_mut()
            .zip(numbers.into_iter().chain([outside_ms]))
        {
            column.push(number);
        }
    }
    let [inside, asked, disk, memory, outside] = &mut columns;
    println!(
        "{{\"what\": \"seek\", \"seeks\": {seeks}, \"hours\": {:.1}, \"output_mb\": {}, \
         \"recording_mb\": {}, \"index_mb\": {:.1}, \"keyframes\": {entries}, \
         \"opened_or_built_s\": {built_s:.2}, \
         \"p50_ms\": {:.1}, \"p99_ms\": {:.1}, \"max_ms\": {:.1}, \"process_p99_ms\": {:.1}, \
         \"asked_bytes_max\": {}, \"disk_bytes_max\": {}, \"rss_kib_max\": {}}}",
        last_ns as f64 / 3.6e12,
        output_bytes / 1_000_000,
        path.metadata()?.len() / 1_000_000,
        index_path(&path).metadata()?.len() as f64 / 1e6,
        median(inside),
        highest(inside, 0.99),
        highest(inside, 1.0),
        highest(outside, 0.99),
        highest(asked, 1.0),
        highest(disk, 1.0),
        highest(memory, 1.0),
    );
    Ok(())
}

fn highest(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values
        .get(at.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

fn drop_from_cache(path: &Path) -> Result<(), Failure> {
    let mut input = std::ffi::OsString::from("if=");
    input.push(path);
    let status = Command::new("dd")
        .arg(input)
        .args(["iflag=nocache", "count=0", "status=none"])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("dd could not drop a file from the cache".into())
    }
}

/// A file that counts what it is asked for.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl ReadAt for Counted {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buffer, offset)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(&self.file)
    }
}

fn one_seek(path: &Path, at_ns: u64) -> Result<(), Failure> {
    let begin = Instant::now();
    let bytes = Arc::new(AtomicU64::new(0));
    let open = |path: PathBuf| -> io::Result<Arc<Counted>> {
        Ok(Arc::new(Counted {
            file: File::open(path)?,
            bytes: bytes.clone(),
        }))
    };
    let index = Index::open(open(index_path(path))?)?;
    let mut indexed = Indexed::new(open(path.to_owned())?, index)?;
    let replay = indexed.seek(at_ns)?;
    let screen: &Screen = replay.screen();
    let text = screen.text();
    let ms = begin.elapsed().as_secs_f64() * 1e3;
    if text.is_empty() {
        return Err("an empty screen".into());
    }
    println!(
        "{ms} {} {} {}",
        bytes.load(Ordering::Relaxed),
        number_in("/proc/self/io", "read_bytes:")?,
        number_in("/proc/self/status", "VmHWM:")?,
    );
    Ok(())
}

fn number_in(path: &str, key: &str) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(path)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .ok_or("not in /proc")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A day: every minute somebody types, then something prints a lot.
fn make_recording(path: &Path) -> Result<(), Failure> {
    let temporary = path.with_extension("part");
    let mut text = Text::new(1);
    let mut recording = Recording::new(BufWriter::new(File::create(&temporary)?))?;
    for minute in 0..MINUTES {
        let mut at_ns = minute * 60 * NS;
        for _ in 0..200 {
            recording.output(at_ns, b"$")?;
            at_ns += 200_000_000;
        }
        let burst = text.lines(BURST_BYTES);
        for piece in burst.chunks(4096) {
            recording.output(at_ns, piece)?;
            at_ns += 40_000_000;
        }
    }
    let out = recording.finish(MINUTES * 60 * NS)?;
    out.into_inner()?.sync_all()?;
    std::fs::rename(temporary, path)?;
    Ok(())
}
