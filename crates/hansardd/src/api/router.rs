//! From a request to its handler, past everything that must be so first: a role that is high
//! enough, an identifier and parameters of their types, and the record of it, durable. All of that
//! comes from the table ([`super::table`]); a handler cannot be reached around it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, header};
use axum::routing::any;
use hansard_core::event::Fact;
use hansard_core::{Body as EventBody, Fields, SessionId, Value};
use hansard_store::Query;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::certified;
use super::limits::{ARRIVAL_MAX, BODY_BYTES_MAX, POLICY_BODY_BYTES_MAX, REQUESTS_MAX, answer_max};
use super::looks::Looks;
use super::params::Params;
use super::problem::Problem;
use super::refusals::{Refusal, Refusals};
use super::role::{Asker, Caller, Known, Role};
use super::seams::{Admit, Audit, Log, Owns};
use super::shared::{self, LOOK_BY_LINK};
use super::table::{EXPORTS, Id, Noted, Op, Own, ROUTES, Route, Verb, allowed};

/// A request that passed everything the table asks.
pub(super) struct Call {
    pub(super) caller: Caller,
    /// Answers are limited to what is of this user.
    pub(super) only: Option<String>,
    pub(super) id: Option<Name>,
    pub(super) params: Params,
    pub(super) body: Bytes,
    /// Its header `if-match`.
    pub(super) if_match: Option<String>,
}

/// What stood in the path's `{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Session(SessionId),
    Other(String),
}

impl Call {
    /// The session that it is about.
    pub(super) fn session(&self) -> Result<SessionId, Problem> {
        match self.id {
            Some(Name::Session(id)) => Ok(id),
            _ => Err(Problem::not_found()),
        }
    }

    /// What is asked for, within what the caller may see.
    pub(super) fn query(&self) -> Result<Query, Problem> {
        let query = self.params.query()?;
        Ok(match &self.only {
            Some(user) => Query {
                user: Some(user.clone()),
                ..query
            },
            None => query,
        })
    }

    /// The name that it is about.
    pub(super) fn name(&self) -> Result<&str, Problem> {
        match &self.id {
            Some(Name::Other(name)) => Ok(name),
            _ => Err(Problem::not_found()),
        }
    }
}

pub(super) type Answered = Result<Response<Body>, Problem>;
pub(super) type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;
pub(super) type Handler = Arc<dyn Fn(Call) -> Answering + Send + Sync>;

/// What decides about requests before any handler does.
pub(super) struct Doors {
    pub(super) admit: Admit,
    pub(super) audit: Audit,
    pub(super) log: Log,
    pub(super) owns: Owns,
    pub(super) refusals: Arc<Refusals>,
    /// What is said of routes that have no handler here.
    pub(super) elsewhere: Option<String>,
}

/// What every request needs.
struct Gate {
    handlers: BTreeMap<Op, Handler>,
    doors: Doors,
    looks: Looks,
    places: Semaphore,
    boot: String,
    count: AtomicU64,
}

/// The routes. `boot` is what request identifiers begin with.
pub(super) fn router(handlers: BTreeMap<Op, Handler>, doors: Doors, boot: String) -> Router {
    let gate = Arc::new(Gate {
        handlers,
        doors,
        looks: Looks::default(),
        places: Semaphore::new(REQUESTS_MAX),
        boot,
        count: AtomicU64::new(0),
    });
    let mut router = Router::new();
    let mut paths: Vec<&'static str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        let at = move |State(gate): State<Arc<Gate>>, who: Extension<Asker>, request| async move {
            gate.answer(Some(path), who.0, request).await
        };
        router = router.route(path, any(at));
    }
    let nowhere = |State(gate): State<Arc<Gate>>, who: Extension<Asker>, request| async move {
        gate.answer(None, who.0, request).await
    };
    router.fallback(nowhere).with_state(gate)
}

