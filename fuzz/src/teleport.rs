//! What the two targets for Teleport's recordings share: files in memory, and gzip that a fuzzer
//! can see through (stored, not compressed).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::rc::Rc;

use hansard_core::{Body, Event};
use hansard_view::Encoder;
use hansard_view::parts::{Inputs, Outputs, Part};
use hansard_view::teleport::ClassicEncoder;

/// Files in memory.
#[derive(Clone, Default)]
pub struct Files {
    names: Vec<String>,
    bytes: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
}

impl Files {
    /// Adds a file.
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        self.bytes
            .borrow_mut()
            .insert(name.to_owned(), bytes.to_vec());
        self.sort();
    }

    fn sort(&mut self) {
        self.names = self.bytes.borrow().keys().cloned().collect();
    }

    /// Everything in them.
    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        self.bytes.borrow().clone()
    }
}

impl Inputs for Files {
    fn names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>> {
        let Part::Inside(name) = part else {
            return Ok(None);
        };
        let bytes = self.bytes.borrow().get(name).cloned();
        Ok(bytes.map(|bytes| Box::new(io::Cursor::new(bytes)) as Box<dyn Read>))
    }
}

struct Member(Rc<RefCell<BTreeMap<String, Vec<u8>>>>, String);

impl Write for Member {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .borrow_mut()
            .entry(self.1.clone())
            .or_default()
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Outputs for Files {
    fn create(&mut self, part: Part<'_>) -> io::Result<Box<dyn Write>> {
        let Part::Inside(name) = part else {
            panic!("{part:?}")
        };
        assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
        let before = self.bytes.borrow_mut().insert(name.to_owned(), Vec::new());
        assert!(before.is_none(), "{name} created twice");
        Ok(Box::new(Member(Rc::clone(&self.bytes), name.to_owned())))
    }
}

/// A classic recording of these events.
pub fn classic(events: &[Event]) -> Files {
    let mut files = Files::default();
    let mut encoder = ClassicEncoder::new(Box::new(files.clone()));
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session),
            _ => encoder.event(event),
        }
        .expect("every event can be written or left out");
    }
    encoder.end().expect("memory does not fail");
    files.sort();
    files
}

/// gzip whose bytes are the bytes.
pub fn stored_gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut chunks = bytes.chunks(0xffff).peekable();
    if bytes.is_empty() {
        out.extend_from_slice(&[1, 0, 0, 255, 255]);
    }
    while let Some(chunk) = chunks.next() {
        let len = chunk.len() as u16;
        out.push(u8::from(chunks.peek().is_none()));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    let crc = bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    out.extend_from_slice(&(!crc).to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out
}
