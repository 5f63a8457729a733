//! Files that a call is about, as the kernel saw them before it did what it was asked: where its own
//! functions can be looked at, each such call hands over two records, and here they come together.

use std::collections::HashMap;

use super::record::{Kind, Record};

/// Threads that may be between the two records of a call, in one session. At the bound none is
/// remembered, and the paths of the calls that they are in are those that were asked for.
const THREADS_MAX: usize = 4096;

/// What calls under way are about.
#[derive(Default)]
pub(super) struct Resolving(HashMap<u32, Resolved>);

/// The files that one call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    nr: u32,
    args: [u64; 5],
    pub(super) path: Vec<u8>,
    /// Of calls with two.
    pub(super) new_path: Vec<u8>,
}

impl Resolving {
    /// A call is about to be done.
    pub(super) fn before(&mut self, record: &Record) {
        if self.0.len() >= THREADS_MAX {
            self.0.clear();
        }
        let resolved = Resolved {
            nr: record.nr,
            args: arguments(record),
            path: record.text(0),
            new_path: record.text(2),
        };
        self.0.insert(record.tid, resolved);
    }

    /// What this record's call was about, if that is known. What its thread was about before is
    /// forgotten: that call was another.
    pub(super) fn after(&mut self, record: &Record) -> Option<Resolved> {
        if self.0.is_empty() {
            return None;
        }
        let resolved = self.0.remove(&record.tid)?;
        let is_it = record.kind == Kind::Path
            && is_of(resolved.nr, record.nr)
            && resolved.args == arguments(record);
        is_it.then_some(resolved)
    }
}

/// Arguments that tell a call from the thread's others.
fn arguments(record: &Record) -> [u64; 5] {
    let [one, two, three, four, five, ..] = record.args;
    [one, two, three, four, five]
}

/// Whether the kernel does for this call what the programs of `ebpf/resolved.h` look at.
fn is_of(operation: u32, nr: u32) -> bool {
    match operation {
        76 => nr == 76,
        82 => matches!(nr, 82 | 264 | 316),
        83 => matches!(nr, 83 | 258),
        84 | 87 => matches!(nr, 84 | 87 | 263),
        86 => matches!(nr, 86 | 265),
        88 => matches!(nr, 88 | 266),
        90 => matches!(nr, 90 | 268 | 452),
        92 => matches!(nr, 92 | 94 | 260),
        133 => matches!(nr, 133 | 259),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{made, of};
    use super::*;

    const PATH: u32 = 5;
    const RESOLVED: u32 = 16;

    fn record(kind: u32, nr: u32, first: u64) -> Vec<u8> {
        let flags = if kind == RESOLVED { 16 } else { 0 };
        of(made(kind, flags, [b"x\0etc\0", b"", b"", b""]), (nr, first))
    }

    #[test]
    fn a_call_has_its_own_files_and_no_other_s() {
        let mut resolving = Resolving::default();
        let before = record(RESOLVED, 87, 7);
        resolving.before(&Record::parse(&before).unwrap());
        let call = record(PATH, 263, 7);
        let found = resolving.after(&Record::parse(&call).unwrap()).unwrap();
        assert_eq!(found.path, b"/etc/x");
        // Once, by its arguments, and for what it does.
        assert_eq!(resolving.after(&Record::parse(&call).unwrap()), None);
        for (nr, first) in [(263, 8), (82, 7)] {
            resolving.before(&Record::parse(&before).unwrap());
            let other = record(PATH, nr, first);
            assert_eq!(resolving.after(&Record::parse(&other).unwrap()), None);
            assert_eq!(resolving.after(&Record::parse(&call).unwrap()), None);
        }
    }
}
