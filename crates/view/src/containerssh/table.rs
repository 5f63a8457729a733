//! Every message type of the log: its number, its names, its payload, and the event it is here.
//!
//! This table is the whole mapping. Both directions and both outputs read it, so a type that is
//! added here is added everywhere.

use hansard_core::Body;
use hansard_core::event::Fact;

/// What a payload's value is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bytes,
    Uint,
    Bool,
    /// A list of maps with these keys.
    List(&'static [Key]),
}

/// A key of a payload, spelled as it is in the log, and our name of the field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) key: &'static str,
    pub(super) field: &'static str,
    pub(super) kind: Kind,
}

/// Which family of events a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Auth,
    Channel,
    Command,
    Network,
}

impl Family {
    pub(super) fn body(self, fact: Fact) -> Body {
        match self {
            Self::Auth => Body::Auth(fact),
            Self::Channel => Body::Channel(fact),
            Self::Command => Body::Command(fact),
            Self::Network => Body::Network(fact),
        }
    }
}

/// What a message's type says without a payload; told to readers, not needed on the way back.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says {
    Method(&'static str),
    Success(bool),
}

/// A message type.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: u64,
    /// `typeId` in their JSON.
    pub(super) name: &'static str,
    /// `typeName` in their JSON.
    pub(super) title: &'static str,
    pub(super) family: Family,
    /// Our name of the event: Teleport's where it has one.
    pub(super) event: &'static str,
    /// In the order in which they are written. None: the payload is null.
    pub(super) keys: &'static [Key],
    pub(super) says: &'static [Says],
}

/// Most keys of a payload, or of the message around it.
pub(super) const KEYS_MAX: usize = 8;

/// The message around each payload.
pub(super) const ENVELOPE: [Key; 5] = [
    text("connectionId"),
    uint("timestamp"),
    uint("type"),
    uint("payload"),
    uint("channelId"),
];

const QUESTION: [Key; 2] = [text("question"), key("echo", "echo", Kind::Bool)];
const ANSWER: [Key; 2] = [text("question"), text("answer")];

const fn key(key: &'static str, field: &'static str, kind: Kind) -> Key {
    Key { key, field, kind }
}

const fn text(name: &'static str) -> Key {
    key(name, name, Kind::Text)
}

const fn uint(name: &'static str) -> Key {
    key(name, name, Kind::Uint)
}

const fn bytes(name: &'static str) -> Key {
    key(name, name, Kind::Bytes)
}

const USER: Key = key("username", "user", Kind::Text);
const REASON: Key = key("reason", "error", Kind::Text);
const REQUEST: Key = uint("requestId");
const KEY: Key = text("key");
const PASSWORD: Key = bytes("password");
const BIND: &[Key] = &[text("BindHost"), uint("BindPort")];
const PATH: &[Key] = &[text("Path")];

const BY_PASSWORD: Says = Says::Method("password");
const BY_KEY: Says = Says::Method("publickey");
const BY_ANSWERS: Says = Says::Method("keyboard-interactive");
const YES: Says = Says::Success(true);
const NO: Says = Says::Success(false);

