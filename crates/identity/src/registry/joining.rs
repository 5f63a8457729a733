//! Joining and renewing.

use std::collections::BTreeMap;

use hansard_core::event::Body;

use super::{Denied, Done, Registry};
use crate::authority::{Issued, Subject, check_server_names};
use crate::fact;
use crate::failure::Failure;
use crate::hex;
use crate::host_id::HostId;
use crate::host_row::{HostRow, RecorderKey};
use crate::join::{JoinRequest, JoinResponse, Keys, RenewRequest};
use crate::limits::HOSTS_MAX;
use crate::name::check_name;
use crate::peer::Peer;
use crate::token::{JoinAs, Token, TokenFault, TokenId, TokenRow, TokenUse};

/// A service that enrols itself in its own registry, without a token: what `hansardd init` does.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Names it is reached under.
    pub server_names: Vec<String>,
    /// Its TLS key.
    pub tls_key: [u8; 32],
    /// Its recorder key.
    pub recorder_key: [u8; 32],
}

/// Who is to be certified.
struct Candidate<'a> {
    id: HostId,
    role: JoinAs,
    name: &'a str,
    labels: &'a BTreeMap<String, String>,
    server_names: &'a [String],
    keys: Keys,
}

/// A token, and what a request with it may become.
struct LetIn {
    token: TokenId,
    row: TokenRow,
    /// The identifier of an earlier use by the same key.
    before: Option<HostId>,
}

impl Registry {
    /// Lets a host or service in that has a token, and certifies its keys. The same request again
    /// (after a crash, or an answer that was lost) succeeds with the same identifier, and costs no
    /// further use of the token. Who joined before and comes with another token keeps its
    /// identifier, too: the recorder key says who it is.
    ///
    /// # Errors
    /// `Malformed` for the request's form, `Token` for whatever is wrong with the token, `Refused`
    /// for who is locked out, `Conflict` at [`HOSTS_MAX`] or for a key in another role, `Retry` when
    /// the disk fails.
    pub fn join(&self, request: &JoinRequest, utc_ns: u64) -> Result<Done<JoinResponse>, Denied> {
        let keys = request.check().map_err(|failure| {
            let facts = vec![fact::not_joined(None, None, &failure.to_string())];
            Denied { failure, facts }
        })?;
        let token = Token::parse(&request.token);
        let token_name = token.as_ref().map(|t| t.id.to_string());
        let denied = |failure: Failure, reason: &str| Denied {
            failure,
            facts: vec![fact::not_joined(
                Some(&request.name),
                token_name.as_deref(),
                reason,
            )],
        };
        let _writing = self.writing();
        let let_in = self
            .let_in(token.as_ref(), request, utc_ns)
            .map_err(|fault| denied(Failure::Token, fault.as_str()))?;
        let joined = self.joined(let_in, request, keys, utc_ns);
        joined.map_err(|failure| {
            let reason = failure.to_string();
            denied(failure, &reason)
        })
    }

    /// Enrols a service in its own registry.
    ///
    /// # Errors
    /// As [`Registry::join`], but for tokens.
    pub fn enrol(&self, service: &Enrolment, utc_ns: u64) -> Result<Done<JoinResponse>, Denied> {
        check_name(&service.name).map_err(Failure::from)?;
        check_server_names(&service.server_names)?;
        let _writing = self.writing();
        let before = self.known_as(&hex::encode(&service.recorder_key), JoinAs::Service, utc_ns)?;
        let candidate = Candidate {
            id: match before {
                Some(id) => id,
                None => self.new_id(utc_ns)?,
            },
            role: JoinAs::Service,
            name: &service.name,
            labels: &service.labels,
            server_names: &service.server_names,
            keys: Keys {
                tls: service.tls_key,
                recorder: service.recorder_key,
            },
        };
        let (row, mut facts, answer) = self.certify(&candidate, utc_ns)?;
        facts.insert(0, fact::joined(&row, "local", None, before.is_some()));
        Ok(Done { answer, facts })
    }

    /// Gives a host or service that joined its next TLS certificate, and a new certificate of its
    /// recorder key where that one is due. `peer` is who the connection is from, if it has
    /// a certificate: it may only renew itself. Without one, the recorder key's proof decides.
    ///
    /// # Errors
    /// `Malformed` for the request's form, `Refused` for who is unknown, locked out or another,
    /// `Retry` when the disk fails.
    pub fn renew(
        &self,
        peer: Option<&Peer>,
        request: &RenewRequest,
        utc_ns: u64,
    ) -> Result<Done<JoinResponse>, Denied> {
        let checked = request.check(&self.authority.own().der);
        let (id, keys) = checked.map_err(|failure| {
            let facts = vec![fact::not_renewed(None, &failure.to_string())];
            Denied { failure, facts }
        })?;
        let _writing = self.writing();
        self.renewed(peer, id, keys, utc_ns).map_err(|failure| {
            let facts = vec![fact::not_renewed(
                Some(&id.to_string()),
                &failure.to_string(),
            )];
            Denied { failure, facts }
        })
    }

