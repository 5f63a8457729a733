//! SSH certificates for people, and the keys of those who sign them.

use std::sync::Arc;

use axum::http::StatusCode;
use hansard_core::event::Fact;
use hansard_core::{Body, Fields, Value};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::answers::{blocking, body};
use super::problem::{Problem, Trouble};
use super::role::{Asker, Caller};
use super::router::Handler;
use super::schema::{count, list, object, or_null, text, time};
use super::seams::{Audit, CertificateMade, CertificateWish, Certificates};

/// How long a certificate holds where nobody says, in seconds: 8 hours.
pub(super) const TTL_S: u64 = 8 * 3600;

/// An SSH certificate that somebody wants for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnWish {
    /// The public key, as a line of a `.pub` file.
    pub key: String,
    /// For how many seconds it is to hold; the roles may say less.
    pub ttl_s: u64,
}

/// One that was issued to whoever asked, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMade {
    /// The certificate.
    pub made: CertificateMade,
    /// The roles that it is of.
    pub roles: Vec<String>,
    /// The accounts that it lets into, on hosts that the roles say.
    pub logins: Vec<String>,
}

/// An SSH server of this machine, as clients find it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reached {
    /// Its port.
    pub port: u16,
    /// Names and addresses that stand in its certificate.
    pub names: Vec<String>,
    /// Where it leads, of a proxy.
    pub targets: Vec<String>,
}

/// The body of a certificate that is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    user: String,
    logins: Vec<String>,
    key: String,
    #[serde(default)]
    ttl_s: Option<u64>,
    #[serde(default)]
    source_addresses: Vec<String>,
    #[serde(default)]
    command: Option<String>,
}

pub(super) fn make(certificates: Arc<dyn Certificates>, audit: Audit) -> Handler {
    blocking(move |call| {
        let wish: Wish = body(&call)?;
        let wish = CertificateWish {
            user: wish.user,
            logins: wish.logins,
            key: wish.key,
            ttl_s: wish.ttl_s.unwrap_or(TTL_S),
            source_addresses: wish.source_addresses,
            command: wish.command,
        };
        let made = certificates.make(&wish)?;
        // On record before anybody has it: one that is lost on the way was issued all the same.
        audit(said(made.fact, &call.caller, None))
            .map_err(|_| Problem::unavailable("it cannot be put on record now"))?;
        Ok(json!({
            "certificate": made.certificate,
            "serial": made.serial,
            "expires": super::time::text(made.expires_ns),
        }))
    })
}

/// The body of a certificate that somebody wants for themselves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    key: String,
    #[serde(default)]
    ttl_s: Option<u64>,
}

pub(super) fn own(certificates: Arc<dyn Certificates>, audit: Audit) -> Handler {
    blocking(move |call| {
        let Asker::Browser(visitor) = &call.caller.asker else {
            // An account of this machine is nobody who signed in.
            let words =
                "certificates by roles are for who signs in at the web server: `hansard login`";
            return Err(Problem::status(StatusCode::NOT_FOUND, "not_found", words));
        };
        let wish: Own = body(&call)?;
        let wish = OwnWish {
            key: wish.key,
            ttl_s: wish.ttl_s.unwrap_or(TTL_S),
        };
        let made = certificates.make_own((&visitor.user, &visitor.standing), &wish);
        let address = visitor.address.to_string();
        let fact = match &made {
            Ok(own) => said(own.made.fact.clone(), &call.caller, Some(&address)),
            Err(Trouble::Refused(why)) => {
                let fields = Fields::new()
                    .with("cert_type", "ssh_user")
                    .with("name", visitor.user.as_str())
                    .with("success", false)
                    .with("error", why.as_str());
                let event = "cert.create".to_owned();
                said(
                    Body::Admin(Fact { event, fields }),
                    &call.caller,
                    Some(&address),
                )
            }
            // Nothing is wrong with whoever asks.
            Err(_) => return Err(made.err().map_or_else(Problem::not_found, Problem::from)),
        };
        audit(fact).map_err(Problem::not_recorded)?;
        let own = made.map_err(|trouble| match trouble {
            Trouble::Refused(why) => Problem::forbidden(&why),
            other => other.into(),
        })?;
        let [user_authority, host_authority] = certificates.authorities();
        let [proxy, node] = certificates.reached().map(|at| at.as_ref().map(reached));
        Ok(json!({
            "user": visitor.user,
            "certificate": own.made.certificate,
            "serial": own.made.serial,
            "expires": super::time::text(own.made.expires_ns),
            "roles": own.roles,
            "logins": own.logins,
            "user_authority": user_authority,
            "host_authority": host_authority,
            "proxy": proxy,
            "node": node,
        }))
    })
}

