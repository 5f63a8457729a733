//! Signing in at a provider of OpenID Connect (`serve.web.oidc`): a browser is sent there, comes back with
//! a code, and whoever the provider vouches for is let in if a rule gives them a role. Each attempt that
//! comes back is on record, durable, before it is answered, as every other.
//!
//! - [`settings`]: a provider as it is configured; [`known`]: what it says of itself, and its keys; [`fetch`]:
//!   asking it
//! - [`flow`]: an attempt, whoever leads it; [`fault`]: why somebody is not let in
//!
//! Here is what a browser asks for. The way back is a page of ours, which sends what stands in its address
//! on by a request of its own: that is no other site's doing, so the cookie that binds the attempt to the
//! browser can stay away from every request that is. Where there are several providers each has a way back
//! of its own: who sent a browser back is known by that, whatever they say.

pub mod fault;
pub mod fetch;
pub mod flow;
pub mod known;
pub mod settings;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use hansard_core::{Fields, Value};
use hansard_identity::hex;
use serde::Deserialize;
use serde_json::json;

use super::attempts::{For, Seen};
use super::sign_in::read;
use super::signed_in::{Begun, Who};
use super::{Cookie, Web, cookies, json as answer};
use crate::api::problem::Problem;
use crate::api::role::Outside;
use fault::Fault;
use flow::{ATTEMPT_LIFE, Back, Binding, Refused};

/// How it is called in events.
const METHOD: &str = "oidc";

/// Where a browser comes back to, behind our origin, if there is one provider; of several each has its name
/// behind it. Providers must know it.
pub const CALLBACK: &str = "/sign-in/oidc";

