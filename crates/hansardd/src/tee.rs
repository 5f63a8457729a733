//! The sink of everything that this daemon takes in, from its own recorders and from other hosts:
//! durable in the spool first, then told to whoever looks on.

use std::fmt;
use std::sync::Arc;

use hansard_core::frame::{Part, Place};
use hansard_core::reader::PartReader;
use hansard_core::{Body, Receipt, Session, Sink, SinkError};
use hansard_record::Spool;

use crate::live::Live;

/// Who offered parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Source {
    /// This daemon's own recorders.
    #[default]
    Local,
    /// The host with this identifier, over the network.
    Host(Arc<str>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("this host"),
            Self::Host(id) => write!(f, "host {id}"),
        }
    }
}

/// The sink. Clones put into the same spool; each recorder and each connection has its own.
///
/// A `put` costs what the spool's costs: callers that wait at the same time share one fsync. What is
/// told to others after it takes no disk and waits for nobody.
#[derive(Clone)]
pub struct Tee {
    spool: Spool,
    live: Live,
    source: Source,
}

impl Tee {
    /// A sink for what comes from this source.
    #[must_use]
    pub fn new(spool: Spool, live: Live, source: Source) -> Self {
        Self {
            spool,
            live,
            source,
        }
    }

    /// The same sink for what comes from another source.
    #[must_use]
    pub fn from(&self, source: Source) -> Self {
        Self {
            source,
            ..self.clone()
        }
    }
}

impl Sink for Tee {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        if let Some(why) = self.live.refuses(parts) {
            return Err(SinkError::Refused(why));
        }
        let receipt = self.spool.put(parts)?;
        // A crash here loses nothing: the parts are durable, and nobody was told yet.
        self.live.arrived(parts, &self.source);
        Ok(receipt)
    }
}

/// The header that a recording's first frame holds; `None` for any other part, and for one that is
/// not sound.
#[must_use]
pub fn header_of(part: &Part) -> Option<Session> {
    if (part.segment(), part.place()) != (0, Place::Frame(0)) {
        return None;
    }
    let (reader, events) = PartReader::open(part.bytes()).ok()?;
    let header = reader.header();
    if (header.session, header.number) != (part.session(), 0) {
        return None;
    }
    match events.into_iter().next()?.body {
        Body::Start(session) => Some(*session),
        _ => None,
    }
}
