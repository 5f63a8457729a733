//! What the keys do.

use std::time::Duration;

use hansard_view::index::PointKind;
use hansard_view::search::{Match, check_needle};

use super::finder::{Finder, Way};
use super::keys::Key;
use super::notice::{Notice, quoted};
use super::player::{Mode, Player, Sought};
use super::prompt::{Prompt, Question, Typed};
use super::reel::Ahead;
use super::status::speed_word;
use crate::failure::Failure;
use crate::moment::{self, Moment};

const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;

/// Columns and rows that a key looks aside by.
pub(super) const PAN_COLS: isize = 8;
pub(super) const PAN_ROWS: isize = 4;

impl Player<'_> {
    /// A key was pressed. Answers whether that was the end.
    pub(super) fn key(&mut self, key: Key) -> Result<bool, Failure> {
        match (&mut self.mode, key) {
            (_, Key::Ctrl('c')) => return Ok(true),
            (_, Key::Ctrl('z')) => self.stop()?,
            (_, Key::Ctrl('l')) => self.stage.repaint(),
            (Mode::Help, _) => self.mode = Mode::Watching,
            (Mode::Asking(prompt), key) => match prompt.key(key) {
                Typed::On => {}
                Typed::Dropped => self.mode = Mode::Watching,
                Typed::Done(answer) => {
                    let question = prompt.question;
                    self.mode = Mode::Watching;
                    self.answer(question, &answer)?;
                }
            },
            (Mode::Watching, Key::Char('q' | 'Q') | Key::Ctrl('d')) => return Ok(true),
            (Mode::Watching, key) => {
                // Any key but these breaks a search off.
                self.sought.finder = None;
                self.watching(key)?;
            }
        }
        Ok(false)
    }

    fn watching(&mut self, key: Key) -> Result<(), Failure> {
        match key {
            Key::Char(' ' | 'p') => self.pause_or_go_on()?,
            Key::Char('+' | '=') => self.set_speed(self.timeline.speed() * 2.0),
            Key::Char('-' | '_') => self.set_speed(self.timeline.speed() / 2.0),
            Key::Backspace => self.set_speed(1.0),
            Key::Right => self.go_by(5 * SECOND_NS, true)?,
            Key::Left => self.go_by(5 * SECOND_NS, false)?,
            Key::Up => self.go_by(MINUTE_NS, true)?,
            Key::Down => self.go_by(MINUTE_NS, false)?,
            Key::PageUp => self.go_by(10 * MINUTE_NS, true)?,
            Key::PageDown => self.go_by(10 * MINUTE_NS, false)?,
            Key::Char(digit @ '0'..='9') => self.go_to_tenth(digit)?,
            Key::Home | Key::Char('g') => self.go_to(0)?,
            Key::End | Key::Char('G') => self.go_to(u64::MAX)?,
            Key::Char('.') => self.step_forward()?,
            Key::Char(',') => self.step_back()?,
            Key::Char(']') => self.go_to_point(PointKind::Mark, true)?,
            Key::Char('[') => self.go_to_point(PointKind::Mark, false)?,
            Key::Char('}') => self.go_to_point(PointKind::Gap, true)?,
            Key::Char('{') => self.go_to_point(PointKind::Gap, false)?,
            Key::Char('t' | ':') => self.mode = Mode::Asking(Prompt::new(Question::Moment)),
            Key::Char('/') => self.mode = Mode::Asking(Prompt::new(Question::Search)),
            Key::Char('n') => self.search(Way::Forward)?,
            Key::Char('N') => self.search(Way::Backward)?,
            Key::Char('i') => self.switch_idle_limit(),
            Key::Char('e') => self.deeds_shown = !self.deeds_shown,
            Key::Char('s') => self.line_shown = !self.line_shown,
            Key::Char('h') => self.window.pan(-PAN_COLS, 0),
            Key::Char('l') => self.window.pan(PAN_COLS, 0),
            Key::Char('k') => self.window.pan(0, -PAN_ROWS),
            Key::Char('j') => self.window.pan(0, PAN_ROWS),
            Key::Char('z') => self.window.release(),
            Key::Char('?') => self.mode = Mode::Help,
            Key::Escape => {
                self.sought = Sought::default();
                self.notice = None;
            }
            _ => {}
        }
        Ok(())
    }

    fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice::short(text, self.now()));
    }

    fn pause_or_go_on(&mut self) -> Result<(), Failure> {
        let now = self.now();
        if self.ended {
            self.timeline.set_paused(false, now);
            return self.go_to(0);
        }
        let at_ns = self.position(now);
        self.live = false;
        self.timeline.set_paused(!self.timeline.is_paused(), now);
        self.timeline.jump(at_ns, now);
        Ok(())
    }

    fn set_speed(&mut self, speed: f64) {
        let now = self.now();
        if !self.timeline.set_speed(speed, now) {
            let bound = speed_word(self.timeline.speed());
            self.say(format!("{bound} is as far as it goes"));
        }
    }

    fn switch_idle_limit(&mut self) {
        let limit = match self.timeline.idle_limit() {
            Some(_) => None,
            None => Some(self.idle_limit),
        };
        self.timeline.set_idle_limit(limit);
    }

    /// Goes to a moment; one behind the end is the end.
    pub(super) fn go_to(&mut self, at_ns: u64) -> Result<(), Failure> {
        let at_ns = if self.is_following() {
            at_ns
        } else {
            at_ns.min(self.reel.last_ns())
        };
        self.reel.seek(at_ns)?;
        self.arrived(at_ns.min(self.reel.last_ns()));
        Ok(())
    }

    /// The reel stands elsewhere now.
    fn arrived(&mut self, at_ns: u64) {
        let now = self.now();
        self.timeline.jump(at_ns, now);
        self.ended = false;
        self.live = false;
        self.notice = None;
        self.sought.wraps = false;
        // Not what was printed before: it was said, or jumped over.
        let _ = self.reel.take_concealed();
        self.look_for_damage(now);
        self.stale = true;
    }

    fn go_by(&mut self, by_ns: u64, forward: bool) -> Result<(), Failure> {
        let here = self.position(self.now());
        let there = if forward {
            here.saturating_add(by_ns)
        } else {
            here.saturating_sub(by_ns)
        };
        self.go_to(there)
    }

    fn go_to_tenth(&mut self, digit: char) -> Result<(), Failure> {
        let tenths = u64::from(digit.to_digit(10).unwrap_or(0));
        self.go_to(self.reel.last_ns() / 10 * tenths)
    }

    fn pause(&mut self) {
        let now = self.now();
        self.timeline.set_paused(true, now);
    }

    /// To the next event that can be seen.
    fn step_forward(&mut self) -> Result<(), Failure> {
        let now = self.now();
        self.pause();
        self.live = false;
        loop {
            match self.reel.ahead()? {
                Ahead::At(at_ns) => {
                    self.notice = None;
                    self.timeline.jump(at_ns, now);
                    return self.step(now);
                }
                Ahead::Unknown => {}
                Ahead::Nothing => {
                    self.say("nothing behind this");
                    return Ok(());
                }
            }
        }
    }

    /// To before the last event that was seen.
    fn step_back(&mut self) -> Result<(), Failure> {
        self.pause();
        let any = self.reel.step_back()?;
        self.arrived(self.reel.at_ns());
        if !any {
            self.say("nothing before this");
        }
        Ok(())
    }

    /// Times and numbers of marks and gaps.
    pub(super) fn points_of_interest(&self) -> impl Iterator<Item = (u64, u64)> {
        let points = self.reel.points().iter();
        let points = points.filter(|p| matches!(p.kind, PointKind::Mark | PointKind::Gap));
        points.map(|point| (point.at_ns, point.seq))
    }

    fn go_to_point(&mut self, kind: PointKind, forward: bool) -> Result<(), Failure> {
        let now = self.now();
        let (here_ns, next_seq) = (self.position(now), self.reel.next_seq());
        let mut points = self.reel.points().iter().filter(|point| point.kind == kind);
        let point = if forward {
            points.find(|point| point.seq >= next_seq)
        } else {
            // Soon after a point, back means the one before it: otherwise one could never leave.
            let near = if self.timeline.is_paused() {
                0
            } else {
                SECOND_NS
            };
            let limit = here_ns.saturating_sub(near);
            points.rfind(|point| point.seq.saturating_add(1) < next_seq && point.at_ns <= limit)
        };
        let Some(point) = point.cloned() else {
            let what = if kind == PointKind::Gap {
                "gap"
            } else {
                "marker"
            };
            let side = if forward { "behind" } else { "before" };
            self.say(format!("no {what} {side} this"));
            return Ok(());
        };
        self.reel.seek_before(point.seq)?;
        self.arrived(point.at_ns);
        self.step(now)
    }

    fn answer(&mut self, question: Question, answer: &str) -> Result<(), Failure> {
        let answer =
            answer.trim_start_matches(|_| question == Question::Moment && answer.starts_with(' '));
        match question {
            _ if answer.is_empty() => {}
            Question::Moment => match answer.trim().parse::<Moment>() {
                Ok(moment) => self.go_to(moment.at_ns())?,
                Err(why) => self.say(format!("{} is {why}", quoted(answer))),
            },
            Question::Search => {
                if let Err(why) = check_needle(answer) {
                    self.say(why.to_string());
                    return Ok(());
                }
                self.sought = Sought {
                    needle: Some(answer.to_owned()),
                    ..Sought::default()
                };
                self.search(Way::Forward)?;
                self.sought.wraps = true;
            }
        }
        Ok(())
    }

    fn search(&mut self, way: Way) -> Result<(), Failure> {
        let Some(needle) = self.sought.needle.clone() else {
            self.say("nothing to search for yet: / asks");
            return Ok(());
        };
        self.pause_here();
        let found_seq = self.sought.found_seq;
        self.sought.finder = Some(Finder::new(&mut self.reel, &needle, way, found_seq)?);
        self.sought.wraps = false;
        self.notice = None;
        Ok(())
    }

    /// Pauses where the viewer is, also when that is the end.
    fn pause_here(&mut self) {
        let now = self.now();
        let at_ns = self.position(now);
        self.timeline.set_paused(true, now);
        self.timeline.jump(at_ns, now);
        self.live = false;
    }

    /// A search found this.
    pub(super) fn found(&mut self, needle: &str, found: &Match) -> Result<(), Failure> {
        self.reel.seek_before(found.seq.saturating_add(1))?;
        self.arrived(found.at_ns);
        self.sought.found_seq = Some(found.seq);
        let at = moment::show(found.at_ns);
        let place = match found.row {
            Some(row) => format!("row {}", row + 1),
            None => "gone by at once".to_owned(),
        };
        let text = format!("{} at {at}, {place} (n, N: more)", quoted(needle));
        self.notice = Some(Notice {
            text,
            until: self.now() + FOUND_SHOWN,
            weighty: false,
        });
        Ok(())
    }
}

/// How long a finding is pointed out.
const FOUND_SHOWN: Duration = Duration::from_secs(30);
