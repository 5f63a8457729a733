//! How many events there are, by time and by value: what stands beside a list of them, so that somebody
//! sees where to look.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::{EventRow, Query};

/// Values of one kind that an answer lists, the most frequent ones; of the others it says how many rows
/// they have.
pub const FACET_VALUES_MAX: usize = 25;

/// Stretches of time of an answer; more are lowered to this.
pub const BUCKETS_MAX: usize = 200;

/// Rows that are looked at one by one; of more, one of so many is, and what is said is so many times
/// what was seen. It takes some tenths of a second.
pub const EXACT_ROWS: u64 = 50_000;

/// Rows that are counted at all, the newest; older ones are left out, which is said.
pub const COUNTED_ROWS_MAX: u64 = 20_000_000;

const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 86_400;

/// Lengths of a stretch, seconds: what people count time in. Longer ones are twice the one before.
const WIDTHS_S: [u64; 19] = [
    1,
    2,
    5,
    10,
    30,
    MINUTE_S,
    2 * MINUTE_S,
    5 * MINUTE_S,
    10 * MINUTE_S,
    30 * MINUTE_S,
    HOUR_S,
    2 * HOUR_S,
    6 * HOUR_S,
    12 * HOUR_S,
    DAY_S,
    2 * DAY_S,
    7 * DAY_S,
    14 * DAY_S,
    28 * DAY_S,
];

/// What is to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountWish {
    /// Which events; its order, cursor and limit mean nothing here.
    pub query: Query,
    /// Stretches of time at most.
    pub buckets: usize,
    /// Up to so many rows every one is looked at: [`EXACT_ROWS`] but in tests.
    pub exact_rows: u64,
}

impl CountWish {
    /// All that a query finds.
    #[must_use]
    pub fn of(query: Query, buckets: usize) -> Self {
        Self {
            query,
            buckets: buckets.clamp(1, BUCKETS_MAX),
            exact_rows: EXACT_ROWS,
        }
    }
}

/// By what events are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// Their name.
    Event,
    /// The user.
    User,
    /// The host.
    Host,
    /// The kind of session.
    Kind,
    /// Whether what they tell of succeeded: `success`, `failure`, or empty where they do not say.
    Outcome,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Event,
        Self::User,
        Self::Host,
        Self::Kind,
        Self::Outcome,
    ];
}

/// The values of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facet {
    /// Values with their rows: the most frequent first, at most [`FACET_VALUES_MAX`].
    pub values: Vec<(String, u64)>,
    /// Rows with other values.
    pub others: u64,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventCounts {
    /// All rows.
    pub total: u64,
    /// Where time begins, UTC nanoseconds since 1970; stretches begin at whole multiples of their length.
    pub from_ns: u64,
    /// Length of a stretch, nanoseconds.
    pub bucket_ns: u64,
    /// Rows in each.
    pub buckets: Vec<u64>,
    /// Whether the total and the stretches were counted row by row, whatever `stride` is.
    pub is_time_exact: bool,
    /// One row of so many was looked at, and numbers are so many times what was seen; 1: every row.
    pub stride: u64,
    /// Not before this time were rows counted, where there were too many.
    pub counted_from_ns: Option<u64>,
    /// By value, in the order of [`By::ALL`].
    pub facets: Vec<Facet>,
}

/// Equal stretches of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) from_ns: u64,
    pub(super) bucket_ns: u64,
    pub(super) count: usize,
}

impl Scale {
    /// At most so many stretches that hold all of this time, which ends before `until_ns`.
    pub(super) fn of(from_ns: u64, until_ns: u64, most: usize) -> Self {
        let most = most.clamp(1, BUCKETS_MAX) as u64;
        let longest = WIDTHS_S.last().copied().unwrap_or(1);
        let doubled = std::iter::successors(Some(longest), |width| width.checked_mul(2));
        let widths = WIDTHS_S.iter().copied().chain(doubled.skip(1));
        let scale = |width_s: u64| {
            let bucket_ns = width_s.saturating_mul(SECOND_NS);
            let from = from_ns - from_ns % bucket_ns;
            let count = until_ns.saturating_sub(from).div_ceil(bucket_ns).max(1);
            (from, bucket_ns, count)
        };
        let mut fitting = widths.map(scale).filter(|(_, _, count)| *count <= most);
        let (from_ns, bucket_ns, count) = fitting.next().unwrap_or((0, u64::MAX, 1));
        Self {
            from_ns,
            bucket_ns,
            count: usize::try_from(count).unwrap_or(1),
        }
    }

    /// Where this stretch begins; of the one behind the last, where all of it ends.
    pub(super) fn edge(&self, bucket: usize) -> u64 {
        let after = self.bucket_ns.saturating_mul(bucket as u64);
        self.from_ns.saturating_add(after)
    }

    fn bucket(&self, time_ns: u64) -> usize {
        let after = time_ns.saturating_sub(self.from_ns) / self.bucket_ns.max(1);
        usize::try_from(after).unwrap_or(usize::MAX)
    }
}

