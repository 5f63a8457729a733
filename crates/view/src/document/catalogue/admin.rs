//! Teleport's events of signing in and of administration.

use super::Kind::{Bool, Text, Texts, Uint};
use super::When::{Named, Unsaid};
use super::fields::{NAMED, TIMES};
use super::service::{ASKED, VOUCHED};
use super::{Field, Row, any, code, failed, h, ok, our, row, t, their};

const METHOD: &[Field] = &[
    t(
        "method",
        Text,
        "how: `password`, `publickey`, `local`, `webauthn`, `oidc`, …",
    ),
    h("key", Text, "public key that was offered"),
    h("instruction", Text, "what the server said"),
];

/// Which provider of OpenID Connect.
const PROVIDER: &[Field] = &[h(
    "connector",
    Text,
    "name of the provider, as it is configured",
)];

/// Which browser.
const BROWSER: &[Field] = &[h("sign_in", Text, "name of what was begun there")];

/// Which passkey.
const DEVICE: &[Field] = &[t("mfa_device_name", Text, "what its user calls it")];

/// What somebody had before.
const ROLES: &[Field] = &[h("previous_roles", Texts, "roles before")];

/// What was set with the password.
const FACTOR: &[Field] = &[h(
    "new_totp",
    Bool,
    "whether the second factor's secret was set anew, too, and all passkeys were taken away",
)];

/// Which policy.
pub(super) const POLICY: &[Field] = &[
    h("policy_version", Uint, "version of the policy"),
    h(
        "previous_version",
        Uint,
        "version before, 0 if there was none",
    ),
    h("sha256", Text, "SHA-256 of its text, in hexadecimal"),
];

/// Which credential, and for what.
const CREDENTIAL: &[Field] = &[
    h("target", Text, "for which targets, as `HOST:PORT`"),
    h("login", Text, "for which account there"),
    h("kind", Text, "`key` or `password`"),
    h(
        "key",
        Text,
        "fingerprint of the key; of a password the mark by which it is listed",
    ),
];

