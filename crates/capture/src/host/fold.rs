//! Repeats of the same event, told once with their number.
//!
//! The first is told when it happens. Those that follow within a second are counted, and the last of
//! them is told with how many it stands for. Files a shell looks for along its `PATH` are told with
//! the program that it found. Nothing is left out: told + repeats + searched = what happened.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use hansard_core::event::{Body, Fact};
use hansard_core::fields::Value;

use super::facts;
use super::record::{Kind, Record};
use super::resolved::Resolving;

/// How long repeats are counted before the last is told, nanoseconds.
const FOLD_NS: u64 = 1_000_000_000;

/// Different events that may be waited for repeats of, in one session. At the bound all that were
/// counted are told.
const FOLDED_MAX: usize = 512;

/// Failed starts of one process that are kept for the one that succeeds. At the bound they are told.
const SEARCHED_MAX: usize = 64;

/// Requests to io_uring that wait for their answers, in one session. At the bound all are told without.
const ASKED_MAX: usize = 1024;

/// Not found, as the kernel answers it.
const NOT_FOUND: i64 = -2;

/// What waits in one session.
#[derive(Default)]
pub(super) struct Fold {
    repeats: HashMap<u64, Repeats>,
    searches: HashMap<u32, Search>,
    resolving: Resolving,
    /// What io_uring was asked for and has not answered, by the number of the request.
    asked: HashMap<u64, Asked>,
}

struct Asked {
    body: Body,
    is_folded: bool,
    since_ns: u64,
}

struct Repeats {
    body: Body,
    count: u64,
    since_ns: u64,
}

struct Search {
    paths: Vec<Value>,
    /// The last one, as it is told if none succeeds.
    last: Body,
    since_ns: u64,
}

impl Fold {
    /// Takes one record; answers what is to be told now, in this order.
    pub(super) fn take(&mut self, record: &Record) -> Vec<Body> {
        let mut told = Vec::new();
        if record.kind == Kind::Resolved {
            self.resolving.before(record);
            return told;
        }
        let resolved = self.resolving.after(record);
        match record.kind {
            Kind::Answer => self.answered(record, &mut told),
            _ if record.asked() != 0 => self.ask(record, &mut told),
            Kind::ExecFailed if record.ret == NOT_FOUND => self.missed(record, &mut told),
            Kind::Exec => {
                let mut body = facts::body(record, None);
                if let Some(search) = self.searches.remove(&record.pid) {
                    say(&mut body, "searched", Value::List(search.paths));
                }
                told.push(body);
            }
            Kind::Exit | Kind::ExecFailed => {
                self.searched(record.pid, &mut told);
                told.push(facts::body(record, None));
            }
            kind => {
                let body = facts::body(record, resolved.as_ref());
                self.again(body, (is_folded(kind), record.time_ns), &mut told);
            }
        }
        told
    }

    /// Something was asked of io_uring: it is told with the answer.
    fn ask(&mut self, record: &Record, told: &mut Vec<Body>) {
        if self.asked.len() >= ASKED_MAX {
            for (_, asked) in std::mem::take(&mut self.asked) {
                self.again(asked.body, (asked.is_folded, record.time_ns), told);
            }
        }
        let asked = Asked {
            body: facts::body(record, None),
            is_folded: is_folded(record.kind),
            since_ns: record.time_ns,
        };
        // The same number again: the one before got no answer.
        if let Some(before) = self.asked.insert(record.asked(), asked) {
            self.again(before.body, (before.is_folded, record.time_ns), told);
        }
    }

    /// One that comes too late is for something that was told already.
    fn answered(&mut self, record: &Record, told: &mut Vec<Body>) {
        if let Some(mut asked) = self.asked.remove(&record.asked()) {
            facts::answer(&mut asked.body, record.ret);
            self.again(asked.body, (asked.is_folded, record.time_ns), told);
        }
    }

    /// What has waited for long enough; all of it where the session ends (`now_ns` is the greatest).
    pub(super) fn due(&mut self, now_ns: u64) -> Vec<Body> {
        let mut told = Vec::new();
        let over = |since: u64| now_ns.saturating_sub(since) >= FOLD_NS;
        let late = self.asked.extract_if(|_, asked| over(asked.since_ns));
        told.extend(late.map(|(_, asked)| asked.body));
        let done = self.repeats.extract_if(|_, r| over(r.since_ns));
        told.extend(done.filter_map(|(_, repeats)| repeats.last()));
        let late = self.searches.iter().filter(|(_, s)| over(s.since_ns));
        for pid in late.map(|(pid, _)| *pid).collect::<Vec<_>>() {
            self.searched(pid, &mut told);
        }
        told
    }

