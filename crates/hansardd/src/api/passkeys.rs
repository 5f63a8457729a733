//! The routes of passkeys, each user's own, and their seam. Signing in with one is the web server's.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use hansard_core::Fields;
use hansard_identity::base64url;
use hansard_identity::user::passkey::Passkey;
use hansard_identity::users::Standing;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::answers::{blocking, body, done, listed, there};
use super::problem::{Problem, Trouble};
use super::role::{Asker, Visitor};
use super::router::{Call, Handler};
use super::schema::{
    count, list as list_schema, listing, object, or_null, text, time as time_schema,
};
use super::seams::Audit;
use super::sign_ins::{SignIns, end_of_passkey};
use super::telling::changing;
use super::time;

/// What a browser is asked to make a passkey with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenged {
    /// What is to be signed.
    pub challenge: [u8; 32],
    /// The host that the passkey is for.
    pub host: String,
    /// What the authenticator knows the user by.
    pub handle: [u8; 32],
    /// Passkeys that the user has, in base 64 for addresses: no second one on one authenticator.
    pub known: Vec<String>,
}

/// A passkey that a browser made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// What was to be signed.
    pub challenge: Vec<u8>,
    /// The browser's part.
    pub client_data: Vec<u8>,
    /// The authenticator's part.
    pub attestation: Vec<u8>,
    /// What its user calls it.
    pub label: String,
}

/// Passkeys of users.
pub trait Passkeys: Send + Sync {
    /// A user's passkeys.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(&self, user: &str) -> Result<Vec<Passkey>, Trouble>;

    /// Something to be signed by a new one, once, by a page of this origin.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn challenge(&self, user: &str, place: (&str, IpAddr)) -> Result<Challenged, Trouble>;

    /// Whether what was made counts; MUST use the challenge up, and keep nothing.
    ///
    /// # Errors
    /// As sorted by [`Trouble`]; `Refused` with the words for the event.
    fn check(&self, user: &str, offered: &Offered) -> Result<Checked, Trouble>;

    /// Keeps it, for a user who is signed in by this. `Ok` MUST mean that it is durable.
    ///
    /// # Errors
    /// As sorted by [`Trouble`]; `Conflict` when they are not signed in by that any more.
    fn keep(&self, user: (&str, &Standing), checked: &Checked) -> Result<Passkey, Trouble>;

    /// Whether one can be called this; MUST change nothing.
    ///
    /// # Errors
    /// As [`Self::rename`].
    fn check_label(&self, label: &str) -> Result<(), Trouble>;

    /// Calls one something else; `false` if there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn rename(&self, user: &str, id: &str, label: &str) -> Result<bool, Trouble>;

    /// Removes one: it MUST sign nobody in any more, and nobody MUST be answered whom it let in. `false` if
    /// there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn remove(&self, user: &str, id: &str) -> Result<bool, Trouble>;
}

/// A passkey that counts, and is not kept yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was made.
    pub made: hansard_identity::webauthn::Made,
    /// The host that it is for.
    pub host: String,
    /// What its user calls it.
    pub label: String,
}

/// Whether passkeys can be for this host: browsers make none for an address.
///
/// # Errors
/// What to do instead.
pub fn check_host(host: &str) -> Result<(), Problem> {
    if host.parse::<IpAddr>().is_err() && !host.starts_with('[') && !host.is_empty() {
        return Ok(());
    }
    Err(Problem {
        next_step: "open the service under a name: localhost, or what serve.web.origin says".into(),
        ..Problem::status(
            StatusCode::CONFLICT,
            "no_name",
            "passkeys are for names, and this is an address",
        )
    })
}

/// Whoever is signed in.
fn visitor(call: &Call) -> Result<&Visitor, Problem> {
    match &call.caller.asker {
        Asker::Browser(visitor) => match &visitor.outside {
            None => Ok(visitor),
            Some(outside) => Err(Problem {
                next_step: format!("make them there, if {} has some", outside.display),
                ..Problem::status(
                    StatusCode::CONFLICT,
                    "signs_in_elsewhere",
                    "passkeys here are for users of this service; you sign in elsewhere",
                )
            }),
        },
        _ => Err(Problem {
            next_step: "sign in in a browser".to_owned(),
            ..Problem::status(
                StatusCode::NOT_FOUND,
                "not_found",
                "passkeys are those of whoever is signed in in a browser",
            )
        }),
    }
}

pub(super) fn list(passkeys: Arc<dyn Passkeys>) -> Handler {
    blocking(move |call| {
        let rows = passkeys.list(&visitor(&call)?.user)?;
        let rows = rows.iter().map(|one| Json::Object(row(one))).collect();
        Ok(listed("passkeys", rows, None, None))
    })
}

pub(super) fn challenge(passkeys: Arc<dyn Passkeys>) -> Handler {
    blocking(move |call| {
        let visitor = visitor(&call)?;
        let place = (visitor.origin.as_str(), visitor.address);
        check_host(hansard_identity::webauthn::host(place.0))?;
        let asked = passkeys.challenge(&visitor.user, place)?;
        Ok(json!({
            "challenge": base64url::encode(&asked.challenge),
            "rp_id": asked.host,
            "user": visitor.user,
            "handle": base64url::encode(&asked.handle),
            "known": asked.known,
            "algorithms": hansard_identity::webauthn::ALGORITHMS,
        }))
    })
}

