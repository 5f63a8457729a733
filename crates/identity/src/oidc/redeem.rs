//! Exchanging a code for a token (RFC 6749 §4.1.3, OpenID Connect Core 1.0 §3.1.3): what is sent, and
//! what the answer is. Who sends it is another matter.

use serde::Deserialize;

use super::asked::{escaped, form};
use super::provider::SecretIn;
use crate::limits::{OIDC_CODE_BYTES_MAX, OIDC_DOCUMENT_BYTES_MAX, OIDC_ERROR_BYTES_MAX};
use crate::pem::encode_base64;

/// A code that a browser brought back.
#[derive(Clone, Copy)]
pub struct Redeem<'a> {
    /// The code.
    pub code: &'a str,
    /// Where the browser came back to, the same as when it was sent away.
    pub callback: &'a str,
    /// The half of the secret that stayed here.
    pub verifier: &'a str,
    /// As whom the provider knows us.
    pub client_id: &'a str,
    /// The secret that it gave us, and where it takes it; `None`: it gave us none.
    pub secret: Option<(&'a str, SecretIn)>,
}

impl Redeem<'_> {
    /// The body: a form.
    #[must_use]
    pub fn body(&self) -> String {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", self.code),
            ("redirect_uri", self.callback),
            ("code_verifier", self.verifier),
        ];
        match self.secret {
            Some((_, SecretIn::Header)) => {}
            Some((secret, SecretIn::Body)) => {
                pairs.extend([("client_id", self.client_id), ("client_secret", secret)]);
            }
            None => pairs.push(("client_id", self.client_id)),
        }
        form(&pairs)
    }

    /// The header `Authorization`, if there is to be one (RFC 6749 §2.3.1).
    #[must_use]
    pub fn authorization(&self) -> Option<String> {
        let Some((secret, SecretIn::Header)) = self.secret else {
            return None;
        };
        let pair = format!("{}:{}", escaped(self.client_id), escaped(secret));
        Some(format!("Basic {}", encode_base64(pair.as_bytes())))
    }
}

/// Whether this may be a code: what a provider gives is opaque, but no control character is in it.
#[must_use]
pub fn is_code(text: &str) -> bool {
    (1..=OIDC_CODE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic())
}

/// A provider's word for why it does something not, as far as it is one (RFC 6749 §5.2): nothing that
/// somebody could write into an event beyond that.
#[must_use]
pub fn error_word(text: &str) -> &str {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    let is_word = (1..=OIDC_ERROR_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
    if is_word { text } else { "unreadable" }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The provider says so; its word.
    Word(String),
    /// What it says cannot be read; the status of its answer.
    Unreadable(u16),
}

#[derive(Deserialize)]
struct Token {
    id_token: String,
}

#[derive(Deserialize)]
struct Error {
    error: String,
}

/// The ID token of an answer.
///
/// # Errors
/// Why there is none.
pub fn id_token(status: u16, body: &[u8]) -> Result<String, Refusal> {
    if body.len() > OIDC_DOCUMENT_BYTES_MAX {
        return Err(Refusal::Unreadable(status));
    }
    if status == 200 {
        let read = serde_json::from_slice::<Token>(body);
        return read
            .map(|read| read.id_token)
            .map_err(|_| Refusal::Unreadable(status));
    }
    match serde_json::from_slice::<Error>(body) {
        Ok(read) => Err(Refusal::Word(error_word(&read.error).to_owned())),
        Err(_) => Err(Refusal::Unreadable(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redeem(secret: Option<(&str, SecretIn)>) -> Redeem<'_> {
        Redeem {
            code: "c+/=",
            callback: "https://us.example/sign-in/oidc",
            verifier: "v",
            client_id: "han:sard",
            secret,
        }
    }

    #[test]
    fn a_secret_is_shown_where_the_provider_takes_it_and_nowhere_else() {
        let header = redeem(Some(("s&:%", SecretIn::Header)));
        // printf '%s' 'han%3Asard:s%26%3A%25' | base64
        let basic = "Basic aGFuJTNBc2FyZDpzJTI2JTNBJTI1";
        assert_eq!(header.authorization().as_deref(), Some(basic));
        assert_eq!(
            header.body(),
            "grant_type=authorization_code&code=c%2B%2F%3D\
             &redirect_uri=https%3A%2F%2Fus.example%2Fsign-in%2Foidc&code_verifier=v"
        );
        let body = redeem(Some(("s&:%", SecretIn::Body)));
        assert_eq!(body.authorization(), None);
        assert!(
            body.body()
                .ends_with("&client_id=han%3Asard&client_secret=s%26%3A%25")
        );
        let public = redeem(None);
        assert_eq!(public.authorization(), None);
        assert!(
            public
                .body()
                .ends_with("&code_verifier=v&client_id=han%3Asard")
        );
    }

    #[test]
    fn an_answer_is_a_token_or_a_word_and_nothing_else_is_believed() {
        let token = id_token(200, br#"{"access_token":"x","id_token":"a.b.c"}"#);
        assert_eq!(token.as_deref(), Ok("a.b.c"));
        let word = |text: &str| Err(Refusal::Word(text.to_owned()));
        assert_eq!(
            id_token(400, br#"{"error":"invalid_grant"}"#),
            word("invalid_grant")
        );
        assert_eq!(
            id_token(401, br#"{"error":"a b\u001b[2J"}"#),
            word("unreadable")
        );
        for (status, body) in [
            (200, &br#"{"error":"invalid_grant"}"#[..]),
            (200, b"<html>"),
            (200, br#"{"id_token":7}"#),
            (302, b""),
            (500, b"oops"),
            (400, br#"{"id_token":"a.b.c"}"#),
        ] {
            assert_eq!(id_token(status, body), Err(Refusal::Unreadable(status)));
        }
        let long = vec![b' '; OIDC_DOCUMENT_BYTES_MAX + 1];
        assert_eq!(id_token(200, &long), Err(Refusal::Unreadable(200)));
    }

    #[test]
    fn codes_have_no_control_characters_and_an_end() {
        assert!(is_code("a+/=~.b") && is_code(&"x".repeat(OIDC_CODE_BYTES_MAX)));
        let long = "x".repeat(OIDC_CODE_BYTES_MAX + 1);
        for bad in ["", "a b", "a\r\nb", "\u{e4}", &long] {
            assert!(!is_code(bad), "{bad:?}");
        }
    }
}
