//! `GET /v1/search`: what was shown, typed, run and told of, found by words; and the seam of full text.

use std::sync::Arc;

use hansard_core::Body;
use hansard_core::event::Fact;
use hansard_store::index::{Found, Hit, Limits, Lines, Spot, Wish};
use hansard_view::question::{Question, times};
use serde_json::{Value as Json, json};

use super::answers::blocking;
use super::problem::{Problem, Trouble};
use super::router::{Call, Handler, event};
use super::schema::{count, list, named, object, or_null, text, time as moment, truth};
use super::seams::Audit;
use super::table::{Op, ROUTES};
use super::time;

/// Sessions of one answer at most.
pub(super) const SESSIONS_MAX: usize = 100;

/// Hits of each session in one answer, unless the question names one session.
const HITS_MAX: usize = 10;

/// Hits in one answer about one session, and a block's more at most.
const HITS_OF_ONE_MAX: usize = 1000;

/// Blocks that are read for one answer; with more it says where to go on.
const BLOCKS_MAX: usize = 50_000;

/// Filters that a question can have beside its text.
const FILTERS: [&str; 5] = ["since", "until", "user", "host", "kind"];

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Only sessions of this user are looked at, whatever the question says.
    pub owner: Option<&'a str>,
    /// The question.
    pub question: &'a Question,
    /// Behind this place.
    pub after: Option<Spot>,
    /// How much is answered at most.
    pub limits: Limits,
}

/// Full text.
pub trait Searching: Send + Sync {
    /// UTC nanoseconds since 1970, for questions that say how long ago.
    fn now_ns(&self) -> u64;

    /// Whether there is nothing durable that is not in the index yet. Asked before it is searched: a
    /// session that was missing then is not found.
    fn is_whole(&self) -> bool;

    /// Sessions with answers. MUST look at nothing but sessions of the owner, where one is named, and
    /// MUST say where to go on where it did not look at everything.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn search(&self, asked: &Asked<'_>) -> Result<Found, Trouble>;

    /// Lines of one session, as one reads them: none of one that is not known.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn lines(&self, wish: &Wish) -> Result<Lines, Trouble>;
}

pub(super) fn search(searching: Arc<dyn Searching>, audit: Audit) -> Handler {
    blocking(move |call| {
        let question = question(&call, searching.now_ns())?;
        let after = call.params.text("cursor").map(|cursor| {
            let bad = || Problem::bad("cursor: not the `next` of an answer");
            hansard_store::index::search::spot_of(cursor).ok_or_else(bad)
        });
        let is_of_one = question.bounds.session.is_some();
        let asked = Asked {
            owner: call.only.as_deref(),
            question: &question,
            after: after.transpose()?,
            limits: Limits {
                sessions: call.params.page().min(SESSIONS_MAX),
                hits: if is_of_one { HITS_OF_ONE_MAX } else { HITS_MAX },
                blocks: BLOCKS_MAX,
            },
        };
        // Nothing is looked for that is not on record.
        put_on_record(&call, &audit)?;
        let is_whole = searching.is_whole();
        Ok(document(&searching.search(&asked)?, is_whole))
    })
}

/// The question, its filters said in parameters or in its text.
fn question(call: &Call, now_ns: u64) -> Result<Question, Problem> {
    let said = |name: &str| call.params.text(name).map(str::to_owned);
    let Some(text) = call.params.text("q") else {
        return Err(Problem::bad("q: what is looked for is missing"));
    };
    let mut question = Question::parse(text, now_ns).map_err(|e| Problem::bad(e.to_string()))?;
    let moment = |name: &str| {
        let Some(text) = call.params.text(name) else {
            return Ok(None);
        };
        let found = times::utc_ns(text, now_ns).or_else(|| time::parse(text));
        let wanted = "a time as RFC 3339 has it, a day, or so long ago: 90s, 30m, 2h, 7d";
        let bad = || Problem::bad(format!("{name}: {wanted}"));
        found.map(Some).ok_or_else(bad)
    };
    question.bounds.since_ns = moment("since")?.or(question.bounds.since_ns);
    question.bounds.until_ns = moment("until")?.or(question.bounds.until_ns);
    question.bounds.user = said("user").or(question.bounds.user);
    question.bounds.host = said("host").or(question.bounds.host);
    question.bounds.kind = said("kind").or(question.bounds.kind);
    Ok(question)
}

