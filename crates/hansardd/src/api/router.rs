//! From a request to its handler, past everything that must be so first: a role that is high
//! enough, an identifier and parameters of their types, a place among those who are answered, and the
//! record of it, durable. All of that comes from the table ([`super::table`]); a handler cannot be
//! reached around it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderName, HeaderValue, Request, Response, header};
use axum::routing::any;
use hansard_core::{Body as EventBody, Lockable, Locks, SessionId};
use hansard_store::Query;
use hyper::body::Body as _;
use tokio::time::timeout;

use super::asked::{find, identifier, is_long, read_body};
use super::certified;
use super::limits::{AGAIN, REQUESTS, answer_max};
use super::looks::Looks;
pub(super) use super::noted::event;
use super::noted::{reason, said};
use super::params::Params;
use super::places::{Full, Place, Places, Whose};
use super::problem::Problem;
use super::refusals::{Refusal, Refusals};
use super::role::{Asker, Caller, Known, Peer, Role, Still};
use super::seams::{Admit, Audit, Log, Owns};
use super::shared::{self, LOOK_BY_LINK};
use super::standing::{Right, Standing, Stands, while_it_holds};
use super::table::{Noted, Op, Own, ROUTES, Route, Verb};

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
    /// What the table says is on record of it.
    pub(super) noted: Option<Noted>,
    /// What its answer calls it.
    pub(super) request_id: String,
    /// Held by whatever works on it, also when nobody waits for the answer any more: work that goes on
    /// takes its place along.
    pub(super) _place: Place<Whose>,
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

/// A route, and what stood in the path and behind it.
type AskedFor<'a> = (&'a Route, Option<&'a Name>, &'a Params);

/// What decides about requests before any handler does.
pub(super) struct Doors {
    pub(super) admit: Admit,
    pub(super) audit: Audit,
    pub(super) log: Log,
    pub(super) locked: Option<Arc<dyn Locks>>,
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
    standing: Standing,
    places: Arc<Places<Whose>>,
    boot: String,
    count: AtomicU64,
}

