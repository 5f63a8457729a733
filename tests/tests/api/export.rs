//! What can be taken away of a recording.

use hansard_core::{Body, Stream};
use hansard_view::{Format, Import, Screen};

use crate::keep::{SECOND_NS, header, id, parts, recording};
use crate::service::Service;
use crate::speak::{Answer, get};

fn ask(service: &Service, query: &str) -> Answer {
    get(service, &format!("/v1/sessions/{}/export?{query}", id(1)))
}

fn service(name: &str) -> Service {
    let service = Service::start(name);
    let shown = "\x1b[31mhello\x1b[0m world\r\n";
    service
        .kept
        .store(&[parts(header(1, "ada", "greeting"), shown, true)]);
    service
}

/// The screen that such a file ends with.
fn last_screen(bytes: Vec<u8>, format: Format) -> Screen {
    let import = Import {
        id: id(9),
        start_utc_ns: 0,
        recorder: "test".to_owned(),
        rec: None,
    };
    let mut decoder = format
        .decoder(std::io::Cursor::new(bytes), import)
        .expect("a format of one file");
    let mut screen = Screen::default();
    while let Some(event) = decoder.next_event().unwrap() {
        screen.apply(&event.body);
    }
    screen
}

#[test]
fn every_format_has_what_was_shown_and_is_a_look_at_it() {
    let service = service("api-export");
    for name in hansardd::api::table::EXPORTS {
        service.record.lock().unwrap().clear();
        let answer = ask(&service, &format!("format={name}&reason=audit"));
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(
            answer.head.contains("application/octet-stream"),
            "{answer:?}"
        );
        let format: Format = name.parse().unwrap();
        let text = match format {
            // What is seen in it `films.rs` knows.
            Format::Gif if answer.body.starts_with(b"GIF89a") => "hello world".to_owned(),
            Format::Mp4 if answer.body[4..].starts_with(b"ftyp") => "hello world".to_owned(),
            _ if format.is_readable() => last_screen(answer.body, format).text(),
            _ => String::from_utf8(answer.body).unwrap(),
        };
        assert_eq!(text.trim_end(), "hello world", "{name}");
        let record = service.record.lock().unwrap();
        let fields: Vec<_> = record.iter().map(|fact| &fact.fields).collect();
        assert_eq!(fields.len(), 1, "{name}");
        for (field, value) in [("format", *name), ("reason", "audit")] {
            assert_eq!(fields[0].get(field), Some(&value.into()), "{name}");
        }
    }
}