    fn missed(&mut self, record: &Record, told: &mut Vec<Body>) {
        let body = facts::body(record, None);
        let path = Value::from_os_bytes(&record.path(0));
        if self.searches.len() >= FOLDED_MAX {
            for pid in self.searches.keys().copied().collect::<Vec<_>>() {
                self.searched(pid, told);
            }
        }
        let search = self.searches.entry(record.pid).or_insert_with(|| Search {
            paths: Vec::new(),
            last: body.clone(),
            since_ns: record.time_ns,
        });
        search.paths.push(path);
        search.last = body;
        if search.paths.len() >= SEARCHED_MAX {
            self.searched(record.pid, told);
        }
    }

    /// Tells of a search that found nothing: the last failure, and what was tried before it.
    fn searched(&mut self, pid: u32, told: &mut Vec<Body>) {
        if let Some(mut search) = self.searches.remove(&pid) {
            search.paths.pop();
            if !search.paths.is_empty() {
                say(&mut search.last, "searched", Value::List(search.paths));
            }
            told.push(search.last);
        }
    }

    /// Tells it, or counts it where it is one that may repeat and does.
    fn again(&mut self, body: Body, (is_folded, at_ns): (bool, u64), told: &mut Vec<Body>) {
        if !is_folded {
            told.push(body);
            return;
        }
        let key = digest(&body);
        if let Some(repeats) = self.repeats.get_mut(&key)
            && same(&repeats.body, &body)
            && at_ns.saturating_sub(repeats.since_ns) < FOLD_NS
        {
            repeats.count += 1;
            // What the program is told (a descriptor's number) may differ; the last one's is kept.
            repeats.body = body;
            return;
        }
        if self.repeats.len() >= FOLDED_MAX {
            let all = std::mem::take(&mut self.repeats);
            told.extend(all.into_values().filter_map(Repeats::last));
        }
        let repeats = Repeats {
            body: body.clone(),
            count: 0,
            since_ns: at_ns,
        };
        if let Some(before) = self.repeats.insert(key, repeats) {
            told.extend(before.last());
        }
        told.push(body);
    }
}

impl Repeats {
    /// The last one, where there was more than the first.
    fn last(mut self) -> Option<Body> {
        (self.count > 0).then(|| {
            say(&mut self.body, "repeats", Value::Uint(self.count));
            self.body
        })
    }
}

/// Whether repeats of this are told once, with their number.
fn is_folded(kind: Kind) -> bool {
    matches!(kind, Kind::Open | Kind::Path | Kind::Connect | Kind::Send)
}

fn say(body: &mut Body, name: &str, value: Value) {
    if let Body::Command(fact) | Body::File(fact) | Body::Network(fact) = body {
        fact.fields.push(name, value);
    }
}

/// What makes two events the same: all but the number that a success was answered with.
fn compared(fact: &Fact) -> impl Iterator<Item = (&str, &Value)> {
    let is_success = |value: &Value| matches!(value, Value::Int(code) if *code >= 0);
    fact.fields
        .iter()
        .filter(move |(name, value)| *name != "return_code" || !is_success(value))
}

fn fact_of(body: &Body) -> Option<&Fact> {
    match body {
        Body::Command(fact) | Body::File(fact) | Body::Network(fact) => Some(fact),
        _ => None,
    }
}

fn same(one: &Body, other: &Body) -> bool {
    match (fact_of(one), fact_of(other)) {
        (Some(one), Some(other)) => one.event == other.event && compared(one).eq(compared(other)),
        _ => false,
    }
}

