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

fn wish(name: &str, target: &str, text: &str) -> CredentialWish {
    CredentialWish {
        name: name.into(),
        target: target.into(),
        login: "admin".into(),
        given: password(text),
    }
}

fn prepare(all: &Credentials, name: &str, target: &str) -> Prepared {
    all.prepare(wish(name, target, "x"), ("root", NOW_NS))
        .unwrap()
}

fn prepare_again(all: &Credentials, name: &str, text: &str) -> Prepared {
    let again = all.prepare_again(name, password(text), ("eve", NOW_NS + 1));
    again.unwrap().unwrap()
}

fn add(all: &Credentials, name: &str, target: &str, text: &str) -> Result<CredentialRow, Failure> {
    let prepared = all.prepare(wish(name, target, text), ("root", NOW_NS))?;
    let row = prepared.row().clone();
    all.keep(prepared)?;
    Ok(row)
}

/// It is not kept: something else came first.
fn is_too_late(all: &Credentials, prepared: Prepared, why: &str) {
    let said = all.keep(prepared).unwrap_err();
    assert!(
        matches!(&said, Failure::Conflict(text) if text.contains(why)),
        "{said:?}"
    );
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
    let again = prepare_again(&all, "switch", "battery staple");
    let said = again.row();
    assert_eq!((&*said.created_by, &*said.changed_by), ("root", "eve"));
    assert_ne!(said.fingerprint, row.fingerprint);
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
    assert!(rotated.finished && !all.sealing.is_changing().unwrap());
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
    all.rows.put(row).unwrap();
    drop(all);
    let (all, unreadable) = open(&place);
    assert_eq!(unreadable, []);
    assert!(!all.sealing.is_changing().unwrap());
    for name in ["a", "b", "c"] {
        assert_eq!(all.reveal(name).unwrap().1.bytes(), name.as_bytes());
    }
}

#[test]
fn the_key_before_stays_until_all_that_it_sealed_can_be_sealed_again() {
    let place = Place::new("left");
    let (all, _) = open(&place);
    for name in ["changed", "torn", "whole"] {
        add(&all, name, &format!("{name}:22"), name).unwrap();
    }
    let kept = ["changed", "torn"].map(|name| (name, fs::read(file(&place, name)).unwrap()));
    let mut changed = all.get("changed").unwrap();
    let old = changed.sealed.key.clone();
    changed.login = "root".into();
    fs::write(
        file(&place, "changed"),
        serde_json::to_vec(&changed).unwrap(),
    )
    .unwrap();
    fs::write(file(&place, "torn"), b"{").unwrap();
    let named = |left: &[(String, String)]| {
        let mut names: Vec<_> = left.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        assert_eq!(names, ["changed", "torn"], "{left:?}");
    };
    let (all, unreadable) = open(&place);
    named(&unreadable);
    // Neither one change of keys nor the next gives up what may yet open them.
    for sealed in [1, 0] {
        let rotated = all.rotate().unwrap();
        assert_eq!((rotated.sealed, rotated.finished), (sealed, false));
        named(&rotated.left);
        assert!(all.sealing.is_changing().unwrap());
    }
    assert_ne!(all.get("whole").unwrap().sealed.key, old);
    // Nor does a start, which names them as well.
    let (all, unreadable) = open(&place);
    named(&unreadable);
    assert!(all.sealing.is_changing().unwrap());
    // Put back they can be opened, and the change is finished.
    for (name, bytes) in kept {
        fs::write(file(&place, name), bytes).unwrap();
    }
    let (all, unreadable) = open(&place);
    assert_eq!(unreadable, []);
    assert!(!all.sealing.is_changing().unwrap());
    for name in ["changed", "torn", "whole"] {
        assert_eq!(all.reveal(name).unwrap().1.bytes(), name.as_bytes());
        assert_ne!(all.get(name).unwrap().sealed.key, old);
    }
}

#[test]
fn what_cannot_be_read_can_be_removed_and_a_change_of_keys_is_finished_then() {
    let place = Place::new("removed");
    let (all, _) = open(&place);
    add(&all, "torn", "torn:22", "x").unwrap();
    fs::write(file(&place, "torn"), b"{").unwrap();
    let (all, _) = open(&place);
    assert!(!all.rotate().unwrap().finished);
    assert!(all.sealing.is_changing().unwrap());
    assert!(all.remove("torn").unwrap());
    assert!(!all.remove("torn").unwrap());
    assert!(all.rotate().unwrap().finished);
    assert!(!all.sealing.is_changing().unwrap());
}

