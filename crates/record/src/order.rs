//! The order that every sink keeps: frame 0, 1, …, seal, then the next segment.

use std::cmp::Ordering;
use std::fmt;

use hansard_core::frame::{Part, Place};

/// Where a part stands in its session. Sorts in the order of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The segment, from 0.
    pub segment: u32,
    /// Where in the segment.
    pub place: Place,
}

/// How a part stands to the parts that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is the next one.
    Next,
    /// Its place is at or before the last one taken.
    Earlier,
    /// Something is missing before it.
    TooEarly,
}

impl Spot {
    /// The spot of a part.
    #[must_use]
    pub fn of(part: &Part) -> Self {
        Self {
            segment: part.segment(),
            place: part.place(),
        }
    }

    /// Whether `next` may come directly after this one.
    #[must_use]
    pub fn is_followed_by(self, next: Self) -> bool {
        match (self.place, next.place) {
            (Place::Frame(a), Place::Frame(b)) => {
                self.segment == next.segment && a.checked_add(1) == Some(b)
            }
            (Place::Frame(_), Place::Seal) => self.segment == next.segment,
            (Place::Seal, Place::Frame(0)) => self.segment.checked_add(1) == Some(next.segment),
            (Place::Seal, _) => false,
        }
    }

    /// How `next` stands when this is the last part taken; `None` is a session that has none yet.
    pub(crate) fn turn(last: Option<Self>, next: Self) -> Turn {
        match last {
            None if next
                == (Self {
                    segment: 0,
                    place: Place::Frame(0),
                }) =>
            {
                Turn::Next
            }
            None => Turn::TooEarly,
            Some(last) if last.is_followed_by(next) => Turn::Next,
            Some(last) if next.cmp(&last) != Ordering::Greater => Turn::Earlier,
            Some(_) => Turn::TooEarly,
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Frame(index) => write!(f, "frame {index} of segment {}", self.segment),
            Place::Seal => write!(f, "the seal of segment {}", self.segment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segment: u32, index: u32) -> Spot {
        Spot {
            segment,
            place: Place::Frame(index),
        }
    }

    fn seal(segment: u32) -> Spot {
        Spot {
            segment,
            place: Place::Seal,
        }
    }

    #[test]
    fn frames_then_the_seal_then_the_next_segment() {
        let cases = [
            (None, frame(0, 0), Turn::Next),
            (None, frame(0, 1), Turn::TooEarly),
            (None, seal(0), Turn::TooEarly),
            (Some(frame(0, 0)), frame(0, 1), Turn::Next),
            (Some(frame(0, 0)), frame(0, 0), Turn::Earlier),
            (Some(frame(0, 0)), frame(0, 2), Turn::TooEarly),
            (Some(frame(0, 4)), seal(0), Turn::Next),
            (Some(frame(0, 4)), frame(1, 0), Turn::TooEarly),
            (Some(seal(0)), frame(1, 0), Turn::Next),
            (Some(seal(0)), frame(0, 9), Turn::Earlier),
            (Some(seal(0)), seal(0), Turn::Earlier),
            (Some(seal(0)), seal(1), Turn::TooEarly),
            (Some(frame(2, 0)), seal(1), Turn::Earlier),
        ];
        for (last, next, turn) in cases {
            assert_eq!(Spot::turn(last, next), turn, "{next} after {last:?}");
        }
    }
}
