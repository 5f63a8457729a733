//! Signing in at a provider of OpenID Connect: who is let in, who is not, and that all of it is on record.

use std::cell::Cell;

use hansard_tests::Scratch;
use hansardd::web::oidc::known::FAILURE_KEPT;
use serde_json::{Value as Json, json};

use crate::browser::{is_here, led};
use crate::meeting::{Meeting, Provider, RULES, SUBJECT, secret, section};
use crate::place::{Place, checked, wait_for};
use crate::speak::{Answer, ask, cookie, get};

#[test]
fn whom_a_rule_names_signs_in_and_is_themselves() {
    let meeting = Meeting::new("web-oidc");
    let place = &meeting.place;
    let listed = get(place, "/v1/sign-in/oidc", "").json();
    let wanted = json!([{ "name": "oidc", "display": "The <Provider>" }]);
    assert_eq!(listed["providers"], wanted);
    let ada = meeting.signed_in();
    let you = get(place, "/v1/status", &ada).json()["you"].clone();
    let wanted = json!({
        "user": "ada", "role": "user", "provider": "The <Provider>",
        "issuer": meeting.provider.issuer, "subject": SUBJECT,
    });
    assert_eq!(you, wanted);
    // Another claim, inside others, and the higher of two roles.
    meeting.claims(&json!({
        "preferred_username": "eve", "groups": "staff", "realm": { "roles": ["x", "auditor"] },
    }));
    let eve = meeting.signed_in();
    assert_eq!(
        get(place, "/v1/status", &eve).json()["you"]["role"],
        "auditor"
    );
    // Their looks say who vouches for them, too.
    assert_eq!(get(place, "/v1/search?q=x", &eve).status, 200);
    let searched = &place.events_of("session.search", 1)[0];
    assert_eq!(
        (&searched["user"], &searched["subject"]),
        (&json!("eve"), &json!(SUBJECT))
    );
    // They have no passkeys here, under whatever name.
    let passkeys = get(place, "/v1/passkeys", &ada);
    assert_eq!(
        (passkeys.status, passkeys.code().as_str()),
        (409, "signs_in_elsewhere")
    );
    // Whom no rule names is known, and not let in; nor is one without a name, or with a user's.
    place.user("kept", "user", &["--no-totp"]);
    for (claims, code, words) in [
        (
            json!({ "preferred_username": "bob" }),
            "no_role",
            "no rule gives a role",
        ),
        (
            json!({ "preferred_username": "bob", "groups": ["Staff"] }),
            "no_role",
            "no rule",
        ),
        (
            json!({ "groups": ["staff"] }),
            "no_name",
            "name: the provider does not say it",
        ),
        (
            json!({ "preferred_username": "../x", "groups": ["staff"] }),
            "no_name",
            "name: letters",
        ),
        (
            json!({ "preferred_username": "kept", "groups": ["staff"] }),
            "name_taken",
            "has the name",
        ),
    ] {
        meeting.claims(&claims);
        let answer = meeting.sign_in();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, code),
            "{claims}"
        );
        assert!(answer.header("set-cookie").is_none());
        let error = meeting.last_error();
        assert!(error.contains(words), "{claims}: {error}");
    }
    let told = meeting.told();
    assert!(
        told.iter().all(|event| event["method"] == "oidc"),
        "{told:?}"
    );
    assert!(
        told.iter()
            .all(|event| event["subject"] == SUBJECT && event["connector"] == "oidc")
    );
    assert_eq!(
        (&told[0]["user"], &told[0]["success"]),
        (&json!("ada"), &json!(true))
    );
    assert_eq!(
        (&told[2]["user"], &told[2]["code"]),
        (&json!("bob"), &json!("T1000W"))
    );
    assert!(told[6]["user"].is_null(), "{:?}", told[6]);
}