#[test]
fn a_stretch_begins_with_the_screen_as_it_was() {
    let service = service("api-export-clip");
    let at = |query: &str| {
        let answer = ask(&service, &format!("format=jsonl&{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        (
            String::from_utf8(answer.body.clone()).unwrap(),
            last_screen(answer.body, Format::Jsonl).text(),
        )
    };
    let (_, before) = at("until_ms=999");
    assert_eq!(before, "");
    let (lines, behind) = at("from_ms=1500&until_ms=1900");
    assert_eq!(behind, "hello world\n");
    // Whose clip it is stands in its header, and it is not taken for the recording.
    let start: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let text = start.to_string();
    assert!(text.contains(&id(1).to_string()), "{text}");
    assert!(!text.contains(&format!(r#""id":"{}""#, id(1))), "{text}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let service = service("api-export-bad");
    for (query, about) in [
        ("", "format"),
        ("format=hansard", "format"),
        ("format=avi", "format"),
        ("format=raw&from_ms=2000&until_ms=1000", "until_ms"),
        ("format=raw&from_ms=-1", "from_ms"),
        // It has 2 s. A film is not read beforehand.
        ("format=raw&from_ms=2001", "which is 2.000 s long"),
        (
            "format=asciicast-v3&from_ms=90000&until_ms=120000",
            "which is 2.000 s long",
        ),
        ("format=gif&from_ms=2001", "which is 2.000 s long"),
    ] {
        let answer = ask(&service, query);
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        let said = answer.json()["error"]["message"].to_string();
        assert!(said.contains(about), "{query}: {said}");
    }
    assert_eq!(ask(&service, "format=raw&from_ms=2000").status, 200);
    let path = format!("/v1/sessions/{}/export?format=raw", id(77));
    assert_eq!(get(&service, &path).status, 404);
}

#[test]
fn a_film_that_cannot_be_made_is_refused_with_the_reason() {
    let service = service("api-film");
    // Something changes in each of its seconds, so that nothing is shortened.
    let mut bodies = vec![(0, Body::Resize { cols: 80, rows: 24 })];
    bodies.extend((1..700).map(|n| {
        let bytes = format!("\r\nline {n}").into_bytes();
        let stream = Stream::Output;
        (n * SECOND_NS, Body::Data { stream, bytes })
    }));
    let long = recording(header(2, "ada", "long"), &bodies);
    service.kept.store(&[long]);
    let ask = |query: &str| get(&service, &format!("/v1/sessions/{}/export?{query}", id(2)));
    let refused = ask("format=gif");
    assert_eq!(refused.status, 400, "{refused:?}");
    let said = refused.json()["error"]["message"].to_string();
    assert!(said.contains("10 minutes"), "{said}");
    let film = ask("format=gif&from_ms=60000&until_ms=90000");
    assert_eq!(film.status, 200, "{film:?}");
    let length = format!("content-length: {}", film.body.len());
    assert!(film.head.to_lowercase().contains(&length), "{}", film.head);
}

/// What an answer's head says of a field.
fn said(answer: &Answer, field: &str) -> Option<String> {
    let lines = answer.head.lines();
    let mut fields = lines.filter_map(|line| line.split_once(": "));
    let found = fields.find(|(name, _)| name.eq_ignore_ascii_case(field));
    found.map(|(_, value)| value.trim().to_owned())
}

#[test]
fn a_copy_whose_format_cannot_say_what_it_lacks_has_it_said_in_the_head() {
    use hansard_store::Catalog as _;
    let service = service("api-export-damaged");
    let of = |n: u64, format: &str| {
        let path = format!("/v1/sessions/{}/export?format={format}", id(n));
        let answer = get(&service, &path);
        let log = service.said.lock().unwrap().join("\n");
        assert_eq!(answer.status, 200, "{n} as {format}: {log}");
        ["hansard-damages", "hansard-whole"].map(|field| said(&answer, field))
    };
    let fields =
        |damages: &str, whole: Option<&str>| [Some(damages.to_owned()), whole.map(str::to_owned)];
    let unfinished = parts(header(2, "ada", "going on"), "hello", false);
    let unfinished = unfinished.iter().flat_map(|part| part.bytes().to_vec());
    let mut pending = service.kept.pending.lock().unwrap();
    pending.insert(id(2), unfinished.collect());
    drop(pending);
    let mut damaged = vec![(0, Body::Resize { cols: 80, rows: 24 })];
    damaged.extend((1..=4).map(|n| {
        let (stream, mut state): (_, u64) = (Stream::Output, n);
        let noise = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            b'!' + u8::try_from((state >> 33) % 90).unwrap()
        });
        let bytes = noise.take(50_000).collect();
        (n * SECOND_NS, Body::Data { stream, bytes })
    }));
    service
        .kept
        .store(&[recording(header(3, "ada", "noise"), &damaged)]);
    let row = service.kept.catalog.segments(id(3), 0, 1).unwrap();
    let place = row[0].place.clone();
    let at = usize::try_from(place.offset + place.bytes / 2).unwrap();
    for format in hansardd::api::table::EXPORTS {
        assert_eq!(of(1, format), fields("0", Some("true")), "{format}");
        assert_eq!(of(2, format), fields("0", Some("false")), "{format}");
        assert_eq!(of(3, format), fields("0", Some("true")), "{format}");
    }
    service.kept.blobs.rot(&place.blob, at, 3);
    for format in hansardd::api::table::EXPORTS {
        // What follows in the segment cannot be read either, and its end is there.
        assert_eq!(of(3, format), fields("1", Some("false")), "{format}");
    }
    // A stretch is about itself: not about an end behind it, nor about what is damaged there.
    assert_eq!(of(3, "raw&until_ms=10"), fields("0", None));
    assert_eq!(of(3, "gif&until_ms=10"), fields("0", None));
}