    /// The same for this registry's own service, under these names from now on; the recorder key's
    /// proof says that it is the service itself. A crash before the answer is kept leaves a row whose
    /// serial number is not that of the certificate in use ([`Registry::is_certified_as`]), and the
    /// same call again finishes.
    ///
    /// # Errors
    /// As [`Registry::renew`]; `Malformed` for names that a certificate cannot have, `Refused` for a
    /// host, which has none.
    pub fn renew_under(
        &self,
        server_names: &[String],
        request: &RenewRequest,
        utc_ns: u64,
    ) -> Result<Done<JoinResponse>, Denied> {
        check_server_names(server_names)?;
        let (id, keys) = request.check(&self.authority.own().der)?;
        let _writing = self.writing();
        let mut row = self.writable(None, id, keys, utc_ns)?;
        if row.role != JoinAs::Service {
            return Err(Failure::Refused("only a service is reached under names".into()).into());
        }
        row.server_names = server_names.to_vec();
        Ok(self.renew_row(row, id, keys, utc_ns)?)
    }

    /// Whether a service's certificate of this serial number is its newest and has these names.
    #[must_use]
    pub fn is_certified_as(&self, id: HostId, serial: &str, server_names: &[String]) -> bool {
        let row = self.host(id);
        row.is_some_and(|row| row.tls_serial == serial && row.server_names == server_names)
    }

    fn renewed(
        &self,
        peer: Option<&Peer>,
        id: HostId,
        keys: Keys,
        utc_ns: u64,
    ) -> Result<Done<JoinResponse>, Failure> {
        let row = self.writable(peer, id, keys, utc_ns)?;
        self.renew_row(row, id, keys, utc_ns)
    }

    /// The row of who may renew.
    fn writable(
        &self,
        peer: Option<&Peer>,
        id: HostId,
        keys: Keys,
        utc_ns: u64,
    ) -> Result<HostRow, Failure> {
        let row = self.host(id);
        // Unknown and not yours are one answer: nobody learns who has joined.
        let Some(row) = row.filter(|row| row.has_recorder_key(&keys.recorder)) else {
            return Err(Failure::Refused(
                "this host never joined here: let it join with a token".into(),
            ));
        };
        if peer.is_some_and(|peer| peer.principal != row.principal(id)) {
            return Err(Failure::Refused("one may only renew oneself".into()));
        }
        if row.is_locked_at(utc_ns) {
            return Err(Failure::Refused("this host is locked out".into()));
        }
        Ok(row)
    }

    fn renew_row(
        &self,
        mut row: HostRow,
        id: HostId,
        keys: Keys,
        utc_ns: u64,
    ) -> Result<Done<JoinResponse>, Failure> {
        let tls = self.issue_tls(&row, id, keys.tls, utc_ns)?;
        let mut facts = vec![fact::issued(&tls)];
        let mut recorder = None;
        if row.recorder.is_due(utc_ns) {
            let issued = self.issue_recorder(&row, id, keys.recorder, utc_ns)?;
            facts.push(fact::issued(&issued));
            row.recorder = recorder_key(&issued, utc_ns);
            recorder = Some(issued.pem);
        }
        note_tls(&mut row, &tls);
        self.put_host(id, row)?;
        let answer = self.answer(id, tls, recorder);
        Ok(Done { answer, facts })
    }

    /// Whether the token lets in, in the order that tells a stranger nothing by its time but what
    /// the token's public name says.
    fn let_in(
        &self,
        token: Option<&Token>,
        request: &JoinRequest,
        utc_ns: u64,
    ) -> Result<LetIn, TokenFault> {
        let token = token.ok_or(TokenFault::NotAToken)?;
        let row = self.known().tokens.get(&token.id).cloned();
        let row = row.ok_or(TokenFault::Unknown)?;
        let before = row.admits(token, &request.recorder_key, utc_ns)?;
        if (row.role == JoinAs::Service) == request.server_names.is_empty() {
            return Err(TokenFault::OtherRole);
        }
        Ok(LetIn {
            token: token.id,
            row,
            before,
        })
    }

    fn joined(
        &self,
        let_in: LetIn,
        request: &JoinRequest,
        keys: Keys,
        utc_ns: u64,
    ) -> Result<Done<JoinResponse>, Failure> {
        let LetIn {
            token,
            row: mut token_row,
            before,
        } = let_in;
        let known = self.known_as(&request.recorder_key, token_row.role, utc_ns)?;
        let id = match (known, before) {
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => self.new_id(utc_ns)?,
        };
        let role = token_row.role;
        if before.is_none() {
            token_row.uses.push(TokenUse {
                recorder_key: request.recorder_key.clone(),
                host: id.to_string(),
            });
            // First the token's use, then the host: a crash in between leaves a use that names a
            // host without a file, and the same request makes that file. The other way round, a
            // crash would leave a host and a token that lets in once more.
            self.put_token(token, token_row)?;
        }
        let candidate = Candidate {
            id,
            role,
            name: &request.name,
            labels: &request.labels,
            server_names: &request.server_names,
            keys,
        };
        let (row, mut facts, answer) = self.certify(&candidate, utc_ns)?;
        let name = token.to_string();
        facts.insert(0, fact::joined(&row, "token", Some(&name), known.is_some()));
        Ok(Done { answer, facts })
    }

