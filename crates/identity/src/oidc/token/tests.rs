//! Tokens of a provider, and what somebody else would make of them.

use aws_lc_rs::hmac;
use serde_json::json;

use super::super::testing::{RSA, Signer, keys};
use super::*;
use crate::limits::OIDC_KEYS_MAX;

const NOW_S: u64 = 1_795_248_000;
const EXPECTED: Expected<'_> = Expected {
    issuer: "https://id.example",
    client_id: "hansard",
    nonce: "once",
    utc_s: NOW_S,
};

fn body() -> Json {
    json!({
        "iss": "https://id.example",
        "sub": "248289761001",
        "aud": "hansard",
        "nonce": "once",
        "iat": NOW_S - 5,
        "exp": NOW_S + 300,
        "preferred_username": "ada",
        "groups": ["staff", "auditors"],
        "realm": { "roles": ["dba"] },
        "https://a.example/x": "y",
        "email_verified": true,
    })
}

fn read(token: &str, keys: &Keys) -> Result<Claims, Fault> {
    Claims::read(token, keys, EXPECTED)
}

#[test]
fn a_token_of_each_kind_counts_and_says_who_it_is_and_what_they_may() {
    let (es256, ed25519) = (Signer::es256(), Signer::ed25519());
    let all = keys(&[RSA.row("a"), es256.row("b"), ed25519.row("c")]);
    for (signer, id) in [(&*RSA, "a"), (&es256, "b"), (&ed25519, "c")] {
        let claims = read(&signer.token(&signer.head(id), &body()), &all).unwrap();
        assert_eq!(claims.subject, "248289761001");
        assert_eq!(claims.text("preferred_username"), Some("ada"));
        assert!(claims.has("groups", "auditors") && !claims.has("roles", "auditors"));
        assert_eq!(claims.text("sub"), Some("248289761001"));
        assert!(claims.has("realm.roles", "dba") && !claims.has("realm", "dba"));
        assert!(claims.has("https://a.example/x", "y") && !claims.has("https://a", "y"));
        assert!(claims.is_true("email_verified") && !claims.is_true("groups"));
        assert_eq!(claims.text("groups"), None);
        assert!(
            ["", ".", "realm.", ".roles"]
                .iter()
                .all(|name| !claims.has(name, "dba"))
        );
        assert!(claims.has("preferred_username", "ada") && !claims.has("groups", "staf"));
    }
    // Without a name it is the only one of its kind.
    let head = json!({ "alg": "ES256" });
    assert!(read(&es256.token(&head, &body()), &all).is_ok());
    let two = keys(&[es256.row("b"), Signer::es256().row("d")]);
    assert_eq!(read(&es256.token(&head, &body()), &two), Err(Fault::Key));
}

#[test]
fn a_key_without_a_name_counts_where_it_is_the_only_one_of_its_kind() {
    let nameless = |signer: &Signer| {
        let mut row = signer.row("");
        row.as_object_mut().unwrap().remove("kid");
        row
    };
    let (signer, other) = (Signer::es256(), Signer::es256());
    let heads = [signer.head("any"), json!({ "alg": "ES256" })];
    let token = |head: &Json| signer.token(head, &body());
    // Keys of other kinds are no others to take it for, whatever they are called.
    let only = keys(&[RSA.row("any"), nameless(&signer)]);
    for head in &heads {
        assert!(read(&token(head), &only).is_ok(), "{head}");
        // Somebody else's signature: that may be the provider's next key.
        assert_eq!(read(&other.token(head, &body()), &only), Err(Fault::Key));
        // Beside another of its kind nobody says which is meant.
        for beside in [nameless(&other), other.row("b")] {
            let two = keys(&[nameless(&signer), beside]);
            assert_eq!(read(&token(head), &two), Err(Fault::Key), "{head}");
        }
    }
    // One that has a name is meant by that name alone.
    let named = keys(&[signer.row("b")]);
    assert_eq!(read(&token(&heads[0]), &named), Err(Fault::Key));
    assert!(
        read(
            &token(&signer.head("b")),
            &keys(&[signer.row("b"), nameless(&other)])
        )
        .is_ok()
    );
}

