//! SSH certificates for people, and the keys of those who sign them.

use std::sync::Arc;

use hansard_core::{Body, Value};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::answers::{blocking, body};
use super::problem::Problem;
use super::router::Handler;
use super::schema::{count, list, object, text, time};
use super::seams::{Audit, CertificateWish, Certificates};

/// How long a certificate holds where nobody says, in seconds: 8 hours.
const TTL_S: u64 = 8 * 3600;

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
        let mut issued = made.fact;
        if let Body::Admin(fact) = &mut issued {
            fact.fields
                .push("user", Value::from(call.caller.user.as_str()));
        }
        audit(issued).map_err(|_| Problem::unavailable("it cannot be put on record now"))?;
        Ok(json!({
            "certificate": made.certificate,
            "serial": made.serial,
            "expires": super::time::text(made.expires_ns),
        }))
    })
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
