//! Numbers and names of the events that occur in recordings, as Teleport's published API
//! definitions give them: what stands under which number, and what it is called in flat JSON.

/// What a field holds, and how it becomes a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bytes,
    Uint,
    Int,
    Bool,
    /// Seconds and nanoseconds; RFC 3339 in JSON.
    Time,
    /// Several texts.
    Texts,
    /// Texts under names: an object in JSON.
    Map,
    /// A message whose fields stand among those of its event in JSON.
    Flat(&'static [Spec]),
    /// A message that is an object in JSON.
    Object(&'static [Spec]),
    /// Several messages: a list of objects.
    Objects(&'static [Spec]),
    /// A message that only wraps a number, so that it can be absent.
    Wrapped,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spec {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether JSON has it even when it is empty, false or zero.
    pub(super) always: bool,
}

pub(super) const fn f(number: u32, name: &'static str, kind: Kind) -> Spec {
    let always = false;
    Spec {
        number,
        name,
        kind,
        always,
    }
}

/// A field that JSON always has.
pub(super) const fn a(number: u32, name: &'static str, kind: Kind) -> Spec {
    let always = true;
    Spec {
        number,
        name,
        kind,
        always,
    }
}

pub(super) const fn flat(number: u32, specs: &'static [Spec]) -> Spec {
    f(number, "", Kind::Flat(specs))
}

use Kind::{Bool, Int, Map, Text, Texts, Time, Uint, Wrapped};

/// What every event says, under number 1.
pub(super) const EVENT: &[Spec] = &[
    a(1, "ei", Int),
    a(2, "event", Text),
    f(3, "uid", Text),
    f(4, "code", Text),
    f(5, "time", Time),
    f(6, "cluster_name", Text),
];

pub(super) const SESSION: &[Spec] = &[
    a(1, "sid", Text),
    f(2, "with_mfa", Text),
    f(3, "private_key_policy", Text),
];

pub(super) const USER: &[Spec] = &[
    f(1, "user", Text),
    f(2, "login", Text),
    f(3, "impersonator", Text),
    f(4, "aws_role_arn", Text),
    f(5, "access_requests", Texts),
    f(6, "azure_identity", Text),
    f(7, "gcp_service_account", Text),
    f(9, "required_private_key_policy", Text),
    f(10, "user_kind", Int),
    f(11, "bot_name", Text),
    f(12, "bot_instance_id", Text),
    f(13, "user_origin", Int),
    f(14, "user_roles", Texts),
    f(16, "user_cluster_name", Text),
    f(18, "beam_id", Text),
    f(19, "bot_scope_of_origin", Text),
];

pub(super) const SERVER: &[Spec] = &[
    f(1, "namespace", Text),
    a(2, "server_id", Text),
    f(3, "server_hostname", Text),
    f(4, "server_addr", Text),
    f(5, "server_labels", Map),
    f(6, "forwarded_by", Text),
    f(7, "server_sub_kind", Text),
    f(8, "server_version", Text),
];

pub(super) const CONNECTION: &[Spec] = &[
    f(1, "addr.local", Text),
    f(2, "addr.remote", Text),
    f(3, "proto", Text),
];

pub(super) const CLUSTER: &[Spec] = &[
    f(1, "kubernetes_cluster", Text),
    f(2, "kubernetes_users", Texts),
    f(3, "kubernetes_groups", Texts),
    f(4, "kubernetes_labels", Map),
];

pub(super) const POD: &[Spec] = &[
    f(1, "kubernetes_pod_name", Text),
    f(2, "kubernetes_pod_namespace", Text),
    f(3, "kubernetes_container_name", Text),
    f(4, "kubernetes_container_image", Text),
    f(5, "kubernetes_node_name", Text),
];

pub(super) const STATUS: &[Spec] = &[
    a(1, "success", Bool),
    f(2, "error", Text),
    f(3, "message", Text),
];

pub(super) const COMMAND: &[Spec] = &[
    a(1, "command", Text),
    f(2, "exitCode", Text),
    f(3, "exitError", Text),
];

pub(super) const KERNEL: &[Spec] = &[
    a(1, "pid", Uint),
    a(2, "cgroup_id", Uint),
    a(3, "program", Text),
    f(4, "audit_session_id", Uint),
];

pub(super) const APP: &[Spec] = &[
    f(1, "app_uri", Text),
    f(2, "app_public_addr", Text),
    f(3, "app_labels", Map),
    f(4, "app_name", Text),
    f(5, "app_target_port", Uint),
    f(6, "sub_kind", Text),
];

pub(super) const AWS: &[Spec] = &[
    f(1, "aws_region", Text),
    f(2, "aws_service", Text),
    f(3, "aws_host", Text),
    f(4, "aws_assumed_role", Text),
];

pub(super) const DATABASE: &[Spec] = &[
    f(1, "db_service", Text),
    a(2, "db_protocol", Text),
    a(3, "db_uri", Text),
    f(4, "db_name", Text),
    f(5, "db_user", Text),
    f(6, "db_labels", Map),
    f(7, "db_aws_region", Text),
    f(8, "db_aws_redshift_cluster_id", Text),
    f(9, "db_gcp_project_id", Text),
    f(10, "db_gcp_instance_id", Text),
    f(11, "db_roles", Texts),
    f(12, "db_type", Text),
    f(13, "db_origin", Text),
];

pub(super) const ATTRIBUTES: &[Spec] = &[
    f(1, "file_size", Wrapped),
    f(2, "uid", Wrapped),
    f(3, "gid", Wrapped),
    f(4, "permissions", Wrapped),
    f(5, "access_time", Time),
    f(6, "modification_time", Time),
];

pub(super) const TRANSFERRED: &[Spec] = &[
    a(1, "path", Text),
    a(2, "bytes_read", Uint),
    a(3, "bytes_written", Uint),
];

pub(super) const HEADER: &[Spec] = &[a(1, "name", Text), a(2, "value", Text)];

/// Fields that hold bytes: base64 in JSON.
pub(super) const BYTES: [&str; 4] = ["message", "tdpb_message", "data", super::RAW];
