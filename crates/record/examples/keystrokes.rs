//! Measures what a recorder adds to the echo of a key: `keystrokes OUT [COUNT] [PAUSE_US]` hands
//! over one byte at a time and prints how long each call took, and how often its thread woke.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::{Fields, Policy, SessionId, Stream};
use hansard_record::real_disk::RealDisk;
use hansard_record::{Environment, FileSink, Options, Recorder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("keystrokes OUT [COUNT] [PAUSE_US]")?;
    let count: u32 = args.next().map_or(Ok(2000), |arg| arg.parse())?;
    let pause_us: u64 = args.next().map_or(Ok(2000), |arg| arg.parse())?;

    let (key, env) = (SigningKey::from_seed([1; 32]), Environment::real());
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
        recorder: "keystrokes".into(),
    };
    let sink = FileSink::create(Path::new(&out), &RealDisk)?;
    let recorder = Recorder::open(session, key, Box::new(sink), &env, Options::default())?;
    let (begun, mut took) = (Instant::now(), Vec::new());
    for _ in 0..count {
        std::thread::sleep(Duration::from_micros(pause_us));
        let before = Instant::now();
        recorder.data(Stream::Output, b"k")?;
        took.push(before.elapsed().as_nanos());
    }
    let seconds = begun.elapsed().as_secs_f64();
    let switches = switches_of_worker();
    recorder.close(End::default())?;
    took.sort_unstable();
    let percentile = |n: usize| took.get(took.len() * n / 1000).copied().unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{count} keys in {seconds:.1} s: p50 {} ns, p99 {} ns, p99.9 {} ns, longest {} ns; \
         the recorder's thread woke {switches} times",
        percentile(500),
        percentile(990),
        percentile(999),
        took.last().copied().unwrap_or_default(),
    )?;
    Ok(())
}

/// Voluntary context switches of the thread called `recorder`.
fn switches_of_worker() -> String {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .filter(|status| status.starts_with("Name:\trecorder\n"))
        .filter_map(|status| {
            let line = status
                .lines()
                .find(|line| line.starts_with("voluntary_ctxt_switches"))?;
            line.split_whitespace().last().map(str::to_owned)
        })
        .collect()
}
