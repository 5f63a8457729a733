//! What the API stands on, as narrow as it needs it. Everything here blocks its caller, which is
//! never a thread of the runtime.

mod cataloged;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use hansard_core::seal::Digest;
use hansard_core::verify::Report;
use hansard_core::{Body, Decision, Event, Fields, Login, SessionId};
use hansard_identity::users::Standing;
use hansard_store::Query;
use hansard_store::archive::{Problem as Difference, SessionReport};
use hansard_store::catalog::{CountWish, EventCounts, EventRow, HostSessions, Page, SessionRow};
use hansard_view::source::Source;

use super::certificates::{OwnMade, OwnWish, Reached};
use super::problem::Trouble;
use super::role::{Caller, Known, Peer};
use crate::policy::Stored;

pub use super::found::{Asked, Searching};

/// Who a peer is and which role they have.
pub type Admit = Arc<dyn Fn(&Peer) -> Known + Send + Sync>;

/// Puts an event into the service's own recording. `Ok` MUST mean that it is durable; with an error
/// nothing that was to be recorded is done.
pub type Audit = Arc<dyn Fn(Body) -> Result<(), String> + Send + Sync>;

/// Whether a session is of the user with this name: of somebody, where nothing is known of it, it is
/// not.
pub type Owns = Arc<dyn Fn(SessionId, &str) -> Result<bool, Trouble> + Send + Sync>;

/// Facts about the service, flat, for `GET /v1/status`.
pub type Status = Arc<dyn Fn() -> serde_json::Map<String, serde_json::Value> + Send + Sync>;

/// One line for the service's log; the caller escapes nothing.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// How far rows are behind what is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behind {
    /// Segments whose rows are not made yet.
    pub segments: u64,
    /// There are more than were counted.
    pub more: bool,
}

/// Rows that are computed from recordings.
///
/// Pages MUST be in the order that the query asks, each row once, and MUST say where to go on if
/// they do not hold all.
pub trait Listings: Send + Sync {
    /// Sessions, by start.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn sessions(&self, query: &Query) -> Result<Page<SessionRow>, Trouble>;

    /// Events, by time.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn events(&self, query: &Query) -> Result<Page<EventRow>, Trouble>;

    /// Hosts that sessions name, by name, after this one; at most `most`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn hosts(&self, after: Option<&str>, most: usize) -> Result<Vec<HostSessions>, Trouble>;

    /// How many events there are, of those that are projected.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn count_events(&self, wish: &CountWish) -> Result<EventCounts, Trouble>;

    /// How far the rows are behind.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn behind(&self) -> Result<Behind, Trouble>;

    /// What there is to say of a session that was deleted for good: by what, why and when; `None` of
    /// any other.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn deleted(&self, session: SessionId) -> Result<Option<String>, Trouble>;

    /// Why nothing comes now of a session that has no end, in a few words. `None` of one that has its
    /// end, or goes on as far as is known.
    fn no_end(&self, row: &SessionRow) -> Option<String>;
}

/// What checking a session came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What the recording itself shows.
    pub report: Report,
    /// Number and digest of the newest archived segment, if anything is archived. The recording is
    /// fresh if it contains it.
    pub newest: Option<(u32, Digest)>,
    /// Segments that are not what was archived.
    pub differences: Vec<Difference>,
}

impl Verified {
    /// Whether everything that was archived is there and unchanged.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        let fresh = self
            .newest
            .is_none_or(|(_, digest)| self.report.head == Some(digest));
        fresh && self.differences.is_empty() && self.report.damages_count == 0
    }
}

impl From<SessionReport> for Verified {
    fn from(found: SessionReport) -> Self {
        Self {
            newest: Some((found.newest.number, found.newest.digest)),
            report: found.report,
            differences: found.problems,
        }
    }
}

/// Recordings as bytes.
pub trait Recordings: Send + Sync {
    /// A recording as a `.hansard` file has it: what is archived, then what is not archived yet, in
    /// order, each part once. `None` MUST mean that nothing of the session is known.
    ///
    /// # Errors
    /// As sorted by [`Trouble`]. The reader's own errors cut the answer, which the caller sees.
    fn open(&self, session: SessionId) -> Result<Option<Box<dyn Read + Send>>, Trouble>;

    /// The same as a file that can be read at any place, of a session that is over and archived as a
    /// whole. `None` where it is not, or cannot be read so.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn whole(&self, session: SessionId) -> Result<Option<Source>, Trouble>;

    /// Checks a session where it is kept. `None` MUST mean that nothing of the session is known.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn verify(&self, session: SessionId) -> Result<Option<Verified>, Trouble>;
}

