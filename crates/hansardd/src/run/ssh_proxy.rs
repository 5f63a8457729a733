//! The role that leads people on to other machines' SSH servers.

use std::sync::Arc;

use hansard_capture::local::Server as LocalServer;
use hansard_capture::ssh::{
    Certify, Config as ProxyConfig, Credentials, Proxy as Leads, WantedCertificate,
};
use hansard_core::access::from_text;
use hansard_identity::key::PrivateKey;
use hansard_identity::limits::{SSH_HOST_LIFE_S, SSH_TARGET_LIFE_S};
use hansard_identity::ssh::{KeyLine, SshAuthorities, UserWish};
use hansard_record::Environment;

use super::recording::Recording;
use super::ssh_certified::HostCertificates;
use super::ssh_node::{Serving, unusable};
use crate::api::seams::Audit;
use crate::config::Proxy;
use crate::failure::{Failure, STATUS_FAILED};
use crate::init::keys::authority_dir;

/// The proxy's own key, among this machine's.
const PROXY_KEY: &str = "ssh_proxy.key";

/// The cluster's authorities, as the proxy asks them.
struct Certifies {
    authorities: SshAuthorities,
    environment: Environment,
    /// Makes a fact durable: before it is, no certificate is used.
    audit: Audit,
    /// Who this machine is, and its host key.
    host: (String, KeyLine),
}

impl Certifies {
    fn random(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.environment.random.fill(bytes)
    }
}

impl Certify for Certifies {
    fn user(&self, wanted: &WantedCertificate<'_>) -> Result<String, String> {
        let access = wanted.access.map(from_text).transpose();
        let key = wanted.key.parse::<KeyLine>();
        let wish = UserWish {
            user: wanted.user.to_owned(),
            logins: vec![wanted.login.to_owned()],
            key: key.map_err(|e| e.to_string())?,
            life_s: SSH_TARGET_LIFE_S,
            access: access.map_err(|e| e.to_string())?,
            ..UserWish::default()
        };
        let now_ns = self.environment.clock.utc_ns();
        let random = |bytes: &mut [u8]| self.random(bytes);
        let issued = self.authorities.issue_user(&wish, now_ns, &random);
        let issued = issued.map_err(|e| e.to_string())?;
        (self.audit)(issued.fact)?;
        Ok(issued.line)
    }

    fn host(&self, name: &str) -> Option<String> {
        let (id, key) = &self.host;
        let now_ns = self.environment.clock.utc_ns();
        let random = |bytes: &mut [u8]| self.random(bytes);
        let names = [name.to_owned()];
        let made = self
            .authorities
            .issue_host(key, (id, &names), SSH_HOST_LIFE_S, now_ns, &random);
        // Where the name is none that a certificate may have, the key itself is shown.
        let issued = made.ok()?;
        (self.audit)(issued.fact).ok()?;
        Some(issued.line)
    }
}

/// Listens for people.
pub(super) fn start(
    recording: &Recording<'_>,
    proxy: &Proxy,
    local: &LocalServer,
) -> Result<Serving, Failure> {
    let environment = recording.environment;
    let source = Arc::clone(&environment.random);
    let random = move |bytes: &mut [u8]| source.fill(bytes);
    let keys = recording.dir.keys();
    let key = PrivateKey::kept_in(&keys.join(PROXY_KEY), &random).map_err(unusable)?;
    let authority = authority_dir(&keys);
    if recording.start.config.store.is_none() || !authority.is_dir() {
        return Err(Failure::new(
            STATUS_FAILED,
            "capture.proxy: the cluster's authority is not on this machine, and targets are signed in to with \
             its certificates",
            "run the proxy beside the service that `hansardd init` made",
        ));
    }
    let authorities = SshAuthorities::open(&authority, &random).map_err(unusable)?;
    let mut config = ProxyConfig::at(proxy.listen, key.seed());
    config.authorities.clone_from(&proxy.user_authorities);
    config.authorities.push(authorities.user_line());
    config.roles_only = proxy.roles_only;
    config.accept_env.clone_from(&proxy.accept_env);
    config.forwards = proxy.forwards();
    config.connections_max = usize::try_from(proxy.connections_max).unwrap_or(usize::MAX);
    config.login_grace = proxy.login_grace.0;
    let mut host_authorities = proxy.host_authorities.clone();
    host_authorities.push(authorities.host_line());
    let line = KeyLine::ed25519(&key.public());
    let certificates = HostCertificates::of(recording, (&proxy.names, line.clone()))?;
    config.proxy = Some(Leads {
        targets: proxy.targets.clone(),
        host_authorities,
        known_hosts: recording.dir.known_hosts(),
        first_use: proxy.first_use,
        labels: (proxy.target_labels.iter())
            .map(|one| (one.targets.clone(), one.labels.clone()))
            .collect(),
        sign_in: (proxy.target_sign_in.iter())
            .map(|one| (one.targets.clone(), one.methods.clone()))
            .collect(),
        credentials: (recording.credentials.clone())
            .map(|stored| Arc::new(stored) as Arc<dyn Credentials>),
        certify: Arc::new(Certifies {
            authorities,
            environment: environment.clone(),
            audit: Arc::clone(&recording.audit),
            host: (recording.identity.id().to_string(), line),
        }),
    });
    let what = ("capture.proxy", "leading on to other machines");
    super::ssh_node::begin((config, certificates, local), what, recording)
}
