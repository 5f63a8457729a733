//! Signing in: who is let in, who is not, and that all of it is on record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::place::{PASSWORD, Place, wait_for};
use crate::speak::{ask, ask_until, cookie, get, request, sign_in};

#[test]
fn nobody_is_let_in_without_all_that_is_asked_for_and_each_attempt_is_on_record() {
    let place = Place::new("web-sign-in");
    let made = place.user("ada", "auditor", &[]);
    assert!(
        made["totp_uri"]
            .as_str()
            .unwrap()
            .starts_with("otpauth://totp/Hansard%20test:ada?")
    );
    place.user("bob", "user", &["--no-totp"]);
    for (user, password) in [
        ("ada", PASSWORD),
        ("bob", "wrong password"),
        ("eve", PASSWORD),
    ] {
        let answer = sign_in(&place, user, password, "");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "wrong"),
            "{user}"
        );
        let words = answer.json()["error"]["message"].clone();
        assert_eq!(
            words, "name, password or code is wrong",
            "the same for {user}"
        );
        assert_eq!(answer.header("set-cookie"), None);
    }
    let answer = sign_in(&place, "bob", PASSWORD, "");
    let set = answer.header("set-cookie").unwrap();
    assert!(
        set.contains("; HttpOnly; SameSite=Strict") && set.contains("Path=/"),
        "{set}"
    );
    let mut told = Vec::new();
    wait_for("four attempts on record", || {
        told = place.events("user.login");
        told.len() == 4
    });
    let mut said: Vec<(bool, String, String)> = told
        .iter()
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            (event["success"] == true, text("user"), text("error"))
        })
        .collect();
    said.sort();
    let row = |success, user: &str, error: &str| (success, user.to_owned(), error.to_owned());
    assert_eq!(said[1], row(false, "ada", "wrong code"), "{told:?}");
    assert_eq!(said[2], row(false, "bob", "wrong password"));
    // A name that nobody has is not told: it may be a password.
    assert_eq!(said[0].2, "no such user");
    assert_ne!(said[0].1, "eve");
    assert_eq!(said[3], row(true, "bob", ""));
    assert!(
        told.iter().all(|event| event["addr.remote"] == "127.0.0.1"),
        "{told:?}"
    );
}

#[test]
fn attempts_are_bounded_and_what_is_refused_unseen_is_told_once() {
    let place = Place::new("web-attempts");
    place.user("ada", "auditor", &["--no-totp"]);
    for _ in 0..10 {
        assert_eq!(sign_in(&place, "ada", "wrong password", "").code(), "wrong");
    }
    for _ in 0..5 {
        let answer = sign_in(&place, "ada", PASSWORD, "");
        assert_eq!((answer.status, answer.code().as_str()), (429, "too_many"));
    }
    wait_for("the refused ones on record", || {
        place.events("user.login").len() == 11
    });
    // Another user is none the worse for it.
    place.user("bob", "user", &["--no-totp"]);
    cookie(&place, "bob");
}

#[test]
fn a_browser_in_which_somebody_signed_in_is_not_kept_out_by_strangers_at_its_address() {
    let mut place = Place::new("web-known-browser");
    place.user("ada", "auditor", &["--no-totp"]);
    let first = sign_in(&place, "ada", PASSWORD, "");
    let lines = first.head.lines().filter_map(|line| line.split_once(": "));
    let mut set = lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let known = set.find_map(|(_, value)| {
        let is_it = value.starts_with("hansard_browser=");
        is_it.then(|| value.split(';').next().unwrap().to_owned())
    });
    let known = known.expect("a cookie for the browser");
    // The key that knows it is kept over a restart.
    place.again("");
    for _ in 0..10 {
        assert_eq!(sign_in(&place, "ada", "wrong password", "").status, 401);
    }
    assert_eq!(sign_in(&place, "ada", PASSWORD, "").status, 429);
    let try_it = |user: &str, password: &str, cookie: &str| {
        let body = json!({ "user": user, "password": password }).to_string();
        let headers = [
            ("Origin", place.origin.as_str()),
            ("Content-Type", "application/json"),
            ("Cookie", cookie),
        ];
        ask(&place, ("POST", "/v1/sign-in"), &headers, &body).status
    };
    assert_eq!(try_it("ada", PASSWORD, &format!("{known}x")), 429);
    assert_eq!(try_it("ada", PASSWORD, &known), 200);
    // Nobody guesses with it either.
    for _ in 0..10 {
        assert_eq!(try_it("ada", "wrong password", &known), 401);
    }
    assert_eq!(try_it("ada", PASSWORD, &known), 429);
    let places = place.daemon.data().join("places");
    assert_eq!(std::fs::read_dir(places).unwrap().count(), 1);
}

