//! Recordings of several files, out of one fuzzed input.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Result};

use hansard_core::{Body, Event, Stream};
use hansard_view::parts::{Inputs, Part};

/// What stands between two files of an input.
pub const BETWEEN: &[u8] = b"~~\n";

/// The files of an input, one after another.
pub fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut files = Vec::new();
    while let Some(at) = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        files.push(&bytes[..at]);
        bytes = &bytes[at + BETWEEN.len()..];
    }
    files.push(bytes);
    files
}

/// A directory in memory.
pub struct Memory {
    files: BTreeMap<String, Vec<u8>>,
    names: Vec<String>,
}

impl Memory {
    /// A directory of files of these names; a file that is only a `-` is not there.
    pub fn new(names: &[&str], files: &[&[u8]]) -> Self {
        let there = names.iter().zip(files).filter(|(_, bytes)| **bytes != b"-");
        let files: BTreeMap<_, _> =
            there.map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        Self { names: files.keys().cloned().collect(), files }
    }
}

impl Inputs for Memory {
    fn names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn open(&self, part: Part<'_>) -> Result<Option<Box<dyn Read>>> {
        let Part::Inside(name) = part else { return Ok(None) };
        let bytes = self.files.get(name).cloned();
        Ok(bytes.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read>))
    }
}

/// All bytes of some streams.
pub fn bytes(events: &[Event], wanted: impl Fn(Stream) -> bool) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        if let Body::Data { stream, bytes } = &event.body
            && wanted(*stream)
        {
            all.extend_from_slice(bytes);
        }
    }
    all
}
