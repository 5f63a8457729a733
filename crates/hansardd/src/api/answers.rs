//! What the routes do, those that are no streams.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use hansard_core::SessionId;
use hansard_store::Query;
use hansard_store::catalog::SessionRow;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::limits::PAGE_MAX;
use super::player::{Damaged, Playing};
use super::problem::{Problem, Trouble};
use super::role::{Asker, Visitor};
use super::router::{Answered, Call, Handler};
use super::rows;
use super::seams::{Audit, Behind, Ending, Hosts, Listings, Recordings, Status, TokenWish, Tokens};
use super::telling::changing;

/// Longest time that a token may hold, in seconds: 30 days. A longer one is refused.
const TOKEN_TTL_S_MAX: u64 = 30 * 86_400;

/// Most uses of one token; more are refused.
const TOKEN_USES_MAX: u32 = 10_000;

/// Longest reason, in bytes; a longer one is refused.
pub(super) const REASON_BYTES_MAX: usize = 1024;

/// A handler whose work blocks, on a thread that may.
pub(super) fn blocking(
    work: impl Fn(Call) -> Result<Json, Problem> + Send + Sync + 'static,
) -> Handler {
    let work = Arc::new(work);
    Arc::new(move |call| {
        let work = Arc::clone(&work);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(call)).await;
            let fault = |_| Problem::unavailable("the handler has a fault");
            Ok(json_response(&done.map_err(fault)??))
        })
    })
}

/// One JSON document.
pub(super) fn json_response(document: &Json) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{document}\n")));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

pub(super) fn status(status: Status) -> Handler {
    blocking(move |call| {
        let mut facts = status();
        let mut you = json!({
            "user": call.caller.user,
            "role": call.caller.role.as_str(),
        });
        match (&call.caller.asker, you.as_object_mut()) {
            (Asker::Process(peer), Some(you)) => {
                you.insert("uid".to_owned(), json!(peer.uid));
            }
            (
                Asker::Browser(Visitor {
                    outside: Some(outside),
                    ..
                }),
                Some(you),
            ) => {
                you.insert("provider".to_owned(), json!(outside.display));
                you.insert("issuer".to_owned(), json!(outside.issuer));
                you.insert("subject".to_owned(), json!(outside.subject));
            }
            _ => {}
        }
        facts.insert("you".to_owned(), you);
        Ok(Json::Object(facts))
    })
}

pub(super) fn openapi() -> Handler {
    Arc::new(|_| {
        Box::pin(async {
            let mut response = json_response(&Json::Null);
            *response.body_mut() = Body::from(super::openapi::document());
            Answered::Ok(response)
        })
    })
}

pub(super) fn sessions(listings: Arc<dyn Listings>) -> Handler {
    blocking(move |call| {
        let page = listings.sessions(&call.query()?)?;
        let row = |row| rows::session(row, listings.no_end(row));
        let rows: Vec<Json> = page.rows.iter().map(row).collect();
        let next = page.next.map(|next| next.to_string());
        Ok(listed("sessions", rows, next, Some(listings.behind()?)))
    })
}

/// A listing, and whether it is all: rows that are not there yet are said, too.
pub(super) fn listed(
    name: &str,
    rows: Vec<Json>,
    next: Option<String>,
    behind: Option<Behind>,
) -> Json {
    let mut document = json!({ name: rows, "complete": next.is_none(), "next": next });
    if let (Some(found), Some(document)) = (behind, document.as_object_mut()) {
        document.insert("behind".to_owned(), self::behind(found));
    }
    document
}

/// How far rows are behind, in an answer.
pub(super) fn behind(found: Behind) -> Json {
    let Behind { segments, more } = found;
    json!({ "segments": segments, "at_least": more })
}

pub(super) fn session(listings: Arc<dyn Listings>) -> Handler {
    blocking(move |call| {
        let row = row_of(living(&call, &*listings)?, &*listings)?;
        let row = row.ok_or_else(Problem::not_found)?;
        Ok(rows::session(&row, listings.no_end(&row)))
    })
}

/// What is listed of one session.
fn row_of(session: SessionId, listings: &dyn Listings) -> Result<Option<SessionRow>, Problem> {
    let query = Query {
        session: Some(session),
        limit: 1,
        ..Query::default()
    };
    Ok(listings.sessions(&query)?.rows.into_iter().next())
}

/// The session that a request is about, unless it was deleted. Asked before its recording is: of
/// one that is deleted meanwhile nothing is found, of one that was, nothing is left to be found.
pub(super) fn living(call: &Call, listings: &dyn Listings) -> Result<SessionId, Problem> {
    let session = call.session()?;
    match listings.deleted(session)? {
        Some(words) => Err(Trouble::Gone(words).into()),
        None => Ok(session),
    }
}

pub(super) fn verify(
    listings: Arc<dyn Listings>,
    recordings: Arc<dyn Recordings>,
    playing: Arc<dyn Playing>,
) -> Handler {
    blocking(move |call| {
        let session = living(&call, &*listings)?;
        let found = recordings.verify(session)?;
        let found = found.ok_or_else(Problem::not_found)?;
        // Before it is answered: whoever has the verdict sees no screen made before it.
        playing.checked(session, Damaged::of(&found).as_ref());
        Ok(rows::verified(&session.to_string(), &found))
    })
}

