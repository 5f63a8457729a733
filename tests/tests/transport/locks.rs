//! Who may send: foreign, expired and locked certificates, other hosts' sessions, second writers,
//! old streams played again. Each has one outcome.

use hansard_record::forward::AlarmKind;
use hansard_record::forward::wire::ProblemKind;
use hansardd::ingest::Note;

use crate::cluster::{Cluster, HOUR, until};
use crate::host::{Host, endpoint, options};
use crate::service::{Made, Service};
use crate::sessions::{id, recording};

fn turned_away(service: &Service, words: &str) -> bool {
    service
        .notes
        .all()
        .iter()
        .any(|note| matches!(note, Note::TurnedAway { why, .. } if why.contains(words)))
}

#[test]
fn a_certificate_of_another_cluster_ends_in_the_handshake() {
    let (ours, theirs) = (Cluster::new("ours", 1), Cluster::new("theirs", 2));
    let identity = ours.service();
    let stranger = theirs.host("web-1");
    let service = Service::start(&ours, &identity, Made::new());
    // The host trusts only its own cluster, and so does the service; either is enough.
    let mut at = endpoint(&theirs, &stranger, service.address);
    let host = Host::start_with(
        at.clone(),
        options(),
        hansard_record::sim::SimDisk::new(1),
        &service.runtime,
    );
    host.put(&recording(&stranger.recorder_key(), id(1), 1, 20));
    until("it was turned away", || turned_away(&service, "TLS"));
    host.stop(&service.runtime);
    let trusting = ours.host("web-2");
    at.tls = ours.client_config_as(&trusting, &stranger);
    let host = Host::start_with(
        at,
        options(),
        hansard_record::sim::SimDisk::new(1),
        &service.runtime,
    );
    host.put(&recording(&stranger.recorder_key(), id(1), 1, 20));
    until("it failed again", || host.status.snapshot().failures > 2);
    assert_eq!(host.status.snapshot().connections, 0);
    assert_eq!(service.archive.sessions(), 0);
    // What it has is still there, for when that is repaired.
    assert!(host.spool.usage().parts > 0);
}

#[test]
fn a_certificate_that_expires_ends_the_connection_and_is_not_let_in_again() {
    let cluster = Cluster::new("old", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let host = Host::start(&cluster, &web, service.address, &service.runtime);
    let parts = recording(&web.recorder_key(), id(1), 1, 50);
    host.put(&parts);
    service.wait_for(&parts);
    cluster.clock.advance(26 * HOUR);
    until("the connection was ended", || {
        service
            .notes
            .all()
            .iter()
            .any(|note| matches!(note, Note::Gone { why, .. } if why.contains("expired")))
    });
    until("the host was not let in again", || {
        host.status.snapshot().failures > 2
    });
    assert!(service.connections.list().is_empty());
}

#[test]
fn a_host_that_is_locked_out_is_cut_off_and_told_so() {
    let cluster = Cluster::new("lock", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let host = Host::start(&cluster, &web, service.address, &service.runtime);
    let parts = recording(&web.recorder_key(), id(1), 1, 50);
    host.put(&parts);
    service.wait_for(&parts);
    cluster.lock(&web);
    until("the connection was ended", || {
        service.connections.list().is_empty()
    });
    host.put(&recording(&web.recorder_key(), id(2), 1, 20));
    until("the host is told when it comes back", || {
        let error = host.status.snapshot().last_error;
        error.is_some_and(|(_, why)| why.contains("403") && why.contains("locked out"))
    });
    assert!(turned_away(&service, "locked out"));
    assert_eq!(service.archive.sessions(), 1);
    assert!(host.spool.usage().parts > 0);
}

#[test]
fn a_session_of_another_hosts_key_is_refused_with_an_alarm_and_the_others_go_on() {
    let cluster = Cluster::new("foreign", 1);
    let identity = cluster.service();
    let (web, db) = (cluster.host("web-1"), cluster.host("db-1"));
    let service = Service::start(&cluster, &identity, Made::new());
    let host = Host::start(&cluster, &web, service.address, &service.runtime);
    let own = recording(&web.recorder_key(), id(1), 1, 200);
    let foreign = recording(&db.recorder_key(), id(2), 2, 200);
    host.put(&own[..5]);
    host.put(&foreign);
    host.put(&own[5..]);
    service.wait_for(&own);
    host.wait_until_stored();
    assert_eq!(service.archive.sessions(), 1);
    assert_eq!(service.notes.alarms(), [id(2)]);
    let alarm = host.alarms.lock().unwrap()[0].clone();
    assert_eq!((alarm.session, alarm.kind), (id(2), AlarmKind::Refused));
    assert!(alarm.why.contains("not certified for this host"));
    assert_eq!(alarm.failed, None);
    let aside = host.status.snapshot().parts_aside;
    assert_eq!(aside, foreign.len() as u64);
}

#[test]
fn a_second_writer_and_a_fork_are_conflicts_with_an_alarm() {
    let cluster = Cluster::new("fork", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let service = Service::start(&cluster, &identity, Made::new());
    let first = Host::start(&cluster, &web, service.address, &service.runtime);
    let key = web.recorder_key();
    let (one, other) = (
        recording(&key, id(1), 1, 300),
        recording(&key, id(1), 2, 300),
    );
    assert_eq!(one[0], other[0]);
    first.put(&one);
    service.wait_for(&one);
    // A clone of the machine that recorded something else under the same name.
    let second = Host::start(&cluster, &web, service.address, &service.runtime);
    second.put(&other);
    until("the clone knows", || {
        !second.alarms.lock().unwrap().is_empty()
    });
    let alarm = second.alarms.lock().unwrap()[0].clone();
    assert_eq!((alarm.session, alarm.kind), (id(1), AlarmKind::Conflict));
    second.wait_until_stored();
    assert_eq!(service.notes.alarms(), [id(1)]);
    assert!(service.notes.all().iter().any(|note| {
        matches!(
            note,
            Note::NotTaken {
                kind: ProblemKind::Conflict,
                ..
            }
        )
    }));
    service.wait_for(&one);
}

#[test]
fn an_old_stream_played_again_changes_nothing() {
    let cluster = Cluster::new("replay", 1);
    let identity = cluster.service();
    let web = cluster.host("web-1");
    let mut service = Service::start(&cluster, &identity, Made::new());
    let parts = recording(&web.recorder_key(), id(1), 1, 300);
    for _ in 0..2 {
        let host = Host::start(&cluster, &web, service.address, &service.runtime);
        host.put(&parts);
        host.wait_until_stored();
        service.wait_for(&parts);
        assert!(host.alarms.lock().unwrap().is_empty());
        assert!(service.notes.alarms().is_empty());
        host.stop(&service.runtime);
        // With and without a spool that remembers.
        service = Service::start(&cluster, &identity, service.stop());
    }
    let host = Host::start(&cluster, &web, service.address, &service.runtime);
    host.put(&parts);
    host.wait_until_stored();
    assert!(
        service.puts.lock().unwrap().is_empty(),
        "nothing is put twice"
    );
}
