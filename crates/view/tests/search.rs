//! Searching the text that stood on the screen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::ops::ControlFlow;
use std::sync::Arc;

use hansard_core::Body;
use hansard_view::Indexed;
use hansard_view::search::{Match, Search, check_needle};
use support::{output, recording};

fn indexed(events: &[(u64, Body)]) -> Indexed {
    let bytes = recording(events);
    Indexed::in_memory(Arc::new(bytes), &mut |_| ControlFlow::Continue(())).unwrap()
}

fn all(mut search: Search) -> Vec<Match> {
    let mut found = Vec::new();
    while let Some(next) = search.next_match().unwrap() {
        found.push(next);
    }
    found
}

fn places(found: &[Match]) -> Vec<(u64, Option<usize>, &str)> {
    found
        .iter()
        .map(|m| (m.at_ns, m.row, m.text.as_str()))
        .collect()
}

fn session() -> Indexed {
    indexed(&[
        (0, Body::Resize { cols: 20, rows: 3 }),
        (1, output(b"$ cat /etc/pass")),
        (2, output(b"wd\r\nroot:x:0\r\n")),
        (3, output(b"one\r\ntwo\r\nthree\r\n")),
        (
            4,
            output(b"\x1b[?1049h\x1b[2;5H\x1b[31mro\x1b[32mot\x1b[m menu"),
        ),
        (5, output(b"\x1b[?1049l")),
        (6, output(b"a\r\nroot again\r\nb\r\nc\r\nd\r\n")),
        (7, output(b"root:x:0")),
    ])
}

#[test]
fn rows_are_found_as_they_appear_and_once() {
    let mut indexed = session();
    let found = all(Search::from_start(&indexed, "root", u64::MAX));
    assert_eq!(
        places(&found),
        [
            (2, Some(1), "root:x:0"),
            (4, Some(1), "    root menu"),
            (6, None, "root again"),
            (7, Some(2), "root:x:0"),
        ]
    );
    // What is completed by a later event is found then; from anywhere.
    assert_eq!(
        places(&all(Search::from_start(&indexed, "passwd", u64::MAX))),
        [(2, Some(0), "$ cat /etc/passwd")]
    );
    let later = all(Search::new(&mut indexed, "root", 2, 6).unwrap());
    assert_eq!(places(&later).len(), 2);
    assert_eq!(later[0].at_ns, 4);
    assert!(all(Search::from_start(&indexed, "nowhere", u64::MAX)).is_empty());
}

#[test]
fn only_what_can_stand_on_a_row_can_be_searched_for() {
    assert!(check_needle("root:x").is_ok());
    for bad in ["", "a\nb", "\x1b[31m", &"x".repeat(5000)] {
        assert!(check_needle(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_wraps_is_found_where_it_begins() {
    let narrow = |rest: &[(u64, Body)]| {
        let size = (0, Body::Resize { cols: 20, rows: 4 });
        indexed(&[&[size], rest].concat())
    };
    let found = |indexed: &Indexed, needle: &str| -> Vec<(u64, Option<usize>, String)> {
        let found = all(Search::from_start(indexed, needle, u64::MAX));
        found
            .into_iter()
            .map(|m| (m.at_ns, m.row, m.text))
            .collect()
    };
    let command = output(b"up\r\n$ rm -rf /srv/important/data/of/customers");
    let line = |row, text: &str| (1, row, text.to_owned());
    let wrapped = narrow(&[
        (1, command.clone()),
        (2, output(b"\r\n\r\nx")),
        (3, output(b"\r\n\r\n\r\n\r\ny")),
    ]);
    // It moves and goes, and is found once.
    for (needle, row, text) in [
        (
            "important/data",
            1,
            "$ rm -rf /srv/important/data/of/customer",
        ),
        ("of/cust", 2, "ant/data/of/customer"),
        ("rm -rf", 1, "$ rm -rf /srv/import"),
        ("omers", 2, "ant/data/of/customers"),
    ] {
        assert_eq!(found(&wrapped, needle), [line(Some(row), text)]);
    }
    assert_eq!(found(&wrapped, "customers$").len(), 0);
    // It grows to it; it goes within the event, whole or but for its end.
    let grown = narrow(&[
        (1, output(b"$ rm -rf /srv/impo")),
        (2, output(b"rtant/data")),
    ]);
    assert_eq!(found(&grown, "important")[0].0, 2);
    for (rest, row) in [
        ("\r\n1\r\n2\r\n3\r\n4\r\n5", None),
        ("\r\n1\r\n2\r\n3", None),
        ("", Some(1)),
    ] {
        let Body::Data { stream, bytes } = &command else {
            unreachable!()
        };
        let bytes = [bytes, rest.as_bytes()].concat();
        let gone = narrow(&[(
            1,
            Body::Data {
                stream: *stream,
                bytes,
            },
        )]);
        let found = found(&gone, "important/data");
        assert_eq!((found.len(), found[0].1), (1, row), "{rest:?}");
    }
}

#[test]
fn what_scrolls_off_where_nothing_is_kept_is_found() {
    let lines: String = (0..60).map(|n| format!("line number {n}.\r\n")).collect();
    for before in ["\x1b[?1049h", "\x1b[2;10r\x1b[10H", "\x1b[?1049h\x1b[2;10r"] {
        for at_once in [false, true] {
            let poured = match at_once {
                true => vec![(1, output(format!("{before}{lines}").as_bytes()))],
                false => vec![
                    (1, output(before.as_bytes())),
                    (1, output(lines.as_bytes())),
                ],
            };
            let indexed =
                indexed(&[&[(0, Body::Resize { cols: 80, rows: 24 })], &poured[..]].concat());
            for n in 0..60 {
                let found = all(Search::from_start(
                    &indexed,
                    &format!("number {n}."),
                    u64::MAX,
                ));
                assert_eq!(found.len(), 1, "{before:?} {n}");
            }
            let found = all(Search::from_start(&indexed, "number 25.", u64::MAX));
            assert_eq!(places(&found), [(1, None, "line number 25.")]);
            let found = all(Search::from_start(&indexed, "number 59.", u64::MAX));
            assert!(found[0].row.is_some());
        }
    }
    // Begun behind the moment at which the region was set.
    let mut events = vec![
        (0, Body::Resize { cols: 80, rows: 24 }),
        (1, output(b"\x1b[2;10r\x1b[10H")),
        (2, output(lines.as_bytes())),
    ];
    events.push((3, output(b"end")));
    let mut indexed = indexed(&events);
    let found = all(Search::new(&mut indexed, "number 25.", 1, 9).unwrap());
    assert_eq!(places(&found), [(2, None, "line number 25.")]);
}
