//! What a provider says of itself (OpenID Connect Discovery 1.0 §4).

use serde::Deserialize;

use crate::failure::Failure;
use crate::limits::{OIDC_ADDRESS_BYTES_MAX, OIDC_DOCUMENT_BYTES_MAX};

/// How a client shows its secret where codes are exchanged (OpenID Connect Core 1.0 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretIn {
    /// In the header `Authorization`.
    Header,
    /// In the body.
    Body,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name, letter by letter: what its tokens are from.
    pub issuer: String,
    /// Where browsers are sent.
    pub authorization_endpoint: String,
    /// Where codes are exchanged.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where it takes a client's secret; `None` if in neither of the ways that are known here.
    pub secret_in: Option<SecretIn>,
    /// Whether it says who it is when it sends a browser back (RFC 9207): then it must.
    pub names_itself: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    response_types_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Provider {
    /// Where this issuer's document is.
    #[must_use]
    pub fn document_address(issuer: &str) -> String {
        let issuer = issuer.trim_end_matches('/');
        format!("{issuer}/.well-known/openid-configuration")
    }

    /// The provider of a document that was found there. With `plain` its addresses may be `http`: for
    /// a provider on the same machine, which the configuration names.
    ///
    /// # Errors
    /// `Refused`, in words for who configured it.
    pub fn read(issuer: &str, document: &[u8], plain: bool) -> Result<Self, Failure> {
        let refused = |what: String| Failure::Refused(format!("the provider {issuer}: {what}"));
        if document.len() > OIDC_DOCUMENT_BYTES_MAX {
            let most = OIDC_DOCUMENT_BYTES_MAX;
            return Err(refused(format!("its document is longer than {most} bytes")));
        }
        let read: Document = serde_json::from_slice(document)
            .map_err(|e| refused(format!("its document cannot be read: {}", shortly(&e))))?;
        // Whoever answers for another's name is not who was asked for (§4.3).
        if read.issuer != issuer {
            return Err(refused("its document is of another issuer".to_owned()));
        }
        let lacks = |list: &Option<Vec<String>>, word: &str| {
            list.as_ref()
                .is_some_and(|list| !list.iter().any(|one| one == word))
        };
        if lacks(&read.response_types_supported, "code") {
            return Err(refused("it gives no codes".to_owned()));
        }
        if lacks(&read.code_challenge_methods_supported, "S256") {
            return Err(refused("it takes no S256 of PKCE".to_owned()));
        }
        for address in [
            &read.authorization_endpoint,
            &read.token_endpoint,
            &read.jwks_uri,
        ] {
            if !is_address(address, plain) {
                let what = "an address in its document is none that is asked (https)";
                return Err(refused(what.to_owned()));
            }
        }
        let takes = |word: &str| !lacks(&read.token_endpoint_auth_methods_supported, word);
        let secret_in = match (takes("client_secret_basic"), takes("client_secret_post")) {
            (true, _) => Some(SecretIn::Header),
            (_, true) => Some(SecretIn::Body),
            _ => None,
        };
        Ok(Self {
            secret_in,
            names_itself: read.authorization_response_iss_parameter_supported,
            issuer: read.issuer,
            authorization_endpoint: read.authorization_endpoint,
            token_endpoint: read.token_endpoint,
            jwks_uri: read.jwks_uri,
        })
    }
}

/// What is wrong with a document, in words of a length that an event and the log can have: it may quote as much as
/// the document is long.
pub(super) fn shortly(error: &serde_json::Error) -> String {
    error.to_string().chars().take(WORDS_CHARS_MAX).collect()
}

/// See [`shortly`].
const WORDS_CHARS_MAX: usize = 200;

/// An address with a host, without a user, a fragment, or anything that somebody could read otherwise.
fn is_address(address: &str, plain: bool) -> bool {
    let behind = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://").filter(|_| plain));
    let host = behind.and_then(|rest| rest.split(['/', '?']).next());
    let is_plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'#' | b'@' | b'\\' | b'"');
    let is_short = address.len() <= OIDC_ADDRESS_BYTES_MAX;
    is_short && host.is_some_and(|host| !host.is_empty()) && address.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    const ISSUER: &str = "https://id.example";

    fn document() -> Json {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example/auth",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://keys.example/jwks",
            "response_types_supported": ["code", "id_token"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "scopes_supported": ["openid"],
        })
    }

    fn read(document: &Json, plain: bool) -> Result<Provider, Failure> {
        Provider::read(ISSUER, document.to_string().as_bytes(), plain)
    }

    #[test]
    fn what_a_provider_says_of_itself_is_read() {
        let provider = read(&document(), false).unwrap();
        assert_eq!(provider.jwks_uri, "https://keys.example/jwks");
        let mut short = document();
        for name in [
            "response_types_supported",
            "code_challenge_methods_supported",
        ] {
            short.as_object_mut().unwrap().remove(name);
        }
        assert!(read(&short, false).is_ok());
        assert_eq!(provider.secret_in, Some(SecretIn::Header));
        assert!(!provider.names_itself);
        for (methods, way) in [
            (
                json!(["client_secret_post", "client_secret_basic"]),
                Some(SecretIn::Header),
            ),
            (json!(["client_secret_post"]), Some(SecretIn::Body)),
            (json!(["private_key_jwt"]), None),
        ] {
            let mut other = document();
            other["token_endpoint_auth_methods_supported"] = methods;
            other["authorization_response_iss_parameter_supported"] = json!(true);
            let other = read(&other, false).unwrap();
            assert_eq!((other.secret_in, other.names_itself), (way, true));
        }
        let at = Provider::document_address("https://id.example/");
        assert_eq!(at, "https://id.example/.well-known/openid-configuration");
    }

    #[test]
    fn another_issuer_and_other_addresses_are_refused() {
        let with = |name: &str, value: Json| {
            let mut bent = document();
            bent[name] = value;
            read(&bent, false)
        };
        for (name, value) in [
            ("issuer", json!("https://id.example/")),
            ("issuer", json!("https://ID.example")),
            ("issuer", Json::Null),
            ("response_types_supported", json!(["id_token"])),
            ("code_challenge_methods_supported", json!(["plain"])),
            ("token_endpoint", json!("http://id.example/token")),
            ("token_endpoint", json!("gopher://id.example/")),
            ("token_endpoint", json!("https://")),
            ("token_endpoint", json!("https:///x")),
            ("token_endpoint", json!("https://a@b/")),
            ("token_endpoint", json!("https://id.example/#x")),
            ("jwks_uri", json!("file:///etc/passwd")),
            ("jwks_uri", json!("https://id.example\\@evil.example/")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            (
                "authorization_endpoint",
                json!("https://id.example/ \r\nx: y"),
            ),
        ] {
            let refused = with(name, value.clone());
            assert!(
                matches!(refused, Err(Failure::Refused(_))),
                "{name} {value}"
            );
        }
        let far = "x".repeat(OIDC_ADDRESS_BYTES_MAX);
        assert!(with("token_endpoint", json!(format!("https://id.example/{far}"))).is_err());
        let words = "w\x1b".repeat(100_000);
        let refused = with("response_types_supported", json!(words)).unwrap_err();
        let said = refused.to_string();
        assert!(said.len() < 400 && !said.contains('\x1b'), "{said}");
        let long = vec![b' '; OIDC_DOCUMENT_BYTES_MAX + 1];
        assert!(Provider::read(ISSUER, &long, false).is_err());
        let mut plain = document();
        plain["token_endpoint"] = json!("http://127.0.0.1:5556/token");
        assert!(read(&plain, false).is_err() && read(&plain, true).is_ok());
    }
}
