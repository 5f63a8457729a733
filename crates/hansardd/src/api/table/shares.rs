//! Routes of links for people without an account, and the routes that such a link opens.

use super::{Answer, CURSOR, Id, Kind, LIMIT, Op, REASON, Role, Route, Verb, change, get, p};

/// The routes that a link opens, of its own session alone: what a player needs, and nothing else.
pub const OPEN_TO_LINKS: [Op; 5] = [Op::Shared, Op::Session, Op::Timeline, Op::Frames, Op::Find];

pub(super) const SHARE_MAKE: Route = Route {
    id: Some(Id::Session),
    least: Role::Auditor,
    summary: "Makes a link to a session, or a stretch of it, for somebody without an account",
    doc: "The session must have ended. The answer alone has the link; whoever has it can play the \
session until it expires or is revoked, and nothing else. Each view is on record.",
    body: Some("ShareWish"),
    answer: Answer::Json("ShareMade"),
    ..change(
        Op::ShareMake,
        Verb::Post,
        "/v1/sessions/{id}/shares",
        "recording.shared",
    )
};

pub(super) const SHARES: Route = Route {
    summary: "Links for people without an account, without their secrets",
    doc: "Those that expired are listed for 30 days.",
    params: &[
        p("session", Kind::Session, "to this session"),
        LIMIT,
        CURSOR,
    ],
    ..get(
        Op::Shares,
        "/v1/shares",
        Role::Auditor,
        Answer::Json("Shares"),
    )
};

pub(super) const SHARE_REVOKE: Route = Route {
    id: Some(Id::Share),
    least: Role::Auditor,
    summary: "Revokes a link: it opens nothing from now on",
    params: &[REASON],
    ..change(
        Op::ShareRevoke,
        Verb::Delete,
        "/v1/shares/{id}",
        "recording.unshared",
    )
};

pub(super) const SHARED: Route = Route {
    summary: "What the link that is asked with leads to",
    doc: "With the header `authorization: Bearer` and the link's secret; otherwise there is nothing here.",
    ..get(Op::Shared, "/v1/shared", Role::User, Answer::Json("Shared"))
};
