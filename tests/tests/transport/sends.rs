//! The ordinary case, and the ends of it: many sessions, restarts, controls, lost receipts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hansard_record::forward::Control as Asked;
use hansardd::ingest::{Control, Note, To};

use crate::cluster::{Cluster, until};
use crate::host::{Host, endpoint, options};
use crate::service::{Made, Service};
use crate::sessions::{id, recording, with_long_frames};

#[test]
fn what_hosts_recorded_is_in_the_archive_in_order_and_once() {
    let cluster = Cluster::new("one", 1);
    let identity = cluster.service();
    let service = Service::start(&cluster, &identity, Made::new());
    let hosts: Vec<_> = ["web-1", "web-2", "web-3"]
        .iter()
        .map(|name| cluster.host(name))
        .collect();
    let mut all = Vec::new();
    for (n, identity) in hosts.iter().enumerate() {
        let host = Host::start(&cluster, identity, service.address, &service.runtime);
        let recordings: Vec<_> = (0..4u8)
            .map(|m| {
                let seed = n as u64 * 10 + u64::from(m);
                recording(&identity.recorder_key(), id(seed as u8), seed, 300)
            })
            .collect();
        all.push((host, recordings));
    }
    for (host, recordings) in &all {
        // By turns, as sessions are.
        let longest = recordings.iter().map(Vec::len).max().unwrap();
        for n in 0..longest {
            for parts in recordings {
                parts.iter().skip(n).take(1).for_each(|part| {
                    host.put(std::slice::from_ref(part));
                });
            }
        }
    }
    for (host, recordings) in &all {
        recordings.iter().for_each(|parts| service.wait_for(parts));
        host.wait_until_stored();
        assert!(host.alarms.lock().unwrap().is_empty());
        let state = host.status.snapshot();
        assert_eq!((state.failures, state.connections), (0, 1));
        assert_eq!((state.lag, state.pending_bytes), (Duration::ZERO, 0));
        // Nothing was sent twice.
        let sent: usize = recordings.iter().map(Vec::len).sum();
        assert_eq!(state.parts_sent, sent as u64);
    }
    assert!(service.notes.alarms().is_empty());
    let connected = service.connections.list();
    assert_eq!(connected.len(), 3);
    assert!(connected.iter().all(|host| host.sessions == 4));
    assert_eq!(service.figures.snapshot().connected, 3);
}

#[test]
fn restarts_of_either_side_lose_nothing_and_repeat_nothing_into_the_archive() {
    let cluster = Cluster::new("two", 2);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let mut service = Service::start(&cluster, &identity, Made::new());
    let parts = recording(&web.recorder_key(), id(1), 1, 1500);
    let mut disk = hansard_record::sim::SimDisk::new(3);
    for (n, piece) in parts.chunks(parts.len() / 6 + 1).enumerate() {
        let at = endpoint(&cluster, &web, service.address);
        let host = Host::start_with(at, options(), disk, &service.runtime);
        host.put(piece);
        until("something of it was received", || {
            let state = host.status.snapshot();
            state.parts_sent > 0 || state.pending_parts == 0
        });
        disk = host.stop(&service.runtime);
        if n % 2 == 1 {
            let made = service.stop();
            service = Service::start(&cluster, &identity, made);
        }
    }
    let at = endpoint(&cluster, &web, service.address);
    let host = Host::start_with(at, options(), disk, &service.runtime);
    service.wait_for(&parts);
    host.wait_until_stored();
    assert!(service.notes.alarms().is_empty());
    assert!(host.alarms.lock().unwrap().is_empty());
}

#[test]
fn a_receipt_that_was_never_told_is_found_out_when_the_host_comes_back() {
    let cluster = Cluster::new("three", 3);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let switches = &service.switches;
    switches.keeper_rests.store(true, Ordering::SeqCst);
    switches.keeper_is_mute.store(true, Ordering::SeqCst);
    let parts = recording(&web.recorder_key(), id(1), 1, 600);
    let host = Host::start(&cluster, &web, service.address, &service.runtime);
    host.put(&parts);
    until("everything was received", || {
        let state = host.status.snapshot();
        state.parts_sent == parts.len() as u64 && state.lag == Duration::ZERO
    });
    switches.keeper_rests.store(false, Ordering::SeqCst);
    service.wait_for(&parts);
    assert_eq!(host.spool.usage().parts, parts.len());
    let disk = host.stop(&service.runtime);
    let at = endpoint(&cluster, &web, service.address);
    let host = Host::start_with(at, options(), disk, &service.runtime);
    host.wait_until_stored();
    assert!(service.notes.alarms().is_empty());
    service.wait_for(&parts);
}

