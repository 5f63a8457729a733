//! Recordings to send.

use hansard_core::event::{End, Stream};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Part, Policy, SessionId};
use hansard_record::sim::Rng;

/// The parts of a recording with several segments and frames of several sizes, signed by this key;
/// the same for the same seed.
pub(crate) fn recording(key: &SigningKey, id: SessionId, seed: u64, events: u64) -> Vec<Part> {
    let bounds = Bounds {
        frame_bytes: 4096,
        frame_events: 16,
        segment_bytes: 16 * 1024,
        ..Bounds::default()
    };
    let mut rng = Rng::new(seed);
    let mut writer = SegmentWriter::new(session(key, id), key.clone(), bounds).unwrap();
    for at in 0..events {
        let bytes = noise(&mut rng, 900);
        writer
            .push_data(at * 1_000_000, Stream::Output, &bytes)
            .unwrap();
    }
    writer.finish(events * 1_000_000, &End::default()).unwrap();
    writer.parts()
}

/// A recording with frames of nearly a mebibyte among short ones.
pub(crate) fn with_long_frames(key: &SigningKey, id: SessionId) -> Vec<Part> {
    let mut rng = Rng::new(1);
    let bounds = Bounds::default();
    let mut writer = SegmentWriter::new(session(key, id), key.clone(), bounds).unwrap();
    for at in 0..12u64 {
        let letters = if at % 3 == 0 { 10 } else { 900_000 };
        // Six bits of noise in each letter, which nothing compresses further.
        let letter = |n: u64| char::from(b'0' + (n % 64) as u8);
        let label = (0..letters).map(|_| letter(rng.next_u64())).collect();
        writer.push(at, &Body::Mark { label }).unwrap();
        writer.cut().unwrap();
    }
    writer.finish(20, &End::default()).unwrap();
    writer.parts()
}

fn noise(rng: &mut Rng, bytes_max: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.up_to(bytes_max).max(1)];
    bytes
        .iter_mut()
        .for_each(|b| *b = rng.next_u64().to_le_bytes()[0]);
    bytes
}

fn session(key: &SigningKey, id: SessionId) -> Session {
    Session {
        id,
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "alice"),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "transport test".to_owned(),
    }
}

/// A session's name.
pub(crate) fn id(n: u8) -> SessionId {
    SessionId::new_v7(1_700_000_000_000, [n; 10])
}
