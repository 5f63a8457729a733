//! The web server (`serve.web`): the application in a browser, and the API for whoever is signed in
//! there.
//!
//! - [`pages`]: the application itself, which is part of this program, and what a browser is told to
//!   refuse of it
//! - [`origin`]: under which names we are asked, and by which page
//! - [`signed_in`]: who is signed in; [`attempts`]: how often somebody may try; [`sign_in`]: trying;
//!   `passkey`: trying with a passkey, which answers one of the [`challenges`]; `link`: who has a link to
//!   one session
//! - connections: [`serve`]
//!
//! What a browser may is decided where it is for everybody: by the table of the API's routes. Here it
//! is only found out who asks.

pub mod attempts;
pub mod challenges;
mod link;
pub mod origin;
pub mod pages;
mod passkey;
pub mod serve;
pub mod sign_in;
pub mod signed_in;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hansard_core::{Lockable, Locks};
use hansard_identity::user::User;
use hansard_identity::{Shares, Users};
use hansard_record::clock::Clock;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use crate::api::Api;
use crate::api::problem::Problem;
use crate::api::role::{Asker, Visitor};
use crate::api::seams::{Audit, Log};
use attempts::Attempts;
use challenges::Challenges;
pub use link::shared_address;
use origin::Origins;
use signed_in::{SignedIn, Ticket};

/// Name of the cookie of whoever is signed in.
pub const COOKIE: &str = "hansard_session";

/// Passwords that are checked at the same time: each takes a processor for some hundredths of a
/// second, and 19 MiB. Further ones wait.
pub const CHECKS_MAX: usize = 2;

/// What the web server stands on.
pub struct Parts {
    /// The API, which answers all of `/v1/`.
    pub api: Api,
    /// Who may sign in.
    pub users: Arc<Users>,
    /// Links for people without an account.
    pub shares: Arc<Shares>,
    /// Who is locked out.
    pub locks: Option<Arc<dyn Locks>>,
    /// The service's own recording.
    pub audit: Audit,
    /// The service's log.
    pub log: Log,
    /// The wall clock, for codes.
    pub clock: Arc<dyn Clock>,
    /// Who is signed in.
    pub signed_in: Arc<SignedIn>,
    /// What waits to be signed.
    pub challenges: Arc<Challenges>,
    /// Who tried and failed.
    pub attempts: Arc<Attempts>,
    /// How we are reached.
    pub origins: Origins,
}

/// The web server.
pub struct Web {
    parts: Parts,
    checks: Semaphore,
}

