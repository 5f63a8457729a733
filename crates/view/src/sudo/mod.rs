//! I/O logs of sudo: a directory for each session. Read only.
//!
//! `timing` has a line for each thing that happened: a kind, the seconds since the line before,
//! and how many bytes of which stream, a new size, or a signal that suspended the session. The
//! bytes stand in `stdin`, `stdout`, `stderr`, `ttyin` and `ttyout`; each of these files and
//! `timing` are gzip or plain. Who ran what is in `log.json`, or in `log` from older versions.

mod decode;
mod file;
#[cfg(test)]
mod hostile;
mod log;
#[cfg(test)]
mod tests;

pub use decode::SudoDecoder;

use hansard_core::Stream;

/// Name of the file of times.
const TIMING: &str = "timing";
/// Name of the file that says who ran what.
const LOG_JSON: &str = "log.json";
/// Name of the same from before there was JSON; written still.
const LOG: &str = "log";

/// The files of bytes, by the number they have in the timing.
const STREAMS: [(&str, Stream); 5] = [
    ("stdin", Stream::Stdin),
    ("stdout", Stream::Stdout),
    ("stderr", Stream::Stderr),
    ("ttyin", Stream::Keystrokes),
    ("ttyout", Stream::Output),
];

/// Name of the `channel` events that hold what only sudo's timing says.
const FOREIGN_EVENT: &str = "sudo";

/// Whether a directory with files of these names is a session of sudo.
#[must_use]
pub fn guess_names(names: &[String]) -> bool {
    missing(names).is_empty()
}

/// Which files a session must have and this directory has not.
fn missing(names: &[String]) -> Vec<&'static str> {
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let mut missing = Vec::new();
    if !has(TIMING) {
        missing.push("timing");
    }
    if !has(LOG_JSON) && !has(LOG) {
        missing.push("log.json or log");
    }
    missing
}
