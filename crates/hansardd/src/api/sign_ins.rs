//! The routes of who is signed in in a browser, and their seam.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hansard_core::{Body, Fields};
use serde_json::{Map, Value as Json, json};

use super::answers::{blocking, done, listed, page};
use super::problem::{Problem, Trouble};
use super::role::Outside;
use super::router::{Call, Handler, event};
use super::schema::{count, listing, object, or_null, text, time as time_schema};
use super::seams::Audit;
use super::table::{Op, ROUTES};
use super::telling::changing;
use super::time;

/// A browser in which somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Its name, which is no secret.
    pub id: String,
    /// Who.
    pub user: String,
    /// How, as events call it.
    pub method: &'static str,
    /// From where.
    pub address: IpAddr,
    /// Since when, UTC nanoseconds since 1970.
    pub began_ns: u64,
    /// For how long nothing was asked.
    pub idle: Duration,
    /// Who vouches for them, if they are no user of this service.
    pub outside: Option<Arc<Outside>>,
    /// The name of the passkey that let them in, if one did.
    pub passkey: Option<String>,
}

/// Who is signed in.
pub trait SignIns: Send + Sync {
    /// All of them by name, after this one; at most `most`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<SignIn>, Trouble>;

    /// One of them.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn get(&self, id: &str) -> Result<Option<SignIn>, Trouble>;

    /// All whom this passkey of a user let in.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn by_passkey(&self, user: &str, passkey: &str) -> Result<Vec<SignIn>, Trouble>;

    /// Signs one out: what is asked from then on MUST be refused, and what streams MUST end. `false` if
    /// there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn end(&self, id: &str) -> Result<bool, Trouble>;
}

fn row(row: &SignIn) -> Map<String, Json> {
    let outside = row.outside.as_deref();
    let fields = [
        ("name", json!(row.id)),
        ("user", json!(row.user)),
        ("method", json!(row.method)),
        ("address", json!(row.address.to_string())),
        ("began", json!(time::text(row.began_ns))),
        ("idle_s", json!(row.idle.as_secs())),
        ("provider", json!(outside.map(|outside| &outside.display))),
        ("issuer", json!(outside.map(|outside| &outside.issuer))),
        ("subject", json!(outside.map(|outside| &outside.subject))),
        (
            "role",
            json!(outside.map(|outside| outside.rule.role.as_str())),
        ),
    ];
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

pub(super) fn list(sign_ins: Arc<dyn SignIns>) -> Handler {
    blocking(move |call| {
        let list = |after: Option<&str>, most| sign_ins.list(after, most);
        let (rows, next) = page(&call, list, |row| row.id.clone())?;
        let rows = rows.iter().map(|one| Json::Object(row(one))).collect();
        Ok(listed("sign_ins", rows, next, None))
    })
}

pub(super) fn end(sign_ins: Arc<dyn SignIns>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let one = sign_ins.get(call.name()?)?.ok_or_else(Problem::not_found)?;
        let about = Fields::new().with("name", one.user.as_str());
        telling.about(about.with("sign_in", one.id.as_str()));
        telling.done()?;
        done(sign_ins.end(&one.id)?)
    })
}

/// Signs out whom a passkey let in that is gone, whoever asks among them. They are refused already by what
/// they stand on: what cannot be put on record ends all the same, and whoever removed it hears of that.
pub(super) fn end_of_passkey(
    (sign_ins, audit): (&dyn SignIns, &Audit),
    call: &Call,
    (user, passkey): (&str, &str),
) -> Result<(), Problem> {
    let mut lost = None;
    for one in sign_ins.by_passkey(user, passkey)? {
        let reason = format!("the passkey {passkey} was removed");
        lost = audit(told(call, &one, Some(reason))?).err().or(lost);
        sign_ins.end(&one.id)?;
    }
    lost.map_or(Ok(()), |lost| Err(Problem::not_recorded(lost)))
}

