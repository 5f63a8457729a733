//! Parameters of a request, as the table of routes types them.

use axum::extract::Query as Pairs;
use axum::http::Uri;
use hansard_core::SessionId;
use hansard_store::Query;
use hansard_store::catalog::Cursor;

use super::limits::{PAGE_MAX, PARAM_BYTES_MAX};
use super::problem::Problem;
use super::table::{Kind, Route};
use super::time;

/// What stood behind the question mark, checked against the table: every name known and said once,
/// every value of its type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Params(Vec<(&'static str, String)>);

impl Params {
    pub(super) fn read(route: &Route, uri: &Uri) -> Result<Self, Problem> {
        let Ok(Pairs(pairs)) = Pairs::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(Problem::bad("the parameters are not name=value&name=value"));
        };
        let mut params = Self::default();
        for (name, value) in pairs {
            let Some(param) = route.params.iter().find(|param| param.name == name) else {
                let names: Vec<&str> = route.params.iter().map(|param| param.name).collect();
                let known = match names.as_slice() {
                    [] => "it takes none".to_owned(),
                    names => format!("it takes {}", names.join(", ")),
                };
                return Err(Problem::bad(format!("an unknown parameter; {known}")));
            };
            if value.len() > PARAM_BYTES_MAX {
                let name = param.name;
                let most = PARAM_BYTES_MAX;
                return Err(Problem::bad(format!("{name}: longer than {most} bytes")));
            }
            if params.text(param.name).is_some() {
                return Err(Problem::bad(format!("{}: said twice", param.name)));
            }
            check(param.kind, &value)
                .map_err(|wanted| Problem::bad(format!("{}: {wanted}", param.name)))?;
            params.0.push((param.name, value));
        }
        Ok(params)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.as_str())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    pub(super) fn time(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(time::parse)
    }

    pub(super) fn version(&self) -> Option<u64> {
        self.text("version").and_then(|n| n.parse().ok())
    }

    /// A number that the table types as one.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|n| n.parse().ok())
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        self.text("session").and_then(|id| id.parse().ok())
    }

    fn limit(&self) -> usize {
        let said = self.text("limit").and_then(|n| n.parse::<usize>().ok());
        said.unwrap_or(0)
    }

    /// Rows of a page of what is no listing of the catalog.
    pub(super) fn page(&self) -> usize {
        match self.limit() {
            0 => PAGE_MAX,
            n => n.min(PAGE_MAX),
        }
    }

    /// The listing that is asked for.
    pub(super) fn query(&self) -> Result<Query, Problem> {
        let after = match self.text("cursor").map(str::parse::<Cursor>) {
            None => None,
            Some(Ok(cursor)) => Some(cursor),
            Some(Err(_)) => {
                return Err(Problem::bad("cursor: not the `next` of an answer"));
            }
        };
        Ok(Query {
            from_ns: self.time("from"),
            until_ns: self.time("until"),
            user: self.owned("user"),
            host: self.owned("host"),
            kind: self.owned("kind"),
            name: self.owned("event"),
            session: self.session(),
            recording: self.text("recording").and_then(|id| id.parse().ok()),
            newest_first: self.text("order") != Some("oldest"),
            after,
            limit: self.limit(),
        })
    }
}

/// Whether a value is of this type; in words, what it must be.
fn check(kind: Kind, value: &str) -> Result<(), String> {
    let is = |good: bool, wanted: &str| {
        if good { Ok(()) } else { Err(wanted.to_owned()) }
    };
    match kind {
        Kind::Text => Ok(()),
        Kind::Time => is(
            time::parse(value).is_some(),
            "a time as RFC 3339 has it, such as 2026-11-21T08:00:00Z, from 1970 to 2262",
        ),
        Kind::Limit => is(
            value.parse::<usize>().is_ok_and(|n| n > 0),
            "a number of at least 1",
        ),
        Kind::Bool => is(matches!(value, "true" | "false"), "`true` or `false`"),
        Kind::Word(words) => is(
            words.contains(&value),
            &format!("one of {}", words.join(", ")),
        ),
        Kind::Version => is(
            value.parse::<u64>().is_ok_and(|n| n > 0),
            "a version, from 1",
        ),
        Kind::Millis => is(value.parse::<u64>().is_ok(), "a number of milliseconds"),
        Kind::Session => is(value.parse::<SessionId>().is_ok(), "a session's UUID"),
    }
}
