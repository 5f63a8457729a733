//! Who is connected, and the way to tell a host something: what is stored, what is in conflict, whom
//! somebody watches, what to end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hansard_core::SessionId;
use hansard_identity::{HostId, Peer};
use hansard_record::forward::wire::{Down, InForce, PolicyText, Problem, Stored};

use crate::ingest::limits::{PEER_CONNECTIONS_MAX, SESSIONS_MAX};
use crate::ingest::waiting::Line;

/// Whom something is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The host that has sent something of this session on its present connection. For a session in
    /// which nothing has happened since, the host has to be known from elsewhere.
    Session(SessionId),
    /// This host, on its newest connection.
    Host(HostId),
}

/// What a host is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Somebody watches a session, or does so no longer.
    Follow {
        /// The session.
        session: SessionId,
        /// Whether somebody watches.
        on: bool,
    },
    /// End a session.
    End {
        /// The session.
        session: SessionId,
        /// Why, for the recording and for who is ended.
        reason: String,
        /// Who asked for it.
        by: String,
    },
}

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// The host is not connected, or no connection sends that session.
    NotConnected,
    /// Too much waits to be said to that host already; it does not listen.
    Full,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "the host is not connected: try again when it is",
            Self::Full => "the host is connected and does not listen: try again later",
        })
    }
}

impl std::error::Error for NotSent {}

/// A host that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// Who.
    pub peer: Peer,
    /// From where.
    pub remote: SocketAddr,
    /// For how long.
    pub age: Duration,
    /// Sessions that it has sent something of on this connection.
    pub sessions: usize,
    /// Sessions that it said were being recorded when it connected. Its own word: nothing is sent
    /// anywhere because of it.
    pub live: usize,
    /// Which policy decides there, as it says; `None` of a host that takes none.
    pub policy: Option<InForce>,
}

/// All connections. Clones are the same.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    next: u64,
    lines: BTreeMap<u64, Entry>,
    hosts: HashMap<HostId, Vec<u64>>,
    sessions: HashMap<SessionId, u64>,
    policy: Option<Arc<Sent>>,
}

/// The policy that hosts are sent: encoded once for all of them.
pub(super) struct Sent {
    pub(super) sha256: [u8; 32],
    pub(super) bytes: Bytes,
}

struct Entry {
    line: Arc<Line>,
    /// At most [`SESSIONS_MAX`].
    sessions: HashSet<SessionId>,
}

impl Entry {
    fn connected(&self) -> Connected {
        Connected {
            peer: self.line.peer.clone(),
            remote: self.line.remote,
            age: self.line.since.elapsed(),
            sessions: self.sessions.len(),
            live: self.line.live.load(Ordering::Relaxed),
            policy: self.line.said_in_force(),
        }
    }
}

