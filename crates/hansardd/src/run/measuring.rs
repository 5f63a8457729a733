//! What the parts of a running daemon have to be measured by.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_capture::host::HostEvents;
use hansard_record::Environment;
use hansard_record::forward::Status;
use hansard_record::spool::Spool;
use hansard_store::Archive;

use super::Start;
use super::keeping::Keeping;
use super::minder::Seen;
use crate::capacity::{Filling, Watch, disk_of};
use crate::data_dir::DataDir;
use crate::metrics::{Measure, Metrics};
use crate::stores::Stores;
use crate::timed_disk::TimedDisk;

/// Numbers of things as metrics have them. Above 2^53 they are rounded.
#[allow(clippy::cast_precision_loss)]
fn float(number: u64) -> f64 {
    number as f64
}

pub(super) fn measure(
    metrics: &mut Metrics,
    spool: &Spool,
    kept: Option<&(Stores, Arc<Archive>)>,
    start: &Start,
) {
    let of = || spool.clone();
    let (bytes, bytes_max, parts) = (of(), of(), of());
    metrics.read(Measure::SpoolBytes, move || float(bytes.usage().bytes));
    metrics.read(Measure::SpoolBytesMax, move || {
        float(bytes_max.usage().bytes_max)
    });
    metrics.read(Measure::SpoolParts, move || {
        float(parts.usage().parts as u64)
    });
    let damage = float(spool.damage().len() as u64);
    metrics.read(Measure::Damage, move || damage);
    if let Some((_, archive)) = kept {
        let (bytes, segments) = (archive.clone(), archive.clone());
        metrics.read(Measure::ArchiveWaitsBytes, move || float(bytes.waits().0));
        metrics.read(Measure::ArchiveWaits, move || {
            float(segments.waits().1 as u64)
        });
    }
    let (suppressed, unwritten) = (start.journal.clone(), start.journal.clone());
    metrics.read(Measure::LogSuppressed, move || {
        float(suppressed.suppressed())
    });
    metrics.read(Measure::LogUnwritten, move || float(unwritten.unwritten()));
}

/// What the minder last saw. The names are ours: two disks, three things with a bound.
pub(super) fn measure_disks(metrics: &mut Metrics, seen: &Arc<Mutex<Seen>>) {
    for (disk, name) in [("spool", "spool disk"), ("archive", "archive disk")] {
        let label = || vec![("disk", disk.to_owned())];
        let read = |value: fn(&crate::capacity::Disk) -> u64| {
            let seen = Arc::clone(seen);
            move || {
                let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                {
                    let found = seen.free.iter().find(|(there, _)| there == name);
                    found.map_or(f64::NAN, |(_, disk)| float(value(disk)))
                }
            }
        };
        metrics.read_labelled(Measure::DiskFree, label(), read(|disk| disk.bytes.free));
        metrics.read_labelled(
            Measure::DiskInodesFree,
            label(),
            read(|disk| disk.inodes.free),
        );
    }
    for what in [
        "spool",
        "spool disk bytes",
        "spool disk inodes",
        "archive disk bytes",
        "archive disk inodes",
    ] {
        let seen = Arc::clone(seen);
        let read = move || {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let found = seen.fullness.iter().find(|(name, _)| name == what);
            found.map_or(0.0, |(_, fullness)| f64::from(*fullness as u8))
        };
        metrics.read_labelled(Measure::Fullness, vec![("what", what.to_owned())], read);
    }
}