#[test]
fn a_session_ends_by_signing_out_by_another_password_and_by_removal() {
    let place = Place::new("web-sessions");
    for name in ["ada", "bob", "cyd"] {
        place.user(name, "auditor", &["--no-totp"]);
    }
    let [ada, bob, cyd] = ["ada", "bob", "cyd"].map(|name| cookie(&place, name));
    let status = |cookie: &str| get(&place, "/v1/status", cookie).status;
    assert_eq!([status(&ada), status(&bob), status(&cyd)], [200; 3]);
    let you = get(&place, "/v1/status", &ada).json()["you"].clone();
    assert_eq!(
        (you["user"].as_str(), you["role"].as_str()),
        (Some("ada"), Some("auditor"))
    );
    let headers = [("Origin", place.origin.as_str()), ("Cookie", ada.as_str())];
    assert_eq!(
        ask(&place, ("POST", "/v1/sign-out"), &headers, "").status,
        200
    );
    place.client(&["user", "passwd", "bob"], "another password\n");
    // What streams ends, too.
    let follow = request(
        &place,
        ("GET", "/v1/events?follow=true"),
        &[("Cookie", &cyd)],
        "",
    );
    let streams = AtomicBool::new(false);
    let streamed = std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            ask_until(&place, &follow, |_| {
                streams.store(true, Ordering::Relaxed);
                false
            })
        });
        wait_for("cyd's stream is answered", || {
            streams.load(Ordering::Relaxed)
        });
        place.client(&["user", "rm", "cyd", "--reason", "left"], "");
        stream.join().unwrap()
    });
    assert_eq!(streamed.status, 200);
    assert_eq!([status(&ada), status(&bob), status(&cyd)], [401; 3]);
    assert_eq!(status("hansard_session=0000"), 401);
    assert_eq!(place.events_of("user.delete", 1)[0]["name"], "cyd");
    assert_eq!(place.events_of("user.create", 3).len(), 3);
}

#[test]
fn what_a_page_asks_by_itself_keeps_nobody_signed_in() {
    let place = Place::new("web-by-itself");
    place.user("ada", "auditor", &["--no-totp"]);
    place.user("bob", "admin", &["--no-totp"]);
    let (ada, bob) = (cookie(&place, "ada"), cookie(&place, "bob"));
    let idle = || {
        let rows = get(&place, "/v1/sign-ins", &bob).json();
        let rows = rows["sign_ins"].as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["user"] == "ada");
        row.unwrap()["idle_s"].as_u64().unwrap()
    };
    let headers = [("Cookie", ada.as_str()), ("Hansard-By-Itself", "1")];
    wait_for("ada does nothing for two seconds", || {
        let answer = ask(&place, ("GET", "/v1/sessions"), &headers, "");
        assert_eq!(answer.status, 200, "it is answered");
        idle() >= 2
    });
    let since = Instant::now();
    assert_eq!(get(&place, "/v1/sessions", &ada).status, 200);
    let idle_s = idle();
    let most = since.elapsed();
    assert!(idle_s <= most.as_secs(), "{idle_s} s, asked {most:?} ago");
}

