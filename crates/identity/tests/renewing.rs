//! Renewing, clocks that jump, locking out: who stays in, and who does not.

#![cfg(feature = "authority")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::collections::BTreeMap;
use std::fs;

use hansard_identity::authority::Authority;

use hansard_identity::failure::Failure;
use hansard_identity::host_identity::HostIdentity;
use hansard_identity::join::RenewRequest;

use hansard_identity::token::JoinAs;
use hansard_identity::{Peer, check_recorder};

use support::{Cluster, HOUR, NOW, YEAR, files_under, line, reason};

#[test]
fn renewing_goes_on_for_years_and_over_holidays() {
    let cluster = Cluster::new("prod", 7);
    let mut host = cluster.host("web-1");
    let (id, recorder) = (host.id(), host.recorder_certificate().to_vec());
    let mut now = NOW;
    for _ in 0..3 {
        assert!(!host.needs_renewal(now, u32::MAX));
        now = host.renew_at_ns(7);
        assert!(host.needs_renewal(now, 7));
        let before = host.peer();
        let renewed = cluster
            .registry
            .renew(Some(&before), &host.renew_request(), now);
        host = host.renewed(&renewed.unwrap().answer, now).unwrap();
        assert_eq!(host.id(), id);
        assert_ne!(host.peer().serial, before.serial);
        assert!(host.peer().not_after_ns > before.not_after_ns);
        assert_eq!(
            cluster.registry.host(id).unwrap().tls_serial,
            host.peer().serial
        );
    }
    assert_eq!(host.recorder_certificate(), recorder);

    // Away for a year: the TLS certificate is long over, the recorder key speaks for the host.
    now += YEAR;
    assert!(cluster.registry.admit(&host.peer(), now).is_err());
    let renewed = cluster
        .registry
        .renew(None, &host.renew_request(), now)
        .unwrap();
    host = host.renewed(&renewed.answer, now).unwrap();
    assert_eq!(cluster.registry.admit(&host.peer(), now), Ok(()));
    assert_eq!(host.recorder_certificate(), recorder);

    now = NOW + 6 * YEAR;
    let renewed = cluster
        .registry
        .renew(None, &host.renew_request(), now)
        .unwrap();
    assert_eq!(
        renewed.facts.len(),
        2,
        "a new certificate of the recorder key, too"
    );
    host = host.renewed(&renewed.answer, now).unwrap();
    assert_ne!(host.recorder_certificate(), recorder);
    let key = host.recorder_key().public();
    assert!(
        check_recorder(&recorder, host.authority(), &key, NOW).is_ok(),
        "the old one, then"
    );
    assert!(check_recorder(host.recorder_certificate(), host.authority(), &key, now).is_ok());
}

#[test]
fn a_clock_that_jumps_harms_nobody_else() {
    let cluster = Cluster::new("prod", 8);
    let host = cluster.host("web-1");
    // The service's clock is ten years ahead: what it issues is not taken, the old stays.
    let renewed = cluster
        .registry
        .renew(None, &host.renew_request(), NOW + 10 * YEAR);
    let answer = renewed.unwrap().answer;
    let serial = host.peer().serial;
    assert!(host.renewed(&answer, NOW).is_err());
    assert_eq!(cluster.open("web-1").peer().serial, serial);
    // Beyond the authority's own end, or before its beginning, nothing is issued.
    let host = cluster.open("web-1");
    for now in [0, NOW - 10 * YEAR, NOW + 21 * YEAR, u64::MAX] {
        let denied = cluster
            .registry
            .renew(None, &host.renew_request(), now)
            .unwrap_err();
        assert!(matches!(denied.failure, Failure::Refused(_)), "{denied:?}");
    }
    let scratch = cluster.scratch.0.join("other");
    let made = Authority::create(&scratch, "prod", u64::MAX, &*cluster.random);
    assert!(matches!(made, Err(Failure::Malformed(_))), "{made:?}");
    // A little is tolerated in both directions.
    let late = cluster
        .registry
        .renew(None, &host.renew_request(), NOW + HOUR / 2)
        .unwrap();
    assert!(host.renewed(&late.answer, NOW).is_ok());
}

#[test]
fn what_was_issued_by_a_clock_ahead_is_renewed_once_it_is_right() {
    let cluster = Cluster::new("prod", 11);
    let host = cluster.host("web-1");
    // Of one machine: nobody's clock is right.
    let ahead = NOW + 8 * YEAR;
    let renewed = cluster.registry.renew(None, &host.renew_request(), ahead);
    let host = host.renewed(&renewed.unwrap().answer, ahead).unwrap();
    let key = host.recorder_key().public();
    let check = |host: &HostIdentity| {
        check_recorder(host.recorder_certificate(), host.authority(), &key, NOW).is_ok()
    };
    assert!(!check(&host), "it does not hold yet");
    assert!(host.needs_renewal(NOW, u32::MAX));
    let renewed = cluster.registry.renew(None, &host.renew_request(), NOW);
    let host = host.renewed(&renewed.unwrap().answer, NOW).unwrap();
    assert!(check(&host) && !host.needs_renewal(NOW, u32::MAX));
}

