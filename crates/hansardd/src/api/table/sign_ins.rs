//! Routes of who is signed in.

use super::{Answer, CURSOR, Id, LIMIT, Op, REASON, Role, Route, Verb, change, get};

pub(super) const SIGN_INS: Route = Route {
    summary: "Browsers in which somebody is signed in",
    params: &[LIMIT, CURSOR],
    ..get(
        Op::SignIns,
        "/v1/sign-ins",
        Role::Admin,
        Answer::Json("SignedIns"),
    )
};

pub(super) const END: Route = Route {
    id: Some(Id::SignIn),
    summary: "Signs somebody out in one browser",
    doc: "What that browser still streams ends. Who may sign in can do it again.",
    params: &[REASON],
    ..change(
        Op::SignInEnd,
        Verb::Delete,
        "/v1/sign-ins/{id}",
        "user.signed_out",
    )
};
