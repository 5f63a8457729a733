//! What is one's own, what a reviewer sees, and what is told of who reaches for more.

use std::time::{Duration, Instant};

use hansard_core::Value;
use hansard_core::event::Fact;
use hansardd::api::refusals::REFUSALS_TOLD_MAX;
use hansardd::api::role::Role;

use crate::keep::{header, id, parts};
use crate::service::{Service, own_uid};
use crate::speak::get;

/// A service that keeps a session of who asks (1), and one of somebody else (2).
fn service(name: &str) -> Service {
    let service = Service::start(name);
    let me = format!("user{}", own_uid());
    service.kept.store(&[
        parts(header(1, &me, "mine"), "hello\r\n", true),
        parts(header(2, "ada", "hers"), "secret\r\n", true),
    ]);
    service
}

fn sids(answer: &serde_json::Value) -> Vec<String> {
    let rows = answer["sessions"].as_array().unwrap();
    let mut sids: Vec<String> = rows
        .iter()
        .map(|row| row["sid"].as_str().unwrap().to_owned())
        .collect();
    sids.sort();
    sids
}

#[test]
fn a_user_sees_their_own_sessions_and_of_others_not_even_whether_they_are_there() {
    let service = service("api-own");
    service.role(Some(Role::User));
    let (mine, hers) = (id(1).to_string(), id(2).to_string());
    assert_eq!(sids(&get(&service, "/v1/sessions").json()).join(" "), mine);
    assert_eq!(get(&service, "/v1/sessions?user=ada").status, 403);
    for part in ["", "/recording", "/verify"] {
        service.record.lock().unwrap().clear();
        let answer = get(&service, &format!("/v1/sessions/{mine}{part}"));
        assert_eq!(answer.status, 200, "{part}: {answer:?}");
        // One's own is looked at no less on record.
        assert_eq!(outcomes(&service.record.lock().unwrap()), [true], "{part}");
    }
    let played = service.run(&["cat", &mine]);
    assert!(String::from_utf8_lossy(&played.stdout).contains("hello"));
    let nowhere = id(77).to_string();
    for part in ["", "/recording", "/follow", "/verify"] {
        let of_other = get(&service, &format!("/v1/sessions/{hers}{part}"));
        let of_none = get(&service, &format!("/v1/sessions/{nowhere}{part}"));
        assert_eq!((of_other.status, of_none.status), (403, 403), "{part}");
        let said = |answer: &crate::speak::Answer| answer.json()["error"]["message"].clone();
        assert_eq!(said(&of_other), said(&of_none), "{part}");
    }
    for event in get(&service, "/v1/events").json()["events"]
        .as_array()
        .unwrap()
    {
        assert_eq!(event["sid"], mine, "{event}");
    }
    assert_eq!(get(&service, "/v1/holds").status, 403);
    assert_eq!(get(&service, "/v1/hosts").status, 403);
}

fn outcomes(record: &[Fact]) -> Vec<bool> {
    let success = |fact: &Fact| fact.fields.get("success") == Some(&Value::Bool(true));
    record.iter().map(success).collect()
}

#[test]
fn a_reviewer_lists_everything_and_looks_at_no_recording_of_others() {
    let service = service("api-review");
    service.role(Some(Role::Reviewer));
    let (mine, hers) = (id(1).to_string(), id(2).to_string());
    let all = sids(&get(&service, "/v1/sessions").json());
    assert_eq!(all, [mine.clone(), hers.clone()]);
    let events = get(&service, "/v1/events").json();
    let events = events["events"].as_array().unwrap().clone();
    assert!(events.iter().any(|event| event["sid"] == hers.as_str()));
    assert_eq!(get(&service, &format!("/v1/sessions/{hers}")).status, 200);
    for part in ["recording", "follow", "verify"] {
        let answer = get(&service, &format!("/v1/sessions/{hers}/{part}"));
        assert_eq!(answer.status, 403, "{part}: {answer:?}");
    }
    let answer = get(&service, &format!("/v1/sessions/{mine}/recording"));
    assert_eq!(answer.status, 200);
}

fn summed(record: &[Fact]) -> Vec<u64> {
    let sums = record.iter().filter(|fact| fact.event == "access.refused");
    sums.map(|fact| match fact.fields.get("times") {
        Some(Value::Uint(times)) => *times,
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn who_is_refused_again_and_again_does_not_fill_the_record() {
    let (service, refusals) = Service::counting("api-refusals", Duration::from_secs(3600));
    service.role(Some(Role::User));
    let target = format!("/v1/sessions/{}/recording", id(2));
    let told = u64::from(REFUSALS_TOLD_MAX);
    for _ in 0..told + 25 {
        assert_eq!(get(&service, &target).status, 403);
    }
    assert_eq!(service.record.lock().unwrap().len() as u64, told);
    // What is left when the service stops is told then.
    let left: Vec<Fact> = refusals
        .left()
        .into_iter()
        .map(|body| match body {
            hansard_core::Body::Admin(fact) => fact,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(summed(&left), [25]);
    assert_eq!(
        left[0].fields.get("user_uid"),
        Some(&Value::Uint(u64::from(own_uid())))
    );
}

#[test]
fn what_was_counted_is_told_by_itself_when_the_window_is_over() {
    let (service, _) = Service::counting("api-window", Duration::from_millis(200));
    service.role(Some(Role::User));
    let target = format!("/v1/sessions/{}/recording", id(2));
    let until = Instant::now() + Duration::from_secs(60);
    // A slow machine may not get beyond the bound within a window: then the next one counts.
    while summed(&service.record.lock().unwrap()).is_empty() {
        assert!(Instant::now() < until, "nothing was summed up");
        get(&service, &target);
    }
}
