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
            "source-address" => may_come(List::SourceAddress, value, attempt.from)?,
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

/// What a list of addresses and networks is about, for what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// `source-address` of a certificate.
    SourceAddress,
    /// `from=` in `authorized_keys`, where `!` before an element excludes what it names.
    From,
}

/// Whether somebody may come from this address by a list, `192.0.2.0/24,2001:db8::1`. As in sshd(8), whom an
/// element with `!` names is refused whatever the others say, and a list with an element that is no address or
/// network lets in nobody: what it was to exclude is not known.
///
/// # Errors
/// They may not; why.
pub(super) fn may_come(kind: List, list: &str, from: IpAddr) -> Result<(), String> {
    let what = match kind {
        List::SourceAddress => "certificate",
        List::From => "key",
    };
    let (mut is_in, mut is_out) = (false, false);
    for element in list.split(',') {
        let excluded = element.strip_prefix('!').filter(|_| kind == List::From);
        let network = Network::read(excluded.unwrap_or(element)).ok_or_else(|| {
            format!("the {what} may be used from nowhere: {element:?} in its list is no address or network")
        })?;
        match excluded {
            Some(_) => is_out |= network.has(from),
            None => is_in |= network.has(from),
        }
    }
    match is_in && !is_out {
        true => Ok(()),
        false => Err(format!("the {what} may not be used from {from}")),
    }
}

/// Whether an address is this one, or in this network. What is neither matches nothing.
pub(super) fn is_within(network: &str, from: IpAddr) -> bool {
    Network::read(network).is_some_and(|network| network.has(from))
}

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// `192.0.2.0/24`, or an address alone.
    fn read(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        // An address of IPv4 in IPv6's clothes would match nobody: who comes from it is known by IPv4's.
        if address.to_canonical() != address {
            return None;
        }
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    fn has(self, from: IpAddr) -> bool {
        match (self.address, from.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                is_same(a.to_bits().into(), b.to_bits().into(), 32 - self.bits)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => is_same(a.to_bits(), b.to_bits(), 128 - self.bits),
            _ => false,
        }
    }
}

/// Whether two addresses are the same but for so many bits at their end.
fn is_same(a: u128, b: u128, free: u32) -> bool {
    (a ^ b).checked_shr(free).unwrap_or(0) == 0
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
            ("::ffff:192.0.2.7", "192.0.2.7", false),
            ("nonsense", "192.0.2.7", false),
            ("", "192.0.2.7", false),
            ("*", "192.0.2.7", false),
        ] {
            assert_eq!(is_within(list, from(address)), is_in, "{list} {address}");
            for kind in [List::SourceAddress, List::From] {
                assert_eq!(may_come(kind, list, from(address)).is_ok(), is_in, "{list}");
            }
        }
    }

    #[test]
    fn whom_a_list_excludes_or_cannot_name_it_does_not_let_in() {
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        for (list, by_key, by_certificate) in [
            ("192.0.2.7,198.51.100.0/24", "", ""),
            ("198.51.100.0/24,192.0.2.7", "", ""),
            (
                "198.51.100.0/24",
                "may not be used from",
                "may not be used from",
            ),
            (
                "!192.0.2.7,192.0.2.0/24",
                "may not be used from",
                "no address or network",
            ),
            (
                "192.0.2.0/24,!192.0.2.7",
                "may not be used from",
                "no address or network",
            ),
            (
                "!192.0.2.0/28,192.0.2.0/24",
                "may not be used from",
                "no address or network",
            ),
            ("!192.0.2.8,192.0.2.0/24", "", "no address or network"),
            // Excluding somebody lets in nobody else.
            (
                "!192.0.2.8",
                "may not be used from",
                "no address or network",
            ),
            (
                "nonsense,192.0.2.7",
                "no address or network",
                "no address or network",
            ),
            (
                "192.0.2.7,!host.example.org",
                "no address or network",
                "no address or network",
            ),
            (
                "192.0.2.*,192.0.2.7",
                "no address or network",
                "no address or network",
            ),
            (
                "192.0.2.0/33,192.0.2.7",
                "no address or network",
                "no address or network",
            ),
            (
                "192.0.2.7,",
                "no address or network",
                "no address or network",
            ),
            (
                "192.0.2.7, 198.51.100.1",
                "no address or network",
                "no address or network",
            ),
            (
                "!!192.0.2.8,192.0.2.7",
                "no address or network",
                "no address or network",
            ),
        ] {
            for (kind, why) in [(List::From, by_key), (List::SourceAddress, by_certificate)] {
                match may_come(kind, list, from("192.0.2.7")) {
                    Ok(()) => assert_eq!(why, "", "{kind:?} {list}"),
                    Err(said) => {
                        assert!(
                            !why.is_empty() && said.contains(why),
                            "{kind:?} {list}: {said}"
                        );
                    }
                }
            }
        }
    }
}
