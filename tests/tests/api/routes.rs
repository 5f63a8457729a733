//! Who may what, and what is not there.

use hansardd::api::role::Role;
use hansardd::api::table::{Id, Op, Own, ROUTES, Route};

use crate::keep::{header, id, parts};
use crate::service::Service;
use crate::speak::{ask, get, parse, raw};

fn target(route: &Route) -> String {
    let name = match route.id {
        Some(Id::Session) => id(1).to_string(),
        _ => "nobody".to_owned(),
    };
    let path = route.path.replace("{id}", &name);
    match route.op {
        Op::Find => format!("{path}?text=hi"),
        Op::Search => format!("{path}?q=word"),
        Op::Export => format!("{path}?format=raw"),
        _ => path,
    }
}

fn body(route: &Route) -> &'static str {
    match route.body {
        Some("Reason") => r#"{"reason":"because"}"#,
        Some("PolicyWish") => r#"{"text":"scope: all","reason":"because"}"#,
        Some("PolicyTest") => r#"{"user":"ann"}"#,
        Some("ShareWish") => r#"{"viewer":"Ms Outside","ttl_s":60}"#,
        Some("PasskeyLabel") => r#"{"label":"mine"}"#,
        Some("UserWish") => r#"{"name":"ann","role":"user","password":"correct horse"}"#,
        Some("PasswordWish") => r#"{"password":"correct horse"}"#,
        Some("SavedWish") => r#"{"name":"mine","page":"events","query":"user=eve"}"#,
        Some("TokenWish") => r#"{"role":"host","ttl_s":60,"uses":1}"#,
        Some("CertificateWish") => r#"{"user":"ann","logins":["root"],"key":"ssh-ed25519 AAAA"}"#,
        Some("PersonWish") => r#"{"key":"00"}"#,
        Some("CertificateOwnWish") => r#"{"key":"ssh-ed25519 AAAA"}"#,
        Some("LockWish") => r#"{"target":"user:nobody"}"#,
        Some("CredentialWish") => {
            r#"{"name":"web","target":"web:22","login":"root","kind":"password","secret":"correct horse"}"#
        }
        Some("CredentialAgain") => r#"{"kind":"password","secret":"correct horse"}"#,
        Some("UserRoles") => r#"{"roles":["ops"]}"#,
        _ => "",
    }
}

#[test]
fn every_route_lets_in_whom_the_table_says_and_nobody_else() {
    // Every refusal is told, however many there are.
    let (service, _) = Service::counting("api-roles", std::time::Duration::ZERO);
    service
        .kept
        .store(&[parts(header(1, "ada", "x"), "hi", true)]);
    // One is asked with a document, and changes nothing.
    let is_change = |r: &&Route| {
        r.verb.as_str() != "GET" && !matches!(r.op, Op::PolicyTest | Op::PasskeyChallenge)
    };
    let mut asked = 0;
    let mut played = std::collections::BTreeSet::new();
    for route in &ROUTES {
        for role in Role::ALL.map(Some).into_iter().chain([None]) {
            service.role(role);
            service.record.lock().unwrap().clear();
            let answer = ask(&service, route.verb.as_str(), &target(route), body(route));
            // Nothing here is of who asks, so that sessions are only for who may see all; rows are
            // those of who asks, which are none.
            let rows = route.own == Own::Rows && role.is_some();
            let may = rows || role.is_some_and(|role| role >= route.least);
            let what = format!("{:?} as {role:?}: {answer:?}", route.op);
            assert_eq!(answer.status != 403, may, "{what}");
            let record = service.record.lock().unwrap();
            if may {
                // What is over cannot be ended.
                let is_over = route.op == Op::End && answer.status == 409;
                assert!(matches!(answer.status, 200 | 404) || is_over, "{what}");
                let named: Vec<_> = record.iter().map(|fact| fact.event.as_str()).collect();
                // Of what is one look together, the first is on record.
                let again = route.noted.is_some_and(|noted| noted.once) && !played.insert(role);
                // Those are issued in a browser only; elsewhere there is nothing to be told.
                let elsewhere = [Op::CertificateOwn, Op::PersonOwn];
                let here = !elsewhere.contains(&route.op);
                let noted = route.noted.iter().filter(|_| !again && here);
                let wanted: Vec<_> = noted.map(|noted| noted.event).collect();
                assert_eq!(named, wanted, "{what}");
                // What was not done is not on record as done.
                let is_told = record.iter().filter(|_| is_change(&route));
                let done = is_told.filter_map(|fact| fact.fields.get("success"));
                let is_done = hansard_core::Value::Bool(answer.status == 200);
                assert!(done.into_iter().all(|told| *told == is_done), "{what}");
            } else {
                assert_eq!(answer.code(), "forbidden", "{what}");
                // Whoever has a role at all and reaches too far is on record.
                let refused = record.iter().all(|fact| {
                    fact.fields.get("success") == Some(&hansard_core::Value::Bool(false))
                });
                let expected = usize::from(role.is_some() && route.noted.is_some());
                assert!(refused && record.len() == expected, "{what} {record:?}");
            }
            asked += 1;
        }
    }
    assert_eq!(asked, ROUTES.len() * 5);
    // Whoever is signed in has passkeys of their own, and keeps searches.
    let is_own = |r: &Route| {
        matches!(
            r.op,
            Op::PasskeyMake
                | Op::PasskeyRename
                | Op::PasskeyRemove
                | Op::CertificateOwn
                | Op::PersonOwn
                | Op::SavedKeep
                | Op::SavedRemove
        )
    };
    // Whoever may look at everything may let somebody look at one session.
    let is_sharing =
        |r: &Route| matches!(r.op, Op::ShareMake | Op::ShareRevoke) && r.least == Role::Auditor;
    let changes = ROUTES.iter().filter(is_change);
    assert!(
        changes
            .clone()
            .all(|r| r.noted.is_some() && (r.least == Role::Admin || is_sharing(r) || is_own(r)))
    );
    // Only its handler knows what is refused.
    assert!(
        changes
            .clone()
            .all(|r| r.noted.is_some_and(|noted| noted.by_handler))
    );
    assert_eq!(changes.count(), 29);
}

