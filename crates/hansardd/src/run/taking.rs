//! The role that takes recordings from hosts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hansard_core::event::Fact;
use hansard_core::fields::Fields;
use hansard_core::seal::Digest;
use hansard_core::{Body, SessionId, Sink};
use hansard_identity::registry::Registry;
use hansard_identity::tls::{Clients, LiveCertificate, server_config};
use hansard_identity::{HostId, HostIdentity, Peer};
use hansard_record::Environment;
use hansard_record::clock::Clock;
use hansard_record::diary::Diary;
use hansard_record::forward::wire::ProblemKind;
use hansard_record::order::Spot;
use hansard_record::spool::Spool;
use hansard_store::Catalog;
use rustls::time_provider::DefaultTimeProvider;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::facts::Facts;
use super::keeping::Keeping;
use super::opening::{SPOOL_RESERVE_BYTES, listen};
use super::{Closer, Start};
use crate::config::Ingest as IngestConfig;
use crate::failure::{Failure, STATUS_FAILED};
use crate::ingest::shares::OWN_SHARES;
use crate::ingest::{
    Answer, Cause, Depot, Figures, Ingest, KeyGate, Note, Parts, RegistryAdmission, Shares,
    Sparingly, Witness,
};
use crate::keeper::Owners;
use crate::live::Live;
use crate::tee::{Source, Tee};

/// What taking stands on.
pub(super) struct Taking<'a> {
    pub(super) start: &'a Start,
    pub(super) environment: &'a Environment,
    pub(super) spool: &'a Spool,
    pub(super) identity: &'a HostIdentity,
    pub(super) registry: &'a Arc<Registry>,
    pub(super) keeping: &'a Keeping,
    pub(super) facts: &'a Facts,
    pub(super) diary: &'a Diary,
}

