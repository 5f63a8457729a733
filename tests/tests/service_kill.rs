//! SIGKILL of service and host while programs hand sessions over: everything that was acknowledged
//! is in the service's archive, once and in order; what is missing is a gap; the event log has every
//! event once; and nobody had to mend anything.
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
        load.stop();
    });
    pair.settle(load.outcomes().len());
    let outcomes = load.outcomes();
    let tally = Kept::open(&pair.service.data()).check(&outcomes, &pair.service.data());
    let took = since.elapsed();
    println!("{kills} kills in {took:.0?}: {tally:?}");
    assert!(tally.sessions > 0 && tally.recorded > 0);
    assert_eq!(tally.counted, 0, "nothing goes on without a record");
}
