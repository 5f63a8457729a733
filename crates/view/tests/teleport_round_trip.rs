//! Teleport's classic recordings: any of them there and back, and changed ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use proptest::prelude::*;
use serde_json::Value as Json;
use support::teleport::{Files, ours, read, said, sample, write};

fn proptest_fields() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(Json::Null),
        (-1e9f64..1e9).prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::vec(("[a-z.]{0,6}", inner), 0..4)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

#[derive(Debug, Clone)]
enum Said {
    Print(u64, Vec<u8>),
    Fact(u64, usize, Vec<(String, Json)>),
}

const EVENTS: [&str; 8] = [
    "session.command",
    "session.disk",
    "session.network",
    "session.join",
    "resize",
    "exec",
    "sftp",
    "made.up",
];

fn said_strategy() -> impl Strategy<Value = Said> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..60);
    let field = ("[a-z_.]{1,12}", proptest_fields());
    prop_oneof![
        3 => (0u64..3000, bytes).prop_map(|(step, bytes)| Said::Print(step, bytes)),
        2 => (0u64..3000, 0usize..8, proptest::collection::vec(field, 0..5)).prop_map(|(step, i, fields)| Said::Fact(step, i, fields)),
    ]
}

/// Files as Teleport would write them of these events.
fn files_of(all: &[Said], jitter: u64) -> Files {
    let time = |ms: u64| {
        let fraction = format!(".{:03}", ms % 1000);
        let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
        format!(
            "2020-09-13T12:{:02}:{:02}{fraction}Z",
            ms / 60_000 % 60,
            ms / 1000 % 60
        )
    };
    let mut lines = vec![String::new(); 4];
    let (mut now, mut chunks, mut kernel) = (0, Vec::new(), [0; 3]);
    let (mut ei, mut ci, mut ms, mut last) = (0, 0, 0, None);
    for said in all {
        match said {
            Said::Print(step, bytes) => {
                now += step;
                // Teleport loses up to a millisecond with every print.
                ms += last.map_or(0, |last: u64| {
                    (now - last).saturating_sub(jitter * (now % 2))
                });
                last = Some(now);
                lines[0] += &format!(
                    "{{\"time\":\"{}\",\"event\":\"print\",\"bytes\":{},\"ms\":{ms},\"offset\":{},\"ei\":{ei},\"ci\":{ci}}}\n",
                    time(now),
                    bytes.len(),
                    chunks.len()
                );
                chunks.extend_from_slice(bytes);
                (ei, ci) = (ei + 1, ci + 1);
            }
            Said::Fact(step, i, fields) => {
                now += step;
                let mut object: serde_json::Map<String, Json> = fields.iter().cloned().collect();
                object.insert("event".to_owned(), Json::from(EVENTS[*i]));
                object.insert("time".to_owned(), Json::from(time(now)));
                let index = kernel.get_mut(*i).unwrap_or(&mut ei);
                object.insert("ei".to_owned(), Json::from(*index));
                *index += 1;
                lines[(*i + 1) % 9 * usize::from(*i < 3)] += &format!("{}\n", Json::Object(object));
            }
        }
    }
    let mut files = Files::default();
    let names = [
        "events",
        "session.command-events",
        "session.disk-events",
        "session.network-events",
    ];
    for (name, lines) in names
        .iter()
        .zip(&lines)
        .filter(|(_, lines)| !lines.is_empty())
    {
        files = files.gz(&format!("s-0.{name}.gz"), lines);
    }
    match lines[0].contains("\"print\"") {
        true => files.gz("s-0.chunks.gz", chunks),
        false => files,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_recording_comes_back(all in proptest::collection::vec(said_strategy(), 1..40), jitter in 0u64..2) {
        let first = files_of(&all, jitter);
        let (events, error, _) = read(&first);
        prop_assert_eq!(error, None);
        for events in [events.clone(), ours(&events)] {
            let back = write(&events);
            let lines = |files: &Files| -> Vec<Vec<Json>> { said(files).into_values().collect() };
            prop_assert_eq!(lines(&back), lines(&first));
            let chunks = |files: &Files| files.names.iter().find(|n| n.ends_with("chunks.gz")).map(|n| files.inflated(n));
            prop_assert_eq!(chunks(&back), chunks(&first));
        }
    }

    #[test]
    fn any_damage_is_read_or_refused(file in 0usize..6, at in 0usize..2000, byte in any::<u8>(), cut in any::<bool>()) {
        let mut files = sample();
        let name = files.names[file % files.names.len()].clone();
        let mut bytes = files.bytes.borrow()[&name].clone();
        let at = at % bytes.len();
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] = byte,
        }
        files = files.with(&name, &bytes);
        let (events, error, notices) = read(&files);
        prop_assert!(error.is_none_or(|e| e.contains("offset ")));
        if !events.is_empty() {
            prop_assert!(read(&write(&events)).1.is_none());
        }
        prop_assert!(notices.iter().all(|n| !n.is_empty()));
    }

    #[test]
    fn what_was_written_is_written_the_same_again(
        changes in proptest::collection::vec((0usize..4, any::<usize>(), 0u8..5, any::<u8>()), 1..6),
    ) {
        let mut inside: Vec<(String, Vec<u8>)> = sample()
            .names
            .iter()
            .filter(|name| name.ends_with(".gz"))
            .map(|name| (name.clone(), sample().inflated(name)))
            .collect();
        for (file, at, kind, byte) in changes {
            let bytes = &mut inside[file].1;
            let at = at % bytes.len().max(1);
            let lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            let line = usize::from(byte) % lines.len().max(1);
            match kind {
                0 if !bytes.is_empty() => bytes[at] = byte & 0x7f,
                // A digit more or less, a line twice, a line not at all: still JSON, often.
                1 => {
                    if let Some(i) = bytes.iter().skip(at).position(u8::is_ascii_digit) {
                        bytes[at + i] = b'0' + byte % 10;
                    }
                }
                2 => bytes.extend(lines.get(line).cloned().unwrap_or_default()),
                3 => *bytes = lines.iter().enumerate().filter(|(i, _)| *i != line).flat_map(|(_, l)| l.clone()).collect(),
                _ => bytes.truncate(at),
            }
        }
        let mut files = Files::default();
        for (name, bytes) in &inside {
            files = files.gz(name, bytes);
        }
        let (events, ..) = read(&files);
        if !events.is_empty() {
            let first = write(&events);
            let (again, error, _) = read(&first);
            prop_assert_eq!(error, None);
            let second = write(&again);
            prop_assert_eq!(said(&second), said(&first));
// But for the order in which the index lists them.
            let files = |files: &Files| {
                let mut all = files.bytes.borrow().clone();
                all.retain(|name, _| name.ends_with(".gz"));
                all
            };
            prop_assert_eq!(files(&second), files(&first));
        }
    }
}
