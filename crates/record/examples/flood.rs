//! Measures what a recorder costs the capture that feeds it: `flood FILE OUT [CHUNK_BYTES]`
//! records FILE into OUT in chunks and prints MB/s, CPU and memory.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::{Fields, Policy, SessionId, Stream};
use hansard_record::real_disk::RealDisk;
use hansard_record::{Environment, FileSink, Options, Recorder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(input), Some(out)) = (args.next(), args.next()) else {
        return Err("flood FILE OUT [CHUNK_BYTES] [QUEUE_BYTES] [WAKE_BYTES]".into());
    };
    let mut number = |default: usize| -> Result<usize, std::num::ParseIntError> {
        args.next().map_or(Ok(default), |arg| arg.parse())
    };
    let chunk_bytes = number(4096)?;
    let defaults = Options::default();
    let queue_bytes = number(defaults.queue_bytes)?;
    let wake_bytes = number(defaults.wake_bytes)?;

    let key = SigningKey::from_seed([1; 32]);
    let env = Environment::real();
    let session = Session {
        id: SessionId::new_v7(env.clock.utc_ns() / 1_000_000, [0; 10]),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: env.clock.utc_ns(),
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "flood".into(),
    };
    let sink = FileSink::create(Path::new(&out), &RealDisk)?;
    let options = Options {
        queue_bytes,
        wake_bytes,
        ..defaults
    };
    let recorder = Recorder::open(session, key, Box::new(sink), &env, options)?;

    let mut file = std::fs::File::open(&input)?;
    let mut chunk = vec![0u8; chunk_bytes];
    let (begun, mut longest_ns, mut calls) = (Instant::now(), 0u128, 0u64);
    loop {
        let n = std::io::Read::read(&mut file, &mut chunk)?;
        if n == 0 {
            break;
        }
        let before = Instant::now();
        recorder.data(Stream::Output, chunk.get(..n).unwrap_or_default())?;
        longest_ns = longest_ns.max(before.elapsed().as_nanos());
        calls += 1;
    }
    let fed = begun.elapsed();
    let summary = recorder.close(End {
        reason: "exited".into(),
        exit_status: Some(0),
        signal: None,
    })?;
    let all = begun.elapsed();
    let mb = summary.produced.bytes as f64 / 1e6;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{mb:.1} MB in {calls} calls, {:.1} MB/s fed, {:.1} MB/s durable, longest call {:.2} ms, \
         {} frames, {} seals, {:.2} MB stored, {peak}",
        mb / fed.as_secs_f64(),
        mb / all.as_secs_f64(),
        longest_ns as f64 / 1e6,
        summary.frames,
        summary.seals,
        summary.stored_bytes as f64 / 1e6,
    )?;
    Ok(())
}
