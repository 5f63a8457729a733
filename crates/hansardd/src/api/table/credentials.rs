//! Routes of credentials for targets.

use super::{Answer, CURSOR, Id, LIMIT, Op, REASON, Role, Route, Verb, change, get};

pub(super) const CREDENTIALS: Route = Route {
    summary: "Credentials for targets of the SSH proxy, without their secrets",
    params: &[LIMIT, CURSOR],
    ..get(
        Op::Credentials,
        "/v1/credentials",
        Role::Admin,
        Answer::Json("Credentials"),
    )
};

pub(super) const MAKE: Route = Route {
    summary: "Keeps a credential for targets, sealed",
    doc: "On record (`credential.create`) before it is kept. No answer ever has the secret.",
    body: Some("CredentialWish"),
    answer: Answer::Json("Credential"),
    ..change(
        Op::CredentialMake,
        Verb::Post,
        "/v1/credentials",
        "credential.create",
    )
};

pub(super) const REPLACE: Route = Route {
    id: Some(Id::Credential),
    summary: "Keeps another secret in the place of one",
    doc: "On record (`credential.update`) before it is kept.",
    body: Some("CredentialAgain"),
    answer: Answer::Json("Credential"),
    ..change(
        Op::CredentialReplace,
        Verb::Put,
        "/v1/credentials/{id}",
        "credential.update",
    )
};

pub(super) const REMOVE: Route = Route {
    id: Some(Id::Credential),
    summary: "Removes a credential",
    params: &[REASON],
    ..change(
        Op::CredentialRemove,
        Verb::Delete,
        "/v1/credentials/{id}",
        "credential.delete",
    )
};

pub(super) const ROTATE: Route = Route {
    summary: "Seals all credentials with another key, and gives up the one before",
    doc: "Those that cannot be read or opened are left, and named; the key before stays until none is left \
          and this is asked again.",
    answer: Answer::Json("CredentialsRotated"),
    ..change(
        Op::CredentialRotate,
        Verb::Post,
        "/v1/credential-key",
        "credential.rotate",
    )
};
