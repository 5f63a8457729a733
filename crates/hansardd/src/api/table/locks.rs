//! Routes of locks.

use super::{Answer, CURSOR, Id, LIMIT, Op, REASON, Role, Route, Verb, change, get};

pub(super) const LOCKS: Route = Route {
    summary: "Locks that hold",
    params: &[LIMIT, CURSOR],
    ..get(Op::Locks, "/v1/locks", Role::Auditor, Answer::Json("Locks"))
};

pub(super) const LOCK_MAKE: Route = Route {
    summary: "Locks a person, a role, an account, a host or a session",
    doc: "Sessions that it is about end within two seconds, new ones are refused, and no certificate is \
issued. On record (`lock.created`) before it holds.",
    body: Some("LockWish"),
    answer: Answer::Json("LockMade"),
    ..change(Op::LockMake, Verb::Post, "/v1/locks", "lock.created")
};

pub(super) const LOCK_REMOVE: Route = Route {
    id: Some(Id::Lock),
    summary: "Lifts a lock",
    params: &[REASON],
    ..change(
        Op::LockRemove,
        Verb::Delete,
        "/v1/locks/{id}",
        "lock.deleted",
    )
};
