//! Lines of the screen as they come, grow and go.
//!
//! A line is known by what stands in it and not by where it stands: one that scrolls or is drawn
//! again is the same line, and a line that wraps is one line. It is over when no row of the screen
//! holds it any more. A row whose text only grows (somebody types, a program writes on) is one line
//! that notes when it had how many characters.
//!
//! After each event only rows that the emulator calls dirty are looked at. What was drawn and drawn
//! over within one event was on nobody's screen and is not told; what scrolled away within one is,
//! also where the emulator does not say so ([`in_steps`]).

use std::ops::Range;

use avt::observer::{Observation, Observer, ShellEvent, ShellTracker};
use avt::parser::{Function, Osc};
use avt::{Line, Operation};
use hansard_core::{Body, Event};

use super::{GONE_LINES_MAX, STEPS_MAX, Step, TEXT_BYTES_MAX, Text, What, pieces};
use crate::margins::Margins;
use crate::screen::Screen;
use crate::scrolling::in_steps;

mod rows;

use rows::{ByKey, Hidden, Row, look_at, mix, read};

/// A line that stands on the screen: its first row's number, counted over everything that ever
/// scrolled away, and its key.
#[derive(Debug, Clone, Copy)]
struct Place {
    row: usize,
    number: u64,
    key: u64,
}

#[derive(Debug, Clone, Default)]
struct Standing {
    text: String,
    first_ns: u64,
    steps: Vec<Step>,
    hidden: Hidden,
    is_cut: bool,
    /// The turn in which it was last seen.
    turn: u64,
}

/// A row that scrolled away.
struct GoneRow {
    row: Row,
    /// Where its text ends among those of all rows that went with it; it begins where the one before
    /// ends.
    end: usize,
    hidden: Hidden,
}

/// The beginning of a line whose rest is at the top of the screen.
#[derive(Debug, Clone, Default)]
struct Head {
    text: String,
    hash: u64,
    number: u64,
    hidden: Hidden,
    is_cut: bool,
}

/// The lines of a screen.
#[derive(Default)]
pub(super) struct ShownLines {
    screen: Screen,
    shell: ShellTracker,
    /// Whether a shell ever said where its commands are.
    has_marks: bool,
    margins: Margins,
    rows: Vec<Row>,
    places: Vec<Place>,
    standing: ByKey<Standing>,
    head: Head,
    /// Rows that scrolled away since the beginning.
    scrolled: u64,
    turn: u64,
    last_ns: u64,
    passed_over: u64,
}

impl std::fmt::Debug for ShownLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShownLines")
            .field("standing", &self.standing.len())
            .finish_non_exhaustive()
    }
}

/// What the emulator says while it works.
struct Watch<'a> {
    shell: &'a mut ShellTracker,
    has_marks: &'a mut bool,
    margins: &'a mut Margins,
    gone: Vec<GoneRow>,
    gone_texts: String,
    gone_count: u64,
    dirty: Option<Range<usize>>,
    commands: Vec<String>,
}

impl Observer for Watch<'_> {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        self.margins.note(operation, || context.terminal().size().1);
        // This is asked for each character, and until the first mark nothing concerns the tracker.
        if !*self.has_marks {
            let Operation::Function(Function::Osc(Osc::ShellIntegration(_))) = operation else {
                return;
            };
            *self.has_marks = true;
        }
        self.shell.before(context, operation);
    }

    fn dirty(&mut self, rows: Range<usize>) {
        self.dirty = Some(match self.dirty.take() {
            None => rows,
            Some(old) => old.start.min(rows.start)..old.end.max(rows.end),
        });
    }

    fn evicted(&mut self, _: &mut Observation<'_>, line: &Line) {
        self.gone_count += 1;
        if self.gone.len() >= GONE_LINES_MAX {
            return;
        }
        let row = look_at(line);
        let hidden = match row.hash {
            0 => Hidden::default(),
            _ => read(line, &mut self.gone_texts),
        };
        self.gone.push(GoneRow {
            row,
            end: self.gone_texts.len(),
            hidden,
        });
    }

    fn end(&mut self, context: &mut Observation<'_>) {
        for event in self.shell.end(context) {
            if let ShellEvent::CommandSubmitted(command) = event {
                self.commands.extend(command.text);
            }
        }
    }
}

impl ShownLines {
    pub(super) fn new() -> Self {
        Self {
            screen: Screen::marking(),
            ..Self::default()
        }
    }

    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Shows an event's bytes, or gives the screen another size.
    pub(super) fn apply(&mut self, event: &Event, out: &mut Vec<Text>) {
        let Some(steps) = in_steps(&self.screen, &self.margins, &event.body) else {
            return self.show(event, out);
        };
        let (seq, at_ns) = (event.seq, event.at_ns);
        for body in steps {
            self.show(&Event { seq, at_ns, body }, out);
        }
    }

