//! Sessions while they happen.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hansard_core::{Body, Event, Session, SessionId};

use super::recorded::{knows, trouble};
use crate::api::problem::Trouble;
use crate::api::seams::{Following, Seen, Watch};
use crate::follow::{self, FollowError, Followed, Screens, Told};

/// Following at a service.
pub struct Watched {
    /// Where sessions are followed.
    pub from: Followed,
    /// The screens of those that are.
    pub screens: Screens,
}

impl Following for Watched {
    fn follow(&self, session: SessionId) -> Result<Option<Box<dyn Watch>>, Trouble> {
        if !knows(&self.from, session)? {
            return Ok(None);
        }
        let mut watch = self.screens.watch(session).map_err(|e| trouble(&e))?;
        let mut first = VecDeque::new();
        if let Some(header) = watch.header.take() {
            first.push_back(header_event(&header));
        }
        let seq = watch.next_seq.checked_sub(1);
        if let Some(seq) = seq.filter(|seq| *seq > 0) {
            first.push_back(Seen::Screen {
                seq,
                at_ns: watch.at_ns,
                size: watch.size,
                dump: String::from_utf8_lossy(&std::mem::take(&mut watch.dump)).into_owned(),
            });
        }
        Ok(Some(Box::new(One { watch, next: first })))
    }
}

fn header_event(header: &Arc<Session>) -> Seen {
    Seen::Event(Event {
        seq: 0,
        at_ns: 0,
        body: Body::Start(Box::new(Session::clone(header))),
    })
}

/// One who follows.
struct One {
    watch: follow::Watch,
    next: VecDeque<Seen>,
}

impl Watch for One {
    fn next(&mut self, wait: Duration) -> Result<Seen, Trouble> {
        if let Some(seen) = self.next.pop_front() {
            return Ok(seen);
        }
        match self.watch.next(wait) {
            Ok(Told::Events(events)) => {
                self.next.extend(events.into_iter().map(Seen::Event));
                Ok(self.next.pop_front().unwrap_or(Seen::Nothing))
            }
            // What comes after it is not what came next, which this says.
            Ok(Told::Lost { segment, what }) => Ok(Seen::Lost { segment, what }),
            Ok(Told::Waiting) => Ok(Seen::Nothing),
            Ok(Told::End) => Ok(Seen::Over(None)),
            Err(FollowError::Aside(why)) => {
                let why = format!("the session was put aside: {why}");
                Ok(Seen::Over(Some(why)))
            }
            Err(e) => Err(trouble(&e)),
        }
    }
}