#[test]
fn what_was_sealed_before_a_change_of_keys_is_not_kept_after_it() {
    let place = Place::new("between");
    let (all, _) = open(&place);
    add(&all, "web", "web:22", "old").unwrap();
    let (new, again) = (
        prepare(&all, "db", "db:22"),
        prepare_again(&all, "web", "new"),
    );
    assert!(all.rotate().unwrap().finished);
    is_too_late(&all, new, "try again");
    is_too_late(&all, again, "try again");
    assert_eq!(all.get("db"), None);
    assert_eq!(all.reveal("web").unwrap().1.bytes(), b"old");
    assert_eq!(open(&place).1, []);
    all.keep(prepare_again(&all, "web", "new")).unwrap();
    assert_eq!(all.reveal("web").unwrap().1.bytes(), b"new");
}

#[test]
fn one_that_was_removed_or_replaced_meanwhile_does_not_come_back() {
    let place = Place::new("back");
    let (all, _) = open(&place);
    add(&all, "web", "web:22", "old").unwrap();
    let again = prepare_again(&all, "web", "late");
    assert!(all.remove("web").unwrap());
    is_too_late(&all, again.clone(), "replaced or removed meanwhile");
    assert!(!file(&place, "web").exists());
    // Another of its name is not the one that was to be replaced.
    add(&all, "web", "other:22", "other").unwrap();
    is_too_late(&all, again, "replaced or removed meanwhile");
    let (one, two) = (
        prepare_again(&all, "web", "one"),
        prepare_again(&all, "web", "two"),
    );
    all.keep(one).unwrap();
    is_too_late(&all, two, "replaced or removed meanwhile");
    assert_eq!(all.reveal("web").unwrap().1.bytes(), b"one");
}

#[test]
fn of_two_that_want_the_same_one_is_kept() {
    let place = Place::new("same");
    let (all, _) = open(&place);
    let (first, name, account) = (
        prepare(&all, "web", "web:22"),
        prepare(&all, "web", "db:22"),
        prepare(&all, "db", "web:22"),
    );
    all.keep(first).unwrap();
    is_too_late(&all, name, "there is a credential web");
    is_too_late(&all, account, "web is for admin on web:22 already");
    assert_eq!(all.list(None, 10).len(), 1);
    assert_eq!(open(&place).1, []);
}

#[test]
fn first_ones_at_once_have_one_key() {
    const AT_ONCE: usize = 4;
    let place = Place::new("first");
    for round in 0..50 {
        let _ = fs::remove_file(place.key());
        let directory = place.0.join(format!("round-{round}"));
        let (all, _) = Credentials::open(&directory, &place.key(), random()).unwrap();
        let together = std::sync::Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            for one in 0..AT_ONCE {
                let (all, together) = (&all, &together);
                scope.spawn(move || {
                    let name = format!("web{one}");
                    together.wait();
                    add(all, &name, &format!("{name}:22"), &name).unwrap();
                });
            }
        });
        let (all, unreadable) = Credentials::open(&directory, &place.key(), random()).unwrap();
        assert_eq!(unreadable, []);
        assert_eq!(all.list(None, 10).len(), AT_ONCE);
    }
}

#[test]
fn one_that_is_used_while_keys_change_is_opened() {
    let place = Place::new("used");
    let (all, _) = open(&place);
    add(&all, "web", "web:22", "x").unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let (all, is_over) = (&all, &is_over);
    std::thread::scope(|scope| {
        let used = scope.spawn(move || {
            let mut used = 0_u32;
            while used == 0 || !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(all.reveal("web").unwrap().1.bytes(), b"x");
                used += 1;
            }
        });
        for _ in 0..200 {
            assert!(all.rotate().unwrap().finished);
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        used.join().unwrap();
    });
}

#[test]
fn without_their_key_they_are_said_to_be_lost_and_none_takes_its_place_while_any_is_kept() {
    let place = Place::new("lost");
    let (all, _) = open(&place);
    let row = add(&all, "web", "web:22", "x").unwrap();
    fs::remove_file(place.key()).unwrap();
    let (all, unreadable) = open(&place);
    assert!(unreadable[0].1.contains(&row.sealed.key), "{unreadable:?}");
    let said = all.reveal("web").unwrap_err().to_string();
    assert!(said.contains("put the file back from a backup"), "{said}");
    let new = all.prepare(wish("db", "db:22", "y"), ("root", NOW_NS));
    let again = all.prepare_again("web", password("y"), ("root", NOW_NS));
    for refused in [new.map(drop), again.map(drop), all.rotate().map(drop)] {
        let said = refused.unwrap_err();
        assert!(
            matches!(&said, Failure::Conflict(text) if text.contains("put its file back")),
            "{said:?}"
        );
    }
    assert!(!place.key().exists());
    // Also where what is kept cannot be read.
    fs::write(file(&place, "web"), b"{").unwrap();
    let (all, _) = open(&place);
    assert!(
        all.prepare(wish("db", "db:22", "y"), ("root", NOW_NS))
            .is_err()
    );
    assert!(!place.key().exists());
    assert!(all.remove("web").unwrap());
    add(&all, "web", "web:22", "y").unwrap();
    assert_eq!(all.reveal("web").unwrap().1.bytes(), b"y");
}