/// The body of what must be given a reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
}

/// What the words begin with that say what is wrong with a body.
pub(super) const THE_BODY: &str = "the body: ";

pub(super) fn body<'a, T: Deserialize<'a>>(call: &'a Call) -> Result<T, Problem> {
    serde_json::from_slice(&call.body).map_err(|e| Problem::bad(format!("{THE_BODY}{e}")))
}

pub(super) fn reason(call: &Call) -> Result<String, Problem> {
    let Reason { reason } = body(call)?;
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let most = REASON_BYTES_MAX;
        return Err(Problem::bad(format!("reason: 1 to {most} bytes of words")));
    }
    Ok(reason)
}

/// That it is there, before anything is told of it.
pub(super) fn there(is_there: bool) -> Result<(), Problem> {
    is_there.then_some(()).ok_or_else(Problem::not_found)
}

pub(super) fn done(was: bool) -> Result<Json, Problem> {
    there(was)?;
    Ok(json!({ "done": true }))
}

pub(super) fn end(listings: Arc<dyn Listings>, ending: Arc<dyn Ending>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let reason = reason(call)?;
        let session = call.session()?;
        let goes_on = |goes_on: bool| -> Result<(), Problem> {
            // Whoever has just seen it in the list is not told that there is no such session.
            if !goes_on && row_of(session, &*listings)?.is_some() {
                let why = "no session that is going on: there is nothing to end".to_owned();
                let next = "look at the session: how it ended stands there";
                return Err(Trouble::NotNow(why, next).into());
            }
            there(goes_on)
        };
        goes_on(ending.goes_on(session)?)?;
        telling.done()?;
        goes_on(ending.end(session, &reason, &call.caller)?)?;
        done(true)
    })
}

/// A page of rows by name: one more than fits is asked for, which says whether there is more.
pub(super) fn page<T>(
    call: &Call,
    list: impl FnOnce(Option<&str>, usize) -> Result<Vec<T>, Trouble>,
    name: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let most = call.params.page().min(PAGE_MAX);
    let mut rows = list(call.params.text("cursor"), most + 1)?;
    let more = rows.len() > most;
    rows.truncate(most);
    let next = rows.last().filter(|_| more).map(name);
    Ok((rows, next))
}

pub(super) fn tokens(tokens: Arc<dyn Tokens>) -> Handler {
    blocking(move |call| {
        let list = |after: Option<&str>, most| tokens.list(after, most);
        let (rows, next) = page(&call, list, |row| row.name.clone())?;
        let rows = rows.iter().map(|row| Json::Object(rows::token(row)));
        Ok(listed("tokens", rows.collect(), next, None))
    })
}

/// The body of a token that is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    role: String,
    ttl_s: u64,
    uses: u32,
}

pub(super) fn token_make(tokens: Arc<dyn Tokens>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let Wish { role, ttl_s, uses } = body(call)?;
        if role != "host" {
            return Err(Problem::bad("role: only `host` joins with a token"));
        }
        if !(1..=TOKEN_TTL_S_MAX).contains(&ttl_s) {
            let days = TOKEN_TTL_S_MAX / 86_400;
            return Err(Problem::bad(format!(
                "ttl_s: 1 to {TOKEN_TTL_S_MAX}, which are {days} days"
            )));
        }
        if !(1..=TOKEN_USES_MAX).contains(&uses) {
            return Err(Problem::bad(format!("uses: 1 to {TOKEN_USES_MAX}")));
        }
        telling.done()?;
        let made = tokens.make(&TokenWish { role, ttl_s, uses }, &call.caller)?;
        let mut object = rows::token(&made.row);
        object.insert("token".to_owned(), made.token.into());
        Ok(Json::Object(object))
    })
}

pub(super) fn token_remove(tokens: Arc<dyn Tokens>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        there(tokens.knows(call.name()?)?)?;
        telling.done()?;
        done(tokens.remove(call.name()?, &call.caller)?)
    })
}

pub(super) fn hosts(hosts: Arc<dyn Hosts>) -> Handler {
    blocking(move |call| {
        let list = |after: Option<&str>, most| hosts.list(after, most);
        let (rows, next) = page(&call, list, |row| row.id.clone())?;
        Ok(listed(
            "hosts",
            rows.iter().map(rows::host).collect(),
            next,
            None,
        ))
    })
}

pub(super) fn host_lock(hosts: Arc<dyn Hosts>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let reason = reason(call)?;
        there(hosts.check(call.name()?)?)?;
        telling.done()?;
        done(hosts.lock(call.name()?, Some(&reason), &call.caller)?)
    })
}

pub(super) fn host_unlock(hosts: Arc<dyn Hosts>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        there(hosts.check(call.name()?)?)?;
        telling.done()?;
        done(hosts.lock(call.name()?, None, &call.caller)?)
    })
}
