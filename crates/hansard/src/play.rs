//! Being built.
use crate::cli::PlayArgs;
use crate::failure::Failure;
pub(crate) fn run(_: &PlayArgs) -> Result<u8, Failure> {
    Err(Failure::new(2, "wait"))
}
