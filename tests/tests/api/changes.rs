//! What is on record of changes: as done what was done, and as refused what was refused.

use std::sync::atomic::Ordering;

use hansard_core::Value;
use hansard_core::event::Fact;
use hansard_store::catalog::{Burial, Retention as _};

use crate::keep::{BASE_NS, header, id, parts};
use crate::service::Service;
use crate::speak::{ask, get};

fn is_done(fact: &Fact) -> bool {
    fact.fields.get("success") == Some(&Value::Bool(true))
}

/// The facts that were put on record since somebody looked.
fn since(service: &Service) -> Vec<Fact> {
    std::mem::take(&mut *service.record.lock().unwrap())
}

/// One session that is over, one that was deleted, and a user.
fn service(name: &str) -> Service {
    let service = Service::start(name);
    for number in [1, 2] {
        let session = parts(header(number, "ada", "x"), "hi", true);
        service.kept.store(&[session]);
    }
    let burial = Burial {
        by: "retention rule 2".to_owned(),
        why: "older than 90 days".to_owned(),
        utc_ns: BASE_NS,
    };
    service.kept.catalog.bury(id(2), &burial).unwrap();
    let ann = r#"{"name":"ann","role":"user","roles":["ops"],"password":"correct horse"}"#;
    assert_eq!(ask(&service, "POST", "/v1/users", ann).status, 200);
    since(&service);
    service
}

#[test]
fn what_is_refused_is_on_record_as_refused_and_never_as_done() {
    let service = service("api-refused");
    let of = |number: u64, what: &str| format!("/v1/sessions/{}/{what}", id(number));
    let because = r#"{"reason":"because"}"#;
    let password = r#"{"password":"correct horse"}"#;
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(2000));
    let asked = [
        (
            "user.password_change",
            "PUT",
            "/v1/users/ann/password",
            r#"{"password":"short"}"#,
            400,
        ),
        (
            "user.password_change",
            "PUT",
            "/v1/users/bob/password",
            password,
            404,
        ),
        (
            "user.update",
            "PUT",
            "/v1/users/ann/roles",
            r#"{"roles":["nosuch"]}"#,
            409,
        ),
        (
            "user.update",
            "PUT",
            "/v1/users/bob/roles",
            r#"{"roles":["ops"]}"#,
            404,
        ),
        ("user.delete", "DELETE", "/v1/users/bob", "", 404),
        (
            "user.create",
            "POST",
            "/v1/users",
            r#"{"name":"ann","role":"user","password":"correct horse"}"#,
            409,
        ),
        ("session.kill", "POST", &of(1, "end"), because, 409),
        ("session.kill", "POST", &of(9, "end"), because, 404),
        (
            "recording.held",
            "POST",
            &of(1, "hold"),
            r#"{"reason":" "}"#,
            400,
        ),
        ("recording.held", "POST", &of(1, "hold"), &long, 400),
        ("recording.held", "POST", &of(2, "hold"), because, 410),
        ("recording.held", "POST", &of(9, "hold"), because, 404),
        ("recording.released", "DELETE", &of(2, "hold"), "", 410),
        ("recording.released", "DELETE", &of(9, "hold"), "", 404),
        (
            "recording.shared",
            "POST",
            &of(9, "shares"),
            r#"{"viewer":"x","ttl_s":60}"#,
            404,
        ),
        ("recording.unshared", "DELETE", "/v1/shares/none", "", 404),
        (
            "join_token.create",
            "POST",
            "/v1/tokens",
            r#"{"role":"host","ttl_s":0,"uses":1}"#,
            400,
        ),
        ("join_token.delete", "DELETE", "/v1/tokens/none", "", 404),
        ("lock.created", "POST", "/v1/hosts/none/lock", because, 404),
        ("lock.deleted", "DELETE", "/v1/hosts/none/lock", "", 404),
        (
            "lock.created",
            "POST",
            "/v1/locks",
            r#"{"target":"nothing"}"#,
            400,
        ),
        ("lock.deleted", "DELETE", "/v1/locks/none", "", 404),
        (
            "credential.delete",
            "DELETE",
            "/v1/credentials/none",
            "",
            404,
        ),
        ("search.removed", "DELETE", "/v1/saved/none", "", 404),
        (
            "mfa.rename",
            "PUT",
            "/v1/passkeys/none",
            r#"{"label":"x"}"#,
            404,
        ),
        ("mfa.delete", "DELETE", "/v1/passkeys/none", "", 404),
    ];
    for (event, verb, path, body, status) in asked {
        let answer = ask(&service, verb, path, body);
        assert_eq!(answer.status, status, "{verb} {path} {body}: {answer:?}");
        let told = since(&service);
        let names: Vec<&str> = told.iter().map(|fact| fact.event.as_str()).collect();
        assert_eq!(names, [event], "{verb} {path} {body}");
        assert!(!is_done(&told[0]), "{verb} {path} {body}: {told:?}");
        assert!(told[0].fields.text("error").is_some(), "{told:?}");
        let reason = told[0].fields.text("reason").unwrap_or_default();
        assert!(reason.len() < 100, "{reason}");
    }
    // What is wrong with a body may repeat a password that is in it.
    let body = r#"{"password":4711471147114711}"#;
    assert_eq!(
        ask(&service, "PUT", "/v1/users/ann/password", body).status,
        400
    );
    let told = format!("{:?}", since(&service));
    assert!(told.contains("the body is not"), "{told}");
    assert!(!told.contains("4711"), "{told}");
}

