//! A sink in memory that fails on purpose, and the oracle of the tests: it keeps every part, and
//! notes what its caller did against the contract of [`Sink`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::frame::Part;
use hansard_core::{Class, Receipt, SessionId, Sink, SinkError};

use crate::order::{Spot, Turn};

/// How one `put` fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutFault {
    /// Nothing is kept, and the answer is "retry".
    LoseBefore,
    /// Everything is kept, and the answer is "retry" all the same.
    LoseAfter,
    /// So many parts are kept, and the answer is "retry".
    LosePartly(usize),
    /// Nothing is kept; another is in the place.
    Conflict,
    /// Nothing is kept, now or ever.
    Refuse,
}

/// The sink. Clones are the same sink, so that a test keeps one and gives the other away.
#[derive(Clone, Default)]
pub struct MemorySink(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    sessions: BTreeMap<SessionId, BTreeMap<Spot, Vec<u8>>>,
    faults: VecDeque<PutFault>,
    puts: u64,
    /// What was offered when the answer was "retry": the next offer must begin with it.
    owed: Vec<Part>,
    /// Set once the answer was a conflict or a refusal.
    is_final: bool,
    complaints: Vec<String>,
}

impl MemorySink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One of the next puts fails so, after those that were asked to fail before.
    pub fn fail_next(&self, fault: PutFault) {
        self.kept().faults.push_back(fault);
    }

    /// The next so many puts fail so.
    pub fn fail_times(&self, times: usize, fault: PutFault) {
        self.kept().faults.extend(std::iter::repeat_n(fault, times));
    }

    /// From now on nothing fails.
    pub fn heal(&self) {
        self.kept().faults.clear();
    }

    /// The bytes of a session's recording.
    #[must_use]
    pub fn recording(&self, session: SessionId) -> Vec<u8> {
        let kept = self.kept();
        kept.sessions
            .get(&session)
            .into_iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .copied()
            .collect()
    }

    /// The sessions it has something of.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionId> {
        self.kept().sessions.keys().copied().collect()
    }

    /// How often it was asked.
    #[must_use]
    pub fn puts(&self) -> u64 {
        self.kept().puts
    }

    /// What callers did against the contract, in words; empty if nothing.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.kept().complaints.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn check_caller(&mut self, parts: &[Part]) {
        if self.is_final {
            self.complaints
                .push("offered again after a conflict or a refusal".to_owned());
        }
        let owed = std::mem::take(&mut self.owed);
        if !parts.starts_with(&owed) {
            self.complaints
                .push("after a retry, other parts were offered".to_owned());
        }
    }

    /// Keeps one part, or says why not.
    fn keep(&mut self, part: &Part) -> Result<(), SinkError> {
        let spot = Spot::of(part);
        let session = self.sessions.entry(part.session()).or_default();
        if let Some(bytes) = session.get(&spot) {
            return if bytes == part.bytes() {
                Ok(())
            } else {
                Err(SinkError::Conflict(format!(
                    "{spot} is there with other bytes"
                )))
            };
        }
        let last = session.last_key_value().map(|(spot, _)| *spot);
        if Spot::turn(last, spot) != Turn::Next {
            let why = format!("{spot} was offered out of order");
            self.complaints.push(why.clone());
            return Err(SinkError::Refused(why));
        }
        session.insert(spot, part.bytes().to_vec());
        Ok(())
    }

    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        self.puts = self.puts.saturating_add(1);
        self.check_caller(parts);
        let fault = self.faults.pop_front();
        let kept = match fault {
            Some(PutFault::Conflict) => {
                return Err(SinkError::Conflict("told to find a conflict".to_owned()));
            }
            Some(PutFault::Refuse) => {
                return Err(SinkError::Refused("told to refuse".to_owned()));
            }
            Some(PutFault::LoseBefore) => 0,
            Some(PutFault::LosePartly(n)) => n,
            Some(PutFault::LoseAfter) | None => parts.len(),
        };
        for part in parts.iter().take(kept) {
            self.keep(part)?;
        }
        match fault {
            None => Ok(Receipt { class: Class::L }),
            Some(_) => Err(SinkError::Retry("told to fail".to_owned())),
        }
    }
}

impl Sink for MemorySink {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        let mut kept = self.kept();
        let outcome = kept.put(parts);
        match &outcome {
            Ok(_) => {}
            Err(SinkError::Retry(_)) => kept.owed = parts.to_vec(),
            Err(SinkError::Conflict(_) | SinkError::Refused(_)) => kept.is_final = true,
        }
        outcome
    }
}
