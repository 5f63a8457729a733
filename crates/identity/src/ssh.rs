//! The cluster's two SSH authorities: one key that certifies people, one that certifies hosts
//! (OpenSSH's PROTOCOL.certkeys). Written out here, since a certificate is a dozen fields and a
//! signature; `ssh-keygen -L` and Debian's sshd are the judges in tests.
//!
//! They are keys of their own, not the authority's: a certificate for a login must not be worth
//! anything for TLS, nor one for a host let anybody in.

use std::net::IpAddr;
use std::path::Path;

use hansard_core::access::{Access, ChannelKind, to_text};
use hansard_core::event::{Body, Fact};
use hansard_core::{Fields, Value};
use rcgen::SigningKey as _;

use crate::failure::Failure;
use crate::key::PrivateKey;
use crate::limits::{
    CLOCK_SKEW_S, SSH_COMMAND_BYTES_MAX, SSH_LIFE_S_MAX, SSH_PRINCIPALS_MAX, UTC_S_MAX,
};
use crate::moment::iso;
use crate::name::{check_name, check_server_name};
use crate::random::{Random, draw};

mod line;
mod wire;

pub use line::{KeyLine, line_of};
use wire::{Message, public_blob};

const USER_KEY: &str = "ssh_user.key";
const HOST_KEY: &str = "ssh_host.key";

/// What a certificate of type "user" says (PROTOCOL.certkeys).
const TYPE_USER: u32 = 1;
/// What one of type "host" says.
const TYPE_HOST: u32 = 2;

/// What a user may with a certificate that says nothing of roles. Forwards are for the node's configuration
/// to allow; without this it could not.
const EXTENSIONS: [&str; 4] = [
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
];

/// The extension in which it stands what roles give. Servers of others, which do not know it, go by the
/// accounts and the extensions that all know.
pub const ACCESS: &str = "access@hansard";

/// Whom a certificate is wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserWish {
    /// Who it is: the certificate's key id, and the user of every session that it opens.
    pub user: String,
    /// The accounts that it lets into; at least one, at most [`SSH_PRINCIPALS_MAX`].
    pub logins: Vec<String>,
    /// The public key that it is for.
    pub key: KeyLine,
    /// How long it holds, seconds; at most [`SSH_LIFE_S_MAX`].
    pub life_s: u64,
    /// Addresses and networks (`10.0.0.0/8`) that it may be used from; empty: anywhere.
    pub source_addresses: Vec<String>,
    /// The one command that it runs, whatever is asked for.
    pub force_command: Option<String>,
    /// What the roles give that it is issued for; `None`: whoever issues it decides without them.
    pub access: Option<Access>,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshIssued {
    /// As a line of a `-cert.pub` file, without its end.
    pub line: String,
    /// Its serial number.
    pub serial: u64,
    /// Until when it holds, seconds since 1970.
    pub not_after_s: u64,
    /// For the service's own recording; to be durable before anybody is given the certificate.
    pub fact: Body,
}

/// The two authorities, with their private keys.
#[derive(Debug)]
pub struct SshAuthorities {
    user: PrivateKey,
    host: PrivateKey,
}

impl SshAuthorities {
    /// The authorities in the directory of the cluster's own; made where there never were any
    /// ([`PrivateKey::kept_in`]). A crash in the middle leaves one key, which the next call takes.
    ///
    /// # Errors
    /// As [`PrivateKey::kept_in`].
    pub fn open(directory: &Path, random: &dyn Random) -> Result<Self, Failure> {
        let key = |name: &str| PrivateKey::kept_in(&directory.join(name), random);
        Ok(Self {
            user: key(USER_KEY)?,
            host: key(HOST_KEY)?,
        })
    }

    /// The public key that signs users' certificates, as a line for `TrustedUserCAKeys`.
    #[must_use]
    pub fn user_line(&self) -> String {
        line_of(&public_blob(&self.user.public()))
    }

    /// The public key that signs hosts' certificates, as what follows `@cert-authority *` in
    /// `known_hosts`.
    #[must_use]
    pub fn host_line(&self) -> String {
        line_of(&public_blob(&self.host.public()))
    }

    /// A certificate that lets somebody in.
    ///
    /// # Errors
    /// `Malformed` for a wish that no certificate can say; `Refused` for the key of an authority
    /// itself; `Retry` without randomness.
    pub fn issue_user(
        &self,
        wish: &UserWish,
        utc_ns: u64,
        random: &dyn Random,
    ) -> Result<SshIssued, Failure> {
        check_name(&wish.user)?;
        check_principals(&wish.logins, |login| {
            check_name(login).map_err(Failure::from)
        })?;
        if wish.life_s == 0 || wish.life_s > SSH_LIFE_S_MAX {
            return Err(Failure::Malformed(format!(
                "a user's certificate holds for 1 to {SSH_LIFE_S_MAX} seconds"
            )));
        }
        let blob = wish.key.blob();
        if [&self.user, &self.host]
            .iter()
            .any(|own| public_blob(&own.public()) == blob)
        {
            return Err(Failure::Refused(
                "that is the key of an authority, which nobody logs in with".into(),
            ));
        }
        let mut critical = Message::new();
        if let Some(command) = &wish.force_command {
            if command.is_empty() || command.len() > SSH_COMMAND_BYTES_MAX {
                return Err(Failure::Malformed(format!(
                    "a command has 1 to {SSH_COMMAND_BYTES_MAX} bytes"
                )));
            }
            critical.option("force-command", Some(command.as_bytes()));
        }
        if !wish.source_addresses.is_empty() {
            check_principals(&wish.source_addresses, check_network)?;
            critical.option(
                "source-address",
                Some(wish.source_addresses.join(",").as_bytes()),
            );
        }
        let extensions = extensions(wish.access.as_ref())?;
        let told = To {
            kind: TYPE_USER,
            id: &wish.user,
            principals: &wish.logins,
            life_s: wish.life_s,
            options: [critical.bytes(), extensions.bytes()],
        };
        let mut issued = sign(&self.user, &wish.key, &told, utc_ns, random)?;
        if let (Body::Admin(fact), Some(access)) = (&mut issued.fact, &wish.access) {
            let roles = access.roles().map(Value::from).collect();
            fact.fields.push("roles", Value::List(roles));
        }
        Ok(issued)
    }