/// A place among the connections, given back when it is dropped.
pub(super) struct Place {
    connections: Connections,
    pub(super) line: Arc<Line>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.leave(self.line.number);
    }
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment of a session, and all before it, is in the archive. MUST be called for every
    /// segment that becomes so. May be called from any thread; waits for nobody.
    pub fn stored(&self, stored: Stored) {
        if let Some(line) = self.line_of(stored.session) {
            line.stored(stored);
        }
    }

    /// A session that was received is not taken after all: it is in conflict with the archive.
    pub fn problem(&self, problem: Problem) {
        if let Some(line) = self.line_of(problem.session) {
            line.problem(problem);
        }
    }

    /// Tells a host what to do.
    ///
    /// # Errors
    /// When it is not connected, or does not listen. That it arrives is not known even without an
    /// error; what it does is seen in the recording.
    pub fn send(&self, to: To, control: Control) -> Result<(), NotSent> {
        let line = match to {
            To::Session(session) => self.line_of(session),
            To::Host(host) => {
                let inner = self.lock();
                let newest = inner.hosts.get(&host).and_then(|all| all.last().copied());
                newest.and_then(|number| inner.line(number))
            }
        };
        let message = match control {
            Control::Follow { session, on } => Down::Follow { session, on },
            Control::End {
                session,
                reason,
                by,
            } => Down::End {
                session,
                reason,
                by,
            },
        };
        match line.ok_or(NotSent::NotConnected)?.control(message) {
            true => Ok(()),
            false => Err(NotSent::Full),
        }
    }

    /// From now on hosts that take a policy have this one: those that are connected are sent it at
    /// once, others when they connect. A host that does not listen is waited for, and is sent the
    /// newest alone.
    pub fn set_policy(&self, policy: &PolicyText) {
        let mut bytes = Vec::new();
        policy.encode(&mut bytes);
        let sha256 = policy.sha256;
        let bytes = Bytes::from(bytes);
        self.lock().policy = Some(Arc::new(Sent { sha256, bytes }));
        self.all()
            .iter()
            .for_each(|line| line.offer_policy(&sha256));
    }

    /// The policy that hosts are to have.
    pub(super) fn policy(&self) -> Option<Arc<Sent>> {
        self.lock().policy.clone()
    }

    /// Who is connected, oldest first. At most as many as may connect.
    #[must_use]
    pub fn list(&self) -> Vec<Connected> {
        self.lock().lines.values().map(Entry::connected).collect()
    }

    /// The newest connection of a host.
    #[must_use]
    pub fn of(&self, host: HostId) -> Option<Connected> {
        let inner = self.lock();
        let newest = inner.hosts.get(&host).and_then(|all| all.last())?;
        inner.lines.get(newest).map(Entry::connected)
    }

    /// Ends all connections, each after what waits for it was said.
    pub fn end_all(&self, why: &str) {
        self.all().iter().for_each(|line| line.cut(why));
    }

    pub(super) fn all(&self) -> Vec<Arc<Line>> {
        let inner = self.lock();
        inner.lines.values().map(|e| Arc::clone(&e.line)).collect()
    }

    /// Notes a connection. With too many of its host, the oldest of them ends. `None` where so many
    /// other hosts are connected.
    pub(super) fn enter(&self, peer: Peer, remote: SocketAddr, hosts_max: usize) -> Option<Place> {
        let mut inner = self.lock();
        let host = peer.principal.id();
        let is_known = host.is_some_and(|host| inner.hosts.contains_key(&host));
        if !is_known && inner.hosts.len() >= hosts_max {
            return None;
        }
        inner.next = inner.next.saturating_add(1);
        let number = inner.next;
        let line = Arc::new(Line::new(number, peer, remote));
        let entry = Entry {
            line: Arc::clone(&line),
            sessions: HashSet::new(),
        };
        inner.lines.insert(number, entry);
        let mut surplus = None;
        if let Some(host) = host {
            let all = inner.hosts.entry(host).or_default();
            all.push(number);
            if all.len() > PEER_CONNECTIONS_MAX {
                surplus = Some(all.remove(0));
            }
        }
        if let Some(oldest) = surplus.and_then(|number| inner.line(number)) {
            oldest.cut("the host has too many connections: this is the oldest");
        }
        drop(inner);
        Some(Place {
            connections: self.clone(),
            line,
        })
    }

    /// From now on what is for this session goes to this connection. Answers whether there is room.
    pub(super) fn route(&self, number: u64, session: SessionId) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.lines.get_mut(&number) else {
            return false;
        };
        if !entry.sessions.contains(&session) {
            if entry.sessions.len() >= SESSIONS_MAX {
                return false;
            }
            entry.sessions.insert(session);
        }
        let before = inner.sessions.insert(session, number);
        if let Some(before) = before.filter(|before| *before != number)
            && let Some(entry) = inner.lines.get_mut(&before)
        {
            entry.sessions.remove(&session);
        }
        true
    }

    /// This connection has forgotten the session.
    pub(super) fn unroute(&self, number: u64, session: SessionId) {
        let mut inner = self.lock();
        if let Some(entry) = inner.lines.get_mut(&number) {
            entry.sessions.remove(&session);
        }
        if inner.sessions.get(&session) == Some(&number) {
            inner.sessions.remove(&session);
        }
    }

    fn leave(&self, number: u64) {
        let mut inner = self.lock();
        let Some(entry) = inner.lines.remove(&number) else {
            return;
        };
        for session in &entry.sessions {
            if inner.sessions.get(session) == Some(&number) {
                inner.sessions.remove(session);
            }
        }
        if let Some(host) = entry.line.peer.principal.id()
            && let Some(all) = inner.hosts.get_mut(&host)
        {
            all.retain(|other| *other != number);
            if all.is_empty() {
                inner.hosts.remove(&host);
            }
        }
    }

    fn line_of(&self, session: SessionId) -> Option<Arc<Line>> {
        let inner = self.lock();
        let number = *inner.sessions.get(&session)?;
        inner.line(number)
    }
}

impl Inner {
    fn line(&self, number: u64) -> Option<Arc<Line>> {
        self.lines.get(&number).map(|entry| Arc::clone(&entry.line))
    }
}

#[cfg(test)]
mod tests;
