//! The policy: set, looked at, tried out; and put on record before it decides.

use std::fs;
use std::sync::atomic::Ordering;

use hansard_core::Value;
use hansardd::api::role::Role;
use hansardd::config::policy::POLICY_BYTES_MAX;
use serde_json::{Value as Json, json};

use crate::service::Service;
use crate::speak::{ask, get, parse, raw};

const FIRST: &str = "scope: none\nrules:\n- {name: prod, groups: admins, labels: {env: prod}, record: true, idle: 15m}\n";
const SECOND: &str = "scope: all\nexclude_users: backup\ndefault: {notice: be good}\n";

fn set(service: &Service, text: &str, if_match: Option<&str>) -> crate::speak::Answer {
    let body = json!({ "text": text, "reason": "because" }).to_string();
    let tag = if_match.map(|tag| format!("if-match: {tag}\r\n"));
    let request = format!(
        "PUT /v1/policy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}content-length: {}\r\n\r\n{body}",
        tag.unwrap_or_default(),
        body.len()
    );
    parse(&raw(service, request.as_bytes()))
}

fn version(service: &Service) -> u64 {
    get(service, "/v1/policy").json()["version"]
        .as_u64()
        .unwrap()
}

#[test]
fn a_change_is_on_record_with_what_changed_and_old_versions_stay() {
    let service = Service::start("api-policy");
    assert_eq!(version(&service), 0);
    assert_eq!(set(&service, FIRST, Some("\"0\"")).status, 200);
    let answer = set(&service, SECOND, Some("\"1\""));
    assert_eq!(
        (answer.status, answer.json()["version"].as_u64()),
        (200, Some(2))
    );
    assert!(
        answer.head.to_lowercase().contains("etag: \"2\""),
        "{}",
        answer.head
    );
    let record = service.record.lock().unwrap().clone();
    assert_eq!(record.len(), 2, "{record:?}");
    let fields = &record[1].fields;
    assert_eq!(record[1].event, "session_recording_config.update");
    let number = |name: &str| fields.get(name).cloned();
    assert_eq!(number("policy_version"), Some(Value::Uint(2)));
    assert_eq!(number("previous_version"), Some(Value::Uint(1)));
    assert_eq!(number("success"), Some(Value::Bool(true)));
    assert_eq!(fields.text("reason"), Some("because"));
    let texts = |names: &[&str]| {
        let texts = names.iter().map(|name| Value::Text((*name).to_owned()));
        Some(Value::List(texts.collect()))
    };
    assert_eq!(number("rules_removed"), texts(&["rules.prod"]));
    assert_eq!(number("rules_changed"), texts(&["scope", "default"]));
    assert_eq!(
        record[0].fields.text("sha256"),
        fields.text("previous_sha256")
    );
    let first = get(&service, "/v1/policy?version=1").json();
    assert_eq!(first["text"].as_str(), Some(FIRST));
    assert_eq!(get(&service, "/v1/policy?version=3").status, 404);
    assert_eq!(get(&service, "/v1/policy?version=0").status, 400);
}

#[test]
fn what_is_wrong_or_stale_or_cannot_be_recorded_changes_nothing() {
    let service = Service::start("api-policy-refused");
    assert_eq!(set(&service, FIRST, None).status, 200);
    let on_record = || service.record.lock().unwrap().len();
    assert_eq!(on_record(), 1);
    let stale = set(&service, SECOND, Some("\"0\""));
    assert_eq!((stale.status, stale.code().as_str()), (412, "changed"));
    assert_eq!(set(&service, SECOND, Some("x")).status, 400);
    let wrong = set(
        &service,
        "scope: all\nrules:\n- {name: a, strikt: true}\n",
        None,
    );
    let said = wrong.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(wrong.status, 400);
    assert!(
        said.contains("line 3") && said.contains("rules.0") && said.contains("strict?"),
        "{said}"
    );
    let without_effect = set(&service, "scope: some\n", None);
    assert!(String::from_utf8_lossy(&without_effect.body).contains("line 1"));
    let long = "#".repeat(POLICY_BYTES_MAX + 1);
    assert_eq!(set(&service, &long, None).status, 400);
    assert_eq!(on_record(), 1);
    service.record_fails.store(true, Ordering::SeqCst);
    let unrecorded = set(&service, SECOND, None);
    assert_eq!(
        (unrecorded.status, unrecorded.code().as_str()),
        (503, "not_recorded")
    );
    service.record_fails.store(false, Ordering::SeqCst);
    assert_eq!(version(&service), 1);
    let test =
        |service: &Service| ask(service, "POST", "/v1/policy/test", r#"{"user":"ann"}"#).json();
    assert_eq!(test(&service)["recorded"], false);
}

#[test]
fn the_client_sets_shows_and_tries_out() {
    let service = Service::start("api-policy-client");
    let file = |name: &str, text: &str| {
        let path = service.scratch.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (first, second) = (file("first", FIRST), file("second", SECOND));
    assert_eq!(service.ok(&["policy", "get"]), "");
    let said = service.ok(&["policy", "set", &first, "--reason", "why not"]);
    assert!(said.starts_with("policy 1 "), "{said}");
    assert_eq!(service.ok(&["policy", "get"]), FIRST);
    let (_, said) = service.fails(&["policy", "set", &second, "--if-version", "0"]);
    assert!(
        said.contains("version 1, not 0") && said.contains("policy get"),
        "{said}"
    );
    let decided = |args: &[&str]| {
        let args = [&["policy", "test", "--json"], args].concat();
        serde_json::from_str::<Json>(&service.ok(&args)).unwrap()
    };
    // The labels are those that the host joined with.
    let prod = decided(&["--user", "ann", "--group", "admins", "--host", "web-0"]);
    assert_eq!(
        (&prod["recorded"], &prod["rule"]),
        (&json!(true), &json!("prod"))
    );
    assert_eq!(
        (&prod["idle_ms_max"], &prod["version"]),
        (&json!(900_000), &json!(1))
    );
    let elsewhere = decided(&["--user", "ann", "--group", "admins", "--host", "web-9"]);
    assert_eq!(
        (&elsewhere["recorded"], &elsewhere["host_known"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        decided(&["--user", "ann", "--host", "web-0"])["recorded"],
        false
    );
    // A text that is not set.
    let draft = decided(&["--user", "ann", "--file", &second]);
    assert_eq!(
        (&draft["recorded"], &draft["notice"]),
        (&json!(true), &json!("be good"))
    );
    let people = service.ok(&["policy", "test", "--user", "backup", "--file", &second]);
    assert!(people.starts_with("not recorded, by no rule"), "{people}");
    assert_eq!(version(&service), 1);
    // An auditor looks and tries out, and does not set.
    service.role(Some(Role::Auditor));
    assert_eq!(service.ok(&["policy", "get"]), FIRST);
    decided(&["--user", "ann"]);
    assert!(
        service
            .fails(&["policy", "set", &second])
            .1
            .contains("role")
    );
    service.role(Some(Role::Reviewer));
    assert!(service.fails(&["policy", "get"]).1.contains("role"));
}