/// The routes. `boot` is what request identifiers begin with.
pub(super) fn router(handlers: BTreeMap<Op, Handler>, doors: Doors, boot: String) -> Router {
    let gate = Arc::new(Gate {
        handlers,
        doors,
        looks: Looks::default(),
        standing: Standing::default(),
        places: Places::new(REQUESTS),
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
        let mut response = match self.pass(path, (asker, &request_id), request).await {
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
        (asker, request_id): (Asker, &str),
        request: Request<Body>,
    ) -> Answered {
        let still = request.extensions().get::<Still>().cloned();
        let caller = self.let_in(asker).await?;
        let route = find(path, request.method())?;
        let handler = self.handlers.get(&route.op);
        let handler = handler.ok_or_else(|| match &self.doors.elsewhere {
            Some(words) => Problem::elsewhere(words),
            None => Problem::not_found(),
        })?;
        let id = identifier(route, request.uri().path())?;
        let params = Params::read(route, request.uri())?;
        let asked = (route, id.as_ref(), &params);
        let mut only = self.reach(asked, &caller).await?;
        let mut caller = caller;
        let if_match = request.headers().get(header::IF_MATCH);
        let if_match = if_match.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        // Whoever is still sending holds no place, or they could keep everybody out; of what may be long
        // only so much is on its way, and only from those who may send it.
        let early = is_long(route).then(|| self.place(&caller)).transpose()?;
        let is_sent_on = !request.body().is_end_stream();
        let body = read_body(route, request).await?;
        if is_sent_on {
            // Whoever held it back may be nobody by now: nothing is noted or done for who they were.
            (caller, only) = self.again(asked, (&caller, still.as_ref())).await?;
        }
        let place = early.map_or_else(|| self.place(&caller), Ok)?;
        self.note_look(asked, &caller, &body).await?;
        let call = Call {
            caller: caller.clone(),
            only: only.clone(),
            id: id.clone(),
            params: params.clone(),
            body,
            if_match,
            noted: route.noted.map(|noted| said(noted, &params)),
            request_id: request_id.to_owned(),
            _place: place,
        };
        let began = Instant::now();
        let answer = timeout(answer_max(route.op), handler(call)).await;
        let late = |_| Err(Problem::unavailable("the answer took too long"));
        let answer = answer.unwrap_or_else(late)?;
        let is_whole = answer.body().size_hint().exact().is_some();
        // What takes something away may take what its asker stands on; its answer says only that it did.
        if is_whole && began.elapsed() >= AGAIN && route.verb != Verb::Delete {
            self.again(asked, (&caller, still.as_ref())).await?;
        }
        Ok(self.guarded(route, (caller.asker, only), answer))
    }

    /// An answer that goes on ends when whoever asked may not have it any more.
    fn guarded(
        self: &Arc<Self>,
        route: &Route,
        (asker, only): (Asker, Option<String>),
        answer: Response<Body>,
    ) -> Response<Body> {
        // The web server asks for the others itself.
        let Asker::Process(peer) = asker else {
            return answer;
        };
        let right = Right {
            least: route.least,
            only,
        };
        let (known, gate) = (self.standing.of(&peer), Arc::clone(self));
        let ask = move || Arc::clone(&gate).stands(peer);
        while_it_holds((known, right), ask, answer)
    }

    /// Puts a look on record, unless it belongs to one that is. What changes something is told by its handler.
    async fn note_look(
        self: &Arc<Self>,
        (route, id, params): AskedFor<'_>,
        caller: &Caller,
        body: &Bytes,
    ) -> Result<(), Problem> {
        let Some(noted) = route.noted.filter(|noted| !noted.by_handler) else {
            return Ok(());
        };
        let reason = reason(params, body);
        let look = noted.once.then(|| Looks::key((caller, id), &reason));
        let again = |look| self.looks.is_known(look, Instant::now());
        if look.as_ref().is_some_and(again) {
            return Ok(());
        }
        let event = event(said(noted, params), caller, id, reason, true);
        self.note(event).await?;
        // Only what is on record counts as seen.
        if let Some(look) = look {
            self.looks.remember(look, Instant::now());
        }
        Ok(())
    }

    /// Who asks, if they are let in.
    async fn let_in(self: &Arc<Self>, asker: Asker) -> Result<Caller, Problem> {
        match asker {
            Asker::Browser(_) | Asker::Link(_) => self.caller(asker),
            // A directory service may be asked, for as long as it takes.
            Asker::Process(peer) => self.process(peer).await,
        }
    }

    /// Who asks and how far they reach, as it is now: time has passed since they were let in.
    async fn again(
        self: &Arc<Self>,
        asked: AskedFor<'_>,
        (caller, still): (&Caller, Option<&Still>),
    ) -> Result<(Caller, Option<String>), Problem> {
        let asker = match &caller.asker {
            Asker::Process(peer) => Asker::Process(*peer),
            Asker::Browser(_) | Asker::Link(_) => {
                let still = still.ok_or_else(|| Problem::unavailable("nobody says who asks"))?;
                let still = Still::clone(still);
                let asked = tokio::task::spawn_blocking(move || (still.0)()).await;
                asked.map_err(|e| Problem::unavailable(e.to_string()))??
            }
        };
        let caller = self.let_in(asker).await?;
        let only = self.reach(asked, &caller).await?;
        Ok((caller, only))
    }

    /// Who a process is, which may take as long as a directory service does.
    async fn process(self: &Arc<Self>, peer: Peer) -> Result<Caller, Problem> {
        let gate = Arc::clone(self);
        let caller = tokio::task::spawn_blocking(move || gate.caller(Asker::Process(peer))).await;
        caller.map_err(|e| Problem::unavailable(e.to_string()))?
    }

    /// The same, for who was let in.
    async fn stands(self: Arc<Self>, peer: Peer) -> Stands {
        let caller = self.process(peer).await.ok()?;
        Some((caller.account, caller.role))
    }

    /// A place among those who are answered.
    fn place(&self, caller: &Caller) -> Result<Place<Whose>, Problem> {
        let place = self
            .places
            .take(Whose::of(caller), caller.role == Role::Admin);
        place.map_err(|full| match full {
            Full::Own => Problem::busy_own("too many requests of yours are being answered"),
            Full::All => Problem::busy("too many requests are being answered"),
        })
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
        if let Asker::Process(peer) = &asker
            && let Some(why) = self.locked(peer, &known, role)
        {
            return Err(Problem::locked(&why));
        }
        Ok(Caller {
            user: known.user.clone().unwrap_or_else(|| asker.words()),
            account: known.user,
            asker,
            role,
        })
    }

    /// Why an account of this machine is locked out, if so. Root is not: somebody must be able to lift a lock.
    /// Here an account is a person and a login at once, as where its sessions are recorded.
    fn locked(&self, peer: &Peer, known: &Known, role: Role) -> Option<String> {
        let locked = self.doors.locked.as_ref().filter(|_| peer.uid != 0)?;
        let account = known.user.clone().unwrap_or_default();
        locked.locked(&Lockable {
            user: account.clone(),
            roles: vec![role.as_str().to_owned()],
            login: account,
            ..Lockable::default()
        })
    }

    /// The user to whose own an answer is limited; nobody for a role that may see all.
    async fn reach(
        self: &Arc<Self>,
        (route, id, params): AskedFor<'_>,
        caller: &Caller,
    ) -> Result<Option<String>, Problem> {
        let opened = match &caller.asker {
            Asker::Link(guest) => shared::opens(guest, route, id),
            Asker::Browser(visitor) if visitor.is_certified => certified::opens(route),
            _ => Ok(()),
        };
        if let Err(closed) = opened {
            self.note_refusal((route, id, params), caller).await;
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
        self.note_refusal((route, id, params), caller).await;
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
    async fn note_refusal(self: &Arc<Self>, (route, id, params): AskedFor<'_>, caller: &Caller) {
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

#[cfg(test)]
mod tests;
