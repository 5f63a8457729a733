//! Recordings to send.

use hansard_core::event::{End, Stream};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Part, Policy, SessionId};
use hansard_record::sim::Rng;

/// The parts of a recording with several segments and frames of several sizes, signed by this key;
/// the same for the same seed.
pub(crate) fn recording(key: &SigningKey, id: SessionId, seed: u64, events: u64) -> Vec<Part> {
    let session = Session {
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
    };
    let bounds = Bounds {
        frame_bytes: 4096,
        frame_events: 16,
        segment_bytes: 16 * 1024,
        ..Bounds::default()
    };
    let mut rng = Rng::new(seed);
    let mut writer = SegmentWriter::new(session, key.clone(), bounds).unwrap();
    for at in 0..events {
        let mut bytes = vec![0; rng.up_to(900).max(1)];
        bytes
            .iter_mut()
            .for_each(|b| *b = rng.next_u64().to_le_bytes()[0]);
        writer
            .push_data(at * 1_000_000, Stream::Output, &bytes)
            .unwrap();
    }
    writer.finish(events * 1_000_000, &End::default()).unwrap();
    writer.parts()
}

/// A session's name.
pub(crate) fn id(n: u8) -> SessionId {
    SessionId::new_v7(1_700_000_000_000, [n; 10])
}
