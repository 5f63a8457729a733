//! Files of a classic Teleport recording in memory, and what is done with them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use hansard_core::{Body, Event};
use hansard_view::parts::{Inputs, Outputs, Part};
use hansard_view::teleport::{ClassicDecoder, ClassicEncoder, TarInputs};
use hansard_view::{Decoder, Encoder, Format};
use serde_json::Value as Json;

use super::{import, key};

pub const SID: &str = "6f1c0a52-9d0b-4c8e-8f8f-0e6a5c1b2d3e";

/// Files in memory.
#[derive(Clone, Default)]
pub struct Files {
    pub names: Vec<String>,
    pub bytes: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
}

impl Files {
    pub fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        self.bytes
            .borrow_mut()
            .insert(name.to_owned(), bytes.to_vec());
        self.names = self.bytes.borrow().keys().cloned().collect();
        self
    }

    /// With lines or bytes that are compressed first.
    pub fn gz(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text.as_ref()).unwrap();
        let bytes = out.finish().unwrap();
        self.with(name, &bytes)
    }

    pub fn lines(&self, name: &str) -> Vec<Json> {
        let mut text = String::new();
        let bytes = self.bytes.borrow()[name].clone();
        match name.ends_with(".gz") {
            true => MultiGzDecoder::new(bytes.as_slice())
                .read_to_string(&mut text)
                .unwrap(),
            false => bytes.as_slice().read_to_string(&mut text).unwrap(),
        };
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub fn inflated(&self, name: &str) -> Vec<u8> {
        let mut all = Vec::new();
        MultiGzDecoder::new(self.bytes.borrow()[name].as_slice())
            .read_to_end(&mut all)
            .unwrap();
        all
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
            .get_mut(&self.1)
            .unwrap()
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
        let before = self.bytes.borrow_mut().insert(name.to_owned(), Vec::new());
        assert!(before.is_none(), "{name} created twice");
        Ok(Box::new(Member(Rc::clone(&self.bytes), name.to_owned())))
    }
}

pub fn read_all(decoder: &mut dyn Decoder) -> (Vec<Event>, Option<String>, Vec<String>) {
    let mut events: Vec<Event> = Vec::new();
    let error = loop {
        match decoder.next_event() {
            Ok(Some(event)) => {
                assert_eq!(events.is_empty(), matches!(event.body, Body::Start(_)));
                assert!(
                    events
                        .last()
                        .is_none_or(|last| last.at_ns <= event.at_ns && last.seq + 1 == event.seq)
                );
                events.push(event);
            }
            Ok(None) => break None,
            Err(e) => break Some(e.to_string()),
        }
    };
    assert!(matches!(decoder.next_event(), Ok(None)));
    (events, error, decoder.take_notices())
}

pub fn read(inputs: &dyn Inputs) -> (Vec<Event>, Option<String>, Vec<String>) {
    read_all(&mut ClassicDecoder::new(inputs, import()))
}

pub fn write_to(encoder: &mut dyn Encoder, events: &[Event]) {
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder.event(event).unwrap(),
        }
    }
    encoder.end().unwrap();
}

pub fn write(events: &[Event]) -> Files {
    let mut files = Files::default();
    write_to(&mut ClassicEncoder::new(Box::new(files.clone())), events);
    files.names = files.bytes.borrow().keys().cloned().collect();
    files
}

/// Through our own format.
pub fn ours(events: &[Event]) -> Vec<Event> {
    let mut out = Vec::new();
    write_to(
        Format::Hansard.encoder(&mut out, key()).unwrap().as_mut(),
        events,
    );
    read_all(
        Format::Hansard
            .decoder(out.as_slice(), import())
            .unwrap()
            .as_mut(),
    )
    .0
}

pub fn sample_bytes() -> Vec<u8> {
    let path = format!(
        "{}/tests/data/teleport/classic.tar",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(path).unwrap()
}

pub fn sample() -> Files {
    let tar = TarInputs::new(Arc::new(sample_bytes())).unwrap();
    let mut files = Files::default();
    for name in tar.names().unwrap() {
        let mut bytes = Vec::new();
        tar.open(Part::Inside(name))
            .unwrap()
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        files = files.with(name, &bytes);
    }
    files
}

/// Everything the files of a recording say: lines as values, bytes as they are.
pub fn said(files: &Files) -> BTreeMap<String, Vec<Json>> {
    let events = files
        .names
        .iter()
        .filter(|name| name.ends_with("events.gz"));
    events
        .map(|name| (name.clone(), files.lines(name)))
        .collect()
}