fn reached(at: &Reached) -> Json {
    json!({ "port": at.port, "names": at.names, "targets": at.targets })
}

/// The event of issuing, with who asked, from where.
fn said(mut fact: Body, caller: &Caller, address: Option<&str>) -> Body {
    if let Body::Admin(fact) = &mut fact {
        fact.fields.push("user", Value::from(caller.user.as_str()));
        if let Some(address) = address {
            fact.fields.push("addr.remote", address);
        }
    }
    fact
}

pub(super) fn authorities(certificates: Arc<dyn Certificates>) -> Handler {
    blocking(move |_| {
        let [user, host] = certificates.authorities();
        Ok(json!({ "user": user, "host": host }))
    })
}

/// Schemas of what goes in and comes out.
pub(super) fn schemas() -> [(&'static str, Json); 3] {
    let wish = object(
        "An SSH certificate that is wanted.",
        &[
            ("user", text(), "who it is for: the user of every session"),
            ("logins", list(&text()), "accounts that it lets into"),
            ("key", text(), "the public key, as a line of a `.pub` file"),
            (
                "ttl_s?",
                count(),
                "for how many seconds it holds, at most 7 days; 8 hours unless said",
            ),
            (
                "source_addresses?",
                list(&text()),
                "addresses and networks that it may be used from",
            ),
            ("command?", text(), "the one command that it runs"),
        ],
    );
    let made = object(
        "An SSH certificate that was issued.",
        &[
            ("certificate", text(), "as a line of a `-cert.pub` file"),
            ("serial", text(), "its serial number, in hexadecimal"),
            ("expires", time(), "until when it holds"),
        ],
    );
    let authorities = object(
        "Public keys that sign SSH certificates, as lines of a `.pub` file.",
        &[
            ("user", text(), "people's: for `TrustedUserCAKeys`"),
            (
                "host",
                text(),
                "hosts': for `@cert-authority` in `known_hosts`",
            ),
        ],
    );
    [
        ("CertificateWish", wish),
        ("CertificateMade", made),
        ("SshAuthorities", authorities),
    ]
}

/// The same of what somebody wants for themselves.
pub(super) fn own_schemas() -> [(&'static str, Json); 2] {
    let own_wish = object(
        "An SSH certificate that is wanted by whoever it is for.",
        &[
            ("key", text(), "the public key, as a line of a `.pub` file"),
            (
                "ttl_s?",
                count(),
                "for how many seconds; 8 hours unless said, and what the roles say at most",
            ),
        ],
    );
    let place = || {
        or_null(object(
            "An SSH server of the service's machine.",
            &[
                ("port", count(), "its port"),
                (
                    "names",
                    list(&text()),
                    "names that stand in its certificate",
                ),
                ("targets", list(&text()), "where it leads, of a proxy"),
            ],
        ))
    };
    let own = object(
        "An SSH certificate that was issued to whoever asked, and how it is used.",
        &[
            ("user", text(), "who it is for"),
            ("certificate", text(), "as a line of a `-cert.pub` file"),
            ("serial", text(), "its serial number, in hexadecimal"),
            ("expires", time(), "until when it holds"),
            ("roles", list(&text()), "the roles that it is of"),
            (
                "logins",
                list(&text()),
                "accounts that it lets into, on hosts that the roles say",
            ),
            (
                "user_authority",
                text(),
                "the public key that signs people's certificates",
            ),
            ("host_authority", text(), "the one that signs hosts'"),
            ("proxy", place(), "the proxy, where there is one"),
            ("node", place(), "the node, where there is one"),
        ],
    );
    [("CertificateOwnWish", own_wish), ("CertificateOwn", own)]
}
