//! The HTTP API on the admin socket.
//!
//! - [`table`]: all routes, with who may and what they take and answer; the router and the OpenAPI
//!   document ([`openapi`]) are made from it
//! - [`role`]: who asks; [`seams`]: what the API stands on; [`problem`]: why it does not answer
//! - `router`: past everything that must be so first; `asked`, `params`: what a request asks for; `noted`: what is
//!   put on record of it; `telling`: what is of a change, and that it was not made after all; [`places`]: how many are answered, and whose; `standing`, [`until`]: how long an answer may go on
//! - [`refusals`]: what is told of who was refused; `looks`: what is one look
//! - `answers`, `counts`, `coverage`, `found`, `holds`, `policy`, `live`, [`player`], `painter`, `transcript`, [`users`], [`passkeys`], [`shares`], `saved`, [`locks`], [`credentials`], [`person`],
//!   [`sign_ins`]: what the routes do;
//!   `shared`: what a link opens; `rows`, `time`: how that is written; `stream`: answers
//!   that go on
//! - [`socket`]: connections; [`limits`]: every bound, and what happens at it

mod answers;
mod asked;
pub mod certificates;
pub mod certified;
pub(crate) mod connection;
mod counts;
mod coverage;
pub mod credentials;
mod export;
mod found;
mod holds;
pub mod limits;
mod live;
pub mod locks;
mod looks;
mod noted;
pub mod openapi;
mod painter;
mod params;
pub mod passkeys;
pub mod person;
pub(crate) mod places;
pub mod player;
mod policy;
pub mod problem;
pub mod refusals;
pub mod role;
mod router;
mod rows;
mod saved;
mod schema;
pub mod seams;
mod shared;
pub mod shares;
pub mod sign_ins;
pub mod socket;
mod standing;
mod stream;
pub mod table;
mod telling;
mod time;
mod transcript;
pub(crate) mod until;
pub mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;

use hansard_core::SessionId;
use hansard_identity::SavedSearches;
use hansard_store::Query;
use limits::{DOWNLOADS, FOLLOWERS};
use refusals::{REFUSALS_WINDOW, Refusals};
use router::{Doors, Handler};
use seams::{
    Admit, Audit, Certificates, Ending, EventLog, Following, Holds, Hosts, Listings, Log, Owns,
    Policies, Recordings, Searching, Status, Tokens,
};
use stream::{Streams, Words};
use table::Op;

/// What the API stands on. Taken apart at once: each route gets what it needs and nothing else.
pub struct Parts {
    /// Who a peer is.
    pub admit: Admit,
    /// The record of looks and changes.
    pub audit: Audit,
    /// The service's log.
    pub log: Log,
    /// Facts about the service.
    pub status: Status,
    /// Rows.
    pub listings: Arc<dyn Listings>,
    /// Recordings as bytes.
    pub recordings: Arc<dyn Recordings>,
    /// Sessions while they happen.
    pub following: Arc<dyn Following>,
    /// The event log.
    pub event_log: Arc<dyn EventLog>,
    /// Tokens to join with.
    pub tokens: Arc<dyn Tokens>,
    /// SSH certificates.
    pub certificates: Arc<dyn Certificates>,
    /// X.509 certificates of people.
    pub people: Arc<dyn person::People>,
    /// Hosts that joined.
    pub hosts: Arc<dyn Hosts>,
    /// Ends sessions.
    pub ending: Arc<dyn Ending>,
    /// Legal holds.
    pub holds: Arc<dyn Holds>,
    /// The central policy.
    pub policies: Arc<dyn Policies>,
    /// Full text.
    pub searching: Arc<dyn Searching>,
    /// Recordings as they are played.
    pub playing: Arc<dyn player::Playing>,
    /// Users who sign in.
    pub users: Arc<dyn users::Users>,
    /// Passkeys of users.
    pub passkeys: Arc<dyn passkeys::Passkeys>,
    /// Links for people without an account.
    pub shares: Arc<dyn shares::Shares>,
    /// Locks.
    pub locks: Arc<dyn locks::Locking>,
    /// Who is locked out, asked at each request of an account of this machine.
    pub locked: Arc<dyn hansard_core::Locks>,
    /// Credentials for targets.
    pub credentials: Arc<dyn credentials::Credentials>,
    /// Searches that users keep.
    pub saved: Arc<SavedSearches>,
    /// Who is signed in.
    pub sign_ins: Arc<dyn sign_ins::SignIns>,
}

/// What the API of a daemon stands on that keeps nothing itself.
pub struct HostParts {
    /// Who a peer is.
    pub admit: Admit,
    /// The record of looks and changes.
    pub audit: Audit,
    /// The daemon's log.
    pub log: Log,
    /// Facts about the daemon.
    pub status: Status,
    /// Where everything else is, in one sentence.
    pub elsewhere: String,
}

/// Whose a session is, as it is listed.
fn owns(listings: Arc<dyn Listings>) -> Owns {
    Arc::new(move |session: SessionId, user: &str| {
        let query = Query {
            session: Some(session),
            limit: 1,
            ..Query::default()
        };
        let page = listings.sessions(&query)?;
        let row = page.rows.first();
        Ok(row.is_some_and(|row| row.session == session && row.start.user == user))
    })
}

