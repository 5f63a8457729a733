//! Fields that every document can have.

use super::Kind::{Bool, Text, Texts, Time, Uint, Withheld};
use super::{Field, h, t};

/// Fields that stand in every document, or can. The first seven are the document's own: nothing
/// that an event says replaces them.
#[rustfmt::skip] // one field, one or two lines
pub const COMMON: [Field; 33] = [
    t("event", Text, "name of the event"),
    t("code", Text, "what came of it; a code counts together with its event"),
    t("uid", Text, "identifier of this document: a UUID made from session, number and ordinal"),
    t("time", Time, "when, in UTC to the millisecond: the session's start and the monotonic time since"),
    t("ei", Uint, "number of the event in its session, from 0; documents made of the same event share it"),
    t("sid", Text, "identifier of the session"),
    h("kind", Text, "kind of session: `terminal`, `exec`, `ssh`, `kube`, `web`, `host`, `service`, …"),
    t("user", Text, "who acted; where the event names nobody, the session's user (or its login)"),
    t("login", Text, "account on the target"),
    t("server_id", Text, "identifier of the host"),
    t("server_hostname", Text, "name of the host"),
    t("server_addr", Text, "address of the host"),
    t("cluster_name", Text, "name of the cluster"),
    t("namespace", Text, "only where an imported recording says it; Teleport always says `default`"),
    t("addr.local", Text, "address and port on our side"),
    t("addr.remote", Text, "address and port that they came from"),
    t("proto", Text, "protocol: `ssh`, `kube`, …"),
    t("success", Bool, "whether it succeeded, where that is said"),
    t("error", Text, "why it failed"),
    t("message", Text, "what was said about it"),
    t("user_kind", Uint, "1 a person, 2 a program"),
    t("user_roles", Texts, "roles of the user"),
    t("user_cluster_name", Text, "cluster that the user belongs to"),
    t("impersonator", Text, "who acted in the user's name"),
    t("server_version", Text, "version of the program on the host"),
    t("forwarded_by", Text, "host that passed the connection on"),
    h("channel_id", Uint, "number of the SSH channel in its connection"),
    h("truncated", Texts, "fields that were cut; the recording has all of them"),
    h("truncated_count", Uint, "how many were cut, where not all are named"),
    h("left_out", Texts, "fields that found no room; the recording has them"),
    h("left_out_count", Uint, "how many found none, where not all are named"),
    h("withheld", Texts, "fields that do not belong into a log: passwords, bytes of streams"),
    h("withheld_count", Uint, "how many do not, where not all are named"),
];

/// Those of [`COMMON`] that say which document it is; an event's own go to `source.NAME`.
pub(in super::super) const OWN: [&str; 7] = ["event", "code", "uid", "time", "ei", "sid", "kind"];

/// Those of [`COMMON`] that say what is missing from it.
pub(in super::super) const NOTES: [&str; 6] = [
    "truncated",
    "truncated_count",
    "left_out",
    "left_out_count",
    "withheld",
    "withheld_count",
];

/// Fields of the session that stand in each of its documents; an event that says one of them itself
/// is believed for its own document.
pub const PLACES: [&str; 9] = [
    "user",
    "login",
    "server_id",
    "server_hostname",
    "server_addr",
    "cluster_name",
    "addr.local",
    "addr.remote",
    "proto",
];

/// Fields with any name of a shape.
#[rustfmt::skip] // one field, one or two lines
pub const PATTERNS: [Field; 5] = [
    h("x.*", Text, "what an event says that this list does not know, or that is not of the type it has here; a list of texts where there are several"),
    h("source.*", Text, "what an event says itself under one of the first seven names: number, identifier and time that an imported recording gave it"),
    h("*.base64", Text, "the exact bytes where the text beside is not all of them, being no UTF-8; a list where that is one"),
    h("claimed.*", Text, "what a program said of itself when it handed its session over, and nobody could check; a list of texts where it is one"),
    h("env.*", Text, "variable of the environment, at the start of a session"),
];

/// Fields that are never put into a document, whatever the event.
pub(in super::super) const WITHHELD: [Field; 10] = [
    h("password", Withheld, "what was given as a password"),
    h(
        "answers",
        Withheld,
        "answers to what a server asked for at sign-in",
    ),
    h("cookie", Withheld, "secret of an X11 display"),
    h(
        "payload",
        Withheld,
        "bytes of a request that nobody could read",
    ),
    h("data", Withheld, "bytes of a stream"),
    h("tdpb_message", Withheld, "bytes of a desktop's stream"),
    h("containerssh.raw", Withheld, "a message as it was"),
    h(
        "containerssh.extra",
        Withheld,
        "parts of a message that nobody knows",
    ),
    h(
        "containerssh.payload_extra",
        Withheld,
        "parts of a message that nobody knows",
    ),
    h("teleport.raw", Withheld, "a message as it was"),
];
