//! Decoders that read step by step: what a step has made is handed out, numbered, before the next step
//! is taken, and what was sound before an error comes before the error.

use std::collections::VecDeque;

use hansard_core::{Body, Event};

use crate::codec::DecodeError;

/// What steps have made and nobody has taken yet. How much that can be is bounded by the step.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    bodies: VecDeque<(u64, Body)>,
    seq: u64,
    failed: Option<DecodeError>,
    done: bool,
}

impl Ready {
    /// One more event, at this time, nanoseconds since the start.
    pub(crate) fn push_back(&mut self, event: (u64, Body)) {
        self.bodies.push_back(event);
    }

    /// How many events were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.seq
    }

    /// No further step is taken.
    pub(crate) fn finish(&mut self) {
        self.done = true;
    }

    /// The same, because of this.
    pub(crate) fn fail(&mut self, error: DecodeError) {
        self.done = true;
        self.failed = Some(error);
    }

    /// What waits to be taken.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u64, Body)> {
        self.bodies.iter()
    }
}

impl Extend<(u64, Body)> for Ready {
    fn extend<I: IntoIterator<Item = (u64, Body)>>(&mut self, events: I) {
        self.bodies.extend(events);
    }
}

/// A decoder that reads so.
pub(crate) trait Steps {
    /// What its steps have made.
    fn ready(&mut self) -> &mut Ready;

    /// Reads on. MUST make an event, finish, or fail sooner or later.
    fn take_step(&mut self) -> Result<(), DecodeError>;

    /// The next event, as [`crate::codec::Decoder::next_event`] wants it.
    fn next_of_steps(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            let ready = self.ready();
            if let Some((at_ns, body)) = ready.bodies.pop_front() {
                let seq = ready.seq;
                ready.seq += 1;
                return Ok(Some(Event { seq, at_ns, body }));
            }
            if let Some(e) = ready.failed.take() {
                return Err(e);
            }
            if ready.done {
                return Ok(None);
            }
            if let Err(e) = self.take_step() {
                self.ready().fail(e);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting {
        ready: Ready,
        steps: u64,
    }

    impl Steps for Counting {
        fn ready(&mut self) -> &mut Ready {
            &mut self.ready
        }

        fn take_step(&mut self) -> Result<(), DecodeError> {
            self.steps += 1;
            let label = format!("step {}", self.steps);
            self.ready.push_back((self.steps, Body::Mark { label }));
            match self.steps {
                3 => Err(DecodeError::Malformed {
                    line: None,
                    offset: 3,
                    what: "enough".to_owned(),
                }),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn what_was_sound_comes_before_the_error_and_nothing_after_it() {
        let mut counting = Counting {
            ready: Ready::default(),
            steps: 0,
        };
        for seq in 0..3 {
            let event = counting.next_of_steps().unwrap().unwrap();
            assert_eq!((event.seq, event.at_ns), (seq, seq + 1));
        }
        assert_eq!(counting.ready.taken(), 3);
        assert!(counting.next_of_steps().is_err());
        assert_eq!(counting.next_of_steps().unwrap(), None);
        assert_eq!(counting.steps, 3, "no step after the error");
    }
}
