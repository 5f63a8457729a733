//! The web server (`serve.web`): the application in a browser, and the API for whoever is signed in
//! there.
//!
//! - [`pages`]: the application itself, which is part of this program, and what a browser is told to
//!   refuse of it
//! - [`origin`]: under which names we are asked, and by which page; [`proxies`]: from where
//! - [`signed_in`]: who is signed in; [`attempts`]: how often somebody may try; `seen`: who is known from before;
//!   [`sign_in`]: trying;
//!   `passkey`: trying with a passkey, which answers one of the [`challenges`]; `link`: who has a link to
//!   one session; `certified`: who has a certificate; [`oidc`]: trying at a provider; [`waiting`]: what waits for an answer
//! - connections: [`serve`]; [`tls`]: a certificate of its own; [`files`]: what is configured as files
//!
//! What a browser may is decided where it is for everybody: by the table of the API's routes. Here it
//! is only found out who asks.

pub mod attempts;
mod certified;
pub mod challenges;
pub mod files;
mod link;
pub mod oidc;
pub mod origin;
pub mod pages;
mod passkey;
pub mod proxies;
mod seen;
pub mod serve;
pub mod sign_in;
pub mod signed_in;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod waiting;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header,
};
use hansard_core::{Lockable, Locks};
use hansard_identity::random::Random;
use hansard_identity::user::User;
use hansard_identity::users::Standing;
use hansard_identity::{Devices, PeopleAuthority, Places, Shares, Users};
use hansard_record::clock::Clock;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use crate::api::Api;
use crate::api::problem::Problem;
use crate::api::role::{Asker, Outside, Still, Visitor};
use crate::api::seams::{Admit, Audit, Log};
use crate::api::until::Until;
use attempts::Attempts;
use challenges::Challenges;
pub use link::shared_address;
use oidc::flow::Flow;
use origin::Origins;
use signed_in::{SignedIn, Ticket, Who};

/// Name of the cookie of whoever is signed in.
pub const COOKIE: Cookie = Cookie {
    plain: "hansard_session",
    of_host: "__Host-hansard_session",
};

/// What our page says of a request that it sends by itself, to show what is new: that is not somebody who does
/// something, and keeps nobody signed in. Who leaves it out gains what any request gains.
const BY_ITSELF: HeaderName = HeaderName::from_static("hansard-by-itself");

/// What a cookie is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    /// Where we are reached without TLS.
    pub plain: &'static str,
    /// Where we are reached by HTTPS: browsers take one with this prefix from this host alone, so that no other
    /// host of the domain can put its own in the place of ours.
    pub of_host: &'static str,
}

impl Cookie {
    /// What it is called where we are.
    #[must_use]
    pub const fn name(self, is_https: bool) -> &'static str {
        match is_https {
            true => self.of_host,
            false => self.plain,
        }
    }
}

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
    /// Who has which role on this machine.
    pub admit: Admit,
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
    /// Who certifies people.
    pub people: Option<Arc<PeopleAuthority>>,
    /// What waits to be signed.
    pub challenges: Arc<Challenges>,
    /// Providers that vouch for people.
    pub oidc: Flow,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Who tried and failed.
    pub attempts: Arc<Attempts>,
    /// From where users signed in.
    pub places: Arc<Places>,
    /// Knows browsers again in which somebody signed in.
    pub devices: Devices,
    /// How we are reached.
    pub origins: Origins,
    /// Proxies that are believed in who they were asked by.
    pub trusted_proxies: Vec<IpAddr>,
}

/// The web server.
pub struct Web {
    parts: Parts,
    checks: Semaphore,
    certificates: certified::Told,
}

