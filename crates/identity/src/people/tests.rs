//! Certificates of people over real files.

use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::role::Role;
use crate::sealing::tests::Place;

const NOW_NS: u64 = 1_795_248_000 * NS;
const CLUSTER: &str = "prod.example";

fn random() -> impl Random {
    static SEED: AtomicU8 = AtomicU8::new(1);
    |bytes: &mut [u8]| {
        bytes.fill(SEED.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

fn authority(place: &Place, cluster: &str) -> PeopleAuthority {
    PeopleAuthority::open(&place.0, cluster, NOW_NS, &random()).unwrap()
}

fn anna() -> User {
    User {
        name: "anna".into(),
        role: Role::Auditor,
        roles: vec!["ops".into()],
        has_totp: true,
        created_ns: 1,
        changed_ns: 2,
    }
}

fn key() -> [u8; 32] {
    PrivateKey::from_seed([5; 32]).public()
}

fn der(issued: &PersonIssued) -> Vec<u8> {
    pem::decode(issued.pem.as_bytes(), "CERTIFICATE").unwrap()
}

#[test]
fn a_certificate_says_who_it_is_while_nothing_changes() {
    let place = Place::new("people");
    let issued = authority(&place, CLUSTER)
        .issue(&anna(), key(), 3600, NOW_NS, &random())
        .unwrap();
    assert_eq!(issued.not_after_s, NOW_NS / NS + 3600);
    // It is the same authority after a restart.
    let read = authority(&place, CLUSTER).read(&der(&issued)).unwrap();
    assert_eq!((&*read.user, &read.serial), ("anna", &issued.serial));
    assert!(read.is_still(&anna(), NOW_NS));
    assert!(read.is_still(&anna(), NOW_NS + 3600 * NS));
    for utc_ns in [NOW_NS + 3601 * NS, NOW_NS - 2 * 3600 * NS] {
        assert!(!read.is_still(&anna(), utc_ns), "{utc_ns}");
    }
    let roles = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect();
    for other in [
        User {
            name: "bob".into(),
            ..anna()
        },
        User {
            role: Role::Admin,
            ..anna()
        },
        User {
            roles: roles(&[]),
            ..anna()
        },
        User {
            roles: roles(&["ops", "more"]),
            ..anna()
        },
        User {
            roles: roles(&["opsmore"]),
            ..anna()
        },
        User {
            changed_ns: 3,
            ..anna()
        },
        // Another one of the same name.
        User {
            created_ns: 2,
            ..anna()
        },
    ] {
        assert!(!read.is_still(&other, NOW_NS), "{other:?}");
    }
}

#[test]
fn only_its_own_certificates_of_people_count() {
    let (place, other) = (Place::new("people-own"), Place::new("people-other"));
    let ours = authority(&place, CLUSTER);
    let issued = ours.issue(&anna(), key(), 60, NOW_NS, &random()).unwrap();
    let theirs = authority(&other, CLUSTER);
    assert!(theirs.read(&der(&issued)).is_err());
    assert!(ours.read(ours.der()).is_err());
    let good = der(&issued);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let read = ours.read(&bad);
        // Bytes around what is signed may have twins, which say nothing else.
        let same = ours.read(&good).unwrap();
        assert!(
            read.as_ref().map_or(true, |read| *read == same),
            "{at}: {read:?}"
        );
    }
    assert!(ours.read(&good[..good.len() - 1]).is_err());
    assert!(ours.read(&[&good[..], b"x"].concat()).is_err());
    assert!(ours.read(b"").is_err());
    // The cluster's own authority certifies no people, and this one nobody else.
    let cluster = crate::Authority::create(&other.0.join("x"), CLUSTER, NOW_NS, &random()).unwrap();
    assert!(ours.read(&cluster.own().der).is_err());
    assert!(crate::Certificate::read(&good).is_err());
    assert!(crate::Certificate::read(ours.der()).is_err());
}

#[test]
fn what_cannot_be_is_not_issued_and_not_opened() {
    let place = Place::new("people-wrong");
    let ours = authority(&place, CLUSTER);
    let issue = |key, life_s| ours.issue(&anna(), key, life_s, NOW_NS, &random());
    assert!(issue(key(), 0).is_err());
    assert!(issue(key(), PERSON_LIFE_S_MAX + 1).is_err());
    assert!(issue(ours.public, 60).is_err());
    // Its files are each other's, and the cluster's.
    let open = |cluster| PeopleAuthority::open(&place.0, cluster, NOW_NS, &random());
    assert!(open("other.example").is_err());
    std::fs::remove_file(place.0.join(KEY_FILE)).unwrap();
    assert!(open(CLUSTER).is_err());
}
