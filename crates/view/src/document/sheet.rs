//! One document while it is being made: a flat object that stays inside its bounds, and says what
//! it could not take.

use std::io::{self, Write};

use hansard_core::Value;
use serde_json::{Map, Value as Json, json};

use super::catalogue::Kind;
use super::value::{cut, shaped};
use crate::limits::{
    DOCUMENT_BYTES_MAX, DOCUMENT_FIELDS_MAX, DOCUMENT_NAME_BYTES_MAX, DOCUMENT_NOTES_BYTES_MAX,
    DOCUMENT_RESERVED_BYTES, DOCUMENT_TEXT_BYTES_MAX,
};

#[derive(Default)]
pub(super) struct Sheet {
    object: Map<String, Json>,
    /// Bytes of the fields so far, as JSON.
    bytes: usize,
    truncated: Notes,
    left_out: Notes,
    withheld: Notes,
}

impl Sheet {
    /// Adds a field whose value is known to be short.
    pub(super) fn put(&mut self, name: &str, json: Json) -> bool {
        let bytes = json_len(&json) + name_len(name) + 2;
        let full = self.bytes + bytes > DOCUMENT_BYTES_MAX - DOCUMENT_RESERVED_BYTES
            || self.object.len() >= DOCUMENT_FIELDS_MAX;
        if full || self.object.contains_key(name) {
            self.left_out.add(name);
            return false;
        }
        self.bytes += bytes;
        self.object.insert(name.to_owned(), json);
        true
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
        if !self.put(name, shaped.json) {
            return true;
        }
        if shaped.cut {
            self.truncated.add(name);
        }
        if let Some(exact) = shaped.exact {
            self.put(&format!("{name}.base64"), exact);
        }
        true
    }

    /// Adds a value under a name that the catalogue does not know, as text.
    pub(super) fn put_other(&mut self, prefix: &str, name: &str, value: &Value) {
        let kept = cut(name, DOCUMENT_NAME_BYTES_MAX);
        let mut free = format!("{prefix}{kept}");
        if self.object.len() >= DOCUMENT_FIELDS_MAX {
            return self.left_out.add(&free);
        }
        let base = free.len();
        let mut n = 2;
        while self.object.contains_key(&free) {
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
        self.object.contains_key(name)
    }

    /// The document.
    pub(super) fn finish(mut self) -> Map<String, Json> {
        for (name, count, notes) in [
            ("truncated", "truncated_count", self.truncated),
            ("left_out", "left_out_count", self.left_out),
            ("withheld", "withheld_count", self.withheld),
        ] {
            if notes.count > 0 {
                let named = notes.names.len();
                self.object.insert(name.to_owned(), json!(notes.names));
                if named < notes.count {
                    self.object.insert(count.to_owned(), json!(notes.count));
                }
            }
        }
        self.object
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

/// Length of a value as JSON.
fn json_len(json: &Json) -> usize {
    struct Counter(usize);
    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, json) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX / 4,
    }
}
