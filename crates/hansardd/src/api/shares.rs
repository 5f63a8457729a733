//! The routes of links for people without an account: made, listed, revoked; and their seam. What a
//! link opens is in [`super::shared`].

use std::sync::Arc;

use hansard_core::{Fields, SessionId};
use hansard_identity::share::{Secret, Share, Wish};
use hansard_identity::shares::Prepared;
use hansard_store::Query;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::answers::{REASON_BYTES_MAX, blocking, body, done, listed, living, page, there};
use super::export::nothing_there;
use super::problem::{Problem, Trouble};
use super::role::Caller;
use super::router::{Call, Handler};
use super::schema::{count, listing, object, or_null, text, time as time_schema, uuid};
use super::seams::{Audit, Listings};
use super::telling::changing;
use super::time;

/// Links for people without an account.
pub trait Shares: Send + Sync {
    /// Makes a link that opens nothing yet, so that it can be put on record first.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn prepare(&self, wish: &Wish, by: &Caller) -> Result<Prepared, Trouble>;

    /// Keeps it. `Ok` MUST mean that it is durable, and opens its session from now on.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn keep(&self, prepared: &Prepared) -> Result<(), Trouble>;

    /// What is opened in a browser.
    fn address(&self, secret: &Secret) -> String;

    /// Links by name, after this one, to this session where one is named; at most `most`, fewer only
    /// at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(
        &self,
        session: Option<SessionId>,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<Share>, Trouble>;

    /// Whether there is one of this name, also one that holds no more.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn knows(&self, id: &str) -> Result<bool, Trouble>;

    /// Revokes one: it MUST open nothing from now on. `false` if there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn revoke(&self, id: &str, by: &Caller) -> Result<bool, Trouble>;
}

/// The body of a link that is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareWish {
    viewer: String,
    ttl_s: u64,
    #[serde(default)]
    from_ms: Option<u64>,
    #[serde(default)]
    until_ms: Option<u64>,
    #[serde(default)]
    reason: Option<String>,
}

pub(super) fn make(listings: Arc<dyn Listings>, shares: Arc<dyn Shares>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let asked: ShareWish = body(call)?;
        if (asked.reason.as_ref()).is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            let most = REASON_BYTES_MAX;
            return Err(Problem::bad(format!("reason: at most {most} bytes")));
        }
        let (session, last_ns) = over(call, &*listings)?;
        // What begins behind the end would show nothing, and nobody would know why.
        let from_ms = asked.from_ms.unwrap_or(0);
        if from_ms > last_ns / 1_000_000 {
            return Err(nothing_there(last_ns));
        }
        let wish = Wish {
            session,
            viewer: asked.viewer,
            from_ms: asked.from_ms,
            until_ms: asked.until_ms,
            life_ns: asked.ttl_s.saturating_mul(1_000_000_000),
        };
        let prepared = shares.prepare(&wish, &call.caller)?;
        telling.about(about(&prepared.share));
        telling.done()?;
        shares.keep(&prepared)?;
        let mut made = row(&prepared.share);
        let link = shares.address(&prepared.secret);
        made.insert("link".to_owned(), link.into());
        Ok(Json::Object(made))
    })
}

/// The session, which must have ended: a link is no live view. And how long it was.
fn over(call: &Call, listings: &dyn Listings) -> Result<(SessionId, u64), Problem> {
    let session = living(call, listings)?;
    let query = Query {
        session: Some(session),
        limit: 1,
        ..Query::default()
    };
    let page = listings.sessions(&query)?;
    let row = page.rows.first().ok_or_else(Problem::not_found)?;
    if row.end.is_none() {
        let words = "the session is going on: share it when it has ended";
        let next = "`hansard ls` says when it has; `hansard follow` shows it meanwhile";
        return Err(Trouble::NotNow(words.to_owned(), next).into());
    }
    Ok((session, row.last_ns))
}

/// What is told of a link.
fn about(share: &Share) -> Fields {
    let mut fields = Fields::new()
        .with("share", share.id.as_str())
        .with("shared_with", share.viewer.as_str())
        .with("expires", time::text(share.expires_ns));
    for (name, ms) in [("from_ms", share.from_ms), ("until_ms", share.until_ms)] {
        if let Some(ms) = ms {
            fields.push(name, ms);
        }
    }
    fields
}

pub(super) fn list(shares: Arc<dyn Shares>) -> Handler {
    blocking(move |call| {
        let session = call.params.session();
        let list = |after: Option<&str>, most| shares.list(session, after, most);
        let (rows, next) = page(&call, list, |share| share.id.clone())?;
        let rows = rows.iter().map(|share| Json::Object(row(share)));
        Ok(listed("shares", rows.collect(), next, None))
    })
}

pub(super) fn revoke(shares: Arc<dyn Shares>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        there(shares.knows(call.name()?)?)?;
        telling.done()?;
        done(shares.revoke(call.name()?, &call.caller)?)
    })
}

fn row(share: &Share) -> Map<String, Json> {
    let revoked = share.revoked.as_ref();
    let fields = [
        ("name", json!(share.id)),
        ("sid", json!(share.session.to_string())),
        ("viewer", json!(share.viewer)),
        ("from_ms", json!(share.from_ms)),
        ("until_ms", json!(share.until_ms)),
        ("created", json!(time::text(share.created_ns))),
        ("created_by", json!(share.created_by)),
        ("expires", json!(time::text(share.expires_ns))),
        ("revoked", json!(revoked.map(|(ns, _)| time::text(*ns)))),
        ("revoked_by", json!(revoked.map(|(_, by)| by))),
    ];
    let named = |(name, value): (&str, Json)| (name.to_owned(), value);
    fields.into_iter().map(named).collect()
}

pub(super) fn schemas() -> Vec<(&'static str, Json)> {
    let fields = || {
        vec![
            ("name", text(), "name of the link, which is no secret"),
            ("sid", uuid(), "the session that it leads to"),
            ("viewer", text(), "who it is for"),
            ("from_ms", or_null(count()), "from which moment on"),
            ("until_ms", or_null(count()), "up to which"),
            ("created", time_schema(), "when it was made"),
            ("created_by", text(), "by whom"),
            ("expires", time_schema(), "until when it holds"),
            ("revoked", or_null(time_schema()), "when it was revoked"),
            ("revoked_by", or_null(text()), "by whom"),
        ]
    };
    let mut made = fields();
    let link = "the address to be given to the viewer; this answer alone has it";
    made.push(("link", text(), link));
    let ttl = "for how many seconds it holds, at most 90 days";
    let wish = [
        ("viewer", text(), "who it is for: stands across the screen"),
        ("ttl_s", count(), ttl),
        ("from_ms?", count(), "from this moment on"),
        ("until_ms?", count(), "up to this one"),
        ("reason?", text(), "why; goes into the record"),
    ];
    let shared = [
        ("sid", uuid(), "the session"),
        ("viewer", text(), "who the link is for"),
        ("expires", time_schema(), "until when it holds"),
        ("from_ms", or_null(count()), "from which moment on"),
        ("until_ms", or_null(count()), "up to which"),
    ];
    vec![
        ("ShareWish", object("A link that is wanted.", &wish)),
        ("Share", object("A link, without its secret.", &fields())),
        (
            "Shares",
            listing("Links, by name.", "shares", "Share", false),
        ),
        ("ShareMade", object("A link that was made.", &made)),
        ("Shared", object("What a link leads to.", &shared)),
    ]
}
