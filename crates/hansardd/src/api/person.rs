//! X.509 certificates for whoever is signed in, with which they are known at the web server for some hours.

use std::sync::Arc;

use axum::http::StatusCode;
use hansard_core::Value;
use hansard_identity::hex;
use hansard_identity::users::Standing;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::answers::{blocking, body};
use super::certificates::TTL_S;
use super::problem::{Problem, Trouble};
use super::role::Asker;
use super::router::Handler;
use super::schema::{count, object, text, time};
use super::seams::Audit;

/// One that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonMade {
    /// In PEM.
    pub certificate: String,
    /// The certificate of who issued it, in PEM.
    pub authority: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Until when it holds, UTC nanoseconds since 1970.
    pub expires_ns: u64,
    /// The event of issuing it. MUST be durable before anybody gets the certificate.
    pub fact: hansard_core::Body,
}

/// Who certifies people for the web server.
pub trait People: Send + Sync {
    /// Issues one for the key of a user who is signed in by this. Nobody may be given it before its event is
    /// durable.
    ///
    /// # Errors
    /// As sorted by [`Trouble`]: `Refused` where they are not signed in by that any more.
    fn make(
        &self,
        user: (&str, &Standing),
        key: [u8; 32],
        ttl_s: u64,
    ) -> Result<PersonMade, Trouble>;
}

/// The body of one that somebody wants for themselves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    key: String,
    #[serde(default)]
    ttl_s: Option<u64>,
}

pub(super) fn own(people: Arc<dyn People>, audit: Audit) -> Handler {
    blocking(move |call| {
        let visitor = match &call.caller.asker {
            Asker::Browser(visitor) if visitor.outside.is_none() => visitor,
            _ => {
                let words =
                    "certificates are for users who sign in at the web server: `hansard login`";
                return Err(Problem::status(StatusCode::NOT_FOUND, "not_found", words));
            }
        };
        let wish: Wish = body(&call)?;
        let key = hex::decode(&wish.key).ok_or_else(|| {
            Problem::bad("key: an Ed25519 public key, as 64 lower-case hexadecimal digits")
        })?;
        let ttl_s = wish.ttl_s.unwrap_or(TTL_S);
        let mut made = people
            .make((&visitor.user, &visitor.standing), key, ttl_s)
            .map_err(|trouble| match trouble {
                Trouble::Refused(why) => Problem::forbidden(&why),
                other => other.into(),
            })?;
        if let hansard_core::Body::Admin(fact) = &mut made.fact {
            let user = Value::from(call.caller.user.as_str());
            fact.fields.push("user", user);
            fact.fields.push("addr.remote", visitor.address.to_string());
        }
        // On record before anybody has it: one that is lost on the way was issued all the same.
        audit(made.fact).map_err(Problem::not_recorded)?;
        Ok(json!({
            "user": visitor.user,
            "certificate": made.certificate,
            "authority": made.authority,
            "serial": made.serial,
            "expires": super::time::text(made.expires_ns),
        }))
    })
}

/// Schemas of what goes in and comes out.
pub(super) fn schemas() -> [(&'static str, Json); 2] {
    let wish = object(
        "An X.509 certificate that is wanted by whoever it is for.",
        &[
            (
                "key",
                text(),
                "an Ed25519 public key, as 64 lower-case hexadecimal digits",
            ),
            (
                "ttl_s?",
                count(),
                "for how many seconds, at most a day; 8 hours unless said",
            ),
        ],
    );
    let made = object(
        "An X.509 certificate that was issued to whoever asked.",
        &[
            ("user", text(), "who it is for"),
            ("certificate", text(), "in PEM"),
            (
                "authority",
                text(),
                "the certificate of who issued it, in PEM",
            ),
            ("serial", text(), "its serial number, in hexadecimal"),
            ("expires", time(), "until when it holds"),
        ],
    );
    [("PersonWish", wish), ("PersonCertificate", made)]
}
