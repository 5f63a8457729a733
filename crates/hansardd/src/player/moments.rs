//! Moments of a recording: the screen, what changes behind it, where something stood.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use hansard_core::Body;
use hansard_view::Indexed;
use hansard_view::index::IndexError;
use hansard_view::picture::{Change, Picture};
use hansard_view::search::Search;

use crate::api::player::{Finding, Found, Stretch};

/// Least time between two frames, nanoseconds: faster than that nobody sees.
const FRAME_NS: u64 = 33_000_000;

/// What a stretch of frames may weigh, about bytes of its answer; it ends there.
const STRETCH_WEIGHT_MAX: usize = 512 * 1024;

/// Events of a stretch; it ends there.
const STRETCH_EVENTS_MAX: u64 = 100_000;

/// Bytes of output in a stretch; it ends there. They take the emulator some hundredths of a second.
const STRETCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What one answer to who searches may come to. Whoever goes on does so by whole milliseconds, so that
/// the one in which there is enough is searched to its end first; somebody may have made one without end.
#[derive(Clone, Copy)]
pub(super) struct Enough {
    /// Findings.
    pub(super) findings: usize,
    /// How long it is searched.
    pub(super) lasts: Duration,
    /// About bytes of the answer; then what is left of the millisecond is left out.
    pub(super) weight_most: usize,
    /// How long it is searched at most; then the same.
    pub(super) lasts_most: Duration,
}

/// What an answer comes to.
pub(super) const ENOUGH: Enough = Enough {
    findings: 200,
    lasts: Duration::from_secs(5),
    weight_most: 1024 * 1024,
    lasts_most: Duration::from_secs(10),
};

/// A millisecond, as moments are asked for.
const MS_NS: u64 = 1_000_000;

/// Events between two looks at the clock while searching.
const SEARCH_STEP: usize = 1000;

/// The screen at a moment, and what changes up to another.
pub(super) fn stretch(
    indexed: &Indexed,
    from_ns: u64,
    until_ns: u64,
) -> Result<Stretch, IndexError> {
    let mut replay = indexed.seek_once(from_ns)?;
    let mut picture = Picture::default();
    let mut found = Stretch {
        until_ns,
        ..Stretch::default()
    };
    found.frames.extend(
        picture
            .change(replay.screen())
            .map(|change| (from_ns, change)),
    );
    let (mut weight, mut events, mut bytes) = (0, 0, 0usize);
    let (mut is_ahead, mut painted_ns) = (false, from_ns);
    while let Some(next) = replay.peek()? {
        let next_ns = next.at_ns;
        let is_over = next_ns > until_ns;
        let is_full =
            weight > STRETCH_WEIGHT_MAX || events > STRETCH_EVENTS_MAX || bytes > STRETCH_BYTES_MAX;
        if is_ahead && (is_over || is_full || next_ns >= painted_ns.saturating_add(FRAME_NS)) {
            is_ahead = false;
            painted_ns = replay.at_ns();
            if let Some(change) = picture.change(replay.screen()) {
                weight = weight.saturating_add(weigh(&change));
                found.frames.push((painted_ns, change));
            }
        }
        if is_over || is_full {
            found.next_ns = Some(next_ns);
            // Whoever goes on from here is given the screen behind all events of that moment.
            found.until_ns = if is_over { until_ns } else { replay.at_ns() };
            found.damages = replay.damages_count();
            return Ok(found);
        }
        let before = replay.screen().work();
        let event = replay.advance()?;
        events += 1;
        bytes = bytes.saturating_add(made(replay.screen().work().saturating_sub(before)));
        match event.map(|event| event.body) {
            Some(Body::Data {
                stream,
                bytes: shown,
            }) if stream.is_shown() => {
                bytes = bytes.saturating_add(shown.len());
                is_ahead = true;
            }
            Some(Body::Resize { .. }) => is_ahead = true,
            _ => {}
        }
    }
    if is_ahead && let Some(change) = picture.change(replay.screen()) {
        found.frames.push((replay.at_ns(), change));
    }
    found.damages = replay.damages_count();
    Ok(found)
}

/// What an emulator made of some bytes of a sequence, which counts like as many bytes.
fn made(work: u64) -> usize {
    usize::try_from(work).unwrap_or(usize::MAX)
}

/// About how many bytes of an answer a change takes.
fn weigh(change: &Change) -> usize {
    let runs = change.rows.iter().flat_map(|(_, runs)| runs);
    runs.map(|run| run.text.len().saturating_add(24))
        .sum::<usize>()
        + 64
}

/// Rows that come to hold this text.
pub(super) fn find(indexed: &Indexed, needle: &str, from_ns: u64) -> Result<Found, IndexError> {
    find_enough(indexed, needle, from_ns, ENOUGH)
}

/// The same, as far as that is enough.
pub(super) fn find_enough(
    indexed: &Indexed,
    needle: &str,
    from_ns: u64,
    enough: Enough,
) -> Result<Found, IndexError> {
    let mut search = match from_ns {
        0 => Search::from_start(indexed, needle, u64::MAX),
        from_ns => Search::behind(indexed.seek_once(from_ns)?, needle, from_ns, u64::MAX),
    };
    let (began, mut found, mut weight) = (Instant::now(), Found::default(), 0usize);
    loop {
        match search.next_match_within(SEARCH_STEP)? {
            ControlFlow::Break(None) => break,
            ControlFlow::Break(Some(one)) => {
                weight = weight.saturating_add(one.text.len()).saturating_add(64);
                found.findings.push(Finding {
                    at_ns: one.at_ns,
                    row: one.row.map(|row| row as u64),
                    text: one.text,
                });
            }
            ControlFlow::Continue(()) => {}
        }
        let lasted = began.elapsed();
        let is_enough = found.findings.len() >= enough.findings || lasted >= enough.lasts;
        if is_enough && found.until_ns.is_none() {
            // Who asks from 0 on is given what is there at 0, too: that is no place to go on from.
            let ms = search.at_ns().div_ceil(MS_NS).max(1);
            search.end_at(ms.saturating_mul(MS_NS));
            found.until_ns = Some(ms.saturating_mul(MS_NS));
        }
        if is_enough && (weight >= enough.weight_most || lasted >= enough.lasts_most) {
            found.has_left_out = true;
            break;
        }
    }
    found.has_left_out |= search.has_left_out();
    found.damages = search.damages_count();
    Ok(found)
}
