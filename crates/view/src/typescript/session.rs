//! The session that a typescript's first line and the facts in its timing describe.

use hansard_core::{Body, Session, Value};

use super::{HEADER_FIELD, HEADERS, Place, date, head};
use crate::import::Import;
use crate::limits::SCREEN_DEFAULT;

/// What is known of a session before its first byte.
pub(super) struct Described {
    pub(super) session: Session,
    pub(super) size: Option<Body>,
    pub(super) notices: Vec<String>,
}

/// Facts of the header, by the names that script gives them.
pub(super) type Facts = Vec<(&'static str, Vec<u8>)>;

/// The session of these facts. Where the timing says something, the first line adds nothing but
/// the date: script writes both from the same facts, and those of the timing are not quoted.
pub(super) fn describe(first_line: Option<&[u8]>, timing: Facts, import: &Import) -> Described {
    let mut session = import.session("typescript");
    let mut notices = Vec::new();
    let line = first_line.map(head::read).unwrap_or_default();
    let said = if timing.is_empty() {
        line.named
    } else {
        timing
    };
    let mut facts = Facts::new();
    for (name, value) in said {
        let place = HEADERS.iter().find(|(known, _)| *known == name);
        if place.is_some_and(|(_, place)| *place == Place::Size) && size(&value).is_none() {
            notices.push(format!("{name} is no number from 0 to 65535: left out"));
        } else {
            facts.push((name, value));
        }
    }
    let said = facts.iter().find(|(name, _)| *name == "START_TIME");
    let said = said.map_or(line.date.as_slice(), |(_, value)| value);
    match date::parse(said) {
        Some(moment) => {
            session.start_utc_ns = moment.seconds.saturating_mul(1_000_000_000);
            if !moment.zoned {
                notices.push("the date names no time zone: taken for UTC".to_owned());
            }
        }
        None => notices.push("no date that can be read: when it began is not known".to_owned()),
    }
    if let Some(line) = first_line {
        session
            .target
            .push(HEADER_FIELD, Value::from_os_bytes(line));
    }
    let mut sizes = [None, None];
    for (name, value) in facts {
        let place = HEADERS.iter().find(|(known, _)| *known == name);
        match place.map(|(_, place)| *place) {
            Some(Place::Origin(field)) => session.origin.push(field, Value::from_os_bytes(&value)),
            Some(Place::Target(field)) => session.target.push(field, Value::from_os_bytes(&value)),
            Some(Place::Size) | None => {
                let [cols, rows] = &mut sizes;
                *(if name == "COLUMNS" { cols } else { rows }) = size(&value);
            }
        }
    }
    Described {
        session,
        size: first_size(sizes),
        notices,
    }
}

fn size(value: &[u8]) -> Option<u16> {
    u16::try_from(crate::seconds::number(value)?).ok()
}

fn first_size(sizes: [Option<u16>; 2]) -> Option<Body> {
    let (default_cols, default_rows) = SCREEN_DEFAULT;
    match sizes {
        [None, None] => None,
        [cols, rows] => Some(Body::Resize {
            cols: cols.unwrap_or(default_cols),
            rows: rows.unwrap_or(default_rows),
        }),
    }
}