#[test]
fn it_ends_by_signing_out_by_an_administrator_by_the_rule_and_by_a_user_of_the_name() {
    let meeting = Meeting::new("web-oidc-end");
    let place = &meeting.place;
    let status = |cookie: &str| get(place, "/v1/status", cookie).status;
    let (first, second) = (meeting.signed_in(), meeting.signed_in());
    let headers = [
        ("Origin", place.origin.as_str()),
        ("Cookie", first.as_str()),
    ];
    assert_eq!(
        ask(place, ("POST", "/v1/sign-out"), &headers, "").status,
        200
    );
    assert_eq!([status(&first), status(&second)], [401, 200]);
    // An administrator sees who is signed in, and ends it.
    place.user("root", "admin", &["--no-totp"]);
    let root = cookie(place, "root");
    meeting.attempts.set(meeting.attempts.get() + 1);
    let listed = get(place, "/v1/sign-ins", &root).json();
    let rows = listed["sign_ins"].as_array().unwrap();
    let adas: Vec<&Json> = rows.iter().filter(|row| row["user"] == "ada").collect();
    assert_eq!((rows.len(), adas.len()), (2, 1), "{listed}");
    assert_eq!(
        (&adas[0]["subject"], &adas[0]["method"]),
        (&json!(SUBJECT), &json!("oidc"))
    );
    assert_eq!(get(place, "/v1/sign-ins", &second).status, 403);
    let path = format!(
        "/v1/sign-ins/{}?reason=left",
        adas[0]["name"].as_str().unwrap()
    );
    let headers = [("Origin", place.origin.as_str()), ("Cookie", root.as_str())];
    let end = || ask(place, ("DELETE", &path), &headers, "").status;
    assert_eq!((end(), end()), (200, 404));
    assert_eq!(status(&second), 401);
    // What was refused, since it had ended, is on record as refused.
    let told = place.events_of("user.signed_out", 2);
    let ended = told.iter().find(|told| told["success"] == true).unwrap();
    assert_eq!(
        (&ended["name"], &ended["reason"]),
        (&json!("ada"), &json!("left"))
    );
    assert_eq!(ended["user"], "root");
    // A user of the service itself gets the name.
    let third = meeting.signed_in();
    assert_eq!(status(&third), 200);
    place.user("ada", "user", &["--no-totp"]);
    assert_eq!(status(&third), 401);
    place.client(&["user", "rm", "ada", "--reason", "left"], "");
    assert_eq!(status(&third), 401, "what ended does not begin again");
    // The rule is taken away.
    let fourth = meeting.signed_in();
    let secret = place.scratch.join("secret");
    let listen = place.origin.strip_prefix("http://").unwrap();
    let rules = "  claims_to_roles: [{claim: groups, value: others, role: user}]\n";
    let web = section(&meeting.provider.issuer, secret.to_str().unwrap(), rules);
    place.reload(&format!("{web}listen: {listen}"));
    wait_for("the end of the rule", || status(&fourth) == 401);
    assert_eq!(meeting.sign_in().code(), "no_role");
}

#[test]
fn what_comes_back_wrongly_is_refused() {
    let meeting = Meeting::new("web-oidc-back");
    let provider = &meeting.provider;
    let refused = |query: &str, cookie: &str, code: &str, words: &str| {
        let answer = meeting.come_back(query, cookie);
        assert_eq!(answer.code(), code, "{query}: {answer:?}");
        assert!(answer.header("set-cookie").is_none(), "{query}");
        let error = meeting.last_error();
        assert!(error.contains(words), "{query}: {error}");
    };
    // Answered before.
    let (address, cookie) = meeting.leave();
    let query = provider.decide(&address, "yes");
    assert_eq!(meeting.come_back(&query, &cookie).status, 200);
    refused(&query, &cookie, "stale", "nothing was asked");
    // In another browser, or in none; and then it is used up.
    let (address, cookie) = meeting.leave();
    let query = provider.decide(&address, "yes");
    let (_, other) = meeting.leave();
    assert_ne!(cookie, other);
    refused(&query, &other, "stale", "another browser");
    refused(&query, &cookie, "stale", "nothing was asked");
    let (address, _) = meeting.leave();
    refused(
        &provider.decide(&address, "yes"),
        "",
        "stale",
        "another browser",
    );
    // A state that nobody gave out.
    let forged = format!("state={}&code=abc", "A".repeat(43));
    refused(&forged, &cookie, "stale", "nothing was asked");
    // Turned down at the provider; a code that is none; sent back by somebody else.
    let (address, cookie) = meeting.leave();
    let no = provider.decide(&address, "no");
    refused(
        &no,
        &cookie,
        "denied",
        "the provider refused: access_denied",
    );
    let (address, cookie) = meeting.leave();
    let query = provider.decide(&address, "yes");
    let (_, rest) = query.split_once("&code=").unwrap_or(("", ""));
    assert!(!rest.is_empty(), "{query}");
    let state = query
        .split('&')
        .find(|pair| pair.starts_with("state="))
        .unwrap();
    refused(state, &cookie, "stale", "brought no code");
    let (address, cookie) = meeting.leave();
    provider.fault("sender");
    refused(
        &provider.decide(&address, "yes"),
        &cookie,
        "untrusted",
        "another provider",
    );
    provider.fault("no sender");
    let (address, cookie) = meeting.leave();
    refused(
        &provider.decide(&address, "yes"),
        &cookie,
        "untrusted",
        "another provider",
    );
    // Ten from one address are enough: the next is refused unseen, and whoever succeeds is not.
    provider.fault("");
    let (address, cookie) = meeting.leave();
    let code = provider
        .decide(&address, "yes")
        .replace("&code=", "&code=x");
    refused(&code, &cookie, "denied", "invalid_grant");
    let unseen = meeting.come_back(&forged, &cookie);
    assert_eq!((unseen.status, unseen.code().as_str()), (429, "too_many"));
    meeting.signed_in();
    // Another site's page cannot begin or end one.
    let foreign = [
        ("Origin", "http://evil.example"),
        ("Content-Type", "application/json"),
    ];
    for path in ["/v1/sign-in/oidc", "/v1/sign-in/oidc/callback"] {
        let answer = ask(&meeting.place, ("POST", path), &foreign, "{}");
        assert_eq!(answer.code(), "foreign_origin");
        assert_eq!(
            get(&meeting.place, path, "").status == 405,
            path.ends_with("callback")
        );
    }
}