#[test]
fn what_fails_behind_its_telling_is_told_to_have_failed_and_names_the_same_request() {
    let service = service("api-failed");
    let hold = format!("/v1/sessions/{}/hold", id(1));
    service.kept.holds_fail.store(true, Ordering::SeqCst);
    for (verb, event, body) in [
        ("POST", "recording.held", r#"{"reason":"case 42"}"#),
        ("DELETE", "recording.released", ""),
    ] {
        let answer = ask(&service, verb, &hold, body);
        assert_eq!(answer.status, 503, "{answer:?}");
        let request = answer.json()["error"]["request_id"].clone();
        let told = since(&service);
        let outcomes: Vec<_> = told
            .iter()
            .map(|f| (f.event.as_str(), is_done(f)))
            .collect();
        assert_eq!(outcomes, [(event, true), (event, false)]);
        for fact in &told {
            let named = fact.fields.text("request_id");
            assert_eq!(named, request.as_str(), "{fact:?}");
        }
        let error = told[1].fields.text("error").unwrap();
        assert!(error.starts_with("it was not done after all"), "{error}");
        // Why it failed inside is for the log.
        assert!(!error.contains("secret"), "{error}");
    }
    service.kept.holds_fail.store(false, Ordering::SeqCst);
    assert_eq!(
        ask(&service, "POST", &hold, r#"{"reason":"case 42"}"#).status,
        200
    );
    let told = since(&service);
    assert!(told.len() == 1 && is_done(&told[0]), "{told:?}");
}

#[test]
fn a_change_of_rights_says_what_changed() {
    let service = service("api-rights");
    let put = |what: &str, body: &str| {
        let path = format!("/v1/users/ann/{what}");
        let answer = ask(&service, "PUT", &path, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        since(&service).remove(0).fields
    };
    let texts = |texts: &[&str]| Value::List(texts.iter().map(|text| (*text).into()).collect());
    let told = put("roles", r#"{"roles":["oncall","ops"]}"#);
    assert_eq!(told.text("name"), Some("ann"));
    assert_eq!(told.get("roles"), Some(&texts(&["user", "oncall", "ops"])));
    assert_eq!(told.get("previous_roles"), Some(&texts(&["user", "ops"])));
    for new in [false, true] {
        let body = format!(r#"{{"password":"another horse","new_totp":{new}}}"#);
        let told = put("password", &body);
        assert_eq!(told.get("new_totp"), Some(&Value::Bool(new)));
    }
}

#[test]
fn a_reason_that_is_given_later_is_another_look() {
    let service = service("api-reasons");
    let play = |what: &str| {
        let answer = get(&service, &format!("/v1/sessions/{}/{what}", id(1)));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    for what in [
        "timeline",
        "frames?from_ms=0",
        "timeline?reason=case%2042",
        "frames?from_ms=0&reason=case%2042",
        "frames?from_ms=0",
        "find?text=hi&reason=case%2043",
    ] {
        play(what);
    }
    let told = since(&service);
    let reasons: Vec<_> = told.iter().map(|fact| fact.fields.text("reason")).collect();
    assert_eq!(reasons, [None, Some("case 42"), Some("case 43")]);
}
