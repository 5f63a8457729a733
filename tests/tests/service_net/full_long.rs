//! A disk that is full for longer than a daemon holds anybody back: no daemon ends because of it, a
//! start on it says what is missing and damages nothing, and all goes on by itself when there is
//! room.

use std::thread;
use std::time::Duration;

use crate::audit::Kept;
use crate::cluster::{Cluster, Plan};
use crate::load::{Load, capture_socket};
use crate::net::HOSTS;

/// Longer than the 30 s (and one more) for which whoever tells the own recording something waits.
const FULL: Duration = Duration::from_secs(35);

#[test]
fn a_disk_that_is_full_for_long() {
    let plan = Plan {
        service_volume: Some(("48m", 600)),
        host_volume: Some(("48m", 600)),
        service_node: "  spool_bytes_max: 32MiB\n  spool_file_bytes_max: 1MiB",
        host_node: "  spool_bytes_max: 32MiB\n  spool_file_bytes_max: 1MiB",
        local: "hold: 500ms",
    };
    let Some(mut cluster) = Cluster::new("full-long", &plan) else {
        return;
    };
    let load = Load::new().with_pauses(Duration::from_millis(100));
    let sockets: Vec<_> = (0..HOSTS)
        .map(|host| capture_socket(&cluster.hosts[host].runtime()))
        .collect();
    thread::scope(|scope| {
        let _stop = load.stop_when_dropped();
        for socket in &sockets {
            scope.spawn(|| load.run(socket));
        }
        cluster.until("sessions arrive", |cluster| {
            (0..HOSTS).all(|host| cluster.ended(host) > 0)
        });
        let volumes = || cluster.service_volume.iter().chain(&cluster.host_volumes);
        volumes().for_each(|volume| volume.fill(0));
        thread::sleep(FULL);
        for daemon in cluster.hosts.iter_mut().chain([&mut cluster.service]) {
            let has_ended = daemon.dies_within(Duration::ZERO);
            assert!(!has_ended, "it ended:\n{}", daemon.said());
        }
        // One of the hosts is restarted meanwhile: by a kill, as a power cut would.
        cluster.hosts[0].kill();
        assert!(!cluster.hosts[0].try_start(), "it has no room to begin");
        let said = cluster.hosts[0].said();
        let lines: Vec<_> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(2)..].join("\n");
        assert!(
            last.contains("No space left on device") && last.contains("make room"),
            "{last}"
        );
        let volumes = || cluster.service_volume.iter().chain(&cluster.host_volumes);
        volumes().for_each(|volume| volume.empty());
        cluster.hosts[0].start();
        let before: Vec<_> = (0..HOSTS).map(|host| cluster.ended(host)).collect();
        cluster.until("sessions arrive again", |cluster| {
            (0..HOSTS).all(|host| cluster.ended(host) > before[host] + 2)
        });
    });
    // Of the host that was not restarted, sessions that could not be ended in writing are ended by
    // its next start; the service needs none.
    cluster.hosts[1].stop();
    cluster.hosts[1].start();
    let outcomes = load.outcomes();
    cluster.settle(&outcomes);
    let data = cluster.service.data();
    let tally = Kept::open(&data).check(&outcomes, &data);
    println!("full for {FULL:?}: {tally:?}");
    assert!(tally.recorded > 0);
}
