//! The text of one session as one reads it: the lines that stood on its screen, in the order in which
//! they came, a page at a time from any moment, on or back.
//!
//! Blocks are in the order in which lines were over, not in which they came: what stands at the top of a
//! screen for an hour is told after what ran through below it. So lines are asked for by stretches of
//! time, which the index knows of each block, and a stretch grows until it has a page.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use hansard_core::SessionId;
use hansard_view::text::What;

use super::block::Entry;
use super::{Block, Index, IndexError, Scope, any, load_any};

/// The first stretch in which lines are looked for, nanoseconds: what is printed at full speed is a
/// lot within it.
const STRETCH_NS: u64 = 1_000_000_000;

/// How much longer each further stretch is.
const STRETCH_GROWTH: u64 = 4;

/// Blocks that are read for one page at most; with more it says that it gave up. All of a session's
/// text is a third of that, so only a session with millions of events comes near.
pub const LINES_BLOCKS_MAX: usize = 32 * 1024;

/// Where a line stands in its session: by the moment at which it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LinePlace {
    /// When it, or its beginning, came to be there: nanoseconds since the session's start.
    pub at_ns: u64,
    /// Number of its block.
    pub block: u32,
    /// Which of the block's texts.
    pub entry: u32,
    /// Which of the times at which that was there.
    pub time: u32,
}

impl LinePlace {
    /// Before everything of this moment.
    #[must_use]
    pub fn before(at_ns: u64) -> Self {
        Self {
            at_ns,
            ..Self::default()
        }
    }

    /// As a text that says nothing to others.
    #[must_use]
    pub fn cursor(self) -> String {
        let Self {
            at_ns,
            block,
            entry,
            time,
        } = self;
        format!("{at_ns}.{block}.{entry}.{time}")
    }

    /// The place that [`LinePlace::cursor`] wrote.
    #[must_use]
    pub fn of_cursor(cursor: &str) -> Option<Self> {
        let mut parts = cursor.split('.');
        let place = Self {
            at_ns: parts.next()?.parse().ok()?,
            block: parts.next()?.parse().ok()?,
            entry: parts.next()?.parse().ok()?,
            time: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(place)
    }
}

/// A line that stood on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub place: LinePlace,
    /// When all of it was there, nanoseconds since the session's start.
    pub whole_ns: u64,
    /// Up to when it was there.
    pub until_ns: u64,
    /// The line.
    pub text: String,
    /// Whether some of it was printed concealed.
    pub is_concealed: bool,
    /// Whether some of it had the colour of its ground.
    pub is_blended: bool,
    /// Whether it is a piece of a longer line.
    pub is_cut: bool,
}

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Of which session.
    pub session: SessionId,
    /// From this place on, itself included; backward: before it.
    pub edge: LinePlace,
    /// Whether back from there.
    pub is_backward: bool,
    /// So many at most, at least one.
    pub limit: usize,
}

/// A page of a session's lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// Those that are nearest to the edge, in the order asked for.
    pub lines: Vec<Line>,
    /// The edge of the next page in the same direction; `None` where this was all.
    pub next: Option<LinePlace>,
    /// Whether text of the session was left out of the index.
    pub is_capped: bool,
    /// Whether all of the session's text is in the index for good.
    pub is_whole: bool,
    /// Whether there was too much to read, so that lines may be missing here.
    pub is_tired: bool,
}

/// Reads a page of a session's lines.
///
/// # Errors
/// As [`Index::look`].
pub fn lines(index: &dyn Index, wish: &Wish) -> Result<Lines, IndexError> {
    let Some(start_utc_ns) = start_of(index, wish.session)? else {
        return Ok(Lines::default());
    };
    let mut stretch_ns = STRETCH_NS;
    loop {
        let mut page = Page::new(wish, start_utc_ns, stretch_ns);
        page.read(index)?;
        if page.is_full() || page.is_everything || page.is_tired {
            let is_whole = index.kept(wish.session)?.is_whole;
            return Ok(page.finish(is_whole));
        }
        stretch_ns = stretch_ns.saturating_mul(STRETCH_GROWTH);
    }
}