#[test]
fn a_stream_that_is_left_open_counts_as_no_request() {
    let place = Place::new("web-left-open");
    place.user("ada", "auditor", &["--no-totp"]);
    place.user("bob", "admin", &["--no-totp"]);
    let (ada, bob) = (cookie(&place, "ada"), cookie(&place, "bob"));
    let rows = |user: &str| {
        let rows = get(&place, "/v1/sign-ins", &bob).json();
        let rows = rows["sign_ins"].as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["user"] == user);
        row.unwrap()["idle_s"].as_u64().unwrap()
    };
    let follow = request(
        &place,
        ("GET", "/v1/events?follow=true&user=nobody"),
        &[("Cookie", &ada)],
        "",
    );
    // It says where it is at once, and then every five seconds.
    let streamed = ask_until(&place, &follow, |got| {
        got.matches("{\"cursor\"").count() >= 3
    });
    assert_eq!(streamed.status, 200);
    let idle_s = rows("ada");
    assert!(idle_s >= 9, "{idle_s}");
}

#[test]
fn other_sites_and_other_names_are_refused_before_anything_else() {
    let place = Place::new("web-origin");
    place.user("ada", "admin", &["--no-totp"]);
    let ada = cookie(&place, "ada");
    let body = r#"{"name":"eve","role":"admin","password":"correct horse battery"}"#;
    let post = |headers: &[(&str, &str)]| {
        let mut all = vec![
            ("Cookie", ada.as_str()),
            ("Content-Type", "application/json"),
        ];
        all.extend(headers);
        ask(&place, ("POST", "/v1/users"), &all, body)
    };
    assert_eq!(post(&[]).code(), "foreign_origin");
    assert_eq!(
        post(&[("Origin", "http://evil.example")]).code(),
        "foreign_origin"
    );
    assert_eq!(post(&[("Origin", "null")]).code(), "foreign_origin");
    let rebound = [("Host", "evil.example"), ("Origin", "http://evil.example")];
    assert_eq!(post(&rebound).code(), "wrong_host");
    let foreign = [
        ("Origin", place.origin.as_str()),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    assert_eq!(post(&foreign).code(), "foreign_origin");
    assert_eq!(post(&[("Origin", place.origin.as_str())]).status, 200);
    let form = ask(
        &place,
        ("POST", "/v1/sign-in"),
        &[("Origin", &place.origin), ("Content-Type", "text/plain")],
        r#"{"user":"ada","password":"correct horse battery"}"#,
    );
    assert_eq!(form.status, 400, "{form:?}");
    let page = ask(&place, ("GET", "/"), &[], "");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
}

#[test]
fn behind_a_trusted_proxy_each_browser_is_bounded_by_itself() {
    let wrong = r#"{"user":"ada","password":"wrong password"}"#;
    let attempt = |place: &Place, from: &str| {
        let headers = [
            ("Origin", place.origin.as_str()),
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", from),
        ];
        ask(place, ("POST", "/v1/sign-in"), &headers, wrong).status
    };
    let scratch = hansard_tests::Scratch::new("web-proxies");
    let mut place = Place::serving(scratch, "trusted_proxies: [127.0.0.1]");
    place.user("ada", "auditor", &["--no-totp"]);
    for _ in 0..10 {
        // What the browser itself sends stands first.
        assert_eq!(attempt(&place, "198.51.100.9, 192.0.2.1"), 401);
    }
    assert_eq!(attempt(&place, "203.0.113.5, 192.0.2.1"), 429);
    assert_eq!(attempt(&place, "192.0.2.2"), 401);
    let told = place.events_of("user.login", 12);
    let from = |address: &str| {
        told.iter()
            .filter(|event| event["addr.remote"] == address)
            .count()
    };
    assert_eq!((from("192.0.2.1"), from("192.0.2.2")), (11, 1), "{told:?}");
    // From anybody else the header says nothing.
    place.again("trusted_proxies: [192.0.2.7]");
    for n in 0..10 {
        assert_eq!(attempt(&place, &format!("192.0.2.{n}")), 401);
    }
    assert_eq!(attempt(&place, "192.0.2.99"), 429);
}
