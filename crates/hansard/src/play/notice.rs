//! What happens in a recording besides pictures, in words for the line at the bottom.

use std::time::Duration;

use hansard_core::event::{End, Gap};
use hansard_core::reader::Tail;
use hansard_core::{Body, Event};
use hansard_view::escape_for_humans;

use crate::moment;

/// How long something stands there.
const SHORT: Duration = Duration::from_secs(4);
/// How long something important stands there.
const LONG: Duration = Duration::from_secs(10);

/// Longest text from a recording in a notice, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// Something to say, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) until: Duration,
    /// It must be read: nothing of less weight takes its place while it stands there.
    pub(super) weighty: bool,
}

impl Notice {
    pub(super) fn short(text: impl Into<String>, now: Duration) -> Self {
        Self {
            text: text.into(),
            until: now + SHORT,
            weighty: false,
        }
    }

    pub(super) fn long(text: impl Into<String>, now: Duration) -> Self {
        Self {
            text: text.into(),
            until: now + LONG,
            weighty: true,
        }
    }
}

/// Text from a recording, made harmless and cut.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(TEXT_CHARS_MAX).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("“{}{more}”", escape_for_humans(&cut))
}

/// What there is to say about an event, if anything.
pub(super) fn of(event: &Event, now: Duration) -> Option<Notice> {
    match &event.body {
        Body::Mark { label } if label.is_empty() => Some(Notice::short("marker", now)),
        Body::Mark { label } => Some(Notice::short(format!("marker {}", quoted(label)), now)),
        Body::Gap(gap) => Some(Notice::long(of_gap(gap, event.at_ns), now)),
        // The first one is the size it began with.
        Body::Resize { cols, rows } if event.seq > 1 => Some(Notice::short(
            format!("the terminal has {cols}×{rows} from here on"),
            now,
        )),
        _ => None,
    }
}

fn of_gap(gap: &Gap, at_ns: u64) -> String {
    let lost = match (gap.bytes, gap.bytes_max) {
        (Some(bytes), _) => moment::bytes(bytes),
        (None, Some(max)) => format!("at most {}", moment::bytes(max)),
        (None, None) => "an unknown amount".to_owned(),
    };
    let (from, to) = (moment::show(gap.from_ns), moment::show(at_ns));
    let cause = if gap.cause.is_empty() {
        String::new()
    } else {
        format!(": {}", quoted(&gap.cause))
    };
    format!("GAP {from}–{to}, {lost} missing{cause}")
}

fn of_end(end: &End) -> String {
    let how = match (end.exit_status, &end.signal) {
        (Some(status), _) => format!(", exit status {status}"),
        (None, Some(signal)) => format!(", signal {}", quoted(signal)),
        (None, None) => String::new(),
    };
    let reason = if end.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", quoted(&end.reason))
    };
    format!("the session ended{reason}{how}")
}

/// How the recording ends, given its last event.
pub(super) fn of_the_end(last: Option<&Event>, tail: Option<Tail>) -> String {
    match (last.map(|event| &event.body), tail) {
        (Some(Body::End(end)), _) => of_end(end),
        (_, Some(Tail::Torn { .. })) => "cut off here; --follow waits for more".to_owned(),
        _ => "unfinished, it ends here; --follow waits for more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: Body) -> String {
        let event = Event {
            seq: 5,
            at_ns: 12_000_000_000,
            body,
        };
        of(&event, Duration::ZERO).map_or_else(String::new, |notice| notice.text)
    }

    #[test]
    fn events_in_words() {
        let gap = Gap {
            cause: "disk full".into(),
            from_ns: 10_000_000_000,
            bytes: Some(1_250_000),
            ..Gap::default()
        };
        assert_eq!(
            said(Body::Gap(gap)),
            "GAP 0:10–0:12, 1.2 MB missing: “disk full”"
        );
        assert_eq!(
            said(Body::Gap(Gap::default())),
            "GAP 0:00–0:12, an unknown amount missing"
        );
        let end = End {
            reason: "exited".into(),
            exit_status: Some(3),
            signal: None,
        };
        let last = Event {
            seq: 9,
            at_ns: 0,
            body: Body::End(end),
        };
        assert_eq!(
            of_the_end(Some(&last), Some(Tail::Complete)),
            "the session ended: “exited”, exit status 3"
        );
        assert!(of_the_end(None, Some(Tail::NoEnd)).contains("unfinished"));
        assert_eq!(
            said(Body::Resize {
                cols: 100,
                rows: 30
            }),
            "the terminal has 100×30 from here on"
        );
    }

    #[test]
    fn labels_cannot_do_anything() {
        let text = said(Body::Mark {
            label: "\x1b]52;c;eA==\x07\u{202e}".repeat(100),
        });
        assert!(text.starts_with("marker “\\u{1b}]52"), "{text}");
        assert!(
            text.chars().all(|c| !c.is_control()) && text.ends_with("…”"),
            "{text}"
        );
    }
}
