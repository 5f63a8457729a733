//! What the arguments of a call say, where numbers alone would say nothing.

use hansard_core::fields::{Fields, Value};

use super::record::Record;

/// Names of namespaces by the flag of `clone`, `unshare` and `setns`.
const NAMESPACES: [(u64, &str); 7] = [
    (0x0002_0000, "mount"),
    (0x0200_0000, "cgroup"),
    (0x0400_0000, "uts"),
    (0x0800_0000, "ipc"),
    (0x1000_0000, "user"),
    (0x2000_0000, "pid"),
    (0x4000_0000, "network"),
];

/// Requests of `ptrace` that are told by name.
const PTRACE: [(u64, &str); 8] = [
    (0, "traceme"),
    (4, "poketext"),
    (5, "pokedata"),
    (6, "pokeuser"),
    (13, "setregs"),
    (16, "attach"),
    (17, "detach"),
    (0x4206, "seize"),
];

/// Commands of `bpf` that are told by name.
const BPF: [(u64, &str); 4] = [
    (0, "map_create"),
    (5, "prog_load"),
    (8, "prog_attach"),
    (28, "link_create"),
];

/// Adds what the arguments of this call say.
pub(super) fn say(record: &Record, fields: &mut Fields) {
    let [first, second, third, ..] = record.args;
    let named = |table: &[(u64, &str)], number: u64| {
        let known = table.iter().find(|(value, _)| *value == number);
        known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
    };
    match record.nr {
        // Who it becomes; -1 leaves one as it is, which is said as it was asked for.
        105 | 106 | 122 | 123 => numbers(fields, &[first]),
        113 | 114 => numbers(fields, &[first, second]),
        117 | 119 => numbers(fields, &[first, second, third]),
        62 | 129 | 200 | 234 | 297 | 424 => {
            fields.push("target_pid", first & 0xffff_ffff);
            let signal = match record.nr {
                234 | 297 => third,
                _ => second,
            };
            fields.push("signal_number", signal & 0xff);
        }
        101 => {
            fields.push("request", named(&PTRACE, first));
            fields.push("target_pid", second & 0xffff_ffff);
        }
        310 | 311 | 434 => fields.push("target_pid", first & 0xffff_ffff),
        56 | 272 => fields.push("namespaces", namespaces(first)),
        308 => fields.push("namespaces", namespaces(second)),
        321 => fields.push("request", named(&BPF, first)),
        425 => fields.push("entries", first & 0xffff_ffff),
        _ => {}
    }
    texts(record, fields);
}

/// Sources, targets and names.
fn texts(record: &Record, fields: &mut Fields) {
    let text = |at: usize| record.text(at);
    let (one, two) = (text(0), text(1));
    let mut put = |name: &str, text: &[u8]| {
        if !text.is_empty() {
            fields.push(name, Value::from_os_bytes(text));
        }
    };
    let below = |path: &[u8]| {
        let mut whole = text(3);
        if path.starts_with(b"/") || path.is_empty() || whole.is_empty() {
            return path.to_vec();
        }
        whole.push(b'/');
        whole.extend_from_slice(path);
        whole
    };
    match record.nr {
        165 => {
            put("source", &one);
            put("path", &below(&two));
        }
        155 | 429 => {
            put("source", &below(&one));
            put("path", &below(&two));
        }
        161 | 163 | 166 | 167 | 168 | 428 | 442 | 467 => put("path", &below(&one)),
        _ => put("name", &one),
    }
}

fn numbers(fields: &mut Fields, numbers: &[u64]) {
    let list = numbers.iter().map(|number| {
        // Numbers of users and groups have 32 bits, and -1 means none.
        let number = number & 0xffff_ffff;
        Value::Text(match number {
            0xffff_ffff => "-1".to_owned(),
            number => number.to_string(),
        })
    });
    fields.push("args", Value::List(list.collect()));
}

fn namespaces(flags: u64) -> Value {
    let named = NAMESPACES.iter().filter(|(flag, _)| flags & flag != 0);
    Value::List(named.map(|(_, name)| Value::from(*name)).collect())
}
