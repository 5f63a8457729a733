//! How a session ended, as the timing says it.

use super::head;
use crate::seconds;

/// Facts that stand at the end of the timing.
#[derive(Debug, Default)]
pub(super) struct Closing {
    pub(super) lasted: Option<u64>,
    /// Where it is no status that could be one, there is nothing inside.
    pub(super) exit: Option<Option<u8>>,
    /// How often something followed that made them none.
    pub(super) astray: u64,
}

impl Closing {
    /// Takes a fact, if it is one of these.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) -> bool {
        match name {
            b"DURATION" => self.lasted = seconds::parse(value),
            b"EXIT_CODE" => {
                self.exit = Some(std::str::from_utf8(value).ok().and_then(head::status));
            }
            _ => return false,
        }
        true
    }

    /// Something else follows.
    pub(super) fn reopen(&mut self) {
        if self.exit.take().is_some() | self.lasted.take().is_some() {
            self.astray += 1;
        }
    }
}
