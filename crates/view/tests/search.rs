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
