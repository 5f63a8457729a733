//! Routes of searches that somebody keeps: each user's own.

use super::{Answer, Id, Op, Role, Route, Verb, by_handler, get};

const OWN: &str = "Of whoever asks; nobody else sees them.";

pub(super) const LIST: Route = Route {
    summary: "One's own saved searches",
    doc: OWN,
    ..get(
        Op::Saved,
        "/v1/saved",
        Role::User,
        Answer::Json("SavedSearches"),
    )
};

pub(super) const KEEP: Route = Route {
    verb: Verb::Post,
    summary: "Keeps a search under a name",
    doc: OWN,
    body: Some("SavedWish"),
    noted: by_handler("search.saved"),
    ..get(
        Op::SavedKeep,
        "/v1/saved",
        Role::User,
        Answer::Json("SavedSearch"),
    )
};

pub(super) const REMOVE: Route = Route {
    verb: Verb::Delete,
    id: Some(Id::Saved),
    summary: "Keeps a search no longer",
    doc: OWN,
    noted: by_handler("search.removed"),
    ..get(
        Op::SavedRemove,
        "/v1/saved/{id}",
        Role::User,
        Answer::Json("Done"),
    )
};
