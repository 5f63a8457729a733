//! The rule for counts: they are those of the rows that the same query finds.

use std::collections::BTreeMap;

use super::rows::{counted_session, event, queries};
use super::{EventRow, Fresh, Query, SessionRow, must, same, session};
use crate::catalog::counts::{By, CountWish, EventCounts};
use crate::catalog::hosts::HostSessions;

/// Rows that differ in everything that is counted.
fn made() -> Vec<EventRow> {
    let mut rows = Vec::new();
    for of in 0..30u8 {
        for seq in 0..20u64 {
            let mut row = event(of, seq);
            // Some hours, with a hole in them.
            row.time_ns = u64::from(of) * 700_000_000_000 + seq * 9_000_000_000;
            row.facts = match seq % 3 {
                0 => "{\"success\":true}".to_owned(),
                1 => "{\"success\":false}".to_owned(),
                _ => format!("{{\"recording\":\"{}\"}}", session(of / 2)),
            };
            rows.push(row);
        }
    }
    rows
}

fn value(row: &EventRow, by: By) -> String {
    match by {
        By::Event => row.name.clone(),
        By::User => row.user.clone(),
        By::Host => row.host.clone(),
        By::Kind => row.kind.clone(),
        By::Outcome => match row.facts.as_str() {
            "{\"success\":true}" => "success".to_owned(),
            "{\"success\":false}" => "failure".to_owned(),
            _ => String::new(),
        },
    }
}

pub(super) fn counts_events(catalog: &Fresh) -> Result<(), String> {
    let rows = made();
    must("put", catalog.put_events(rows.as_slice().into()))?;
    let mut queries = queries();
    for name in ["resize", "session.command", "nothing"] {
        queries.push(Query {
            name: Some(name.to_owned()),
            ..Query::default()
        });
        queries.push(Query {
            name: Some(name.to_owned()),
            user: Some("user-1".to_owned()),
            from_ns: Some(900_000_000_000),
            ..Query::default()
        });
        queries.push(Query {
            name: Some(name.to_owned()),
            recording: Some(session(2)),
            ..Query::default()
        });
    }
    for query in queries {
        for buckets in [1, 7, 60] {
            let wish = CountWish::of(query.clone(), buckets);
            let found = must("count", catalog.count_events(&wish))?;
            let admitted: Vec<&EventRow> = rows.iter().filter(|r| query.admits_event(r)).collect();
            check(&format!("{query:?} in {buckets}"), &found, &admitted)?;
            if found.buckets.len() > buckets {
                return Err(format!("{} stretches of {buckets}", found.buckets.len()));
            }
        }
    }
    Ok(())
}

fn check(what: &str, found: &EventCounts, admitted: &[&EventRow]) -> Result<(), String> {
    let total = admitted.len() as u64;
    same(what, (found.total, found.stride), (total, 1))?;
    same(what, found.is_time_exact, true)?;
    for (n, count) in found.buckets.iter().enumerate() {
        let from = found
            .from_ns
            .saturating_add(found.bucket_ns.saturating_mul(n as u64));
        let until = from.saturating_add(found.bucket_ns);
        let within = |row: &&&EventRow| (from..until).contains(&row.time_ns);
        let wanted = admitted.iter().filter(within).count() as u64;
        same(&format!("{what}, stretch {n}"), *count, wanted)?;
    }
    same(what, found.buckets.iter().sum::<u64>(), total)?;
    for (by, facet) in By::ALL.into_iter().zip(&found.facets) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for row in admitted {
            *counts.entry(value(row, by)).or_default() += 1;
        }
        let mut wanted: Vec<(String, u64)> = counts.into_iter().collect();
        // The sort keeps those of one count by their value.
        wanted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        same(&format!("{what} by {by:?}"), facet.values.clone(), wanted)?;
        same(what, facet.others, 0)?;
    }
    same(what, found.facets.len(), By::ALL.len())
}

pub(super) fn lists_hosts(catalog: &Fresh) -> Result<(), String> {
    same("none", must("hosts", catalog.hosts(None, 10))?, Vec::new())?;
    let mut rows: Vec<SessionRow> = Vec::new();
    for number in 0..40u8 {
        rows.push(counted_session(catalog, number)?);
    }
    let mut wanted: Vec<HostSessions> = Vec::new();
    for n in 0..5 {
        let host = format!("höst-{n}");
        let of = rows.iter().filter(|row| row.start.host == host);
        wanted.push(HostSessions::of(&host, of));
    }
    let sessions = wanted.iter().flat_map(|host| &host.kinds);
    same("sessions", sessions.map(|of| of.sessions).sum::<u64>(), 40)?;
    same(
        "all",
        must("hosts", catalog.hosts(None, 10))?,
        wanted.clone(),
    )?;
    // In pages, each behind the one before.
    let first = must("hosts", catalog.hosts(None, 2))?;
    let last = first.last().map(|host| host.host.clone());
    let rest = must("hosts", catalog.hosts(last.as_deref(), 10))?;
    same("pages", [first, rest].concat(), wanted)
}