#[test]
fn what_is_not_there_is_not_there_in_the_same_words() {
    let service = Service::start("api-paths");
    service
        .kept
        .store(&[parts(header(1, "ada", "x"), "hi", true)]);
    let sid = id(1).to_string();
    let there = format!("/v1/sessions/{sid}");
    assert_eq!(get(&service, &there).status, 200);
    let missing = get(&service, "/v1/nothing").json()["error"]["message"].clone();
    service.record.lock().unwrap().clear();
    for path in [
        "/".to_owned(),
        "/v1".into(),
        "/v1/".into(),
        "/V1/sessions".into(),
        "/v1/Sessions".into(),
        "/v1/sessions/".into(),
        "/v1//sessions".into(),
        "//v1/sessions".into(),
        "/v1/sessions.json".into(),
        "/v1/sessions;x=1".into(),
        "/v1/sessions%2f".into(),
        "/v1/%73essions".into(),
        "/v1/./sessions".into(),
        "/v1/x/../sessions".into(),
        "/v1/%2e%2e/v1/sessions".into(),
        "/v1/sessions/%2e%2e".into(),
        "/v1/sessions/..".into(),
        "/v1/sessions/nobody".into(),
        format!("{there}.json"),
        format!("{there}/"),
        format!("{there}//recording"),
        format!("{there}/recording/"),
        format!("{there}/recording.hansard"),
        format!("{there}/Recording"),
        format!("{there}/recording/x"),
        format!("{there}%00"),
        format!("/v1/sessions/{{{sid}}}"),
        format!("/v1/sessions/{}", id(2)),
        "/v1/hosts/..%2fx/lock".into(),
        "/v1/hosts//lock".into(),
        "/metrics".into(),
    ] {
        let answer = get(&service, &path);
        if path.ends_with("/lock") {
            assert!(matches!(answer.status, 404 | 405), "{path}: {answer:?}");
            continue;
        }
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "not_found"),
            "{path}"
        );
        assert_eq!(answer.json()["error"]["message"], missing, "{path}");
    }
    // An identifier in capitals is the same session: the look is on record under its one name.
    assert_eq!(
        get(
            &service,
            &there.to_uppercase().replace("/V1/SESSIONS", "/v1/sessions")
        )
        .status,
        200
    );
    let looked: Vec<_> = service
        .recorded()
        .into_iter()
        .filter_map(|(_, sid)| sid)
        .collect();
    assert!(
        looked.contains(&sid) && looked.contains(&id(2).to_string()),
        "{looked:?}"
    );
    assert_eq!(looked.len(), 2, "{looked:?}");
    // Without a role even that much is not told.
    service.role(None);
    for path in ["/v1/nothing", "/v1/status", "/"] {
        assert_eq!(get(&service, path).code(), "forbidden", "{path}");
    }
}

