//! Signing in with a passkey: no name, no password and no code; the authenticator has verified who
//! it is. Each attempt is on record, durable, before it is answered, as every other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{Request, Response};
use hansard_identity::base64url;
use hansard_identity::user::User;
use hansard_identity::users::{Presented, SignInFault, Standing};
use hansard_identity::webauthn::{Expected, Fault, Said, host};
use serde::Deserialize;
use serde_json::json;

use super::Web;
use super::attempts::For;
use super::challenges::Purpose;
use super::seen::known;
use super::sign_in::read;
use crate::api::passkeys::check_host;
use crate::api::problem::Problem;

/// How it is called in events.
const METHOD: &str = "webauthn";

/// What a browser sends; everything in base 64 for addresses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    challenge: String,
    credential: String,
    #[serde(default)]
    handle: Option<String>,
    client_data: String,
    data: String,
    signature: String,
}

/// The same as bytes.
struct Bytes {
    challenge: Vec<u8>,
    credential: Vec<u8>,
    handle: Option<Vec<u8>>,
    client_data: Vec<u8>,
    data: Vec<u8>,
    signature: Vec<u8>,
}

impl Wish {
    fn bytes(&self) -> Option<Bytes> {
        let handle = self.handle.as_deref().filter(|text| !text.is_empty());
        Some(Bytes {
            challenge: base64url::decode(&self.challenge)?,
            credential: base64url::decode(&self.credential)?,
            handle: match handle {
                Some(text) => Some(base64url::decode(text)?),
                None => None,
            },
            client_data: base64url::decode(&self.client_data)?,
            data: base64url::decode(&self.data)?,
            signature: base64url::decode(&self.signature)?,
        })
    }
}

impl Web {
    /// What an authenticator is to sign.
    pub(super) fn passkey_challenge(
        &self,
        request: &Request<Body>,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        let origin = self.parts.origins.of(request.headers());
        check_host(host(&origin))?;
        let place = (origin.as_str(), address);
        let begun = self
            .parts
            .challenges
            .begin(Purpose::SignIn, place, Instant::now());
        let challenge = begun.map_err(|e| Problem::unavailable(format!("no randomness: {e}")))?;
        Ok(super::json(&json!({
            "challenge": base64url::encode(&challenge),
            "rp_id": host(&origin),
        })))
    }

    pub(super) async fn passkey_sign_in(
        self: &Arc<Self>,
        request: Request<Body>,
        address: IpAddr,
    ) -> Result<Response<Body>, Problem> {
        let device = self.device(request.headers());
        let place = (address, known(device.as_ref()));
        let wish: Wish = read(request, "what the authenticator said is wanted").await?;
        let Some(bytes) = wish.bytes() else {
            return Err(Problem::bad("the body: base 64 for addresses is wanted"));
        };
        if let Err(too_many) = self.parts.attempts.look(place, Instant::now()) {
            return Err(self.too_many(too_many, address).await);
        }
        let web = Arc::clone(self);
        let tried = tokio::task::spawn_blocking(move || web.by_passkey(&bytes)).await;
        let fault = |_| Problem::unavailable("signing in has a fault");
        match tried.map_err(fault)? {
            Ok((user, standing)) => {
                let place = (METHOD, address);
                self.let_in(&user, standing, place, device.as_ref()).await
            }
            Err((name, why)) => {
                // Failures count; a passkey that is one needs no bound.
                let begun = self
                    .parts
                    .attempts
                    .begin(For::Unsaid, place, Instant::now());
                // What was signed by a copy nobody else can say: it is told of in any case.
                let is_copy = matches!(why, SignInFault::Passkey(Fault::Counter));
                if let (Err(too_many), false) = (begun, is_copy) {
                    return Err(self.too_many(too_many, address).await);
                }
                let name = name.unwrap_or_default();
                Err(self.refuse(&name, &why, (METHOD, address)).await)
            }
        }
    }

    fn by_passkey(&self, bytes: &Bytes) -> Result<(User, Standing), (Option<String>, SignInFault)> {
        let parts = &self.parts;
        let taken = parts
            .challenges
            .take(&bytes.challenge, &Purpose::SignIn, Instant::now());
        let origin = taken.ok_or((None, SignInFault::Challenge))?;
        let expected = Expected {
            challenge: &bytes.challenge,
            origin: &origin,
        };
        let presented = Presented {
            credential: &bytes.credential,
            handle: bytes.handle.as_deref(),
            said: Said {
                client_data: &bytes.client_data,
                data: &bytes.data,
                signature: &bytes.signature,
            },
        };
        let now_ns = parts.clock.utc_ns();
        parts.users.sign_in_by_passkey(expected, presented, now_ns)
    }
}