impl Gate {
    async fn answer(
        self: Arc<Self>,
        path: Option<&'static str>,
        asker: Asker,
        request: Request<Body>,
    ) -> Response<Body> {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        let request_id = format!("{}-{n:x}", self.boot);
        let who = asker.words();
        let mut response = match self.pass(path, asker, request).await {
            Ok(response) => response,
            Err(problem) => {
                if let Some(inside) = &problem.inside {
                    (self.doors.log)(&format!("request {request_id} of {who}: {inside}"));
                }
                problem.response(&request_id)
            }
        };
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }

    async fn pass(
        self: &Arc<Self>,
        path: Option<&'static str>,
        asker: Asker,
        request: Request<Body>,
    ) -> Answered {
        let caller = match asker {
            Asker::Browser(_) | Asker::Link(_) => self.caller(asker)?,
            // A directory service may be asked, for as long as it takes.
            Asker::Process(_) => {
                let gate = Arc::clone(self);
                let caller = tokio::task::spawn_blocking(move || gate.caller(asker)).await;
                caller.map_err(|e| Problem::unavailable(e.to_string()))??
            }
        };
        let route = find(path, request.method())?;
        let handler = self.handlers.get(&route.op);
        let handler = handler.ok_or_else(|| match &self.doors.elsewhere {
            Some(words) => Problem::elsewhere(words),
            None => Problem::not_found(),
        })?;
        let id = identifier(route, request.uri().path())?;
        let params = Params::read(route, request.uri())?;
        let only = self.reach(route, &caller, id.as_ref(), &params).await?;
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Problem::busy("too many requests are being answered"));
        };
        let if_match = request.headers().get(header::IF_MATCH);
        let if_match = if_match.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let body = read_body(route, request).await?;
        if let Some(noted) = route.noted.filter(|noted| !noted.by_handler) {
            let look = noted.once.then(|| Looks::key(&caller, id.as_ref()));
            let again = |look| self.looks.is_known(look, Instant::now());
            if !look.as_ref().is_some_and(again) {
                let noted = said(noted, &params);
                let reason = reason(&params, &body);
                let event = event(noted, &caller, id.as_ref(), reason, true);
                self.note(event).await?;
                // Only what is on record counts as seen.
                look.into_iter()
                    .for_each(|look| self.looks.remember(look, Instant::now()));
            }
        }
        let call = Call {
            caller,
            only,
            id,
            params,
            body,
            if_match,
        };
        let answer = timeout(answer_max(route.op), handler(call)).await;
        answer.unwrap_or_else(|_| Err(Problem::unavailable("the answer took too long")))
    }

    /// Who asks, if they have a role at all.
    fn caller(&self, asker: Asker) -> Result<Caller, Problem> {
        let known = match &asker {
            Asker::Process(peer) => (self.doors.admit)(peer),
            Asker::Browser(visitor) => Known {
                user: Some(visitor.user.clone()),
                role: Some(visitor.role),
            },
            Asker::Link(_) => Known {
                user: None,
                role: Some(Role::User),
            },
        };
        let Some(role) = known.role else {
            return Err(Problem::forbidden(
                "your account has no role at this service",
            ));
        };
        Ok(Caller {
            user: known.user.clone().unwrap_or_else(|| asker.words()),
            account: known.user,
            asker,
            role,
        })
    }

    /// The user to whose own an answer is limited; nobody for a role that may see all.
    async fn reach(
        self: &Arc<Self>,
        route: &Route,
        caller: &Caller,
        id: Option<&Name>,
        params: &Params,
    ) -> Result<Option<String>, Problem> {
        let opened = match &caller.asker {
            Asker::Link(guest) => shared::opens(guest, route, id),
            Asker::Browser(visitor) if visitor.is_certified => certified::opens(route),
            _ => Ok(()),
        };
        if let Err(closed) = opened {
            self.note_refusal(route, caller, id, params).await;
            return Err(closed);
        }
        if matches!(caller.asker, Asker::Link(_)) || caller.role >= route.least {
            return Ok(None);
        }
        let is_own = match (&caller.account, route.own, id) {
            (Some(account), Own::Rows, _) => params.text("user").is_none_or(|user| user == account),
            (Some(account), Own::Sessions, Some(Name::Session(id))) => {
                self.owns(*id, account).await?
            }
            _ => false,
        };
        if is_own {
            return Ok(caller.account.clone());
        }
        self.note_refusal(route, caller, id, params).await;
        let (has, needs) = (caller.role, route.least);
        let what = match route.own {
            Own::Nothing => "this",
            // The same words whether there is such a session or not.
            Own::Rows | Own::Sessions => "what is not your own",
        };
        Err(Problem::forbidden(&format!(
            "{what} needs the role {needs}; you have the role {has}"
        )))
    }

    /// Whether a session is of this user.
    async fn owns(self: &Arc<Self>, session: SessionId, account: &str) -> Result<bool, Problem> {
        let (gate, account) = (Arc::clone(self), account.to_owned());
        let asked = tokio::task::spawn_blocking(move || (gate.doors.owns)(session, &account)).await;
        let fault = |_| Problem::unavailable("asking whose a session is has a fault");
        Ok(asked.map_err(fault)??)
    }

    /// Puts an event on record; an error means that nothing is done.
    async fn note(self: &Arc<Self>, event: EventBody) -> Result<(), Problem> {
        let gate = Arc::clone(self);
        let noted = tokio::task::spawn_blocking(move || (gate.doors.audit)(event)).await;
        match noted {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(Problem::not_recorded(why)),
            Err(_) => Err(Problem::not_recorded("the record of looks has a fault")),
        }
    }

    /// Whoever has a role and reaches for what that role may not is put on record, too. They get
    /// nothing either way, so a record that fails changes nothing for them; the log has it.
    async fn note_refusal(
        self: &Arc<Self>,
        route: &Route,
        caller: &Caller,
        id: Option<&Name>,
        params: &Params,
    ) {
        // Whatever somebody tries with a link is a look, or would have been one.
        let noted = match caller.asker {
            Asker::Link(_) => Some(LOOK_BY_LINK),
            _ => route.noted,
        };
        let Some(noted) = noted else { return };
        match self.doors.refusals.refused(caller, Instant::now()) {
            Refusal::Told => {
                let reason = params.text("reason").map(str::to_owned);
                let noted = said(noted, params);
                self.tell(event(noted, caller, id, reason, false)).await;
            }
            Refusal::FirstCounted(after) => {
                let gate = Arc::clone(self);
                // What is not told when the service stops is told then ([`Refusals::left`]).
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    for event in gate.doors.refusals.due(Instant::now()) {
                        gate.tell(event).await;
                    }
                });
            }
            Refusal::Counted => {}
        }
    }

    async fn tell(self: &Arc<Self>, event: EventBody) {
        if let Err(Problem {
            inside: Some(why), ..
        }) = self.note(event).await
        {
            (self.doors.log)(&format!("a refusal could not be put on record: {why}"));
        }
    }
}

