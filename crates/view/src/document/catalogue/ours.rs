//! Events that are Hansard's own: what Teleport has no name for.

use super::Kind::{Int, Text, Time, Uint};
use super::fields::{APP, BYTES, DATABASE, DESKTOP, END, KERNEL, KUBE, SIZE, START};
use super::{Field, Row, any, failed, h, ok, our, row, t};

const OTHER: &str =
    "Something that has no name in this list, or one that only the recording itself may use.";

/// An event whose name is not known can be told with every field of a session.
const OTHERS: &[&[Field]] = &[
    &[h("event_name", Text, "the name it was recorded under")],
    END,
    START,
    BYTES,
    SIZE,
    KUBE,
    APP,
    DATABASE,
    DESKTOP,
];

const ACCESS: &[Field] = &[
    h("method", Text, "how, as the program says it"),
    h("terminal", Text, "on which terminal"),
    h("command", Text, "what was to be run"),
    h("cwd", Text, "working directory"),
    h("source", Text, "where it was heard: `audit` or `journal`"),
];

/// Where the SSH proxy signs in, and with what.
const TARGET: [Field; 5] = [
    h("addr", Text, "the target"),
    h("login", Text, "the account there"),
    h(
        "method",
        Text,
        "how: `certificate`, `agent` or `credential`",
    ),
    h("name", Text, "name of the credential"),
    h(
        "key",
        Text,
        "fingerprint of the key; of a password the mark by which it is listed",
    ),
];

#[rustfmt::skip] // one event, a few lines
pub(super) const ROWS: [Row; 24] = [
    row(our("recording.start"), "start", "The recording of a host or a service began; one each day.",
        &[any("H2000I", "began")], &[START]),
    row(our("recording.end"), "end", "Such a recording ended.", &[any("H2004I", "ended")], &[END]),
    row(our("target.connect"), "network", "The SSH proxy connected to a target and signed in there.",
        &[ok("H2300I", "in"), failed("H2300W", "failed")],
        &[&[h("addr", Text, "the target, as it was asked for"),
            t("server_addr", Text, "address and port that were connected to; left out where none was")]]),
    row(our("target.auth"), "auth", "The SSH proxy tried to sign in at a target.",
        &[ok("H2302I", "in"), failed("H2302W", "refused, or not tried")],
        &[&TARGET]),
    row(our("credential.use"), "auth", "The SSH proxy is about to use a credential or a person's agent to sign in at a target.",
        &[any("H2303I", "about to be used")], &[&TARGET]),
    row(our("host_key"), "auth", "The SSH proxy judged the host key of a target.",
        &[ok("H2301I", "believed"), failed("H2301E", "refused")],
        &[&[h("addr", Text, "the target"), h("key", Text, "fingerprint of its key"),
            h("reason", Text, "why it is believed: `certified`, `known`, or `pinned` at its first use")]]),
    row(our("gap"), "gap", "Something is missing from the recording here.", &[any("H2100E", "missing")],
        &[&[h("cause", Text, "why"), h("from", Time, "when the loss began; `time` is when it ended"),
            h("lost_events", Uint, "how many events, where they were counted"),
            h("lost_bytes", Uint, "how much, where it was counted").unit("bytes"),
            h("lost_bytes_max", Uint, "how much at most, where it was not counted").unit("bytes")]]),
    row(our("mark"), "mark", "A place that somebody wanted to find again.", &[any("H2101I", "marked")],
        &[&[h("label", Text, "its label")]]),
    row(our("clock"), "clock", "The host's clock was read again.",
        &[any("H2102I", "read"), any("H2102W", "it had jumped").case("reason", "jump")],
        &[&[h("clock_time", Time, "what it said"), h("clock", Text, "how good it was"),
            h("offset_ms", Int, "how far it was ahead of `time`").unit("milliseconds"),
            h("reason", Text, "`periodic` or `jump`")]]),
    row(our("unknown"), "unknown", "An event that a later version recorded.", &[any("H2103W", "not known here")],
        &[&[h("number", Uint, "number of its kind"), h("length", Int, "length of it").unit("bytes")]]),
    row(our("session.process"), "process", "A process was started or ended.",
        &[any("H4003I", "started or ended")],
        &[KERNEL, &[h("exit_status", Uint, "exit status, 0 to 255"),
            h("signal", Text, "signal that ended it, without SIG")]]),
    row(our("host.login"), "auth", "Somebody logged into the host, whatever recorded it, or was refused.",
        &[ok("H1000I", "let in"), failed("H1000W", "refused")], &[KERNEL, ACCESS]),
    row(our("host.sudo"), "auth", "Somebody ran something as somebody else, or was refused.",
        &[ok("H1001I", "run"), failed("H1001W", "refused")], &[KERNEL, ACCESS]),
    row(our("host.su"), "auth", "Somebody became somebody else, or was refused.",
        &[ok("H1002I", "let"), failed("H1002W", "refused")], &[KERNEL, ACCESS]),
    row(our("stream.omitted"), "transfer", "A stream poured beyond what the policy keeps, and here bytes of it are missing: they were counted and hashed.",
        &[any("H2104W", "not kept, by policy")],
        &[&[h("stream_name", Text, "which stream"),
            h("kept_bytes", Uint, "bytes of it that the recording has until here").unit("bytes"),
            h("omitted_bytes", Uint, "bytes of it that were left out until here, all together").unit("bytes"),
            h("sha256", Text, "SHA-256 of those, one after the other, in hexadecimal")]]),
    row(our("auth.other"), "auth", OTHER,
        &[ok("H9000I", "happened"), failed("H9000W", "refused or failed")], OTHERS),
    row(our("channel.other"), "channel", OTHER,
        &[ok("H9001I", "happened"), failed("H9001W", "refused or failed")], OTHERS),
    row(our("command.other"), "command", OTHER,
        &[ok("H9002I", "happened"), failed("H9002W", "refused or failed")], OTHERS),
    row(our("file.other"), "file", OTHER,
        &[ok("H9003I", "happened"), failed("H9003W", "refused or failed")], OTHERS),
    row(our("network.other"), "network", OTHER,
        &[ok("H9004I", "happened"), failed("H9004W", "refused or failed")], OTHERS),
    row(our("process.other"), "process", OTHER,
        &[ok("H9005I", "happened"), failed("H9005W", "refused or failed")], OTHERS),
    row(our("transfer.other"), "transfer", OTHER,
        &[ok("H9006I", "happened"), failed("H9006W", "refused or failed")], OTHERS),
    row(our("request.other"), "request", OTHER,
        &[ok("H9007I", "happened"), failed("H9007W", "refused or failed")], OTHERS),
    row(our("admin.other"), "admin", OTHER,
        &[ok("H9008I", "happened"), failed("H9008W", "refused or failed")], OTHERS),
];
