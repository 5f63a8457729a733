//! Joining, the whole way with real files.

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
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use hansard_identity::authority::Authority;
use hansard_identity::certificate::{Certificate, Purpose};
use hansard_identity::failure::{Failure, TOKEN_REFUSED};
use hansard_identity::host_identity::{HostIdentity, HostKeys};
use hansard_identity::join::JoinRequest;
use hansard_identity::registry::{Registry, Standing};
use hansard_identity::token::JoinAs;
use hansard_identity::{Principal, check_recorder};

use support::{Cluster, DAY, HOUR, NOW, SECOND, YEAR, files_under, line, random, reason};

#[test]
fn a_host_joins_and_is_who_it_is() {
    let cluster = Cluster::new("prod", 1);
    let host = cluster.host("web-1");
    let peer = host.peer();
    assert_eq!(peer.principal, Principal::Host(host.id()));
    assert_eq!(
        (peer.cluster.as_str(), peer.name.as_str()),
        ("prod", "web-1")
    );
    assert_eq!(cluster.registry.admit(&peer, NOW), Ok(()));
    assert_eq!(cluster.registry.standing(host.id(), NOW), Standing::Good);
    let key = host.recorder_key().public();
    assert!(cluster.registry.has_recorder_key(host.id(), &key));
    assert!(!cluster.registry.has_recorder_key(host.id(), &[9; 32]));
    let checked = check_recorder(host.recorder_certificate(), host.authority(), &key, NOW);
    assert_eq!(checked.unwrap().principal, peer.principal);

    // All of it outlives the process.
    let Cluster {
        scratch, registry, ..
    } = cluster;
    let row = registry.host(host.id()).unwrap();
    drop(registry);
    let authority = Arc::new(Authority::open(&scratch.0.join("authority")).unwrap());
    let (registry, facts) =
        Registry::open(&scratch.0.join("registry"), authority, random(2)).unwrap();
    assert!(facts.is_empty());
    assert_eq!(registry.host(host.id()), Some(row));
    assert_eq!(registry.admit(&peer, NOW), Ok(()));
}

#[test]
fn secrets_are_for_their_owner_only_and_no_secret_of_a_token_is_kept() {
    let cluster = Cluster::new("prod", 2);
    let token = cluster.token(JoinAs::Host, 1);
    cluster.host("web-1");
    let secret = token.rsplit('-').next().unwrap();
    let mut keys = 0;
    for path in files_under(&cluster.scratch.0) {
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(secret), "{}", path.display());
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if text.contains("PRIVATE KEY") {
            keys += 1;
            assert_eq!(mode, 0o600, "{}", path.display());
        }
    }
    assert_eq!(keys, 3);
}

#[test]
fn nothing_that_exists_is_made_again() {
    let cluster = Cluster::new("prod", 3);
    let at = cluster.scratch.0.join("authority");
    let before: Vec<_> = files_under(&at)
        .iter()
        .map(|p| fs::read(p).unwrap())
        .collect();
    let again = Authority::create(&at, "prod", NOW, &*cluster.random);
    assert!(matches!(again, Err(Failure::Conflict(_))), "{again:?}");
    let after: Vec<_> = files_under(&at)
        .iter()
        .map(|p| fs::read(p).unwrap())
        .collect();
    assert_eq!(before, after);
    let keys = cluster.keys("web-1");
    assert_eq!(
        cluster.keys("web-1").recorder().public(),
        keys.recorder().public()
    );
    assert!(
        HostIdentity::open(&cluster.directory("web-1"))
            .unwrap()
            .is_none()
    );

    let second = Registry::open(
        &cluster.scratch.0.join("registry"),
        Arc::clone(&cluster.authority),
        random(9),
    );
    assert!(matches!(second.err(), Some(Failure::Conflict(_))));
    let nowhere = cluster.scratch.0.join("nowhere");
    assert!(matches!(
        Authority::open(&nowhere),
        Err(Failure::Refused(_))
    ));
    assert!(matches!(HostKeys::open(&nowhere), Err(Failure::Refused(_))));
    assert!(!nowhere.exists());
}

