//! What authenticators say, and what they must not.

use super::testing::{Authenticator, ORIGIN, client_data};
use super::*;

const CHALLENGE: [u8; 32] = [7; 32];
const EXPECTED: Expected<'_> = Expected {
    challenge: &CHALLENGE,
    origin: ORIGIN,
};

fn make(one: &Authenticator) -> Result<Made, Fault> {
    let (client_data, object) = one.make(&CHALLENGE, ORIGIN);
    made(EXPECTED, &client_data, &object)
}

fn say(one: &Authenticator, key: &PublicKey, counter: u32) -> Result<u32, Fault> {
    let [client_data, data, signature] = one.say(&CHALLENGE, ORIGIN);
    let said = Said {
        client_data: &client_data,
        data: &data,
        signature: &signature,
    };
    used(EXPECTED, said, key, counter)
}

#[test]
fn a_passkey_of_either_kind_is_made_and_used() {
    for mut one in [
        Authenticator::es256(b"first"),
        Authenticator::ed25519(b"second"),
    ] {
        let made = make(&one).unwrap();
        assert_eq!(
            (made.credential.as_slice(), made.counter),
            (&*one.credential, 0)
        );
        // One that does not count, and one that does.
        assert_eq!(say(&one, &made.key, 0), Ok(0));
        one.counter = 5;
        assert_eq!(say(&one, &made.key, 0), Ok(5));
        assert_eq!(say(&one, &made.key, 4), Ok(5));
        for counted in [5, 6, u32::MAX] {
            assert_eq!(say(&one, &made.key, counted), Err(Fault::Counter));
        }
        one.counter = 0;
        assert_eq!(say(&one, &made.key, 1), Err(Fault::Counter));
        // What is kept of it is read again.
        let kept = serde_json::to_string(&made.key).unwrap();
        assert_eq!(serde_json::from_str::<PublicKey>(&kept).unwrap(), made.key);
    }
}

#[test]
fn nobody_is_taken_for_somebody_who_was_not_there_or_showed_nothing() {
    let mut one = Authenticator::es256(b"first");
    let key = make(&one).unwrap().key;
    for (flags, fault) in [
        (0, Fault::Absent),
        (VERIFIED, Fault::Absent),
        (PRESENT, Fault::Unverified),
        (PRESENT | VERIFIED | BACKED_UP, Fault::Data),
        (PRESENT | VERIFIED | HAS_EXTENSIONS, Fault::Data),
        (PRESENT | VERIFIED | HAS_KEY, Fault::Data),
    ] {
        one.flags = flags;
        assert_eq!(say(&one, &key, 0), Err(fault), "{flags:b}");
    }
    one.flags = PRESENT;
    assert_eq!(make(&one), Err(Fault::Unverified));
    one.flags = PRESENT | VERIFIED | ELIGIBLE | BACKED_UP;
    assert_eq!(say(&one, &key, 0), Ok(0));
    one.host = "localhost.example";
    assert_eq!(say(&one, &key, 0), Err(Fault::Host));
    assert_eq!(make(&one), Err(Fault::Host));
}

#[test]
fn what_was_signed_for_another_page_purpose_or_challenge_does_not_count() {
    let one = Authenticator::es256(b"first");
    let key = make(&one).unwrap().key;
    let with = |client_data: &[u8]| {
        let data = one.data(one.flags, &[]);
        let signature = one.sign(client_data, &data);
        let said = Said {
            client_data,
            data: &data,
            signature: &signature,
        };
        used(EXPECTED, said, &key, 0)
    };
    let get = |challenge: &[u8], origin| client_data("webauthn.get", challenge, origin);
    assert_eq!(with(&get(&CHALLENGE, ORIGIN)), Ok(0));
    assert_eq!(with(&get(&[8; 32], ORIGIN)), Err(Fault::Challenge));
    assert_eq!(with(&get(&[], ORIGIN)), Err(Fault::Challenge));
    for other in [
        "http://localhost:3081",
        "https://localhost:3080",
        "http://localhost",
        "",
    ] {
        assert_eq!(with(&get(&CHALLENGE, other)), Err(Fault::Origin), "{other}");
    }
    let made_for = client_data("webauthn.create", &CHALLENGE, ORIGIN);
    assert_eq!(with(&made_for), Err(Fault::Purpose));
    let text = String::from_utf8(get(&CHALLENGE, ORIGIN)).unwrap();
    let framed = text.replace("\"crossOrigin\":false", "\"crossOrigin\":true");
    assert_eq!(with(framed.as_bytes()), Err(Fault::Origin));
    // Of two origins nobody knows which was meant.
    let twice = text.replacen('{', &format!("{{\"origin\":\"{ORIGIN}\","), 1);
    for bad in [twice.as_str(), "", "[]", "{}", "null"] {
        assert_eq!(with(bad.as_bytes()), Err(Fault::ClientData), "{bad}");
    }
}

