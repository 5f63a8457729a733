//! A network that fails: whatever it does, the archive ends up equal to what was recorded.

use std::time::Duration;

use hansard_record::forward::ForwardOptions;
use hansard_record::sim::{Rng, SimDisk};
use hansard_tests::fault_proxy::{End, FaultProxy, Link, Way};

use crate::cluster::{Cluster, until};
use crate::host::{Host, endpoint, options, soon_tired};
use crate::service::{Made, Service};
use crate::sessions::{id, recording};

/// A service, a proxy before it, a host behind that, and what the host recorded.
struct Scene {
    service: Service,
    proxy: FaultProxy,
    host: Host,
    cluster: Cluster,
    web: hansard_identity::HostIdentity,
}

fn scene(name: &str) -> Scene {
    scene_with(name, soon_tired())
}

fn scene_with(name: &str, options: ForwardOptions) -> Scene {
    let cluster = Cluster::new(name, 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let proxy = FaultProxy::start(service.address);
    let at = endpoint(&cluster, &web, proxy.address());
    let host = Host::start_with(at, options, SimDisk::new(2), &service.runtime);
    Scene {
        service,
        proxy,
        host,
        cluster,
        web,
    }
}

impl Scene {
    fn check(&self, all: &[Vec<hansard_core::Part>]) {
        self.proxy.heal();
        all.iter().for_each(|parts| self.service.wait_for(parts));
        self.host.wait_until_stored();
        assert_eq!(self.service.archive.sessions(), all.len());
        assert!(self.service.notes.alarms().is_empty());
        // Whatever happened on the way, nothing is taken for lost.
        let losses = self.service.switches.losses.lock().unwrap().clone();
        assert_eq!(losses, []);
        assert!(self.host.alarms.lock().unwrap().is_empty());
    }

    fn wait_for_errors(&self, what: &str, words: &str) {
        until(what, || {
            let error = self.host.status.snapshot().last_error;
            error.is_some_and(|(_, why)| why.contains(words))
        });
    }
}

#[test]
fn faults_from_a_seed_in_any_order() {
    for seed in 1..=4u64 {
        let scene = scene(&format!("random-{seed}"));
        let key = scene.web.recorder_key();
        let all: Vec<_> = (0..3u8)
            .map(|n| recording(&key, id(n), seed * 10 + u64::from(n), 250))
            .collect();
        let mut rng = Rng::new(seed);
        let longest = all.iter().map(Vec::len).max().unwrap();
        for n in 0..longest {
            for parts in &all {
                parts.iter().skip(n).take(1).for_each(|part| {
                    scene.host.put(std::slice::from_ref(part));
                });
            }
            if n == longest / 2 {
                scene.proxy.heal();
                scene.proxy.cut(End::Reset);
            }
            if rng.one_in(3) {
                let end = match rng.below(3) {
                    0 => End::Closed,
                    1 => End::Reset,
                    _ => End::HalfOpen,
                };
                match rng.below(6) {
                    0 => scene.proxy.cut(end),
                    1 => scene.proxy.cut_after(rng.below(60_000), end),
                    2 => scene.proxy.set_latency(Duration::from_millis(rng.below(4))),
                    3 => scene.proxy.set_refusing(rng.one_in(2)),
                    4 => scene.proxy.set_link(Way::Up, Link::Swallows),
                    _ => scene.proxy.set_link(Way::Down, Link::Stalls),
                }
            }
            if rng.one_in(3) {
                scene.proxy.heal();
            }
            std::thread::sleep(Duration::from_millis(rng.below(12)));
        }
        scene.check(&all);
        assert!(scene.proxy.accepted() > 1, "seed {seed} broke nothing");
    }
}

#[test]
fn a_black_hole_is_noticed_by_silence() {
    let scene = scene("hole");
    let all = [recording(&scene.web.recorder_key(), id(1), 1, 400)];
    let (early, late) = all[0].split_at(all[0].len() / 2);
    scene.host.put(early);
    until("the first half was received", || {
        scene.service.figures.snapshot().parts == early.len() as u64
    });
    scene.proxy.set_link(Way::Up, Link::Swallows);
    scene.proxy.set_link(Way::Down, Link::Swallows);
    scene.host.put(late);
    scene.wait_for_errors("the silence was noticed", "has said nothing");
    scene.check(&all);
}

#[test]
fn one_way_links_are_noticed_whichever_way_it_is() {
    for way in [Way::Up, Way::Down] {
        let scene = scene("one-way");
        let all = [recording(&scene.web.recorder_key(), id(1), 1, 200)];
        until("the host is connected", || {
            scene.host.status.snapshot().connected_for.is_some()
        });
        scene.proxy.set_link(way, Link::Swallows);
        scene.host.put(&all[0]);
        scene.wait_for_errors("the silence was noticed", "has said nothing");
        assert!(scene.host.status.snapshot().lag > Duration::ZERO);
        scene.check(&all);
    }
}

#[test]
fn a_service_that_hears_nothing_of_the_end_lets_the_host_come_back() {
    let scene = scene("half-open");
    let all = [recording(&scene.web.recorder_key(), id(1), 1, 400)];
    for piece in all[0].chunks(all[0].len() / 8 + 1) {
        scene.host.put(piece);
        let sent = scene.proxy.accepted();
        scene.proxy.cut(End::HalfOpen);
        until("the host is back", || scene.proxy.accepted() > sent);
    }
    scene.check(&all);
    // As many connections as a host may have, and no more.
    assert!(scene.service.connections.list().len() <= 4);
}

#[test]
fn a_slow_network_only_costs_time() {
    // One connection, however long the machine does something else.
    let scene = scene_with("slow", options());
    scene.proxy.set_latency(Duration::from_millis(15));
    let all = [recording(&scene.web.recorder_key(), id(1), 1, 150)];
    scene.host.put(&all[0]);
    scene.service.wait_for(&all[0]);
    scene.host.wait_until_stored();
    assert_eq!(scene.host.status.snapshot().connections, 1);
    scene.check(&all);
}

#[test]
fn a_service_that_cannot_be_reached_is_tried_until_it_can() {
    let cluster = Cluster::new("away", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let proxy = FaultProxy::start(service.address);
    proxy.set_refusing(true);
    // The first address is nobody's.
    let mut endpoint = endpoint(&cluster, &web, proxy.address());
    endpoint.addresses.insert(0, "127.0.0.1:1".to_owned());
    let host = Host::start_with(endpoint, options(), SimDisk::new(1), &service.runtime);
    let parts = recording(&web.recorder_key(), id(1), 1, 100);
    host.put(&parts);
    until("it was tried a few times", || {
        host.status.snapshot().failures > 3
    });
    assert_eq!(host.status.snapshot().connections, 0);
    proxy.heal();
    service.wait_for(&parts);
    host.wait_until_stored();
}

#[test]
fn a_host_that_crashes_amid_faults_goes_on_where_it_was() {
    let mut scene = scene("crash");
    let all = [recording(&scene.web.recorder_key(), id(1), 9, 600)];
    for (n, piece) in all[0].chunks(all[0].len() / 5 + 1).enumerate() {
        scene.host.put(piece);
        scene.proxy.cut_after(5_000 * n as u64, End::Reset);
        let before = scene.proxy.passed();
        until("something was sent", || {
            scene.proxy.passed() > before || scene.host.spool.usage().parts == 0
        });
        let runtime = std::sync::Arc::clone(&scene.service.runtime);
        let at = endpoint(&scene.cluster, &scene.web, scene.proxy.address());
        let disk = scene.host.stop(&runtime);
        scene.host = Host::start_with(at, soon_tired(), disk, &runtime);
    }
    scene.check(&all);
}
