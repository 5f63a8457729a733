//! A recording at a glance: when something was shown, when nothing was, what else happened.

use hansard_core::event::Fact;
use hansard_core::reader::{Damage, Item, Reader};
use hansard_core::{Body, Event, Value};
use hansard_view::index::{Index, IndexError};
use hansard_view::source::{Cursor, Source};

use crate::api::player::{Damaged, Happening, Timeline};

/// Parts of the duration for which output is counted.
const PARTS: u64 = 600;

/// Shortest stretch that counts as idle, nanoseconds (2 s).
const IDLE_NS: u64 = 2_000_000_000;

/// Idle stretches that are listed; further ones are played as they were.
const IDLE_MAX: usize = 5000;

/// Happenings that are listed; further ones are counted.
const HAPPENINGS_MAX: usize = 5000;

/// Longest label, characters; a longer one is cut.
const LABEL_CHARS_MAX: usize = 200;

/// Lanes in which happenings are shown.
pub(super) const LANES: [&str; 8] = [
    "commands",
    "files",
    "connections",
    "transfers",
    "requests",
    "others",
    "marks",
    "gaps",
];

/// Goes through the whole recording once, without a screen.
pub(super) fn survey(
    recording: &Source,
    index: &Index,
    is_stopping: &dyn Fn() -> bool,
) -> Result<Timeline, IndexError> {
    let mut timeline = Timeline {
        duration_ns: index.last_ns(),
        is_whole: index.is_complete(),
        output: vec![0; usize::try_from(PARTS).unwrap_or_default()],
        damages: index.damages(),
        ..Timeline::default()
    };
    let mut place = Place::default();
    let mut reader = Reader::new(Cursor::new(recording.clone(), 0));
    loop {
        match reader.next_item()? {
            Item::Frame(_) if is_stopping() => return Err(IndexError::BrokenOff),
            Item::Frame(frame) => {
                for event in &frame.events {
                    timeline.take(event, &mut place);
                }
            }
            Item::End(_) => break,
            Item::Seal(_) => {}
            Item::Damage(damage) => timeline.pass_over(&damage, &mut place),
        }
    }
    let end_ns = timeline.duration_ns;
    if !place.is_behind_damage {
        timeline.note_idle(place.shown_ns, end_ns);
    }
    Ok(timeline)
}

/// What is shown of a recording at a glance that a check found damaged: no less than the check found, and
/// where reading alone shows nothing of that, what it is.
pub(super) fn behind(mut timeline: Timeline, damaged: &Damaged) -> Timeline {
    if timeline.damages == 0 {
        let label = format!("a check found it damaged: {}", damaged.what);
        timeline.list(Happening {
            at_ns: timeline.duration_ns,
            seq: timeline.happenings.last().map_or(0, |last| last.seq),
            lane: "gaps",
            label: label.chars().take(LABEL_CHARS_MAX).collect(),
        });
    }
    timeline.damages = timeline.damages.max(damaged.places);
    timeline
}

/// Where a survey stands.
#[derive(Default)]
struct Place {
    /// Time of the last event, and the number that the next one has if nothing is missing.
    at_ns: u64,
    next_seq: u64,
    /// When something was shown last, or what was shown is known again.
    shown_ns: u64,
    /// Whether nothing was read since something was passed over.
    is_behind_damage: bool,
}

impl Timeline {
    fn take(&mut self, event: &Event, place: &mut Place) {
        if std::mem::take(&mut place.is_behind_damage) {
            // What was shown meanwhile is not known: nobody skips that as idle.
            place.shown_ns = event.at_ns;
        }
        (place.at_ns, place.next_seq) = (event.at_ns, event.seq.saturating_add(1));
        match &event.body {
            Body::Data { stream, bytes } if stream.is_shown() => {
                self.note_idle(place.shown_ns, event.at_ns);
                place.shown_ns = event.at_ns;
                // A recording of no duration has one part.
                let part = event.at_ns.saturating_mul(PARTS) / self.duration_ns.saturating_add(1);
                let part = usize::try_from(part).unwrap_or(usize::MAX);
                if let Some(count) = self.output.get_mut(part) {
                    *count = count.saturating_add(bytes.len() as u64);
                }
            }
            _ => {
                if let Some(one) = happening(event) {
                    self.list(one);
                }
            }
        }
    }

    /// Notes that a recording is damaged behind what was read last: a gap like any other, whoever looks.
    fn pass_over(&mut self, damage: &Damage, place: &mut Place) {
        if !std::mem::replace(&mut place.is_behind_damage, true) {
            self.note_idle(place.shown_ns, place.at_ns);
        }
        self.list(Happening {
            at_ns: place.at_ns,
            seq: place.next_seq,
            lane: "gaps",
            label: damage.to_string().chars().take(LABEL_CHARS_MAX).collect(),
        });
    }

    fn list(&mut self, one: Happening) {
        if self.happenings.len() < HAPPENINGS_MAX {
            self.happenings.push(one);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    fn note_idle(&mut self, from_ns: u64, until_ns: u64) {
        if until_ns.saturating_sub(from_ns) >= IDLE_NS && self.idle.len() < IDLE_MAX {
            self.idle.push((from_ns, until_ns));
        }
    }
}

/// What is shown of an event in a lane; nothing of bytes, sizes and clocks.
pub(crate) fn happening(event: &Event) -> Option<Happening> {
    let (lane, label) = match &event.body {
        Body::Command(fact) | Body::Process(fact) => ("commands", label(fact)),
        Body::File(fact) => ("files", label(fact)),
        Body::Network(fact) | Body::Channel(fact) => ("connections", label(fact)),
        Body::Transfer(fact) => ("transfers", label(fact)),
        Body::Request(fact) => ("requests", label(fact)),
        Body::Auth(fact) | Body::Admin(fact) => ("others", label(fact)),
        Body::Mark { label } => ("marks", label.clone()),
        Body::Gap(gap) => ("gaps", gap.cause.clone()),
        _ => return None,
    };
    Some(Happening {
        at_ns: event.at_ns,
        seq: event.seq,
        lane,
        label: label.chars().take(LABEL_CHARS_MAX).collect(),
    })
}

/// The event's name, and what it says of itself. What is withheld from the event log is withheld here.
fn label(fact: &Fact) -> String {
    let mut words = fact.event.clone();
    for (name, value) in fact.fields.iter() {
        let value = match value {
            Value::Text(text) => text.clone(),
            Value::Uint(number) => number.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::List(values) => {
                let texts = values.iter().filter_map(|value| match value {
                    Value::Text(text) => Some(text.as_str()),
                    _ => None,
                });
                texts.collect::<Vec<_>>().join(" ")
            }
            Value::Bytes(_) => continue,
        };
        if is_secret(name) || words.len() > 4 * LABEL_CHARS_MAX {
            continue;
        }
        words.push_str(&format!(" {name}={value}"));
    }
    words
}

fn is_secret(name: &str) -> bool {
    ["password", "secret", "token", "message"]
        .iter()
        .any(|word| name.contains(word))
}
