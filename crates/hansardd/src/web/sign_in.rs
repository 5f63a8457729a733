//! Signing in: a name, a password and a code. Each attempt is on record, durable, before it is
//! answered; a success that cannot be put on record is none.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use hansard_core::event::Fact;
use hansard_core::{Body as EventBody, Fields, Value};
use hansard_identity::device::Device;
use hansard_identity::user::User;
use hansard_identity::users::{SignInFault, Standing};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::attempts::{For, TooMany};
use super::signed_in::{Begun, Who};
use super::{Web, done};
use crate::api::limits::{ANSWER_MAX, ARRIVAL_MAX, BODY_BYTES_MAX};
use crate::api::problem::Problem;

/// How an event says that somebody signs in with a password.
const BY_PASSWORD: &str = "local";

/// What somebody hears who was not let in, whatever was wrong.
const REFUSED: &str = "name, password or code is wrong";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    user: String,
    password: String,
    #[serde(default)]
    code: String,
}

impl Web {
    pub(super) async fn sign_in(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        let device = self.device(request.headers());
        let wish: SignIn = read(request, "user, password and code are wanted").await?;
        // Waiting for a place comes first: whoever waits has not tried yet.
        let place = timeout(ANSWER_MAX, self.checks.acquire()).await;
        let Ok(Ok(place)) = place else {
            return Err(Problem::busy("too many are signing in"));
        };
        let who = match self.parts.users.get(&wish.user) {
            Some(_) => For::User(&wish.user),
            None => For::Nobody(&wish.user),
        };
        let seen = self.seen(who, address, device.as_ref());
        let begun = self
            .parts
            .attempts
            .begin(who, (address, seen), Instant::now());
        let begun = match begun {
            Ok(begun) => begun,
            Err(too_many) => return Err(self.too_many(too_many, address).await),
        };
        let (web, tried) = (Arc::clone(self), wish);
        let tried = tokio::task::spawn_blocking(move || {
            let now_ns = web.parts.clock.utc_ns();
            let SignIn {
                user,
                password,
                code,
            } = &tried;
            let outcome = web.parts.users.sign_in(user, password, code, now_ns);
            (tried.user, outcome)
        });
        let fault = |_| Problem::unavailable("signing in has a fault");
        let (name, outcome) = tried.await.map_err(fault)?;
        drop(place);
        match outcome {
            Ok(user) => {
                let standing = Standing {
                    changed_ns: user.changed_ns,
                    passkey: None,
                };
                let place = (BY_PASSWORD, address);
                let response = self.let_in(&user, standing, place, device.as_ref()).await?;
                self.parts.attempts.succeeded(&begun);
                Ok(response)
            }
            Err(why) => Err(self.refuse(&name, &why, (BY_PASSWORD, address)).await),
        }
    }

