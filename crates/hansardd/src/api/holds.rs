//! Legal holds: set, lifted, listed.

use std::sync::Arc;

use hansard_core::SessionId;
use serde_json::json;

use super::answers::{blocking, done, listed, living, page, reason, there};
use super::router::Handler;
use super::seams::{Audit, Holds, Listings};
use super::telling::changing;

pub(super) fn hold(listings: Arc<dyn Listings>, holds: Arc<dyn Holds>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        reason(call)?;
        let session = living(call, &*listings)?;
        there(holds.check(session)?)?;
        telling.done()?;
        let held = holds.hold(session, true)?;
        // A rule may have come first: what was told to be held would be gone all the same.
        living(call, &*listings)?;
        done(held)
    })
}

pub(super) fn release(listings: Arc<dyn Listings>, holds: Arc<dyn Holds>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let session = living(call, &*listings)?;
        there(holds.check(session)?)?;
        telling.done()?;
        done(holds.hold(session, false)?)
    })
}

pub(super) fn list(holds: Arc<dyn Holds>) -> Handler {
    blocking(move |call| {
        let list = |after: Option<&str>, most| {
            let after: Option<SessionId> = after
                .map(|after| after.parse().map_err(|_| no_cursor()))
                .transpose()?;
            holds.list(after, most)
        };
        let (rows, next) = page(&call, list, ToString::to_string)?;
        let rows = rows.iter().map(|id| json!({ "sid": id.to_string() }));
        Ok(listed("holds", rows.collect(), next, None))
    })
}

fn no_cursor() -> super::problem::Trouble {
    let what = "cursor: not one that this listing gave";
    super::problem::Trouble::Refused(what.to_owned())
}
