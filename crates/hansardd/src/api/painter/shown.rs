//! What a painter shows: lines that are made once, whoever takes them, and the screen as it is for
//! whoever comes new or is behind. Bounded, however slow a viewer is.

use std::collections::VecDeque;

use bytes::Bytes;
use hansard_view::Screen;
use hansard_view::picture::{Change, Picture};
use serde_json::{Value as Json, json};

use crate::api::player::{frame, of_family};

/// Lines that are held for viewers who are a little late; whoever is later is given the screen as it
/// is, and told how many happenings were left out.
const LINES_MAX: usize = 1024;

/// Bytes of these lines, likewise.
const LINES_BYTES_MAX: usize = 512 * 1024;

/// What viewers are shown.
#[derive(Default)]
pub(super) struct Shown {
    /// As it was painted last.
    picture: Picture,
    at_ns: u64,
    /// The whole of it as a line, made when somebody wants it.
    whole: Option<Bytes>,
    lines: VecDeque<Line>,
    lines_bytes: usize,
    /// Number of the first line that is held.
    first: u64,
    /// Lines so far that no later one stands for.
    tells: u64,
    /// The last line of all.
    over: Option<Bytes>,
}

#[derive(Clone)]
struct Line {
    text: Bytes,
    /// What changed on the screen: the whole screen stands for it, too.
    is_frame: bool,
}

/// How far a viewer has come.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Place {
    /// Number of the line that comes next; `None`: nothing was taken yet.
    next: Option<u64>,
    /// Lines taken, or never meant for it, that no later one stands for.
    tells: u64,
}

/// What a viewer takes.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) pieces: Vec<Bytes>,
    /// The last of these is the last of all.
    pub(super) is_over: bool,
}

impl Shown {
    /// Paints what changed on the screen up to this moment; answers the line's length.
    pub(super) fn paint(&mut self, screen: &Screen, at_ns: u64) -> Option<usize> {
        let change = self.picture.change(screen)?;
        (self.at_ns, self.whole) = (at_ns, None);
        let text = line(&framed(at_ns, &change));
        let bytes = text.len();
        self.hold(Line {
            text,
            is_frame: true,
        });
        Some(bytes)
    }

    /// Tells something that is not on the screen.
    pub(super) fn tell(&mut self, what: &Json) {
        self.tells = self.tells.saturating_add(1);
        self.hold(Line {
            text: line(what),
            is_frame: false,
        });
    }