    /// The identifier under which this key joined before, if it may come back.
    fn known_as(&self, key: &str, role: JoinAs, utc_ns: u64) -> Result<Option<HostId>, Failure> {
        let known = self.known();
        let Some(id) = known.by_recorder_key.get(key).copied() else {
            return Ok(None);
        };
        match known.hosts.get(&id) {
            Some(row) if row.is_locked_at(utc_ns) => {
                Err(Failure::Refused("this host is locked out".into()))
            }
            Some(row) if row.role == role => Ok(Some(id)),
            _ => Err(Failure::Conflict(
                "this key has joined in another role: make new keys".into(),
            )),
        }
    }

    fn new_id(&self, utc_ns: u64) -> Result<HostId, Failure> {
        let known = self.known();
        if known.hosts.len() + known.unreadable.len() >= HOSTS_MAX {
            return Err(Failure::Conflict(format!(
                "{HOSTS_MAX} hosts have joined, which is as many as can"
            )));
        }
        let random = crate::random::draw(&*self.random)?;
        Ok(HostId::new_v7(utc_ns / 1_000_000, random))
    }

    /// Issues both certificates and writes the host's file: then, and not before, it has joined.
    fn certify(
        &self,
        candidate: &Candidate<'_>,
        utc_ns: u64,
    ) -> Result<(HostRow, Vec<Body>, JoinResponse), Failure> {
        let Candidate { id, keys, .. } = *candidate;
        if self.known().unreadable.contains(&id) {
            return Err(Failure::Refused("this host's file cannot be read".into()));
        }
        let before = self.host(id);
        let mut row = HostRow {
            id: id.to_string(),
            role: candidate.role,
            name: candidate.name.to_owned(),
            labels: candidate.labels.clone(),
            server_names: candidate.server_names.to_vec(),
            recorder: RecorderKey {
                key: hex::encode(&keys.recorder),
                serial: String::new(),
                issued_ns: utc_ns,
                not_after_ns: 0,
            },
            joined_ns: before.as_ref().map_or(utc_ns, |row| row.joined_ns),
            tls_serial: String::new(),
            tls_not_after_ns: 0,
            // A lock that is over is kept as it is; one that holds does not come this far.
            lock: before.and_then(|row| row.lock),
        };
        let tls = self.issue_tls(&row, id, keys.tls, utc_ns)?;
        let recorder = self.issue_recorder(&row, id, keys.recorder, utc_ns)?;
        let facts = vec![fact::issued(&tls), fact::issued(&recorder)];
        note_tls(&mut row, &tls);
        row.recorder = recorder_key(&recorder, utc_ns);
        self.put_host(id, row.clone())?;
        Ok((row, facts, self.answer(id, tls, Some(recorder.pem))))
    }

    fn issue_tls(
        &self,
        row: &HostRow,
        id: HostId,
        key: [u8; 32],
        utc_ns: u64,
    ) -> Result<Issued, Failure> {
        let (principal, name) = (row.principal(id), row.name.as_str());
        let subject = Subject {
            principal,
            name,
            key,
        };
        match row.role {
            JoinAs::Host => self.authority.issue_client(subject, utc_ns, &*self.random),
            JoinAs::Service => {
                self.authority
                    .issue_server(subject, &row.server_names, utc_ns, &*self.random)
            }
        }
    }

    fn issue_recorder(
        &self,
        row: &HostRow,
        id: HostId,
        key: [u8; 32],
        utc_ns: u64,
    ) -> Result<Issued, Failure> {
        let (principal, name) = (row.principal(id), row.name.as_str());
        let subject = Subject {
            principal,
            name,
            key,
        };
        self.authority
            .issue_recorder(subject, utc_ns, &*self.random)
    }

    fn answer(&self, id: HostId, tls: Issued, recorder: Option<String>) -> JoinResponse {
        JoinResponse {
            id: id.to_string(),
            authority: self.authority.own().pem.clone(),
            tls: tls.pem,
            recorder,
        }
    }
}

fn note_tls(row: &mut HostRow, tls: &Issued) {
    row.tls_serial.clone_from(&tls.certificate.serial);
    row.tls_not_after_ns = tls.certificate.peer().not_after_ns;
}

fn recorder_key(issued: &Issued, utc_ns: u64) -> RecorderKey {
    RecorderKey {
        key: hex::encode(&issued.certificate.key),
        serial: issued.certificate.serial.clone(),
        issued_ns: utc_ns,
        not_after_ns: issued.certificate.peer().not_after_ns,
    }
}
