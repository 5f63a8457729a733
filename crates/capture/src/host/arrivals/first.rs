//! What a login begins with, and whether that hands its session over by itself.

use crate::host::record::Record;

/// Shells that hand their session over themselves.
const RECORDERS: [&str; 2] = ["hansard-shell", "tlog-rec-session"];

/// What several names of a recorder lead to.
const RECORDER: &str = "hansard";

/// What a login begins with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct First {
    pub(crate) path: String,
    pub(crate) argv: Vec<String>,
}

/// Whether the program that runs hands its session over by itself.
pub(super) fn is_recorder(record: &Record) -> bool {
    let name = |text: usize| {
        let path = record.text(text);
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    let is_one = |name: &str| RECORDERS.contains(&name);
    is_one(&name(0)) || name(0) == RECORDER && is_one(&name(1))
}

impl First {
    pub(super) fn of(record: &Record) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let [.., length, count] = record.args;
        let count = usize::try_from(count).unwrap_or(0);
        let all = record.bytes(3);
        let is_cut = usize::try_from(length).is_ok_and(|length| length > all.len());
        let words = all.split(|byte| *byte == 0).take(count);
        let argv = if is_cut {
            Vec::new()
        } else {
            words.map(text).collect()
        };
        Self {
            path: text(&record.text(0)),
            argv,
        }
    }
}
