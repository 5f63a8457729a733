//! Routes of users who sign in.

use super::{Answer, CURSOR, Id, LIMIT, Op, REASON, Role, Route, Verb, change, get};

pub(super) const USERS: Route = Route {
    summary: "Users who sign in in a browser",
    params: &[LIMIT, CURSOR],
    ..get(Op::Users, "/v1/users", Role::Admin, Answer::Json("Users"))
};

pub(super) const USER_MAKE: Route = Route {
    summary: "Makes a user; the answer alone has the second factor's secret",
    doc: "What is recorded of an account of the same name is the user's own.",
    body: Some("UserWish"),
    answer: Answer::Json("UserMade"),
    ..change(Op::UserMake, Verb::Post, "/v1/users", "user.create")
};

pub(super) const USER_REMOVE: Route = Route {
    id: Some(Id::User),
    summary: "Removes a user, and signs the user out",
    params: &[REASON],
    ..change(
        Op::UserRemove,
        Verb::Delete,
        "/v1/users/{id}",
        "user.delete",
    )
};

pub(super) const USER_ROLES: Route = Route {
    id: Some(Id::User),
    summary: "Gives a user these roles in the place of those there are, besides what the user may here",
    doc: "They say what the user may over SSH, in certificates that are issued from then on.",
    body: Some("UserRoles"),
    answer: Answer::Json("User"),
    ..change(
        Op::UserRoles,
        Verb::Put,
        "/v1/users/{id}/roles",
        "user.update",
    )
};

pub(super) const USER_PASSWORD: Route = Route {
    id: Some(Id::User),
    summary: "Sets a user's password, and signs the user out",
    body: Some("PasswordWish"),
    answer: Answer::Json("UserMade"),
    ..change(
        Op::UserPassword,
        Verb::Put,
        "/v1/users/{id}/password",
        "user.password_change",
    )
};