    fn show(&mut self, event: &Event, out: &mut Vec<Text>) {
        let now = event.at_ns;
        let mut watch = Watch {
            shell: &mut self.shell,
            has_marks: &mut self.has_marks,
            margins: &mut self.margins,
            gone: Vec::new(),
            gone_texts: String::new(),
            gone_count: 0,
            dirty: None,
            commands: Vec::new(),
        };
        self.screen.apply_with(&event.body, &mut watch);
        let Watch {
            gone,
            gone_texts,
            gone_count,
            dirty,
            commands,
            ..
        } = watch;
        if matches!(event.body, Body::Resize { .. }) {
            self.rows.clear();
            self.head = Head::default();
        } else if dirty.is_none() && gone.is_empty() {
            self.last_ns = now;
            return;
        }
        self.passed_over += gone_count.saturating_sub(gone.len() as u64);
        self.turn += 1;
        let left = self.leave(&gone, &gone_texts, gone_count);
        if self.look(dirty, gone_count) || !left.is_empty() {
            self.settle(left, now, out);
        }
        for command in commands {
            let lines = pieces(command.trim());
            out.extend(lines.map(|line| Text::at(What::MarkedCommand, line.to_owned(), now)));
        }
        self.last_ns = now;
    }

    /// Puts rows that scrolled away together to lines, with their numbers and keys.
    fn leave(&mut self, gone: &[GoneRow], texts: &str, count: u64) -> Vec<(u64, u64, Standing)> {
        let (mut left, mut begin) = (Vec::with_capacity(gone.len()), 0);
        for (at, gone) in (self.scrolled..).zip(gone) {
            let text = texts.get(begin..gone.end).unwrap_or("");
            begin = gone.end;
            if self.head.hash == 0 {
                if gone.row.hash == 0 {
                    continue;
                }
                self.head.number = at;
            }
            self.head.hash = mix(self.head.hash, gone.row.hash);
            self.head.text.push_str(text);
            self.head.hidden |= gone.hidden;
            let is_long = self.head.text.len() > TEXT_BYTES_MAX;
            if gone.row.is_wrapped && !is_long {
                continue;
            }
            let head = std::mem::take(&mut self.head);
            let standing = Standing {
                text: head.text,
                hidden: head.hidden,
                is_cut: head.is_cut || gone.row.is_wrapped,
                ..Standing::default()
            };
            left.push((head.number, head.hash, standing));
            self.head.is_cut = gone.row.is_wrapped;
        }
        self.scrolled += count;
        left
    }

    /// Looks at what changed on the screen; answers whether anything did.
    fn look(&mut self, dirty: Option<Range<usize>>, scrolled: u64) -> bool {
        let (mut changed, mut top_changed) = (scrolled > 0, false);
        let count = self.screen.lines().len();
        let is_fresh = self.rows.len() != count;
        if is_fresh {
            self.rows.clear();
            self.rows.resize(count, Row::default());
            changed = true;
        }
        let dirty = match dirty {
            Some(rows) if !is_fresh => rows,
            None if !is_fresh => 0..0,
            _ => 0..count,
        };
        for (at, (row, line)) in self.rows.iter_mut().zip(self.screen.lines()).enumerate() {
            if at < dirty.start {
                continue;
            }
            if at >= dirty.end {
                break;
            }
            let seen = look_at(line);
            top_changed |= at == 0 && scrolled == 0 && seen != *row;
            changed |= seen != *row;
            *row = seen;
        }
        if top_changed && self.head.hash != 0 {
            self.check_head();
        }
        changed
    }

    /// The line at the top began before it, and its row was drawn on: unless it grew there, what
    /// stands there now is not the rest of it.
    fn check_head(&mut self) {
        let top = Place {
            row: 0,
            number: self.head.number,
            key: 0,
        };
        let now = self.read_place(&top);
        let old = self.places.first().filter(|place| place.row == 0);
        let old = old.and_then(|place| self.standing.get(&place.key));
        if !old.is_some_and(|old| now.text.starts_with(old.text.as_str())) {
            self.head = Head::default();
        }
    }

    /// Where lines stand now: rows that wrap into each other are one.
    fn places_now(&self) -> Vec<Place> {
        let mut places = Vec::with_capacity(self.rows.len());
        let mut open: Option<Place> = (self.head.hash != 0).then_some(Place {
            row: 0,
            number: self.head.number,
            key: self.head.hash,
        });
        for (at, row) in self.rows.iter().enumerate() {
            if open.is_none() && row.hash == 0 {
                continue;
            }
            let place = open.get_or_insert(Place {
                row: at,
                number: self.scrolled + at as u64,
                key: 0,
            });
            place.key = mix(place.key, row.hash);
            if !row.is_wrapped {
                places.extend(open.take());
            }
        }
        places.extend(open);
        places
    }

