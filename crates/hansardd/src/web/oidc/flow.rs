//! One attempt to sign in at a provider, from the address that a browser is sent to until somebody is
//! vouched for. It knows no cookie, no event and no page: whoever leads a browser through it otherwise (a
//! program that listens on loopback for the way back, RFC 8252) brings another place to come back to, and
//! another secret of its own in the browser's stead.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_identity::base64url;
use hansard_identity::oidc::redeem::{error_word, id_token, is_code};
use hansard_identity::oidc::rule::{granted, name};
use hansard_identity::oidc::{Asked, Claims, Expected, Redeem, Rule, token};
use hansard_identity::random::Random;
use hansard_record::clock::Clock;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::fault::Fault;
use super::fetch::{Fetch, REQUEST_MAX};
use super::known::Known;
use super::settings::Settings;
use crate::api::role::Outside;
use crate::config::Oidc;
use crate::web::waiting::{Bounds, Waiting};

/// How long somebody may take at the provider; whoever comes back later is refused.
pub const ATTEMPT_LIFE: Duration = Duration::from_secs(10 * 60);

/// Attempts that wait for their browser to come back; beyond that the oldest of the network that has most is
/// forgotten.
pub const ATTEMPTS_MAX: usize = 4096;

/// Of those, for one address; likewise.
pub const PER_ADDRESS_MAX: usize = 64;

/// Codes that are exchanged at a time; further ones wait a moment, and are refused then.
pub const EXCHANGES_MAX: usize = 8;

/// Who has which role by the provider of this name and issuer, as the configuration in force says.
pub type Rules = Arc<dyn Fn(&str, &str) -> Vec<Rule> + Send + Sync>;

/// What only one browser knows; what is kept of it is its digest.
pub type Binding = [u8; 32];

struct Attempt {
    provider: usize,
    asked: Asked,
    binding: [u8; 32],
    callback: String,
}

struct One {
    settings: Settings,
    known: Known,
}

/// All providers, and who is on the way to one of them.
pub struct Flow {
    providers: Vec<One>,
    waiting: Waiting<Attempt>,
    exchanges: Semaphore,
    rules: Rules,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
}

/// What a browser came back with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Back<'a> {
    /// At which address: that of the provider that was asked, and of no other.
    pub callback: &'a str,
    /// Which attempt it is.
    pub state: &'a str,
    /// What the provider gives the token for.
    pub code: Option<&'a str>,
    /// Why it gives none.
    pub error: Option<&'a str>,
    /// Who it says it is (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// Somebody who was not let in, as far as it is known who, by which provider, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub fault: Fault,
    /// The provider's name and what people read, if there is one.
    pub provider: Option<(String, String)>,
    /// Issuer and subject of a token that counts.
    pub subject: Option<Box<(String, String)>>,
    /// The name that they would have.
    pub user: Option<String>,
}

impl Refused {
    fn by(settings: &Settings, fault: Fault) -> Self {
        Self {
            provider: Some((settings.name.clone(), settings.display.clone())),
            ..Self::from(fault)
        }
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            provider: None,
            subject: None,
            user: None,
        }
    }
}

impl Flow {
    /// Over the providers of a configuration.
    ///
    /// # Errors
    /// In words, with the key that is wrong.
    pub fn new(
        configured: &[Oidc],
        rules: Rules,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let provider = |(i, oidc): (usize, &Oidc)| -> Result<One, String> {
            let at = |key: &str, why: String| format!("serve.web.oidc.{i}.{key}: {why}");
            let settings = Settings::of(oidc).map_err(|e| at("client_secret_file", e))?;
            let fetch = Fetch::new(oidc).map_err(|e| at("ca_file", e))?;
            let known = Known::new(&settings.issuer, settings.is_plain(), fetch);
            Ok(One { settings, known })
        };
        let providers = configured.iter().enumerate().map(provider);
        Ok(Self {
            providers: providers.collect::<Result<_, String>>()?,
            waiting: Waiting::new(Bounds {
                life: ATTEMPT_LIFE,
                all: ATTEMPTS_MAX,
                per_address: PER_ADDRESS_MAX,
            }),
            exchanges: Semaphore::new(EXCHANGES_MAX),
            rules,
            random,
            clock,
        })
    }