    pub(super) async fn let_in(
        self: &Arc<Self>,
        user: &User,
        standing: Standing,
        (method, address): (&'static str, IpAddr),
        device: Option<&Device>,
    ) -> Result<Response<Body>, Problem> {
        if let Some(why) = self.locked(user) {
            return Err(self.lock_out(user, why, (method, address)).await);
        }
        let fields = Fields::new()
            .with("user", user.name.as_str())
            .with("user_roles", Value::List(vec![user.role.as_str().into()]))
            .with("success", true);
        self.note(fields, (method, address))
            .await
            .map_err(Problem::not_recorded)?;
        let begun = self.parts.signed_in.begin(
            Begun {
                who: Who::Kept(user.name.clone(), standing),
                method,
                address,
                utc_ns: self.parts.clock.utc_ns(),
            },
            Instant::now(),
        );
        let cookie = begun.map_err(|e| Problem::unavailable(format!("no randomness: {e}")))?;
        let mut response = done();
        let cookie = self.cookie(&cookie, None);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        self.remember(&user.name, address).await;
        if let Some(cookie) = self.device_cookie(&user.name, device) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// Who is known to be who they say, and is locked, is told so.
    async fn lock_out(
        self: &Arc<Self>,
        user: &User,
        why: String,
        place: (&str, IpAddr),
    ) -> Problem {
        let fields = Fields::new()
            .with("user", user.name.as_str())
            .with("success", false)
            .with("error", why.as_str());
        if let Err(lost) = self.note(fields, place).await {
            return Problem::not_recorded(lost);
        }
        Problem {
            next_step: "an administrator lifts it: `hansard lock rm`".to_owned(),
            ..Problem::status(StatusCode::FORBIDDEN, "locked", &why)
        }
    }

    pub(super) async fn refuse(
        self: &Arc<Self>,
        name: &str,
        why: &SignInFault,
        place: (&str, IpAddr),
    ) -> Problem {
        let mut fields = Fields::new()
            .with("success", false)
            .with("error", why.as_str());
        // What nobody is called may be a password in the wrong field.
        if self.parts.users.get(name).is_some() {
            fields.push("user", name);
        }
        if let Err(lost) = self.note(fields, place).await {
            (self.parts.log)(&format!(
                "a failed attempt to sign in could not be recorded: {lost}"
            ));
        }
        if let SignInFault::Disk(failure) = why {
            return Problem::unavailable(failure.to_string());
        }
        let next = "try again; an administrator can set another password: `hansard user passwd`";
        Problem {
            next_step: next.to_owned(),
            ..Problem::status(StatusCode::UNAUTHORIZED, "wrong", REFUSED)
        }
    }

    /// Refused unseen. That it happens is on record; each single one is not, or the record would be
    /// what is attacked.
    pub(super) async fn too_many(self: &Arc<Self>, too_many: TooMany, address: IpAddr) -> Problem {
        if let Some(times) = too_many.told {
            let fields = Fields::new()
                .with("success", false)
                .with("error", "too many attempts: refused unseen")
                .with("times", times);
            if let Err(lost) = self.note(fields, (BY_PASSWORD, address)).await {
                (self.parts.log)(&format!("refused attempts could not be recorded: {lost}"));
            }
        }
        let minutes = too_many.after.as_secs().div_ceil(60);
        Problem {
            next_step: format!("try again in {minutes} minutes"),
            ..Problem::status(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many",
                "there were too many attempts",
            )
        }
    }

    /// Puts an attempt on record.
    pub(super) async fn note(
        self: &Arc<Self>,
        fields: Fields,
        (method, address): (&str, IpAddr),
    ) -> Result<(), String> {
        let fields = fields
            .with("method", method)
            .with("addr.remote", address.to_string());
        let body = event(fields);
        let web = Arc::clone(self);
        let noted = tokio::task::spawn_blocking(move || (web.parts.audit)(body)).await;
        noted.unwrap_or_else(|_| Err("recording has a fault".to_owned()))
    }
}

fn event(fields: Fields) -> EventBody {
    EventBody::Auth(Fact {
        event: "user.login".to_owned(),
        fields,
    })
}

/// The event for so many attempts that were refused and not told of: for the end of the service.
#[must_use]
pub fn left(times: u64) -> EventBody {
    let fields = Fields::new()
        .with("success", false)
        .with("error", "too many attempts: refused unseen")
        .with("times", times);
    event(fields.with("method", BY_PASSWORD))
}

/// The body of somebody who signs in.
pub(super) async fn read<T: DeserializeOwned>(
    request: Request<Body>,
    wanted: &str,
) -> Result<T, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let json = HeaderValue::from_static("application/json");
    if kind != Some(&json) {
        return Err(Problem::bad("the body: application/json is wanted"));
    }
    let read = timeout(ARRIVAL_MAX, to_bytes(request.into_body(), BODY_BYTES_MAX)).await;
    match read {
        // What is wrong with it is not said: it may quote a password.
        Ok(Ok(body)) => {
            serde_json::from_slice(&body).map_err(|_| Problem::bad(format!("the body: {wanted}")))
        }
        Ok(Err(_)) => Err(Problem::too_large(BODY_BYTES_MAX)),
        Err(_) => Err(Problem::bad("the body did not arrive in time")),
    }
}
