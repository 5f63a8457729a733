//! A field's value as JSON of the type that the catalogue wants.

use std::borrow::Cow;
use std::fmt::Write as _;

use hansard_core::Value;
use hansard_core::limits::VALUE_DEPTH_MAX;
use serde_json::{Value as Json, json};

use super::catalogue::Kind;
use crate::jsonl::base64;
use crate::limits::{DOCUMENT_LIST_BYTES_MAX, DOCUMENT_LIST_MAX};
use crate::teleport::time;

/// A value for a document.
pub(super) struct Shaped<'a> {
    pub(super) said: Said<'a>,
    /// The exact bytes where the JSON cannot hold them.
    pub(super) exact: Option<Json>,
    /// Whether some of it was cut.
    pub(super) cut: bool,
}

/// What is said of it.
pub(super) enum Said<'a> {
    Text(Cow<'a, str>),
    Texts(Json),
    Uint(u64),
    Int(i64),
    Bool(bool),
}

impl Said<'_> {
    /// Writes it as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Text(text) => serde_json::to_writer(out, &**text),
            Self::Texts(list) => serde_json::to_writer(out, list),
            Self::Uint(n) => serde_json::to_writer(out, n),
            Self::Int(n) => serde_json::to_writer(out, n),
            Self::Bool(b) => serde_json::to_writer(out, b),
        }
    }
}

impl<'a> Shaped<'a> {
    fn whole(said: Said<'a>) -> Self {
        Self {
            said,
            exact: None,
            cut: false,
        }
    }
}

/// The value as this type, texts no longer than `text_max`; nothing if it is not of that type.
pub(super) fn shaped(value: &Value, kind: Kind, text_max: usize) -> Option<Shaped<'_>> {
    match (kind, value) {
        (Kind::Withheld, _) | (Kind::Text | Kind::Time, Value::List(_)) => None,
        (Kind::Text, value) => Some(text(value, text_max)),
        (Kind::Texts, Value::List(values)) => Some(texts(values, text_max)),
        (Kind::Texts, value) => Some(texts(std::slice::from_ref(value), text_max)),
        (Kind::Time, value) => {
            let Value::Text(text) = value else {
                return None;
            };
            (text.len() <= 64 && time::parse(text).is_some())
                .then(|| Shaped::whole(Said::Text(Cow::Borrowed(text))))
        }
        (Kind::Uint, value) => unsigned(value).map(|n| Shaped::whole(Said::Uint(n))),
        (Kind::Int, value) => signed(value).map(|n| Shaped::whole(Said::Int(n))),
        (Kind::Bool, value) => truth(value).map(|b| Shaped::whole(Said::Bool(b))),
    }
}

fn unsigned(value: &Value) -> Option<u64> {
    match value {
        Value::Uint(n) => Some(*n),
        Value::Int(n) => u64::try_from(*n).ok(),
        Value::Text(text) => plain_number(text)?.parse().ok(),
        _ => None,
    }
}

fn signed(value: &Value) -> Option<i64> {
    match value {
        Value::Uint(n) => i64::try_from(*n).ok(),
        Value::Int(n) => Some(*n),
        Value::Text(text) => plain_number(text)?.parse().ok(),
        _ => None,
    }
}

/// The text if it is how a number is written, so that nothing is lost by reading it as one.
fn plain_number(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" && digits.len() == text.len()
        || !digits.is_empty()
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then_some(text)
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn text(value: &Value, text_max: usize) -> Shaped<'_> {
    match value {
        Value::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => {
            let kept = bytes.get(..text_max).unwrap_or(bytes);
            Shaped {
                said: Said::Text(String::from_utf8_lossy(kept)),
                exact: Some(json!(base64::encode(kept))),
                cut: kept.len() < bytes.len(),
            }
        }
        value => {
            let words = words(value);
            let (length, kept) = (words.len(), cut(&words, text_max).len());
            let said = match words {
                Cow::Borrowed(words) => Cow::Borrowed(words.get(..kept).unwrap_or_default()),
                Cow::Owned(mut words) => {
                    words.truncate(kept);
                    Cow::Owned(words)
                }
            };
            Shaped {
                said: Said::Text(said),
                exact: None,
                cut: kept < length,
            }
        }
    }
}

