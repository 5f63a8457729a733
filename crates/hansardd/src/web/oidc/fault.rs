//! Why somebody was not let in whom a provider was asked about: in words for the event and the log, and in
//! one sentence for them.

use axum::http::StatusCode;
use hansard_identity::oidc::redeem::Refusal;
use hansard_identity::oidc::rule::Nameless;
use hansard_identity::oidc::token;

use crate::api::problem::Problem;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No provider has this name.
    NoProvider,
    /// Nothing was asked, or it was answered before, or too late.
    Stale,
    /// It was asked in another browser.
    Browser,
    /// What came back is neither a code nor a word why not.
    NoCode,
    /// The provider sent the browser back with this word.
    Denied(String),
    /// Another provider sent it back, or one that does not say who it is and should.
    Sender,
    /// The provider cannot be reached, or does not answer in time, or too much; the words are not for
    /// people outside.
    Unreached(String),
    /// What it says of itself, or its keys, cannot be used.
    Setup(String),
    /// It gives no token for its code.
    Redeem(Refusal),
    /// The token does not count.
    Token(token::Fault),
    /// It gives somebody no name that they can have here.
    Name(Nameless),
    /// No rule gives them a role.
    Role,
    /// A user of this service itself has their name.
    Taken,
    /// They are locked out; why.
    Locked(String),
    /// There is no randomness.
    Random(String),
}

impl Fault {
    /// In words for the event.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::NoProvider => "no such provider".to_owned(),
            Self::Stale => "nothing was asked, or it was answered before, or too late".to_owned(),
            Self::Browser => "it was asked in another browser".to_owned(),
            Self::NoCode => "the browser brought no code back".to_owned(),
            Self::Denied(word) => format!("the provider refused: {word}"),
            Self::Sender => "another provider sent the browser back".to_owned(),
            Self::Unreached(why) => format!("the provider cannot be reached: {why}"),
            Self::Setup(why) => why.clone(),
            Self::Redeem(Refusal::Word(word)) => {
                format!("the provider gives no token for the code: {word}")
            }
            Self::Redeem(Refusal::Unreadable(status)) => {
                format!("the provider gives no token for the code: it answered {status}")
            }
            Self::Token(fault) => fault.as_str().to_owned(),
            Self::Name(fault) => fault.as_str().to_owned(),
            Self::Role => "no rule gives a role".to_owned(),
            Self::Taken => "a user of this service has the name".to_owned(),
            Self::Locked(why) => why.clone(),
            Self::Random(why) => format!("no randomness: {why}"),
        }
    }

    /// What whoever tried is told. `provider` is as they know it.
    #[must_use]
    pub fn problem(&self, provider: &str) -> Problem {
        let (status, code, message) = self.sentence(provider);
        Problem {
            next_step: self.next_step(provider),
            ..Problem::status(status, code, &message)
        }
    }

    fn sentence(&self, by: &str) -> (StatusCode, &'static str, String) {
        let (no, never) = (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN);
        let away = StatusCode::SERVICE_UNAVAILABLE;
        let untrusted = format!("what {by} says of you cannot be trusted");
        match self {
            Self::NoProvider => {
                let words = "there is no such provider to sign in with";
                (StatusCode::NOT_FOUND, "no_provider", words.to_owned())
            }
            Self::Stale | Self::Browser | Self::NoCode => {
                let words = "this attempt is over: it was answered already, took longer than 10 \
                             minutes, or began in another browser";
                (no, "stale", words.to_owned())
            }
            Self::Denied(word) => (no, "denied", format!("{by} did not let you in ({word})")),
            Self::Redeem(Refusal::Word(word)) => (
                no,
                "denied",
                format!("{by} does not vouch for you ({word})"),
            ),
            Self::Redeem(Refusal::Unreadable(_)) | Self::Unreached(_) => {
                (away, "provider_away", format!("{by} cannot be asked now"))
            }
            Self::Setup(_) => (
                away,
                "provider_unfit",
                format!("{by} cannot be used as it is"),
            ),
            Self::Sender | Self::Token(_) => (no, "untrusted", untrusted),
            Self::Name(_) => {
                let words = format!("{by} gives you no name that you can have here");
                (never, "no_name", words)
            }
            Self::Role => {
                let words = format!("{by} knows you, but nothing gives you a role here");
                (never, "no_role", words)
            }
            Self::Taken => {
                let words = "a user who signs in here with a password has your name";
                (never, "name_taken", words.to_owned())
            }
            Self::Locked(why) => (never, "locked", why.clone()),
            Self::Random(_) => {
                let words = "the service cannot answer this now";
                (away, "unavailable", words.to_owned())
            }
        }
    }

    fn next_step(&self, by: &str) -> String {
        match self {
            Self::NoProvider => "load the page again".to_owned(),
            Self::Stale | Self::Browser | Self::NoCode => "try again from here".to_owned(),
            Self::Denied(_) | Self::Redeem(Refusal::Word(_)) => {
                format!("try again, or ask whoever runs {by}")
            }
            Self::Unreached(_) | Self::Redeem(_) | Self::Random(_) => {
                "try again in a moment; an administrator sees why in the events (user.login)"
                    .to_owned()
            }
            Self::Setup(_) | Self::Sender | Self::Token(_) => {
                "tell an administrator, who sees why in the events (user.login)".to_owned()
            }
            Self::Name(_) | Self::Role => {
                "an administrator gives roles in hansard.yaml, under serve.web.oidc".to_owned()
            }
            Self::Locked(_) => "an administrator lifts it: `hansard lock rm`".to_owned(),
            Self::Taken => "tell an administrator, who removes one of the two".to_owned(),
        }
    }
}