#[test]
fn what_is_not_signed_by_the_provider_is_refused_however_it_is_named() {
    let signer = Signer::es256();
    let known = keys(&[signer.row("b"), RSA.row("a")]);
    let token = |head: Json| read(&signer.token(&head, &body()), &known);
    for name in [
        "none", "None", "NONE", "", "HS256", "HS512", "ES384", "PS256", "es256",
    ] {
        let refused = token(json!({ "alg": name, "kid": "b" }));
        assert_eq!(refused, Err(Fault::Algorithm), "{name}");
    }
    // Nothing behind the last point.
    let good = signer.token(&signer.head("b"), &body());
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(read(&format!("{signed}."), &known), Err(Fault::Signature));
    let none = format!(
        "{}.",
        signer
            .token(&json!({ "alg": "none" }), &body())
            .rsplit_once('.')
            .unwrap()
            .0
    );
    assert_eq!(read(&none, &known), Err(Fault::Algorithm));
    // The public key as a secret that both sides know.
    let secret = RSA.row("a")["n"].as_str().unwrap().as_bytes().to_vec();
    let text = |json: &Json| base64url::encode(json.to_string().as_bytes());
    let signed = format!(
        "{}.{}",
        text(&json!({ "alg": "HS256", "kid": "a" })),
        text(&body())
    );
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &secret),
        signed.as_bytes(),
    );
    let confused = format!("{signed}.{}", base64url::encode(tag.as_ref()));
    assert_eq!(read(&confused, &known), Err(Fault::Algorithm));
    // A key of another kind, one that nobody has, and somebody else's under the same name.
    assert_eq!(
        token(json!({ "alg": "RS256", "kid": "b" })),
        Err(Fault::Key)
    );
    assert_eq!(
        token(json!({ "alg": "RS256", "kid": "a" })),
        Err(Fault::Signature)
    );
    assert_eq!(
        token(json!({ "alg": "ES256", "kid": "z" })),
        Err(Fault::Key)
    );
    let other = Signer::es256();
    let foreign = other.token(&other.head("b"), &body());
    assert_eq!(read(&foreign, &known), Err(Fault::Signature));
    // A key that the token brings along is nobody's.
    let brought = json!({ "alg": "ES256", "kid": "b", "jwk": other.row("b") });
    assert_eq!(
        read(&other.token(&brought, &body()), &known),
        Err(Fault::Signature)
    );
    let critical = json!({ "alg": "ES256", "kid": "b", "crit": ["b64"], "b64": false });
    assert_eq!(token(critical), Err(Fault::Form));
    assert_eq!(
        token(json!({ "alg": "ES256", "kid": "b", "typ": "at+jwt" })),
        Err(Fault::Form)
    );
}