/// Each with its words in the event; in two services, which take ten failures each.
fn tokens_that_do_not_count(name: &str, faults: &[(&str, &str)]) {
    let meeting = Meeting::new(name);
    for (fault, words) in faults {
        meeting.provider.fault(fault);
        let answer = meeting.sign_in();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "untrusted"),
            "{fault}"
        );
        assert!(answer.header("set-cookie").is_none(), "{fault}");
        let error = meeting.last_error();
        assert!(error.contains(words), "{fault}: {error}");
    }
    meeting.provider.fault("");
    meeting.signed_in();
    assert_eq!(meeting.last_error(), "");
}

#[test]
fn a_token_that_is_not_signed_by_the_provider_does_not_count() {
    tokens_that_do_not_count(
        "web-oidc-signed",
        &[
            ("none", "token: it is signed in none of the ways"),
            ("hs256", "token: it is signed in none of the ways"),
            ("unknown key", "token: the provider has no such key"),
            ("foreign key", "token: its signature is wrong"),
        ],
    );
}

#[test]
fn a_token_for_somebody_else_or_of_another_time_does_not_count() {
    tokens_that_do_not_count(
        "web-oidc-for-us",
        &[
            ("issuer", "token: another provider"),
            ("audience", "token: it is for somebody else"),
            ("audiences", "token: it is for somebody else"),
            ("party", "token: it is for somebody else"),
            ("nonce", "token: it is of another attempt"),
            ("no nonce", "token: it is of another attempt"),
            ("expired", "token: it has expired"),
            ("early", "token: it is of a time to come"),
            ("future", "token: it is of a time to come"),
        ],
    );
}

#[test]
fn a_provider_that_does_not_answer_as_it_must_is_told_of_and_waited_for_no_longer() {
    let meeting = Meeting::new("web-oidc-away");
    let provider = &meeting.provider;
    let refused = |answer: &Answer, code: &str, words: &str| {
        assert_eq!(answer.code(), code, "{words}: {answer:?}");
        let error = meeting.last_error();
        assert!(error.contains(words), "{words}: {error}");
    };
    // Of the document: that one failed is remembered for some seconds, so each is waited for.
    for (fault, code, words) in [
        ("away document", "provider_away", "cannot be reached"),
        ("500 document", "provider_away", "it answered 500"),
        (
            "other issuer",
            "provider_unfit",
            "its document is of another issuer",
        ),
    ] {
        provider.fault(fault);
        refused(&meeting.try_to_leave(), code, words);
        provider.fault("");
        refused(&meeting.try_to_leave(), code, words);
        // The page is told the same once more, and it counts as nothing else does.
        std::thread::sleep(FAILURE_KEPT);
    }
    // Of codes and keys.
    for (fault, code, words) in [
        ("302 token", "provider_away", "it answered 302"),
        ("huge token", "provider_away", "longer than 262144 bytes"),
        ("slow token", "provider_away", "no answer within 10 s"),
    ] {
        provider.fault("");
        let (address, cookie) = meeting.leave();
        let query = provider.decide(&address, "yes");
        provider.fault(fault);
        refused(&meeting.come_back(&query, &cookie), code, words);
    }
    provider.fault("");
    meeting.signed_in();
}