impl Web {
    /// Over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let checks = Semaphore::new(CHECKS_MAX);
        Self {
            parts,
            checks,
            certificates: certified::Told::default(),
        }
    }

    /// Answers a request on a connection from this address.
    pub async fn answer(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Response<Body> {
        let trusted = &self.parts.trusted_proxies;
        let address = proxies::browser(request.headers(), address, trusted);
        let answer = self.pass(request, address).await;
        let mut response = answer.unwrap_or_else(|problem| problem.response("web"));
        pages::guard(response.headers_mut(), self.parts.origins.is_https());
        response
    }

    /// Whether an address is of a proxy that is believed.
    fn trusts(&self, address: IpAddr) -> bool {
        let mut trusted = self.parts.trusted_proxies.iter();
        trusted.any(|one| one.to_canonical() == address.to_canonical())
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
            ("/v1/sign-in/oidc", &Method::GET) => Ok(self.oidc_providers()),
            ("/v1/sign-in/oidc", &Method::POST) => self.oidc_begin(request, address).await,
            ("/v1/sign-in/oidc/callback", &Method::POST) => {
                self.oidc_finish(request, address).await
            }
            ("/v1/sign-in/oidc", _) => Err(Problem::method("GET, POST")),
            (
                "/v1/sign-in"
                | "/v1/sign-out"
                | "/v1/sign-in/passkey"
                | "/v1/sign-in/passkey/challenge"
                | "/v1/sign-in/oidc/callback",
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
            let (web, id) = (Arc::clone(self), guest.share.id.clone());
            let still = move || {
                let share = web.parts.shares.get(&id).ok_or_else(link::no_such_link)?;
                Ok(Asker::Link(web.guest_of(share, address)))
            };
            let asker = Asker::Link(guest);
            return Ok(self.ask(request, asker, Still(Arc::new(still))).await);
        }
        let Some(ticket) = self.ticket(&request) else {
            return self.by_certificate(request, address).await;
        };
        let origin = self.parts.origins.of(request.headers());
        let look = match request.headers().contains_key(BY_ITSELF) {
            true => SignedIn::still,
            false => SignedIn::of,
        };
        let visitor = self
            .visitor(&ticket, look, (address, &origin))
            .ok_or_else(not_signed_in)?;
        // What takes something away may take what its asker stands on; its answer says only that it did.
        let takes_away = request.method() == Method::DELETE;
        let web = Arc::clone(self);
        // A page that is left open is not somebody who does something.
        let seen = move || web.visitor(&ticket, SignedIn::still, (address, &origin));
        let seen = Arc::new(seen);
        let still = {
            let seen = Arc::clone(&seen);
            Still(Arc::new(move || {
                seen().map(Asker::Browser).ok_or_else(not_signed_in)
            }))
        };
        let response = self.ask(request, Asker::Browser(visitor), still).await;
        if takes_away {
            return Ok(response);
        }
        Ok(while_signed_in(response, move || seen().is_some()))
    }

    /// Hands a request to the API, with who asks and how that is found out again.
    async fn ask(&self, mut request: Request<Body>, asker: Asker, still: Still) -> Response<Body> {
        for secret in [header::COOKIE, header::AUTHORIZATION] {
            request.headers_mut().remove(secret);
        }
        request.extensions_mut().insert(asker);
        request.extensions_mut().insert(still);
        let router = TowerToHyperService::new(self.parts.api.router());
        let Ok(response) = router.call(request).await;
        response
    }

    /// Who this ticket is of, as they are now.
    fn visitor(
        &self,
        ticket: &Ticket,
        ask: impl Fn(&SignedIn, &Ticket, Instant) -> Option<Who>,
        (address, origin): (IpAddr, &str),
    ) -> Option<Visitor> {
        let who = ask(&self.parts.signed_in, ticket, Instant::now())?;
        let user = self.parts.users.get(who.user());
        let known = match (who, user) {
            // Removed, locked, given another password since, or without the passkey that let them in: every
            // look at it is the end of it.
            (Who::Kept(_, standing), user) => user
                .filter(|user| self.parts.users.stands(&user.name, &standing))
                .filter(|user| self.locked(user).is_none())
                .map(|user| (user.name, user.role, standing, None)),
            // So is the end of the rule, and that somebody else has the name by now.
            (Who::Outside(outside), None)
                if self.parts.oidc.still(&outside) && self.locked_outside(&outside).is_none() =>
            {
                let (user, role) = (outside.user.clone(), outside.rule.role);
                Some((user, role, Standing::default(), Some(outside)))
            }
            (Who::Outside(_), _) => None,
        };
        let Some((user, role, standing, outside)) = known else {
            self.parts.signed_in.sign_out(ticket);
            return None;
        };
        Some(Visitor {
            user,
            role,
            standing,
            address,
            origin: origin.to_owned(),
            outside,
            is_certified: false,
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

    /// The same of somebody whom a provider vouches for.
    fn locked_outside(&self, outside: &Outside) -> Option<String> {
        let locks = self.parts.locks.as_ref()?;
        locks.locked(&Lockable {
            user: outside.user.clone(),
            roles: vec![outside.rule.role.as_str().to_owned()],
            ..Lockable::default()
        })
    }

    fn sign_out(&self, request: &Request<Body>) -> Response<Body> {
        if let Some(ticket) = self.ticket(request) {
            self.parts.signed_in.sign_out(&ticket);
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

    /// The cookie of whoever is signed in.
    fn cookie(&self, value: &str, max_age_s: Option<u64>) -> HeaderValue {
        self.named_cookie((self.cookie_name(COOKIE), value), max_age_s)
    }

    fn cookie_name(&self, cookie: Cookie) -> &'static str {
        cookie.name(self.parts.origins.is_https())
    }

    /// The ticket in a request's cookie; the first one that is one.
    fn ticket(&self, request: &Request<Body>) -> Option<Ticket> {
        cookies(request.headers(), self.cookie_name(COOKIE)).find_map(Ticket::parse)
    }

    /// A cookie: no script sees it, no other site has it sent.
    fn named_cookie(&self, (name, value): (&str, &str), max_age_s: Option<u64>) -> HeaderValue {
        let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict");
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

/// The values of all cookies of this name.
fn cookies<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let all = headers.get_all(header::COOKIE).iter();
    let pairs = all.filter_map(|value| value.to_str().ok());
    let pairs = pairs.flat_map(|value| value.split(';'));
    pairs.filter_map(move |pair| {
        let (named, value) = pair.trim().split_once('=')?;
        (named == name).then_some(value)
    })
}

/// An answer that ends when whoever asked is signed out.
fn while_signed_in(
    response: Response<Body>,
    holds: impl Fn() -> bool + Send + Unpin + 'static,
) -> Response<Body> {
    // That they are signed out is for whoever is.
    if response.status() == StatusCode::UNAUTHORIZED {
        return response;
    }
    response.map(|body| Body::new(Until::new(body, move |_, is_piece| is_piece && !holds())))
}
