//! What the program has written and nobody takes any more: recorded all the same.

use super::{Line, Over, Session};
use crate::tape::{Tape, TapeLost};

impl<T: Tape, L: Line> Session<'_, T, L> {
    /// Closes an output that has ended or that nobody takes any more.
    pub(super) fn let_go(&mut self, at: usize) {
        let lane = self.held.outputs.get_mut(at).and_then(Option::take);
        if let Some(lane) = lane {
            let taken = self.leavings.take(lane, self.tape);
            self.lose(taken);
        }
    }

    /// Once the program has ended, what was left in the pipes that were closed before.
    pub(super) fn keep_rest_of_refused(&mut self) {
        if self.ended.is_some() && self.over.is_none() {
            let kept = self.leavings.keep_rest(self.tape);
            self.lose(kept);
        }
    }

    /// Of a login whose terminal or process is gone, what its program had written by then. One that
    /// somebody else will hold keeps it for them.
    pub(super) fn keep_rest_of_output(&mut self) {
        if matches!(self.over, Some(Over::Lost(_) | Over::Paused(_))) {
            return;
        }
        if let Some(screen) = &mut self.held.screen {
            let kept = screen.keep_what_is_there(self.tape);
            self.lose(kept);
        }
        for at in 0..self.held.outputs.len() {
            self.let_go(at);
        }
        let kept = self.leavings.keep_rest(self.tape);
        self.lose(kept);
    }

    fn lose(&mut self, done: Result<(), TapeLost>) {
        if let Err(lost) = done {
            self.end(Over::Lost(lost));
        }
    }
}
