//! Rows that wrap into each other, looked through as the one line that they are.

use avt::Line;

use crate::screen::row_text;

/// What is held of a line that goes on and on: bytes, beside those in which a match may have begun.
const RUN_BYTES: usize = 64 * 1024;

/// Rows, each of which wraps into the next.
#[derive(Default)]
pub(super) struct Run {
    text: String,
    /// Where each row ends in that, and where it stands.
    rows: Vec<(usize, Option<usize>)>,
}

impl Run {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One more row.
    pub(super) fn push(&mut self, row: Option<usize>, line: &Line) {
        if line.is_wrapped() {
            self.text.extend(line.chars());
        } else {
            self.text.push_str(&row_text(line));
        }
        self.rows.push((self.text.len(), row));
    }

    /// The rows in which the text that is searched for begins, each up to where it ends; nothing is held after this.
    pub(super) fn take(&mut self, needle: &str, seen: &mut Vec<(Option<usize>, String)>) {
        self.look(self.rows.len(), needle, seen);
        self.text.clear();
        self.rows.clear();
    }

    /// The same while the line goes on, once there is much of it: without those rows in which a match can have begun
    /// that has not ended.
    pub(super) fn take_some(&mut self, needle: &str, seen: &mut Vec<(Option<usize>, String)>) {
        if self.text.len() < RUN_BYTES + needle.len() {
            return;
        }
        let whole = self.text.len() - needle.len();
        let rows = self.rows.partition_point(|(end, _)| *end <= whole);
        self.look(rows, needle, seen);
        let last = rows.checked_sub(1).and_then(|last| self.rows.get(last));
        let Some(bytes) = last.map(|(end, _)| *end) else {
            return;
        };
        self.text.drain(..bytes);
        self.rows.drain(..rows);
        for (end, _) in &mut self.rows {
            *end -= bytes;
        }
    }

    /// Looks through the first so many rows.
    fn look(&self, rows: usize, needle: &str, seen: &mut Vec<(Option<usize>, String)>) {
        let find = |from: usize| {
            let at = self.text.get(from..).and_then(|text| text.find(needle));
            at.map(|at| from + at)
        };
        let (mut begin, mut next) = (0, find(0));
        for (at, (end, place)) in self.rows.iter().enumerate().take(rows) {
            if next.is_some_and(|next| next < begin) {
                next = find(begin);
            }
            let Some(found) = next else {
                return;
            };
            if found < *end {
                let behind = found + needle.len();
                let mut ends = self.rows.iter().skip(at).map(|(end, _)| *end);
                let last = ends.find(|end| *end >= behind).unwrap_or(behind);
                let text = self.text.get(begin..last).unwrap_or_default();
                seen.push((*place, text.trim_end_matches(' ').to_owned()));
            }
            begin = *end;
        }
    }
}
