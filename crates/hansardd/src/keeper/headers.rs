//! Headers of the sessions whose events are told, as many as there is room for.

use std::collections::HashMap;
use std::sync::Arc;

use hansard_core::{Session, SessionId};

/// Bytes of headers that are remembered; beyond them all are forgotten, and read again when needed:
/// from the spool or the archive.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Room that one takes besides what it says.
const ENTRY_BYTES: usize = 128;

#[derive(Default)]
pub(super) struct Headers {
    all: HashMap<SessionId, (Option<Arc<Session>>, usize)>,
    bytes: usize,
}

impl Headers {
    /// The header, if it is remembered; `Some(None)` is one that the archive has lost.
    pub(super) fn get(&self, session: SessionId) -> Option<Option<Arc<Session>>> {
        self.all.get(&session).map(|(header, _)| header.clone())
    }

    /// Remembers one.
    pub(super) fn put(&mut self, session: SessionId, header: Option<Arc<Session>>) {
        // By what it takes, not by what it took as stored: a few hundred bytes may be a megabyte. What is
        // larger than all may be is had from the stores each time.
        let bytes = header.as_ref().map_or(0, |header| header.memory_bytes());
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        if self.bytes.saturating_add(bytes) > HEADERS_BYTES_MAX {
            self.all.clear();
            self.bytes = 0;
        }
        if bytes <= HEADERS_BYTES_MAX {
            self.remove(session);
            self.bytes = self.bytes.saturating_add(bytes);
            self.all.insert(session, (header, bytes));
        }
    }

    pub(super) fn remove(&mut self, session: SessionId) {
        if let Some((_, bytes)) = self.all.remove(&session) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use hansard_store::project::unknown_header;

    use super::*;

    #[test]
    fn a_header_weighs_what_it_takes() {
        let mut headers = Headers::default();
        for n in 0..100 {
            let id = SessionId::from_bytes([n; 16]);
            let mut header = unknown_header(id);
            header.subject.push("user", "a".repeat(1_000_000));
            headers.put(id, Some(Arc::new(header)));
            let kept = headers
                .all
                .values()
                .filter_map(|(header, _)| header.as_ref());
            let bytes: usize = kept.map(|header| header.memory_bytes()).sum();
            assert!(bytes <= HEADERS_BYTES_MAX, "{bytes}");
        }
    }
}
