//! Of many events a part is looked at, spread over all of them, and it is said that it is a part.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;

use hansard_store::catalog::counts::{By, CountWish, EventCounts};
use hansard_store::catalog::sqlite::SqliteCatalog;
use hansard_store::catalog::{Catalog, EventRow, Query};
use support::{TempDir, id};

const ROWS: u64 = 40_000;
const SECOND_NS: u64 = 1_000_000_000;

/// Every tenth is of one user, every fourth failed: at regular distances, as machines do things.
fn row(n: u64) -> EventRow {
    EventRow {
        session: id(n / 100),
        seq: n % 100,
        ordinal: 0,
        time_ns: 1_795_248_000 * SECOND_NS + n * SECOND_NS,
        name: "session.command".to_owned(),
        user: if n.is_multiple_of(10) { "eve" } else { "ada" }.to_owned(),
        host: format!("web-{}", n % 40),
        kind: "terminal".to_owned(),
        facts: format!("{{\"success\":{}}}", !n.is_multiple_of(4)),
    }
}

fn value(counts: &EventCounts, by: By, value: &str) -> u64 {
    let place = By::ALL.iter().position(|b| *b == by).unwrap();
    let found = counts.facets[place].values.iter();
    found
        .filter(|(name, _)| name == value)
        .map(|(_, n)| *n)
        .sum()
}

/// Within a fifth of it: of 2,000 rows that were looked at, chance alone is within a tenth.
fn about(got: u64, wanted: u64) {
    assert!(
        got.abs_diff(wanted) <= wanted / 5,
        "{got}, not about {wanted}"
    );
}

#[test]
fn of_many_events_a_part_is_looked_at_and_that_is_said() {
    let dir = TempDir::new("counts");
    let catalog = SqliteCatalog::open(dir.path(), "test").unwrap();
    let rows: Vec<EventRow> = (0..ROWS).map(row).collect();
    for part in rows.chunks(10_000) {
        catalog.put_events(Arc::from(part)).unwrap();
    }
    let count = |query: Query| {
        let wish = CountWish {
            exact_rows: 2000,
            ..CountWish::of(query, 60)
        };
        catalog.count_events(&wish).unwrap()
    };
    let all = count(Query::default());
    assert_eq!((all.total, all.stride), (ROWS, ROWS / 2000));
    assert!(all.is_time_exact);
    assert_eq!(all.buckets.iter().sum::<u64>(), ROWS);
    about(value(&all, By::User, "eve"), ROWS / 10);
    about(value(&all, By::Outcome, "failure"), ROWS / 4);
    let hosts = &all.facets[2];
    assert_eq!(hosts.values.len(), 25);
    about(hosts.others, ROWS * 15 / 40);
    // By one user: the index has them all, and their times.
    let eve = count(Query {
        user: Some("eve".to_owned()),
        ..Query::default()
    });
    assert_eq!((eve.total, eve.stride), (ROWS / 10, 2));
    assert_eq!(value(&eve, By::User, "ada"), 0);
    // By two things at once, times are of what was looked at, too.
    let both = count(Query {
        user: Some("ada".to_owned()),
        host: Some("web-1".to_owned()),
        ..Query::default()
    });
    assert!(!both.is_time_exact && both.stride == 18);
    assert_eq!(both.buckets.iter().sum::<u64>(), both.total);
    let (wanted, got) = (ROWS / 40, both.total);
    assert!(got.abs_diff(wanted) <= wanted / 2, "{got}");
    // What is few is counted, however much there is besides.
    let few = count(Query {
        from_ns: Some(row(100).time_ns),
        until_ns: Some(row(700).time_ns),
        ..Query::default()
    });
    assert_eq!((few.total, few.stride), (600, 1));
    assert_eq!(value(&few, By::User, "eve"), 60);
    assert_eq!(value(&few, By::Outcome, "failure"), 150);
}
