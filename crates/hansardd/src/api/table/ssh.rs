//! Routes of SSH certificates, and of those of people.

use super::{Answer, Op, Role, Route, Verb, change, get};

pub(super) const CERTIFICATE_MAKE: Route = Route {
    summary: "Issues an SSH certificate that lets somebody in",
    doc: "On record (`cert.create`) before it is answered.",
    body: Some("CertificateWish"),
    answer: Answer::Json("CertificateMade"),
    ..change(
        Op::CertificateMake,
        Verb::Post,
        "/v1/ssh/certificates",
        "cert.create",
    )
};

pub(super) const CERTIFICATE_OWN: Route = Route {
    least: Role::User,
    summary: "Issues an SSH certificate for whoever is signed in, by their roles",
    doc: "For users who are signed in at the web server, not at the admin socket. On record (`cert.create`) \
before it is answered, also where there is none.",
    body: Some("CertificateOwnWish"),
    answer: Answer::Json("CertificateOwn"),
    ..change(
        Op::CertificateOwn,
        Verb::Post,
        "/v1/ssh/certificates/own",
        "cert.create",
    )
};

pub(super) const PERSON_OWN: Route = Route {
    least: Role::User,
    summary: "Issues an X.509 certificate for whoever is signed in, with which they are known here",
    doc: "For users who are signed in at the web server with a password or passkey, not at the admin socket and \
not with such a certificate. It counts until its owner's roles or password change. On record (`cert.create`) \
before it is answered.",
    body: Some("PersonWish"),
    answer: Answer::Json("PersonCertificate"),
    ..change(
        Op::PersonOwn,
        Verb::Post,
        "/v1/certificates/own",
        "cert.create",
    )
};

pub(super) const AUTHORITIES: Route = Route {
    summary: "The public keys that sign SSH certificates",
    ..get(
        Op::SshAuthorities,
        "/v1/ssh/authorities",
        Role::User,
        Answer::Json("SshAuthorities"),
    )
};
