//! Programs that a test puts somewhere to run them there.
//!
//! Each is written by a process of its own. A file that this one has open to write is open as well in a
//! child that another test is just starting, and until that child runs its program, whoever runs the
//! file is told that it is busy (ETXTBSY).

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Copies a program, with its mode.
///
/// # Panics
/// If it cannot be copied.
pub fn copy_program(from: &Path, to: &Path) {
    let done = Command::new("cp").args([from, to]).status().unwrap();
    assert!(done.success(), "cp {from:?} {to:?}: {done}");
}

/// Writes a script that everybody may run.
///
/// # Panics
/// If it cannot be written.
pub fn write_program(to: &Path, text: &str) {
    let script = "cat >\"$1\" && chmod 755 \"$1\"";
    let mut writer = Command::new("sh");
    let writer = writer.args(["-c", script, "sh"]).arg(to);
    let mut writer = writer.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let done = writer.wait().unwrap();
    assert!(done.success(), "{to:?}: {done}");
}