    /// Compares what stood there with what stands there, and tells what is over.
    fn settle(&mut self, left: Vec<(u64, u64, Standing)>, now: u64, out: &mut Vec<Text>) {
        let before = std::mem::take(&mut self.places);
        let places = self.places_now();
        let mut came = Vec::new();
        for place in &places {
            match self.standing.get_mut(&place.key) {
                Some(there) => there.turn = self.turn,
                None => came.push(*place),
            }
        }
        let mut made = Vec::with_capacity(came.len());
        for place in came {
            let mut new = self.read_place(&place);
            new.first_ns = now;
            self.grow(&before, place.number, &mut new, now);
            new.turn = self.turn;
            made.push((place.key, new));
        }
        for (number, key, mut line) in left {
            // One that stood there before is told below.
            if self.standing.contains_key(&key) {
                continue;
            }
            line.first_ns = now;
            self.grow(&before, number, &mut line, now);
            tell(line, now, out);
        }
        for place in before {
            let is_over = |there: &Standing| there.turn != self.turn;
            if self.standing.get(&place.key).is_some_and(is_over)
                && let Some(line) = self.standing.remove(&place.key)
            {
                // What became a longer line is told as that one, and was emptied.
                if !line.text.is_empty() {
                    tell(line, now, out);
                }
            }
        }
        for (key, line) in made {
            // Equal lines that came at once are one.
            let hidden = line.hidden;
            self.standing.entry(key).or_insert(line).hidden |= hidden;
        }
        self.places = places;
    }

    /// A line that came where one was that it begins with is that one, grown.
    fn grow(&mut self, before: &[Place], number: u64, new: &mut Standing, now: u64) {
        let Ok(at) = before.binary_search_by_key(&number, |place| place.number) else {
            return;
        };
        let Some(old) = before
            .get(at)
            .and_then(|place| self.standing.get_mut(&place.key))
        else {
            return;
        };
        if old.text.is_empty() || !new.text.starts_with(old.text.as_str()) {
            return;
        }
        new.hidden |= old.hidden;
        let is_shared = old.turn == self.turn;
        let chars = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        if is_shared {
            // The same text stands elsewhere, too, and stays. How long this one stood is not known.
            new.first_ns = self.last_ns;
            new.steps = Vec::new();
        } else {
            new.first_ns = old.first_ns;
            new.steps = std::mem::take(&mut old.steps);
        }
        if new.steps.is_empty() {
            new.steps.push(Step {
                chars: chars(&old.text),
                at_ns: new.first_ns,
            });
        }
        let step = Step {
            chars: chars(&new.text),
            at_ns: now,
        };
        let has_room = new.steps.len() < STEPS_MAX;
        match new.steps.last_mut() {
            Some(last) if last.at_ns == now || !has_room => *last = step,
            _ => new.steps.push(step),
        }
        if !is_shared {
            old.text.clear();
        }
    }

    /// The text of a line that stands on the screen.
    fn read_place(&self, place: &Place) -> Standing {
        let mut line = Standing::default();
        if self.head.hash != 0 && place.row == 0 {
            line.text.clone_from(&self.head.text);
            line.hidden = self.head.hidden;
            line.is_cut = self.head.is_cut;
        }
        let rows = self.rows.iter().zip(self.screen.lines()).skip(place.row);
        for (row, cells) in rows {
            line.hidden |= read(cells, &mut line.text);
            if !row.is_wrapped {
                break;
            }
        }
        line
    }

    /// What stands there now.
    pub(super) fn standing(&self, now: u64, out: &mut Vec<Text>) {
        for place in &self.places {
            if let Some(line) = self.standing.get(&place.key) {
                tell(line.clone(), now, out);
            }
        }
    }

    /// The session is over, and what stands there with it.
    pub(super) fn finish(&mut self, now: u64, out: &mut Vec<Text>) {
        for place in std::mem::take(&mut self.places) {
            if let Some(line) = self.standing.remove(&place.key) {
                tell(line, now, out);
            }
        }
        self.rows.clear();
    }
}

fn tell(mut line: Standing, now: u64, out: &mut Vec<Text>) {
    line.text.truncate(line.text.trim_end().len());
    let is_cut = line.is_cut || line.text.len() > TEXT_BYTES_MAX;
    if line.text.len() <= TEXT_BYTES_MAX {
        // Nearly every line: it goes as it is.
        let told = (!line.text.is_empty()).then_some(Text {
            what: What::Shown,
            text: line.text,
            first_ns: line.first_ns,
            last_ns: now,
            steps: line.steps,
            is_concealed: line.hidden.is_concealed,
            is_blended: line.hidden.is_blended,
            is_cut,
        });
        return out.extend(told);
    }
    let mut chars = 0;
    for piece in pieces(&line.text) {
        let mut steps = line.steps.clone();
        for step in &mut steps {
            step.chars = step.chars.saturating_sub(chars);
        }
        chars = chars.saturating_add(u32::try_from(piece.chars().count()).unwrap_or(u32::MAX));
        out.push(Text {
            what: What::Shown,
            text: piece.to_owned(),
            first_ns: line.first_ns,
            last_ns: now,
            steps,
            is_concealed: line.hidden.is_concealed,
            is_blended: line.hidden.is_blended,
            is_cut,
        });
    }
}