#[test]
fn a_signature_of_another_key_or_over_something_else_is_wrong() {
    let (one, other) = (
        Authenticator::es256(b"first"),
        Authenticator::es256(b"first"),
    );
    let key = make(&one).unwrap().key;
    assert_eq!(say(&other, &key, 0), Err(Fault::Signature));
    let ed25519 = make(&Authenticator::ed25519(b"second")).unwrap().key;
    assert_eq!(say(&one, &ed25519, 0), Err(Fault::Signature));
    let [client_data, data, signature] = one.say(&CHALLENGE, ORIGIN);
    for at in 0..signature.len() {
        let mut bent = signature.clone();
        bent[at] ^= 1;
        let said = Said {
            client_data: &client_data,
            data: &data,
            signature: &bent,
        };
        assert_eq!(
            used(EXPECTED, said, &key, 0),
            Err(Fault::Signature),
            "byte {at}"
        );
    }
    // Whatever is changed of what was signed, something is wrong with it.
    for at in 0..data.len() {
        let mut bent = data.clone();
        bent[at] ^= 1;
        let said = Said {
            client_data: &client_data,
            data: &bent,
            signature: &signature,
        };
        assert!(used(EXPECTED, said, &key, 0).is_err(), "byte {at}");
    }
}

#[test]
fn what_an_authenticator_must_not_write_is_no_passkey() {
    let mut one = Authenticator::es256(b"first");
    let (client_data, object) = one.make(&CHALLENGE, ORIGIN);
    let with = |object: &[u8]| made(EXPECTED, &client_data, object);
    assert!(with(&object).is_ok());
    for length in 0..object.len() {
        assert!(with(&object[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(with(&[&object[..], &[0]].concat()), Err(Fault::Data));
    let replaced = |from: &[u8], to: &[u8]| {
        let at = object.windows(from.len()).position(|w| w == from).unwrap();
        [&object[..at], to, &object[at + from.len()..]].concat()
    };
    // ES384, RS256's number, another curve, a compressed point.
    for (from, to) in [
        (&[3, 0x26, 0x20, 1][..], &[3, 0x38, 0x22, 0x20, 2][..]),
        (&[3, 0x26], &[3, 0x27]),
        (&[0x20, 1, 0x21], &[0x20, 2, 0x21]),
    ] {
        let bent = replaced(from, to);
        assert!(
            matches!(with(&bent), Err(Fault::Algorithm | Fault::Data)),
            "{from:?}"
        );
    }
    one.format = "fido-u2f";
    assert_eq!(make(&one), Err(Fault::Attestation));
    one.format = "none";
    one.credential = Vec::new();
    assert_eq!(make(&one), Err(Fault::Data));
    one.credential = vec![1; CREDENTIAL_BYTES_MAX + 1];
    assert_eq!(make(&one), Err(Fault::Data));
    one.credential = vec![1; CREDENTIAL_BYTES_MAX];
    assert!(make(&one).is_ok());
}

#[test]
fn a_key_that_signs_itself_is_held_to_it() {
    for mut one in [
        Authenticator::es256(b"first"),
        Authenticator::ed25519(b"second"),
    ] {
        one.format = "packed";
        let made_so = make(&one).unwrap();
        assert_eq!(say(&one, &made_so.key, 0), Ok(0));
        let (client_data, object) = one.make(&CHALLENGE, ORIGIN);
        let at = object.windows(4).position(|w| w == b"\x63sig").unwrap();
        let with = |object: &[u8]| made(EXPECTED, &client_data, object);
        // The signature (behind its name and length), and that it is one of this kind of key.
        for byte in at + 6..at + 6 + 60 {
            let mut bent = object.clone();
            bent[byte] ^= 1;
            assert_eq!(with(&bent), Err(Fault::Signature), "byte {byte}");
        }
        let mut bent = object.clone();
        bent[at - 1] ^= 1;
        assert_eq!(with(&bent), Err(Fault::Attestation));
        let mut renamed = object.clone();
        renamed[at + 1] = b'x';
        assert_eq!(with(&renamed), Err(Fault::Attestation));
        // Of something else that was signed.
        let other = one.make(&[8; 32], ORIGIN).1;
        assert_eq!(with(&other), Err(Fault::Signature));
        // With certificates it would be somebody else's word.
        let entries = object.windows(5).position(|w| w == b"\xa2\x63alg").unwrap();
        let more = [
            &object[..entries],
            b"\xa3\x63x5c\x80",
            &object[entries + 1..],
        ]
        .concat();
        assert_eq!(with(&more), Err(Fault::Attestation));
    }
}