#[test]
fn wrong_questions_are_answered_with_what_would_be_right() {
    let service = Service::start("api-wrong");
    let long = "x".repeat(1025);
    for (target, part) in [
        (
            "/v1/sessions?colour=red".to_owned(),
            "from, until, user, host",
        ),
        ("/v1/sessions?user=a&user=b".into(), "said twice"),
        ("/v1/sessions?limit=0".into(), "at least 1"),
        ("/v1/sessions?limit=-1".into(), "at least 1"),
        ("/v1/sessions?from=yesterday".into(), "2026-11-21T08:00:00Z"),
        ("/v1/sessions?order=sideways".into(), "newest, oldest"),
        ("/v1/sessions?cursor=1.2.3".into(), "cursor"),
        ("/v1/sessions?cursor='%20OR%201=1".into(), "cursor"),
        (format!("/v1/sessions?user={long}"), "1024"),
        ("/v1/events?session=x".into(), "UUID"),
        ("/v1/events/counts?buckets=0".into(), "at least 1"),
        ("/v1/events/counts?limit=5".into(), "it takes from, until"),
        ("/v1/events?follow=true&limit=5".into(), "limit"),
        ("/v1/events?follow=true&cursor=none".into(), "cursor"),
        ("/v1/status?x=1".into(), "it takes none"),
    ] {
        let answer = get(&service, &target);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad_request"),
            "{target}"
        );
        let said = answer.json()["error"]["message"].to_string();
        assert!(said.contains(part), "{target}: {said}");
    }
    let end = format!("/v1/sessions/{}/end", id(1));
    for (body, status) in [
        ("", 400),
        ("{}", 400),
        ("[]", 400),
        (r#"{"reason":""}"#, 400),
        (r#"{"reason":"  "}"#, 400),
        (r#"{"reason":7}"#, 400),
        (r#"{"reason":"x","force":true}"#, 400),
        (r#"{"reason":"x"}"#, 404),
    ] {
        assert_eq!(ask(&service, "POST", &end, body).status, status, "{body}");
    }
    for (body, status) in [
        (r#"{"role":"admin","ttl_s":60,"uses":1}"#, 400),
        (r#"{"role":"host","ttl_s":0,"uses":1}"#, 400),
        (r#"{"role":"host","ttl_s":99999999999,"uses":1}"#, 400),
        (r#"{"role":"host","ttl_s":60,"uses":0}"#, 400),
        (r#"{"role":"host","ttl_s":60,"uses":-1}"#, 400),
    ] {
        assert_eq!(
            ask(&service, "POST", "/v1/tokens", body).status,
            status,
            "{body}"
        );
    }
    assert!(service.kept.tokens.lock().unwrap().is_empty());
    let wrong = ask(&service, "PUT", "/v1/tokens", "");
    assert_eq!(
        (wrong.status, wrong.code().as_str()),
        (405, "method_not_allowed")
    );
    assert!(wrong.head.contains("allow: get, post"), "{}", wrong.head);
    assert_eq!(ask(&service, "HEAD", "/v1/status", "").status, 405);
    assert_eq!(ask(&service, "GET", "/v1/status", "body").status, 400);
}

#[test]
fn what_is_too_long_is_refused_and_the_service_goes_on() {
    let service = Service::start("api-long");
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(20_000));
    let end = format!("/v1/sessions/{}/end", id(1));
    assert_eq!(ask(&service, "POST", &end, &long).status, 413);
    let head = format!(
        "GET /v1/status HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    assert_eq!(parse(&raw(&service, head.as_bytes())).status, 431);
    for garbage in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        let answer = raw(&service, garbage);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
            "{answer:?}"
        );
    }
    assert_eq!(get(&service, "/v1/status").status, 200);
}

#[test]
fn a_caller_is_whom_the_kernel_names() {
    let service = Service::start("api-peer");
    let status = get(&service, "/v1/status").json();
    let uid = crate::service::own_uid();
    assert_eq!(status["you"]["uid"], uid);
    assert_eq!(status["you"]["role"], "admin");
    let peer = service.peers.lock().unwrap()[0];
    assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
    assert_eq!(peer.uid, uid);
}
