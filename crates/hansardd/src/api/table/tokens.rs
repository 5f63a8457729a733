//! Routes of tokens to join with.

use super::{Answer, CURSOR, Id, LIMIT, Op, REASON, Role, Route, Verb, change, get};

pub(super) const TOKENS: Route = Route {
    summary: "Tokens to join with, without their secrets",
    params: &[LIMIT, CURSOR],
    ..get(
        Op::Tokens,
        "/v1/tokens",
        Role::Admin,
        Answer::Json("Tokens"),
    )
};

pub(super) const TOKEN_MAKE: Route = Route {
    summary: "Makes a token to join with; the answer alone has its secret",
    body: Some("TokenWish"),
    answer: Answer::Json("TokenMade"),
    ..change(Op::TokenMake, Verb::Post, "/v1/tokens", "join_token.create")
};

pub(super) const TOKEN_REMOVE: Route = Route {
    id: Some(Id::Token),
    summary: "Removes a token",
    params: &[REASON],
    ..change(
        Op::TokenRemove,
        Verb::Delete,
        "/v1/tokens/{id}",
        "join_token.delete",
    )
};
