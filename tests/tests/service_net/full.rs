//! A disk that is full, in bytes and in files, on either side, and a spool that is full by its bound:
//! what the policy of losses says happens, what is missing is a gap of that size, and everything
//! else arrives when there is room again.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::audit::{Kept, Tally};
use crate::cluster::{Cluster, Plan};
use crate::load::{Load, Outcome, capture_socket};
use crate::net::{Fault, HOSTS};
use crate::volume::Volume;

/// How long things go well before and after.
const WELL: Duration = Duration::from_millis(500);

/// How long there is no room. Longer than sessions are held back, shorter than a daemon waits for
/// its own recording.
const FULL: Duration = Duration::from_secs(3);

/// Sessions are held back so long.
const HOLD: &str = "hold: 500ms";

/// Runs sessions on both hosts while `trouble` happens; what became of them.
fn sessions_during(
    cluster: &Cluster,
    pause: Duration,
    trouble: impl FnOnce(&Load),
) -> Vec<Outcome> {
    let load = Load::new().with_pauses(pause);
    let sockets: Vec<_> = (0..HOSTS)
        .map(|host| capture_socket(&cluster.hosts[host].runtime()))
        .collect();
    thread::scope(|scope| {
        let _stop = load.stop_when_dropped();
        for socket in sockets.iter().flat_map(|socket| [socket; 2]) {
            scope.spawn(|| load.run(socket));
        }
        thread::sleep(WELL);
        trouble(&load);
        thread::sleep(WELL);
    });
    load.outcomes()
}

/// Until [`FULL`] is over.
fn stay_full(volumes: &[Volume]) {
    let since = Instant::now();
    while since.elapsed() < FULL {
        volumes.iter().for_each(Volume::fill_again);
        thread::sleep(Duration::from_millis(10));
    }
}

fn audit(cluster: &mut Cluster, outcomes: &[Outcome]) -> Tally {
    cluster.settle(outcomes);
    let data = cluster.service.data();
    Kept::open(&data).check(outcomes, &data)
}

/// Files under a directory.
fn files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let count = entries.map(|entry| match entry.path() {
        path if path.is_dir() => files(&path),
        _ => 1,
    });
    count.sum()
}

#[test]
fn the_services_disk() {
    let plan = Plan {
        // Room for all that a quick machine records meanwhile.
        service_volume: Some(("160m", 1200)),
        // New files are asked for soon.
        service_node: "  spool_bytes_max: 32MiB\n  spool_file_bytes_max: 1MiB",
        ..Plan::default()
    };
    let Some(mut cluster) = Cluster::new("service-full", &plan) else {
        return;
    };
    let archive = cluster.service.data().join("archive");
    let mut all = Vec::new();
    for what in ["bytes", "files"] {
        let outcomes = sessions_during(&cluster, Duration::from_millis(100), |load| {
            let volume = cluster.service_volume.as_ref().unwrap();
            match what {
                "bytes" => volume.fill(0),
                _ => volume.fill_files(0),
            }
            // A pack that was being written may have had its place already, and what the spool gives up for it is room
            // for another.
            let volume = std::slice::from_ref(volume);
            let mut seen = files(&archive);
            cluster.until("nothing more is archived", |_| {
                stay_full(volume);
                let now = files(&archive);
                std::mem::replace(&mut seen, now) == now
            });
            let before = (files(&archive), load.outcomes().len());
            stay_full(volume);
            let after = (files(&archive), load.outcomes().len());
            if what == "bytes" {
                cluster.until("hosts are told that it takes nothing", |cluster| {
                    let mut hosts = cluster.hosts.iter();
                    hosts.any(|host| host.said().contains("the service takes nothing now"))
                });
            }
            volume[0].empty();
            assert_eq!(
                before.0, after.0,
                "nothing is archived without room for {what}"
            );
            assert!(before.1 < after.1, "hosts go on recording");
        });
        assert!(
            outcomes.iter().all(|outcome| outcome.closed),
            "{what}: hosts kept all"
        );
        all.extend(outcomes);
    }
    let tally = audit(&mut cluster, &all);
    println!("the service's disk was full: {tally:?}");
    assert_eq!(tally.recorded, tally.produced);
}

