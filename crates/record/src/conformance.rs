//! What every sink must do, as a suite that any implementation can be put through.

use hansard_core::event::{End, Stream};
use hansard_core::frame::{Frame, Part};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Policy, Seal, SessionId, Sink, SinkError};

use crate::sim::Rng;

/// Answers the stored bytes of a session's recording.
pub type Stored<'a> = Box<dyn FnMut(SessionId) -> Vec<u8> + 'a>;

/// A sink under test and a way to see what it holds.
pub struct Subject<'a> {
    /// An empty sink.
    pub sink: Box<dyn Sink + 'a>,
    /// Looks into it.
    pub stored: Stored<'a>,
    /// Whether it takes more than one session.
    pub many_sessions: bool,
}

/// A rule: what it is called, and the function that tries it on an empty sink.
type Rule = (&'static str, fn(&mut Subject<'_>) -> Result<(), String>);

/// The rules, in the words of the contract.
const RULES: [Rule; 7] = [
    ("parts in order are kept in order", keeps_order),
    (
        "parts together are the same as parts one by one",
        takes_batches,
    ),
    ("nothing to put is put", takes_nothing),
    (
        "the very same part again succeeds and changes nothing",
        repeats,
    ),
    (
        "other bytes for a taken place are a conflict and change nothing",
        conflicts,
    ),
    (
        "a part whose predecessor is missing is not taken",
        keeps_gaps_out,
    ),
    ("sessions do not touch each other", separates_sessions),
];

/// Puts fresh sinks through every rule.
///
/// # Errors
/// The first rule that is broken, and how.
pub fn check<'a>(mut fresh: impl FnMut() -> Subject<'a>) -> Result<(), String> {
    for (name, rule) in RULES {
        rule(&mut fresh()).map_err(|how| format!("{name}: {how}"))?;
    }
    Ok(())
}

/// The parts of a small recording with several segments and frames of several sizes, the same for
/// the same number.
///
/// # Errors
/// What the writer says.
pub fn sample_parts(number: u8) -> Result<Vec<Part>, String> {
    let key = SigningKey::from_seed([number; 32]);
    let session = Session {
        id: SessionId::from_bytes([number; 16]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "alice"),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "conformance".to_owned(),
    };
    let bounds = Bounds {
        frame_bytes: 2048,
        frame_events: 16,
        segment_bytes: 8192,
        ..Bounds::default()
    };
    let mut rng = Rng::new(u64::from(number));
    let mut writer = SegmentWriter::new(session, key, bounds).map_err(|e| e.to_string())?;
    for i in 0..200u64 {
        let mut bytes = vec![0u8; rng.up_to(600).max(1)];
        bytes
            .iter_mut()
            .for_each(|b| *b = rng.next_u64().to_le_bytes()[0]);
        writer
            .push_data(i * 1_000_000, Stream::Output, &bytes)
            .map_err(|e| e.to_string())?;
    }
    writer
        .finish(200_000_000, &End::default())
        .map_err(|e| e.to_string())?;
    Ok(writer.parts())
}

fn bytes_of(parts: &[Part]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| part.bytes().iter().copied())
        .collect()
}

fn must_put(subject: &mut Subject<'_>, parts: &[Part]) -> Result<(), String> {
    subject
        .sink
        .put(parts)
        .map(drop)
        .map_err(|e| format!("{e:?}"))
}

fn must_hold(subject: &mut Subject<'_>, parts: &[Part]) -> Result<(), String> {
    let Some(session) = parts.first().map(Part::session) else {
        return Ok(());
    };
    let (stored, wanted) = ((subject.stored)(session), bytes_of(parts));
    if stored == wanted {
        return Ok(());
    }
    Err(format!(
        "{} bytes are stored, not the {} that were put",
        stored.len(),
        wanted.len()
    ))
}

/// The same part with one bit changed.
fn altered(part: &Part) -> Part {
    let mut bytes = part.bytes().to_vec();
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    match part {
        Part::Frame(frame) => Part::Frame(Frame {
            bytes,
            ..frame.clone()
        }),
        Part::Seal(seal) => Part::Seal(Seal {
            bytes,
            ..seal.clone()
        }),
    }
}

fn keeps_order(subject: &mut Subject<'_>) -> Result<(), String> {
    let parts = sample_parts(1)?;
    for part in &parts {
        must_put(subject, std::slice::from_ref(part))?;
    }
    must_hold(subject, &parts)
}

fn takes_batches(subject: &mut Subject<'_>) -> Result<(), String> {
    let parts = sample_parts(1)?;
    for batch in parts.chunks(7) {
        must_put(subject, batch)?;
    }
    must_hold(subject, &parts)
}

fn takes_nothing(subject: &mut Subject<'_>) -> Result<(), String> {
    must_put(subject, &[])
}

fn repeats(subject: &mut Subject<'_>) -> Result<(), String> {
    let parts = sample_parts(1)?;
    for (i, part) in parts.iter().enumerate() {
        must_put(subject, std::slice::from_ref(part))?;
        must_put(subject, std::slice::from_ref(part))?;
        let from = i.saturating_sub(9);
        must_put(subject, parts.get(from..=i).unwrap_or_default())?;
    }
    // A batch of which the beginning is there already.
    must_put(subject, &parts)?;
    must_hold(subject, &parts)
}

fn conflicts(subject: &mut Subject<'_>) -> Result<(), String> {
    let parts = sample_parts(1)?;
    let (before, after) = parts.split_at(parts.len() / 2);
    must_put(subject, before)?;
    for (i, part) in before.iter().enumerate() {
        match subject.sink.put(&[altered(part)]) {
            Err(SinkError::Conflict(_)) => {}
            other => return Err(format!("part {i} with other bytes: {other:?}")),
        }
    }
    must_hold(subject, before)?;
    must_put(subject, after)?;
    must_hold(subject, &parts)
}

fn keeps_gaps_out(subject: &mut Subject<'_>) -> Result<(), String> {
    let parts = sample_parts(1)?;
    let (before, after) = parts.split_at(parts.len() / 2);
    must_put(subject, before)?;
    if subject.sink.put(after.get(1..).unwrap_or_default()).is_ok() {
        return Err("parts were taken though one before them is missing".to_owned());
    }
    must_hold(subject, before)
}

fn separates_sessions(subject: &mut Subject<'_>) -> Result<(), String> {
    let (ours, theirs) = (sample_parts(1)?, sample_parts(2)?);
    if !subject.many_sessions {
        must_put(subject, &ours)?;
        if subject.sink.put(&theirs).is_ok() {
            return Err("a sink for one session took another".to_owned());
        }
        return must_hold(subject, &ours);
    }
    for (a, b) in ours.iter().zip(&theirs) {
        must_put(subject, &[a.clone(), b.clone()])?;
    }
    let shared = ours.len().min(theirs.len());
    must_hold(subject, ours.get(..shared).unwrap_or_default())?;
    must_hold(subject, theirs.get(..shared).unwrap_or_default())
}
