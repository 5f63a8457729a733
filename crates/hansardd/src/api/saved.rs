//! Searches that somebody keeps under a name, each user's own.

use std::sync::Arc;

use hansard_core::Body;
use hansard_identity::{Failure, Saved, SavedSearches};
use serde_json::{Value as Json, json};

use super::answers::{blocking, body, done};
use super::problem::{Problem, Trouble};
use super::role::Asker;
use super::router::{Call, Handler, event};
use super::schema::{list as list_schema, named, object, text};
use super::seams::Audit;
use super::table::{Op, ROUTES};

pub(super) fn trouble(failure: Failure) -> Problem {
    match failure {
        Failure::Retry(why) => Trouble::Retry(why).into(),
        Failure::Conflict(why) => Trouble::Conflict(why).into(),
        other => Problem::bad(other.to_string()),
    }
}

/// Whose searches these are. Of somebody whom a provider vouches for by what stays theirs: the name may be somebody
/// else's later. No user's name has such a character.
fn owner(call: &Call) -> Result<String, Problem> {
    if let Asker::Browser(visitor) = &call.caller.asker
        && let Some(outside) = &visitor.outside
    {
        return Ok(format!("\0{}\0{}", outside.issuer, outside.subject));
    }
    let none = || {
        let words = "searches are kept for users, and you have no name here";
        Problem::from(Trouble::Conflict(words.to_owned()))
    };
    call.caller.account.clone().ok_or_else(none)
}

pub(super) fn list(kept: Arc<SavedSearches>) -> Handler {
    blocking(move |call| {
        let searches = kept.of(&owner(&call)?).map_err(trouble)?;
        let rows: Vec<Json> = searches.iter().map(row).collect();
        Ok(json!({ "searches": rows }))
    })
}

pub(super) fn keep(kept: Arc<SavedSearches>, audit: Audit) -> Handler {
    blocking(move |call| {
        let owner = owner(&call)?;
        let saved: Saved = body(&call)?;
        saved.check().map_err(trouble)?;
        let tell = |error: Option<&str>| -> Result<(), Problem> {
            audit(told(&call, &saved, error)?).map_err(Problem::not_recorded)
        };
        tell(None)?;
        if let Err(failure) = kept.keep(&owner, &saved) {
            // It is on record as kept; that it was not belongs there, too.
            tell(Some("it was not kept after all"))?;
            return Err(trouble(failure));
        }
        Ok(row(&saved))
    })
}

fn told(call: &Call, saved: &Saved, error: Option<&str>) -> Result<Body, Problem> {
    let route = ROUTES.iter().find(|route| route.op == Op::SavedKeep);
    let noted = route.and_then(|route| route.noted);
    let noted = noted.ok_or_else(|| Problem::unavailable("the route has no event"))?;
    let mut body = event(noted, &call.caller, None, None, error.is_none());
    if let Body::Admin(fact) = &mut body {
        fact.fields.push("name", saved.name.as_str());
        fact.fields.push("page", saved.page.as_str());
        fact.fields.push("query", saved.query.as_str());
        if let Some(error) = error {
            fact.fields.push("error", error);
        }
    }
    Ok(body)
}

pub(super) fn remove(kept: Arc<SavedSearches>) -> Handler {
    blocking(move |call| done(kept.remove(&owner(&call)?, call.name()?).map_err(trouble)?))
}

fn row(saved: &Saved) -> Json {
    json!({
        "id": saved.id(),
        "name": saved.name,
        "page": saved.page,
        "query": saved.query,
    })
}

pub(super) fn schemas() -> [(&'static str, Json); 3] {
    let page = json!({ "type": "string", "enum": hansard_identity::saved::PAGES });
    let fields = || {
        vec![
            ("name", text(), "what it is called"),
            ("page", page.clone(), "on which page of the application"),
            (
                "query",
                text(),
                "what stands behind the question mark of that page's address",
            ),
        ]
    };
    let mut saved = vec![("id", text(), "identifier: of its page and name")];
    saved.extend(fields());
    let searches = [(
        "searches",
        list_schema(&named("SavedSearch")),
        "by page and name, 50 at most",
    )];
    let wish = "A search that is to be kept; it takes the place of one of the same page and name.";
    [
        ("SavedWish", object(wish, &fields())),
        ("SavedSearch", object("A search that is kept.", &saved)),
        ("SavedSearches", object("One's own searches.", &searches)),
    ]
}