    /// A host's certificate, for the names that it is reached under.
    ///
    /// # Errors
    /// As [`SshAuthorities::issue_user`].
    pub fn issue_host(
        &self,
        key: &KeyLine,
        (id, names): (&str, &[String]),
        life_s: u64,
        utc_ns: u64,
        random: &dyn Random,
    ) -> Result<SshIssued, Failure> {
        check_name(id)?;
        check_principals(names, |name| check_server_name(name).map_err(Failure::from))?;
        let told = To {
            kind: TYPE_HOST,
            id,
            principals: names,
            life_s,
            options: [Vec::new(), Vec::new()],
        };
        sign(&self.host, key, &told, utc_ns, random)
    }
}

/// What a certificate says, besides its key.
struct To<'a> {
    kind: u32,
    id: &'a str,
    principals: &'a [String],
    life_s: u64,
    /// Critical options and extensions.
    options: [Vec<u8>; 2],
}

fn sign(
    authority: &PrivateKey,
    key: &KeyLine,
    to: &To<'_>,
    utc_ns: u64,
    random: &dyn Random,
) -> Result<SshIssued, Failure> {
    let now_s = utc_ns / 1_000_000_000;
    if !(CLOCK_SKEW_S..=UTC_S_MAX).contains(&now_s) {
        return Err(Failure::Malformed("the clock cannot be right".into()));
    }
    let (from_s, not_after_s) = (now_s - CLOCK_SKEW_S, now_s.saturating_add(to.life_s));
    let nonce: [u8; 32] = draw(random)?;
    let serial = u64::from_be_bytes(draw(random)?);
    let mut principals = Message::new();
    for principal in to.principals {
        principals.string(principal.as_bytes());
    }
    let mut message = Message::new();
    message
        .string(key.certificate_type().as_bytes())
        .string(&nonce)
        .raw(key.fields())
        .uint64(serial)
        .uint32(to.kind)
        .string(to.id.as_bytes())
        .string(&principals.bytes())
        .uint64(from_s)
        .uint64(not_after_s);
    for options in &to.options {
        message.string(options);
    }
    message
        .string(&[])
        .string(&public_blob(&authority.public()));
    let signature = authority
        .issuing()?
        .sign(&message.bytes())
        .map_err(|e| Failure::Refused(format!("no certificate can be issued: {e}")))?;
    let mut signed = Message::new();
    signed.string(wire::ED25519.as_bytes()).string(&signature);
    message.string(&signed.bytes());
    let logins = to.principals.iter().map(|name| Value::from(name.as_str()));
    let logins = Value::List(logins.collect());
    let fields = Fields::new()
        .with(
            "cert_type",
            if to.kind == TYPE_USER {
                "ssh_user"
            } else {
                "ssh_host"
            },
        )
        .with("name", to.id)
        .with("serial", format!("{serial:016x}"))
        .with("key", crate::hex::encode(&key.blob()))
        .with("logins", logins)
        .with("expires", iso(not_after_s.saturating_mul(1_000_000_000)));
    Ok(SshIssued {
        line: line_of(&message.bytes()),
        serial,
        not_after_s,
        fact: Body::Admin(Fact {
            event: "cert.create".to_owned(),
            fields,
        }),
    })
}

/// What a certificate says of what its holder may, in the order of the names, as PROTOCOL.certkeys demands.
fn extensions(access: Option<&Access>) -> Result<Message, Failure> {
    let mut message = Message::new();
    let Some(access) = access else {
        for name in EXTENSIONS {
            message.option(name, None);
        }
        return Ok(message);
    };
    let text = to_text(access).map_err(|e| Failure::Malformed(e.to_string()))?;
    message.option(ACCESS, Some(text.as_bytes()));
    use ChannelKind::{Agent, Exec, ForwardLocal, ForwardRemote, Shell, X11};
    for (name, kinds) in [
        ("permit-X11-forwarding", &[X11][..]),
        ("permit-agent-forwarding", &[Agent]),
        ("permit-port-forwarding", &[ForwardLocal, ForwardRemote]),
        ("permit-pty", &[Shell, Exec]),
    ] {
        if access.gives_any(kinds) {
            message.option(name, None);
        }
    }
    Ok(message)
}

fn check_principals(
    names: &[String],
    check: impl Fn(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // A certificate without a principal would be one for every account there is.
    if names.is_empty() || names.len() > SSH_PRINCIPALS_MAX {
        return Err(Failure::Malformed(format!(
            "a certificate names 1 to {SSH_PRINCIPALS_MAX} logins, names or networks"
        )));
    }
    names.iter().try_for_each(|name| check(name))
}

/// An address, or a network of one: `192.0.2.0/24`.
fn check_network(text: &str) -> Result<(), Failure> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, bits.parse::<u8>().ok()),
        None => (text, Some(0)),
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return Err(not_a_network(text)),
    };
    match bits {
        Some(bits) if bits <= most => Ok(()),
        _ => Err(not_a_network(text)),
    }
}

fn not_a_network(text: &str) -> Failure {
    Failure::Malformed(format!(
        "{text:?} is no address and no network such as 192.0.2.0/24"
    ))
}
