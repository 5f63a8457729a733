//! SIGKILL of service and host, at random moments and at system calls, while programs hand sessions
//! over: everything that was acknowledged is in the service's archive, once and in order; what is
//! missing is a gap; the event log has every event once; and nobody had to mend anything.
//!
//! `make test` runs a fixed small share; `HANSARD_TORTURE=2000` gives the number of kills.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

#[path = "service/audit.rs"]
mod audit;
#[path = "service/load.rs"]
mod load;
#[path = "service/pair.rs"]
mod pair;

use std::thread;
use std::time::{Duration, Instant};

use audit::Kept;
use hansard_tests::Daemon;
use load::{Load, capture_socket};
use pair::Pair;

/// Programs that run at the same time.
const PROGRAMS: usize = 4;

/// Moments without a pattern, the same every run.
fn moment(n: u64, below_ms: u64) -> Duration {
    Duration::from_millis((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % below_ms)
}

#[test]
fn killed_at_random_moments() {
    let kills: u64 = std::env::var("HANSARD_TORTURE")
        .ok()
        .map_or(12, |n| n.parse().unwrap());
    let mut pair = Pair::new("service-kill");
    let load = Load::new();
    let socket = capture_socket(&pair.host.runtime());
    let since = Instant::now();
    thread::scope(|scope| {
        for _ in 0..PROGRAMS {
            scope.spawn(|| load.run(&socket));
        }
        let _ends = Ends(&load);
        for n in 0..kills {
            thread::sleep(moment(n, 300));
            // Both, one after the other, in turns; every seventh time together.
            let (service, host) = (n % 2 == 0 || n % 7 == 0, n % 2 == 1 || n % 7 == 0);
            if service {
                pair.service.kill();
            }
            if host {
                pair.host.kill();
            }
            thread::sleep(moment(n + 1, 40));
            if service {
                pair.service.start();
            }
            if host {
                pair.host.start();
            }
        }
    });
    pair.settle(load.outcomes().len());
    let outcomes = load.outcomes();
    let tally = Kept::open(&pair.service.data()).check(&outcomes, &pair.service.data());
    let took = since.elapsed();
    println!("{kills} kills in {took:.0?}: {tally:?}");
    assert!(tally.sessions > 0 && tally.recorded > 0);
    assert_eq!(tally.counted, 0, "nothing goes on without a record");
}

/// Ends the programs when it is dropped, also by a test that fails.
struct Ends<'a>(&'a Load);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Calls on the way to the disk, of service and host alike.
const CALLS: [&str; 12] = [
    "fdatasync",
    "fsync",
    "pwrite64",
    "write",
    "openat",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "ftruncate",
    "mkdir",
    "symlink",
];

/// Dies at the n-th of these calls that any of its threads makes. (With `--seccomp-bpf`, which would
/// stop it at these calls only, strace 6.1 sends no signal.)
fn dies_at(call: &str, n: u64) -> Vec<String> {
    let inject = format!("inject={call}:signal=SIGKILL:when={n}");
    let trace = format!("trace={call}");
    let words = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    words.map(str::to_owned).to_vec()
}

/// Moments of a call that neither daemon comes to, one after another, until its later ones are left out.
const IN_VAIN_MAX: u32 = 3;

/// What came of the deaths of one kind of call.
#[derive(Default)]
struct Deaths {
    died: u32,
    /// The call was not made in time.
    lived: u32,
    /// The slowest start after such a death, without the tracer.
    slowest: Duration,
    /// The slowest one behind the tracer, up to its death or until it was ready.
    slowest_traced: Duration,
}

/// A daemon dies at the n-th of these calls, and starts again.
fn die_at(daemon: &mut Daemon, call: &str, n: u64, patience: Duration, deaths: &mut Deaths) {
    daemon.kill();
    daemon.put_behind(&dies_at(call, n));
    let since = Instant::now();
    let is_ready = daemon.try_start();
    deaths.slowest_traced = deaths.slowest_traced.max(since.elapsed());
    if !is_ready || daemon.dies_within(patience) {
        deaths.died += 1;
    } else {
        deaths.lived += 1;
    }
    daemon.kill();
    daemon.put_behind::<&str>(&[]);
    let since = Instant::now();
    daemon.start();
    deaths.slowest = deaths.slowest.max(since.elapsed());
}

#[test]
fn killed_at_system_calls_on_the_way_to_the_disk() {
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        return hansard_tests::skipped("strace is not installed");
    }
    // The first calls of a process are its start's, the later ones its work's.
    let moments: Vec<u64> = match std::env::var("HANSARD_TORTURE") {
        Ok(_) => (1..=40).collect(),
        Err(_) => vec![2],
    };
    let patience = Duration::from_millis(if moments.len() > 1 { 700 } else { 200 });
    let mut pair = Pair::new("service-calls");
    let load = Load::new();
    let socket = capture_socket(&pair.host.runtime());
    let mut all = Deaths::default();
    thread::scope(|scope| {
        for _ in 0..PROGRAMS {
            scope.spawn(|| load.run(&socket));
        }
        // Whatever happens here, the programs end.
        let _ends = Ends(&load);
        for call in CALLS {
            let mut deaths = Deaths::default();
            let mut in_vain = 0;
            for n in &moments {
                let lived = deaths.lived;
                for daemon in [&mut pair.service, &mut pair.host] {
                    die_at(daemon, call, *n, patience, &mut deaths);
                }
                // A call that neither of them makes so often is not made still more often.
                in_vain = if deaths.lived - lived == 2 {
                    in_vain + 1
                } else {
                    0
                };
                if in_vain == IN_VAIN_MAX {
                    break;
                }
            }
            let (died, lived) = (deaths.died, deaths.lived);
            let (slowest, traced) = (deaths.slowest, deaths.slowest_traced);
            println!(
                "{call}: died {died}, not made {lived}, slowest start {slowest:.1?}, traced {traced:.1?}"
            );
            all.died += died;
            all.lived += lived;
        }
    });
    let outcomes = load.outcomes();
    pair.settle(outcomes.len());
    let tally = Kept::open(&pair.service.data()).check(&outcomes, &pair.service.data());
    let Deaths { died, lived, .. } = all;
    println!("died at {died} calls, {lived} were not made in time: {tally:?}");
    assert!(died > lived, "{died} of {}", died + lived);
}
