//! Who comes with a certificate of the authority for people: somebody who signed in some hours ago, with
//! `hansard login`. The handshake has checked it; here it is read again, and held against what its owner is now, at
//! each request.
//!
//! It counts only where the handshake is ours (`serve.web.tls`): what a proxy says of certificates is not believed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hansard_core::Fields;
use hansard_identity::PeopleAuthority;
use hansard_identity::users::Standing;

use super::{Web, not_signed_in, while_signed_in};
use crate::api::problem::Problem;
use crate::api::role::{Asker, Still, Visitor};

/// How an event says that somebody comes with a certificate.
const BY_CERTIFICATE: &str = "certificate";

/// Certificates of which it is remembered that their use, or refusal, is on record. Then all are forgotten, and told
/// once more when they come again.
const TOLD_MAX: usize = 10_000;

/// The certificate that a connection showed, in DER.
#[derive(Clone)]
pub(super) struct ShownByClient(pub(super) Arc<[u8]>);

/// What is told of certificates: the first use of each, and its first refusal.
#[derive(Default)]
pub(super) struct Told(Mutex<BTreeSet<(String, bool)>>);

impl Told {
    /// Whether this is on record; it counts as told from now on.
    fn again(&self, serial: &str, is_in: bool) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        !told.insert((serial.to_owned(), is_in))
    }

    /// It could not be put on record after all.
    fn forget(&self, serial: &str, is_in: bool) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.remove(&(serial.to_owned(), is_in));
    }
}

/// Why a certificate lets nobody in.
enum Refused {
    /// It never did, here.
    Foreign,
    /// Its owner is not what they were, or its time is over.
    Over(String, String),
    /// Its owner is locked; in words for them.
    Locked(String, String, String),
}

impl Web {
    /// Answers somebody without a ticket: by the certificate that they showed, if they did.
    pub(super) async fn by_certificate(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        // A browser sends its certificate along wherever it is led, as it does not a cookie.
        let site = request.headers().get("sec-fetch-site");
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(not_signed_in());
        }
        let shown = request.extensions().get::<ShownByClient>().cloned();
        let people = self.parts.people.clone();
        let Some((shown, people)) = shown.zip(people) else {
            return Err(not_signed_in());
        };
        let origin = self.parts.origins.of(request.headers());
        let (visitor, serial) = match self.of(&people, &shown, (address, &origin)) {
            Ok(known) => known,
            Err(refused) => return Err(self.certificate_refused(refused, address).await),
        };
        let fields = Fields::new()
            .with("user", visitor.user.as_str())
            .with("success", true);
        self.told_once((&serial, true), fields, address).await?;
        let web = Arc::clone(self);
        let seen = move || web.of(&people, &shown, (address, &origin)).ok();
        let seen = Arc::new(seen);
        let still = {
            let seen = Arc::clone(&seen);
            Still(Arc::new(move || match seen() {
                Some((visitor, _)) => Ok(Asker::Browser(visitor)),
                None => Err(not_signed_in()),
            }))
        };
        let response = self.ask(request, Asker::Browser(visitor), still).await;
        Ok(while_signed_in(response, move || seen().is_some()))
    }

    /// Whose it is, as they are now, and its serial number.
    fn of(
        &self,
        people: &PeopleAuthority,
        shown: &ShownByClient,
        (address, origin): (IpAddr, &str),
    ) -> Result<(Visitor, String), Refused> {
        let person = people.read(&shown.0).map_err(|_| Refused::Foreign)?;
        let over = || Refused::Over(person.user.clone(), person.serial.clone());
        let user = self.parts.users.get(&person.user).ok_or_else(over)?;
        if !person.is_still(&user, self.parts.clock.utc_ns()) {
            return Err(over());
        }
        if let Some(why) = self.locked(&user) {
            return Err(Refused::Locked(user.name, person.serial, why));
        }
        let visitor = Visitor {
            user: user.name,
            role: user.role,
            standing: Standing {
                changed_ns: user.changed_ns,
                passkey: None,
            },
            address,
            origin: origin.to_owned(),
            outside: None,
            is_certified: true,
        };
        Ok((visitor, person.serial))
    }

    async fn certificate_refused(self: &Arc<Self>, refused: Refused, address: IpAddr) -> Problem {
        let words = "the certificate does not count (any more): its time is over, or its owner's roles or \
                     password were changed";
        let (user, serial, problem) = match refused {
            Refused::Foreign => return not_signed_in(),
            Refused::Over(user, serial) => {
                let status = StatusCode::UNAUTHORIZED;
                (
                    user,
                    serial,
                    Problem::status(status, "not_signed_in", words),
                )
            }
            Refused::Locked(user, serial, why) => {
                let status = StatusCode::FORBIDDEN;
                (user, serial, Problem::status(status, "locked", &why))
            }
        };
        let mut fields = Fields::new()
            .with("success", false)
            .with("error", problem.message.as_str());
        // Somebody who is gone has no name here.
        if self.parts.users.get(&user).is_some() {
            fields.push("user", user);
        }
        if let Err(unrecorded) = self.told_once((&serial, false), fields, address).await {
            return unrecorded;
        }
        Problem {
            next_step: "sign in again: `hansard login`".to_owned(),
            ..problem
        }
    }

    /// Puts on record that a certificate came, once for each outcome: a program asks often.
    async fn told_once(
        self: &Arc<Self>,
        (serial, is_in): (&str, bool),
        fields: Fields,
        address: IpAddr,
    ) -> Result<(), Problem> {
        if self.certificates.again(serial, is_in) {
            return Ok(());
        }
        let noted = self
            .note(fields.with("serial", serial), (BY_CERTIFICATE, address))
            .await;
        noted.map_err(|why| {
            self.certificates.forget(serial, is_in);
            Problem::not_recorded(why)
        })
    }
}
