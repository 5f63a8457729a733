//! Reading a question.

use hansard_core::SessionId;

use super::{
    ITEMS_MAX, Item, NotAQuestion, QUESTION_BYTES_MAX, Question, REGEX_BYTES_MAX, Sought, times,
    words,
};
use crate::text::What;

/// One piece of a question as it is written.
#[derive(Debug, Default)]
struct Piece {
    is_not: bool,
    /// What stands before the colon.
    field: Option<String>,
    text: String,
    shape: Shape,
    /// Whether `*` stands behind it.
    is_open: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Shape {
    #[default]
    Word,
    Quoted,
    Regex,
}

pub(super) fn parse(text: &str, now_ns: u64) -> Result<Question, NotAQuestion> {
    if text.len() > QUESTION_BYTES_MAX {
        let why = format!("a question has at most {QUESTION_BYTES_MAX} bytes");
        return Err(NotAQuestion(why));
    }
    let mut question = Question::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (piece, behind) = next_piece(rest)?;
        take(&mut question, piece, now_ns)?;
        rest = behind.trim_start();
        if question.items.len() > ITEMS_MAX {
            let why = format!("a question asks for at most {ITEMS_MAX} things");
            return Err(NotAQuestion(why));
        }
    }
    let asks = question.items.iter().any(|item| !item.is_not);
    if !asks && !question.is_hidden {
        let why = "nothing is asked for: write a word, \"a phrase\", begin*, field:value or \
                   /expression/";
        return Err(NotAQuestion(why.to_owned()));
    }
    Ok(question)
}

fn next_piece(text: &str) -> Result<(Piece, &str), NotAQuestion> {
    let mut piece = Piece::default();
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix('-')
        && !behind.starts_with(char::is_whitespace)
        && !behind.is_empty()
    {
        piece.is_not = true;
        rest = behind;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name_end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    if let Some((name, behind)) = rest.split_at_checked(name_end)
        && let Some(value) = behind.strip_prefix(':')
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        // `http://…` is a word.
        && !value.starts_with("//")
        && !value.is_empty()
        && !value.starts_with(char::is_whitespace)
    {
        piece.field = Some(name.to_owned());
        rest = value;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (inside, behind) = until(quoted, '"')?;
        piece.text = inside;
        piece.shape = Shape::Quoted;
        rest = behind;
    } else if let Some(expression) = rest.strip_prefix('/').filter(|_| is_regex(rest)) {
        let (inside, behind) = regex_until(expression)?;
        piece.text = inside;
        piece.shape = Shape::Regex;
        rest = behind;
    } else {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        piece.text = word.to_owned();
        rest = behind;
        if let Some(begin) = word.strip_suffix('*') {
            piece.text = begin.to_owned();
            piece.is_open = true;
        }
        return Ok((piece, rest));
    }
    if let Some(behind) = rest.strip_prefix('*') {
        piece.is_open = true;
        rest = behind;
    }
    Ok((piece, rest))
}

/// Whether what begins with a slash is an expression: it ends with one before a blank or the end.
/// `/etc/passwd` is a word.
fn is_regex(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('/') else {
        return false;
    };
    let mut escaped = false;
    let mut rest = inside.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '/' => {
                let next = rest.peek();
                if next.is_none_or(|next| next.is_whitespace()) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

fn regex_until(text: &str) -> Result<(String, &str), NotAQuestion> {
    let mut inside = String::new();
    let mut rest = text.char_indices().peekable();
    let mut escaped = false;
    while let Some((at, c)) = rest.next() {
        match c {
            '/' if !escaped && rest.peek().is_none_or(|(_, next)| next.is_whitespace()) => {
                let behind = text.get(at + 1..).unwrap_or("");
                return Ok((inside, behind));
            }
            '\\' if !escaped => {
                escaped = true;
                inside.push(c);
            }
            '/' if escaped => {
                // `\/` is a slash.
                inside.pop();
                inside.push('/');
                escaped = false;
            }
            _ => {
                escaped = false;
                inside.push(c);
            }
        }
    }
    Err(NotAQuestion(
        "an expression has no end: write /expression/".to_owned(),
    ))
}

/// The text up to a quote, in which `\"` is one.
fn until(text: &str, quote: char) -> Result<(String, &str), NotAQuestion> {
    let mut inside = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                if c != quote && c != '\\' {
                    inside.push('\\');
                }
                inside.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            _ if c == quote => {
                let behind = text.get(at + c.len_utf8()..).unwrap_or("");
                return Ok((inside, behind));
            }
            _ => inside.push(c),
        }
    }
    Err(NotAQuestion(format!(
        "a phrase has no end: {quote} is missing"
    )))
}

fn take(question: &mut Question, piece: Piece, now_ns: u64) -> Result<(), NotAQuestion> {
    if let Some(field) = &piece.field
        && place(question, field, &piece, now_ns)?
    {
        if piece.is_not {
            let why = format!("{field}: says where to look; it cannot be turned round with -");
            return Err(NotAQuestion(why));
        }
        return Ok(());
    }
    let sought = match (piece.shape, piece.field) {
        (Shape::Regex, Some(field)) => {
            let why = format!("{field}: takes a value, not an expression");
            return Err(NotAQuestion(why));
        }
        (Shape::Regex, None) => {
            let built = regex_lite::RegexBuilder::new(&piece.text)
                .size_limit(REGEX_BYTES_MAX)
                .build();
            let regex = built.map_err(|e| NotAQuestion(format!("/{}/: {e}", piece.text)))?;
            Sought::Regex(regex)
        }
        (_, Some(name)) => Sought::Field {
            name,
            value: words::fold(&piece.text),
            is_open: piece.is_open,
        },
        (_, None) => {
            let text = words::fold(&piece.text);
            if text.is_empty() {
                return Err(NotAQuestion("an empty phrase is in every line".to_owned()));
            }
            Sought::Phrase {
                text,
                is_open: piece.is_open,
            }
        }
    };
    question.items.push(Item {
        is_not: piece.is_not,
        sought,
    });
    Ok(())
}

/// Takes what says where and when to look; `false` for any other field.
fn place(
    question: &mut Question,
    field: &str,
    piece: &Piece,
    now_ns: u64,
) -> Result<bool, NotAQuestion> {
    let value = piece.text.as_str();
    let time = || {
        times::utc_ns(value, now_ns).ok_or_else(|| {
            let why = "write 90s, 30m, 2h, 7d, 2026-11-21 or 2026-11-21T08:00, in UTC";
            NotAQuestion(format!("{field}:{value} is not a time: {why}"))
        })
    };
    match field {
        "user" => question.bounds.user = Some(value.to_owned()),
        "host" => question.bounds.host = Some(value.to_owned()),
        "kind" => question.bounds.kind = Some(value.to_owned()),
        "session" => {
            let id: SessionId = value
                .parse()
                .map_err(|_| NotAQuestion(format!("session:{value} is not a session's UUID")))?;
            question.bounds.session = Some(id);
        }
        "since" => question.bounds.since_ns = Some(time()?),
        "until" => question.bounds.until_ns = Some(time()?),
        "in" => {
            let word = What::ALL.iter().map(|what| what.as_str());
            let found = word.into_iter().find(|word| *word == value);
            let why = "in: takes shown, typed, command or event";
            question.within = Some(found.ok_or_else(|| NotAQuestion(why.to_owned()))?);
        }
        "is" => {
            if value != "hidden" {
                return Err(NotAQuestion("is: takes hidden".to_owned()));
            }
            question.is_hidden = true;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
