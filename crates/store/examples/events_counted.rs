//! How long it takes to count events, by time and by value, of a catalog with many. Prints figures and
//! asserts nothing about them.
//!
//! `cargo run --release -p hansard-store --example events_counted -- DIRECTORY ROWS`
//! fills an empty directory with so many rows, which takes a while, or uses what an earlier run left.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hansard_core::SessionId;
use hansard_store::catalog::counts::CountWish;
use hansard_store::catalog::sqlite::SqliteCatalog;
use hansard_store::{Catalog, Query};

const SECOND_NS: u64 = 1_000_000_000;

/// An event of a year in which forty hosts have sessions of a hundred events.
fn row(n: u64, of: u64) -> hansard_store::catalog::EventRow {
    let at = |n: u64| 1_763_712_000 * SECOND_NS + (n * 365 * 86_400 / of) * SECOND_NS;
    let mixed = (n ^ (n >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let mut random = [0; 10];
    random
        .iter_mut()
        .zip((n / 100).to_le_bytes())
        .for_each(|(to, from)| *to = from);
    let names = [
        "session.command",
        "session.disk",
        "session.network",
        "print",
    ];
    let name = names.get((mixed % 4) as usize).unwrap();
    let (user, host) = (
        format!("user-{}", mixed % 50),
        format!("web-{}", mixed % 40),
    );
    let facts = format!(
        "{{\"event\":\"{name}\",\"code\":\"T4000I\",\"uid\":\"00000000-0000-0000-0000-{n:012}\",\
         \"time\":\"2026-01-01T00:00:00.000Z\",\"ei\":{n},\"sid\":\"00000000-0000-0000-0000-000000000000\",\
         \"user\":\"{user}\",\"server_hostname\":\"{host}\",\"program\":\"sh\",\"path\":\"/usr/bin/sh\",\
         \"argv\":[\"-c\",\"echo {n}\"],\"cgroup_id\":{mixed},\"success\":{}}}",
        !mixed.is_multiple_of(9)
    );
    hansard_store::catalog::EventRow {
        session: SessionId::new_v7(at(n - n % 100) / 1_000_000, random),
        seq: n % 100,
        ordinal: 0,
        time_ns: at(n),
        name: (*name).to_owned(),
        user,
        host,
        kind: "terminal".to_owned(),
        facts,
    }
}

fn main() {
    let mut args = std::env::args_os().skip(1);
    let dir = PathBuf::from(args.next().unwrap());
    let rows: u64 = args.next().unwrap().to_str().unwrap().parse().unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    let catalog = SqliteCatalog::open(&dir, "events_counted").unwrap();
    let is_empty = catalog.events(&Query::default()).unwrap().rows.is_empty();
    if is_empty {
        let start = Instant::now();
        let mut n = 0;
        while n < rows {
            let until = rows.min(n + 10_000);
            let some: Vec<_> = (n..until).map(|n| row(n, rows)).collect();
            catalog.put_events(Arc::from(some)).unwrap();
            n = until;
        }
        println!("{rows} rows in {:.0} s", start.elapsed().as_secs_f64());
    }
    let text = |text: &str| Some(text.to_owned());
    let last = row(rows - 1, rows).time_ns;
    let day = Some(last - 86_400 * SECOND_NS);
    let month = Some(last - 30 * 86_400 * SECOND_NS);
    for (what, query) in [
        ("all", Query::default()),
        (
            "the last day",
            Query {
                from_ns: day,
                ..Query::default()
            },
        ),
        (
            "the last 30 days",
            Query {
                from_ns: month,
                ..Query::default()
            },
        ),
        (
            "one user",
            Query {
                user: text("user-7"),
                ..Query::default()
            },
        ),
        (
            "one name",
            Query {
                name: text("print"),
                ..Query::default()
            },
        ),
        (
            "one kind",
            Query {
                kind: text("terminal"),
                ..Query::default()
            },
        ),
        (
            "one name on one host",
            Query {
                name: text("print"),
                host: text("web-7"),
                ..Query::default()
            },
        ),
    ] {
        let mut took: Vec<u128> = Vec::new();
        let mut said = String::new();
        for _ in 0..5 {
            let start = Instant::now();
            let counts = catalog
                .count_events(&CountWish::of(query.clone(), 60))
                .unwrap();
            took.push(start.elapsed().as_millis());
            said = format!(
                "{} events, one of {} looked at",
                counts.total, counts.stride
            );
        }
        took.sort_unstable();
        println!("{what}: {said}; ms, least to most: {took:?}");
    }
}