/// Rows that were looked at.
#[derive(Debug, Default)]
pub(super) struct Tally {
    times: Vec<u64>,
    values: [HashMap<String, u64>; 5],
}

impl Tally {
    /// Adds a row: its time, its values in the order of [`By::ALL`] but the last, and its document.
    pub(super) fn add(&mut self, time_ns: u64, values: [&str; 4], facts: &str) {
        self.times.push(time_ns);
        let all = values.into_iter().chain([outcome(facts)]);
        for (counts, value) in self.values.iter_mut().zip(all) {
            match counts.get_mut(value) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(value.to_owned(), 1);
                }
            }
        }
    }

    pub(super) fn add_row(&mut self, row: &EventRow) {
        let values = [&*row.name, &*row.user, &*row.host, &*row.kind];
        self.add(row.time_ns, values, &row.facts);
    }

    /// The time that the rows span, with what the query says of it: from, and before.
    pub(super) fn span(&self, query: &Query) -> (u64, u64) {
        let first = self.times.iter().min().copied();
        let last = self.times.iter().max().copied();
        span(query, first.zip(last))
    }

    /// Counts, where one row of `stride` was looked at. Time is counted from the rows.
    pub(super) fn finish(&self, wish: &CountWish, stride: u64) -> EventCounts {
        let (from_ns, until_ns) = self.span(&wish.query);
        let scale = Scale::of(from_ns, until_ns, wish.buckets);
        let mut buckets = vec![0u64; scale.count];
        for time_ns in &self.times {
            if let Some(count) = buckets.get_mut(scale.bucket(*time_ns)) {
                *count += stride;
            }
        }
        EventCounts {
            total: (self.times.len() as u64).saturating_mul(stride),
            from_ns: scale.from_ns,
            bucket_ns: scale.bucket_ns,
            buckets,
            is_time_exact: stride == 1,
            stride,
            counted_from_ns: None,
            facets: self.values.iter().map(|of| facet(of, stride)).collect(),
        }
    }
}

/// The time of rows from the first to the last, with what a query says of it: from, and before.
pub(super) fn span(query: &Query, rows: Option<(u64, u64)>) -> (u64, u64) {
    let (first, last) = rows.unwrap_or_default();
    let from_ns = query.from_ns.unwrap_or(first);
    let until_ns = query.until_ns.unwrap_or(last.saturating_add(1));
    (from_ns, until_ns.max(from_ns))
}

fn facet(counts: &HashMap<String, u64>, stride: u64) -> Facet {
    let mut values: Vec<(String, u64)> = counts
        .iter()
        .map(|(value, count)| (value.clone(), count.saturating_mul(stride)))
        .collect();
    values.sort_by(|(a, na), (b, nb)| nb.cmp(na).then_with(|| a.cmp(b)));
    let others = values.iter().skip(FACET_VALUES_MAX).map(|(_, n)| n).sum();
    values.truncate(FACET_VALUES_MAX);
    Facet { values, others }
}

/// Whether what a document tells of succeeded.
fn outcome(facts: &str) -> &'static str {
    // Most say nothing of it, and need not be read for that.
    if !facts.contains("\"success\"") {
        return "";
    }
    let document: Json = serde_json::from_str(facts).unwrap_or_default();
    match document.get("success").and_then(Json::as_bool) {
        Some(true) => "success",
        Some(false) => "failure",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_of_lengths_that_people_count_in_and_hold_all() {
        let hour = HOUR_S * SECOND_NS;
        let day = 24 * hour;
        let at = 1_795_248_000 * SECOND_NS + 17 * SECOND_NS;
        for (length, most, width_s) in [
            (1, 60, 1),
            (50 * SECOND_NS, 60, 1),
            (hour, 61, MINUTE_S),
            (day, 60, 30 * MINUTE_S),
            (30 * day, 61, 12 * HOUR_S),
            (30 * day, 60, DAY_S),
            (3650 * day, 60, 112 * DAY_S),
        ] {
            let scale = Scale::of(at, at + length, most);
            assert_eq!(scale.bucket_ns, width_s * SECOND_NS, "{length} in {most}");
            assert!(scale.from_ns <= at && scale.from_ns.is_multiple_of(scale.bucket_ns));
            assert!(scale.edge(scale.count) >= at + length && scale.count <= most);
            assert!(scale.edge(scale.count - 1) < at + length);
        }
        // Whatever is asked for, there is an answer.
        assert_eq!(Scale::of(0, u64::MAX, 1).count, 1);
        assert_eq!(Scale::of(at, at, 0).count, 1);
        assert_eq!(Scale::of(u64::MAX, u64::MAX, 200).count, 1);
    }

    #[test]
    fn an_outcome_is_what_the_document_itself_says() {
        assert_eq!(outcome(r#"{"success":true}"#), "success");
        assert_eq!(outcome(r#"{"a":1,"success": false}"#), "failure");
        assert_eq!(outcome(r#"{"a":"\"success\":true"}"#), "");
        assert_eq!(outcome(r#"{"inner":{"success":true}}"#), "");
        assert_eq!(outcome(r#"{"success":"yes"}"#), "");
        assert_eq!(outcome("\"success\" no json"), "");
    }
}