/// Name of the cookie of a browser that is on its way.
const COOKIE: Cookie = Cookie {
    plain: "hansard_oidc",
    of_host: "__Host-hansard_oidc",
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    provider: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CameBack {
    state: String,
    /// What stood behind [`CALLBACK`] in the path.
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
}

/// The address to come back to, under this origin, from the provider of this name.
fn callback(origin: &str, provider: Option<&str>) -> String {
    match provider {
        Some(name) => format!("{origin}{CALLBACK}/{name}"),
        None => format!("{origin}{CALLBACK}"),
    }
}

impl Web {
    /// Which providers there are.
    pub(super) fn oidc_providers(&self) -> Response<Body> {
        let providers = self.parts.oidc.providers();
        let row = |(name, display)| json!({ "name": name, "display": display });
        answer(&json!({ "providers": providers.map(row).collect::<Vec<_>>() }))
    }

    /// Where a browser is sent.
    pub(super) async fn oidc_begin(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        let origin = self.parts.origins.of(request.headers());
        let known = self.binding(request.headers());
        let wish: Wish = read(request, "the name of a provider is wanted").await?;
        let unknown = (address, Seen::Never);
        if let Err(too_many) = self.parts.attempts.look(unknown, Instant::now()) {
            return Err(self.too_many(too_many, address).await);
        }
        // One for all attempts of a browser, so that two of its pages do not get in each other's way.
        let binding = match known {
            Some(binding) => binding,
            None => self.new_binding()?,
        };
        let is_one_of_several = self.parts.oidc.are_several();
        let named = is_one_of_several.then_some(wish.provider.as_str());
        let callback = callback(&origin, named);
        let begun = self
            .parts
            .oidc
            .begin(&wish.provider, (&callback, &binding), address)
            .await;
        match begun {
            Ok(to) => {
                let mut response = answer(&json!({ "address": to }));
                let cookie = self.binding_cookie(&hex::encode(&binding), ATTEMPT_LIFE.as_secs());
                response.headers_mut().insert(header::SET_COOKIE, cookie);
                Ok(response)
            }
            Err(refused) => Err(self.oidc_refuse(refused, address).await),
        }
    }

    /// A browser came back.
    pub(super) async fn oidc_finish(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        let origin = self.parts.origins.of(request.headers());
        let binding = self.binding(request.headers());
        let back: CameBack = read(request, "what the provider sent back is wanted").await?;
        let unknown = (address, Seen::Never);
        if let Err(too_many) = self.parts.attempts.look(unknown, Instant::now()) {
            return Err(self.too_many(too_many, address).await);
        }
        let Some(binding) = binding else {
            return Err(self.oidc_refuse(Fault::Browser.into(), address).await);
        };
        let came = Back {
            callback: &callback(&origin, back.provider.as_deref()),
            state: &back.state,
            code: back.code.as_deref(),
            error: back.error.as_deref(),
            issuer: back.issuer.as_deref(),
        };
        let outside = match self.parts.oidc.finish(came, &binding).await {
            Ok(outside) => outside,
            Err(refused) => return Err(self.oidc_refuse(refused, address).await),
        };
        // One name is one person's: what is somebody's own is known by it.
        if self.parts.users.get(&outside.user).is_some() {
            let refused = Refused {
                fault: Fault::Taken,
                provider: Some((outside.provider, outside.display)),
                subject: Some(Box::new((outside.issuer, outside.subject))),
                user: None,
            };
            return Err(self.oidc_refuse(refused, address).await);
        }
        if let Some(why) = self.locked_outside(&outside) {
            let refused = Refused {
                fault: Fault::Locked(why),
                provider: Some((outside.provider, outside.display)),
                subject: Some(Box::new((outside.issuer, outside.subject))),
                user: Some(outside.user),
            };
            return Err(self.oidc_refuse(refused, address).await);
        }
        self.oidc_let_in(outside, address).await
    }

    async fn oidc_let_in(
        self: &Arc<Self>,
        outside: Outside,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        let roles = Value::List(vec![outside.rule.role.as_str().into()]);
        let fields = Fields::new()
            .with("user", outside.user.as_str())
            .with("user_roles", roles)
            .with("success", true)
            .with("connector", outside.provider.as_str())
            .with("issuer", outside.issuer.as_str())
            .with("subject", outside.subject.as_str());
        self.note(fields, (METHOD, address))
            .await
            .map_err(Problem::not_recorded)?;
        let begun = self.parts.signed_in.begin(
            Begun {
                who: Who::Outside(Arc::new(outside)),
                method: METHOD,
                address,
                utc_ns: self.parts.clock.utc_ns(),
            },
            Instant::now(),
        );
        let ticket = begun.map_err(|e| Problem::unavailable(format!("no randomness: {e}")))?;
        let mut response = super::done();
        let headers = response.headers_mut();
        headers.append(header::SET_COOKIE, self.cookie(&ticket, None));
        headers.append(header::SET_COOKIE, self.binding_cookie("", 0));
        Ok(response)
    }

    async fn oidc_refuse(self: &Arc<Self>, refused: Refused, address: IpAddr) -> Problem {
        let begun = self
            .parts
            .attempts
            .begin(For::Unsaid, (address, Seen::Never), Instant::now());
        if let Err(too_many) = begun {
            return self.too_many(too_many, address).await;
        }
        let words = refused.fault.words();
        let mut fields = Fields::new()
            .with("success", false)
            .with("error", words.as_str());
        let provider = refused.provider.as_ref().map(|(name, _)| name.as_str());
        let subject = refused.subject.as_deref();
        let texts = [
            ("user", refused.user.as_deref()),
            ("connector", provider),
            ("issuer", subject.map(|(issuer, _)| issuer.as_str())),
            ("subject", subject.map(|(_, subject)| subject.as_str())),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                fields.push(name, text);
            }
        }
        if let Err(lost) = self.note(fields, (METHOD, address)).await {
            (self.parts.log)(&format!(
                "a failed attempt to sign in could not be recorded: {lost}"
            ));
        }
        if matches!(refused.fault, Fault::Unreached(_) | Fault::Setup(_)) {
            (self.parts.log)(&format!("signing in by OpenID Connect: {words}"));
        }
        let display = refused.provider.map(|(_, display)| display);
        refused
            .fault
            .problem(display.as_deref().unwrap_or("the provider"))
    }

    fn new_binding(&self) -> Result<Binding, Problem> {
        let mut binding = Binding::default();
        let drawn = self.parts.random.fill(&mut binding);
        drawn.map_err(|e| Problem::unavailable(format!("no randomness: {e}")))?;
        Ok(binding)
    }

    /// What only this browser knows, if it is on its way.
    fn binding(&self, headers: &HeaderMap) -> Option<Binding> {
        cookies(headers, self.cookie_name(COOKIE)).find_map(hex::decode)
    }

    fn binding_cookie(&self, value: &str, max_age_s: u64) -> HeaderValue {
        self.named_cookie((self.cookie_name(COOKIE), value), Some(max_age_s))
    }
}
