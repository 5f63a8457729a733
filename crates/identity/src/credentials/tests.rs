//! Credentials over real files.

use std::fs;

use super::*;
use crate::sealing::tests::{Place, random};

const NOW_NS: u64 = 1_795_248_000_000_000_000;

fn open(place: &Place) -> (Credentials, Vec<(String, String)>) {
    Credentials::open(&place.0.join("credentials"), &place.key(), random()).unwrap()
}

fn password(text: &str) -> Given {
    Given {
        kind: CredentialKind::Password,
        secret: Secret::from(text.to_owned()),
        fingerprint: None,
    }
}

fn add(all: &Credentials, name: &str, target: &str, text: &str) -> Result<CredentialRow, Failure> {
    let wish = CredentialWish {
        name: name.into(),
        target: target.into(),
        login: "admin".into(),
        given: password(text),
    };
    let row = all.prepare(wish, ("root", NOW_NS))?;
    all.keep(row.clone())?;
    Ok(row)
}

fn file(place: &Place, name: &str) -> std::path::PathBuf {
    place.0.join(format!("credentials/{name}.json"))
}

#[test]
fn they_are_kept_sealed_listed_replaced_and_removed() {
    let place = Place::new("kept");
    let (all, unreadable) = open(&place);
    assert_eq!(unreadable, []);
    let row = add(&all, "switch", "switch:22", "correct horse").unwrap();
    let text = fs::read_to_string(file(&place, "switch")).unwrap();
    assert!(!text.contains("correct"), "{text}");
    let (all, unreadable) = open(&place);
    assert_eq!(unreadable, []);
    assert_eq!(all.get("switch").unwrap(), row);
    assert_eq!(all.list(None, 10), std::slice::from_ref(&row));
    assert_eq!(
        all.of_login("admin"),
        [("switch".into(), "switch:22".into())]
    );
    assert_eq!(all.of_login("root"), []);
    assert_eq!(all.reveal("switch").unwrap().1.bytes(), b"correct horse");
    let again = all.prepare_again("switch", password("battery staple"), ("eve", NOW_NS + 1));
    let again = again.unwrap().unwrap();
    assert_eq!((&*again.created_by, &*again.changed_by), ("root", "eve"));
    assert_ne!(again.fingerprint, row.fingerprint);
    all.keep(again).unwrap();
    assert_eq!(all.reveal("switch").unwrap().1.bytes(), b"battery staple");
    let none = all.prepare_again("nobody", password("x"), ("eve", NOW_NS));
    assert_eq!(none.unwrap(), None);
    assert!(all.remove("switch").unwrap());
    assert!(!all.remove("switch").unwrap());
    assert!(all.reveal("switch").is_err());
    assert!(!file(&place, "switch").exists());
}

#[test]
fn what_none_may_be_is_refused() {
    let place = Place::new("refused");
    let (all, _) = open(&place);
    add(&all, "one", "one:22", "x").unwrap();
    let long = "x".repeat(CREDENTIAL_SECRET_BYTES_MAX + 1);
    for (name, target, secret, why) in [
        ("one", "two:22", "x", "there is a credential one"),
        ("two", "one:22", "x", "one is for admin on one:22 already"),
        ("../two", "two:22", "x", "a name"),
        ("two", "two:22", "", "1 to"),
        ("two", "two:22", &long, "1 to"),
        ("two", &"t".repeat(301), "x", "at most 300"),
    ] {
        let said = add(&all, name, target, secret).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn files_that_are_changed_or_swapped_are_not_opened() {
    let place = Place::new("swapped");
    let (all, _) = open(&place);
    let web = add(&all, "web", "web:22", "for the web").unwrap();
    let db = add(&all, "db", "db:22", "for the db").unwrap();
    let change = |name: &str, row: &CredentialRow| {
        fs::write(file(&place, name), serde_json::to_vec(row).unwrap()).unwrap();
        let (all, unreadable) = open(&place);
        assert_eq!(unreadable.len(), 1, "{unreadable:?}");
        assert_eq!(unreadable[0].0, name);
        let said = all.reveal(name).unwrap_err().to_string();
        assert!(
            said.contains("was changed, or belongs to something else"),
            "{said}"
        );
        // The others are none the worse.
        let other = if name == "web" { "db" } else { "web" };
        assert!(all.reveal(other).is_ok());
    };
    let swapped = CredentialRow {
        sealed: db.sealed.clone(),
        ..web.clone()
    };
    change("web", &swapped);
    for row in [
        CredentialRow {
            target: "evil:22".into(),
            ..web.clone()
        },
        CredentialRow {
            login: "root".into(),
            ..web.clone()
        },
        CredentialRow {
            kind: CredentialKind::Key,
            ..web.clone()
        },
        CredentialRow {
            fingerprint: "password:00".into(),
            ..web.clone()
        },
        CredentialRow {
            created_by: "nobody".into(),
            ..web.clone()
        },
        CredentialRow {
            changed_ns: 1,
            ..web.clone()
        },
    ] {
        change("web", &row);
    }
}

#[test]
fn another_key_seals_all_again_and_a_change_that_was_cut_short_goes_on() {
    let place = Place::new("rotated");
    let (all, _) = open(&place);
    for name in ["a", "b", "c"] {
        add(&all, name, &format!("{name}:22"), name).unwrap();
    }
    let before = all.get("a").unwrap().sealed;
    let old = fs::read(place.key()).unwrap();
    let rotated = all.rotate().unwrap();
    assert_eq!((rotated.sealed, rotated.left.len()), (3, 0));
    assert_ne!(all.get("a").unwrap().sealed.key, before.key);
    assert_ne!(fs::read(place.key()).unwrap(), old);
    assert_eq!(all.reveal("b").unwrap().1.bytes(), b"b");
    // Cut short: both keys are there, and some are sealed again.
    all.sealing.begin_change().unwrap();
    let mut row = all.get("a").unwrap();
    row.sealed = all
        .sealing
        .seal(&row.bound(), &Secret::from("a".to_owned()))
        .unwrap();
    all.keep(row).unwrap();
    drop(all);
    let (all, unreadable) = open(&place);
    assert_eq!(unreadable, []);
    assert!(!all.sealing.is_changing().unwrap());
    for name in ["a", "b", "c"] {
        assert_eq!(all.reveal(name).unwrap().1.bytes(), name.as_bytes());
    }
    // One that cannot be opened is left, and named.
    let mut damaged = all.get("c").unwrap();
    damaged.login = "root".into();
    fs::write(file(&place, "c"), serde_json::to_vec(&damaged).unwrap()).unwrap();
    let (all, _) = open(&place);
    let rotated = all.rotate().unwrap();
    assert_eq!(rotated.sealed, 2);
    assert_eq!(rotated.left[0].0, "c");
}

#[test]
fn without_their_key_they_are_said_to_be_lost_and_new_ones_can_be_added() {
    let place = Place::new("lost");
    let (all, _) = open(&place);
    let row = add(&all, "web", "web:22", "x").unwrap();
    fs::remove_file(place.key()).unwrap();
    let (all, unreadable) = open(&place);
    assert!(unreadable[0].1.contains(&row.sealed.key), "{unreadable:?}");
    let said = all.reveal("web").unwrap_err().to_string();
    assert!(said.contains("put the file back from a backup"), "{said}");
    let again = all.prepare_again("web", password("y"), ("root", NOW_NS));
    all.keep(again.unwrap().unwrap()).unwrap();
    assert_eq!(all.reveal("web").unwrap().1.bytes(), b"y");
}
