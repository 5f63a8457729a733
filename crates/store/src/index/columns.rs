//! Texts of a block as they are compressed: numbers apart from what stands around them. Lines of a log or a
//! listing differ in their numbers. Apart the lines are all the same, and numbers of one kind stand together,
//! which takes a third less than what is left between the numbers and they.
//!
//! What is stored is a text again, so that it can be read at once:
//! `#`, the texts with [`PLACE`] for each number, and then the columns, each number with a blank behind it
//! and each column with a line feed. Or `=` and the texts as they are, where they have a [`PLACE`]
//! themselves.

use std::borrow::Cow;

/// Stands for a number: a run of ASCII letters and digits with a digit in it.
const PLACE: char = '\u{1}';

/// The n-th number of a line is in the n-th column, what is behind in the last one.
const COLUMNS: usize = 12;

/// Texts as [`split`] stored them, or as they are.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    words: &'a str,
    columns: Option<[&'a str; COLUMNS]>,
}

impl<'a> Shown<'a> {
    /// Texts as they are.
    #[must_use]
    pub fn plain(texts: &'a str) -> Self {
        Self {
            words: texts,
            columns: None,
        }
    }

    /// What [`split`] made. `None` where this is something else; any text may be given.
    pub(super) fn of(stored: &'a str) -> Option<Self> {
        if let Some(texts) = stored.strip_prefix('=') {
            return Some(Self::plain(texts));
        }
        let mut rest = stored.strip_prefix('#')?;
        let mut columns = [""; COLUMNS];
        for column in columns.iter_mut().rev() {
            rest = rest.strip_suffix('\n')?;
            let begin = rest.rfind('\n').map_or(0, |at| at + 1);
            (rest, *column) = rest.split_at_checked(begin)?;
        }
        Some(Self {
            words: rest,
            columns: Some(columns),
        })
    }

    /// The texts, of which numbers may be left out: every run of letters and digits in which no digit is
    /// stands there as it is, and between two of them whatever is between them but numbers.
    #[must_use]
    pub fn without_numbers(&self) -> &'a str {
        self.words
    }

    /// The texts. `None` where they are damaged.
    #[must_use]
    pub fn whole(&self) -> Option<Cow<'a, str>> {
        match self.columns {
            None => Some(Cow::Borrowed(self.words)),
            Some(columns) => join(self.words, columns).map(Cow::Owned),
        }
    }
}

/// Texts as they are stored.
pub(super) fn split(texts: &str) -> String {
    if texts.contains(PLACE) || !texts.ends_with('\n') {
        return format!("={texts}");
    }
    let mut stored = String::with_capacity(texts.len() + texts.len() / 8 + 64);
    stored.push('#');
    let mut columns: [String; COLUMNS] = Default::default();
    let (mut column, mut done, mut begin, mut is_number) = (0, 0, 0, false);
    for (at, byte) in texts.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() {
            is_number |= byte.is_ascii_digit();
            continue;
        }
        if is_number {
            stored.push_str(texts.get(done..begin).unwrap_or(""));
            stored.push(PLACE);
            if let Some(column) = columns.get_mut(column) {
                column.push_str(texts.get(begin..at).unwrap_or(""));
                column.push(' ');
            }
            column = (column + 1).min(COLUMNS - 1);
            (done, is_number) = (at, false);
        }
        begin = at + 1;
        if byte == b'\n' {
            column = 0;
        }
    }
    stored.push_str(texts.get(done..).unwrap_or(""));
    for column in columns {
        stored.push_str(&column);
        stored.push('\n');
    }
    stored
}

fn join(words: &str, mut columns: [&str; COLUMNS]) -> Option<String> {
    let bytes = columns.iter().map(|column| column.len());
    let mut texts = String::with_capacity(words.len() + bytes.sum::<usize>());
    for line in words.split_inclusive('\n') {
        let mut pieces = line.split(PLACE);
        texts.push_str(pieces.next()?);
        for (at, piece) in pieces.enumerate() {
            let column = columns.get_mut(at.min(COLUMNS - 1))?;
            let (number, rest) = (*column).split_once(' ')?;
            *column = rest;
            texts.push_str(number);
            texts.push_str(piece);
        }
    }
    columns
        .iter()
        .all(|column| column.is_empty())
        .then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_split_is_put_together_again() {
        for texts in [
            "",
            "\n",
            "one\n",
            "no end 1",
            "drwx 2 root 4096 Nov 22 a1\n-rw- 1 root 17 é2é 界3\n",
            "1\n\n2 3\n 4",
            "1\n\n2 3\n 4 \n",
            "a place \u{1} 1\n",
            "# = 1\n",
            &"7 ".repeat(100).replace("7 7 7 7 7 ", "7 7x7 7_7\n"),
            &format!("{}\n", "8 ".repeat(100)),
        ] {
            let stored = split(texts);
            let shown = Shown::of(&stored).unwrap();
            assert_eq!(shown.whole().as_deref(), Some(texts), "{stored:?}");
            // Cut or changed it is something else, and nothing worse.
            for cut in (0..stored.len()).filter(|at| stored.is_char_boundary(*at)) {
                let _ = Shown::of(&stored[..cut]).and_then(|shown| shown.whole());
            }
        }
    }

    #[test]
    fn words_stand_there_without_numbers() {
        let stored = split("pid=17 said no. at 12:30\ndead deadbeef01 x_1\n");
        let shown = Shown::of(&stored).unwrap();
        let words = shown.without_numbers();
        assert_eq!(
            words,
            "pid=\u{1} said no. at \u{1}:\u{1}\ndead \u{1} x_\u{1}\n"
        );
        assert_eq!(
            stored,
            format!("#{words}17 deadbeef01 \n12 1 \n30 \n\n\n\n\n\n\n\n\n\n")
        );
        assert_eq!(Shown::plain("a 1").without_numbers(), "a 1");
    }
}
