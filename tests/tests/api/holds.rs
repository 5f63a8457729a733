//! What is held, and what was deleted.

use hansard_store::catalog::{Burial, Buried, Retention as _};

use crate::keep::{BASE_NS, header, id, parts};
use crate::service::{Service, lines};
use crate::speak::{ask, get};

fn burial() -> Burial {
    Burial {
        by: "retention rule 2".to_owned(),
        why: "older than 90 days".to_owned(),
        utc_ns: BASE_NS,
    }
}

#[test]
fn a_held_session_is_not_deleted_and_what_is_deleted_says_so() {
    let service = Service::start("api-holds");
    for number in [1, 2] {
        let session = parts(header(number, "ada", "x"), "hi", true);
        service.kept.store(&[session]);
    }
    let catalog = &service.kept.catalog;
    let (held, other) = (id(1).to_string(), id(2).to_string());
    assert!(service.ok(&["hold", "ls"]).is_empty());
    service.ok(&["hold", "add", &held, "--reason", "case 42"]);
    service.ok(&["hold", "add", &held, "--reason", "case 42"]);
    service.ok(&["hold", "add", &other, "--reason", "case 43"]);
    assert_eq!(lines(&service.ok(&["hold", "ls", "--json"])).len(), 2);
    let first = service.run(&["hold", "ls", "--limit", "1"]);
    let said = String::from_utf8(first.stderr).unwrap();
    assert!(said.contains(&format!("--cursor {held}")), "{said}");
    service.ok(&["hold", "rm", &other, "--reason", "settled"]);
    assert!(service.ok(&["hold", "ls"]).contains(&held));
    assert_eq!(catalog.held(&[id(1), id(2)]).unwrap(), [true, false]);
    let recorded: Vec<_> = service.recorded();
    let of = |event: &str, sid: &str| (event.to_owned(), Some(sid.to_owned()));
    assert_eq!(
        recorded,
        [
            of("recording.held", &held),
            of("recording.held", &held),
            of("recording.held", &other),
            of("recording.released", &other),
        ]
    );
    assert_eq!(catalog.bury(id(1), &burial()).unwrap(), Buried::Held);
    assert!(matches!(
        catalog.bury(id(2), &burial()).unwrap(),
        Buried::Done(_)
    ));
    // Whatever is asked about it says by what, why and when it was deleted, and what is left.
    let words = format!(
        "session {other} was deleted by retention rule 2: older than 90 days, on 2026-11-21T08:00:00.000Z"
    );
    for path in ["", "/recording", "/verify", "/follow"] {
        let answer = get(&service, &format!("/v1/sessions/{other}{path}"));
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, answer.code().as_str()), (410, "deleted"));
        assert_eq!(error["message"], words, "{path}");
        let next = error["next_step"].to_string();
        assert!(next.contains("event=recording.deleted"), "{next}");
    }
    let hold = format!("/v1/sessions/{other}/hold");
    let answer = ask(&service, "POST", &hold, r#"{"reason":"too late"}"#);
    assert_eq!(answer.status, 410, "{answer:?}");
    for command in ["show", "verify", "cat", "follow"] {
        let (status, said) = service.fails(&[command, &other]);
        assert_eq!(status, 2, "{command}: {said}");
        assert!(said.contains("was deleted by retention rule 2"), "{said}");
    }
    assert_eq!(get(&service, &format!("/v1/sessions/{held}")).status, 200);
}

#[test]
fn a_hold_needs_a_session_a_reason_and_a_record() {
    let service = Service::start("api-holds-wrong");
    service
        .kept
        .store(&[parts(header(1, "ada", "x"), "hi", true)]);
    let there = format!("/v1/sessions/{}/hold", id(1));
    let nowhere = format!("/v1/sessions/{}/hold", id(9));
    let because = r#"{"reason":"because"}"#;
    for (verb, target, body, status) in [
        ("POST", &there, "", 400),
        ("POST", &there, r#"{"reason":" "}"#, 400),
        ("POST", &nowhere, because, 404),
        ("DELETE", &nowhere, "", 404),
        ("GET", &there, "", 405),
    ] {
        let answer = ask(&service, verb, target, body);
        assert_eq!(answer.status, status, "{verb} {target} {body}");
    }
    assert_eq!(get(&service, "/v1/holds?cursor=x").status, 400);
    service
        .record_fails
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = ask(&service, "POST", &there, because);
    assert_eq!(answer.code(), "not_recorded");
    assert_eq!(service.kept.catalog.holds(None, 9).unwrap(), []);
}
