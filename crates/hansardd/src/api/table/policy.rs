//! Routes of the central policy.

use super::{Answer, Kind, Op, Role, Route, Verb, change, get, p};

pub(super) const POLICY: Route = Route {
    summary: "The policy in force, or a version of it",
    doc: "Version 0 and an empty text where none was set: each host's configuration decides then. \
The header `etag` has the version, for `if-match`.",
    params: &[p("version", Kind::Version, "this version instead")],
    ..get(
        Op::Policy,
        "/v1/policy",
        Role::Auditor,
        Answer::Json("Policy"),
    )
};

pub(super) const POLICY_SET: Route = Route {
    summary: "Sets the policy; it decides from the next login on, and is sent to all hosts",
    doc: "With a header `if-match` only if that version is in force (`\"0\"`: none); otherwise \
the answer is 412. A text with an error changes nothing; the answer names line and key.",
    body: Some("PolicyWish"),
    answer: Answer::Json("Policy"),
    ..change(
        Op::PolicySet,
        Verb::Put,
        "/v1/policy",
        "session_recording_config.update",
    )
};

pub(super) const POLICY_TEST: Route = Route {
    verb: Verb::Post,
    summary: "What the policy, or a text that is none yet, decides for a login; changes nothing",
    doc: "Groups are as given: the service does not know the accounts of hosts.",
    body: Some("PolicyTest"),
    ..get(
        Op::PolicyTest,
        "/v1/policy/test",
        Role::Auditor,
        Answer::Json("Decided"),
    )
};