/// What a follower sees next.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// The next event.
    Event(Event),
    /// Instead of all events up to `seq`, the screen that they made.
    Screen {
        /// Number of the last event in it.
        seq: u64,
        /// That event's time, nanoseconds since the start.
        at_ns: u64,
        /// Columns and rows.
        size: (u16, u16),
        /// Control sequences that bring a blank terminal of that size into this state.
        dump: String,
    },
    /// A segment, or the rest of it, cannot be read; the next event is of a later one.
    Lost {
        /// Its number, from 0.
        segment: u32,
        /// What is wrong.
        what: String,
    },
    /// Nothing within the time given.
    Nothing,
    /// Nothing will ever come any more; why, in words, where no end was recorded.
    Over(Option<String>),
}

/// Somebody who follows a session.
///
/// The first answer MUST be the header (event 0). A [`Seen::Screen`] MAY come second, and stands for
/// all events up to its number; after it, or without it, every event MUST come, in order, without a
/// hole that a [`Seen::Lost`] does not tell of, and none twice. After [`Seen::Over`] nothing is asked any more.
pub trait Watch: Send {
    /// What comes next, waiting for it at most this long.
    ///
    /// # Errors
    /// As sorted by [`Trouble`]; the stream is cut.
    fn next(&mut self, wait: Duration) -> Result<Seen, Trouble>;
}

/// Sessions while they happen.
pub trait Following: Send + Sync {
    /// Somebody follows this session from now on. `None` MUST mean that nothing of it is known.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn follow(&self, session: SessionId) -> Result<Option<Box<dyn Watch>>, Trouble>;
}

/// From where in the event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since<'a> {
    /// What comes from now on.
    Now,
    /// At or before the first document of this time, UTC nanoseconds since 1970.
    Time(u64),
    /// Behind this place, which the log itself gave.
    Cursor(&'a str),
}

/// A stretch of the event log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Documents, one JSON object each, in the order of the log.
    pub documents: Vec<String>,
    /// The place behind them.
    pub cursor: String,
}

/// The event log as it is written, in the order of writing: what arrives late stands late, so that
/// whoever goes on from a cursor misses nothing.
pub trait EventLog: Send + Sync {
    /// At most `most` documents from there on; waits at most this long for the first. A cursor MUST
    /// be valid as long as the documents behind it are kept, also after a restart; one that is not
    /// MUST be [`Trouble::Refused`].
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn read(&self, since: Since<'_>, most: usize, wait: Duration) -> Result<Batch, Trouble>;
}

/// A token that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWish {
    /// What one joins as: `host`.
    pub role: String,
    /// For how many seconds it holds.
    pub ttl_s: u64,
    /// How often it can be used.
    pub uses: u32,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its name, which is no secret.
    pub name: String,
    /// What one joins as.
    pub role: String,
    /// Until when, UTC nanoseconds since 1970.
    pub expires_ns: u64,
    /// How often it can still be used.
    pub uses_left: u32,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMade {
    /// What is listed of it.
    pub row: TokenRow,
    /// The token itself. Said this once.
    pub token: String,
}

/// Tokens that hosts join with.
pub trait Tokens: Send + Sync {
    /// Makes one.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn make(&self, wish: &TokenWish, by: &Caller) -> Result<TokenMade, Trouble>;

    /// Tokens that hold, by name, after this one; at most `most`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<TokenRow>, Trouble>;

    /// Whether there is one of this name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn knows(&self, name: &str) -> Result<bool, Trouble>;

    /// Removes one; `false` if there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn remove(&self, name: &str, by: &Caller) -> Result<bool, Trouble>;
}

/// An SSH certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateWish {
    /// Who it is for.
    pub user: String,
    /// The accounts that it lets into.
    pub logins: Vec<String>,
    /// The public key, as a line of a `.pub` file.
    pub key: String,
    /// For how many seconds it holds.
    pub ttl_s: u64,
    /// Addresses and networks that it may be used from; empty: anywhere.
    pub source_addresses: Vec<String>,
    /// The one command that it runs, if it is for one.
    pub command: Option<String>,
}

/// An SSH certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateMade {
    /// As a line of a `-cert.pub` file.
    pub certificate: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Until when it holds, UTC nanoseconds since 1970.
    pub expires_ns: u64,
    /// The event of issuing it. MUST be durable before anybody gets the certificate.
    pub fact: Body,
}

/// SSH certificates for people.
pub trait Certificates: Send + Sync {
    /// Issues one. Nobody may be given it before its event is durable.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn make(&self, wish: &CertificateWish) -> Result<CertificateMade, Trouble>;