#[test]
fn what_is_for_somebody_else_or_another_time_is_refused() {
    let signer = Signer::es256();
    let known = keys(&[signer.row("b")]);
    let with = |name: &str, value: Json| {
        let mut bent = body();
        bent[name] = value;
        read(&signer.token(&signer.head("b"), &bent), &known)
    };
    for (name, value, fault) in [
        ("iss", json!("https://id.example/"), Fault::Issuer),
        ("iss", json!("https://evil.example"), Fault::Issuer),
        ("aud", json!("other"), Fault::Audience),
        ("aud", json!([]), Fault::Audience),
        ("aud", json!(["other"]), Fault::Audience),
        ("aud", json!(["hansard", "other"]), Fault::Audience),
        ("azp", json!("other"), Fault::Audience),
        ("nonce", json!("twice"), Fault::Nonce),
        ("nonce", Json::Null, Fault::Nonce),
        ("exp", json!(NOW_S - OIDC_SKEW_S), Fault::Expired),
        ("exp", json!(0), Fault::Expired),
        ("iat", json!(NOW_S + OIDC_SKEW_S + 1), Fault::NotYet),
        ("nbf", json!(NOW_S + OIDC_SKEW_S + 1), Fault::NotYet),
        ("sub", json!(""), Fault::Subject),
        ("sub", json!("x".repeat(256)), Fault::Subject),
        ("sub", json!("adä"), Fault::Subject),
        ("sub", Json::Null, Fault::Form),
        ("exp", json!("4000000000"), Fault::Form),
        ("exp", json!(-1), Fault::Form),
        ("exp", json!(1e12), Fault::Form),
        ("iss", Json::Null, Fault::Form),
    ] {
        assert_eq!(with(name, value.clone()), Err(fault), "{name} {value}");
    }
    for (name, value) in [
        ("aud", json!(["hansard"])),
        ("azp", json!("hansard")),
        ("exp", json!(NOW_S - OIDC_SKEW_S + 1)),
        ("iat", json!(NOW_S + OIDC_SKEW_S)),
        ("nbf", json!(NOW_S)),
    ] {
        assert!(with(name, value.clone()).is_ok(), "{name} {value}");
    }
    let mut both = body();
    both["aud"] = json!(["hansard", "other"]);
    both["azp"] = json!("hansard");
    assert!(read(&signer.token(&signer.head("b"), &both), &known).is_ok());
    for missing in ["iss", "sub", "aud", "exp", "iat"] {
        let mut short = body();
        short.as_object_mut().unwrap().remove(missing);
        let refused = read(&signer.token(&signer.head("b"), &short), &known);
        assert_eq!(refused, Err(Fault::Form), "{missing}");
    }
}

#[test]
fn a_token_that_was_bent_anywhere_is_refused() {
    let signer = Signer::ed25519();
    let known = keys(&[signer.row("c")]);
    let good = signer.token(&signer.head("c"), &body());
    assert!(read(&good, &known).is_ok());
    for at in 0..good.len() {
        let mut bent = good.clone().into_bytes();
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        let bent = String::from_utf8(bent).unwrap();
        assert!(read(&bent, &known).is_err(), "byte {at}");
    }
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        &format!("{good}."),
        &format!("{good}.x"),
        &format!("{good}="),
    ] {
        assert!(read(bad, &known).is_err(), "{bad}");
    }
    let long = "A".repeat(OIDC_TOKEN_BYTES_MAX + 1);
    assert_eq!(read(&long, &known), Err(Fault::Form));
}

#[test]
fn keys_that_are_no_keys_to_check_with_are_passed_over() {
    let signer = Signer::es256();
    let with = |name: &str, value: Json| {
        let mut row = signer.row("b");
        row[name] = value;
        Keys::read(json!({ "keys": [row] }).to_string().as_bytes()).is_ok()
    };
    assert!(with("use", json!("sig")) && with("key_ops", json!(["verify"])));
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("ES384")),
        ("alg", json!("HS256")),
        ("kty", json!("oct")),
        ("kty", json!("RSA")),
        ("crv", json!("P-384")),
        ("x", json!("AA")),
        ("y", json!("!")),
        ("kid", json!(7)),
    ] {
        assert!(!with(name, value.clone()), "{name} {value}");
    }
    let short = json!({ "kty": "RSA", "n": base64url::encode(&[0xff; 128]), "e": "AQAB" });
    for document in [
        json!({ "keys": [short] }),
        json!({ "keys": [] }),
        json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }),
        json!({ "keys": vec![signer.row("b"); OIDC_KEYS_MAX + 1] }),
        json!([]),
    ] {
        assert!(
            Keys::read(document.to_string().as_bytes()).is_err(),
            "{document}"
        );
    }
    let mixed = keys(&[
        json!({ "kty": "oct", "k": "AA" }),
        json!("x"),
        signer.row("b"),
    ]);
    assert!(mixed.has("b") && !mixed.has("a"));
}
