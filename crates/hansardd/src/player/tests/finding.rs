//! More findings than one answer has: who goes on from where it ended is told of each once.

use std::ops::ControlFlow;

use hansard_view::Indexed;

use super::super::moments::{ENOUGH, Enough, find_enough};
use super::*;
use crate::api::player::Found;

const MS_NS: u64 = 1_000_000;

fn lines(which: std::ops::Range<u64>) -> Body {
    let lines: String = which.map(|n| format!("error line {n}.\r\n")).collect();
    data(&lines)
}

/// Asks as the page does, in whole milliseconds, until it is told that this is all; what was found, and how
/// many answers it took.
fn all(find: impl Fn(u64) -> Found) -> (Vec<(u64, String)>, usize) {
    let (mut from_ns, mut rows) = (0, Vec::new());
    for answers in 1..1000 {
        let found = find(from_ns);
        assert!(!found.has_left_out);
        rows.extend(found.findings.into_iter().map(|one| (one.at_ns, one.text)));
        let Some(until_ns) = found.until_ns else {
            return (rows, answers);
        };
        assert!(
            until_ns > from_ns && until_ns.is_multiple_of(MS_NS),
            "{until_ns} behind {from_ns}"
        );
        from_ns = until_ns;
    }
    panic!("it goes on for ever");
}

/// Much within one event, more of it in the same millisecond, and in the next ones; something at the very
/// beginning.
fn fill(push: &mut dyn FnMut(u64, &Body)) {
    push(0, &lines(0..1));
    push(SECOND_NS + 100, &lines(1..301));
    push(SECOND_NS + 200, &lines(301..302));
    push(SECOND_NS + MS_NS, &lines(302..303));
    push(SECOND_NS + MS_NS + 1, &lines(303..403));
    for n in 403..450 {
        push(SECOND_NS + n * MS_NS / 3, &lines(n..n + 1));
    }
}

fn is_each_once(rows: &[(u64, String)]) {
    let said: Vec<&str> = rows.iter().map(|(_, text)| text.as_str()).collect();
    let wanted: Vec<String> = (0..450).map(|n| format!("error line {n}.")).collect();
    assert_eq!(said, wanted);
    assert!(rows.is_sorted_by_key(|(at_ns, _)| *at_ns));
}

#[test]
fn what_is_found_is_found_once_and_all_of_it() {
    let (player, dir) = over("each-once", fill);
    let (rows, answers) = all(|from_ns| player.find(id(), "error line", from_ns).unwrap().unwrap());
    assert!(answers >= 2, "one answer");
    is_each_once(&rows);
    fs::remove_dir_all(&dir).unwrap();
}

fn indexed(fill: impl FnOnce(&mut dyn FnMut(u64, &Body))) -> Indexed {
    let bytes = Arc::new(recording(fill));
    Indexed::in_memory(bytes, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn nor_is_anything_passed_over_where_the_time_is_up() {
    let indexed = indexed(fill);
    let enough = Enough {
        lasts: Duration::ZERO,
        ..ENOUGH
    };
    let (rows, answers) =
        all(|from_ns| find_enough(&indexed, "error line", from_ns, enough).unwrap());
    assert!(answers > 10, "{answers} answers");
    is_each_once(&rows);
}

#[test]
fn a_millisecond_without_end_is_cut_and_that_is_said() {
    let indexed = indexed(|push| {
        for n in 0..3000 {
            push(SECOND_NS + 1 + n, &lines(n * 20..n * 20 + 20));
        }
        push(2 * SECOND_NS, &lines(60_000..60_001));
    });
    let find = |from_ns| find_enough(&indexed, "error line", from_ns, ENOUGH).unwrap();
    let found = find(0);
    let weight: usize = found.findings.iter().map(|one| one.text.len() + 64).sum();
    assert!(
        (ENOUGH.weight_most..ENOUGH.weight_most + 1000).contains(&weight),
        "{weight}"
    );
    assert!(found.has_left_out);
    // Behind it, it goes on.
    assert_eq!(found.until_ns, Some(SECOND_NS + MS_NS));
    let last = find(SECOND_NS + MS_NS);
    assert_eq!(
        (last.findings.len(), last.until_ns, last.has_left_out),
        (1, None, false)
    );
    // And where it takes too long.
    let enough = Enough {
        lasts: Duration::ZERO,
        lasts_most: Duration::ZERO,
        ..ENOUGH
    };
    let found = find_enough(&indexed, "error line", 0, enough).unwrap();
    assert_eq!(
        (found.until_ns, found.has_left_out),
        (Some(SECOND_NS + MS_NS), true)
    );
}

#[test]
fn more_than_is_looked_at_in_one_event_is_said() {
    let indexed = indexed(|push| push(SECOND_NS, &data(&"e\r\n".repeat(10_100))));
    let found = find_enough(&indexed, "e", 0, ENOUGH).unwrap();
    assert!(
        found.has_left_out && found.findings.len() >= 10_000,
        "{}",
        found.findings.len()
    );
}
