//! Full text: what is answered, to whom, and what is put on record of it.

use hansard_store::index::{BlockWriter, Index as _, Whose};
use hansard_view::text::{Text, What};
use hansardd::api::role::Role;

use crate::keep::{header, id};
use crate::service::{Service, own_uid};
use crate::speak::get;

fn text(line: &str, at_ns: u64) -> Text {
    Text {
        what: What::Shown,
        text: line.to_owned(),
        first_ns: at_ns,
        last_ns: at_ns + 5,
        steps: Vec::new(),
        is_concealed: false,
        is_blended: false,
        is_cut: false,
    }
}

/// A service that keeps a session of who asks (1), and one of somebody else (2).
fn service(name: &str) -> Service {
    let service = Service::start(name);
    let me = format!("user{}", own_uid());
    for (number, user) in [(1, me.as_str()), (2, "ada")] {
        let mut writer = BlockWriter::new(Whose::of(&header(number, user, "x")));
        assert!(
            writer
                .push(text("DROP TABLE <b>users</b>", 7_000))
                .is_none()
        );
        assert!(writer.push(text(&format!("of {user}"), 9_000)).is_none());
        service.kept.index.put(writer.finish()).unwrap();
    }
    service
}

fn sids(answer: &serde_json::Value) -> Vec<String> {
    let rows = answer["sessions"].as_array().unwrap().iter();
    rows.map(|row| row["sid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_is_found_is_answered_with_its_moment_and_the_question_is_on_record() {
    let service = service("api-search");
    service.role(Some(Role::Auditor));
    let asked = "/v1/search?q=%22drop%20table%22&since=2020-01-01&reason=incident%207";
    let answer = get(&service, asked);
    let answer = answer.json();
    // The session that began last comes first.
    assert_eq!(sids(&answer), [id(2).to_string(), id(1).to_string()]);
    assert_eq!(answer["complete"], true);
    let hit = &answer["sessions"][0]["hits"][0];
    assert_eq!(hit["text"], "DROP TABLE <b>users</b>");
    assert_eq!(hit["at_ns"], 7_000);
    assert_eq!(hit["in"], "shown");
    assert_eq!(hit["places"], serde_json::json!([[0, 10]]));
    let record = service.record.lock().unwrap();
    assert_eq!(record.len(), 1);
    assert_eq!(record[0].event, "session.search");
    assert_eq!(record[0].fields.text("query"), Some("\"drop table\""));
    assert_eq!(record[0].fields.text("query_since"), Some("2020-01-01"));
    assert_eq!(record[0].fields.text("reason"), Some("incident 7"));
}

#[test]
fn an_answer_from_half_an_index_is_not_complete() {
    let service = service("api-search-behind");
    service.role(Some(Role::Auditor));
    for (behind, asked) in [(true, "nowhere"), (true, "table"), (false, "nowhere")] {
        let is_behind = &service.kept.index_is_behind;
        is_behind.store(behind, std::sync::atomic::Ordering::SeqCst);
        let answer = get(&service, &format!("/v1/search?q={asked}")).json();
        assert_eq!(answer["index_complete"], !behind, "{answer}");
        assert_eq!(answer["complete"], !behind, "{answer}");
        assert!(answer["next"].is_null(), "{answer}");
    }
}

#[test]
fn nothing_is_answered_that_could_not_be_put_on_record() {
    let service = service("api-search-record");
    service
        .record_fails
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = get(&service, "/v1/search?q=table");
    assert!(answer.status >= 500, "{answer:?}");
    assert!(answer.json()["sessions"].is_null());
}

#[test]
fn a_user_finds_own_sessions_and_nothing_of_others_however_they_ask() {
    let service = service("api-search-own");
    service.role(Some(Role::User));
    let mine = [id(1).to_string()];
    assert_eq!(sids(&get(&service, "/v1/search?q=table").json()), mine);
    assert_eq!(
        sids(&get(&service, "/v1/search?q=table%20-nothing").json()),
        mine
    );
    for asked in ["q=table%20user:ada", "q=of%20ada", "q=/ada/"] {
        let answer = get(&service, &format!("/v1/search?{asked}"));
        assert_eq!(answer.status, 200, "{asked}");
        assert_eq!(sids(&answer.json()), [""; 0], "{asked}");
    }
    assert_eq!(get(&service, "/v1/search?q=table&user=ada").status, 403);
    let of_hers = format!("/v1/search?q=table%20session:{}", id(2));
    assert_eq!(sids(&get(&service, &of_hers).json()), [""; 0]);
    service.role(Some(Role::Reviewer));
    // A reviewer sees what happened, not what was on the screen: own sessions only.
    assert_eq!(sids(&get(&service, "/v1/search?q=table").json()), mine);
}

#[test]
fn answers_go_on_where_they_ended_and_bad_questions_say_what_is_wrong() {
    let service = service("api-search-pages");
    let first = get(&service, "/v1/search?q=table&limit=1").json();
    assert_eq!(sids(&first), [id(2).to_string()]);
    assert_eq!(first["complete"], false);
    let next = first["next"].as_str().unwrap();
    let second = get(
        &service,
        &format!("/v1/search?q=table&limit=1&cursor={next}"),
    )
    .json();
    assert_eq!(sids(&second), [id(1).to_string()]);
    assert_eq!(second["complete"], true);
    for (asked, words) in [
        ("", "q: what is looked for is missing"),
        ("?q=user:x", "nothing is asked for"),
        ("?q=x&since=soon", "since: a time"),
        ("?q=x&cursor=7", "cursor: not"),
        ("?q=/(/", "/(/"),
    ] {
        let answer = get(&service, &format!("/v1/search{asked}"));
        assert_eq!(answer.status, 400, "{asked}");
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(words), "{asked}: {message}");
    }
}

#[test]
fn the_command_prints_moments_and_says_how_to_watch_them() {
    let service = service("api-search-command");
    let found = service.run(&["search", "\"drop table\"", "--user", "ada"]);
    let out = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success(), "{found:?}");
    assert!(
        out.contains(&id(2).to_string()) && !out.contains(&id(1).to_string()),
        "{out}"
    );
    assert!(out.contains("\tshown\tDROP TABLE <b>users</b>"), "{out}");
    assert!(String::from_utf8_lossy(&found.stderr).contains("hansard play SESSION --at MOMENT"));
    let nothing = service.run(&["search", "nowhere"]);
    assert_eq!(nothing.status.code(), Some(1));
    let wrong = service.run(&["search", "user:ada"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("nothing is asked for"));
    let lines = service.run(&["search", "--json", "table"]);
    assert_eq!(String::from_utf8_lossy(&lines.stdout).lines().count(), 2);
}

fn said(page: &serde_json::Value) -> Vec<String> {
    let lines = page["lines"].as_array().unwrap().iter();
    lines
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_text_of_a_session_is_read_in_pages_and_that_is_a_look_at_it() {
    let service = service("api-transcript");
    let mut writer = BlockWriter::new(Whose::of(&header(3, "ada", "x")));
    // As they were over; the first of them came last.
    for (line, at_ns) in [
        ("third", 9_000_000),
        ("first", 1_000_000),
        ("second", 2_000_000),
    ] {
        assert!(writer.push(text(line, at_ns)).is_none());
    }
    service.kept.index.put(writer.finish()).unwrap();
    service.role(Some(Role::Auditor));
    let path = format!("/v1/sessions/{}/transcript", id(3));
    let page = |question: &str| get(&service, &format!("{path}{question}")).json();
    let first = page("?limit=2");
    assert_eq!(said(&first), ["first", "second"]);
    assert_eq!(first["lines"][0]["at_ns"], 1_000_000);
    assert_eq!(first["complete"], false);
    let next = first["next"].as_str().unwrap();
    let second = page(&format!("?cursor={next}"));
    assert_eq!(said(&second), ["third"]);
    assert_eq!(second["next"], serde_json::Value::Null);
    // From a moment on, and back from it.
    assert_eq!(said(&page("?from_ms=2")), ["second", "third"]);
    assert_eq!(said(&page("?from_ms=2&order=newest")), ["first"]);
    assert_eq!(said(&page("?order=newest&limit=1")), ["third"]);
    // What is no place is told; of what is not known there is nothing.
    assert_eq!(get(&service, &format!("{path}?cursor=x")).status, 400);
    // All of it was one look.
    let record = service.record.lock().unwrap();
    let looks = record
        .iter()
        .filter(|fact| fact.event == "session.recording.access");
    let looks: Vec<_> = looks.collect();
    assert_eq!(looks.len(), 1, "{looks:?}");
    assert_eq!(looks[0].fields.text("format"), Some("player"));
    assert_eq!(
        looks[0].fields.text("recording"),
        Some(id(3).to_string().as_str())
    );
}

#[test]
fn the_text_of_somebody_elses_session_is_not_for_a_user() {
    let service = service("api-transcript-own");
    service.kept.store(&[
        crate::keep::parts(header(1, &format!("user{}", own_uid()), "x"), "hi", true),
        crate::keep::parts(header(2, "ada", "x"), "hi", true),
    ]);
    service.role(Some(Role::User));
    let of = |number| get(&service, &format!("/v1/sessions/{}/transcript", id(number)));
    assert_eq!(said(&of(1).json())[0], "DROP TABLE <b>users</b>");
    assert_eq!(of(2).status, 403);
}
