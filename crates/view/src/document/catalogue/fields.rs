//! Groups of fields that several events have.

use super::Kind::{Bool, Int, Text, Texts, Time, Uint};
use super::{Field, h, t};

pub(super) const KUBE: &[Field] = &[
    t("kubernetes_cluster", Text, "name of the Kubernetes cluster"),
    t("kubernetes_users", Texts, "users there that were acted as"),
    t(
        "kubernetes_groups",
        Texts,
        "groups there that were acted as",
    ),
    t("kubernetes_pod_name", Text, "name of the pod"),
    t("kubernetes_pod_namespace", Text, "namespace of the pod"),
    t("kubernetes_container_name", Text, "name of the container"),
    t("kubernetes_container_image", Text, "image of the container"),
    t("kubernetes_node_name", Text, "node that the pod runs on"),
];

pub(super) const COMMAND: &[Field] = &[
    t("command", Text, "the command, as it was asked for"),
    t("exitCode", Text, "exit status, as text"),
    t("exitError", Text, "why it failed"),
];

pub(super) const SIZE: &[Field] = &[t("size", Text, "columns:rows of the terminal")];

/// What a header says, at the start of a session.
pub(super) const START: &[Field] = &[
    t(
        "initial_command",
        Texts,
        "what was started, with its own name first",
    ),
    t(
        "session_recording",
        Text,
        "where it was recorded, in an import",
    ),
    t("reason", Text, "why, in words"),
    t("invited", Texts, "who was invited"),
    h("command", Text, "the same as one line"),
    h("parent_sid", Text, "session that this one happened inside"),
    h("user_uid", Uint, "number of the user on the host"),
    h("cwd", Text, "working directory"),
    h("shell", Text, "the user's shell"),
    h("title", Text, "title that somebody gave"),
    h(
        "login_program",
        Text,
        "what let them in, of a login that no recorder holds",
    ),
    h(
        "audit_session_id",
        Uint,
        "the system's own number of the login",
    ),
    h("subsystem", Text, "subsystem that was asked for"),
    h("addr", Text, "where a forward leads"),
    h("client_version", Text, "what the SSH client says it is"),
    h(
        "legacy_tiocsti",
        Bool,
        "whether programs can type into their own terminal",
    ),
    h(
        "terminal_not_given",
        Text,
        "why the account does not own its terminal",
    ),
    h(
        "terminal_not_taken",
        Text,
        "why nobody else was kept from the login's own terminal",
    ),
    h(
        "break_glass",
        Text,
        "why it was recorded in the login's own process: no daemon was there",
    ),
    h("tty", Text, "terminal that it came from"),
    h("term", Text, "type of that terminal"),
    h("ssh_connection", Text, "what sshd said of the connection"),
    h("country", Text, "where the address is"),
    h("imported_from", Text, "format of the recording that it was"),
    h(
        "argv_truncated",
        Bool,
        "whether the recorder cut what was started",
    ),
    h(
        "clock",
        Text,
        "how good the host's clock was: `synchronised`, `unsynchronised`, `unknown`",
    ),
    h("kept", Texts, "what is kept, by policy"),
    h(
        "on_loss",
        Text,
        "what happens when recording fails: `end`, `hold`, `continue`",
    ),
    h("strict", Bool, "whether output waits until it is durable"),
    h(
        "policy_version",
        Uint,
        "version of the central policy that decided",
    ),
    h("policy_rule", Text, "name of its rule that decided"),
    h("recorder", Text, "program and version that records"),
    h(
        "recorder_key",
        Text,
        "Ed25519 public key that must have signed, in hexadecimal",
    ),
    h(
        "recorder_certificate",
        Text,
        "the authority's certificate of that key: X.509, DER in base64",
    ),
    h("pid", Uint, "process that handed its session over"),
    t("server_labels", Texts, "labels of the host, `name=value`"),
    h(
        "previous.session",
        Text,
        "recording of the day before, of a host or service",
    ),
    h(
        "previous.digest",
        Text,
        "digest of its last segment, in hexadecimal",
    ),
];