/// The API, ready to be served.
#[derive(Clone)]
pub struct Api {
    router: Router,
    stopping: Arc<AtomicBool>,
}

impl Api {
    /// The API over these parts. `boot` is what the identifiers of requests begin with: another one
    /// at each start.
    #[must_use]
    pub fn new(parts: Parts, boot: String) -> Self {
        Self::counting(parts, boot, Arc::new(Refusals::new(REFUSALS_WINDOW)))
    }

    /// The same; whoever stops the service asks `refusals` for what is left to be told.
    #[must_use]
    pub fn counting(parts: Parts, boot: String, refusals: Arc<Refusals>) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let handlers = handlers(&parts, &stopping);
        let doors = Doors {
            admit: parts.admit,
            audit: parts.audit,
            log: parts.log,
            locked: Some(parts.locked),
            owns: owns(parts.listings),
            refusals,
            elsewhere: None,
        };
        Self {
            router: router::router(handlers, doors, boot),
            stopping,
        }
    }

    /// The API of a daemon that keeps no recordings: how it is, and of everything else, where that is.
    #[must_use]
    pub fn of_host(parts: HostParts, boot: String, refusals: Arc<Refusals>) -> Self {
        let handlers = BTreeMap::from([
            (Op::Status, answers::status(parts.status)),
            (Op::OpenApi, answers::openapi()),
        ]);
        let doors = Doors {
            admit: parts.admit,
            audit: parts.audit,
            log: parts.log,
            // A host that keeps nothing has no locks either: they are its service's.
            locked: None,
            owns: Arc::new(|_, _| Ok(false)),
            refusals,
            elsewhere: Some(parts.elsewhere),
        };
        Self {
            router: router::router(handlers, doors, boot),
            stopping: Arc::default(),
        }
    }

    /// The routes; each request has an [`role::Asker`] as its extension.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Streams end soon.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// Recordings being sent, and streams that follow something.
fn streams(stopping: &Arc<AtomicBool>) -> (Streams, Streams) {
    let full = Words {
        own: "too many recordings are being sent to you",
        all: "too many recordings are being sent",
    };
    let downloads = Streams::new(DOWNLOADS, stopping, full);
    let full = Words {
        own: "you follow too much at the same time",
        all: "too many follow something",
    };
    (downloads, Streams::new(FOLLOWERS, stopping, full))
}

fn handlers(parts: &Parts, stopping: &Arc<AtomicBool>) -> BTreeMap<Op, Handler> {
    let (downloads, followers) = streams(stopping);
    let listings = || Arc::clone(&parts.listings);
    let recordings = || Arc::clone(&parts.recordings);
    let following = Arc::clone(&parts.following);
    let event_log = Arc::clone(&parts.event_log);
    let ending = Arc::clone(&parts.ending);
    let tokens = || Arc::clone(&parts.tokens);
    let hosts = || Arc::clone(&parts.hosts);
    let holds = || Arc::clone(&parts.holds);
    let policies = || Arc::clone(&parts.policies);
    let playing = || Arc::clone(&parts.playing);
    let log = || Arc::clone(&parts.log);
    let audit = || Arc::clone(&parts.audit);
    let mut all = BTreeMap::from([
        (Op::Status, answers::status(Arc::clone(&parts.status))),
        (Op::OpenApi, answers::openapi()),
        (Op::Sessions, answers::sessions(listings())),
        (Op::Session, answers::session(listings())),
        (
            Op::Recording,
            live::recording(listings(), recordings(), downloads.clone(), log()),
        ),
        (
            Op::Export,
            export::export(listings(), recordings(), (downloads, stopping), log()),
        ),
        (
            Op::Follow,
            live::follow(listings(), Arc::clone(&following), followers.clone(), log()),
        ),
        (
            Op::Watch,
            painter::watch(listings(), following, followers.clone(), log()),
        ),
        (Op::Timeline, player::timeline(listings(), playing())),
        (Op::Frames, player::frames(listings(), playing())),
        (Op::Find, player::find(listings(), playing())),
        (
            Op::Verify,
            answers::verify(listings(), recordings(), playing()),
        ),
        (Op::End, answers::end(listings(), ending, audit())),
        (Op::Hold, holds::hold(listings(), holds(), audit())),
        (Op::Release, holds::release(listings(), holds(), audit())),
        (Op::Holds, holds::list(holds())),
        (
            Op::Events,
            live::events(listings(), event_log, followers, log()),
        ),
        (Op::Tokens, answers::tokens(tokens())),
        (Op::TokenMake, answers::token_make(tokens(), audit())),
        (Op::TokenRemove, answers::token_remove(tokens(), audit())),
        (Op::Hosts, answers::hosts(hosts())),
        (Op::HostLock, answers::host_lock(hosts(), audit())),
        (Op::HostUnlock, answers::host_unlock(hosts(), audit())),
        (Op::Policy, policy::get(policies())),
        (Op::PolicySet, policy::set(policies(), audit())),
        (Op::PolicyTest, policy::test(policies())),
    ]);
    all.extend(of_rows(parts));
    all.extend(of_users(parts));
    all.extend(of_certificates(parts));
    all.extend(of_links(parts));
    all.extend(of_passkeys(parts));
    all.extend(of_locks(parts));
    all.extend(of_saved(parts).into_iter().chain(of_credentials(parts)));
    all
}