    /// Issues one for a user who is signed in by this, by the roles that the user has now. Nobody may be given it
    /// before its event is durable.
    ///
    /// # Errors
    /// As sorted by [`Trouble`]: `Refused` where the roles give nothing, or they are not signed in by that any
    /// more.
    fn make_own(&self, user: (&str, &Standing), wish: &OwnWish) -> Result<OwnMade, Trouble>;

    /// The proxy and the node of this machine, where they are.
    fn reached(&self) -> [Option<Reached>; 2];

    /// The public keys that sign people's and hosts' certificates, as lines of a `.pub` file.
    fn authorities(&self) -> [String; 2];
}

/// A host, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostRow {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it joined as: `host` or `service`.
    pub role: String,
    /// Whether it is this service itself.
    pub is_here: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is connected now.
    pub connected: bool,
    /// When something last came from it, UTC nanoseconds since 1970.
    pub seen_ns: Option<u64>,
    /// Until when its certificate holds, UTC nanoseconds since 1970.
    pub certificate_ns: Option<u64>,
    /// Why it is locked out, if it is.
    pub locked: Option<String>,
    /// Version of the policy that decides there, as it says; `None` while it is away, or takes none.
    pub policy_version: Option<u64>,
    /// Why the newest policy does not decide there, if it says so.
    pub policy_trouble: Option<String>,
}

/// Hosts that joined.
pub trait Hosts: Send + Sync {
    /// Hosts by identifier, after this one; at most `most`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<HostRow>, Trouble>;

    /// Whether this host could be locked out now, or its lock lifted; `false` if there is no such host. MUST
    /// change nothing.
    ///
    /// # Errors
    /// As [`Self::lock`].
    fn check(&self, id: &str) -> Result<bool, Trouble>;

    /// Locks a host out, or lifts its lock. MUST hold for connections that there are, too. `false`
    /// if there is no such host.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn lock(&self, id: &str, reason: Option<&str>, by: &Caller) -> Result<bool, Trouble>;
}

/// Sessions are ended through this.
pub trait Ending: Send + Sync {
    /// Whether a session of that name is going on, as far as is known. MUST change nothing.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn goes_on(&self, session: SessionId) -> Result<bool, Trouble>;

    /// Ends a session that is going on; `false` if none of that name is.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn end(&self, session: SessionId, reason: &str, by: &Caller) -> Result<bool, Trouble>;
}

/// A policy that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyWish {
    /// Its text.
    pub text: String,
    /// Why; may be empty.
    pub reason: String,
    /// Only if this version is in force now; 0: if there is none.
    pub if_version: Option<u64>,
}

/// A login to be decided, and where it is to happen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyTest {
    /// Whoever logs in.
    pub login: Login,
    /// On the host of this name; `None`: on the service's own.
    pub host: Option<String>,
    /// Labels of that host; `None`: those that it joined with.
    pub labels: Option<BTreeMap<String, String>>,
    /// By this text; `None`: by the policy in force.
    pub text: Option<String>,
}

/// Puts on record that a policy is set, with these fields besides who asks; with an error, that it
/// was not set after all.
pub type PutOnRecord<'a> = dyn Fn(Fields, Option<&str>) -> Result<(), String> + 'a;

/// The central policy.
pub trait Policies: Send + Sync {
    /// The one in force, or the version that is named, if there is one.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn get(&self, version: Option<u64>) -> Result<Option<Stored>, Trouble>;

    /// Sets it. MUST call `put_on_record` after everything that can be refused, and before it is in
    /// force; with an error of that nothing MUST change. `Ok` MUST mean that it is durable.
    ///
    /// # Errors
    /// As sorted by [`Trouble`]: `Changed` when another version is in force than was named.
    fn set(
        &self,
        wish: &PolicyWish,
        by: &Caller,
        put_on_record: &PutOnRecord<'_>,
    ) -> Result<Stored, Trouble>;

    /// What would be decided, and whether the host is known. MUST change nothing.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn test(&self, test: &PolicyTest) -> Result<(Decision, bool), Trouble>;
}

/// Legal holds: what is held is not deleted, whatever the rules say.
pub trait Holds: Send + Sync {
    /// Whether this session could be held now, or its hold lifted; `false` if there is no such session. MUST
    /// change nothing.
    ///
    /// # Errors
    /// As [`Self::hold`].
    fn check(&self, session: SessionId) -> Result<bool, Trouble>;

    /// Holds a session, or lifts its hold. `Ok(true)` MUST mean that it is durable, and that nothing
    /// deletes a session that is held; `false` if there is no such session.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn hold(&self, session: SessionId, held: bool) -> Result<bool, Trouble>;

    /// Sessions that are held, by identifier, after this one; at most `most`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(&self, after: Option<SessionId>, most: usize) -> Result<Vec<SessionId>, Trouble>;
}
