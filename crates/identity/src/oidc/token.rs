//! ID tokens (OpenID Connect Core 1.0 §2, §3.1.3.7; RFC 7519, RFC 8725): whether one counts, and what it
//! says of somebody.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::keys::{Algorithm, Keys};
use crate::base64url;
use crate::limits::{
    OIDC_AUDIENCES_MAX, OIDC_SKEW_S, OIDC_SUBJECT_BYTES_MAX, OIDC_TOKEN_BYTES_MAX,
};

/// What a token must be for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who must have made it.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// For which attempt; whoever asks MUST take care that it is used once.
    pub nonce: &'a str,
    /// When, seconds since 1970.
    pub utc_s: u64,
}

/// Why a token does not count. For the event only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is no token, or is too long.
    Form,
    /// It is not signed, or in a way that is not taken.
    Algorithm,
    /// It is signed with a key that the provider does not have.
    Key,
    /// Its signature is wrong.
    Signature,
    /// Somebody else made it.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It is of another attempt.
    Nonce,
    /// It has expired.
    Expired,
    /// It is not of now.
    NotYet,
    /// It does not say who.
    Subject,
}

impl Fault {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Form => "token: it cannot be read",
            Self::Algorithm => "token: it is signed in none of the ways that are taken",
            Self::Key => "token: the provider has no such key",
            Self::Signature => "token: its signature is wrong",
            Self::Issuer => "token: another provider made it",
            Self::Audience => "token: it is for somebody else",
            Self::Nonce => "token: it is of another attempt",
            Self::Expired => "token: it has expired",
            Self::NotYet => "token: it is of a time to come, or has none",
            Self::Subject => "token: it does not say who",
        }
    }
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    crit: Option<Json>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Body {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    iat: u64,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Json>,
}

/// What a provider says of somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// Who, for this provider: for ever the same, and nobody else.
    pub subject: String,
    claims: BTreeMap<String, Json>,
}

impl Claims {
    /// What a token says that counts.
    ///
    /// # Errors
    /// Why it does not.
    pub fn read(token: &str, keys: &Keys, expected: Expected<'_>) -> Result<Self, Fault> {
        if token.len() > OIDC_TOKEN_BYTES_MAX {
            return Err(Fault::Form);
        }
        let mut parts = token.split('.');
        let (Some(head), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::Form);
        };
        let signed = token
            .get(..head.len() + 1 + body.len())
            .ok_or(Fault::Form)?;
        let bytes = |text: &str| base64url::decode(text).ok_or(Fault::Form);
        let (head, body, signature) = (bytes(head)?, bytes(body)?, bytes(signature)?);
        let head: Head = serde_json::from_slice(&head).map_err(|_| Fault::Form)?;
        // A token for something else is none of somebody's, whoever signed it (RFC 8725 §3.11).
        let is_plain = head.typ.is_none_or(|kind| kind.eq_ignore_ascii_case("JWT"));
        if !is_plain || head.crit.is_some() {
            return Err(Fault::Form);
        }
        let algorithm = Algorithm::named(&head.alg).ok_or(Fault::Algorithm)?;
        let by = (algorithm, head.kid.as_deref());
        match keys.signed(by, signed.as_bytes(), &signature) {
            Some(true) => {}
            Some(false) => return Err(Fault::Signature),
            None => return Err(Fault::Key),
        }
        // Only now is anything believed that it says.
        let body: Body = serde_json::from_slice(&body).map_err(|_| Fault::Form)?;
        body.check(expected)?;
        Ok(Self {
            subject: body.sub,
            claims: body.others,
        })
    }

    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, claim: &str) -> Option<&str> {
        match claim {
            "sub" => Some(&self.subject),
            _ => self.claim(claim).and_then(Json::as_str),
        }
    }

    /// Whether a claim is this text, or a list with it in it.
    #[must_use]
    pub fn has(&self, claim: &str, value: &str) -> bool {
        match self.claim(claim) {
            Some(Json::Array(list)) => list.iter().any(|one| one.as_str() == Some(value)),
            _ => self.text(claim) == Some(value),
        }
    }

    /// Whether a claim is `true`; words that say so are none.
    #[must_use]
    pub fn is_true(&self, claim: &str) -> bool {
        self.claim(claim) == Some(&Json::Bool(true))
    }

    /// A claim of this name; or, where there is none, one inside others: `realm_access.roles`.
    fn claim(&self, name: &str) -> Option<&Json> {
        if let Some(found) = self.claims.get(name) {
            return Some(found);
        }
        let mut names = name.split('.');
        let outer = self.claims.get(names.next()?)?;
        names.try_fold(outer, |outer, name| outer.get(name))
    }
}

impl Body {
    fn check(&self, expected: Expected<'_>) -> Result<(), Fault> {
        if self.iss != expected.issuer {
            return Err(Fault::Issuer);
        }
        let audiences = match &self.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Many(many) => many.as_slice(),
        };
        let is_for_us = audiences.iter().any(|one| one == expected.client_id);
        // With several it must say who asked for it.
        let azp_wanted = audiences.len() > 1;
        let by_us = match &self.azp {
            Some(azp) => azp == expected.client_id,
            None => !azp_wanted,
        };
        if !is_for_us || !by_us || audiences.len() > OIDC_AUDIENCES_MAX {
            return Err(Fault::Audience);
        }
        if self.nonce.as_deref() != Some(expected.nonce) {
            return Err(Fault::Nonce);
        }
        let (now_s, skew_s) = (expected.utc_s, OIDC_SKEW_S);
        if now_s >= self.exp.saturating_add(skew_s) {
            return Err(Fault::Expired);
        }
        let latest_s = now_s.saturating_add(skew_s);
        if self.iat > latest_s || self.nbf.is_some_and(|nbf| nbf > latest_s) {
            return Err(Fault::NotYet);
        }
        let is_named = (1..=OIDC_SUBJECT_BYTES_MAX).contains(&self.sub.len());
        match is_named && self.sub.is_ascii() {
            true => Ok(()),
            false => Err(Fault::Subject),
        }
    }
}

#[cfg(test)]
mod tests;
