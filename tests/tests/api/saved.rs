//! Searches that somebody keeps under a name: their own, and on record.

use hansardd::api::role::Role;
use serde_json::json;

use crate::service::Service;
use crate::speak::{ask, get};

fn keep(service: &Service, name: &str, query: &str) -> crate::speak::Answer {
    let wish = json!({ "name": name, "page": "events", "query": query });
    ask(service, "POST", "/v1/saved", &wish.to_string())
}

#[test]
fn a_search_is_kept_listed_and_removed_and_that_is_on_record() {
    let service = Service::start("api-saved");
    // No role is too low for questions of one's own.
    service.role(Some(Role::User));
    let kept = keep(&service, "failed logins", "event=user.login").json();
    assert_eq!(kept["query"], "event=user.login");
    let id = kept["id"].as_str().unwrap().to_owned();
    // One of the same name takes its place.
    keep(&service, "failed logins", "event=auth");
    let listed = get(&service, "/v1/saved").json();
    assert_eq!(listed["searches"].as_array().unwrap().len(), 1);
    assert_eq!(listed["searches"][0]["query"], "event=auth");
    assert_eq!(listed["searches"][0]["id"], id);
    let path = format!("/v1/saved/{id}");
    assert_eq!(ask(&service, "DELETE", &path, "").status, 200);
    assert_eq!(ask(&service, "DELETE", &path, "").status, 404);
    assert_eq!(get(&service, "/v1/saved").json()["searches"], json!([]));
    let record = service.record.lock().unwrap();
    let first = &record[0];
    assert_eq!(first.event, "search.saved");
    assert_eq!(first.fields.text("name"), Some("failed logins"));
    assert_eq!(first.fields.text("page"), Some("events"));
    assert_eq!(first.fields.text("query"), Some("event=user.login"));
    let names: Vec<_> = record.iter().map(|fact| fact.event.as_str()).collect();
    let wanted = [
        "search.saved",
        "search.saved",
        "search.removed",
        "search.removed",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn what_is_no_search_is_refused_and_nothing_is_kept_that_could_not_be_put_on_record() {
    let service = Service::start("api-saved-bad");
    for (wish, part) in [
        (
            json!({ "name": "", "page": "events", "query": "" }),
            "name:",
        ),
        (
            json!({ "name": "x", "page": "users", "query": "" }),
            "page: one of sessions, search, events",
        ),
        (
            json!({ "name": "x", "page": "events", "query": "a b" }),
            "query:",
        ),
        (json!({ "name": "x", "page": "events" }), "query"),
        (
            json!({ "name": "x", "page": "events", "query": "", "user": "eve" }),
            "user",
        ),
    ] {
        let answer = ask(&service, "POST", "/v1/saved", &wish.to_string());
        assert_eq!(answer.status, 400, "{wish}: {answer:?}");
        let said = answer.json()["error"]["message"].to_string();
        assert!(said.contains(part), "{wish}: {said}");
    }
    assert_eq!(get(&service, "/v1/saved").json()["searches"], json!([]));
    assert!(service.did_nothing());
    for n in 0..50 {
        assert_eq!(keep(&service, &format!("search {n}"), "").status, 200);
    }
    let full = keep(&service, "one more", "");
    assert_eq!(full.status, 409, "{full:?}");
    // That it was not kept after all is on record, too.
    let record = service.record.lock().unwrap();
    let last = record.last().unwrap();
    let error = last.fields.text("error").unwrap();
    assert!(
        error.starts_with("it was not done after all: you keep 50"),
        "{error}"
    );
    drop(record);
    service
        .record_fails
        .store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(keep(&service, "search 7", "user=eve").status >= 500);
    let listed = get(&service, "/v1/saved").json();
    let rows = listed["searches"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["query"] == ""), "{listed}");
}
