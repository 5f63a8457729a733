//! The routes of locks: made, listed, lifted; and their seam.

use std::sync::Arc;

use hansard_core::Fields;
use hansard_core::lock::Target;
use hansard_identity::locks::LockRow;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::answers::{blocking, body, done, listed, page};
use super::problem::Problem;
use super::role::Caller;
use super::router::Handler;
use super::schema::{count, listing, object, or_null, text, time as time_schema};
use super::seams::Audit;
use super::telling::changing;
use super::time;
use crate::api::problem::Trouble;

/// A lock that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWish {
    /// Who or what.
    pub target: Target,
    /// What they are told.
    pub message: String,
    /// For how many seconds; `None`: until it is lifted.
    pub ttl_s: Option<u64>,
}

/// Locks on people, roles, accounts, hosts and sessions.
pub trait Locking: Send + Sync {
    /// Makes a lock that does not hold yet, so that it can be put on record first.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn prepare(&self, wish: &LockWish, by: &Caller) -> Result<LockRow, Trouble>;

    /// Keeps it: it MUST hold from now on, also over a restart, and end what it is about that goes on.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn keep(&self, lock: &LockRow) -> Result<(), Trouble>;

    /// Why a lock on this may be about nobody; `None` where nothing says so. A lock is made all the same: a role
    /// that was taken out of the configuration is in certificates that still hold.
    fn note(&self, target: &Target) -> Option<String>;

    /// Locks that hold, by name, after this one; at most `most`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<LockRow>, Trouble>;

    /// The one of this name, if it is there.
    fn get(&self, id: &str) -> Option<LockRow>;

    /// Lifts one; `false` if there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn remove(&self, id: &str) -> Result<bool, Trouble>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    target: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    ttl_s: Option<u64>,
}

pub(super) fn make(locks: Arc<dyn Locking>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let asked: Asked = body(call)?;
        let wish = LockWish {
            target: Target::parse(&asked.target)
                .map_err(|why| Problem::bad(format!("target: {why}")))?,
            message: asked.message,
            ttl_s: asked.ttl_s,
        };
        let lock = locks.prepare(&wish, &call.caller)?;
        let mut about = about(&lock);
        if !lock.message.is_empty() {
            about.push("reason", lock.message.as_str());
        }
        telling.about(about);
        telling.done()?;
        // It holds all the same, and may not outlive a restart: that belongs on record, too.
        telling.or_else("it could not be kept: it may be gone after a restart");
        locks.keep(&lock)?;
        let mut made = row(&lock);
        made.insert("note".to_owned(), json!(locks.note(&wish.target)));
        Ok(Json::Object(made))
    })
}

/// What is told of a lock.
fn about(lock: &LockRow) -> Fields {
    let mut fields = Fields::new()
        .with("name", lock.id.as_str())
        .with("target", lock.target.as_str());
    if let Some(until) = lock.until_ns {
        fields.push("expires", time::text(until));
    }
    fields
}

pub(super) fn list(locks: Arc<dyn Locking>) -> Handler {
    blocking(move |call| {
        let list = |after: Option<&str>, most| locks.list(after, most);
        let (rows, next) = page(&call, list, |lock| lock.id.clone())?;
        let rows = rows.iter().map(|lock| Json::Object(row(lock)));
        Ok(listed("locks", rows.collect(), next, None))
    })
}

pub(super) fn remove(locks: Arc<dyn Locking>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let lock = locks.get(call.name()?).ok_or_else(Problem::not_found)?;
        telling.about(about(&lock));
        telling.done()?;
        done(locks.remove(&lock.id)?)
    })
}

fn row(lock: &LockRow) -> Map<String, Json> {
    let fields = [
        ("name", json!(lock.id)),
        ("target", json!(lock.target)),
        ("message", json!(lock.message)),
        ("created", json!(time::text(lock.created_ns))),
        ("created_by", json!(lock.created_by)),
        ("expires", json!(lock.until_ns.map(time::text))),
    ];
    let named = |(name, value): (&str, Json)| (name.to_owned(), value);
    fields.into_iter().map(named).collect()
}

/// Schemas of what goes in and comes out.
pub(super) fn schemas() -> [(&'static str, Json); 4] {
    let mut fields = vec![
        ("name", text(), "its name, to lift it by"),
        ("target", text(), "who or what, as `user:anna`"),
        ("message", text(), "what they are told"),
        ("created", time_schema(), "when it was made"),
        ("created_by", text(), "by whom"),
        (
            "expires",
            or_null(time_schema()),
            "until when it holds; null: until it is lifted",
        ),
    ];
    let target = "`user:NAME`, `role:NAME`, `login:NAME`, `host:NAME` or `session:ID`";
    let wish = [
        ("target", text(), target),
        (
            "message?",
            text(),
            "what they are told, at most 512 bytes; goes into the record",
        ),
        (
            "ttl_s?",
            count(),
            "for how many seconds; until it is lifted unless said",
        ),
    ];
    let lock = object("A lock that holds.", &fields);
    let note = "why it may be about nobody: there is no such role";
    fields.push(("note", or_null(text()), note));
    [
        ("LockWish", object("A lock that is wanted.", &wish)),
        ("Lock", lock),
        ("LockMade", object("A lock that was made.", &fields)),
        ("Locks", listing("Locks, by name.", "locks", "Lock", false)),
    ]
}