fn put_on_record(call: &Call, audit: &Audit) -> Result<(), Problem> {
    let noted = ROUTES.iter().find(|route| route.op == Op::Search);
    let noted = noted.and_then(|route| route.noted);
    let noted = noted.ok_or_else(|| Problem::unavailable("the route has no event"))?;
    let reason = call.params.text("reason").map(str::to_owned);
    let mut body = event(noted, &call.caller, None, reason, true);
    if let Body::Admin(Fact { fields, .. }) = &mut body {
        fields.push("query", call.params.text("q").unwrap_or_default());
        for name in FILTERS {
            if let Some(value) = call.params.text(name) {
                fields.push(format!("query_{name}"), value);
            }
        }
    }
    audit(body).map_err(Problem::not_recorded)
}

fn document(found: &Found, is_whole: bool) -> Json {
    let sessions: Vec<Json> = found
        .sessions
        .iter()
        .map(|found| {
            let whose = &found.whose;
            let start = whose.start_utc_ns;
            let hits: Vec<Json> = found.hits.iter().map(|found| hit(found, start)).collect();
            json!({
                "sid": whose.session.to_string(),
                "kind": whose.kind,
                "user": whose.user,
                "server_hostname": whose.host,
                "session_start": time::text(start),
                "hits": hits,
                "more_hits": found.has_more,
                "index_complete": !found.is_capped,
            })
        })
        .collect();
    let next = found.next.map(hansard_store::index::search::cursor);
    json!({
        "sessions": sessions,
        "complete": next.is_none() && is_whole,
        "next": next,
        "gave_up": found.is_tired,
        "index_complete": is_whole,
    })
}

fn hit(hit: &Hit, start_utc_ns: u64) -> Json {
    let places: Vec<[usize; 2]> = hit.places.iter().map(|p| [p.start, p.end]).collect();
    json!({
        "at_ns": hit.at_ns,
        "time": time::text(start_utc_ns.saturating_add(hit.at_ns)),
        "from_ns": hit.span.first_ns,
        "until_ns": hit.span.last_ns,
        "times": hit.times,
        "in": hit.what.as_str(),
        "source": hit.what.source(),
        "text": hit.text,
        "places": places,
        "concealed": hit.is_concealed,
        "same_colour": hit.is_blended,
        "cut": hit.is_cut,
    })
}

/// The shape of a line that is an answer.
fn hit_schema() -> Json {
    let place = json!({ "type": "array", "items": count(), "minItems": 2, "maxItems": 2 });
    object(
        "A line that is an answer.",
        &[
            (
                "at_ns",
                count(),
                "when what was asked for came to be there, nanoseconds since the session's start: the moment to play from",
            ),
            ("time", moment(), "the same moment in UTC"),
            ("from_ns", count(), "when the line came to be there"),
            ("until_ns", count(), "up to when it was there"),
            ("times", count(), "how often it was there around then"),
            ("in", text(), "`shown`, `typed`, `command` or `event`"),
            (
                "source",
                text(),
                "`screen`, `keyboard`, `event`, `osc133` (marked by the shell) or `prompt` (it looks like a command)",
            ),
            (
                "text",
                text(),
                "the line, as it was recorded: not to be taken for markup",
            ),
            (
                "places",
                list(&place),
                "what was asked for in it: first character and the one behind the last",
            ),
            (
                "concealed",
                truth(),
                "some of it was printed so that it cannot be seen",
            ),
            (
                "same_colour",
                truth(),
                "some of it was printed in the colour of its ground",
            ),
            ("cut", truth(), "it is a piece of a longer line"),
        ],
    )
}

pub(super) fn schemas() -> Vec<(&'static str, Json)> {
    let uuid = || json!({ "type": "string", "format": "uuid" });
    let of_session = object(
        "A session with answers.",
        &[
            ("sid", uuid(), "identifier of the session"),
            ("kind", text(), "kind of session"),
            ("user", text(), "who acted"),
            ("server_hostname", text(), "name of the host"),
            ("session_start", moment(), "when it began"),
            ("hits", list(&named("Hit")), "the first answers in it"),
            (
                "more_hits",
                truth(),
                "there are more: ask with `session:` and its identifier",
            ),
            (
                "index_complete",
                truth(),
                "false where some of its text is not in the index, being too much",
            ),
        ],
    );
    let next = "give it as `cursor` to go on; `null` if this was all";
    let found = object(
        "What was found, the sessions that began last first.",
        &[
            ("sessions", list(&named("FoundSession")), ""),
            ("complete", truth(), "whether this is all there is"),
            ("next", or_null(text()), next),
            (
                "gave_up",
                truth(),
                "it took too long and was left off; `next` goes on",
            ),
            (
                "index_complete",
                truth(),
                "false while there are recordings that are not in the index yet: what is in them is not found",
            ),
        ],
    );
    vec![
        ("Hit", hit_schema()),
        ("FoundSession", of_session),
        ("Found", found),
    ]
}
