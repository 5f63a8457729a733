//! Events of hosts and services themselves, which stand in their own recordings: what they did, what
//! they were asked, what somebody must look at.

use super::Kind::{Text, Texts, Time, Uint};
use super::fields::NAMED;
use super::{Field, Row, any, code, h, ok, our, row, t};
use super::{When::Named, failed};

/// Which recording it is about. `sid` is the recording that the event stands in.
const RECORDING: &[Field] = &[
    h("recording", Text, "identifier of the session it is about"),
    h("reason", Text, "why, in words"),
];

const SEGMENT: &[Field] = &[
    h("segment", Uint, "number of the segment, from 0"),
    h("blob", Text, "name of the blob it is in"),
    h("key", Text, "public key that signed it, in hexadecimal"),
];

/// Which host it is about.
const HOST: &[Field] = &[
    t("host_id", Text, "which host"),
    t("node_name", Text, "its name"),
    h(
        "serial",
        Text,
        "serial number of its certificate, in hexadecimal",
    ),
    h("reason", Text, "why, in words"),
];

/// Who asked, at the admin socket.
pub(super) const ASKED: &[Field] = &[
    h("user_uid", Uint, "number of the user who asked"),
    t("pid", Uint, "process that asked"),
    h(
        "request_id",
        Text,
        "which request of the service: what takes a change back that was told and not made has the same",
    ),
    VOUCHED_BY,
    VOUCHED_FOR,
];

/// Of whom an OpenID provider vouches for.
pub(super) const VOUCHED: &[Field] = &[VOUCHED_BY, VOUCHED_FOR];

const VOUCHED_BY: Field = h(
    "issuer",
    Text,
    "OpenID provider that vouches for the user, if they are none of this service's own",
);

const VOUCHED_FOR: Field = h("subject", Text, "who the user is for that provider");

/// Of a link for somebody without an account.
pub(super) const SHARE: &[Field] = &[
    h(
        "share",
        Text,
        "name of the link that it is about, or was done with",
    ),
    h("shared_with", Text, "who the link is for"),
    h("shared_by", Text, "who made it"),
];

const SHARED: &[Field] = &[
    t("expires", Time, "until when it holds"),
    h("from_ms", Uint, "from which moment of the session on").unit("milliseconds"),
    h("until_ms", Uint, "up to which").unit("milliseconds"),
];

const SOUGHT: &[Field] = &[
    h("query", Text, "what was looked for"),
    h("query_since", Text, "not before"),
    h("query_until", Text, "before"),
    h("query_user", Text, "only of this user"),
    h("query_host", Text, "only on this host"),
    h("query_kind", Text, "only sessions of this kind"),
    h("reason", Text, "why, in words"),
];

const SAVED: &[Field] = &[
    h("page", Text, "on which page of the application"),
    h(
        "query",
        Text,
        "what is asked for there, as its address has it",
    ),
];

const FILE: &[Field] = &[
    t("path", Text, "which file"),
    h("bytes", Uint, "its length").unit("bytes"),
    h("reason", Text, "why, in words"),
];

const DAEMON: &[Field] = &[
    t(
        "roles",
        Texts,
        "what it does: `capture`, `forward`, `store`, `serve`",
    ),
    h("reason", Text, "why, in words"),
    h(
        "recorder_key",
        Text,
        "its Ed25519 public key, in hexadecimal",
    ),
    h(
        "recovered",
        Uint,
        "recordings that a crash had left without an end",
    ),
];

const CAPACITY: &[Field] = &[
    h(
        "level",
        Text,
        "`normal`, `warning` (75 % used) or `critical` (90 %)",
    ),
    h(
        "place",
        Text,
        "of what: `spool`, `archive`, `catalog`, `log`, …",
    ),
    t("path", Text, "where"),
    h("used_percent", Uint, "how much of it is used").unit("per cent"),
    h("used_bytes", Uint, "how much is used").unit("bytes"),
    h("limit_bytes", Uint, "how much there may be").unit("bytes"),
];

const DELETED: &[Field] = &[
    h("rule", Text, "by which rule of retention, or `asked`"),
    h("owner", Text, "who had acted in it"),
    h("host", Text, "where that was"),
    h("session_kind", Text, "what kind of session it was"),
    t("session_start", Time, "when it had begun"),
    h("segments", Uint, "how many segments it had"),
    h("bytes", Uint, "how long they were").unit("bytes"),
    h(
        "digest",
        Text,
        "digest of its newest segment, in hexadecimal",
    ),
    h("newest", Uint, "number of that segment, from 0"),
    h("key", Text, "public key that signed it, in hexadecimal"),
    h(
        "deleted_ms",
        Uint,
        "when that was, where it is told again because the recording that told of it is deleted next",
    )
    .unit("milliseconds"),
];

const LOST: &[Field] = &[
    h("cause", Text, "why something is missing"),
    h(
        "lost_events",
        Uint,
        "how many events, where they were counted",
    ),
    h("lost_bytes", Uint, "how much, where it was counted").unit("bytes"),
    h(
        "lost_bytes_max",
        Uint,
        "how much at most, where it was not counted",
    )
    .unit("bytes"),
];

