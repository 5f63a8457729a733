//! What is typed: to the program, and to the record where that keeps it and nothing hid it.

use std::time::Instant;

use hansard_core::event::Stream;
use rustix::io::Errno;

use super::{Line, Over, Session};
use crate::hidden::Typed;
use crate::limits::TYPED_BYTES;
use crate::tape::Tape;
use crate::terminal::Echo;

impl<T: Tape, L: Line> Session<'_, T, L> {
    pub(super) fn read_keys(&mut self) {
        let (Some(keys), Some(pty)) = (&self.held.keys, &self.held.pty) else {
            return;
        };
        if !self.line.may_type() {
            self.has_keys = false;
            return;
        }
        let mut bytes = [0_u8; TYPED_BYTES];
        let came = match rustix::io::read(keys, &mut bytes) {
            Ok(0) | Err(Errno::IO) => return self.end(Over::Hangup),
            Ok(n) => bytes.get(..n).unwrap_or_default(),
            Err(_) => return,
        };
        self.pending.extend_from_slice(came);
        if let Some(typed) = &mut self.typed {
            let echo = match self.line.types_inside() {
                true => Echo::Off,
                false => self.inner.echo(pty.master()),
            };
            typed.typed(came, echo, Instant::now());
        }
        self.pass_keys_on();
    }

    pub(super) fn pass_keys_on(&mut self) {
        let Some(pty) = &self.held.pty else { return };
        match rustix::io::write(pty.master(), &self.pending) {
            Ok(n) => drop(self.pending.drain(..n.min(self.pending.len()))),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.pending.clear(),
        }
    }

    /// Gives typed bytes to the record once it is clear that nothing hid them.
    pub(super) fn look_at_typed(&mut self) {
        let now = Instant::now();
        let is_due = |typed: &Typed| typed.look_again(now).is_some();
        let Some(pty) = &self.held.pty else { return };
        if !self.typed.as_ref().is_some_and(is_due) {
            return;
        }
        let echo = self.inner.echo(pty.master());
        if echo == Echo::Off {
            // What the terminal echoed before it began to hide decides what of it was shown.
            self.show();
        }
        let Some(typed) = &mut self.typed else { return };
        typed.look(echo);
        let released = typed.released(now);
        if !released.is_empty() {
            self.keep(|tape| tape.data(Stream::Keystrokes, &released));
        }
    }

    pub(super) fn keep_rest_of_typed(&mut self) {
        let (Some(typed), Some(pty)) = (&mut self.typed, &self.held.pty) else {
            return;
        };
        let rest = typed.rest(self.inner.echo(pty.master()));
        self.typed = None;
        if !rest.is_empty() && !matches!(self.over, Some(Over::Lost(_))) {
            self.keep(|tape| tape.data(Stream::Keystrokes, &rest));
        }
    }
}
