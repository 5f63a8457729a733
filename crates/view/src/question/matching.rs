//! Whether a line is what is asked for, and where in it.

use std::ops::Range;

use super::{Item, Question, Sought, words};
use crate::text::What;

/// A line that may be an answer.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What it is.
    pub what: What,
    /// The line.
    pub text: &'a str,
    /// Whether some of it could not be seen.
    pub is_hidden: bool,
}

/// Looks for a question's answers. Keeps what it needs from line to line.
#[derive(Debug)]
pub struct Finder<'a> {
    question: &'a Question,
    folded: String,
    /// The line's character that each byte of `folded` is of, and one behind the last.
    chars: Vec<u32>,
}

impl<'a> Finder<'a> {
    /// For this question.
    #[must_use]
    pub fn new(question: &'a Question) -> Self {
        Self {
            question,
            folded: String::new(),
            chars: Vec::new(),
        }
    }

    /// The places, in characters, of everything that is asked for, the first of each, if the line is
    /// an answer.
    pub fn find(&mut self, line: Candidate<'_>) -> Option<Vec<Range<usize>>> {
        if !self.question.looks_at(line.what) || (self.question.is_hidden && !line.is_hidden) {
            return None;
        }
        self.fold(line.text);
        let mut places = Vec::new();
        for item in &self.question.items {
            match (self.item(item, line), item.is_not) {
                (Some(place), false) => places.push(place),
                (None, true) => {}
                (Some(_), true) | (None, false) => return None,
            }
        }
        Some(places)
    }

    fn item(&self, item: &Item, line: Candidate<'_>) -> Option<Range<usize>> {
        match &item.sought {
            Sought::Phrase { text, is_open } => self.phrase(text, *is_open),
            Sought::Regex(regex) => {
                let found = regex.find(line.text)?;
                let chars = |end: usize| line.text.get(..end).map_or(0, |t| t.chars().count());
                Some(chars(found.start())..chars(found.end()))
            }
            Sought::Field {
                name,
                value,
                is_open,
            } => {
                if line.what != What::Fact {
                    return None;
                }
                let sought = format!("{}={value}", words::fold(name));
                self.phrase(&sought, *is_open)
                    .filter(|place| place.start > 0)
            }
        }
    }

    /// Where these folded characters stand on whole words.
    fn phrase(&self, text: &str, is_open: bool) -> Option<Range<usize>> {
        let mut from = 0;
        loop {
            let at = from + self.folded.get(from..)?.find(text)?;
            let end = at + text.len();
            let before = self.folded.get(..at)?.chars().next_back();
            let after = self.folded.get(end..)?.chars().next();
            let begins = words::is_boundary(before, text.chars().next());
            let ends = is_open || words::is_boundary(text.chars().next_back(), after);
            if begins && ends {
                let start = self.chars.get(at).copied()?;
                let last = self.chars.get(end.checked_sub(1)?).copied()?;
                return Some(usize::try_from(start).ok()?..usize::try_from(last).ok()? + 1);
            }
            from = at + text.chars().next().map_or(1, char::len_utf8);
        }
    }

    fn fold(&mut self, text: &str) {
        self.folded.clear();
        self.chars.clear();
        let mut blank = true;
        for (at, c) in (0u32..).zip(text.chars()) {
            let c = if c.is_whitespace() {
                if blank {
                    continue;
                }
                blank = true;
                ' '
            } else {
                blank = false;
                words::fold_char(c)
            };
            self.folded.push(c);
            self.chars.resize(self.folded.len(), at);
        }
        if blank && self.folded.ends_with(' ') {
            self.folded.pop();
            self.chars.pop();
        }
    }
}