fn find(path: Option<&'static str>, method: &Method) -> Result<&'static Route, Problem> {
    let path = path.ok_or_else(Problem::not_found)?;
    let named = |verb: Verb| verb.as_str() == method.as_str();
    let route = ROUTES.iter().find(|r| r.path == path && named(r.verb));
    route.ok_or_else(|| Problem::method(allowed(path)))
}

/// What stands in the path as it was sent: identifiers need no escapes, so one with an escape is
/// none.
fn identifier(route: &Route, path: &str) -> Result<Option<Name>, Problem> {
    let Some(kind) = route.id else {
        return Ok(None);
    };
    let place = route.path.split('/').position(|part| part == "{id}");
    let text = place
        .and_then(|n| path.split('/').nth(n))
        .unwrap_or_default();
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    match kind {
        Id::Session => {
            let id = text.parse().map_err(|_| Problem::not_found())?;
            Ok(Some(Name::Session(id)))
        }
        Id::Host
        | Id::Token
        | Id::User
        | Id::Share
        | Id::Passkey
        | Id::Credential
        | Id::Lock
        | Id::SignIn
        | Id::Saved
            if (1..=64).contains(&text.len())
                && text.bytes().all(plain)
                && !text.starts_with('.') =>
        {
            Ok(Some(Name::Other(text.to_owned())))
        }
        Id::Host
        | Id::Token
        | Id::User
        | Id::Share
        | Id::Passkey
        | Id::Credential
        | Id::Lock
        | Id::SignIn
        | Id::Saved => Err(Problem::not_found()),
    }
}

async fn read_body(route: &Route, request: Request<Body>) -> Result<Bytes, Problem> {
    let bytes_max = match route.op {
        Op::PolicySet | Op::PolicyTest => POLICY_BODY_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    };
    let read = timeout(ARRIVAL_MAX, to_bytes(request.into_body(), bytes_max)).await;
    match (read, route.body) {
        (Ok(Ok(body)), Some(_)) => Ok(body),
        (Ok(Ok(body)), None) if body.is_empty() => Ok(body),
        (Ok(Ok(_)), None) => Err(Problem::bad("this takes no body")),
        (Ok(Err(_)), _) => Err(Problem::too_large(bytes_max)),
        (Err(_), _) => Err(Problem::bad("the body did not arrive in time")),
    }
}

/// Why, as the caller says it: a parameter, or in the body.
fn reason(params: &Params, body: &Bytes) -> Option<String> {
    let said = params.text("reason").map(str::to_owned);
    said.or_else(|| {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some(body.get("reason")?.as_str()?.to_owned())
    })
}

/// The same, with the format that was asked for.
fn said(noted: Noted, params: &Params) -> Noted {
    let asked = params.text("format");
    let known = EXPORTS.iter().copied().find(|known| asked == Some(*known));
    Noted {
        format: noted.format.map(|format| known.unwrap_or(format)),
        ..noted
    }
}

/// The event that says who did what to which thing, and why.
pub(super) fn event(
    noted: Noted,
    caller: &Caller,
    id: Option<&Name>,
    reason: Option<String>,
    success: bool,
) -> EventBody {
    let roles = match &caller.asker {
        Asker::Link(_) => Vec::new(),
        _ => vec![caller.role.as_str().into()],
    };
    let mut fields = Fields::new()
        .with("user", caller.user.as_str())
        .with("user_roles", Value::List(roles))
        .with("success", success);
    match &caller.asker {
        Asker::Process(peer) => {
            fields.push("user_uid", u64::from(peer.uid));
            if let Some(pid) = peer.pid.and_then(|pid| u64::try_from(pid).ok()) {
                fields.push("pid", pid);
            }
        }
        Asker::Browser(visitor) => {
            fields.push("addr.remote", visitor.address.to_string());
            if let Some(outside) = &visitor.outside {
                fields.push("issuer", outside.issuer.as_str());
                fields.push("subject", outside.subject.as_str());
            }
        }
        Asker::Link(guest) => {
            fields.push("addr.remote", guest.address.to_string());
            fields.push("share", guest.share.id.as_str());
            fields.push("shared_with", guest.share.viewer.as_str());
            fields.push("shared_by", guest.share.created_by.as_str());
            if let Some(over) = guest.over {
                fields.push("error", over.as_str());
            }
        }
    }
    match id {
        Some(Name::Session(id)) => fields.push("recording", id.to_string()),
        Some(Name::Other(name)) => {
            let field = match noted.event {
                event if event.starts_with("lock.") => "target",
                "recording.unshared" => "share",
                _ => "name",
            };
            fields.push(field, name.as_str());
        }
        None => {}
    }
    if let Some(format) = noted.format {
        fields.push("format", format);
    }
    if let Some(reason) = reason {
        fields.push("reason", reason);
    }
    EventBody::Admin(Fact {
        event: noted.event.to_owned(),
        fields,
    })
}