#[test]
fn a_catalog_that_is_down_holds_sessions_back_and_loses_none() {
    let cluster = Cluster::new("four", 4);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    service
        .switches
        .catalog_is_down
        .store(true, Ordering::SeqCst);
    let parts = recording(&web.recorder_key(), id(1), 1, 100);
    let host = Host::start(&cluster, &web, service.address, &service.runtime);
    host.put(&parts);
    until("the service asked to offer it again", || {
        host.status.snapshot().retries > 0
    });
    assert_eq!(service.archive.sessions(), 0);
    service
        .switches
        .catalog_is_down
        .store(false, Ordering::SeqCst);
    service.wait_for(&parts);
    host.wait_until_stored();
    assert!(host.alarms.lock().unwrap().is_empty());
}

#[test]
fn a_full_spool_makes_hosts_wait_and_loses_nothing() {
    let cluster = Cluster::new("five", 5);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let made = Made {
        spool_bytes_max: 800_000,
        ..Made::new()
    };
    let service = Service::start(&cluster, &identity, made);
    service.switches.keeper_rests.store(true, Ordering::SeqCst);
    let parts = recording(&web.recorder_key(), id(1), 1, 4000);
    let host = Host::start(&cluster, &web, service.address, &service.runtime);
    host.put(&parts);
    until("the host was told that the service is busy", || {
        let busy = host.status.snapshot().busy;
        busy.is_some_and(|why| why.contains("is full"))
    });
    assert!(host.status.snapshot().lag > Duration::ZERO);
    service.switches.keeper_rests.store(false, Ordering::SeqCst);
    service.wait_for(&parts);
    host.wait_until_stored();
    assert!(host.alarms.lock().unwrap().is_empty());
    assert_eq!(host.status.snapshot().connections, 1);
}

#[test]
fn a_host_is_told_what_to_do_while_it_is_connected() {
    let cluster = Cluster::new("six", 6);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let to_host = To::Host(web.id());
    let end = |n| Control::End {
        session: id(n),
        reason: "enough".to_owned(),
        by: "alice".to_owned(),
    };
    assert!(service.connections.send(to_host, end(1)).is_err());
    let host = Host::start(&cluster, &web, service.address, &service.runtime);
    let parts = recording(&web.recorder_key(), id(1), 1, 20);
    host.put(&parts);
    service.wait_for(&parts);
    let follow = Control::Follow {
        session: id(1),
        on: true,
    };
    service
        .connections
        .send(To::Session(id(1)), follow)
        .unwrap();
    service.connections.send(to_host, end(2)).unwrap();
    assert!(
        service
            .connections
            .send(To::Session(id(2)), end(2))
            .is_err()
    );
    until("both arrived", || host.controls.lock().unwrap().len() == 2);
    let controls = host.controls.lock().unwrap().clone();
    assert_eq!(
        controls[0],
        Asked::Follow {
            session: id(1),
            on: true
        }
    );
    assert!(matches!(&controls[1], Asked::End { by, .. } if by == "alice"));
    let software = service.notes.all().into_iter().find_map(|note| match note {
        Note::Connected { software, .. } => Some(software),
        _ => None,
    });
    assert_eq!(software.as_deref(), Some("a host under test"));
}

#[test]
fn long_frames_pass_among_short_ones() {
    let cluster = Cluster::new("seven", 7);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let hosts: Vec<_> = (0..3u8)
        .map(|n| {
            let host = Host::start(&cluster, &web, service.address, &service.runtime);
            let small = recording(&web.recorder_key(), id(n), u64::from(n), 100);
            let large = with_long_frames(&web.recorder_key(), id(n + 10));
            assert!(large.iter().any(|part| part.bytes().len() > 500_000));
            let (first, second) = small.split_at(small.len() / 2);
            host.put(first);
            host.put(&large);
            host.put(second);
            (host, small, large)
        })
        .collect();
    for (host, small, large) in &hosts {
        service.wait_for(small);
        service.wait_for(large);
        host.wait_until_stored();
        assert_eq!(host.status.snapshot().connections, 1);
    }
}