#[test]
fn the_same_join_again_costs_nothing_and_another_is_refused() {
    let cluster = Cluster::new("prod", 4);
    let token = cluster.token(JoinAs::Host, 1);
    let keys = cluster.keys("web-1");
    let request = keys.join_request(&token, "web-1", BTreeMap::new(), Vec::new());
    let first = cluster.registry.join(&request, NOW).unwrap();
    let again = cluster.registry.join(&request, NOW + SECOND).unwrap();
    assert_eq!(first.answer.id, again.answer.id);
    assert!(line(&again.facts[0]).contains("joined before"));
    assert_eq!(cluster.registry.hosts(None, 10).rows.len(), 1);

    let other = cluster.keys("web-2");
    let request = other.join_request(&token, "web-2", BTreeMap::new(), Vec::new());
    let denied = cluster.registry.join(&request, NOW).unwrap_err();
    assert_eq!(denied.failure, Failure::Token);
    assert!(reason(&denied).contains("used up"), "{}", reason(&denied));

    // With a new token it keeps its identifier: the recorder key says who it is.
    let request = keys.join_request(
        &cluster.token(JoinAs::Host, 1),
        "web-one",
        BTreeMap::new(),
        Vec::new(),
    );
    let back = cluster
        .registry
        .join(&request, NOW + DAY - 23 * HOUR - SECOND)
        .unwrap();
    assert_eq!(back.answer.id, first.answer.id);
    assert_eq!(cluster.registry.hosts(None, 10).rows[0].name, "web-one");
}

#[test]
fn whatever_is_wrong_with_a_token_sounds_the_same_outside() {
    let cluster = Cluster::new("prod", 5);
    let good = cluster.token(JoinAs::Host, 1);
    let service = cluster.token(JoinAs::Service, 1);
    let used = cluster.token(JoinAs::Host, 1);
    let keys = cluster.keys("a");
    let ask = |keys: &HostKeys, token: &str, now| {
        let request = keys.join_request(token, "a", BTreeMap::new(), Vec::new());
        cluster.registry.join(&request, now)
    };
    ask(&cluster.keys("b"), &used, NOW).unwrap();
    let mut wrong = good.clone();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    let unknown = format!("hansard-join-{}-{}", "0".repeat(16), "0".repeat(64));
    for (token, now, inside) in [
        ("x", NOW, "not a token"),
        ("", NOW, "not a token"),
        (unknown.as_str(), NOW, "unknown"),
        (wrong.as_str(), NOW, "secret is wrong"),
        (good.as_str(), NOW + HOUR, "expired"),
        (good.as_str(), NOW + 10 * YEAR, "expired"),
        (good.as_str(), NOW - 10 * YEAR, "before the token's making"),
        (used.as_str(), NOW, "used up"),
        (service.as_str(), NOW, "another role"),
    ] {
        let denied = ask(&keys, token, now).unwrap_err();
        assert_eq!(denied.failure.to_string(), TOKEN_REFUSED, "{token}");
        assert!(
            reason(&denied).contains(inside),
            "{token}: {}",
            reason(&denied)
        );
        assert!(
            !reason(&denied).contains(&good[40..]),
            "no secret in events"
        );
    }
    assert!(ask(&keys, &good, NOW).is_ok());
}

#[test]
fn requests_of_the_wrong_form_are_refused_before_anything_is_looked_up() {
    let cluster = Cluster::new("prod", 6);
    let token = cluster.token(JoinAs::Host, 1);
    let keys = cluster.keys("a");
    let named = |name: &str| keys.join_request(&token, name, BTreeMap::new(), Vec::new());
    let long = "a".repeat(64 * 1024);
    let labels = |name: &str, value: &str| {
        let labels = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        keys.join_request(&token, "a", labels, Vec::new())
    };
    let many = (0..33).map(|n| (format!("l{n}"), String::new())).collect();
    let changed = |change: fn(&mut JoinRequest)| {
        let mut request = named("a");
        change(&mut request);
        request
    };
    for (what, request) in [
        ("a URI in the name", named("x\nhansard://prod/service/1")),
        ("a long name", named(&long)),
        ("no name", named("")),
        ("a control character in a label", labels("a", "\u{1b}[2J")),
        ("a long label", labels("a", &long)),
        ("a label's name", labels("a b", "")),
        (
            "many labels",
            keys.join_request(&token, "a", many, Vec::new()),
        ),
        (
            "a name that was not signed",
            changed(|r| r.name = "b".into()),
        ),
        (
            "labels that were not signed",
            changed(|r| {
                r.labels.insert("a".into(), "b".into());
            }),
        ),
        (
            "swapped keys",
            changed(|r| std::mem::swap(&mut r.tls_key, &mut r.recorder_key)),
        ),
        (
            "swapped proofs",
            changed(|r| std::mem::swap(&mut r.tls_proof, &mut r.recorder_proof)),
        ),
        (
            "one key for both",
            changed(|r| {
                r.recorder_key = r.tls_key.clone();
                r.recorder_proof = r.tls_proof.clone();
            }),
        ),
        (
            "another's key",
            changed(|r| r.recorder_key = "00".repeat(32)),
        ),
        ("no key", changed(|r| r.tls_key = String::new())),
        (
            "a wildcard",
            keys.join_request(&token, "a", BTreeMap::new(), vec!["*.example".into()]),
        ),
    ] {
        let denied = cluster.registry.join(&request, NOW).unwrap_err();
        assert!(
            matches!(denied.failure, Failure::Malformed(_)),
            "{what}: {denied:?}"
        );
        assert!(reason(&denied).len() < 1000, "{what}");
    }
    assert!(cluster.registry.hosts(None, 10).rows.is_empty());
    assert!(
        cluster.registry.join(&named("a"), NOW).is_ok(),
        "the token was not used"
    );
}

