//! How many events there are: the same as are listed, for whoever may list them.

use std::collections::BTreeMap;

use hansardd::api::role::Role;
use serde_json::Value as Json;

use crate::keep::{header, parts};
use crate::service::{Service, own_uid};
use crate::speak::get;

/// A service that keeps sessions of who asks and of somebody else.
fn service(name: &str) -> Service {
    let service = Service::start(name);
    let me = format!("user{}", own_uid());
    let recordings: Vec<_> = (1..=6)
        .map(|n| {
            let user = if n % 3 == 0 { me.as_str() } else { "ada" };
            parts(header(n, user, "x"), "hi", true)
        })
        .collect();
    service.kept.store(&recordings);
    service
}

fn counted(counts: &Json, by: &str) -> BTreeMap<String, u64> {
    let values = counts["by"][by]["values"].as_array().unwrap().iter();
    values
        .map(|one| {
            let value = one["value"].as_str().unwrap().to_owned();
            (value, one["count"].as_u64().unwrap())
        })
        .collect()
}

fn listed(events: &Json, field: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for event in events["events"].as_array().unwrap() {
        let value = event[field].as_str().unwrap_or_default().to_owned();
        *counts.entry(value).or_default() += 1;
    }
    counts
}

#[test]
fn what_is_counted_is_what_is_listed() {
    let service = service("api-counts");
    service.role(Some(Role::Reviewer));
    for filter in [
        "",
        "user=ada",
        "event=session.end",
        "host=web-1",
        "kind=terminal&user=ada",
    ] {
        let events = get(&service, &format!("/v1/events?{filter}")).json();
        let counts = get(&service, &format!("/v1/events/counts?buckets=7&{filter}")).json();
        let total = events["events"].as_array().unwrap().len() as u64;
        assert!(total > 0, "{filter}");
        assert_eq!(counts["total"], total, "{filter}");
        assert_eq!(
            (&counts["looked_at"], &counts["time_exact"]),
            (&1.into(), &true.into())
        );
        assert_eq!(counts["counted_from"], Json::Null);
        for (by, field) in [
            ("event", "event"),
            ("user", "user"),
            ("host", "server_hostname"),
        ] {
            assert_eq!(
                counted(&counts, by),
                listed(&events, field),
                "{filter} by {by}"
            );
        }
        let outcomes = counted(&counts, "outcome");
        assert_eq!(outcomes.values().sum::<u64>(), total, "{filter}");
        let buckets = counts["buckets"].as_array().unwrap();
        assert!(buckets.len() <= 7);
        let sum: u64 = buckets.iter().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(sum, total, "{filter}");
    }
}

#[test]
fn a_user_is_told_of_their_own_alone() {
    let service = service("api-counts-own");
    service.role(Some(Role::User));
    let me = format!("user{}", own_uid());
    let counts = get(&service, "/v1/events/counts").json();
    let users: Vec<String> = counted(&counts, "user").into_keys().collect();
    assert_eq!(users, [me]);
    assert_eq!(get(&service, "/v1/events/counts?user=ada").status, 403);
}