#[test]
fn a_provider_may_move_on_to_another_key_and_take_secrets_otherwise() {
    let meeting = Meeting::new("web-oidc-keys");
    let provider = &meeting.provider;
    provider.told(&json!({ "methods": ["client_secret_post"] }));
    meeting.signed_in();
    for _ in 0..2 {
        provider.told(&json!({ "rotate": true }));
        meeting.signed_in();
    }
    // What is no token, and what is no answer.
    for (fault, code, words) in [
        ("no token", "provider_away", "it answered 200"),
        ("junk token", "provider_away", "it answered 200"),
    ] {
        provider.fault(fault);
        assert_eq!(meeting.sign_in().code(), code);
        let error = meeting.last_error();
        assert!(error.contains(words), "{fault}: {error}");
    }
}

#[test]
fn nothing_is_sent_inside_but_to_what_is_named() {
    let meeting = Meeting::new("web-oidc-inside");
    meeting.provider.fault("inside");
    let answer = meeting.sign_in();
    assert_eq!(answer.code(), "provider_away");
    let error = meeting.last_error();
    assert!(error.contains("169.254.169.254, inside"), "{error}");
}

#[test]
fn over_https_only_its_own_authority_is_believed() {
    let scratch = Scratch::new("web-oidc-tls");
    let provider = Provider::start(&scratch, &[], "1");
    let secret = secret(&scratch);
    let named = "  addresses: [127.0.0.1]\n";
    let ca = format!("  ca_file: {}\n", provider.ca);
    // Where it may be, and who vouches for it; then without one of both.
    let web = section(&provider.issuer, &secret, &format!("{RULES}{named}{ca}"));
    let mut meeting = Meeting {
        place: Place::serving(scratch, web.trim_end()),
        provider,
        attempts: Cell::new(0),
    };
    let (address, _) = meeting.leave();
    let at = format!("{}/authorize?response_type=code&", meeting.provider.issuer);
    assert!(address.starts_with(&at), "{address}");
    assert!(address.contains("&client_id=han%20sard&"), "{address}");
    for (more, words) in [(named, "TLS: "), (ca.as_str(), "127.0.0.1, inside")] {
        let web = section(&meeting.provider.issuer, &secret, &format!("{RULES}{more}"));
        meeting.place.again(web.trim_end());
        assert_eq!(meeting.try_to_leave().code(), "provider_away");
        let error = meeting.last_error();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_provider_that_cannot_be_used_is_named_at_the_start() {
    let scratch = Scratch::new("web-oidc-config");
    let mut daemon = hansard_tests::Daemon::new(&scratch.join("service"), "keeper", "store: {}");
    daemon.must("init", &["--cluster", "test"]);
    let path = secret(&scratch);
    let mut refused = |web: &str, key: &str, words: &str| {
        let said = checked(&daemon, web);
        assert!(
            said.contains(&format!("error: serve.web.oidc.0.{key}: ")),
            "{said}"
        );
        assert!(said.contains(words), "{said}");
        assert!(!daemon.try_start(), "{web}");
    };
    use std::os::unix::fs::PermissionsExt as _;
    let issuer = "https://id.example.org";
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(
        &section(issuer, &path, RULES),
        "client_secret_file",
        "mode 0644",
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "").unwrap();
    refused(
        &section(issuer, &path, RULES),
        "client_secret_file",
        "not one line",
    );
    std::fs::write(&path, "s").unwrap();
    refused(
        &section("http://id.example.org", &path, RULES),
        "issuer_url",
        "https",
    );
    let ca = format!("{RULES}  ca_file: {path}\n");
    refused(&section(issuer, &path, &ca), "ca_file", "no certificate");
    let rule = "  claims_to_roles: [{claim: a, value: b, role: root}]\n";
    refused(
        &section(issuer, &path, rule),
        "claims_to_roles.0.role",
        "not a role",
    );
}

#[test]
fn in_a_browser() {
    if !is_here() {
        return;
    }
    let meeting = Meeting::new("web-oidc-browser");
    meeting.place.user("root", "admin", &["--no-totp"]);
    let mut recorded = meeting.place.record("of somebody", "echo said");
    recorded.wait().unwrap();
    let sid = meeting.place.session("of somebody", true)["sid"].clone();
    let told = [
        ("PROVIDER", meeting.provider.issuer.as_str()),
        ("SID", sid.as_str().unwrap()),
    ];
    assert_eq!(led("oidc.mjs", &meeting.place.origin, &told), 8);
    wait_for("who was signed out", || {
        !meeting.place.events("user.signed_out").is_empty()
    });
}