#[rustfmt::skip] // one event, a few lines
pub(super) const ROWS: [Row; 28] = [
    row(their("auth"), "auth", "Somebody tried to get in. Teleport tells of failures only.",
        &[failed("T3007W", "refused"), ok("H3007I", "let in"),
          code("H3008I", Unsaid, "tried; what came of it is another event")],
        &[METHOD, &[h("name", Text, "whom the certificate or the account's own key is of"),
            h("serial", Text, "serial number of the certificate, in hexadecimal"),
            h("cert_type", Text, "what the certificate is for"), TIMES]]),
    row(their("user.login"), "auth", "Somebody signed in to Hansard itself.",
        &[ok("T1000I", "signed in"), failed("T1000W", "refused"),
          code("T1001I", Named, "signed in by another service"),
          code("T1001W", Named, "refused by another service")],
        &[METHOD, PROVIDER, VOUCHED, &[h("serial", Text, "serial number of the certificate, in hexadecimal"), TIMES]]),
    row(our("user.signed_out"), "admin", "Somebody was signed out in one browser, by somebody else, or with the passkey that let them in.",
        &[ok("H1010I", "signed out"), failed("H1010W", "refused")], &[NAMED, BROWSER, ASKED]),
    row(their("user.create"), "admin", "A user was made.",
        &[failed("H1011W", "not made after all, or refused"), any("T1002I", "made")], &[NAMED, ASKED]),
    row(their("user.update"), "admin", "A user was changed.",
        &[failed("H1012W", "not changed after all, or refused"), any("T1003I", "changed")], &[NAMED, ASKED, ROLES]),
    row(their("user.delete"), "admin", "A user was removed.",
        &[failed("H1013W", "not removed after all, or refused"), any("T1004I", "removed")], &[NAMED, ASKED]),
    row(their("user.password_change"), "admin", "A user changed a password.",
        &[failed("H1014W", "not changed after all, or refused"), any("T1005I", "changed")], &[NAMED, ASKED, FACTOR]),
    row(their("mfa.add"), "admin", "A second factor, or a passkey, was added.",
        &[ok("T1006I", "added"), failed("H1006W", "was refused")], &[NAMED, DEVICE, ASKED]),
    row(our("mfa.rename"), "admin", "A passkey is called something else.",
        &[failed("H1015W", "not renamed after all, or refused"), any("H1006I", "renamed")], &[NAMED, ASKED]),
    row(their("mfa.delete"), "admin", "A second factor, or a passkey, was removed.",
        &[failed("H1016W", "not removed after all, or refused"), any("T1007I", "removed")], &[NAMED, ASKED]),
    row(their("cert.create"), "admin", "A certificate was issued.",
        &[failed("HC000W", "refused"), any("TC000I", "issued")],
        &[NAMED, &[t("cert_type", Text, "for what"), t("client_ip", Text, "to which address"),
            t("user_agent", Text, "to which program"), t("host_id", Text, "to which host"),
            h("serial", Text, "serial number, in hexadecimal"),
            h("logins", Texts, "accounts that it lets into, or names of the host"),
            h("key", Text, "public key that it certifies, in hexadecimal")]]),
    row(our("credential.create"), "admin", "A credential for targets of the SSH proxy was kept, sealed.",
        &[ok("H1020I", "kept"), failed("H1020W", "not kept after all, or refused")], &[NAMED, CREDENTIAL, ASKED]),
    row(our("credential.update"), "admin", "A credential's secret was replaced.",
        &[ok("H1021I", "replaced"), failed("H1021W", "not replaced after all, or refused")],
        &[NAMED, CREDENTIAL, ASKED]),
    row(our("credential.delete"), "admin", "A credential was removed.",
        &[ok("H1022I", "removed"), failed("H1022W", "refused")], &[NAMED, ASKED]),
    row(our("credential.rotate"), "admin", "All credentials are sealed with another key.",
        &[ok("H1023I", "sealed again"), failed("H1023W", "refused")], &[NAMED, ASKED]),
    row(their("join_token.create"), "admin", "A token to join with was made.",
        &[failed("H1017W", "not made after all, or refused"), any("TJT00I", "made")],
        &[NAMED, ASKED, &[t("join_method", Text, "how one joins with it")]]),
    row(their("instance.join"), "auth", "A host joined.",
        &[ok("TJ002I", "joined"), failed("TJ002E", "refused")],
        &[&[t("host_id", Text, "which host"), t("node_name", Text, "its name"), t("role", Text, "as what"),
            t("method", Text, "how"), t("token_name", Text, "with which token"),
            h("key", Text, "its recorder key, in hexadecimal"), h("serial", Text, "serial number of its certificate, in hexadecimal"),
            h("not_told", Uint, "how many more were refused before, and are not told of")]]),
    row(their("bot.join"), "auth", "A program joined.",
        &[ok("TJ001I", "joined"), failed("TJ001E", "refused")],
        &[&[t("bot_name", Text, "which"), t("method", Text, "how"), t("token_name", Text, "with which token")]]),
    row(their("lock.created"), "admin", "A user, role, account, host or session was locked.",
        &[failed("H1018W", "not kept, or refused"), any("TLK00I", "locked")],
        &[NAMED, ASKED, &[t("target", Text, "who, as `user:anna`; of a host that joined its identifier"), h("revoked", Bool, "whether it is for ever")]]),
    row(their("lock.deleted"), "admin", "A lock was lifted.",
        &[failed("H1019W", "not lifted after all, or refused"), any("TLK01I", "lifted")],
        &[NAMED, ASKED, &[t("target", Text, "whose")]]),
    row(their("role.created"), "admin", "A role was made.", &[any("T9000I", "made")], &[NAMED]),
    row(their("role.deleted"), "admin", "A role was removed.", &[any("T9001I", "removed")], &[NAMED]),
    row(their("role.updated"), "admin", "A role was changed.", &[any("T9002I", "changed")], &[NAMED]),
    row(their("session_recording_config.update"), "admin", "What is recorded was changed.",
        &[ok("TCREC003I", "changed"), failed("TCREC003W", "not changed after all, or refused")],
        &[NAMED, POLICY, &[h("previous_sha256", Text, "SHA-256 of the text before, in hexadecimal"),
            h("rules_added", Texts, "rules that are new"), h("rules_removed", Texts, "rules that are gone"),
            h("rules_changed", Texts, "rules, and `scope` and `default`, that say something else")]]),
    row(their("access_request.create"), "admin", "Somebody asked for access.",
        &[any("T5000I", "asked")], &[REQUEST, NAMED]),
    row(their("access_request.update"), "admin", "A request for access was changed.",
        &[any("T5001I", "changed")], &[REQUEST, NAMED]),
    row(their("access_request.review"), "admin", "A request for access was reviewed.",
        &[any("T5002I", "reviewed")], &[REQUEST, NAMED]),
    row(their("access_request.delete"), "admin", "A request for access was removed.",
        &[any("T5003I", "removed")], &[REQUEST, NAMED]),
];

const REQUEST: &[Field] = &[
    t("id", Text, "which"),
    t("state", Text, "what became of it"),
    t("resource_ids", Texts, "what for"),
    t("reviewer", Text, "who reviewed it"),
];
