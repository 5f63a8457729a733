//! Searches that somebody keeps under a name, each user's own.

use std::sync::Arc;

use hansard_core::Fields;
use hansard_identity::{Failure, Saved, SavedSearches};
use serde_json::{Value as Json, json};

use super::answers::{blocking, body, done, there};
use super::problem::{Problem, Trouble};
use super::role::Asker;
use super::router::{Call, Handler};
use super::schema::{list as list_schema, named, object, text};
use super::seams::Audit;
use super::telling::changing;

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
    changing(audit, move |call, telling| {
        let owner = owner(call)?;
        let saved: Saved = body(call)?;
        saved.check().map_err(trouble)?;
        telling.about(
            Fields::new()
                .with("name", saved.name.as_str())
                .with("page", saved.page.as_str())
                .with("query", saved.query.as_str()),
        );
        telling.done()?;
        kept.keep(&owner, &saved).map_err(trouble)?;
        Ok(row(&saved))
    })
}

pub(super) fn remove(kept: Arc<SavedSearches>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let (owner, id) = (owner(call)?, call.name()?);
        let all = kept.of(&owner).map_err(trouble)?;
        there(all.iter().any(|saved| saved.id() == id))?;
        telling.done()?;
        done(kept.remove(&owner, id).map_err(trouble)?)
    })
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
