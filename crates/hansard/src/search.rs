//! `hansard search`: where a text stood on the screen of a recording.

use crate::cli::SearchArgs;
use crate::failure::Failure;

/// Prints each finding: when, in which line, and the line.
pub(crate) fn run(args: &SearchArgs) -> Result<u8, Failure> {
    let _ = args;
    Err(Failure::new(2, "wait"))
}