    /// Names of the providers, and what people read, in the order of the configuration.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &str)> {
        let settings = self.providers.iter().map(|one| &one.settings);
        settings.map(|one| (one.name.as_str(), one.display.as_str()))
    }

    /// Whether there are several, each of which has an address of its own to come back to.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.providers.len() > 1
    }

    /// Where this browser is sent, to come back to `callback`, which MUST be this provider's alone.
    ///
    /// # Errors
    /// Why it is sent nowhere.
    pub async fn begin(
        &self,
        provider: &str,
        (callback, binding): (&str, &Binding),
        address: IpAddr,
    ) -> Result<String, Refused> {
        let mut named = self.providers.iter().enumerate();
        let found = named.find(|(_, one)| one.settings.name == provider);
        let (index, one) = found.ok_or(Fault::NoProvider)?;
        let refused = |fault| Refused::by(&one.settings, fault);
        let described = one.known.provider().await.map_err(refused)?;
        let asked = Asked::new(&*self.random);
        let asked = asked.map_err(|e| refused(Fault::Random(e.to_string())))?;
        let asking = one.settings.asking(callback);
        let at = asked.address(&described.authorization_endpoint, asking);
        let state = base64url::decode(&asked.state).unwrap_or_default();
        let key = state.try_into().map_err(|_| refused(Fault::Stale))?;
        let attempt = Attempt {
            provider: index,
            asked,
            binding: Sha256::digest(binding).into(),
            callback: callback.to_owned(),
        };
        self.waiting.put(key, attempt, address, Instant::now());
        Ok(at)
    }

    /// Who it is that came back. An attempt is used up by the first answer, whatever that is.
    ///
    /// # Errors
    /// Why they are not let in.
    pub async fn finish(&self, back: Back<'_>, binding: &Binding) -> Result<Outside, Refused> {
        let state = base64url::decode(back.state).ok_or(Fault::Stale)?;
        let attempt = self
            .waiting
            .take(&state, Instant::now())
            .ok_or(Fault::Stale)?;
        let one = self.providers.get(attempt.provider).ok_or(Fault::Stale)?;
        let refused = |fault| Refused::by(&one.settings, fault);
        // A code of an honest provider is never shown to a hostile one that it was asked for under the
        // name of (mix-up, RFC 9700 §4.4): it comes back at the honest one's address.
        if attempt.callback != back.callback {
            return Err(refused(Fault::Sender));
        }
        if attempt.binding != <[u8; 32]>::from(Sha256::digest(binding)) {
            return Err(refused(Fault::Browser));
        }
        let claims = self.claims(one, &attempt, back).await.map_err(refused)?;
        self.vouched(&one.settings, &claims)
    }

    /// Whether somebody who was let in would still be: by the rules that are in force.
    #[must_use]
    pub fn still(&self, outside: &Outside) -> bool {
        (self.rules)(&outside.provider, &outside.issuer).contains(&outside.rule)
    }

    async fn claims(&self, one: &One, attempt: &Attempt, back: Back<'_>) -> Result<Claims, Fault> {
        if let Some(word) = back.error {
            return Err(Fault::Denied(error_word(word).to_owned()));
        }
        let code = back
            .code
            .filter(|code| is_code(code))
            .ok_or(Fault::NoCode)?;
        let (settings, known) = (&one.settings, &one.known);
        let place = timeout(REQUEST_MAX, self.exchanges.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(Fault::Unreached("too many are signing in".to_owned()));
        };
        let provider = known.provider().await?;
        let is_sender = match back.issuer {
            Some(issuer) => issuer == provider.issuer,
            None => !provider.names_itself,
        };
        if !is_sender {
            return Err(Fault::Sender);
        }
        let secret = match (&settings.secret, provider.secret_in) {
            (None, _) => None,
            (Some(secret), Some(place)) => Some((secret.as_str(), place)),
            (Some(_), None) => {
                let why = "the provider takes a secret neither in the header nor in the body";
                return Err(Fault::Setup(why.to_owned()));
            }
        };
        let redeem = Redeem {
            code,
            callback: &attempt.callback,
            verifier: &attempt.asked.verifier,
            client_id: &settings.client_id,
            secret,
        };
        let sent = known.fetch().post(
            &provider.token_endpoint,
            redeem.body(),
            redeem.authorization(),
        );
        let (status, body) = sent.await.map_err(Fault::Unreached)?;
        let text = id_token(status, &body).map_err(Fault::Redeem)?;
        let expected = Expected {
            issuer: &provider.issuer,
            client_id: &settings.client_id,
            nonce: &attempt.asked.nonce,
            utc_s: self.clock.utc_ns() / 1_000_000_000,
        };
        let keys = known.keys(&provider, None).await?;
        let read = match Claims::read(&text, &keys, expected) {
            // It may have another key since.
            Err(token::Fault::Key) => {
                let newer = known.keys(&provider, Some(&keys)).await?;
                Claims::read(&text, &newer, expected)
            }
            other => other,
        };
        read.map_err(Fault::Token)
    }

    fn vouched(&self, settings: &Settings, claims: &Claims) -> Result<Outside, Refused> {
        let subject = (settings.issuer.clone(), claims.subject.clone());
        let named = name(claims, &settings.username_claim);
        let user = named.as_ref().ok().map(|name| (*name).to_owned());
        let refused = |fault| Refused {
            subject: Some(Box::new(subject.clone())),
            user: user.clone(),
            ..Refused::by(settings, fault)
        };
        let rules = (self.rules)(&settings.name, &settings.issuer);
        let rule = granted(claims, &rules).ok_or_else(|| refused(Fault::Role))?;
        let name = named.map_err(|fault| refused(Fault::Name(fault)))?;
        Ok(Outside {
            provider: settings.name.clone(),
            display: settings.display.clone(),
            issuer: settings.issuer.clone(),
            subject: claims.subject.clone(),
            user: name.to_owned(),
            rule: rule.clone(),
        })
    }
}
