//! What is recorded on each host, and what is not: as recordings say it.

use std::sync::Arc;

use hansard_store::Catalog as _;
use hansard_store::catalog::EventRow;
use hansardd::api::role::Role;
use hansardd::api::seams::HostRow;
use serde_json::{Value as Json, json};

use crate::keep::{BASE_NS, SECOND_NS, header, id, parts};
use crate::service::Service;
use crate::speak::get;

fn event(host: &str, name: &str, seq: u64, fields: Json) -> EventRow {
    EventRow {
        session: id(90),
        seq,
        ordinal: 0,
        time_ns: BASE_NS + seq * SECOND_NS,
        name: name.to_owned(),
        user: String::new(),
        host: host.to_owned(),
        kind: "host".to_owned(),
        facts: fields.to_string(),
    }
}

fn on(host: &Json, what: &str) -> Option<bool> {
    let covers = host["covers"].as_array().unwrap();
    let found = covers.iter().find(|one| one["what"] == what)?;
    found["on"].as_bool()
}

#[test]
fn what_a_host_records_is_what_its_daemon_said_last() {
    let service = Service::start("api-coverage");
    // Sessions on web-0 and web-1; a host that joined and never told anything; one with a daemon alone.
    let recordings: Vec<_> = (1..=4)
        .map(|n| parts(header(n, "ada", "x"), "hi", true))
        .collect();
    service.kept.store(&recordings);
    let joined = HostRow {
        id: "h-1".to_owned(),
        name: "silent".to_owned(),
        role: "host".to_owned(),
        connected: true,
        ..HostRow::default()
    };
    service
        .kept
        .hosts
        .lock()
        .unwrap()
        .insert("h-1".to_owned(), joined);
    let before =
        json!({ "roles": ["capture.local", "capture.host", "forward"], "server_version": "0.1.0" });
    let now = json!({ "roles": ["capture.shell", "capture.local", "forward"], "server_version": "0.2.0" });
    let rows = [
        event("web-1", "daemon.start", 1, before),
        event("web-1", "daemon.stop", 2, json!({})),
        event("web-1", "daemon.start", 3, now),
        event("web-1", "alarm", 4, json!({ "alarm": "host_events" })),
        event("web-1", "alarm", 5, json!({ "alarm": "terminal_input" })),
        event("alone", "daemon.start", 6, json!({ "roles": [] })),
        event("alone", "daemon.stop", 7, json!({})),
    ];
    service.kept.catalog.put_events(Arc::from(rows)).unwrap();
    service.role(Some(Role::Auditor));
    let answer = get(&service, "/v1/coverage").json();
    assert_eq!(
        (&answer["complete"], &answer["facts_complete"]),
        (&true.into(), &true.into())
    );
    let hosts = answer["hosts"].as_array().unwrap();
    let names: Vec<&str> = hosts
        .iter()
        .map(|host| host["host"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["alone", "silent", "web-0", "web-1"]);
    let [alone, silent, web_0, web_1] = hosts.as_slice() else {
        panic!("{hosts:?}");
    };
    // The last start counts, and that it stopped before that does not.
    assert_eq!(web_1["daemon"]["version"], "0.2.0");
    assert_eq!(web_1["daemon"]["stopped"], Json::Null);
    let covered = ["logins", "programs", "host_events", "ssh_node", "sent_on"];
    let covered = covered.map(|what| on(web_1, what).unwrap());
    assert_eq!(covered, [true, true, false, false, true]);
    assert_eq!(web_1["alarms"], 2);
    assert_eq!(
        web_1["alarm_kinds"],
        json!(["host_events", "terminal_input"])
    );
    assert_eq!(web_1["kinds"][0]["kind"], "terminal");
    assert_eq!(web_1["kinds"][0]["sessions"], 2);
    // Of a host without a daemon it is not said what is not recorded.
    assert_eq!(
        (&web_0["daemon"], &web_0["covers"]),
        (&Json::Null, &json!([]))
    );
    assert_eq!(web_0["kinds"][0]["sessions"], 2);
    assert_eq!(
        (&silent["host_id"], &silent["connected"]),
        (&json!("h-1"), &json!(true))
    );
    assert_eq!(
        (&silent["daemon"], &silent["kinds"]),
        (&Json::Null, &json!([]))
    );
    assert!(alone["daemon"]["stopped"].is_string());
    assert_eq!(on(alone, "logins"), Some(false));
    // In pages, each host once.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(&service, &format!("/v1/coverage?limit=1{cursor}")).json();
        paged.push(page["hosts"][0]["host"].as_str().unwrap().to_owned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, names);
}
