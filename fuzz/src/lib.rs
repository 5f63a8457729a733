//! What the fuzz targets share.

pub mod files;
pub mod teleport;

use std::cell::RefCell;
use std::rc::Rc;

use hansard_core::seal::SigningKey;
use hansard_core::{Body, Event, SessionId};
use hansard_view::{Decoder, Encoder, Format, Import, Screen};

/// Most memory a screen of a fuzzed size may need to be worth the time: larger ones are made this
/// large, so that the fuzzer spends its time on what is fed.
pub const SIDE_MAX: u16 = 120;

/// The importer of fuzzed files.
pub fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [8; 10]),
        start_utc_ns: 1_600_000_000_000_000_000,
        recorder: "fuzz".to_owned(),
        rec: None,
    }
}

/// The key of fuzzed recordings.
pub fn key() -> SigningKey {
    SigningKey::from_seed([9; 32])
}

/// Reads until the end or an error, checking what every decoder promises: `Start` first and only
/// first, numbers and times in order, nothing after the end.
pub fn read_all(decoder: &mut dyn Decoder) -> (Vec<Event>, bool) {
    let mut events: Vec<Event> = Vec::new();
    let sound = loop {
        match decoder.next_event() {
            Ok(Some(event)) => {
                assert_eq!(events.is_empty(), matches!(event.body, Body::Start(_)));
                if let Some(last) = events.last() {
                    assert!(event.seq > last.seq && event.at_ns >= last.at_ns);
                }
                events.push(event);
            }
            Ok(None) => break true,
            Err(e) => {
                assert!(!e.to_string().is_empty());
                break false;
            }
        }
    };
    assert!(matches!(decoder.next_event(), Ok(None)));
    (events, sound)
}

/// Reads bytes of a format.
pub fn decode(format: Format, bytes: &[u8]) -> (Vec<Event>, bool) {
    let mut decoder = format.decoder(bytes, import()).expect("a readable format");
    read_all(decoder.as_mut())
}

/// Writes events in a format; `None` if the format refuses them.
pub fn encode(format: Format, events: &[Event]) -> Option<Vec<u8>> {
    let out = Shared::default();
    let mut encoder = format.encoder(out.clone(), key()).expect("a format of one file");
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).ok()?,
            _ => encoder.event(event).ok()?,
        }
    }
    encoder.end().ok()?;
    drop(encoder);
    Some(out.0.take())
}

/// A buffer that can be taken back from an encoder.
#[derive(Default, Clone)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A screen whose size comes from two bytes.
pub fn screen(size: [u8; 2]) -> Screen {
    Screen::new(u16::from(size[0]) % SIDE_MAX, u16::from(size[1]) % SIDE_MAX)
}

/// Repeating a character 65,535 times, over and over, is slow in every terminal and finds
/// nothing: the bytes with the counts of such sequences cut to three digits.
pub fn tame(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut digits = 0;
    for byte in bytes {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        if digits <= 3 {
            out.push(*byte);
        }
    }
    out
}
