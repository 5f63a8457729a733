//! Events of a recording, from records of the kernel; under Teleport's names where it has them.

use std::os::unix::ffi::OsStrExt as _;

use hansard_core::event::{Body, Fact};
use hansard_core::fields::{Fields, Value};
use hansard_core::limits::FIELDS_MAX;

use super::Switches;
use super::address::{Address, Ends};
use super::arguments;
use super::calls;
use super::kernel::Support;
use super::left_out::LeftOut;
use super::record::{Kind, Record, flag};
use super::resolved::Resolved;

/// Kinds of sockets.
const SOCK_STREAM: u64 = 1;
const SOCK_DGRAM: u64 = 2;

/// The kernel's own codes of a call that is begun again behind the program's back, and what the
/// program would be told: `EINTR`.
const RESTARTED: std::ops::RangeInclusive<i64> = -516..=-512;
const EINTR: i64 = 4;

/// How late something is told at least for that to be said, nanoseconds: repeats wait for a second.
const DELAYED_NS_MIN: u64 = 2_000_000_000;

/// The event that a record is; of a call with paths, with the files that it was about where the kernel
/// said so.
pub(super) fn body(record: &Record, resolved: Option<&Resolved>) -> Body {
    match record.kind {
        Kind::Exec | Kind::ExecFailed => Body::Command(fact("session.command", command(record))),
        Kind::Exit => Body::Process(fact("session.process_exit", exit(record))),
        Kind::Open | Kind::Path | Kind::Descriptor => {
            Body::File(fact("session.disk", disk(record, resolved)))
        }
        Kind::Connect | Kind::Accept | Kind::Send => {
            Body::Network(fact("session.network", network(record)))
        }
        // The last three are never told by themselves.
        Kind::Call | Kind::Ring | Kind::Namespace | Kind::Answer | Kind::Resolved | Kind::Login => {
            Body::Process(fact("session.call", call(record)))
        }
    }
}

fn fact(event: &str, fields: Fields) -> Fact {
    let event = event.to_owned();
    Fact { event, fields }
}

/// Who it was.
fn who(record: &Record) -> Fields {
    let mut fields = Fields::new()
        .with("pid", u64::from(record.pid))
        .with("ppid", u64::from(record.parent))
        .with("program", Value::from_os_bytes(record.comm))
        .with("process_uid", u64::from(record.uid))
        .with("cgroup_id", record.cgroup);
    // What most events have in common is not said.
    if record.forked_by != 0 && record.forked_by != record.parent {
        fields.push("forked_by", u64::from(record.forked_by));
    }
    if record.tid != record.pid {
        fields.push("thread", u64::from(record.tid));
    }
    if record.euid != record.uid {
        fields.push("process_euid", u64::from(record.euid));
    }
    if record.audit_session != u32::MAX {
        fields.push("audit_session_id", u64::from(record.audit_session));
    }
    if record.login_uid != u32::MAX {
        fields.push("login_uid", u64::from(record.login_uid));
    }
    fields
}

/// How it was done, where that is not plain, and what is not known of it.
fn how(record: &Record, fields: &mut Fields) {
    if record.has(flag::COMPAT) {
        fields.push("abi", "i386");
    }
    if record.has(flag::URING) {
        fields.push("by", "io_uring");
    }
    if record.has(flag::UNLINKED) {
        fields.push("unlinked", true);
    }
    if record.has(flag::CUT) {
        fields.push("cut", true);
    }
    if record.has(flag::UNREADABLE) {
        fields.push("unreadable", true);
    }
}

/// What the call answered. What io_uring answers comes later, if it does.
fn answered(record: &Record, fields: &mut Fields) {
    if record.has(flag::URING) {
        return;
    }
    let code = match RESTARTED.contains(&record.ret) {
        true => -EINTR,
        false => record.ret,
    };
    fields.push("return_code", Value::Int(code));
}

fn text(fields: &mut Fields, name: &str, bytes: &[u8]) {
    fields.push(name, Value::from_os_bytes(bytes));
}

