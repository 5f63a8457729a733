//! Who may come in: users' certificates, and keys in `authorized_keys` where that is switched on.
//!
//! Nothing here trusts the library further than for the signature over this connection, which it has
//! checked. The certificate is checked here once more and in full, with the reason for a refusal.

use std::net::IpAddr;
use std::path::Path;

use hansard_core::Fields;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::access::Roles;

mod authorized;

pub(super) use authorized::Authorized;

/// The critical options that are honoured. A certificate with any other lets nobody in, as
/// PROTOCOL.certkeys demands.
const CRITICAL: [&str; 2] = ["force-command", "source-address"];

/// What somebody may who is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    /// Who it is: the certificate's key id; with a plain key, the account itself.
    pub(super) user: String,
    /// The one command that is run, whatever is asked for.
    pub(super) command: Option<String>,
    /// Whether there may be a terminal.
    pub(super) terminal: bool,
    /// Whether connections may be forwarded, as far as the node allows it.
    pub(super) forwarding: bool,
    /// Whether programs may use the agent of whoever started them, as far as the node allows it.
    pub(super) agent: bool,
    /// What the roles in the certificate give here; `None`: it says nothing of roles.
    pub(super) roles: Option<Roles>,
    /// Whether programs may open windows at the client, as far as the node allows it.
    pub(super) x11: bool,
    /// When it is over, seconds since 1970; `None`: not by itself.
    pub(super) until_s: Option<u64>,
    /// How they have proven who they are.
    pub(super) method: &'static str,
    /// What the event of letting in says of it.
    pub(super) said: Fields,
}

/// The method by which keys and certificates let in (RFC 4252).
const PUBLIC_KEY: &str = "publickey";

impl Allowed {
    /// Somebody who has proven by this method to be an account, whom nothing holds back.
    pub(super) fn account(login: &str, method: &'static str) -> Self {
        Self {
            user: login.to_owned(),
            command: None,
            terminal: true,
            forwarding: true,
            agent: true,
            roles: None,
            x11: true,
            until_s: None,
            method,
            said: Fields::new(),
        }
    }
}

/// Whom the node believes.
#[derive(Debug, Clone, Default)]
pub(super) struct Authorities(Vec<KeyData>);

impl Authorities {
    /// From lines of public keys, as in `TrustedUserCAKeys`.
    ///
    /// # Errors
    /// A line that is none.
    pub(super) fn read(lines: &[String]) -> Result<Self, String> {
        let lines = lines.iter().map(|line| line.trim());
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(|line| {
            let key = PublicKey::from_openssh(line);
            key.map(|key| key.key_data().clone())
                .map_err(|e| format!("a trusted authority is no public key: {e}"))
        });
        keys.collect::<Result<Vec<_>, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this key is an authority's. It signs certificates; whoever signs in with it, or has it
    /// certified, has taken it.
    pub(super) fn has(&self, key: &KeyData) -> bool {
        self.0.contains(key)
    }
}

/// What is known when a certificate is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// The account that is asked for.
    pub(super) login: &'a str,
    /// Where it comes from.
    pub(super) from: IpAddr,
    /// Seconds since 1970.
    pub(super) now_s: u64,
}

