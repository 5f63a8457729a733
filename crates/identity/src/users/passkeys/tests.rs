//! Passkeys of users over real files.

use super::super::tests::{NOW_NS, Place, WORDS};
use super::*;
use crate::role::Role;
use crate::webauthn::testing::{Authenticator, ORIGIN};
use crate::webauthn::{Fault, made};

const CHALLENGE: [u8; 32] = [7; 32];
const EXPECTED: Expected<'_> = Expected {
    challenge: &CHALLENGE,
    origin: ORIGIN,
};

fn add(users: &Users, name: &str, one: &Authenticator) -> Result<Passkey, Failure> {
    let (client_data, object) = one.make(&CHALLENGE, ORIGIN);
    let made = made(EXPECTED, &client_data, &object).unwrap();
    let changed_ns = users.get(name).map_or(0, |user| user.changed_ns);
    let standing = Standing {
        changed_ns,
        passkey: None,
    };
    users.add_passkey((name, &standing), &made, ("localhost", "my key"), NOW_NS)
}

type Refused = (Option<String>, SignInFault);

fn sign_in(users: &Users, one: &Authenticator, handle: Option<&[u8]>) -> Result<String, Refused> {
    let [client_data, data, signature] = one.say(&CHALLENGE, ORIGIN);
    let presented = Presented {
        credential: &one.credential,
        handle,
        said: Said {
            client_data: &client_data,
            data: &data,
            signature: &signature,
        },
    };
    let signed = users.sign_in_by_passkey(EXPECTED, presented, NOW_NS + 1);
    signed.map(|(user, _)| user.name)
}

fn refused(name: &str, fault: SignInFault) -> Result<String, Refused> {
    Err((Some(name.to_owned()), fault))
}

#[test]
fn a_passkey_signs_its_user_in_and_how_far_it_counted_outlives_the_process() {
    let place = Place::new("passkey");
    let (users, _) = place.open();
    for name in ["ada", "bob"] {
        users
            .add(name, Role::User, WORDS, true, ("root", NOW_NS))
            .unwrap();
    }
    let mut one = Authenticator::es256(b"first");
    assert_eq!(
        sign_in(&users, &one, None),
        Err((None, SignInFault::UnknownPasskey))
    );
    let added = add(&users, "ada", &one).unwrap();
    assert_eq!((added.label.as_str(), added.used_ns), ("my key", None));
    // Nobody has it twice, or has another's.
    for name in ["ada", "bob"] {
        assert!(matches!(add(&users, name, &one), Err(Failure::Conflict(_))));
    }
    one.counter = 3;
    let handle = users.handle("ada").unwrap();
    assert_eq!(sign_in(&users, &one, Some(&handle)).unwrap(), "ada");
    // Said to be somebody else's, or a copy: refused, and whose it is goes into the event.
    let other = users.handle("bob").unwrap();
    one.counter = 4;
    assert_eq!(
        sign_in(&users, &one, Some(&other)),
        refused("ada", SignInFault::UnknownPasskey)
    );
    one.counter = 3;
    let copied = refused("ada", SignInFault::Passkey(Fault::Counter));
    assert_eq!(sign_in(&users, &one, None), copied);
    drop(users);
    let (users, unreadable) = place.open();
    assert!(unreadable.is_empty(), "{unreadable:?}");
    assert_eq!(sign_in(&users, &one, None), copied);
    one.counter = 4;
    assert_eq!(sign_in(&users, &one, None).unwrap(), "ada");
    assert_eq!(users.passkeys("ada")[0].used_ns, Some(NOW_NS + 1));
}

#[test]
fn what_is_removed_signs_nobody_in() {
    let place = Place::new("passkey-removed");
    let (users, _) = place.open();
    users
        .add("ada", Role::User, WORDS, true, ("root", NOW_NS))
        .unwrap();
    let [first, second] = [b"first", b"other"].map(|id| Authenticator::ed25519(id));
    let (kept, gone) = (
        add(&users, "ada", &second).unwrap(),
        add(&users, "ada", &first).unwrap(),
    );
    assert!(users.rename_passkey("ada", &kept.id, "the other").unwrap());
    assert!(!users.rename_passkey("ada", "nothing", "x").unwrap());
    for bad in ["", " x", "a\nb", &"x".repeat(65)] {
        let failed = users.rename_passkey("ada", &kept.id, bad);
        assert!(matches!(failed, Err(Failure::Malformed(_))), "{bad:?}");
    }
    // So is whom it let in, who holds a request open meanwhile; those whom something else let in are not.
    let by = |passkey: Option<&str>| Standing {
        changed_ns: users.get("ada").unwrap().changed_ns,
        passkey: passkey.map(str::to_owned),
    };
    let stand =
        || [Some(gone.id.as_str()), Some(&kept.id), None].map(|id| users.stands("ada", &by(id)));
    assert_eq!(stand(), [true; 3]);
    assert!(users.remove_passkey("ada", &gone.id).unwrap());
    assert_eq!(stand(), [false, true, true]);
    let third = Authenticator::es256(b"third");
    let made = made(
        EXPECTED,
        &third.make(&CHALLENGE, ORIGIN).0,
        &third.make(&CHALLENGE, ORIGIN).1,
    )
    .unwrap();
    let late = users.add_passkey(
        ("ada", &by(Some(&gone.id))),
        &made,
        ("localhost", "x"),
        NOW_NS,
    );
    assert!(matches!(late, Err(Failure::Conflict(_))), "{late:?}");
    assert!(!users.remove_passkey("ada", &gone.id).unwrap());
    assert_eq!(users.passkeys("ada").len(), 1);
    assert_eq!(users.passkeys("ada")[0].label, "the other");
    let unknown = Err((None, SignInFault::UnknownPasskey));
    assert_eq!(sign_in(&users, &first, None), unknown);
    assert!(sign_in(&users, &second, None).is_ok());
    // Another password leaves it; another second factor does not, and neither does the user's end.
    users.set_password("ada", WORDS, false, NOW_NS).unwrap();
    assert!(sign_in(&users, &second, None).is_ok());
    users.set_password("ada", WORDS, true, NOW_NS).unwrap();
    assert_eq!(sign_in(&users, &second, None), unknown);
    add(&users, "ada", &second).unwrap();
    users.remove("ada").unwrap();
    assert_eq!(sign_in(&users, &second, None), unknown);
}

#[test]
fn one_user_has_a_bounded_number() {
    let place = Place::new("passkey-many");
    let (users, _) = place.open();
    users
        .add("ada", Role::User, WORDS, true, ("root", NOW_NS))
        .unwrap();
    for n in 0..PASSKEYS_MAX {
        let id = [u8::try_from(n).unwrap(); 8];
        add(&users, "ada", &Authenticator::ed25519(&id)).unwrap();
    }
    let one_more = add(&users, "ada", &Authenticator::ed25519(b"more"));
    assert!(
        matches!(one_more, Err(Failure::Conflict(_))),
        "{one_more:?}"
    );
    let nobody = add(&users, "eve", &Authenticator::ed25519(b"hers"));
    assert!(matches!(nobody, Err(Failure::Conflict(_))), "{nobody:?}");
}