fn command(record: &Record) -> Fields {
    let mut fields = who(record);
    let is_run = record.kind == Kind::Exec;
    let list = match is_run {
        true => {
            let (path, asked) = (record.text(0), record.text(1));
            text(&mut fields, "path", &path);
            if asked != path {
                text(&mut fields, "requested_path", &asked);
            }
            text(&mut fields, "cwd", &record.text(2));
            record.bytes(3)
        }
        false => {
            text(&mut fields, "path", &record.path(0));
            record.bytes(2)
        }
    };
    let [.., bytes, count] = record.args;
    let mut words = words(list);
    let own = words.next();
    // An event has so many elements in a list; empty arguments take the kernel's room for a byte each.
    let argv = words.by_ref().take(FIELDS_MAX).map(Value::from_os_bytes);
    let argv: Vec<Value> = argv.collect();
    let more = words.count() as u64;
    let asked = record.text(usize::from(is_run));
    let is_its_name = |own: &&[u8]| asked.rsplit(|b| *b == b'/').next() == Some(*own);
    if let Some(own) = own.filter(|own| *own != asked.as_slice() && !is_its_name(own)) {
        text(&mut fields, "argv0", own);
    }
    fields.push("argv", Value::List(argv));
    let is_cut = record.has(flag::CUT);
    if more > 0 && !is_cut {
        fields.push("argc", FIELDS_MAX as u64 + 1 + more);
    }
    if is_cut {
        fields.push("argc", count);
        if is_run {
            fields.push("argv_bytes", bytes);
        }
    }
    fields.push("return_code", Value::Int(record.ret));
    if is_run {
        fields.push("mount_ns", u64::from(record.mount_ns));
    }
    how(record, &mut fields);
    fields
}

/// Strings, each with a zero behind it; the last may be cut.
fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = list.strip_suffix(b"\0").unwrap_or(list);
    let is_none = list.is_empty();
    whole.split(|b| *b == 0).filter(move |_| !is_none)
}

fn exit(record: &Record) -> Fields {
    let mut fields = who(record);
    // As wait(2) says it: the status in the second byte, the signal in the first, and 128 for a
    // dump of memory.
    let code = record.ret.cast_unsigned();
    match code & 0x7f {
        0 => fields.push("exit_status", code >> 8 & 0xff),
        signal => {
            fields.push("exit_status", 128 + signal);
            fields.push("signal_number", signal);
        }
    }
    fields
}

/// What io_uring answered to what was asked for.
pub(super) fn answer(body: &mut Body, code: i64) {
    if let Body::File(fact) | Body::Network(fact) | Body::Process(fact) = body {
        fact.fields.push("return_code", Value::Int(code));
    }
    if let Body::Network(fact) = body {
        let fields = fact.fields.iter().map(|(name, value)| match name {
            "action" => (name, Value::from(action(code))),
            _ => (name, value.clone()),
        });
        let fields = fields.fold(Fields::new(), |all, (name, value)| all.with(name, value));
        fact.fields = fields;
    }
}

/// How much later than it happened this is told, where that is more than repeats wait for.
pub(super) fn delayed(body: &mut Body, late_ns: u64) {
    if late_ns >= DELAYED_NS_MIN
        && let Body::Command(fact) | Body::File(fact) | Body::Network(fact) | Body::Process(fact) =
            body
    {
        fact.fields
            .push("delayed_ms", Value::Uint(late_ns / 1_000_000));
    }
}

/// What is told of a session, first thing in it; at its end with how much was left out.
pub(super) fn watched(support: &Support, switches: Switches, left_out: &LeftOut) -> Body {
    let kinds = [
        ("command", switches.command),
        ("disk", switches.disk),
        ("network", switches.network),
    ];
    let told = kinds.iter().filter(|(_, is_told)| *is_told);
    let told: Vec<Value> = told.map(|(name, _)| Value::from(*name)).collect();
    let mut fields = Fields::new()
        .with("backend", support.backend)
        .with("told", Value::List(told));
    for (name, paths) in [
        ("not_told_paths", &left_out.paths),
        ("not_told_programs", &left_out.programs),
    ] {
        if !paths.is_empty() {
            let paths = paths.iter().map(|path| path.as_os_str().as_bytes());
            let paths: Vec<Value> = paths.map(Value::from_os_bytes).collect();
            fields.push(name, Value::List(paths));
        }
    }
    Body::Process(fact("session.watched", fields))
}

/// How much of it was not told because nobody wanted to know.
pub(super) fn left_out(count: u64) -> Body {
    let fields = Fields::new().with("not_told", count);
    Body::Process(fact("session.watched", fields))
}