#[test]
fn renewals_are_for_oneself() {
    let (cluster, foreign) = (Cluster::new("prod", 9), Cluster::new("prod", 10));
    let (a, b) = (cluster.host("a"), cluster.host("b"));
    let refused = |peer: Option<&Peer>, request: &RenewRequest| {
        let denied = cluster.registry.renew(peer, request, NOW).unwrap_err();
        assert!(reason(&denied).contains("instance.renew"));
        matches!(denied.failure, Failure::Refused(_) | Failure::Malformed(_))
    };
    assert!(refused(Some(&b.peer()), &a.renew_request()));
    let mut other = a.renew_request();
    other.id = b.id().to_string();
    assert!(refused(None, &other));
    // One's own keys under another's identifier, properly signed.
    let pin = cluster.authority.fingerprint();
    let (tls, recorder) = (a.keys().tls(), a.keys().recorder());
    assert!(refused(
        None,
        &RenewRequest::new(b.id(), pin, tls, recorder)
    ));
    // A request for a cluster of the same name, passed on.
    let stranger = foreign.authority.fingerprint();
    assert!(refused(
        None,
        &RenewRequest::new(a.id(), stranger, tls, recorder)
    ));
    // A new TLS key is fine, if the recorder key says so.
    let fresh = RenewRequest::new(a.id(), pin, b.keys().tls(), recorder);
    assert!(cluster.registry.renew(None, &fresh, NOW).is_ok());
}

#[test]
fn who_is_locked_out_stays_out() {
    let cluster = Cluster::new("prod", 11);
    let (host, other) = (cluster.host("web-1"), cluster.host("web-2"));
    let (registry, id, peer) = (&cluster.registry, host.id(), host.peer());
    let before = registry.changes();
    let locked = registry
        .lock(id, "stolen?", Some(NOW + HOUR), "ada", NOW)
        .unwrap();
    assert!(registry.changes() > before);
    let said = line(&locked.facts[0]);
    assert!(
        said.starts_with("lock.created") && said.contains("2026-11-21T09:00:00Z"),
        "{said}"
    );
    assert!(registry.is_locked(id, NOW) && !registry.is_locked(other.id(), NOW));
    assert!(registry.admit(&peer, NOW).is_err());
    assert!(
        registry
            .renew(Some(&peer), &host.renew_request(), NOW)
            .is_err()
    );
    let token = cluster.token(JoinAs::Host, 1);
    let request = host
        .keys()
        .join_request(&token, "web-1", BTreeMap::new(), Vec::new());
    let denied = registry.join(&request, NOW).unwrap_err();
    assert!(matches!(denied.failure, Failure::Refused(_)));
    // It ends by itself, or when somebody lifts it.
    assert!(!registry.is_locked(id, NOW + HOUR));
    assert_eq!(registry.unlock(id, "ada").unwrap().facts.len(), 1);
    assert_eq!(registry.admit(&peer, NOW), Ok(()));
    assert!(registry.unlock(id, "ada").unwrap().facts.is_empty());

    registry.revoke(id, "stolen", "ada", NOW).unwrap();
    assert!(matches!(
        registry.unlock(id, "ada").unwrap_err().failure,
        Failure::Conflict(_)
    ));
    assert!(registry.is_locked(id, NOW + 15 * YEAR));
    assert!(
        registry.join(&request, NOW).is_err(),
        "not under another name either"
    );
    let nobody = registry.lock(
        "01890a5d-ac96-7fff-bfff-ffffffffffff".parse().unwrap(),
        "x",
        None,
        "ada",
        NOW,
    );
    assert!(matches!(nobody.unwrap_err().failure, Failure::Conflict(_)));
    for (reason, by, until) in [
        ("", "ada", None),
        ("a\nb", "ada", None),
        ("x", "", None),
        ("x", "ada", Some(NOW)),
    ] {
        let denied = registry
            .lock(other.id(), reason, until, by, NOW)
            .unwrap_err();
        assert!(matches!(denied.failure, Failure::Malformed(_)));
    }
}

#[test]
fn answers_that_do_not_fit_are_not_kept() {
    let (cluster, foreign) = (Cluster::new("prod", 15), Cluster::new("prod", 16));
    let (host, other) = (cluster.host("a"), cluster.host("b"));
    let own = cluster.authority.own().der.clone();
    let renew = |host: &HostIdentity| {
        cluster
            .registry
            .renew(None, &host.renew_request(), NOW)
            .unwrap()
            .answer
    };
    let good = renew(&host);
    let stranger = foreign.host("a");
    let theirs = foreign
        .registry
        .renew(None, &stranger.renew_request(), NOW)
        .unwrap()
        .answer;
    let before = files_under(&cluster.directory("a"));
    let before: Vec<_> = before.iter().map(|p| fs::read(p).unwrap()).collect();
    let mut mixed = good.clone();
    mixed.tls = theirs.tls.clone();
    let mut swapped = good.clone();
    swapped.recorder = Some(good.tls.clone());
    let mut renamed = good.clone();
    renamed.id = other.id().to_string();
    for (what, answer) in [
        ("another host's", renew(&other)),
        ("another cluster's of the same name", theirs),
        ("another cluster's TLS certificate", mixed),
        ("a TLS certificate for the recorder key", swapped),
        ("another identifier", renamed),
    ] {
        let kept = host.keys().store(&answer, &own, NOW);
        assert!(matches!(kept, Err(Failure::Refused(_))), "{what}: {kept:?}");
    }
    assert!(
        host.keys().store(&good, &own, NOW + 25 * HOUR).is_err(),
        "expired"
    );
    let after = files_under(&cluster.directory("a"));
    let after: Vec<_> = after.iter().map(|p| fs::read(p).unwrap()).collect();
    assert_eq!(before, after);
    assert!(host.keys().store(&good, &own, NOW).is_ok());
}