fn texts(values: &[Value], text_max: usize) -> Shaped<'_> {
    let (mut shown, mut exact) = (Vec::new(), Vec::new());
    let (mut is_cut, mut is_text, mut room) = (false, true, DOCUMENT_LIST_BYTES_MAX);
    for value in values {
        if shown.len() == DOCUMENT_LIST_MAX || room == 0 {
            is_cut = true;
            break;
        }
        let most = text_max.min(room);
        let bytes: Cow<'_, [u8]> = match value {
            Value::Bytes(bytes) => Cow::Borrowed(bytes),
            value => match words(value) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
        };
        let kept = match std::str::from_utf8(&bytes) {
            Ok(text) => cut(text, most).len(),
            Err(_) => {
                is_text = false;
                bytes.len().min(most)
            }
        };
        is_cut |= kept < bytes.len();
        room -= kept;
        let kept = bytes.get(..kept).unwrap_or_default();
        shown.push(json!(String::from_utf8_lossy(kept)));
        exact.push(kept.to_vec());
    }
    let exact = (!is_text).then(|| exact.iter().map(|kept| json!(base64::encode(kept))));
    Shaped {
        said: Said::Texts(Json::Array(shown)),
        exact: exact.map(|all| Json::Array(all.collect())),
        cut: is_cut,
    }
}

/// A value in words: a list inside a list as JSON, bytes as far as they are text.
pub(super) fn words(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Text(text) => Cow::Borrowed(text),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes),
        Value::List(_) => {
            let mut all = String::new();
            nested(value, 0, &mut all);
            Cow::Owned(all)
        }
        Value::Uint(n) => Cow::Owned(n.to_string()),
        Value::Int(n) => Cow::Owned(n.to_string()),
        Value::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
    }
}

fn nested(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::List(_) if depth > VALUE_DEPTH_MAX => out.push_str("null"),
        Value::List(values) => {
            for (i, value) in values.iter().enumerate() {
                out.push(if i == 0 { '[' } else { ',' });
                nested(value, depth + 1, out);
            }
            out.push_str(if values.is_empty() { "[]" } else { "]" });
        }
        Value::Text(_) | Value::Bytes(_) => {
            let _ = write!(out, "{}", json!(words(value)));
        }
        value => out.push_str(&words(value)),
    }
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(said: &Said<'_>) -> Json {
        let mut json = Vec::new();
        said.write(&mut json).unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    fn said(value: impl Into<Value>, kind: Kind) -> Option<Json> {
        shaped(&value.into(), kind, 100).map(|shaped| written(&shaped.said))
    }

    #[test]
    fn numbers_are_taken_from_text_only_where_nothing_is_lost() {
        assert_eq!(said("17", Kind::Uint), Some(json!(17)));
        assert_eq!(said("-17", Kind::Int), Some(json!(-17)));
        assert_eq!(said("0", Kind::Int), Some(json!(0)));
        for odd in [
            "",
            "-",
            "-0",
            "017",
            "+1",
            "1 ",
            "0x1",
            "18446744073709551616",
        ] {
            assert_eq!(said(odd, Kind::Uint), None, "{odd}");
            assert_eq!(said(odd, Kind::Int), None, "{odd}");
        }
        assert_eq!(said(u64::MAX, Kind::Uint), Some(json!(u64::MAX)));
        assert_eq!(said(u64::MAX, Kind::Int), None);
        assert_eq!(said(Value::Int(-1), Kind::Uint), None);
    }

    #[test]
    fn what_is_no_utf8_is_shown_and_kept() {
        let odd = Value::Bytes(b"a\xffb".to_vec());
        let one = shaped(&odd, Kind::Text, 100).unwrap();
        assert_eq!(
            (written(&one.said), one.exact),
            (json!("a\u{fffd}b"), Some(json!("Yf9i")))
        );
        let list = Value::List(vec!["x".into(), odd]);
        let list = shaped(&list, Kind::Texts, 100).unwrap();
        assert_eq!(written(&list.said), json!(["x", "a\u{fffd}b"]));
        assert_eq!(list.exact, Some(json!(["eA==", "Yf9i"])));
    }

    #[test]
    fn a_cut_leaves_whole_characters() {
        let long = Value::from("ab\u{e9}".repeat(100));
        let short = shaped(&long, Kind::Text, 7).unwrap();
        assert_eq!(
            (written(&short.said), short.cut),
            (json!("ab\u{e9}ab"), true)
        );
    }

    #[test]
    fn lists_in_lists_are_text() {
        let inner = Value::List(vec![Value::Int(-1), Value::List(vec!["\"".into()])]);
        let value = Value::List(vec!["".into(), inner]);
        assert_eq!(
            said(value, Kind::Texts),
            Some(json!(["", r#"[-1,["\""]]"#]))
        );
    }
}