/// What keeping counts.
pub(super) fn measure_keeping(
    metrics: &mut Metrics,
    keeping: &Keeping,
    now_ns: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let of = || Arc::clone(&keeping.keeper);
    let (events, conflicts, lag) = (of(), of(), of());
    metrics.read(Measure::Events, move || float(events.figures().events));
    metrics.read(Measure::Quarantined, move || {
        float(conflicts.figures().sessions_aside)
    });
    metrics.read(Measure::SettleLag, move || {
        let since = lag.figures().waiting_since_ns;
        since.map_or(0.0, |since| float(now_ns().saturating_sub(since)) / 1e9)
    });
    let (projecting, archived) = (Arc::clone(&keeping.projecting), of());
    metrics.read(Measure::ProjectionLag, move || {
        let rows = projecting.figures();
        let done = rows.segments.saturating_add(rows.quarantined);
        float(archived.figures().segments.saturating_sub(done))
    });
    let (gaps, alarms) = (Arc::clone(&keeping.gaps), Arc::clone(&keeping.alarms));
    metrics.read(Measure::Gaps, move || float(gaps.load(Ordering::Relaxed)));
    metrics.read(Measure::Conflicts, move || {
        float(alarms.load(Ordering::Relaxed))
    });
    if let Some(tlog) = &keeping.tlog {
        let (written, dropped) = (Arc::clone(tlog), Arc::clone(tlog));
        metrics.read(Measure::TlogWritten, move || {
            float(written.written.load(Ordering::Relaxed))
        });
        metrics.read(Measure::TlogDropped, move || {
            float(dropped.dropped.load(Ordering::Relaxed))
        });
    }
    let live = keeping.live.clone();
    metrics.read(Measure::Sessions, move || float(live.usage().0 as u64));
    let connections = keeping.connections.clone();
    metrics.read(Measure::Hosts, move || {
        float(connections.list().len() as u64)
    });
}

/// What sending counts.
pub(super) fn measure_sending(metrics: &mut Metrics, status: &Arc<Status>) {
    let of = || Arc::clone(status);
    let (connected, connects, conflicts, oldest) = (of(), of(), of(), of());
    metrics.read(Measure::ForwardConnected, move || {
        f64::from(u8::from(connected.snapshot().connected_for.is_some()))
    });
    metrics.read(Measure::ForwardConnects, move || {
        float(connects.snapshot().connections)
    });
    metrics.read(Measure::Conflicts, move || {
        float(conflicts.snapshot().conflicts)
    });
    metrics.read(Measure::ForwardLag, move || {
        oldest.snapshot().lag.as_secs_f64()
    });
}

/// What the kernel tells.
pub(super) fn measure_host_events(metrics: &mut Metrics, host: &HostEvents) {
    let (told, lost, watched) = (host.clone(), host.clone(), host.clone());
    metrics.read(Measure::HostEvents, move || float(told.counted().records));
    metrics.read(Measure::HostEventsLost, move || {
        let counted = lost.counted();
        float(counted.lost.saturating_add(counted.malformed))
    });
    metrics.read(Measure::HostSessions, move || {
        float(watched.counted().sessions)
    });
}

/// Facts that found no room on their way into the own recording.
pub(super) fn measure_facts(metrics: &mut Metrics, facts: &super::facts::Facts) {
    let facts = facts.clone();
    metrics.read(Measure::FactsLeftOut, move || float(facts.left_out()));
}

/// The environment, with the times of its disk's syncs measured.
pub(super) fn timed(environment: &Environment, metrics: &Metrics) -> Environment {
    let sync_seconds = metrics.sync_seconds();
    let on_sync = Arc::new(move |took: Duration| sync_seconds.observe(took.as_secs_f64()));
    Environment {
        disk: Arc::new(TimedDisk::new(environment.disk.clone(), on_sync)),
        ..environment.clone()
    }
}

/// Disks and bounds to be watched.
pub(super) fn watch(dir: &DataDir, spool: &Spool, keeps: bool) -> Watch {
    let mut watch = Watch::default();
    let mut disks = vec![("spool disk", dir.spool())];
    if keeps {
        disks.push(("archive disk", dir.archive()));
    }
    for (name, path) in disks {
        let asked = path.clone();
        watch.disk(name, &path, Box::new(move || disk_of(&asked)));
    }
    let of_spool = spool.clone();
    let filling = move || {
        let usage = of_spool.usage();
        Ok(Filling {
            used: usage.bytes,
            free: usage.bytes_max.saturating_sub(usage.bytes),
        })
    };
    watch.bound("spool", Box::new(filling));
    watch
}
