//! The proxy: whoever signs in here goes on to another machine's SSH server, on which nothing of ours is
//! installed. Both halves are whole connections, so all that passes is seen, and recorded by the same
//! relay as on a node.
//!
//! - `destination`: where to; `host_keys`: whether it is who it says; `target`: the connection there
//! - `sign_in`: how to get in there: with a certificate, a `credential` that is kept, or the client's `agent`
//! - `hooks`: what the target asks for; `far`: what runs there; `jump`: `ssh -J`, an SSH server inside
//!   of a forward

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::forward::Places;

mod agent;
mod credential;
mod destination;
mod far;
mod hooks;
mod host_keys;
mod jump;
mod sign_in;
mod target;

pub(super) use agent::{asks_client, reach_meanwhile};
pub use credential::{Credential, CredentialKind, Credentials, check_target, key_fingerprint};
pub(super) use destination::{Destination, parted};
pub(super) use far::{Far, FarChannel, Wants, stream_of};
use host_keys::HostKeys;
pub(super) use jump::jump;
pub use sign_in::Method;
use sign_in::Methods;
pub(super) use target::{Targets, listens_no_more, reach, session, shared, shared_at_once};

/// Whom a certificate for a target is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Whoever signed in.
    pub user: &'a str,
    /// The account of the target.
    pub login: &'a str,
    /// The public key, a line of a `.pub` file.
    pub key: &'a str,
    /// What their roles give, as their own certificate has it: the target may decide by it, too.
    pub access: Option<&'a str>,
}

/// What a proxy has certified.
pub trait Certify: Send + Sync {
    /// A short-lived certificate with which somebody gets into one account of a target, as a line of a `.pub`
    /// file. It MUST be on record when this returns, and MUST NOT give more than is wanted.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn user(&self, wanted: &Wanted<'_>) -> Result<String, String>;

    /// A certificate for the proxy's own host key under the name of a target, for `ssh -J`; `None`: there
    /// is no authority for that.
    fn host(&self, name: &str) -> Option<String>;
}

/// Where a proxy leads, and how.
#[derive(Clone)]
pub struct Proxy {
    /// Where to, as `HOST:PORT` like rules of forwards. Nowhere, as shipped.
    pub targets: Vec<String>,
    /// Public keys of those whose certificates say who a target is.
    pub host_authorities: Vec<String>,
    /// Keys of targets, like OpenSSH's `known_hosts`.
    pub known_hosts: PathBuf,
    /// Whether the first key of a target is believed and kept there.
    pub first_use: bool,
    /// The cluster's authority.
    pub certify: Arc<dyn Certify>,
    /// Labels of targets, by which roles choose: rules as in `targets`, and what they have of whom.
    pub labels: Vec<(Vec<String>, BTreeMap<String, String>)>,
    /// How targets are signed in to: rules as in `targets`, and what is tried there, in this order. Where no
    /// rule has one, with a certificate.
    pub sign_in: Vec<(Vec<String>, Vec<Method>)>,
    /// Credentials that are kept for targets.
    pub credentials: Option<Arc<dyn Credentials>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("targets", &self.targets)
            .field("known_hosts", &self.known_hosts)
            .field("first_use", &self.first_use)
            .finish_non_exhaustive()
    }
}

/// The same, read.
pub(super) struct Leads {
    pub(super) targets: Places,
    host_keys: HostKeys,
    certify: Arc<dyn Certify>,
    labels: Vec<(Places, BTreeMap<String, String>)>,
    methods: Methods,
    credentials: Option<Arc<dyn Credentials>>,
}

impl Leads {
    /// # Errors
    /// What cannot be read.
    pub(super) fn read(proxy: &Proxy) -> Result<Self, String> {
        let file = proxy.known_hosts.clone();
        Ok(Self {
            targets: Places::read(&proxy.targets)?,
            host_keys: HostKeys::new(&proxy.host_authorities, file, proxy.first_use)?,
            certify: Arc::clone(&proxy.certify),
            labels: (proxy.labels.iter())
                .map(|(rules, labels)| Ok((Places::read(rules)?, labels.clone())))
                .collect::<Result<_, String>>()?,
            methods: Methods::read(&proxy.sign_in)?,
            credentials: proxy.credentials.clone(),
        })
    }

    /// The labels of a target, by how it is asked for: what a name stands for gives it none. Where two rules
    /// give the same label the first counts.
    pub(super) fn labels_of(&self, to: &Destination) -> BTreeMap<String, String> {
        let of = |(places, _): &&(Places, _)| places.has_as_written(&to.host, to.port);
        let mut all = BTreeMap::new();
        for (_, labels) in self.labels.iter().filter(of) {
            for (name, value) in labels {
                all.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        all
    }

    /// A certificate for the proxy's own key under a target's name.
    pub(super) fn certified(&self, to: &Destination) -> Option<String> {
        self.certify.host(&to.host)
    }

    /// Whether somebody may be led there; if not, why.
    pub(super) fn may(&self, to: &Destination) -> Result<(), String> {
        match self.targets.may(&to.host, to.port) {
            true => Ok(()),
            false => Err(format!("no rule of capture.proxy.targets allows {to}")),
        }
    }
}