impl Web {
    /// Over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let checks = Semaphore::new(CHECKS_MAX);
        Self { parts, checks }
    }

    /// Answers a request from this address.
    pub async fn answer(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Response<Body> {
        let answer = self.pass(request, address).await;
        let mut response = answer.unwrap_or_else(|problem| problem.response("web"));
        pages::guard(response.headers_mut(), self.parts.origins.is_https());
        response
    }

    async fn pass(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        self.parts
            .origins
            .check(request.method(), request.headers())?;
        let path = request.uri().path();
        if path != "/v1" && !path.starts_with("/v1/") {
            return pages::answer(request.method(), path, request.headers());
        }
        match (path, request.method()) {
            ("/v1/sign-in", &Method::POST) => self.sign_in(request, address).await,
            ("/v1/sign-out", &Method::POST) => Ok(self.sign_out(&request)),
            ("/v1/sign-in/passkey/challenge", &Method::POST) => {
                self.passkey_challenge(&request, address)
            }
            ("/v1/sign-in/passkey", &Method::POST) => self.passkey_sign_in(request, address).await,
            (
                "/v1/sign-in"
                | "/v1/sign-out"
                | "/v1/sign-in/passkey"
                | "/v1/sign-in/passkey/challenge",
                _,
            ) => Err(Problem::method("POST")),
            _ => self.api(request, address).await,
        }
    }

    async fn api(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        // Who comes with a link is nobody else, whoever is signed in in the same browser.
        // Other words in that header are a reverse proxy's.
        let words = request.headers().get(header::AUTHORIZATION);
        let scheme = words.and_then(|words| words.as_bytes().split(|b| *b == b' ').next());
        if scheme == Some(b"Bearer") {
            let guest = self.guest(request.headers(), address).await?;
            return Ok(self.ask(request, Asker::Link(guest)).await);
        }
        let ticket = ticket(&request).ok_or_else(not_signed_in)?;
        let origin = self.parts.origins.of(request.headers());
        let visitor = self
            .visitor(&ticket, (address, &origin))
            .ok_or_else(not_signed_in)?;
        let response = self.ask(request, Asker::Browser(visitor)).await;
        let web = Arc::clone(self);
        let holds = move || web.visitor(&ticket, (address, &origin)).is_some();
        Ok(response.map(|body| Body::new(WhileSignedIn::new(body, holds))))
    }

    async fn ask(&self, mut request: Request<Body>, asker: Asker) -> Response<Body> {
        for secret in [header::COOKIE, header::AUTHORIZATION] {
            request.headers_mut().remove(secret);
        }
        request.extensions_mut().insert(asker);
        let router = TowerToHyperService::new(self.parts.api.router());
        let Ok(response) = router.call(request).await;
        response
    }

    /// Who this ticket is of, as they are now.
    fn visitor(&self, ticket: &Ticket, (address, origin): (IpAddr, &str)) -> Option<Visitor> {
        let (name, changed_ns) = self.parts.signed_in.of(ticket, Instant::now())?;
        let user = self.parts.users.get(&name);
        // Removed, or given another password since: every look at it is the end of it.
        let Some(user) = user.filter(|user| user.changed_ns == changed_ns) else {
            self.parts.signed_in.end(ticket);
            return None;
        };
        if self.locked(&user).is_some() {
            self.parts.signed_in.end(ticket);
            return None;
        }
        Some(Visitor {
            user: user.name,
            role: user.role,
            changed_ns,
            address,
            origin: origin.to_owned(),
        })
    }

    /// Why a user may not be signed in though everything else is right.
    fn locked(&self, user: &User) -> Option<String> {
        let locks = self.parts.locks.as_ref()?;
        locks.locked(&Lockable {
            user: user.name.clone(),
            roles: user.all_roles().into_iter().map(str::to_owned).collect(),
            ..Lockable::default()
        })
    }

    fn sign_out(&self, request: &Request<Body>) -> Response<Body> {
        if let Some(ticket) = ticket(request) {
            self.parts.signed_in.end(&ticket);
        }
        let mut response = done();
        let gone = self.cookie("", Some(0));
        response.headers_mut().insert(header::SET_COOKIE, gone);
        // Whatever the browser kept of us.
        let clear = HeaderName::from_static("clear-site-data");
        let all = HeaderValue::from_static("\"cache\", \"storage\"");
        response.headers_mut().insert(clear, all);
        response
    }

    /// The cookie: no script sees it, no other site has it sent.
    fn cookie(&self, value: &str, max_age_s: Option<u64>) -> HeaderValue {
        let mut text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict");
        if self.parts.origins.is_https() {
            text.push_str("; Secure");
        }
        if let Some(seconds) = max_age_s {
            text.push_str(&format!("; Max-Age={seconds}"));
        }
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

fn not_signed_in() -> Problem {
    Problem {
        next_step: "sign in; GET / has the page for it".to_owned(),
        ..Problem::status(
            StatusCode::UNAUTHORIZED,
            "not_signed_in",
            "nobody is signed in here (any more)",
        )
    }
}

fn done() -> Response<Body> {
    json(&serde_json::json!({ "done": true }))
}

fn json(document: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{document}\n")));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The ticket in a request's cookie; the first one that is one.
fn ticket(request: &Request<Body>) -> Option<Ticket> {
    let cookies = request.headers().get_all(header::COOKIE).iter();
    let pairs = cookies.filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| Ticket::parse(value)).flatten()
    })
}

/// An answer that ends when whoever asked is signed out: a stream is no door that stays open.
struct WhileSignedIn<F> {
    body: Body,
    holds: F,
}

impl<F: Fn() -> bool + Unpin> WhileSignedIn<F> {
    fn new(body: Body, holds: F) -> Self {
        Self { body, holds }
    }
}

impl<F: Fn() -> bool + Unpin> HttpBody for WhileSignedIn<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = std::pin::Pin::new(&mut self.body).poll_frame(context);
        match polled {
            Poll::Ready(Some(Ok(_))) if !(self.holds)() => {
                let over = std::io::Error::other("signed out");
                Poll::Ready(Some(Err(axum::Error::new(over))))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
