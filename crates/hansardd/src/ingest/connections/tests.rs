//! Who is told what.

use super::*;
use hansard_identity::Principal;
use hansard_record::forward::wire::{ProblemKind, Stored};
use hansard_record::order::Spot;

/// Hosts that are connected at a time here.
const HOSTS_MAX: usize = 5;

fn host(n: u8) -> HostId {
    HostId::new_v7(1, [n; 10])
}

fn session(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn enter(connections: &Connections, n: u8) -> Place {
    let peer = Peer {
        cluster: "test".into(),
        principal: Principal::Host(host(n)),
        name: format!("host-{n}"),
        serial: "01".into(),
        not_after_ns: u64::MAX,
    };
    let place = connections.enter(peer, "127.0.0.1:1".parse().unwrap(), HOSTS_MAX);
    place.expect("a place")
}

fn problem(n: u8) -> Problem {
    Problem {
        session: session(n),
        kind: ProblemKind::Conflict,
        at: Spot {
            segment: 0,
            place: hansard_core::frame::Place::Frame(0),
        },
        why: "why".into(),
    }
}

fn stored(n: u8, segment: u32) -> Stored {
    let digest = [u8::try_from(segment).unwrap(); 32];
    Stored::new(session(n), segment, digest)
}

#[test]
fn what_is_stored_is_told_to_who_sent_it_last_and_only_the_newest() {
    let connections = Connections::new();
    let (old, new) = (enter(&connections, 1), enter(&connections, 1));
    assert!(connections.route(old.line.number, session(1)));
    connections.stored(stored(1, 0));
    assert!(connections.route(new.line.number, session(1)));
    connections.stored(stored(1, 2));
    connections.stored(stored(1, 1));
    connections.stored(stored(2, 9));
    connections.problem(problem(1));
    connections.problem(problem(1));
    assert_eq!(
        old.line.take().stored,
        HashMap::from([(session(1), stored(1, 0))])
    );
    let waiting = new.line.take();
    assert_eq!(waiting.stored, HashMap::from([(session(1), stored(1, 2))]));
    assert_eq!(waiting.problems.len(), 1);
    // When the old one ends, nothing changes for the new.
    drop(old);
    connections.stored(stored(1, 3));
    assert_eq!(
        new.line.take().stored,
        HashMap::from([(session(1), stored(1, 3))])
    );
    connections.unroute(new.line.number, session(1));
    connections.stored(stored(1, 4));
    assert!(new.line.take().stored.is_empty());
}

#[test]
fn a_host_has_so_many_connections_and_the_oldest_makes_room() {
    let connections = Connections::new();
    let all: Vec<Place> = (0..=PEER_CONNECTIONS_MAX)
        .map(|_| enter(&connections, 1))
        .collect();
    let _other = enter(&connections, 2);
    let cut: Vec<bool> = all.iter().map(|p| p.line.take().cut.is_some()).collect();
    assert!(cut[0]);
    assert!(cut[1..].iter().all(|cut| !cut));
    drop(all);
    assert_eq!(connections.list().len(), 1);
    connections.end_all("over");
    assert_eq!(_other.line.take().cut.as_deref(), Some("over"));
}

#[test]
fn so_many_hosts_are_connected_and_those_that_are_may_come_again() {
    let connections = Connections::new();
    let hosts = u8::try_from(HOSTS_MAX).unwrap();
    let mut all: Vec<Place> = (0..hosts).map(|n| enter(&connections, n)).collect();
    let one_more = |n: u8| {
        let peer = Peer {
            principal: Principal::Host(host(n)),
            ..all[0].line.peer.clone()
        };
        connections.enter(peer, "127.0.0.1:1".parse().unwrap(), HOSTS_MAX)
    };
    assert!(one_more(hosts).is_none());
    let again = one_more(2).unwrap();
    drop(again);
    drop(all.pop());
    drop(enter(&connections, hosts));
}

#[test]
fn controls_go_to_the_newest_connection_and_do_not_pile_up() {
    let connections = Connections::new();
    let follow = Control::Follow {
        session: session(1),
        on: true,
    };
    let to = To::Host(host(1));
    assert_eq!(
        connections.send(to, follow.clone()),
        Err(NotSent::NotConnected)
    );
    let (old, new) = (enter(&connections, 1), enter(&connections, 1));
    for _ in 0..crate::ingest::limits::CONTROLS_MAX {
        connections.send(to, follow.clone()).unwrap();
    }
    assert_eq!(connections.send(to, follow.clone()), Err(NotSent::Full));
    assert!(old.line.take().controls.is_empty());
    assert!(!new.line.take().controls.is_empty());
    let of_session = To::Session(session(1));
    assert_eq!(
        connections.send(of_session, follow.clone()),
        Err(NotSent::NotConnected)
    );
    connections.route(old.line.number, session(1));
    connections.send(of_session, follow).unwrap();
    assert_eq!(old.line.take().controls.len(), 1);
}

#[test]
fn sessions_of_one_connection_are_bounded() {
    let connections = Connections::new();
    let place = enter(&connections, 1);
    let id = |n: usize| SessionId::from_bytes((n as u128).to_be_bytes());
    for n in 0..SESSIONS_MAX {
        assert!(connections.route(place.line.number, id(n)));
    }
    assert!(!connections.route(place.line.number, id(SESSIONS_MAX)));
    assert!(connections.route(place.line.number, id(0)));
    connections.unroute(place.line.number, id(0));
    assert!(connections.route(place.line.number, id(SESSIONS_MAX)));
    drop(place);
    assert!(connections.lock().sessions.is_empty());
}

#[test]
fn a_conflict_is_told_to_who_sends_the_session_and_to_nobody_else() {
    let connections = Connections::new();
    let (one, other) = (enter(&connections, 1), enter(&connections, 2));
    let told = |place: &Place| {
        let problems = place.line.take().problems;
        let mut sessions: Vec<_> = problems.into_keys().collect();
        sessions.sort_unstable();
        sessions
    };
    connections.route(one.line.number, session(1));
    connections.route(other.line.number, session(2));
    // Of a session that nobody sends now, nobody is told: it is offered again, and refused then.
    for n in [1, 2, 3] {
        connections.problem(problem(n));
    }
    assert_eq!(told(&one), [session(1)]);
    assert_eq!(told(&other), [session(2)]);
    // The host has come back on another connection, which is told from then on.
    let again = enter(&connections, 1);
    connections.route(again.line.number, session(1));
    connections.problem(problem(1));
    assert_eq!((told(&one), told(&again)), (vec![], vec![session(1)]));
    connections.unroute(again.line.number, session(1));
    connections.problem(problem(1));
    assert!(told(&again).is_empty());
}
