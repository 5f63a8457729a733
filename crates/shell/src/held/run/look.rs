//! What the holder looks at by itself: the outer terminal's size and who has it, and whether it is to let
//! go.

use std::time::Instant;

use super::{Line, Over, Session};
use crate::held::{OnItsWay, Outer};
use crate::limits::HELD_LOOK_EVERY;
use crate::pty_run::resize;
use crate::tape::Tape;

impl<T: Tape, L: Line> Session<'_, T, L> {
    /// Looks by itself at what the login's process would say: one that is stopped says nothing.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        if now < self.look_at || (self.held.pty.is_none() && !self.is_away) {
            return;
        }
        self.look_at = now + HELD_LOOK_EVERY;
        if self.is_away {
            return self.look_whether_given_up();
        }
        self.follow_size();
        if self.ended.is_none() && self.line.pauses() {
            return self.pause();
        }
        let had = std::mem::replace(&mut self.has_keys, self.line.may_type());
        if self.has_keys && !had {
            self.take_terminal();
        }
    }

    /// With its process gone, the session is kept open by background jobs alone: nothing else says that it is to end.
    fn look_whether_given_up(&mut self) {
        let ended = self.ended.as_ref().map(|(end, _)| end.clone());
        if let Some(end) = ended.filter(|_| self.line.is_given_up()) {
            self.end_as_program(end);
        }
    }

    /// Lets go, with everything left as it is: the program's terminal is not hung up as long as
    /// somebody else has its other end.
    fn pause(&mut self) {
        self.keep_rest_of_typed();
        if let Some(outer) = &mut self.held.outer {
            outer.leave();
        }
        let screen = self.held.screen.as_ref();
        let on_its_way = OnItsWay {
            unshown: screen.map(|lane| lane.rest().to_vec()).unwrap_or_default(),
            untyped: std::mem::take(&mut self.pending),
        };
        self.end(Over::Paused(on_its_way));
    }

    pub(super) fn take_terminal(&mut self) {
        self.yielded = false;
        self.has_keys = true;
        if let Some(outer) = &mut self.held.outer
            && !outer.make_raw()
        {
            self.end(Over::Hangup);
        }
    }

    pub(super) fn follow_size(&mut self) {
        let Some(size) = self.held.outer.as_ref().and_then(Outer::size) else {
            return;
        };
        if (size.ws_col, size.ws_row) == (self.size.ws_col, self.size.ws_row) {
            return;
        }
        self.size = size;
        // Recorded first: what the program draws for the new size comes after it.
        self.keep(|tape| tape.event(resize(size)));
        if let Some(pty) = &self.held.pty {
            pty.resize(size);
        }
    }
}
