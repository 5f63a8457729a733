//! A host's wire is cut in every way while both hosts record: nothing is lost, nothing is there
//! twice, and nobody has to mend anything.

use std::thread;
use std::time::{Duration, Instant};

use crate::audit::Kept;
use crate::cluster::{Cluster, Plan};
use crate::load::{Load, capture_socket};
use crate::net::{Fault, HOSTS};

/// The host whose wire it is.
const CUT: usize = 0;

/// The other one.
const WHOLE: usize = 1;

/// Period of a wire that comes and goes.
const FLAP: Duration = Duration::from_millis(150);

/// How long what was under way may take to arrive before nothing more may.
const UNDER_WAY: Duration = Duration::from_millis(300);

/// Lengths of partitions: one second, and up to the seconds that `HANSARD_TORTURE` says.
fn lengths() -> Vec<Duration> {
    let longest = std::env::var("HANSARD_TORTURE");
    let longest = longest.map_or(1, |n| n.parse::<u64>().unwrap());
    let lengths = [1, 10, 60, 600]
        .into_iter()
        .filter(|s| *s == 1 || *s <= longest);
    lengths.map(Duration::from_secs).collect()
}

#[test]
fn a_wire_that_is_cut_in_every_way() {
    let Some(mut cluster) = Cluster::new("partitions", &Plan::default()) else {
        return;
    };
    let lengths = lengths();
    // Minutes of sessions at full speed would only fill the disk.
    let pause = match lengths.len() {
        1 => Duration::from_millis(20),
        _ => Duration::from_secs(1),
    };
    let load = Load::new().with_pauses(pause);
    let sockets: Vec<_> = (0..HOSTS)
        .map(|host| capture_socket(&cluster.hosts[host].runtime()))
        .collect();
    thread::scope(|scope| {
        // So that a failed assertion ends them, too.
        let _stop = load.stop_when_dropped();
        for socket in sockets.iter().flat_map(|socket| [socket; 2]) {
            scope.spawn(|| load.run(socket));
        }
        for length in &lengths {
            for fault in [Fault::Down, Fault::OneWayUp] {
                nothing_arrives(&cluster, fault, *length);
            }
            for fault in [Fault::OneWayDown, Fault::Loss] {
                cluster.net.disturb(CUT, fault);
                thread::sleep(*length);
                cluster.net.mend(CUT);
            }
            flapping(&cluster, *length);
        }
    });
    let outcomes = load.outcomes();
    let since = Instant::now();
    cluster.settle(&outcomes);
    let drained = since.elapsed();
    let data = cluster.service.data();
    let tally = Kept::open(&data).check(&outcomes, &data);
    println!("partitions of {lengths:?}: {tally:?}; the rest drained in {drained:.1?}");
    assert!(
        outcomes.iter().all(|outcome| outcome.closed),
        "nobody was held up for long"
    );
    assert_eq!(tally.recorded, tally.produced);
}

/// While nothing gets through from the host, the other one's sessions go on arriving.
fn nothing_arrives(cluster: &Cluster, fault: Fault, length: Duration) {
    let since = Instant::now();
    cluster.net.disturb(CUT, fault);
    thread::sleep(UNDER_WAY);
    let before = (cluster.ended(CUT), cluster.ended(WHOLE));
    thread::sleep(length.saturating_sub(since.elapsed()).max(UNDER_WAY));
    cluster.until("the other host's sessions arrive", |cluster| {
        cluster.ended(WHOLE) > before.1
    });
    let after = cluster.ended(CUT);
    cluster.net.mend(CUT);
    assert_eq!(before.0, after, "{fault:?} lets sessions through");
    cluster.until("sessions arrive again", |cluster| {
        cluster.ended(CUT) > after
    });
}

fn flapping(cluster: &Cluster, length: Duration) {
    let since = Instant::now();
    while since.elapsed() < length {
        cluster.net.disturb(CUT, Fault::Down);
        thread::sleep(FLAP);
        cluster.net.mend(CUT);
        thread::sleep(FLAP);
    }
}
