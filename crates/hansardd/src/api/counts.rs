//! `GET /v1/events/counts`: how many events there are, by time and by value.

use std::sync::Arc;

use hansard_store::catalog::{By, CountWish, EventCounts, Facet};
use serde_json::{Map, Value as Json, json};

use super::answers::{behind, blocking};
use super::router::Handler;
use super::schema::{count, list, named, object, or_null, text, time as moment, truth};
use super::seams::Listings;
use super::time;

/// Stretches of time unless said otherwise.
const BUCKETS: u64 = 60;

pub(super) fn counts(listings: Arc<dyn Listings>) -> Handler {
    blocking(move |call| {
        let buckets = call.params.number("buckets").unwrap_or(BUCKETS);
        let wish = CountWish::of(
            call.query()?,
            usize::try_from(buckets).unwrap_or(usize::MAX),
        );
        let found = listings.count_events(&wish)?;
        Ok(document(&found, behind(listings.behind()?)))
    })
}

/// Name of the filter that takes such a value; of an outcome there is none.
fn name(by: By) -> &'static str {
    match by {
        By::Event => "event",
        By::User => "user",
        By::Host => "host",
        By::Kind => "kind",
        By::Outcome => "outcome",
    }
}

fn document(found: &EventCounts, behind: Json) -> Json {
    let by = By::ALL.into_iter().zip(&found.facets);
    let by: Map<String, Json> = by
        .map(|(by, of)| (name(by).to_owned(), facet(of)))
        .collect();
    json!({
        "total": found.total,
        "from": time::text(found.from_ns),
        "bucket_ms": found.bucket_ns / 1_000_000,
        "buckets": found.buckets,
        "time_exact": found.is_time_exact,
        "looked_at": found.stride,
        "counted_from": found.counted_from_ns.map(time::text),
        "by": by,
        "behind": behind,
    })
}

fn facet(of: &Facet) -> Json {
    let value = |(value, count): &(String, u64)| json!({ "value": value, "count": count });
    let values: Vec<Json> = of.values.iter().map(value).collect();
    json!({ "values": values, "others": of.others })
}

pub(super) fn schemas() -> [(&'static str, Json); 2] {
    let value = object(
        "A value.",
        &[
            (
                "value",
                text(),
                "as the filter of this name takes it; empty where an event has none",
            ),
            ("count", count(), "events with it"),
        ],
    );
    let facet = object(
        "Events by value.",
        &[
            (
                "values",
                list(&value),
                "the most frequent ones first, 25 at most",
            ),
            ("others", count(), "events with other values"),
        ],
    );
    let of = || named("Facet");
    let by = object(
        "By what they are told apart.",
        &[
            ("event", of(), ""),
            ("user", of(), ""),
            ("host", of(), ""),
            ("kind", of(), ""),
            ("outcome", of(), ""),
        ],
    );
    let counts = object(
        "How many events there are.",
        &[
            ("total", count(), "all of them"),
            ("from", moment(), "where the first stretch of time begins"),
            ("bucket_ms", count(), "length of a stretch"),
            ("buckets", list(&count()), "events in each stretch"),
            (
                "time_exact",
                truth(),
                "whether the total and the stretches are counted; otherwise they are estimates, too",
            ),
            (
                "looked_at",
                count(),
                "one event of so many was looked at for the numbers by value: 1 means each, and that they are exact",
            ),
            (
                "counted_from",
                or_null(moment()),
                "where there are too many, older ones than this are not counted; `null`: all are",
            ),
            (
                "by",
                by,
                "`outcome` has the values `success`, `failure` and none",
            ),
            (
                "behind",
                named("Behind"),
                "how far the numbers are behind what is archived",
            ),
        ],
    );
    [("Facet", facet), ("EventCounts", counts)]
}
