//! What is asked for when sessions are searched: one language, wherever it is written.
//!
//! `word`, `"a phrase"`, `begin*`, `/regular expression/`, `field:value`, each with `-` before it
//! for lines without it; `user:`, `host:`, `kind:`, `session:`, `in:`, `is:`, `since:` and `until:`
//! say where and when to look. All of it must be true of one and the same line. Letters are compared
//! without regard to case, but for regular expressions; a run of blanks is one blank.
//!
//! - [`words`]: what a word is; `matching`: whether a line is what is asked for; `times`: moments
//!   as they are written

use std::fmt;

use hansard_core::SessionId;

pub mod matching;
mod parse;
pub mod times;
pub mod words;

use crate::text::What;
pub use matching::{Candidate, Finder};

/// Longest question, in bytes. A longer one is refused.
pub const QUESTION_BYTES_MAX: usize = 4096;

/// Most things that are asked for at once. More are refused.
pub const ITEMS_MAX: usize = 32;

/// Memory of a compiled regular expression, in bytes. One that needs more is refused.
pub const REGEX_BYTES_MAX: usize = 256 * 1024;

/// One thing that must be in a line, or must not.
#[derive(Debug, Clone)]
pub struct Item {
    /// Whether it must not be there.
    pub is_not: bool,
    /// What it is.
    pub sought: Sought,
}

/// What is sought in a line.
#[derive(Debug, Clone)]
pub enum Sought {
    /// These characters, folded ([`words::fold`]), on whole words; with `is_open` the last word may
    /// go on.
    Phrase {
        /// Folded.
        text: String,
        /// Whether the last word may go on behind it.
        is_open: bool,
    },
    /// Whatever this matches, in the line as it stood there. Linear in the length of the line.
    Regex(regex_lite::Regex),
    /// A field of an event that begins with these words, or is them.
    Field {
        /// The name, as it stands in the event.
        name: String,
        /// Folded.
        value: String,
        /// Whether the value may go on behind it.
        is_open: bool,
    },
}

/// A word that must be in whatever holds an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// This word ([`words`]).
    Word(String),
    /// A word that begins so.
    Begin(String),
}

/// Where and when is looked: all of it must be so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Whose sessions: the user's name, letter by letter.
    pub user: Option<String>,
    /// On which host.
    pub host: Option<String>,
    /// Of which kind of session.
    pub kind: Option<String>,
    /// In which session.
    pub session: Option<SessionId>,
    /// Not before, UTC nanoseconds since 1970.
    pub since_ns: Option<u64>,
    /// Before, UTC nanoseconds since 1970.
    pub until_ns: Option<u64>,
}

/// A question.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// What must be in a line.
    pub items: Vec<Item>,
    /// In which sessions, and when.
    pub bounds: Bounds,
    /// Only in what is called so ([`What::as_str`]).
    pub within: Option<&'static str>,
    /// Only where something was concealed or has the colour of its ground.
    pub is_hidden: bool,
}

/// A question that is none, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAQuestion(pub String);

impl fmt::Display for NotAQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAQuestion {}

impl Question {
    /// Reads a question. `now_ns` is the UTC time that `since:7d` counts from.
    ///
    /// # Errors
    /// When it is not one; the error says what is wrong and what may be written.
    pub fn parse(text: &str, now_ns: u64) -> Result<Self, NotAQuestion> {
        parse::parse(text, now_ns)
    }

    /// Words without which nothing can be an answer. Empty where only a regular expression or marks
    /// are asked for: then everything has to be looked through.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let mut needs = Vec::new();
        for item in self.items.iter().filter(|item| !item.is_not) {
            match &item.sought {
                Sought::Phrase { text, is_open } => needs_of(text, *is_open, &mut needs),
                Sought::Field {
                    name,
                    value,
                    is_open,
                } => {
                    needs_of(name, false, &mut needs);
                    needs_of(value, *is_open, &mut needs);
                }
                Sought::Regex(_) => {}
            }
        }
        needs.sort();
        needs.dedup();
        needs
    }

    /// Whether texts of this kind are looked at.
    #[must_use]
    pub fn looks_at(&self, what: What) -> bool {
        let is_field = |item: &Item| !item.is_not && matches!(item.sought, Sought::Field { .. });
        if self.items.iter().any(is_field) && what != What::Fact {
            return false;
        }
        self.within.is_none_or(|within| within == what.as_str())
    }
}

fn needs_of(text: &str, is_open: bool, needs: &mut Vec<Need>) {
    let mut found: Vec<String> = Vec::new();
    words::each(text, |word| found.push(word.to_owned()));
    let ends_open = is_open && text.chars().next_back().is_some_and(words::is_part);
    let last = found.len().saturating_sub(1);
    for (at, word) in found.into_iter().enumerate() {
        let is_whole = !(ends_open && at == last);
        needs.push(match is_whole {
            true => Need::Word(word),
            false => Need::Begin(word),
        });
    }
}

#[cfg(test)]
mod tests;