#[test]
fn a_damaged_file_shuts_out_one_host_only() {
    let cluster = Cluster::new("prod", 12);
    let hosts: Vec<_> = ["a", "b", "c", "d"].map(|n| cluster.host(n)).into();
    let at = cluster.scratch.0.join("registry/hosts");
    let path = |i: usize| at.join(format!("{}.json", hosts[i].id()));
    fs::write(path(0), b"{").unwrap();
    fs::copy(path(1), path(2)).unwrap();
    fs::write(at.join("x.json"), b"{}").unwrap();
    fs::write(at.join(".draft-y.json"), b"half").unwrap();
    let Cluster {
        scratch,
        authority,
        registry,
        random,
    } = cluster;
    drop(registry);
    let (registry, facts) = Registry::open(&scratch.0.join("registry"), authority, random).unwrap();
    assert_eq!(facts.len(), 3, "{facts:?}");
    let admitted = hosts.iter().map(|h| registry.admit(&h.peer(), NOW).is_ok());
    assert_eq!(admitted.collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!(registry.unreadable().len(), 2);
    assert!(registry.is_locked(hosts[0].id(), NOW));
}

#[test]
fn listings_go_on_where_they_ended() {
    let cluster = Cluster::new("prod", 13);
    let token = cluster.token(JoinAs::Host, 25);
    for n in 0..25 {
        let keys = cluster.keys(&format!("h{n}"));
        let request = keys.join_request(&token, &format!("h{n}"), BTreeMap::new(), Vec::new());
        cluster.registry.join(&request, NOW).unwrap();
    }
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = cluster.registry.hosts(after, 7);
        names.extend(page.rows.into_iter().map(|row| row.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 25);
    let tokens = cluster.registry.tokens(None, 10);
    assert_eq!((tokens.rows[0].uses.len(), tokens.next), (25, None));
    let id = tokens.rows[0].id.parse().unwrap();
    assert!(line(&cluster.registry.remove_token(id, "ada").unwrap().facts[0]).contains("delete"));
    assert!(cluster.registry.remove_token(id, "ada").is_err());
    for (uses, life) in [(0, HOUR), (1001, HOUR), (1, 0), (1, 31 * DAY)] {
        let made = cluster
            .registry
            .create_token(JoinAs::Host, uses, life, "ada", NOW);
        assert!(matches!(made.unwrap_err().failure, Failure::Malformed(_)));
    }
}

#[test]
fn a_service_joins_another_by_token() {
    let cluster = Cluster::new("prod", 14);
    let keys = cluster.keys("store-2");
    let token = cluster.token(JoinAs::Service, 1);
    let request = keys.join_request(
        &token,
        "store-2",
        BTreeMap::new(),
        vec!["store-2.example".into()],
    );
    let joined = cluster.registry.join(&request, NOW).unwrap();
    keys.store(&joined.answer, &cluster.authority.own().der, NOW)
        .unwrap();
    let service = cluster.open("store-2");
    let (tls, _) = Certificate::from_pem(joined.answer.tls.as_bytes()).unwrap();
    assert_eq!(tls.purpose, Purpose::Server);
    assert_eq!(service.peer().principal, Principal::Service(service.id()));
    // The same keys are not a host, too.
    let token = cluster.token(JoinAs::Host, 1);
    let request = keys.join_request(&token, "store-2", BTreeMap::new(), Vec::new());
    let denied = cluster.registry.join(&request, NOW).unwrap_err();
    assert!(matches!(denied.failure, Failure::Conflict(_)));
}