/// What is computed of rows and texts, beside the listings themselves.
fn of_rows(parts: &Parts) -> [(Op, Handler); 4] {
    let listings = || Arc::clone(&parts.listings);
    let searching = || Arc::clone(&parts.searching);
    let (hosts, audit) = (Arc::clone(&parts.hosts), Arc::clone(&parts.audit));
    [
        (Op::EventCounts, counts::counts(listings())),
        (Op::Search, found::search(searching(), audit)),
        (Op::Coverage, coverage::coverage(listings(), hosts)),
        (
            Op::Transcript,
            transcript::transcript(listings(), searching()),
        ),
    ]
}

fn of_users(parts: &Parts) -> [(Op, Handler); 7] {
    let users = || Arc::clone(&parts.users);
    let sign_ins = || Arc::clone(&parts.sign_ins);
    let audit = || Arc::clone(&parts.audit);
    [
        (Op::Users, users::list(users())),
        (
            Op::UserMake,
            users::make(users(), Arc::clone(&parts.saved), audit()),
        ),
        (
            Op::UserRemove,
            users::remove(users(), Arc::clone(&parts.saved), audit()),
        ),
        (Op::UserPassword, users::set_password(users(), audit())),
        (Op::UserRoles, users::set_roles(users(), audit())),
        (Op::SignIns, sign_ins::list(sign_ins())),
        (Op::SignInEnd, sign_ins::end(sign_ins(), audit())),
    ]
}

fn of_passkeys(parts: &Parts) -> [(Op, Handler); 5] {
    let passkeys = || Arc::clone(&parts.passkeys);
    let audit = || Arc::clone(&parts.audit);
    let sign_ins = Arc::clone(&parts.sign_ins);
    [
        (Op::Passkeys, passkeys::list(passkeys())),
        (Op::PasskeyChallenge, passkeys::challenge(passkeys())),
        (Op::PasskeyMake, passkeys::make(passkeys(), audit())),
        (Op::PasskeyRename, passkeys::rename(passkeys(), audit())),
        (
            Op::PasskeyRemove,
            passkeys::remove(passkeys(), sign_ins, audit()),
        ),
    ]
}

fn of_locks(parts: &Parts) -> [(Op, Handler); 3] {
    let locks = || Arc::clone(&parts.locks);
    let audit = || Arc::clone(&parts.audit);
    [
        (Op::Locks, locks::list(locks())),
        (Op::LockMake, locks::make(locks(), audit())),
        (Op::LockRemove, locks::remove(locks(), audit())),
    ]
}

fn of_credentials(parts: &Parts) -> [(Op, Handler); 5] {
    let kept = || Arc::clone(&parts.credentials);
    let audit = || Arc::clone(&parts.audit);
    [
        (Op::Credentials, credentials::list(kept())),
        (Op::CredentialMake, credentials::make(kept(), audit())),
        (Op::CredentialReplace, credentials::replace(kept(), audit())),
        (Op::CredentialRemove, credentials::remove(kept(), audit())),
        (Op::CredentialRotate, credentials::rotate(kept(), audit())),
    ]
}

fn of_saved(parts: &Parts) -> [(Op, Handler); 3] {
    let kept = || Arc::clone(&parts.saved);
    [
        (Op::Saved, saved::list(kept())),
        (Op::SavedKeep, saved::keep(kept(), Arc::clone(&parts.audit))),
        (
            Op::SavedRemove,
            saved::remove(kept(), Arc::clone(&parts.audit)),
        ),
    ]
}

fn of_links(parts: &Parts) -> [(Op, Handler); 4] {
    let shares = || Arc::clone(&parts.shares);
    let audit = || Arc::clone(&parts.audit);
    let listings = Arc::clone(&parts.listings);
    [
        (Op::ShareMake, shares::make(listings, shares(), audit())),
        (Op::Shares, shares::list(shares())),
        (Op::ShareRevoke, shares::revoke(shares(), audit())),
        (Op::Shared, shared::shared()),
    ]
}

fn of_certificates(parts: &Parts) -> [(Op, Handler); 4] {
    let certificates = || Arc::clone(&parts.certificates);
    let make = certificates::make(certificates(), Arc::clone(&parts.audit));
    [
        (Op::CertificateMake, make),
        (
            Op::PersonOwn,
            person::own(Arc::clone(&parts.people), Arc::clone(&parts.audit)),
        ),
        (
            Op::CertificateOwn,
            certificates::own(certificates(), Arc::clone(&parts.audit)),
        ),
        (
            Op::SshAuthorities,
            certificates::authorities(certificates()),
        ),
    ]
}
