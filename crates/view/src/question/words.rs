//! What a word is, for whoever puts words into an index and whoever asks for them.
//!
//! A word is a run of letters, digits and `_`, folded to lower case and cut at [`WORD_CHARS_MAX`]
//! characters. A character of a script that is written without blanks is a word of its own.

/// Longest word, in characters; of a longer one, and of what is asked for, the beginning counts.
pub const WORD_CHARS_MAX: usize = 40;

/// Whether a character is part of words.
#[must_use]
pub fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a character is a word alone: Han, Kana, and what else is written without blanks.
#[must_use]
pub fn is_alone(c: char) -> bool {
    // What is nearly everything is told apart first.
    c >= '\u{e00}'
        && matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether a word may begin or end between these.
#[must_use]
pub fn is_boundary(before: Option<char>, after: Option<char>) -> bool {
    let joins = |c: char| is_part(c) && !is_alone(c);
    !(before.is_some_and(joins) && after.is_some_and(joins))
}

/// A character in lower case, always one.
#[must_use]
pub fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// A text in lower case, each run of blanks one blank, none at its ends.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().map(fold_char));
    }
    folded
}

/// Each word of a text, folded, in order.
pub fn each(text: &str, mut word: impl FnMut(&str)) {
    let mut buffer = String::new();
    for run in text.split(|c| !is_part(c)) {
        if run.is_empty() {
            continue;
        }
        if !run.is_ascii() {
            each_of(run, &mut buffer, &mut word);
            continue;
        }
        let run = run.get(..WORD_CHARS_MAX).unwrap_or(run);
        if run.bytes().any(|b| b.is_ascii_uppercase()) {
            buffer.clear();
            buffer.push_str(run);
            buffer.make_ascii_lowercase();
            word(&buffer);
        } else {
            word(run);
        }
    }
}

/// Each word of a run of parts of words.
fn each_of(run: &str, buffer: &mut String, word: &mut impl FnMut(&str)) {
    buffer.clear();
    let mut chars = 0;
    for c in run.chars() {
        if is_alone(c) {
            if !buffer.is_empty() {
                word(buffer);
            }
            buffer.clear();
            buffer.push(c);
            word(buffer);
            buffer.clear();
            chars = 0;
        } else {
            chars += 1;
            if chars <= WORD_CHARS_MAX {
                buffer.push(fold_char(c));
            }
        }
    }
    if !buffer.is_empty() {
        word(buffer);
    }
}
