//! One document while it is being made: a flat object that stays inside its bounds, and says what
//! it could not take. It is written as JSON at once, field by field.

use hansard_core::Value;
use serde_json::json;

use super::catalogue::Kind;
use super::value::{Said, cut, shaped};
use crate::limits::{
    DOCUMENT_BYTES_MAX, DOCUMENT_FIELDS_MAX, DOCUMENT_NAME_BYTES_MAX, DOCUMENT_NOTES_BYTES_MAX,
    DOCUMENT_RESERVED_BYTES, DOCUMENT_TEXT_BYTES_MAX,
};

/// Room that a document gets at first, in bytes: what most of them take.
const LINE_BYTES_FIRST: usize = 640;

pub(super) struct Sheet {
    /// The object so far, without its last brace.
    line: Vec<u8>,
    names: Names,
    /// Bytes of the fields so far, as JSON.
    bytes: usize,
    truncated: Notes,
    left_out: Notes,
    withheld: Notes,
    user: String,
    host: String,
}

/// A document, and what of it others look for.
pub(super) struct Finished {
    pub(super) line: String,
    pub(super) user: String,
    pub(super) host: String,
}

impl Sheet {
    pub(super) fn new() -> Self {
        let mut line = Vec::with_capacity(LINE_BYTES_FIRST);
        line.push(b'{');
        Self {
            line,
            names: Names::default(),
            bytes: 0,
            truncated: Notes::default(),
            left_out: Notes::default(),
            withheld: Notes::default(),
            user: String::new(),
            host: String::new(),
        }
    }

    /// Adds a text that is known to be short.
    pub(super) fn put_text(&mut self, name: &str, text: &str) {
        self.put(name, &Said::Text(text.into()));
    }

    /// Adds a field whose value is known to be short.
    pub(super) fn put(&mut self, name: &str, said: &Said<'_>) -> bool {
        let is_full = self.names.len() >= DOCUMENT_FIELDS_MAX;
        if is_full || self.names.has(name) || !self.write(name, said) {
            self.left_out.add(name);
            return false;
        }
        self.names.add(name);
        if let Said::Text(text) = said {
            match name {
                "user" => self.user = text.clone().into_owned(),
                "server_hostname" => self.host = text.clone().into_owned(),
                _ => {}
            }
        }
        true
    }

    /// Writes a field behind the others, if there is room for it.
    fn write(&mut self, name: &str, said: &Said<'_>) -> bool {
        let begin = self.line.len();
        self.write_name(name);
        let from = self.line.len();
        let written = said.write(&mut self.line);
        let bytes = self.line.len() - from + name_len(name) + 2;
        // Into memory, so it cannot fail.
        if written.is_err() || self.bytes + bytes > DOCUMENT_BYTES_MAX - DOCUMENT_RESERVED_BYTES {
            self.line.truncate(begin);
            return false;
        }
        self.bytes += bytes;
        true
    }

    fn write_name(&mut self, name: &str) {
        if self.line.len() > 1 {
            self.line.push(b',');
        }
        // Into memory, so it cannot fail.
        let _ = serde_json::to_writer(&mut self.line, name);
        self.line.push(b':');
    }

    /// Adds a value as this type; answers whether it is of that type.
    pub(super) fn put_value(&mut self, name: &str, value: &Value, kind: Kind) -> bool {
        self.put_short(name, value, kind, DOCUMENT_TEXT_BYTES_MAX)
    }

    /// The same with another bound for texts.
    pub(super) fn put_short(&mut self, name: &str, value: &Value, kind: Kind, most: usize) -> bool {
        let Some(shaped) = shaped(value, kind, most) else {
            return false;
        };
        if !self.put(name, &shaped.said) {
            return true;
        }
        if shaped.cut {
            self.truncated.add(name);
        }
        if let Some(exact) = shaped.exact {
            self.put(&format!("{name}.base64"), &Said::Texts(exact));
        }
        true
    }

    /// Adds a value under a name that the catalogue does not know, as text.
    pub(super) fn put_other(&mut self, prefix: &str, name: &str, value: &Value) {
        let kept = cut(name, DOCUMENT_NAME_BYTES_MAX);
        let mut free = format!("{prefix}{kept}");
        if self.names.len() >= DOCUMENT_FIELDS_MAX {
            return self.left_out.add(&free);
        }
        let base = free.len();
        let mut n = 2;
        while self.names.has(&free) {
            free.truncate(base);
            free.push_str(&format!(".{n}"));
            n += 1;
        }
        if kept.len() < name.len() {
            self.truncated.add(&free);
        }
        let kind = match value {
            Value::List(_) => Kind::Texts,
            _ => Kind::Text,
        };
        self.put_value(&free, value, kind);
    }

    /// Says that a field does not belong into a document.
    pub(super) fn withhold(&mut self, name: &str) {
        self.withheld.add(cut(name, DOCUMENT_NAME_BYTES_MAX));
    }

    /// Whether a field stands there already.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.has(name)
    }

    /// The document.
    pub(super) fn finish(mut self) -> Finished {
        let notes = [
            ("truncated", "truncated_count", &self.truncated),
            ("left_out", "left_out_count", &self.left_out),
            ("withheld", "withheld_count", &self.withheld),
        ];
        let notes = notes.map(|(name, count, notes)| {
            let is_cut = notes.names.len() < notes.count;
            let names = (notes.count > 0).then(|| (name, json!(notes.names)));
            [names, is_cut.then(|| (count, json!(notes.count)))]
        });
        for (name, said) in notes.into_iter().flatten().flatten() {
            self.write_name(name);
            // Into memory, so it cannot fail.
            let _ = serde_json::to_writer(&mut self.line, &said);
        }
        self.line.push(b'}');
        Finished {
            // JSON of texts is text.
            line: String::from_utf8(self.line).unwrap_or_default(),
            user: self.user,
            host: self.host,
        }
    }
}

/// The names of the fields that stand in it, one behind the other.
#[derive(Default)]
struct Names {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Names {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn has(&self, name: &str) -> bool {
        let mut begin = 0;
        for &end in &self.ends {
            if end - begin == name.len() && self.text.get(begin..end) == Some(name.as_bytes()) {
                return true;
            }
            begin = end;
        }
        false
    }

    fn add(&mut self, name: &str) {
        self.text.extend_from_slice(name.as_bytes());
        self.ends.push(self.text.len());
    }
}

/// Names of fields, as many as there is room for.
#[derive(Default)]
struct Notes {
    names: Vec<String>,
    bytes: usize,
    count: usize,
}

impl Notes {
    fn add(&mut self, name: &str) {
        if self.names.iter().any(|known| known == name) {
            return;
        }
        self.count += 1;
        let bytes = name_len(name);
        if self.bytes + bytes <= DOCUMENT_NOTES_BYTES_MAX {
            self.bytes += bytes;
            self.names.push(name.to_owned());
        }
    }
}

/// Bytes that a name takes in JSON: quotes, a colon or comma, and what is escaped.
fn name_len(name: &str) -> usize {
    name.bytes().map(escaped_len).sum::<usize>() + 3
}

/// Bytes that JSON needs at most for a byte of text.
fn escaped_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}