pub(super) const END: &[Field] = &[
    t("session_start", Time, "when the session began"),
    t("session_stop", Time, "when it ended"),
    t("interactive", Bool, "whether it had a terminal"),
    t(
        "enhanced_recording",
        Bool,
        "whether commands, files or connections were recorded besides the screen",
    ),
    t("participants", Texts, "who took part"),
    h(
        "reason",
        Text,
        "why it ended: `exited`, `signalled`, `hangup`, …",
    ),
    h("exit_status", Uint, "exit status of the program, 0 to 255"),
    h("signal", Text, "signal that ended it, without SIG"),
];

pub(super) const BYTES: &[Field] = &[
    t("rx", Uint, "received from the user and recorded").unit("bytes"),
    t("tx", Uint, "sent to the user and recorded").unit("bytes"),
];

pub(super) const KERNEL: &[Field] = &[
    t("pid", Uint, "process"),
    t("ppid", Uint, "its parent"),
    t("cgroup_id", Uint, "its control group"),
    t("audit_session_id", Uint, "its audit session"),
    t("program", Text, "its name"),
    t("path", Text, "path of the file"),
    t(
        "return_code",
        Int,
        "what the system call answered; not an exit status",
    ),
    h("process_uid", Uint, "user that it runs as"),
    h(
        "process_euid",
        Uint,
        "user whose rights it has, where another",
    ),
    h("login_uid", Uint, "user who logged in, by the audit system"),
    h(
        "forked_by",
        Uint,
        "process that made it, where that is not its parent any more",
    ),
    h("thread", Uint, "thread of it, where not the first"),
    h("abi", Text, "`i386` for calls of 32-bit programs"),
    h(
        "by",
        Text,
        "`io_uring` where it was asked for through a ring, which may answer late or never",
    ),
    h("cut", Bool, "whether a text is longer than what is here"),
    h("unreadable", Bool, "whether a text could not be read"),
    h(
        "unlinked",
        Bool,
        "whether the file has no name in any directory",
    ),
    h(
        "recording",
        Text,
        "session that left it running, and had ended before",
    ),
    h(
        "delayed_ms",
        Uint,
        "how much earlier it happened, where it waited for a daemon: milliseconds",
    ),
];

/// What the kernel tells of calls that are repeated, and of which call it was.
pub(super) const CALLED: &[Field] = &[
    h("call", Text, "system call, or operation of io_uring"),
    h(
        "repeats",
        Uint,
        "how many of the same this one stands for, the first aside",
    ),
];

pub(super) const APP: &[Field] = &[
    t("app_name", Text, "name of the application"),
    t("app_uri", Text, "where it is"),
    t("app_public_addr", Text, "where users reach it"),
    t("public_addr", Text, "where users reach it"),
];

pub(super) const DATABASE: &[Field] = &[
    t("db_service", Text, "name of the database service"),
    t("db_protocol", Text, "protocol of the database"),
    t("db_uri", Text, "where it is"),
    t("db_name", Text, "name of the database"),
    t("db_user", Text, "user there"),
];

pub(super) const DESKTOP: &[Field] = &[
    t("desktop_name", Text, "name of the desktop"),
    t("desktop_addr", Text, "address of the desktop"),
    t("windows_domain", Text, "domain"),
    t("windows_user", Text, "user there"),
    t("windows_desktop_service", Text, "service that connected"),
];

pub(super) const TRANSFER: &[Field] = &[
    t("path", Text, "path on the host"),
    t("target_path", Text, "path of the other name"),
    t("working_directory", Text, "directory that paths start from"),
    t("flags", Int, "how it was opened"),
    t(
        "action",
        Text,
        "what was done; for sftp as Teleport numbers it",
    ),
    t("len", Int, "length of the file").unit("bytes"),
    h("sha256", Text, "SHA-256 of the file, in hexadecimal"),
    h("rx", Uint, "written to it").unit("bytes"),
    h("tx", Uint, "read from it").unit("bytes"),
];

pub(super) const NAMED: &[Field] = &[
    t("name", Text, "what it is about"),
    t("expires", Time, "until when it holds"),
    t("roles", Texts, "roles that it gives or is for"),
    t("reason", Text, "why"),
];

/// Of several that are not told of one by one.
pub(super) const TIMES: Field = h(
    "times",
    Uint,
    "how often, of what is not told of one by one: it came too fast",
);

/// Who began what is forwarded.
pub(super) const ORIGIN: &[Field] = &[
    h("OriginatorHost", Text, "from this host"),
    h("OriginatorPort", Uint, "from this port"),
];