/// That somebody is signed out, by whoever asks.
fn told(call: &Call, one: &SignIn, reason: Option<String>) -> Result<Body, Problem> {
    let route = ROUTES.iter().find(|route| route.op == Op::SignInEnd);
    let noted = route.and_then(|route| route.noted);
    let noted = noted.ok_or_else(|| Problem::unavailable("the route has no event"))?;
    let mut told = event(noted, &call.caller, None, reason, true);
    if let Body::Admin(fact) = &mut told {
        fact.fields.push("name", one.user.as_str());
        fact.fields.push("sign_in", one.id.as_str());
    }
    Ok(told)
}

pub(super) fn schemas() -> Vec<(&'static str, Json)> {
    let fields = [
        ("name", text(), "its name, which is no secret"),
        ("user", text(), "who"),
        ("method", text(), "how: `local`, `webauthn`, `oidc`"),
        ("address", text(), "from where"),
        ("began", time_schema(), "since when"),
        ("idle_s", count(), "for how many seconds nothing was asked"),
        (
            "provider",
            or_null(text()),
            "who vouches for them, if they are no user of this service",
        ),
        ("issuer", or_null(text()), "the same, as it says so itself"),
        ("subject", or_null(text()), "who they are for it"),
        ("role", or_null(text()), "the role that they have by it"),
    ];
    let what = "A browser in which somebody is signed in.";
    vec![
        ("SignedIn", object(what, &fields)),
        (
            "SignedIns",
            listing("All of them, by name.", "sign_ins", "SignedIn", false),
        ),
        (
            "OidcProviders",
            object(
                "Providers to sign in with.",
                &[(
                    "providers",
                    json!({ "type": "array", "items": provider() }),
                    "",
                )],
            ),
        ),
        (
            "OidcSignIn",
            object("Where to.", &[("provider", text(), "its name")]),
        ),
        (
            "OidcAddress",
            object(
                "Where to.",
                &[("address", text(), "where the browser goes")],
            ),
        ),
        (
            "OidcCallback",
            object(
                "What stood behind the question mark when the browser came back.",
                &[
                    ("state", text(), "which attempt it is"),
                    (
                        "provider?",
                        or_null(text()),
                        "what stood behind `/sign-in/oidc/` in the path: of several providers, the name of \
                         the one that this way back is of",
                    ),
                    (
                        "code?",
                        or_null(text()),
                        "what the provider gives a token for",
                    ),
                    ("error?", or_null(text()), "why it gives none"),
                    ("issuer?", or_null(text()), "its `iss`, if it sent one"),
                ],
            ),
        ),
    ]
}

fn provider() -> Json {
    object(
        "A provider of OpenID Connect.",
        &[
            ("name", text(), "its name"),
            ("display", text(), "what people read"),
        ],
    )
}

/// What the web server answers itself: signing in at a provider.
pub(super) fn by_oidc() -> [(&'static str, Json); 2] {
    let answers = |what: &str, name: &'static str| {
        json!({
            "200": {
                "description": what,
                "content": { "application/json": { "schema": super::schema::named(name) } },
            },
            "default": { "$ref": "#/components/responses/Problem" },
        })
    };
    let takes = |name: &'static str| {
        let schema = super::schema::named(name);
        json!({ "required": true, "content": { "application/json": { "schema": schema } } })
    };
    [
        (
            "/v1/sign-in/oidc",
            json!({
                "get": {
                    "operationId": "OidcProviders",
                    "summary": "Providers of OpenID Connect to sign in with, in a browser",
                    "security": [],
                    "responses": answers("The providers.", "OidcProviders"),
                },
                "post": {
                    "operationId": "OidcSignIn",
                    "summary": "Where the browser goes to sign in with one",
                    "security": [],
                    "requestBody": takes("OidcSignIn"),
                    "responses": answers("Where to; the answer sets a cookie.", "OidcAddress"),
                },
            }),
        ),
        (
            "/v1/sign-in/oidc/callback",
            json!({
                "post": {
                    "operationId": "OidcCallback",
                    "summary": "Signs in who came back; put on record (`user.login`) in any case",
                    "security": [],
                    "requestBody": takes("OidcCallback"),
                    "responses": answers("Signed in; the answer sets the cookie.", "Done"),
                },
            }),
        ),
    ]
}
