//! Routes of passkeys: each user's own, in a browser.

use super::{Answer, Id, Op, REASON, Role, Route, Verb, by_handler, get};

const OWN: &str = "Of whoever is signed in in a browser; for others there is nothing here.";

const fn own(op: Op, verb: Verb, path: &'static str, event: &'static str) -> Route {
    Route {
        verb,
        doc: OWN,
        noted: by_handler(event),
        ..get(op, path, Role::User, Answer::Json("Done"))
    }
}

pub(super) const PASSKEYS: Route = Route {
    summary: "One's own passkeys",
    doc: OWN,
    ..get(
        Op::Passkeys,
        "/v1/passkeys",
        Role::User,
        Answer::Json("Passkeys"),
    )
};

pub(super) const CHALLENGE: Route = Route {
    verb: Verb::Post,
    summary: "What to make a passkey with",
    doc: OWN,
    ..get(
        Op::PasskeyChallenge,
        "/v1/passkeys/challenge",
        Role::User,
        Answer::Json("PasskeyChallenge"),
    )
};

pub(super) const MAKE: Route = Route {
    summary: "Keeps a passkey that the browser made",
    body: Some("PasskeyWish"),
    answer: Answer::Json("Passkey"),
    ..own(Op::PasskeyMake, Verb::Post, "/v1/passkeys", "mfa.add")
};

pub(super) const RENAME: Route = Route {
    id: Some(Id::Passkey),
    summary: "Calls a passkey something else",
    body: Some("PasskeyLabel"),
    ..own(
        Op::PasskeyRename,
        Verb::Put,
        "/v1/passkeys/{id}",
        "mfa.rename",
    )
};

pub(super) const REMOVE: Route = Route {
    id: Some(Id::Passkey),
    summary: "Removes a passkey: it signs nobody in any more, and whom it let in is signed out (`user.signed_out`)",
    params: &[REASON],
    ..own(
        Op::PasskeyRemove,
        Verb::Delete,
        "/v1/passkeys/{id}",
        "mfa.delete",
    )
};
