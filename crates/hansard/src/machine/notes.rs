//! What was changed, to be taken back: `/etc/hansard/shells`.
//!
//! Lines like those of the user database: `anna:/bin/zsh`, an account's shell before; and `+PATH`,
//! a line that was added to `/etc/shells`.

use std::collections::{BTreeMap, BTreeSet};

use super::root::Root;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};

/// Where the notes are; anybody may read them.
const PATH: &str = "/etc/hansard/shells";
const DIRECTORY: &str = "/etc/hansard";
const MODE: u32 = 0o644;

const HEAD: &str = "# Written by `hansard host enable`: shells of accounts before their logins were recorded,\n\
                    # and lines that were added to /etc/shells. `hansard host disable` reads it.\n";

/// The notes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Shells by account.
    pub(super) before: BTreeMap<String, String>,
    /// Lines of `/etc/shells` that are ours.
    pub(super) added: BTreeSet<String>,
}

impl Notes {
    pub(super) fn read(root: &Root) -> Result<Self, Failure> {
        let text = root.read(PATH)?.unwrap_or_default();
        Self::parse(&text).map_err(|line| {
            let message = format!("{}: line {line} is not understood", shown(&root.at(PATH)));
            Failure::new(STATUS_WRONG_USE, message)
                .hint("put it right; without it nobody knows which shell an account had")
        })
    }

    /// Durable when it returns.
    pub(super) fn write(&self, root: &Root) -> Result<(), Failure> {
        if self.before.is_empty() && self.added.is_empty() {
            root.remove(PATH)?;
            return Ok(());
        }
        root.directory(DIRECTORY)?;
        root.replace(PATH, &self.text(), MODE)
    }

    fn text(&self) -> String {
        let shells = self.before.iter();
        let mut lines: Vec<String> = shells
            .map(|(name, shell)| format!("{name}:{shell}"))
            .collect();
        lines.extend(self.added.iter().map(|path| format!("+{path}")));
        lines
            .iter()
            .fold(HEAD.to_owned(), |text, line| text + line + "\n")
    }

    /// With the number of a line that is not understood.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut notes = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(path) = line.strip_prefix('+') {
                notes.added.insert(path.to_owned());
                continue;
            }
            let named = line.split_once(':').filter(|(name, _)| !name.is_empty());
            let (name, shell) = named.ok_or(number.saturating_add(1))?;
            notes.before.insert(name.to_owned(), shell.to_owned());
        }
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let notes = Notes {
            before: [("anna", "/bin/zsh"), ("none", "")]
                .map(|(name, shell)| (name.to_owned(), shell.to_owned()))
                .into(),
            added: ["/usr/bin/hansard-shell".to_owned()].into(),
        };
        assert_eq!(Notes::parse(&notes.text()), Ok(notes));
        assert_eq!(Notes::parse("# all\n\n"), Ok(Notes::default()));
        assert_eq!(Notes::parse("anna:/bin/sh\nnonsense\n"), Err(2));
        assert_eq!(Notes::parse(":/bin/sh"), Err(1));
    }
}