/// When the session began, as its blocks say; `None` where the index has none of it.
fn start_of(index: &dyn Index, session: SessionId) -> Result<Option<u64>, IndexError> {
    let mut scope = Scope::default();
    scope.bounds.session = Some(session);
    let mut start = None;
    index.look(&scope, None, &any, &mut |_, load| {
        start = Some(load_any(load)?.whose.start_utc_ns);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(start)
}

/// A page that is being read.
struct Page<'w> {
    wish: &'w Wish,
    scope: Scope,
    /// Lines that came then: not before the first, before the second.
    from: LinePlace,
    until: LinePlace,
    /// Whether the stretch goes as far as the session can.
    is_everything: bool,
    /// One more than is wanted at most, which says whether there is more.
    lines: BTreeMap<LinePlace, Line>,
    blocks: usize,
    is_capped: bool,
    is_tired: bool,
}

impl<'w> Page<'w> {
    fn new(wish: &'w Wish, start_utc_ns: u64, stretch_ns: u64) -> Self {
        let at_ns = wish.edge.at_ns;
        let mut scope = Scope::default();
        scope.bounds.session = Some(wish.session);
        let utc = |ns: u64| start_utc_ns.saturating_add(ns);
        let (from, until, is_everything) = if wish.is_backward {
            let from_ns = at_ns.saturating_sub(stretch_ns);
            scope.bounds.until_ns = utc(at_ns).checked_add(1);
            (LinePlace::before(from_ns), wish.edge, from_ns == 0)
        } else {
            let until_ns = at_ns.saturating_add(stretch_ns);
            let is_everything = utc(until_ns) == u64::MAX || stretch_ns > YEARS_NS;
            let until = match is_everything {
                true => LinePlace::before(u64::MAX),
                false => LinePlace::before(until_ns),
            };
            scope.bounds.until_ns = (!is_everything).then_some(utc(until_ns));
            (wish.edge, until, is_everything)
        };
        scope.bounds.since_ns = Some(utc(from.at_ns));
        Self {
            wish,
            scope,
            from,
            until,
            is_everything,
            lines: BTreeMap::new(),
            blocks: 0,
            is_capped: false,
            is_tired: false,
        }
    }

    fn read(&mut self, index: &dyn Index) -> Result<(), IndexError> {
        let scope = std::mem::take(&mut self.scope);
        index.look(&scope, None, &any, &mut |_, load| {
            if self.blocks >= LINES_BLOCKS_MAX {
                self.is_tired = true;
                return Ok(ControlFlow::Break(()));
            }
            self.blocks += 1;
            let block = load_any(load)?;
            self.take(&block);
            Ok(ControlFlow::Continue(()))
        })
    }

    fn take(&mut self, block: &Block) {
        self.is_capped |= block.is_capped;
        for (number, (entry, text)) in block.entries().enumerate() {
            if entry.what != What::Shown {
                continue;
            }
            for (time, span) in entry.spans.iter().enumerate() {
                let place = LinePlace {
                    at_ns: span.first_ns,
                    block: block.number,
                    entry: u32::try_from(number).unwrap_or(u32::MAX),
                    time: u32::try_from(time).unwrap_or(u32::MAX),
                };
                if place >= self.from && place < self.until && self.has_room(place) {
                    self.lines.insert(place, line(entry, text, place));
                }
            }
        }
    }

    /// Whether a line belongs to the page as far as it is known; another one leaves it then.
    fn has_room(&mut self, place: LinePlace) -> bool {
        if self.lines.len() <= self.wish.limit {
            return true;
        }
        let farthest = match self.wish.is_backward {
            true => self.lines.first_key_value(),
            false => self.lines.last_key_value(),
        };
        let Some((&farthest, _)) = farthest else {
            return true;
        };
        let is_nearer = match self.wish.is_backward {
            true => place > farthest,
            false => place < farthest,
        };
        if is_nearer {
            self.lines.remove(&farthest);
        }
        is_nearer
    }

    fn is_full(&self) -> bool {
        self.lines.len() > self.wish.limit
    }

    fn finish(self, is_whole: bool) -> Lines {
        let (limit, is_backward) = (self.wish.limit, self.wish.is_backward);
        let mut lines: Vec<Line> = self.lines.into_values().collect();
        if is_backward {
            lines.reverse();
        }
        // Forward the next page begins with the line behind this one; backward it ends before the last.
        let next = match (lines.len() > limit, is_backward) {
            (false, _) => None,
            (true, false) => lines.get(limit).map(|line| line.place),
            (true, true) => lines.get(limit.saturating_sub(1)).map(|line| line.place),
        };
        lines.truncate(limit);
        Lines {
            lines,
            next,
            is_capped: self.is_capped,
            is_whole,
            is_tired: self.is_tired,
        }
    }
}

/// Longer than any session: a stretch of this is all there is.
const YEARS_NS: u64 = 10 * 366 * 86_400 * 1_000_000_000;

fn line(entry: &Entry, text: &str, place: LinePlace) -> Line {
    let span = entry.spans.get(place.time as usize);
    // How it grew is known of the first time only.
    let grown = entry.moment(text.chars().count(), 0, u64::MAX);
    let whole_ns = match (place.time, grown) {
        (0, Some((at_ns, _))) => at_ns.max(place.at_ns),
        _ => place.at_ns,
    };
    Line {
        place,
        whole_ns,
        until_ns: span.map_or(whole_ns, |span| span.last_ns.max(whole_ns)),
        text: text.to_owned(),
        is_concealed: entry.is_concealed,
        is_blended: entry.is_blended,
        is_cut: entry.is_cut,
    }
}

#[cfg(test)]
mod tests;