const fn row(
    number: u64,
    name: &'static str,
    title: &'static str,
    (family, event): (Family, &'static str),
    keys: &'static [Key],
    says: &'static [Says],
) -> Row {
    Row {
        number,
        name,
        title,
        family,
        event,
        keys,
        says,
    }
}

const AUTH: (Family, &str) = (Family::Auth, "auth");
const HANDSHAKE: (Family, &str) = (Family::Auth, "handshake");
const GLOBAL: (Family, &str) = (Family::Channel, "global_request");
/// Teleport's name for a forwarded port.
const PORT: (Family, &str) = (Family::Channel, "port");

const fn channel(event: &'static str) -> (Family, &'static str) {
    (Family::Channel, event)
}

/// Sorted by number.
#[rustfmt::skip] // one type, one or two lines
pub(super) const TABLE: [Row; 46] = [
    row(0, "connect", "Connect", (Family::Network, "connect"),
        &[key("remoteAddr", "addr.remote", Kind::Text), text("country")], &[]),
    row(1, "disconnect", "Disconnect", (Family::Network, "disconnect"), &[], &[]),
    row(100, "auth_password", "Password authentication", AUTH, &[USER, PASSWORD], &[BY_PASSWORD]),
    row(101, "auth_password_successful", "Password authentication successful", AUTH,
        &[USER, PASSWORD], &[BY_PASSWORD, YES]),
    row(102, "auth_password_failed", "Password authentication failed", AUTH,
        &[USER, PASSWORD], &[BY_PASSWORD, NO]),
    row(103, "auth_password_backend_error", "Password authentication backend error", AUTH,
        &[USER, PASSWORD, REASON], &[BY_PASSWORD, NO]),
    row(104, "auth_pubkey", "Public key authentication", AUTH, &[USER, KEY], &[BY_KEY]),
    row(105, "auth_pubkey_successful", "Public key authentication successful", AUTH,
        &[USER, KEY], &[BY_KEY, YES]),
    row(106, "auth_pubkey_failed", "Public key authentication failed", AUTH,
        &[USER, KEY], &[BY_KEY, NO]),
    row(107, "auth_pubkey_backend_error", "Public key authentication backend error", AUTH,
        &[USER, KEY, REASON], &[BY_KEY, NO]),
    row(108, "auth_keyboard_interactive_challenge", "Keyboard-interactive authentication challenge",
        AUTH, &[USER, text("instruction"), key("questions", "questions", Kind::List(&QUESTION))],
        &[BY_ANSWERS]),
    row(109, "auth_keyboard_interactive_answer", "Keyboard-interactive authentication answer",
        AUTH, &[USER, key("answers", "answers", Kind::List(&ANSWER))], &[BY_ANSWERS]),
    row(110, "auth_keyboard_interactive_failed", "Keyboard-interactive authentication failed",
        AUTH, &[key("Username", "user", Kind::Text)], &[BY_ANSWERS, NO]),
    row(111, "auth_keyboard_interactive_backend_error",
        "Keyboard-interactive authentication backend error", AUTH, &[USER, REASON],
        &[BY_ANSWERS, NO]),
    // Their decoder has no names for these two, and says so.
    row(198, "invalid", "invalid", HANDSHAKE, &[REASON], &[NO]),
    row(199, "invalid", "invalid", HANDSHAKE, &[USER], &[YES]),
    row(200, "global_request_unknown", "Unknown global request", GLOBAL,
        &[text("requestType")], &[]),
    row(201, "global_request_decode_failed", "Failed to decode global request", GLOBAL,
        &[REQUEST, text("requestType"), bytes("payload"), REASON], &[NO]),
    row(202, "forward_tcpip", "Request reverse port forwarding", PORT, BIND, &[]),
    row(203, "cancel_forward_tcpip", "Request to stop reverse port forwarding",
        channel("port.cancel"), BIND, &[]),
    row(204, "forward_streamlocal", "Request reverse socket forwarding",
        channel("forward_streamlocal"), PATH, &[]),
    row(205, "cancel_forward_streamlocal", "Request to stop reverse socket forwarding",
        channel("cancel_forward_streamlocal"), PATH, &[]),
    row(300, "new_channel", "New channel request", channel("new_channel"),
        &[text("channelType")], &[]),
    row(301, "new_channel_successful", "New channel successful", channel("new_channel"),
        &[text("channelType")], &[YES]),
    row(302, "new_channel_failed", "New channel failed", channel("new_channel"),
        &[text("channelType"), REASON], &[NO]),
    row(303, "new_channel_direct_tcpip", "New client-to-server port forwarding channel",
        channel("new_channel_direct_tcpip"),
        &[text("HostToConnect"), uint("PortToConnect"), text("OriginatorHost"),
          uint("OriginatorPort")], &[]),
    row(304, "new_channel_forwarded_tcpip", "New server-to-client port forwarding channel",
        channel("new_channel_forwarded_tcpip"),
        &[text("ConnectedHost"), uint("ConnectedPort"), text("OriginatorHost"),
          uint("OriginatorPort")], &[]),
    row(305, "new_channel_x11", "New server-to-client X11 forwarding channel",
        channel("new_channel_x11"), &[text("OriginatorHost"), uint("OriginatorPort")], &[]),
    row(306, "new_channel_direct_streamlocal", "New client-to-server unix socket forwarding channel",
        channel("new_channel_direct_streamlocal"), PATH, &[]),
    row(307, "new_channel_forwarded_streamlocal",
        "New server-to-client unix socket forwarding channel",
        channel("new_channel_forwarded_streamlocal"), PATH, &[]),
    row(400, "channel_request_unknown", "Unknown channel request", channel("channel_request"),
        &[REQUEST, text("requestType"), bytes("payload")], &[]),
    row(401, "channel_request_decode_failed", "Failed to decode channel request",
        channel("channel_request"),
        &[REQUEST, text("requestType"), bytes("payload"), REASON], &[NO]),
    row(402, "setenv", "Set environment variable", channel("env"),
        &[REQUEST, text("name"), text("value")], &[]),
    row(403, "exec", "Execute program", (Family::Command, "exec"),
        &[REQUEST, key("program", "command", Kind::Text)], &[]),
    row(404, "pty", "Request interactive terminal", channel("pty"),
        &[REQUEST, text("term"), uint("columns"), uint("rows"), uint("width"), uint("height"),
          bytes("modelist")], &[]),
    row(405, "shell", "Run shell", (Family::Command, "shell"), &[REQUEST], &[]),
    row(406, "signal", "Send signal to running process", channel("signal"),
        &[REQUEST, text("signal")], &[]),
    row(407, "subsystem", "Request subsystem", (Family::Command, "subsystem"),
        &[REQUEST, key("subsystem", "name", Kind::Text)], &[]),
    row(408, "window", "Change window size", channel("window"),
        &[REQUEST, uint("columns"), uint("rows"), uint("width"), uint("height")], &[]),
    row(409, "x11-req", "Request X11 forwarding", channel("x11-forward"),
        &[REQUEST, key("singleConnection", "singleConnection", Kind::Bool), text("authProtocol"),
          text("cookie"), uint("screen")], &[]),
    row(496, "close_write", "Close channel for writing", channel("close_write"), &[], &[]),
    row(497, "close", "Close channel", channel("close"), &[], &[]),
    row(498, "exit_signal", "Program exited with signal", (Family::Command, "exit_signal"),
        &[text("signal"), key("coreDumped", "coreDumped", Kind::Bool), text("errorMessage"),
          text("languageTag")], &[]),
    row(499, "exit", "Program exited", (Family::Command, "exit"), &[uint("exitStatus")], &[]),
    // Bytes of a stream are `data` events; this row is for what cannot be one.
    row(500, "io", "I/O", channel("io"), &[uint("stream"), bytes("data")], &[]),
    row(501, "request_failed", "Request failed", channel("request_failed"),
        &[REQUEST, REASON], &[NO]),
];

/// Numbers that the code has to know by name.
pub(super) mod number {
    pub(in super::super) const CONNECT: u64 = 0;
    pub(in super::super) const DISCONNECT: u64 = 1;
    pub(in super::super) const HANDSHAKE: u64 = 199;
    pub(in super::super) const GLOBAL_UNKNOWN: u64 = 200;
    pub(in super::super) const OPENED: u64 = 301;
    pub(in super::super) const ENV: u64 = 402;
    pub(in super::super) const EXEC: u64 = 403;
    pub(in super::super) const PTY: u64 = 404;
    pub(in super::super) const SHELL: u64 = 405;
    pub(in super::super) const SUBSYSTEM: u64 = 407;
    pub(in super::super) const WINDOW: u64 = 408;
    pub(in super::super) const CLOSE: u64 = 497;
    pub(in super::super) const EXIT_SIGNAL: u64 = 498;
    pub(in super::super) const EXIT: u64 = 499;
    pub(in super::super) const IO: u64 = 500;
}

/// The type of this number.
pub(super) fn find(number: u64) -> Option<&'static Row> {
    static ROWS: [Row; 46] = TABLE;
    let at = ROWS.binary_search_by_key(&number, |row| row.number).ok()?;
    ROWS.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_field_is_named_twice() {
        assert!(TABLE.windows(2).all(|two| two[0].number < two[1].number));
        for row in &TABLE {
            assert_eq!(find(row.number).unwrap().title, row.title);
            assert!(row.keys.len() <= KEYS_MAX);
            let mut fields: Vec<_> = row.keys.iter().map(|key| key.field).collect();
            fields.sort_unstable();
            fields.dedup();
            assert_eq!(fields.len(), row.keys.len(), "{}", row.name);
        }
        assert!(find(600).is_none());
    }
}