fn disk(record: &Record, resolved: Option<&Resolved>) -> Fields {
    let mut fields = who(record);
    let [_, second, third, _, fifth, _, flags, mode] = record.args;
    let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    fields.push("call", calls::name(record.nr));
    let (path, link) = match record.nr {
        // The first is what the link says.
        88 | 266 => (record.path(2), Some(record.text(0))),
        _ => (record.path(0), None),
    };
    match resolved {
        Some(resolved) => {
            text(&mut fields, "path", &resolved.path);
            if resolved.path != path {
                text(&mut fields, "requested_path", &path);
            }
        }
        None => text(&mut fields, "path", &path),
    }
    if let Some(link) = link {
        text(&mut fields, "link_target", &link);
    }
    match record.nr {
        2 | 85 | 257 | 437 | 304 => {
            fields.push("flags", int(flags));
            // O_CREAT, O_TMPFILE.
            if flags & (0o100 | 0o20_000_000) != 0 {
                fields.push("mode", mode & 0o7777);
            }
        }
        82 | 86 | 264 | 265 | 316 => match resolved {
            Some(resolved) => text(&mut fields, "new_path", &resolved.new_path),
            None => text(&mut fields, "new_path", &record.path(2)),
        },
        83 | 90 | 91 | 133 => fields.push("mode", second & 0o7777),
        258 | 259 | 268 | 452 => fields.push("mode", third & 0o7777),
        92..=94 => owner(&mut fields, second, third),
        260 => {
            let [.., fourth, _, _, _, _] = record.args;
            owner(&mut fields, third, fourth);
        }
        263 => fields.push("flags", int(third & 0xffff_ffff)),
        76 | 77 => fields.push("length", int(second)),
        _ => {}
    }
    if record.nr == 316 && fifth != 0 {
        fields.push("flags", int(fifth & 0xffff_ffff));
    }
    answered(record, &mut fields);
    how(record, &mut fields);
    fields
}

/// Who is to have a file; -1 leaves that as it is.
fn owner(fields: &mut Fields, user: u64, group: u64) {
    for (name, number) in [("new_owner", user), ("new_group", group)] {
        let number = number & 0xffff_ffff;
        if number != 0xffff_ffff {
            fields.push(name, number);
        }
    }
}

fn network(record: &Record) -> Fields {
    let mut fields = who(record);
    fields.push("call", calls::name(record.nr));
    let [kind, _, family, ports, ..] = record.args;
    let named = Address::parse(record.bytes(0));
    let ends = Ends::parse(record.bytes(1), ports);
    // Only where the socket itself could be asked do these numbers mean its kind.
    let is_known = !record.has(flag::URING) && (ends.is_some() || family == 1);
    let is_local = matches!(record.nr, 49 | 50);
    match (&named, ends) {
        (Some(Address::Unix(path)), _) => {
            fields.push("protocol", "unix");
            text(&mut fields, "socket_path", path);
        }
        (Some(Address::Other(family)), _) => fields.push("protocol", format!("family {family}")),
        (Some(Address::Ip(address, port)), _) if is_local => {
            internet(&mut fields, Some((*address, *port)), None);
        }
        (Some(Address::Ip(address, port)), ends) => {
            let local = ends.map(|ends| ends.local).filter(|(_, port)| *port != 0);
            internet(&mut fields, local, Some((*address, *port)));
        }
        (None, Some(ends)) if is_local => internet(&mut fields, Some(ends.local), None),
        (None, Some(ends)) => internet(&mut fields, Some(ends.local), Some(ends.remote)),
        (None, None) if family == 1 => fields.push("protocol", "unix"),
        (None, None) => {}
    }
    if is_known && ends.is_some() {
        match kind {
            SOCK_STREAM => fields.push("protocol", "tcp"),
            SOCK_DGRAM => fields.push("protocol", "udp"),
            other => fields.push("protocol", format!("type {other}")),
        }
    }
    match record.kind {
        Kind::Connect if record.nr == 42 => fields.push("operation", 0),
        Kind::Send => fields.push("operation", 1),
        _ => {}
    }
    fields.push("action", action(record.ret));
    answered(record, &mut fields);
    how(record, &mut fields);
    fields
}

/// Whether it was allowed. A connection that is being made (EINPROGRESS) was not denied.
fn action(answered: i64) -> &'static str {
    match answered < 0 && answered != -115 {
        true => "1",
        false => "0",
    }
}

type End = (std::net::IpAddr, u16);

fn internet(fields: &mut Fields, local: Option<End>, remote: Option<End>) {
    if let Some((address, port)) = local {
        fields.push("src_addr", address.to_string());
        fields.push("src_port", u64::from(port));
    }
    if let Some((address, port)) = remote {
        fields.push("dst_addr", address.to_string());
        fields.push("dst_port", u64::from(port));
    }
    if let Some((address, _)) = remote.or(local) {
        fields.push("version", if address.is_ipv4() { 4 } else { 6 });
    }
}

fn call(record: &Record) -> Fields {
    let mut fields = who(record);
    match record.kind {
        Kind::Ring => fields.push("call", calls::ring_operation(record.nr)),
        _ => {
            fields.push("call", calls::name(record.nr));
            arguments::say(record, &mut fields);
        }
    }
    answered(record, &mut fields);
    how(record, &mut fields);
    fields
}
