//! The routes of credentials for targets, and their seam. What is given goes in and never comes out.

use std::sync::Arc;

use hansard_core::Fields;
use hansard_identity::credentials::{CredentialRow, Prepared, Rotated};
use hansard_identity::secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::answers::{blocking, body, done, listed, page, there};
use super::problem::{Problem, Trouble};
use super::role::Caller;
use super::router::Handler;
use super::schema::{count, list as list_of, listing, object, text, time as time_schema, truth};
use super::seams::Audit;
use super::telling::{Telling, changing};
use super::time;

/// What is to be kept, as it is sent.
#[derive(Debug)]
pub struct Given {
    /// `key` or `password`.
    pub kind: String,
    /// The secret.
    pub secret: Secret,
}

/// A credential that is wanted.
#[derive(Debug)]
pub struct CredentialWish {
    /// By what people know it.
    pub name: String,
    /// For which targets, as `HOST:PORT`.
    pub target: String,
    /// For which account there.
    pub login: String,
    /// What is to be kept.
    pub given: Given,
}

/// Credentials for targets that believe no authority.
pub trait Credentials: Send + Sync {
    /// Seals one that is not kept yet, so that it can be put on record first.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn prepare(&self, wish: CredentialWish, by: &Caller) -> Result<Prepared, Trouble>;

    /// The same of another secret for one that is there; `None` if there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn prepare_again(
        &self,
        name: &str,
        given: Given,
        by: &Caller,
    ) -> Result<Option<Prepared>, Trouble>;

    /// Keeps it. `Ok` MUST mean that it is durable, and can be opened.
    ///
    /// # Errors
    /// As sorted by [`Trouble`]; `Conflict` where what it was prepared for is no longer so.
    fn keep(&self, prepared: Prepared) -> Result<(), Trouble>;

    /// Those that there are, by name, after this one; at most `most`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<CredentialRow>, Trouble>;

    /// Whether there is one of this name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn knows(&self, name: &str) -> Result<bool, Trouble>;

    /// Removes one; `false` if there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn remove(&self, name: &str) -> Result<bool, Trouble>;

    /// Seals all with another key. After an error each MUST still be one that can be opened, if it was before.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn rotate(&self) -> Result<Rotated, Trouble>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
    target: String,
    login: String,
    kind: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    kind: String,
    secret: String,
}

pub(super) fn make(credentials: Arc<dyn Credentials>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let wish: Wish = body(call)?;
        let wish = CredentialWish {
            name: wish.name,
            target: wish.target,
            login: wish.login,
            given: Given {
                kind: wish.kind,
                secret: Secret::from(wish.secret),
            },
        };
        let made = credentials.prepare(wish, &call.caller)?;
        kept(telling, made, &*credentials)
    })
}

pub(super) fn replace(credentials: Arc<dyn Credentials>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let wish: Again = body(call)?;
        let given = Given {
            kind: wish.kind,
            secret: Secret::from(wish.secret),
        };
        let made = credentials.prepare_again(call.name()?, given, &call.caller)?;
        let made = made.ok_or_else(Problem::not_found)?;
        kept(telling, made, &*credentials)
    })
}

/// Puts it on record, and keeps it then.
fn kept(
    telling: &Telling<'_>,
    prepared: Prepared,
    credentials: &dyn Credentials,
) -> Result<Json, Problem> {
    let made = prepared.row().clone();
    telling.about(
        Fields::new()
            .with("name", made.name.as_str())
            .with("target", made.target.as_str())
            .with("login", made.login.as_str())
            .with("kind", made.kind.as_str())
            .with("key", made.fingerprint.as_str()),
    );
    telling.done()?;
    credentials.keep(prepared)?;
    Ok(Json::Object(row(&made)))
}

pub(super) fn list(credentials: Arc<dyn Credentials>) -> Handler {
    blocking(move |call| {
        let list = |after: Option<&str>, most| credentials.list(after, most);
        let (rows, next) = page(&call, list, |row| row.name.clone())?;
        let rows = rows.iter().map(|one| Json::Object(row(one)));
        Ok(listed("credentials", rows.collect(), next, None))
    })
}

pub(super) fn remove(credentials: Arc<dyn Credentials>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        there(credentials.knows(call.name()?)?)?;
        telling.done()?;
        done(credentials.remove(call.name()?)?)
    })
}

pub(super) fn rotate(credentials: Arc<dyn Credentials>, audit: Audit) -> Handler {
    changing(audit, move |_, telling| {
        telling.done()?;
        let rotated = credentials.rotate()?;
        let left = rotated.left.iter();
        let left: Vec<Json> = left
            .map(|(name, why)| json!({ "name": name, "error": why }))
            .collect();
        Ok(json!({ "sealed": rotated.sealed, "left": left, "finished": rotated.finished }))
    })
}

/// What may be shown of one: everything but what is sealed.
fn row(one: &CredentialRow) -> Map<String, Json> {
    let fields = [
        ("name", json!(one.name)),
        ("target", json!(one.target)),
        ("login", json!(one.login)),
        ("kind", json!(one.kind.as_str())),
        ("fingerprint", json!(one.fingerprint)),
        ("created", json!(time::text(one.created_ns))),
        ("created_by", json!(one.created_by)),
        ("changed", json!(time::text(one.changed_ns))),
        ("changed_by", json!(one.changed_by)),
    ];
    let named = |(name, value): (&str, Json)| (name.to_owned(), value);
    fields.into_iter().map(named).collect()
}

/// Schemas of what goes in and comes out.
pub(super) fn schemas() -> Vec<(&'static str, Json)> {
    let kind = || json!({ "type": "string", "enum": ["key", "password"] });
    let secret = "the secret: a private key as OpenSSH writes it, without a passphrase; or a password. \
                  Never shown again";
    let again = [("kind", kind(), "what it is"), ("secret", text(), secret)];
    let mut wish = vec![
        ("name", text(), "by what people know it"),
        (
            "target",
            text(),
            "for which targets, as `HOST:PORT`: a rule as `capture.proxy.targets` has them",
        ),
        ("login", text(), "for which account there"),
    ];
    wish.extend(again.clone());
    let fields = [
        ("name", text(), "by what people know it"),
        ("target", text(), "for which targets"),
        ("login", text(), "for which account there"),
        ("kind", kind(), "what it is"),
        (
            "fingerprint",
            text(),
            "of a key its fingerprint; of a password a mark that was drawn when it was set",
        ),
        ("created", time_schema(), "when it was made"),
        ("created_by", text(), "by whom"),
        ("changed", time_schema(), "when its secret was set"),
        ("changed_by", text(), "by whom"),
    ];
    let left = object(
        "A credential that could not be read or opened, and was left as it was.",
        &[("name", text(), "which"), ("error", text(), "why")],
    );
    let rotated = [
        ("sealed", count(), "how many were sealed again"),
        ("left", list_of(&left), "those that were not"),
        (
            "finished",
            truth(),
            "whether the key before is given up; while any is left it stays, and the next call goes on",
        ),
    ];
    vec![
        (
            "CredentialWish",
            object("A credential that is wanted.", &wish),
        ),
        (
            "CredentialAgain",
            object("Another secret for a credential.", &again),
        ),
        (
            "Credential",
            object("A credential that is kept, without its secret.", &fields),
        ),
        (
            "Credentials",
            listing("Credentials, by name.", "credentials", "Credential", false),
        ),
        (
            "CredentialsRotated",
            object("What became of a change of keys.", &rotated),
        ),
    ]
}