/// Sessions during which the host's disk has no room, and then no files; each as often as it takes for somebody to notice.
fn while_full(cluster: &Cluster) -> Vec<Outcome> {
    /// Who writes just then is chance, and what the spool gives up meanwhile may be room enough.
    const TRIES: usize = 5;
    let volumes = &cluster.host_volumes;
    let mut all = Vec::new();
    for what in ["bytes", "files"] {
        let is_noticed = (0..TRIES).any(|_| {
            let mut refused = 0;
            let outcomes = sessions_during(cluster, Duration::ZERO, |load| {
                match what {
                    "bytes" => volumes.iter().for_each(|volume| volume.fill(0)),
                    _ => volumes.iter().for_each(|volume| volume.fill_files(0)),
                }
                stay_full(volumes);
                refused = load.refused();
                volumes.iter().for_each(|volume| volume.empty());
                thread::sleep(FULL / 3);
            });
            let noticed = outcomes.iter().filter(|outcome| !outcome.closed).count();
            let all_of = outcomes.len();
            println!("{what}: {noticed} of {all_of} were ended or have a gap, {refused} not begun");
            all.extend(outcomes);
            // Where no file can be made, sessions that are short may all be over before they need one.
            noticed > 0 || (what == "files" && refused > 0)
        });
        assert!(
            is_noticed,
            "{what}: it was full {TRIES} times, and nobody noticed"
        );
    }
    all
}

/// A host whose sessions are held back, and ended if it lasts.
#[test]
fn a_hosts_disk_where_sessions_are_held() {
    let plan = Plan {
        host_volume: Some(("64m", 600)),
        host_node: "  spool_bytes_max: 32MiB\n  spool_file_bytes_max: 1MiB",
        local: HOLD,
        ..Plan::default()
    };
    let Some(mut cluster) = Cluster::new("host-full", &plan) else {
        return;
    };
    let all = while_full(&cluster);
    revive(&mut cluster);
    let tally = audit(&mut cluster, &all);
    println!("hosts' disks were full: {tally:?}");
    assert!(tally.gone > 0 || tally.recorded == tally.produced);
}

/// Sessions that could not be ended in writing are ended by the next start.
fn revive(cluster: &mut Cluster) {
    for host in &mut cluster.hosts {
        host.stop();
        host.start();
    }
}

/// Sessions go on without a record, and the gap says exactly what is missing.
#[test]
fn a_hosts_disk_where_sessions_go_on() {
    let plan = Plan {
        host_volume: Some(("64m", 600)),
        host_node: "  spool_bytes_max: 32MiB\n  spool_file_bytes_max: 1MiB",
        local: "on_loss: continue",
        ..Plan::default()
    };
    let Some(mut cluster) = Cluster::new("host-continue", &plan) else {
        return;
    };
    let all = while_full(&cluster);
    let tally = audit(&mut cluster, &all);
    println!("sessions went on on full disks: {tally:?}");
    assert!(tally.counted > 0, "nothing was missing");
    assert_eq!(tally.recorded + tally.counted, tally.produced);
}

/// The spool's own bound, reached because the service cannot be: sessions are held, then ended; what
/// is in the spool arrives.
#[test]
fn a_spool_without_room() {
    let plan = Plan {
        host_node: "  spool_bytes_max: 16MiB\n  spool_file_bytes_max: 1MiB",
        local: HOLD,
        ..Plan::default()
    };
    let Some(mut cluster) = Cluster::new("spool-full", &plan) else {
        return;
    };
    let spools: Vec<_> = cluster
        .hosts
        .iter()
        .map(|host| host.data().join("spool"))
        .collect();
    let outcomes = sessions_during(&cluster, Duration::ZERO, |load| {
        (0..HOSTS).for_each(|host| cluster.net.disturb(host, Fault::Down));
        cluster.until("sessions are ended for want of room", |_| {
            load.outcomes().iter().any(|outcome| !outcome.closed)
        });
        for spool in &spools {
            let size: u64 = fs::read_dir(spool)
                .unwrap()
                .flatten()
                .map(|f| f.metadata().unwrap().len())
                .sum();
            assert!(size <= 16 << 20, "{size} bytes are in the spool");
        }
        (0..HOSTS).for_each(|host| cluster.net.mend(host));
        thread::sleep(FULL / 3);
    });
    revive(&mut cluster);
    let tally = audit(&mut cluster, &outcomes);
    println!("spools were full: {tally:?}");
    assert!(tally.revived > 0);
}
