//! Typescripts of script(1): the bytes of a terminal, and beside them a file of timing.
//!
//! The bytes stand in a file that begins with a line `Script started on …` and ends with a line
//! `Script done on …`. The timing is of one of two kinds: classic, `seconds bytes` on each line,
//! output only; or advanced, where a letter comes first: `O` output, `I` input, `S` a signal (a
//! new size among them), `H` a named fact. What was typed stands in a file of its own (script's
//! `-I`), or among the output (`-B`).
//!
//! What a typescript says that a recording has no place for travels in fields of the session
//! named `typescript.…` and in `channel` events named `typescript`, so that a typescript that was
//! imported can be exported again.

mod closing;
mod date;
mod decode;
mod encode;
mod fact;
mod head;
#[cfg(test)]
mod hostile;
mod log;
mod missing;
mod session;
#[cfg(test)]
mod tests;
mod timing;

pub use decode::TypescriptDecoder;
pub use encode::TypescriptEncoder;

/// Name of the `channel` events that hold what only a typescript says.
const FOREIGN_EVENT: &str = "typescript";
/// Field of such an event: an entry of the timing, without its time: `S SIGTERM`.
const ENTRY: &str = "entry";
/// Field of such an event: a whole line of timing of an unknown kind.
const LINE: &str = "line";
/// Field of such an event: the last line of the typescript.
const FOOTER: &str = "footer";
/// Field of the session: the first line of the typescript.
const HEADER_FIELD: &str = "typescript.header";

/// Facts at the beginning of advanced timing, in script's order, and where a session has them.
/// `COLUMNS` and `LINES` become the first size.
const HEADERS: [(&str, Place); 10] = [
    ("START_TIME", Place::Target("typescript.start_time")),
    ("TERM", Place::Origin("term")),
    ("TTY", Place::Origin("tty")),
    ("COLUMNS", Place::Size),
    ("LINES", Place::Size),
    ("SHELL", Place::Target("shell")),
    ("COMMAND", Place::Target("command")),
    ("TIMING_LOG", Place::Target("typescript.timing_log")),
    ("OUTPUT_LOG", Place::Target("typescript.output_log")),
    ("INPUT_LOG", Place::Target("typescript.input_log")),
];

/// Where a fact of the header goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Origin(&'static str),
    Target(&'static str),
    Size,
}

/// Whether a file that begins with these bytes is a typescript.
#[must_use]
pub fn guess(beginning: &[u8]) -> bool {
    let line = beginning.split(|b| *b == b'\n').next().unwrap_or_default();
    line.starts_with(head::STARTED) || (line.len() < beginning.len() && head::is_header(line))
}