    /// Nothing comes behind this.
    pub(super) fn end(&mut self, what: &Json) {
        self.over = Some(line(what));
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    fn hold(&mut self, line: Line) {
        self.lines_bytes = self.lines_bytes.saturating_add(line.text.len());
        self.lines.push_back(line);
        while self.lines.len() > LINES_MAX || self.lines_bytes > LINES_BYTES_MAX {
            let Some(gone) = self.lines.pop_front() else {
                break;
            };
            self.lines_bytes = self.lines_bytes.saturating_sub(gone.text.len());
            self.first = self.first.saturating_add(1);
        }
    }

    /// Takes all that is new from a place on. Frames that have more to say than the whole screen are
    /// left out for that.
    pub(super) fn take(&mut self, place: &mut Place) -> Taken {
        let mut taken = Taken::default();
        if !self.picture.is_painted() {
            return taken;
        }
        let end = self.first.saturating_add(self.lines.len() as u64);
        match place.next.replace(end) {
            None => taken.pieces.push(self.whole()),
            Some(next) if next < self.first => {
                taken.pieces = self.tells_from(self.first);
                let here = u64::try_from(taken.pieces.len()).unwrap_or(0);
                let missed = self.tells.saturating_sub(place.tells + here);
                if missed > 0 {
                    taken.pieces.insert(0, left_out(missed));
                }
                taken.pieces.push(self.whole());
            }
            Some(next) => taken.pieces = self.lines_from(next),
        }
        place.tells = self.tells;
        if let Some(over) = &self.over {
            taken.pieces.push(over.clone());
            taken.is_over = true;
        }
        taken
    }

    /// Lines from this number on, or what stands for them.
    fn lines_from(&mut self, next: u64) -> Vec<Bytes> {
        let frames = self.held_from(next).filter(|line| line.is_frame);
        let (count, bytes) = frames.fold((0usize, 0usize), |(count, bytes), line| {
            (count + 1, bytes.saturating_add(line.text.len()))
        });
        if count > 1 && bytes > self.whole().len() {
            let mut pieces = self.tells_from(next);
            pieces.push(self.whole());
            return pieces;
        }
        let all = self.held_from(next).map(|line| line.text.clone());
        all.collect()
    }

    fn tells_from(&self, next: u64) -> Vec<Bytes> {
        let tells = self.held_from(next).filter(|line| !line.is_frame);
        tells.map(|line| line.text.clone()).collect()
    }

    fn held_from(&self, next: u64) -> impl Iterator<Item = &Line> {
        let before = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.lines.iter().skip(before)
    }

    fn whole(&mut self) -> Bytes {
        let made = || line(&framed(self.at_ns, &self.picture.whole()));
        self.whole.get_or_insert_with(made).clone()
    }
}

fn framed(at_ns: u64, change: &Change) -> Json {
    of_family("frame", frame(at_ns, change))
}

fn left_out(count: u64) -> Bytes {
    let reason = format!("{count} happenings were left out: they were not taken in time");
    line(&json!({ "family": "lost", "segment": null, "reason": reason }))
}

fn line(json: &Json) -> Bytes {
    Bytes::from(format!("{json}\n"))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "tests may panic"
    )]

    use super::*;

    fn said(taken: &Taken) -> Vec<Json> {
        let lines = taken.pieces.iter();
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    fn families(taken: &Taken) -> Vec<String> {
        let said = said(taken);
        said.iter()
            .map(|line| line["family"].as_str().unwrap().to_owned())
            .collect()
    }

    fn shown() -> (Shown, Screen) {
        let (mut shown, mut screen) = (Shown::default(), Screen::new(20, 4));
        screen.feed(b"one");
        assert!(shown.take(&mut Place::default()).pieces.is_empty());
        shown.paint(&screen, 1);
        (shown, screen)
    }

    #[test]
    fn who_is_there_takes_what_changed_and_who_comes_new_the_whole() {
        let (mut shown, mut screen) = shown();
        let mut early = Place::default();
        assert_eq!(families(&shown.take(&mut early)), ["frame"]);
        assert!(shown.take(&mut early).pieces.is_empty());
        screen.feed(b"\r\ntwo");
        shown.paint(&screen, 2);
        shown.tell(&json!({ "family": "happening" }));
        let taken = shown.take(&mut early);
        assert_eq!(families(&taken), ["frame", "happening"]);
        assert_eq!(said(&taken)[0]["rows"], json!([[1, [[0, 3, "two"]]]]));
        let late = shown.take(&mut Place::default());
        let whole = &said(&late)[0];
        assert_eq!(families(&late), ["frame"], "not what happened before");
        assert_eq!(
            (&whole["at_ns"], &whole["size"]),
            (&json!(2), &json!([20, 4]))
        );
        assert_eq!(whole["rows"][0], json!([0, [[0, 3, "one"]]]));
        assert_eq!(whole["rows"].as_array().unwrap().len(), 4);
        shown.end(&json!({ "family": "over" }));
        let last = shown.take(&mut early);
        assert!(last.is_over);
        assert_eq!(families(&last), ["over"]);
    }

    #[test]
    fn who_is_behind_is_given_the_screen_as_it_is_and_every_happening() {
        let (mut shown, mut screen) = shown();
        let mut slow = Place::default();
        shown.take(&mut slow);
        for n in 0..50u64 {
            screen.feed(format!("\r\nline {n}").as_bytes());
            shown.paint(&screen, n);
            if n % 10 == 0 {
                shown.tell(&json!({ "family": "happening", "n": n }));
            }
        }
        let taken = shown.take(&mut slow);
        let wanted = ["happening"; 5].into_iter().chain(["frame"]);
        assert_eq!(families(&taken), wanted.collect::<Vec<_>>());
        assert!(said(&taken)[5].to_string().contains("line 49"));
    }

    #[test]
    fn who_is_far_behind_is_told_what_was_left_out_and_nothing_grows() {
        let (mut shown, mut screen) = shown();
        let mut slow = Place::default();
        shown.take(&mut slow);
        for n in 0..3 * LINES_MAX as u64 {
            shown.tell(&json!({ "family": "happening", "n": n, "pad": "x".repeat(1000) }));
        }
        screen.feed(b" and the last");
        shown.paint(&screen, 9);
        assert!(shown.lines_bytes <= LINES_BYTES_MAX && shown.lines.len() <= LINES_MAX);
        let lines = said(&shown.take(&mut slow));
        let left_out = lines[0]["reason"].as_str().unwrap();
        let here = lines.len() as u64 - 2;
        let missed = 3 * LINES_MAX as u64 - here;
        assert!(left_out.starts_with(&format!("{missed} ")), "{left_out}");
        assert!(lines.last().unwrap().to_string().contains("and the last"));
        assert!(shown.take(&mut slow).pieces.is_empty());
    }
}
