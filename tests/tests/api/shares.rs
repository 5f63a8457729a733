//! Links for people without an account, as they are made, listed and revoked.

use hansard_core::seal::SigningKey;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Value};

use crate::keep::{header, id, parts};
use crate::service::{Service, lines};
use crate::speak::ask;

fn service(name: &str) -> Service {
    let service = Service::start(name);
    service
        .kept
        .store(&[parts(header(1, "ada", "over"), "hi", true)]);
    service
}

#[test]
fn links_are_made_listed_and_revoked_and_all_of_it_is_on_record() {
    let service = service("api-shares");
    let sid = id(1).to_string();
    let made = service.ok(&[
        "share",
        &sid,
        "--for",
        "Ms Outside",
        "--clip",
        "1.5..3",
        "--json",
    ]);
    let made = &lines(&made)[0];
    let link = made["link"].as_str().unwrap();
    assert!(
        link.starts_with("http://127.0.0.1:3080/shared#hansard-link-"),
        "{link}"
    );
    assert_eq!(
        (&made["from_ms"], &made["until_ms"]),
        (&1500.into(), &3000.into())
    );
    service.ok(&["share", &sid, "--for", "Mr Later", "--ttl", "90d"]);
    let listed = lines(&service.ok(&["share", "ls", "--json"]));
    assert_eq!(listed.len(), 2);
    assert!(
        listed.iter().all(|row| row.get("link").is_none()),
        "{listed:?}"
    );
    let name = made["name"].as_str().unwrap();
    service.ok(&["share", "rm", name, "--reason", "enough"]);
    let listed = service.ok(&["share", "ls", "--session", &sid, "--json"]);
    let revoked = lines(&listed)
        .iter()
        .filter(|row| row["revoked"].is_string())
        .count();
    assert_eq!(revoked, 1);
    let nothing = service.ok(&["share", "ls", "--session", &id(2).to_string()]);
    assert_eq!(nothing, "");
    let events: Vec<String> = service
        .recorded()
        .into_iter()
        .map(|(event, _)| event)
        .collect();
    assert_eq!(
        events,
        ["recording.shared", "recording.shared", "recording.unshared"]
    );
    let record = service.record.lock().unwrap();
    assert_eq!(record[0].fields.text("recording"), Some(sid.as_str()));
    assert_eq!(record[0].fields.text("shared_with"), Some("Ms Outside"));
    assert_eq!(record[0].fields.get("from_ms"), Some(&Value::Uint(1500)));
    assert_eq!(record[2].fields.text("share"), Some(name));
}

#[test]
fn what_may_not_be_shared_is_refused_and_nothing_is_on_record_as_done() {
    let service = service("api-unshared");
    let over = id(1).to_string();
    for (args, words) in [
        (
            vec!["share", &over, "--for", "x", "--ttl", "91d"],
            "at most 90 days",
        ),
        (vec!["share", &over, "--for", "a\u{202e}b"], "can be seen"),
        (
            vec!["share", &over, "--for", "x", "--until", "2026-01-01"],
            "that is over",
        ),
        (
            vec!["share", &over, "--for", "x", "--clip", "2.1.."],
            "which is 2.000 s long",
        ),
        // Without its beginning it would lead to all of it.
        (
            vec!["share", &over, "--for", "x", "--clip", "end.."],
            "nothing is behind that",
        ),
        (
            vec!["share", &over, "--for", "x", "--clip", "1..1"],
            "ends where it begins",
        ),
        (vec!["share", "rm", "nobody"], "nothing here"),
        (vec!["share", &over], "--for"),
    ] {
        let (_, said) = service.fails(&args);
        assert!(said.contains(words), "{args:?}: {said}");
    }
    assert!(service.did_nothing());
    // What cannot be put on record is not done.
    service
        .record_fails
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let path = format!("/v1/sessions/{over}/shares");
    let answer = ask(&service, "POST", &path, r#"{"viewer":"x","ttl_s":60}"#);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(service.ok(&["share", "ls"]), "");
}

#[test]
fn what_cannot_be_shared_yet_is_said_with_what_to_do() {
    let service = service("api-shares-going-on");
    // A first segment is archived, and there is no end.
    let bounds = Bounds {
        segment_ns: 1,
        ..Bounds::default()
    };
    let key = SigningKey::from_seed([7; 32]);
    let mut writer = SegmentWriter::new(header(3, "ada", "going"), key, bounds).unwrap();
    writer
        .push(0, &Body::Resize { cols: 80, rows: 24 })
        .unwrap();
    writer.tick(2_000_000_000).unwrap();
    service.kept.store(&[writer.parts()]);
    let (status, said) = service.fails(&["share", &id(3).to_string(), "--for", "Ms Outside"]);
    assert_eq!(status, 2, "{said}");
    assert!(
        said.contains("going on") && said.contains("`hansard follow`"),
        "{said}"
    );
}
