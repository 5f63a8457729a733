//! Users over real files.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;

const SECOND_NS: u64 = 1_000_000_000;
pub(super) const NOW_NS: u64 = 1_795_248_000 * SECOND_NS;
pub(super) const WORDS: &str = "correct horse battery";

pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("hansard-users-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub(super) fn open(&self) -> (Users, Vec<(String, String)>) {
        let seed = AtomicU8::new(1);
        let random = move |bytes: &mut [u8]| {
            bytes.fill(seed.fetch_add(1, Ordering::Relaxed));
            Ok(())
        };
        Users::open(&self.0, Arc::new(random)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn code(users: &Users, at_ns: u64) -> String {
    let known = users.known();
    known["ada"].totp.as_ref().unwrap().code_at(at_ns)
}

#[test]
fn whoever_knows_the_password_and_has_the_code_is_let_in_once() {
    let place = Place::new("once");
    let (users, _) = place.open();
    let made = users.add("ada", Role::Auditor, WORDS, true, ("root", NOW_NS));
    assert_eq!(made.unwrap().totp_secret.unwrap().len(), 32);
    let now = code(&users, NOW_NS);
    let try_in = |users: &Users, name: &str, password: &str, code: &str| {
        users.sign_in(name, password, code, NOW_NS)
    };
    assert_eq!(
        try_in(&users, "bob", WORDS, &now),
        Err(SignInFault::Unknown)
    );
    assert_eq!(
        try_in(&users, "ada", "wrong", &now),
        Err(SignInFault::Password)
    );
    assert_eq!(try_in(&users, "ada", WORDS, ""), Err(SignInFault::Code));
    let user = try_in(&users, "ada", WORDS, &now).unwrap();
    assert_eq!((user.role, user.has_totp), (Role::Auditor, true));
    assert_eq!(
        try_in(&users, "ada", WORDS, &now),
        Err(SignInFault::UsedCode)
    );
    drop(users);
    // That it is used up outlives the process.
    let (users, unreadable) = place.open();
    assert!(unreadable.is_empty());
    assert_eq!(
        try_in(&users, "ada", WORDS, &now),
        Err(SignInFault::UsedCode)
    );
    let later_ns = NOW_NS + 60 * SECOND_NS;
    let later = code(&users, later_ns);
    assert!(users.sign_in("ada", WORDS, &later, later_ns).is_ok());
}

#[test]
fn a_password_that_is_set_replaces_the_old_one() {
    let place = Place::new("set");
    let (users, _) = place.open();
    let by = ("root", NOW_NS);
    users.add("ada", Role::User, WORDS, false, by).unwrap();
    let before = users.get("ada").unwrap();
    // The clock was set back meanwhile.
    let set = users.set_password("ada", "another password", false, 1);
    assert_eq!(set.unwrap().unwrap().totp_secret, None);
    assert!(users.get("ada").unwrap().changed_ns > before.changed_ns);
    let tried = |password| users.sign_in("ada", password, "", NOW_NS).is_ok();
    assert!(!tried(WORDS) && tried("another password"));
    let set = users.set_password("ada", WORDS, true, NOW_NS).unwrap();
    assert!(set.unwrap().totp_secret.is_some());
    assert!(!tried(WORDS), "now a code is asked for");
    assert_eq!(users.set_password("bob", WORDS, false, 1), Ok(None));
    assert!(users.remove("ada").unwrap());
    assert!(!users.remove("ada").unwrap());
    assert_eq!(users.get("ada"), None);
}

#[test]
fn names_are_plain_and_nobody_is_there_twice() {
    let place = Place::new("names");
    let (users, _) = place.open();
    let add = |name: &str| users.add(name, Role::User, WORDS, false, ("root", NOW_NS));
    for bad in [
        "",
        ".",
        "..",
        ".a",
        "-a",
        "a/b",
        "a b",
        "ä",
        "a\n",
        &"x".repeat(65),
    ] {
        assert!(matches!(add(bad), Err(Failure::Malformed(_))), "{bad:?}");
    }
    for good in ["a", "Ada.Lovelace", "_x", "1-2"] {
        add(good).unwrap();
    }
    assert!(matches!(add("a"), Err(Failure::Conflict(_))));
    let names: Vec<String> = users.list(None, 2).into_iter().map(|u| u.name).collect();
    assert_eq!(names, ["1-2", "Ada.Lovelace"]);
    assert_eq!(users.list(Some("_x"), 9).len(), 1);
}

#[test]
fn a_damaged_file_shuts_out_its_user_only() {
    let place = Place::new("damaged");
    let (users, _) = place.open();
    for name in ["ada", "bob"] {
        users
            .add(name, Role::User, WORDS, false, ("root", NOW_NS))
            .unwrap();
    }
    drop(users);
    fs::copy(place.0.join("bob.json"), place.0.join("ada.json")).unwrap();
    let (users, unreadable) = place.open();
    assert_eq!(
        unreadable,
        [("ada".to_owned(), "it is about another user".to_owned())]
    );
    assert!(users.get("ada").is_none() && users.get("bob").is_some());
}
