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

/// What was under way has arrived when nothing did for so long.
const UNDER_WAY: Duration = Duration::from_millis(300);

/// What is done to the wire.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Nothing arrives at the service, for this reason.
    Deaf(Fault),
    /// Some of it arrives, or nothing at the host.
    Lossy(Fault),
    /// The wire comes and goes.
    Flapping,
}

const FORMS: [Form; 5] = [
    Form::Deaf(Fault::Down),
    Form::Deaf(Fault::OneWayUp),
    Form::Lossy(Fault::OneWayDown),
    Form::Lossy(Fault::Loss),
    Form::Flapping,
];

/// Every form for a second, one after the other; and where `HANSARD_TORTURE` says how many seconds
/// a partition may last (10, 60, 600), all of them at a time, each in networks of its own.
#[test]
fn a_wire_that_is_cut_in_every_way() {
    cut("partitions", &FORMS, Duration::from_secs(1));
    let longest = std::env::var("HANSARD_TORTURE");
    let longest = longest.map_or(1, |n| n.parse::<u64>().unwrap());
    for length in [10, 60, 600].into_iter().filter(|s| *s <= longest) {
        thread::scope(|scope| {
            for (n, form) in FORMS.iter().enumerate() {
                let name = format!("partition-{length}-{n}");
                scope.spawn(move || cut(&name, &[*form], Duration::from_secs(length)));
            }
        });
    }
}

/// One cluster that records, whose first host's wire is disturbed in these ways, each for so long.
fn cut(name: &str, forms: &[Form], length: Duration) {
    let Some(mut cluster) = Cluster::new(name, &Plan::default()) else {
        return;
    };
    // Minutes of sessions at full speed would only fill the disk.
    let pause = (length / 60).clamp(Duration::from_millis(20), Duration::from_secs(2));
    let load = Load::new().with_pauses(pause);
    let sockets: Vec<_> = (0..HOSTS)
        .map(|host| capture_socket(&cluster.hosts[host].runtime()))
        .collect();
    let mut back = Duration::ZERO;
    thread::scope(|scope| {
        // So that a failed assertion ends them, too.
        let _stop = load.stop_when_dropped();
        for socket in sockets.iter().flat_map(|socket| [socket; 2]) {
            scope.spawn(|| load.run(socket));
        }
        for form in forms {
            match *form {
                Form::Deaf(fault) => nothing_arrives(&cluster, fault, length),
                Form::Lossy(fault) => {
                    cluster.net.disturb(CUT, fault);
                    thread::sleep(length);
                    cluster.net.mend(CUT);
                }
                Form::Flapping => flapping(&cluster, length),
            }
            let since = Instant::now();
            let before = cluster.ended(CUT);
            cluster.until("sessions arrive again", |cluster| {
                cluster.ended(CUT) > before
            });
            back = back.max(since.elapsed());
        }
    });
    let outcomes = load.outcomes();
    let since = Instant::now();
    cluster.settle(&outcomes);
    let drained = since.elapsed();
    let data = cluster.service.data();
    let tally = Kept::open(&data).check(&outcomes, &data);
    println!(
        "{forms:?} for {length:?}: {tally:?}; back within {back:.1?}, drained {drained:.1?} later"
    );
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
    let mut seen = cluster.ended(CUT);
    cluster.until("what was under way is there", |cluster| {
        thread::sleep(UNDER_WAY);
        let now = cluster.ended(CUT);
        std::mem::replace(&mut seen, now) == now
    });
    let before = (cluster.ended(CUT), cluster.ended(WHOLE));
    thread::sleep(length.saturating_sub(since.elapsed()).max(UNDER_WAY));
    cluster.until("the other host's sessions arrive", |cluster| {
        cluster.ended(WHOLE) > before.1
    });
    let after = cluster.ended(CUT);
    cluster.net.mend(CUT);
    assert_eq!(before.0, after, "{fault:?} lets sessions through");
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
