//! What goes out with a browser to a provider, and must come back: a state, a nonce, and half of a
//! secret of which the other half stays (PKCE, RFC 7636).

use sha2::{Digest as _, Sha256};

use crate::base64url;
use crate::failure::Failure;
use crate::random::{Random, draw};

/// Who asks a provider, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// As whom the provider knows us.
    pub client_id: &'a str,
    /// Where it sends the browser back to.
    pub callback: &'a str,
    /// What it is to say of somebody: words with spaces between them, `openid` among them.
    pub scope: &'a str,
    /// What it is to ask somebody once more (`login`, `select_account`); empty: what it likes.
    pub prompt: &'a str,
}

/// One attempt to sign in at a provider. Whoever keeps it MUST use it once.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// Comes back with the browser; says that the attempt began here.
    pub state: String,
    /// Comes back in the token; says that the token is of this attempt.
    pub nonce: String,
    /// Goes to the provider from us alone; says that whoever has the code is who asked for it.
    pub verifier: String,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked")
    }
}

impl Asked {
    /// Another one, with 256 random bits each.
    ///
    /// # Errors
    /// `Retry` without randomness.
    pub fn new(random: &dyn Random) -> Result<Self, Failure> {
        let text = || -> Result<String, Failure> {
            let bytes: [u8; 32] = draw(random)?;
            Ok(base64url::encode(&bytes))
        };
        Ok(Self {
            state: text()?,
            nonce: text()?,
            verifier: text()?,
        })
    }

    /// What the provider is shown of the verifier (`S256`).
    #[must_use]
    pub fn challenge(&self) -> String {
        base64url::encode(&Sha256::digest(&self.verifier))
    }

    /// Where the browser is sent.
    #[must_use]
    pub fn address(&self, endpoint: &str, asking: Asking<'_>) -> String {
        let challenge = self.challenge();
        let mut asked = vec![
            ("response_type", "code"),
            ("scope", asking.scope),
            ("client_id", asking.client_id),
            ("redirect_uri", asking.callback),
            ("state", &self.state),
            ("nonce", &self.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if !asking.prompt.is_empty() {
            asked.push(("prompt", asking.prompt));
        }
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{separator}{}", form(&asked))
    }
}

/// Names and values, as they stand behind a question mark or in the body of a form.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A value behind the question mark: everything but what needs no escape (RFC 3986 §2.3).
pub(super) fn escaped(value: &str) -> String {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'~');
    let letter = |c: u8| match plain(c) {
        true => char::from(c).to_string(),
        false => format!("%{c:02X}"),
    };
    value.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_what_the_standard_computes() {
        // RFC 7636, appendix B.
        let asked = Asked {
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        };
        assert_eq!(
            asked.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        let asking = Asking {
            client_id: "a&b=c",
            callback: "https://us.example/x?y",
            scope: "openid groups",
            prompt: "",
        };
        let address = asked.address("https://id.example/auth", asking);
        assert!(
            address.starts_with("https://id.example/auth?response_type=code&"),
            "{address}"
        );
        assert!(address.contains("&client_id=a%26b%3Dc&"), "{address}");
        assert!(
            address.contains("&redirect_uri=https%3A%2F%2Fus.example%2Fx%3Fy&"),
            "{address}"
        );
        assert!(address.contains("&scope=openid%20groups&"), "{address}");
        assert!(!address.contains(&asked.verifier), "{address}");
        assert!(!address.contains("prompt="), "{address}");
        let again = Asking {
            prompt: "login",
            ..asking
        };
        let more = asked.address("https://id.example/auth?tenant=1", again);
        assert!(more.ends_with("&prompt=login"), "{more}");
        assert!(
            more.starts_with("https://id.example/auth?tenant=1&response_type="),
            "{more}"
        );
    }

    #[test]
    fn each_is_another_and_none_is_printed() {
        let count = std::sync::atomic::AtomicU8::new(0);
        let random = |bytes: &mut [u8]| {
            bytes.fill(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            Ok(())
        };
        let asked = Asked::new(&random).unwrap();
        let parts = [&asked.state, &asked.nonce, &asked.verifier];
        assert!(parts.iter().all(|part| part.len() == 43));
        assert!(parts[0] != parts[1] && parts[1] != parts[2] && parts[0] != parts[2]);
        assert_eq!(format!("{asked:?}"), "Asked");
        let broken = |_: &mut [u8]| Err(std::io::Error::other("none"));
        assert!(matches!(Asked::new(&broken), Err(Failure::Retry(_))));
    }
}
