//! Passkeys: made, used and removed in Chromium with an authenticator in software; and what comes
//! without one.

use serde_json::{Value as Json, json};

use crate::browser::{is_here, led};
use crate::place::{Place, wait_for};
use crate::speak::{Answer, ask, cookie};

fn post(place: &Place, path: &str, cookie: &str, body: &Json) -> Answer {
    let headers = [
        ("Origin", place.origin.as_str()),
        ("Cookie", cookie),
        ("Content-Type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    ask(place, ("POST", path), &headers, &body)
}

#[test]
fn passkeys_in_a_browser() {
    if !is_here() {
        return;
    }
    let mut place = Place::new("web-passkeys");
    place.user("ada", "user", &["--no-totp"]);
    let origin = place.origin.replace("127.0.0.1", "localhost");
    assert_eq!(led("passkeys.mjs", &origin, &[]), 10);
    // Each is on record: who signed in, by what, and why somebody did not.
    let mut logins = Vec::new();
    wait_for("the attempts on record", || {
        logins = place.events("user.login");
        logins
            .iter()
            .filter(|event| event["method"] == "webauthn")
            .count()
            >= 7
    });
    let by_passkey = |success: bool, error: &str| {
        let is_it = |event: &&Json| {
            let words = event["error"].as_str().unwrap_or_default();
            event["method"] == "webauthn" && event["success"] == success && words.contains(error)
        };
        logins.iter().filter(is_it).count()
    };
    assert_eq!(by_passkey(true, ""), 4, "{logins:?}");
    assert_eq!(
        by_passkey(false, "there may be a copy of it"),
        1,
        "{logins:?}"
    );
    assert_eq!(by_passkey(false, "it was answered before"), 1, "{logins:?}");
    assert_eq!(by_passkey(false, "nobody has it"), 1, "{logins:?}");
    let named = |event: &str, n: usize| place.events_of(event, n).len();
    assert_eq!(
        [
            named("mfa.add", 2),
            named("mfa.rename", 1),
            named("mfa.delete", 2)
        ],
        [2, 1, 2]
    );
    let added = place.events("mfa.add");
    let is_first = |event: &&Json| event["mfa_device_name"] == "<i>laptop</i>";
    let added = added.iter().find(is_first).unwrap();
    assert_eq!(
        (&added["user"], &added["success"]),
        (&json!("ada"), &json!(true))
    );
    // Whom the first let in is signed out, two, of whom one had gone on to the other; and who removed the second.
    let removed = place.events("mfa.delete");
    let ended = place.events_of("user.signed_out", 3);
    assert_eq!(ended.len(), 3, "{ended:?}");
    let mut times: Vec<usize> = removed
        .iter()
        .map(|removed| {
            let words = format!(
                "the passkey {} was removed",
                removed["name"].as_str().unwrap()
            );
            let its = |one: &&Json| one["reason"] == words && one["name"] == "ada";
            ended.iter().filter(its).count()
        })
        .collect();
    times.sort_unstable();
    assert_eq!(times, [1, 2], "{ended:?}");
    place.daemon.stop();
}

#[test]
fn what_is_no_passkey_signs_nobody_in_and_is_none() {
    let mut place = Place::new("web-no-passkey");
    place.user("ada", "user", &["--no-totp"]);
    // Under an address there are none.
    for path in ["/v1/sign-in/passkey/challenge", "/v1/passkeys/challenge"] {
        let answer = post(&place, path, &cookie(&place, "ada"), &Json::Null);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (409, "no_name"),
            "{path}"
        );
    }
    let address = place.origin.clone();
    place.origin = address.replace("127.0.0.1", "localhost");
    let cookie = cookie(&place, "ada");
    let asked = post(&place, "/v1/passkeys/challenge", &cookie, &Json::Null).json();
    assert_eq!(asked["rp_id"], "localhost");
    let wish = json!({
        "label": "mine",
        "challenge": asked["challenge"],
        "client_data": "e30",
        "attestation": "oA",
    });
    // The second time the challenge is used up; each is on record.
    for words in ["cannot be read", "it was answered before"] {
        let answer = post(&place, "/v1/passkeys", &cookie, &wish);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains(words), "{answer:?}");
    }
    let added = place.events_of("mfa.add", 2);
    assert_eq!(added.len(), 2);
    assert!(
        added.iter().all(|event| event["success"] == false),
        "{added:?}"
    );
    // A challenge to make one is none to sign in with, and a challenge alone is nothing.
    let making = post(&place, "/v1/passkeys/challenge", &cookie, &Json::Null).json();
    let signing = post(&place, "/v1/sign-in/passkey/challenge", "", &Json::Null).json();
    for challenge in [&making["challenge"], &signing["challenge"], &json!("AAAA")] {
        let said = json!({
            "challenge": challenge, "credential": "AA", "client_data": "e30", "data": "AA",
            "signature": "AA",
        });
        let answer = post(&place, "/v1/sign-in/passkey", "", &said);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "wrong"),
            "{answer:?}"
        );
        assert_eq!(answer.header("set-cookie"), None);
    }
    let bad = json!({
        "challenge": "!", "credential": "", "client_data": "", "data": "", "signature": "",
    });
    assert_eq!(post(&place, "/v1/sign-in/passkey", "", &bad).status, 400);
    // Who has none has none to rename or remove, and another's is not there.
    let answer = post(
        &place,
        "/v1/passkeys/0123456789abcdef",
        &cookie,
        &Json::Null,
    );
    assert_eq!(answer.status, 405);
    place.daemon.stop();
}