/// The body of a passkey that was made; bytes in base 64 for addresses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    label: String,
    challenge: String,
    client_data: String,
    attestation: String,
}

pub(super) fn make(passkeys: Arc<dyn Passkeys>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let Visitor { user, standing, .. } = visitor(call)?;
        let wish: Wish = body(call)?;
        let bytes = |name: &str, text: &str| {
            let bytes = base64url::decode(text);
            bytes.ok_or_else(|| Problem::bad(format!("{name}: base 64 for addresses is wanted")))
        };
        let offered = Offered {
            challenge: bytes("challenge", &wish.challenge)?,
            client_data: bytes("client_data", &wish.client_data)?,
            attestation: bytes("attestation", &wish.attestation)?,
            label: wish.label,
        };
        telling.about(Fields::new().with("mfa_device_name", offered.label.as_str()));
        let checked = passkeys.check(user, &offered)?;
        telling.done()?;
        let passkey = passkeys.keep((user, standing), &checked)?;
        Ok(Json::Object(row(&passkey)))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    label: String,
}

pub(super) fn rename(passkeys: Arc<dyn Passkeys>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let (user, id) = (&visitor(call)?.user, call.name()?);
        let Rename { label } = body(call)?;
        passkeys.check_label(&label)?;
        there(has(&*passkeys, user, id)?)?;
        telling.done()?;
        done(passkeys.rename(user, id, &label)?)
    })
}

fn has(passkeys: &dyn Passkeys, user: &str, id: &str) -> Result<bool, Problem> {
    Ok(passkeys.list(user)?.iter().any(|one| one.id == id))
}

/// Removes one, and signs out whom it let in: it may be gone because somebody else has it.
pub(super) fn remove(
    passkeys: Arc<dyn Passkeys>,
    sign_ins: Arc<dyn SignIns>,
    audit: Audit,
) -> Handler {
    changing(Arc::clone(&audit), move |call, telling| {
        let (user, id) = (&visitor(call)?.user, call.name()?);
        there(has(&*passkeys, user, id)?)?;
        telling.done()?;
        there(passkeys.remove(user, id)?)?;
        telling.stands();
        end_of_passkey((&*sign_ins, &audit), call, (user, id))?;
        done(true)
    })
}

fn row(passkey: &Passkey) -> Map<String, Json> {
    let fields = [
        ("name", json!(passkey.id)),
        ("label", json!(passkey.label)),
        ("host", json!(passkey.host)),
        ("created", json!(time::text(passkey.created_ns))),
        ("last_used", json!(passkey.used_ns.map(time::text))),
    ];
    let named = |(name, value): (&str, Json)| (name.to_owned(), value);
    fields.into_iter().map(named).collect()
}

pub(super) fn schemas() -> Vec<(&'static str, Json)> {
    let passkey = [
        ("name", text(), "its name in paths and events"),
        ("label", text(), "what its user calls it"),
        ("host", text(), "the host that it is for"),
        ("created", time_schema(), "when it was made"),
        (
            "last_used",
            or_null(time_schema()),
            "when somebody last signed in with it",
        ),
    ];
    let challenge = [
        (
            "challenge",
            text(),
            "what is to be signed, once, within five minutes",
        ),
        ("rp_id", text(), "the host that the passkey is for"),
        ("user", text(), "whose it is"),
        (
            "handle",
            text(),
            "what the authenticator is to know the user by",
        ),
        ("known", list_schema(&text()), "passkeys that the user has"),
        (
            "algorithms",
            list_schema(&count()),
            "keys that are taken, as COSE numbers them",
        ),
    ];
    let wish = [
        ("label", text(), "what it is called: 1 to 64 bytes"),
        ("challenge", text(), "the one that was answered"),
        ("client_data", text(), "the browser's part"),
        (
            "attestation",
            text(),
            "the authenticator's part; its format is `none`, or `packed` without certificates",
        ),
    ];
    vec![
        (
            "Passkey",
            object("A passkey of whoever is signed in.", &passkey),
        ),
        (
            "Passkeys",
            listing("All of them.", "passkeys", "Passkey", false),
        ),
        (
            "PasskeyChallenge",
            object(
                "What to make a passkey with; bytes are base 64 for addresses.",
                &challenge,
            ),
        ),
        (
            "PasskeyWish",
            object(
                "A passkey that was made; bytes are base 64 for addresses.",
                &wish,
            ),
        ),
    ]
}

/// Of a name, and of signing in, which the web server answers.
pub(super) fn more_schemas() -> [(&'static str, Json); 3] {
    let signing = [
        ("challenge", text(), "the one that was answered"),
        ("credential", text(), "the passkey's identifier"),
        (
            "handle?",
            or_null(text()),
            "whose it is, as the authenticator says",
        ),
        ("client_data", text(), "the browser's part"),
        ("data", text(), "the authenticator's part"),
        ("signature", text(), "its signature over both"),
    ];
    let begun = [
        (
            "challenge",
            text(),
            "what is to be signed, once, within five minutes",
        ),
        ("rp_id", text(), "the host whose passkeys count"),
    ];
    [
        (
            "PasskeyLabel",
            object(
                "What it is called from now on.",
                &[("label", text(), "1 to 64 bytes")],
            ),
        ),
        (
            "PasskeySignInChallenge",
            object("What to sign in with.", &begun),
        ),
        (
            "PasskeySignIn",
            object(
                "What an authenticator said; bytes are base 64 for addresses.",
                &signing,
            ),
        ),
    ]
}
