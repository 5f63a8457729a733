//! tlog: terminal sessions as messages of JSON, one to a line, as `tlog-rec` writes them to files,
//! syslog and the journal.
//!
//! A stream is kept exactly: valid UTF-8 as text, everything else as bytes beside it. Times are
//! milliseconds. The writer makes version 2.3 as `tlog-rec` makes it, byte for byte: its way of
//! joining what happens within a millisecond, its limit of a message, its flush after ten seconds.
//! The reader takes versions 1 to 2.x, several recordings in one file, and the journal's export.
//!
//! What tlog says that a recording has no place for travels in fields named `tlog.…` of the
//! session's target, and in `channel` events named `tlog`: a message that ended where the writer
//! would not end it by itself, so that a tlog that was imported can be exported again as it was.

mod chunk;
mod decode;
mod encode;
mod latency;
mod message;
mod recording;
mod scan;
mod side;
mod text;
mod timing;

#[cfg(test)]
mod tests;

pub use decode::TlogDecoder;
pub use encode::TlogEncoder;

/// Name of the `channel` event with a field `writer` ([`Writer`]).
const FOREIGN_EVENT: &str = "tlog";

/// What the writer of a tlog did before the next event, where ours would do something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// Ended a message, since what came next did not fit.
    Full,
    /// Ended a message, since it had waited long enough.
    Latency,
    /// Went on with a message that seems to have waited long enough.
    Later,
    /// Gave up an unfinished character of the input: what followed it came now, and is logged
    /// later.
    CutInput,
    /// The same of the output.
    CutOutput,
}

impl Writer {
    const ALL: [Self; 5] = [
        Self::Full,
        Self::Latency,
        Self::Later,
        Self::CutInput,
        Self::CutOutput,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Latency => "latency",
            Self::Later => "later",
            Self::CutInput => "cut-input",
            Self::CutOutput => "cut-output",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|writer| writer.as_str() == word)
    }
}

/// The field of the target that holds the recording's own name.
const REC: &str = "tlog.rec";

/// The field of the target that holds the audit session.
const SESSION: &str = "tlog.session";

/// The field of the target that holds the version of the format.
const VER: &str = "tlog.ver";

const NS_PER_MS: u64 = 1_000_000;

/// Whether a file that begins with these bytes (4096 of them, or all there are) holds tlog's
/// messages, bare or in an export of the journal.
#[must_use]
pub fn guess(beginning: &[u8]) -> bool {
    const KEYS: [&str; 8] = [
        "ver", "rec", "pos", "timing", "in_txt", "in_bin", "out_txt", "out_bin",
    ];
    let text = String::from_utf8_lossy(beginning);
    text.lines().any(|line| {
        let squeezed: String = line.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let wrapped = squeezed.contains("\"MESSAGE\":\"{");
        let found = KEYS.iter().filter(|key| match wrapped {
            true => squeezed.contains(&format!("\\\"{key}\\\":")),
            false => squeezed.contains(&format!("\"{key}\":")),
        });
        squeezed.starts_with('{') && found.count() >= 3
    })
}