fn digest(body: &Body) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, value) in fact_of(body).into_iter().flat_map(compared) {
        name.hash(&mut hasher);
        match value {
            Value::Text(text) => text.hash(&mut hasher),
            Value::Bytes(bytes) => bytes.hash(&mut hasher),
            Value::Uint(number) => number.hash(&mut hasher),
            Value::Int(number) => number.hash(&mut hasher),
            // Told apart by `same`.
            Value::Bool(_) | Value::List(_) => {}
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::made;
    use super::*;

    const OPEN: u32 = 4;
    const EXEC: u32 = 1;
    const EXEC_FAILED: u32 = 2;
    const EXIT: u32 = 3;

    fn take(fold: &mut Fold, kind: u32, path: &[u8]) -> Vec<Body> {
        let bytes = made(kind, 0, [path, b"", b"", b""]);
        fold.take(&Record::parse(&bytes).unwrap())
    }

    fn count(body: &Body, name: &str) -> u64 {
        match fact_of(body).unwrap().fields.get(name) {
            Some(Value::Uint(count)) => *count,
            Some(Value::List(list)) => list.len() as u64,
            _ => 0,
        }
    }

    #[test]
    fn the_first_and_the_last_are_told_and_all_are_counted() {
        let mut fold = Fold::default();
        assert_eq!(take(&mut fold, OPEN, b"/a\0").len(), 1);
        for _ in 0..5 {
            assert_eq!(take(&mut fold, OPEN, b"/a\0"), []);
        }
        // Another is another, and what stood alone is not told twice.
        assert_eq!(take(&mut fold, OPEN, b"/b\0").len(), 1);
        assert_eq!(fold.due(FOLD_NS), []);
        let due = fold.due(u64::MAX);
        assert_eq!(due.len(), 1);
        assert_eq!(count(&due[0], "repeats"), 5);
        assert_eq!(fold.due(u64::MAX), []);
    }

    #[test]
    fn at_the_bound_everything_is_told() {
        let mut fold = Fold::default();
        let mut told = 0;
        let total = 4 * FOLDED_MAX as u64;
        for number in 0..total / 2 {
            for _ in 0..2 {
                let path = format!("/{number}\0");
                let bodies = take(&mut fold, OPEN, path.as_bytes());
                told += bodies
                    .iter()
                    .map(|b| count(b, "repeats").max(1))
                    .sum::<u64>();
            }
        }
        let due = fold.due(u64::MAX);
        told += due.iter().map(|b| count(b, "repeats").max(1)).sum::<u64>();
        assert_eq!(told, total);
    }

    #[test]
    fn what_was_asked_for_is_told_with_its_answer_or_in_the_end_without() {
        const RING: u32 = 2;
        const ANSWER: u32 = 15;
        let asked = |kind: u32, flags: u32, number: u64| {
            let mut bytes = made(kind, flags, [b"/a\0", b"", b"", b""]);
            bytes[72..80].copy_from_slice(&number.to_ne_bytes());
            bytes
        };
        let mut fold = Fold::default();
        let mut take = |bytes: &[u8]| fold.take(&Record::parse(bytes).unwrap());
        assert_eq!(take(&asked(OPEN, RING, 7)), []);
        assert_eq!(take(&asked(OPEN, RING, 8)), []);
        let told = take(&asked(ANSWER, 0, 7));
        let code = |body: &Body| fact_of(body).unwrap().fields.get("return_code").cloned();
        assert_eq!(told.len(), 1);
        assert_eq!(code(&told[0]), Some(Value::Int(-2)));
        // Of what was told nobody waits for an answer, and what gets no number is told at once.
        assert_eq!(take(&asked(ANSWER, 0, 7)), []);
        assert_eq!(take(&asked(OPEN, RING, 0)).len(), 1);
        let due = fold.due(u64::MAX);
        assert_eq!((due.len(), code(&due[0])), (1, None));
    }

    #[test]
    fn a_search_is_told_with_what_it_found_or_alone() {
        let mut fold = Fold::default();
        for path in [&b"/x/id\0"[..], b"/y/id\0"] {
            assert_eq!(take(&mut fold, EXEC_FAILED, path), []);
        }
        let told = take(&mut fold, EXEC, b"/z/id\0");
        assert_eq!((told.len(), count(&told[0], "searched")), (1, 2));
        for path in [&b"/x/no\0"[..], b"/y/no\0"] {
            take(&mut fold, EXEC_FAILED, path);
        }
        let told = take(&mut fold, EXIT, b"");
        assert_eq!((told.len(), count(&told[0], "searched")), (2, 1));
        // One that never ends is told of as well.
        take(&mut fold, EXEC_FAILED, b"/x/no\0");
        assert_eq!(fold.due(u64::MAX).len(), 1);
    }
}
