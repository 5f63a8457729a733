//! Every look is on record first, and without a record there is no look.

use std::sync::atomic::Ordering;

use hansard_core::{Value, verify::verify};

use crate::keep::{header, id, parts};
use crate::service::Service;
use crate::speak::{ask, get};

#[test]
fn a_look_says_who_what_and_why() {
    let service = Service::start("api-looks");
    let recording = parts(header(1, "ada", "x"), "hello\r\n", true);
    service.kept.store(std::slice::from_ref(&recording));
    let sid = id(1).to_string();
    let answer = get(
        &service,
        &format!("/v1/sessions/{sid}/recording?reason=case%2042"),
    );
    let stored: Vec<u8> = recording.iter().flat_map(|p| p.bytes().to_vec()).collect();
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("application/vnd.hansard.recording"),
        "{}",
        answer.head
    );
    assert!(answer.body == stored, "what is stored is what is sent");
    let record = service.record.lock().unwrap();
    let fact = &record[0];
    let uid = crate::service::own_uid();
    assert_eq!(fact.event, "session.recording.access");
    assert_eq!(
        fact.fields.text("user"),
        Some(format!("user{uid}").as_str())
    );
    assert_eq!(
        fact.fields.get("user_uid"),
        Some(&Value::Uint(u64::from(uid)))
    );
    assert_eq!(
        fact.fields.get("user_roles"),
        Some(&Value::List(vec!["admin".into()]))
    );
    assert_eq!(fact.fields.get("success"), Some(&Value::Bool(true)));
    assert_eq!(
        fact.fields.get("pid"),
        Some(&Value::Uint(u64::from(std::process::id())))
    );
    assert_eq!(fact.fields.text("recording"), Some(sid.as_str()));
    assert_eq!(fact.fields.text("format"), Some("hansard"));
    assert_eq!(fact.fields.text("reason"), Some("case 42"));
}

#[test]
fn without_a_record_nothing_is_shown_or_done() {
    let service = Service::start("api-unrecorded");
    service
        .kept
        .store(&[parts(header(1, "ada", "x"), "secret\r\n", true)]);
    service.record_fails.store(true, Ordering::SeqCst);
    let sid = id(1).to_string();
    for part in ["", "/recording", "/follow", "/verify"] {
        let answer = get(&service, &format!("/v1/sessions/{sid}{part}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "not_recorded"),
            "{part}"
        );
        let said = String::from_utf8(answer.body).unwrap();
        // What went wrong inside is for the log, under the request's name.
        assert!(
            !said.contains("secret") && !said.contains("disk full"),
            "{said}"
        );
        let json: serde_json::Value = serde_json::from_str(&said).unwrap();
        let request = json["error"]["request_id"].as_str().unwrap();
        let log = service.said.lock().unwrap().join("\n");
        assert!(log.contains(request) && log.contains("disk full"), "{log}");
    }
    let token = r#"{"role":"host","ttl_s":60,"uses":1}"#;
    assert_eq!(ask(&service, "POST", "/v1/tokens", token).status, 503);
    assert!(service.kept.tokens.lock().unwrap().is_empty());
    // What is no look needs none.
    assert_eq!(get(&service, "/v1/status").status, 200);
    service.record_fails.store(false, Ordering::SeqCst);
    assert_eq!(
        get(&service, &format!("/v1/sessions/{sid}/recording")).status,
        200
    );
}

#[test]
fn what_is_not_archived_yet_is_sent_behind_what_is() {
    let service = Service::start("api-pending");
    let pending: Vec<u8> = parts(header(5, "ada", "x"), "now\r\n", false)
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect();
    service
        .kept
        .pending
        .lock()
        .unwrap()
        .insert(id(5), pending.clone());
    let answer = get(&service, &format!("/v1/sessions/{}/recording", id(5)));
    assert!(answer.body == pending);
    assert!(verify(&*answer.body).unwrap().events > 0);
}

#[test]
fn a_changed_archive_is_told() {
    let service = Service::start("api-rot");
    service.kept.store(&[parts(
        header(1, "ada", "x"),
        &"hello\r\n".repeat(1000),
        true,
    )]);
    let path = format!("/v1/sessions/{}/verify", id(1));
    let sound = get(&service, &path).json();
    assert_eq!(
        (sound["verdict"].as_str(), sound["damages_count"].as_u64()),
        (Some("complete"), Some(0))
    );
    assert_eq!(sound["head"], sound["archived_head"]);
    use hansard_store::Catalog as _;
    let row = service
        .kept
        .catalog
        .segments(id(1), 0, 1)
        .unwrap()
        .remove(0);
    let at = usize::try_from(row.place.offset + row.place.bytes / 2).unwrap();
    service.kept.blobs.rot(&row.place.blob, at, 3);
    let found = get(&service, &path).json();
    assert_eq!(found["verdict"], "damaged");
    assert_eq!(found["differences"][0]["segment"], 0);
    let sid = id(1).to_string();
    let (status, _) = service.fails(&["verify", &sid]);
    assert_eq!(status, 3);
    assert!(service.ok(&["show", &sid]).contains("damaged"));
}