const BUILT: &[Field] = &[
    h("segments", Uint, "segments that were taken"),
    h("recordings", Uint, "recordings that they make"),
    h("events", Uint, "events in them"),
    h(
        "quarantined",
        Uint,
        "what could not be read, and is put aside",
    ),
    h("lost_segments", Uint, "places where segments are missing"),
];

const WHY: &[Field] = &[h("reason", Text, "why, in words")];

#[rustfmt::skip] // one event, a few lines
pub(super) const ROWS: [Row; 33] = [
    row(our("daemon.start"), "admin", "A daemon was started; its own recording says which.",
        &[any("H5000I", "started")], &[DAEMON]),
    row(our("daemon.stop"), "admin", "A daemon was stopped in order. After a crash there is none.",
        &[ok("H5001I", "stopped"), failed("H5001E", "stopped because of an error")], &[DAEMON]),
    row(our("daemon.reload"), "admin", "A daemon read its configuration again.",
        &[ok("H5002I", "read"), failed("H5002W", "refused; the one before is in force")],
        &[FILE, &[h("changed", Texts, "keys that changed"),
            h("needs_restart", Texts, "keys that change at the next start only")]]),
    row(our("policy.in_force"), "admin", "A host was sent a policy by its service, and decides by it from now on.",
        &[ok("H5012I", "in force"), failed("H5012W", "not taken; the one before decides")],
        &[super::admin::POLICY]),
    row(our("session.kill"), "admin", "Somebody ended another's session.",
        &[ok("H5010I", "ended"), failed("H5010W", "refused or not there")], &[RECORDING, ASKED]),
    row(our("access.refused"), "admin",
        "Somebody reached for more than a role allows, more often in a minute than each is told of.",
        &[any("H5011W", "refused")],
        &[ASKED, &[h("times", Uint, "how often, besides those that are told of one by one"),
            h("reason", Text, "why they are told together")]]),
    row(our("alarm"), "admin",
        "Something that an attack or a fault makes, and that somebody must look at. `alarm` says what.",
        &[code("H5109E", Named, "none of the others"),
          any("H5100E", "another segment is in its place").case("alarm", "fork"),
          any("H5101E", "it does not continue what is archived").case("alarm", "broken_chain"),
          any("H5102E", "signed with another key than the session's").case("alarm", "second_writer"),
          any("H5103E", "after the session's end").case("alarm", "after_end"),
          any("H5104E", "old bytes in a new place").case("alarm", "misplaced"),
          any("H5105E", "a stored blob is not what was stored").case("alarm", "blob_differs"),
          any("H5106W", "no sound frame or segment").case("alarm", "refused"),
          any("H5107W", "a certificate of nobody we know").case("alarm", "foreign_certificate"),
          any("H5108W", "a host offered a session that is not its own").case("alarm", "foreign_session"),
          any("H5120E", "parts that are no sound recording").case("alarm", "unsound"),
          any("H5121E", "what comes before a part is missing").case("alarm", "hole"),
          any("H5122E", "a part that was durable in a spool cannot be read any more").case("alarm", "spool_damaged"),
          any("H5123E", "a stored segment is damaged or lost, and came again").case("alarm", "archive_damaged"),
          any("H5124E", "no room to put more aside").case("alarm", "aside_full"),
          any("H5125E", "the catalog is damaged: nothing is archived").case("alarm", "catalog_damaged"),
          any("H5126E", "a session could not be recorded on, and was lost").case("alarm", "recording_lost"),
          any("H5127E", "the service has something else in its place").case("alarm", "conflict"),
          any("H5128E", "holds cannot be recalled: nothing is deleted").case("alarm", "recall"),
          any("H5129E", "what comes before a part is lost: its host has it no more").case("alarm", "lost"),
          any("H5130W", "programs can type into their own terminal").case("alarm", "terminal_input"),
          any("H5131W", "the daemon may not take logins' terminals").case("alarm", "terminals_not_taken"),
          any("H5132W", "an account logged in while no daemon was there").case("alarm", "break_glass"),
          any("H5133E", "a host has its share of the spool: nothing more is taken from it").case("alarm", "spool_share"),
          any("H5140W", "of what processes of sessions do, not everything is told").case("alarm", "host_events"),
          any("H5141W", "of logins, sudo and su of the host, not everything is told").case("alarm", "host_access")],
        &[&[h("alarm", Text, "what kind of alarm"), t("path", Text, "where the parts are kept"),
            h("not_told", Uint, "how many sessions of the same host before it are not told of")],
          RECORDING, SEGMENT, HOST]),
    row(our("recording.quarantined"), "admin",
        "What a host offered, or what is stored, was put aside: it is kept, and stops nothing else.",
        &[any("H5110E", "put aside")], &[RECORDING, SEGMENT, HOST, FILE]),
    row(our("recording.recovered"), "admin",
        "A recorder died; what it had left was sealed, with a gap and an end.",
        &[any("H5111W", "recovered")], &[RECORDING, LOST]),
    row(our("recording.gap"), "admin", "A recording goes on with a part missing, as policy allows.",
        &[any("H5112E", "missing")], &[RECORDING, LOST]),
    row(our("capacity"), "admin", "A bound comes near, or is far again.",
        &[any("H5200I", "far again").case("level", "normal"),
          any("H5200W", "near").case("level", "warning"),
          any("H5200E", "very near").case("level", "critical")], &[CAPACITY]),
    row(our("recording.deleted"), "admin",
        "A recording was deleted for good. This is written before it is done; its tombstone stays.",
        &[failed("H5300W", "not deleted after all"), any("H5300I", "deleted")], &[RECORDING, DELETED]),
    row(our("recording.held"), "admin", "A recording must not be deleted, whatever its age.",
        &[failed("H5301W", "not held after all, or refused"), any("H5301I", "held")], &[RECORDING, ASKED]),
    row(our("recording.shared"), "admin",
        "A link to a recording was made for somebody without an account. Who looks by it is a `session.recording.access`.",
        &[ok("H5320I", "made"), failed("H5320W", "was refused")], &[RECORDING, ASKED, SHARE, SHARED]),
    row(our("recording.unshared"), "admin", "A link to a recording was revoked: it opens nothing any more.",
        &[ok("H5321I", "revoked"), failed("H5321W", "was refused")], &[RECORDING, ASKED, SHARE]),
    row(our("session.search"), "admin", "Recordings were searched; this is written before it is done.",
        &[ok("H5310I", "asked"), failed("H5310W", "was refused")], &[ASKED, SOUGHT]),
    row(our("search.saved"), "admin", "Somebody keeps a search under a name, for themselves.",
        &[ok("H5322I", "kept"), failed("H5322W", "was refused")], &[NAMED, ASKED, SAVED]),
    row(our("search.removed"), "admin", "Somebody keeps a search no longer.",
        &[ok("H5323I", "removed"), failed("H5323W", "was refused")], &[NAMED, ASKED]),
    row(our("recording.released"), "admin", "A recording may be deleted again.",
        &[failed("H5302W", "not released after all, or refused"), any("H5302I", "released")], &[RECORDING, ASKED]),
    row(our("retention.paused"), "admin", "Nothing is deleted for a while, because the clock jumped.",
        &[any("H5303W", "paused")],
        &[&[h("until", Time, "until when, by the clock as it is"), h("reason", Text, "why, in words")]]),
    row(our("log.removed"), "admin", "A file of the event log was removed, being old.",
        &[any("H5400I", "removed")], &[FILE]),
    row(our("log.gap"), "admin", "Events of a recording never came to the event log.",
        &[any("H5401E", "missing")],
        &[RECORDING, &[h("from_ei", Uint, "number of the first that is missing"),
            h("until_ei", Uint, "number of the first after them")]]),
    row(our("log.rebuilt"), "admin", "The event log was written anew from the archive.",
        &[any("H5402I", "written")], &[BUILT, WHY]),
    row(our("catalog.rebuilt"), "admin", "The catalog was built anew from the archive.",
        &[any("H5403I", "built")], &[BUILT, WHY]),
    row(our("catalog.damaged"), "admin", "The catalog was damaged, and was set aside.",
        &[any("H5404E", "damaged")], &[FILE]),
    row(our("host.connected"), "auth", "A host began to send.",
        &[any("H5600I", "connected")],
        &[HOST, &[h("client_version", Text, "program and version that connected")]]),
    row(our("host.disconnected"), "auth", "A host sends no more.",
        &[ok("H5601I", "left"), failed("H5601W", "lost")], &[HOST]),
    row(our("host.refused"), "auth", "Somebody who is no host of ours, or one that is locked, was refused.",
        &[any("H5602W", "refused")],
        &[HOST, &[h("not_told", Uint, "how many more from there were refused, and are not told of")]]),
    row(our("join_token.delete"), "admin", "A token to join with was removed, or has expired.",
        &[failed("H5603W", "not removed after all, or refused"), any("H5603I", "removed")],
        &[ASKED, &[t("name", Text, "what it is about"), t("roles", Texts, "what it let in as"),
            h("reason", Text, "why, in words")]]),
    row(our("instance.renew"), "auth", "A host asked for its certificates anew, and was refused.",
        &[ok("H5606I", "renewed"), failed("H5606W", "refused")],
        &[HOST, &[h("not_told", Uint, "how many more were refused before, and are not told of")]]),
    row(our("registry.unreadable"), "admin",
        "A file about a host or a token cannot be read; whoever it is about is shut out until it is repaired.",
        &[any("H5607E", "cannot be read")], &[&[t("name", Text, "what it is about")]]),
    row(our("service.unreachable"), "admin", "A host cannot reach its service; what it records waits in its spool.",
        &[any("H5604W", "unreachable")],
        &[HOST, &[h("waiting_bytes", Uint, "how much waits").unit("bytes")]]),
    row(our("service.reached"), "admin", "A host reached its service again.",
        &[any("H5605I", "reached")],
        &[HOST, &[h("waiting_bytes", Uint, "how much waits").unit("bytes")]]),
];
