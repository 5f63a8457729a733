//! Routes of hosts that joined.

use super::{Answer, CURSOR, Id, LIMIT, Op, REASON, Role, Route, Verb, change, get};

pub(super) const HOSTS: Route = Route {
    summary: "Hosts that joined",
    params: &[LIMIT, CURSOR],
    ..get(Op::Hosts, "/v1/hosts", Role::Auditor, Answer::Json("Hosts"))
};

pub(super) const COVERAGE: Route = Route {
    summary: "What is recorded on each host, and what is not",
    doc: "As sessions and the hosts' own daemons say it: hosts that sessions name, that joined, or whose \
daemon told that it began.",
    params: &[LIMIT, CURSOR],
    ..get(
        Op::Coverage,
        "/v1/coverage",
        Role::Auditor,
        Answer::Json("Coverage"),
    )
};

pub(super) const HOST_LOCK: Route = Route {
    id: Some(Id::Host),
    summary: "Locks a host out, also where it is connected",
    body: Some("Reason"),
    ..change(
        Op::HostLock,
        Verb::Post,
        "/v1/hosts/{id}/lock",
        "lock.created",
    )
};

pub(super) const HOST_UNLOCK: Route = Route {
    id: Some(Id::Host),
    summary: "Lifts a host's lock",
    params: &[REASON],
    ..change(
        Op::HostUnlock,
        Verb::Delete,
        "/v1/hosts/{id}/lock",
        "lock.deleted",
    )
};