impl Taking<'_> {
    /// Listens for hosts; answers what is counted.
    pub(super) fn take(
        self,
        config: &IngestConfig,
        runtime: &Runtime,
        stop: watch::Receiver<bool>,
        closers: &mut Vec<Closer>,
    ) -> Result<Arc<Figures>, Failure> {
        let identity = self.named()?;
        let certificate = LiveCertificate::new(
            identity.tls_certificate(),
            identity.authority(),
            identity.keys().tls(),
        );
        let certificate = Arc::new(certificate.map_err(|e| unusable(&e))?);
        let time = Arc::new(DefaultTimeProvider);
        let own = Arc::clone(&certificate);
        let tls = server_config(identity.authority(), own, Clients::OrAnonymous, time);
        let tls = Arc::new(tls.map_err(|e| unusable(&e))?);
        self.renew(identity, certificate, closers)?;
        let hosts_max = usize::try_from(config.hosts_max).unwrap_or(usize::MAX);
        let ingest = Ingest::new(self.parts(tls, hosts_max));
        let figures = ingest.figures();
        let listener = listen(runtime, "serve.ingest.listen", config.listen)?;
        let address = listener.local_addr().unwrap_or(config.listen);
        let journal = &self.start.journal;
        journal.info("taking recordings from hosts", &[("listen", &address)]);
        runtime.spawn(ingest.run(listener, super::opening::told(stop)));
        Ok(figures)
    }

    /// This service's identity, under the names that are configured: a certificate with others is
    /// replaced before anybody connects, or hosts that use a new name would be turned away until it is
    /// renewed anyway.
    fn named(&self) -> Result<HostIdentity, Failure> {
        let mine = super::renewing::opened(self.identity.directory())?;
        let names = self.start.config.server_names();
        let registry = self.registry;
        if registry.is_certified_as(mine.id(), &mine.peer().serial, &names) {
            return Ok(mine);
        }
        let now_ns = self.environment.clock.utc_ns();
        let done = registry
            .renew_under(&names, &mine.renew_request(), now_ns)
            .map_err(|denied| unusable(&denied.failure))?;
        done.facts
            .into_iter()
            .for_each(|fact| self.facts.mention(fact));
        let renewed = mine.renewed(&done.answer, now_ns);
        let renewed = renewed.map_err(|e| unusable(&e))?;
        let journal = &self.start.journal;
        journal.notice(
            "the certificate has other names now",
            &[("names", &names.join(","))],
        );
        Ok(renewed)
    }

    fn parts(&self, tls: Arc<rustls::ServerConfig>, hosts_max: usize) -> Parts {
        let clock = Arc::clone(&self.environment.clock);
        let keeping = self.keeping;
        let (live, catalog) = (keeping.live.clone(), Arc::clone(&keeping.catalog));
        let owners = Owners::new(live.clone(), self.spool.clone(), Arc::clone(&catalog));
        let registry = Arc::clone(self.registry);
        let is_key_of = move |peer: &Peer, key: &[u8; 32]| {
            let id = peer.principal.id();
            id.is_some_and(|id| registry.has_recorder_key(id, key))
        };
        let archived_key = move |session| owners.owner_key(session).map_err(|e| e.to_string());
        let registry = Arc::clone(self.registry);
        let admission = RegistryAdmission::new(Arc::clone(&registry), Arc::clone(&clock));
        Parts {
            tls,
            admission: Arc::new(admission),
            gate: Arc::new(KeyGate::new(Box::new(is_key_of), Box::new(archived_key))),
            depot: Arc::new(Kept {
                shares: self.shares(&live),
                spool: self.spool.leaving(self.left_to_own_sessions()),
                live,
                catalog,
            }),
            witness: Arc::new(Told {
                facts: self.facts.clone(),
                journal: self.start.journal.clone(),
                not_taken: Mutex::default(),
            }),
            join: self.small(|registry, _, body, now| crate::join::join(registry, body, now)),
            renew: self.small(crate::join::renew),
            connections: keeping.connections.clone(),
            hosts_max,
            software: format!("hansardd {}", env!("CARGO_PKG_VERSION")),
        }
    }

    /// Bytes of the spool that hosts leave to what this machine records itself.
    fn left_to_own_sessions(&self) -> u64 {
        let share = self.spool.usage().bytes_max / OWN_SHARES;
        share.max(SPOOL_RESERVE_BYTES.saturating_mul(2))
    }

    fn shares(&self, live: &Live) -> Shares {
        let (facts, journal) = (self.facts.clone(), self.start.journal.clone());
        let registry = Arc::clone(self.registry);
        let alarms = Arc::clone(&self.keeping.alarms);
        let on_over = move |source: &Source, bytes: u64, bytes_max: u64| {
            let row = match source {
                Source::Host(id) => id.parse().ok().and_then(|id| registry.host(id)),
                Source::Local => None,
            };
            let name = row.map(|row| row.name).unwrap_or_default();
            let what = format!(
                "{source} ({name}) has {bytes} bytes in the spool that are not archived, of {bytes_max} that it may \
                 have: nothing more is taken from it until they are; sessions that are never sealed stay there"
            );
            alarms.fetch_add(1, Ordering::Relaxed);
            journal.error("alarm", &[("matter", &"spool_share"), ("what", &what)]);
            facts.mention(super::fact::alarm("spool_share", None, None, &what));
        };
        let clock: Arc<dyn Clock> = Arc::clone(&self.environment.clock);
        Shares::new(self.spool.clone(), live.clone(), clock, Box::new(on_over))
    }

    /// A small request: what happened is recorded before it is answered. Anybody may ask, so of what is refused
    /// only so much is recorded.
    fn small(&self, of: fn(&Registry, Option<&Peer>, &[u8], u64) -> crate::join::Answer) -> Answer {
        let registry = Arc::clone(self.registry);
        let clock: Arc<dyn Clock> = Arc::clone(&self.environment.clock);
        let diary = self.diary.clone();
        let refused = Mutex::new(Sparingly::default());
        Arc::new(move |(peer, remote), body| {
            let mut answer = of(&registry, peer.as_ref(), &body, clock.utc_ns());
            let mut untold = 0;
            if answer.status != 200 {
                let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
                match refused.tell(Instant::now()) {
                    Some(before) => untold = before,
                    None => return (answer.status, answer.body),
                }
            }
            let facts = std::mem::take(&mut answer.facts).into_iter();
            let recorded = facts
                .map(|fact| asked_from(fact, remote, untold))
                .try_for_each(|fact| diary.event(fact))
                .and_then(|()| diary.flush());
            match recorded {
                Ok(()) => (answer.status, answer.body),
                Err(_) => (
                    503,
                    br#"{"error":"it cannot be recorded now; try again"}"#.to_vec(),
                ),
            }
        })
    }

    /// The service's own certificate comes from its own authority.
    fn renew(
        &self,
        mine: HostIdentity,
        certificate: Arc<LiveCertificate>,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let registry = Arc::clone(self.registry);
        let (clock, facts) = (Arc::clone(&self.environment.clock), self.facts.clone());
        let ask = move |request| match registry.renew(None, &request, clock.utc_ns()) {
            Ok(done) => {
                done.facts.into_iter().for_each(|fact| facts.mention(fact));
                Ok(done.answer)
            }
            Err(denied) => {
                denied
                    .facts
                    .into_iter()
                    .for_each(|fact| facts.mention(fact));
                Err(denied.failure.to_string())
            }
        };
        let (start, environment) = (self.start, self.environment);
        super::renewing::renew(
            start,
            environment,
            mine,
            certificate,
            Box::new(ask),
            closers,
        )
    }
}

/// From where somebody asked who is let in or not by it, and how many such before are not on record.
fn asked_from(mut body: Body, remote: SocketAddr, untold: u64) -> Body {
    if let Body::Auth(fact) = &mut body {
        fact.fields.push("addr.remote", remote.to_string());
        if untold > 0 {
            fact.fields.push("not_told", untold);
        }
    }
    body
}

/// Where parts of hosts go.
struct Kept {
    shares: Shares,
    spool: Spool,
    live: Live,
    catalog: Arc<dyn Catalog>,
}