/// Judges a certificate; an error is why it lets nobody in.
pub(super) fn judge(
    certificate: &Certificate,
    authorities: &Authorities,
    attempt: Attempt<'_>,
) -> Result<Allowed, String> {
    if certificate.cert_type() != CertType::User {
        return Err("the certificate is a host's".into());
    }
    let signer = certificate.signature_key();
    if !authorities.has(signer) {
        return Err("the certificate is not signed by an authority that is trusted here".into());
    }
    if authorities.has(certificate.public_key()) {
        return Err("the certificate is for the key of an authority".into());
    }
    // The signature and the times; the fingerprint is that of the signer found above.
    let signer = signer.fingerprint(HashAlg::Sha256);
    certificate
        .validate_at(attempt.now_s, [&signer])
        .map_err(|_| "the certificate does not hold now, or its signature is wrong".to_owned())?;
    let logins = certificate.valid_principals();
    // One without logins would be for every account; OpenSSH refuses it as well.
    if !logins.iter().any(|login| login == attempt.login) {
        return Err(format!(
            "the certificate is not for the account {:?}",
            attempt.login
        ));
    }
    let mut command = None;
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            "force-command" => command = Some(value.clone()),
            "source-address" if !is_from(value, attempt.from) => {
                return Err(format!(
                    "the certificate may not be used from {}",
                    attempt.from
                ));
            }
            known if CRITICAL.contains(&known) => {}
            other => {
                return Err(format!(
                    "the certificate demands {other:?}, which is unknown"
                ));
            }
        }
    }
    if certificate.key_id().is_empty() {
        return Err("the certificate does not say whose it is (an empty key id)".into());
    }
    let extensions = certificate.extensions();
    let until_s = Some(certificate.valid_before()).filter(|until| *until < u64::MAX);
    Ok(Allowed {
        user: certificate.key_id().to_owned(),
        command,
        terminal: extensions.contains_key("permit-pty"),
        forwarding: extensions.contains_key("permit-port-forwarding"),
        agent: extensions.contains_key("permit-agent-forwarding"),
        roles: None,
        x11: extensions.contains_key("permit-X11-forwarding"),
        until_s,
        method: PUBLIC_KEY,
        said: Fields::new()
            .with("key", shown(certificate.public_key()))
            .with("serial", format!("{:016x}", certificate.serial()))
            .with("cert_type", "ssh_user"),
    })
}

/// A key as people know it: `SHA256:…`.
pub(super) fn shown(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Whether an address is among these, `192.0.2.0/24,2001:db8::1`. What is no address matches nothing.
pub(super) fn is_from(list: &str, from: IpAddr) -> bool {
    let from = from.to_canonical();
    list.split(',').any(|one| {
        let (address, bits) = match one.split_once('/') {
            Some((address, bits)) => (address, bits.parse().ok()),
            None => (one, Some(128)),
        };
        let (Ok(address), Some(bits)) = (address.parse::<IpAddr>(), bits) else {
            return false;
        };
        match (address, from) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let (a, b) = (u128::from(a.to_bits()), u128::from(b.to_bits()));
                is_same(
                    a << 96,
                    b << 96,
                    if one.contains('/') { bits } else { 32 },
                    32,
                )
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => is_same(a.to_bits(), b.to_bits(), bits, 128),
            _ => false,
        }
    })
}

/// Whether the first bits of two addresses are the same.
fn is_same(a: u128, b: u128, bits: u32, most: u32) -> bool {
    bits <= most && (a ^ b).checked_shr(128 - bits).unwrap_or(0) == 0
}

/// Judges a plain key; an error is why it lets nobody in.
pub(super) fn judge_key(
    key: &PublicKey,
    authorities: &Authorities,
    authorized: Option<&Path>,
    attempt: Attempt<'_>,
    owner: u32,
) -> Result<Allowed, String> {
    if authorities.has(key.key_data()) {
        return Err("the key is an authority's, which nobody signs in with".into());
    }
    let Some(path) = authorized else {
        return Err("plain keys let nobody in here, only certificates do".into());
    };
    let entry = Authorized::find(path, key, attempt.from, owner)?;
    Ok(Allowed {
        command: entry.command,
        terminal: entry.terminal,
        forwarding: entry.forwarding,
        agent: entry.agent,
        x11: entry.x11,
        said: Fields::new().with("key", shown(key.key_data())),
        ..Allowed::account(attempt.login, PUBLIC_KEY)
    })
}

#[cfg(test)]
#[path = "credentials/tests.rs"]
mod certificates;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_counted_in_bits() {
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        for (list, address, is_in) in [
            ("192.0.2.0/24", "192.0.2.7", true),
            ("192.0.2.0/24", "192.0.3.7", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("::/0", "192.0.2.7", false),
            ("192.0.2.0/33", "192.0.2.0", false),
            ("nonsense,192.0.2.7", "192.0.2.7", true),
            ("", "192.0.2.7", false),
            ("*", "192.0.2.7", false),
        ] {
            assert_eq!(is_from(list, from(address)), is_in, "{list} {address}");
        }
    }
}