impl Depot for Kept {
    fn sink(&self, peer: &Peer) -> Box<dyn Sink + Send> {
        let id = peer.principal.id().map(|id| id.to_string());
        let source = Source::Host(id.unwrap_or_default().into());
        let tee = Tee::new(self.spool.clone(), self.live.clone(), source.clone());
        Box::new(self.shares.sink(tee, source))
    }

    fn archived(&self, session: SessionId) -> Result<Option<u32>, String> {
        let heads = self.catalog.heads(&[session]).map_err(|e| e.to_string())?;
        Ok(heads.into_iter().next().flatten().map(|head| head.number))
    }

    fn begins_at(&self, session: SessionId, spot: Spot) {
        self.live.begins_at(session, spot);
    }

    fn holds(&self, session: SessionId, segment: u32, digest: &Digest) -> Result<bool, String> {
        let rows = self.catalog.segments(session, segment, 1);
        let rows = rows.map_err(|e| e.to_string())?;
        let is_it = |row: &hansard_store::catalog::SegmentRow| {
            row.number == segment && row.digest == *digest
        };
        Ok(rows.first().is_some_and(is_it))
    }
}

/// Makes events of what happens at the door.
struct Told {
    facts: Facts,
    journal: crate::journal::Journal,
    /// How often each host was told of whose sessions are not taken.
    not_taken: Mutex<HashMap<Option<HostId>, Sparingly>>,
}

impl Told {
    /// Whether this is to be an event, and if so how many of its kind before it were none.
    fn is_told(&self, note: &Note) -> Option<u64> {
        let Note::NotTaken { peer, .. } = note else {
            return Some(0);
        };
        let mut all = self
            .not_taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_host = all.entry(peer.principal.id());
        of_host
            .or_insert_with(Sparingly::of_host)
            .tell(Instant::now())
    }
}

impl Witness for Told {
    fn note(&self, note: Note) {
        let said = said(&note);
        match &note {
            Note::TurnedAway { .. }
            | Note::NotTaken {
                cause: Cause::Foreign | Cause::Lost,
                ..
            } => {
                self.journal.warning("at the door", &[("what", &said)]);
            }
            _ => self.journal.info("at the door", &[("what", &said)]),
        }
        let Some(untold) = self.is_told(&note) else {
            return;
        };
        let mut fact = fact_of(note);
        if let Body::Admin(alarm) = &mut fact
            && untold > 0
        {
            alarm.fields.push("not_told", untold);
        }
        self.facts.mention(fact);
    }
}

fn said(note: &Note) -> String {
    match note {
        Note::Connected { peer, remote, .. } => format!("{} connected from {remote}", peer.name),
        Note::Gone { peer, why, .. } => format!("{} is gone: {why}", peer.name),
        Note::TurnedAway { remote, why, .. } => format!("{remote} was turned away: {why}"),
        Note::NotTaken {
            peer, session, why, ..
        } => format!("session {session} of {} is not taken: {why}", peer.name),
    }
}

fn of_peer(peer: &Peer) -> Fields {
    let id = peer.principal.id().map(|id| id.to_string());
    Fields::new()
        .with("host_id", id.unwrap_or_default())
        .with("node_name", peer.name.as_str())
        .with("serial", peer.serial.as_str())
}

fn fact_of(note: Note) -> Body {
    let auth = |event: &str, fields: Fields| {
        Body::Auth(Fact {
            event: event.to_owned(),
            fields,
        })
    };
    match note {
        Note::Connected {
            peer,
            remote,
            software,
        } => {
            let fields = of_peer(&peer).with("addr.remote", remote.to_string());
            auth("host.connected", fields.with("client_version", software))
        }
        Note::Gone { peer, remote, why } => {
            let fields = of_peer(&peer).with("addr.remote", remote.to_string());
            auth("host.disconnected", fields.with("reason", why))
        }
        Note::TurnedAway {
            peer,
            remote,
            why,
            untold,
        } => {
            let fields = peer.as_ref().map(of_peer).unwrap_or_default();
            let fields = fields
                .with("addr.remote", remote.to_string())
                .with("reason", why)
                .with("not_told", untold);
            auth("host.refused", fields)
        }
        Note::NotTaken {
            peer,
            remote,
            session,
            kind,
            why,
            cause,
        } => {
            let kind = match (kind, cause) {
                (ProblemKind::Conflict, _) => "conflict",
                (ProblemKind::Refused, Cause::Lost) => "lost",
                (ProblemKind::Refused, _) => "foreign_session",
                (ProblemKind::Retry, _) => "refused",
            };
            let fields = of_peer(&peer)
                .with("alarm", kind)
                .with("recording", session.to_string())
                .with("reason", why)
                .with("addr.remote", remote.to_string());
            Body::Admin(Fact {
                event: "alarm".to_owned(),
                fields,
            })
        }
    }
}

fn unusable(failure: &hansard_identity::Failure) -> Failure {
    let what = failure.to_string();
    let what = hansard_view::escape_for_humans(&what);
    Failure::new(STATUS_FAILED, what, "see the keys in data_dir")
}
