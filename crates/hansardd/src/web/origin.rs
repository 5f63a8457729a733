//! Under which names we are asked, and which page asks: requests that another site makes a browser
//! send are refused before anything else, and so is a name that somebody else points at us.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::api::problem::Problem;

/// How we are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// `http://127.0.0.1:3080`, lower case; the first one is what people are told.
    origins: Vec<String>,
}

impl Origins {
    /// The configured origin; or, where that is empty, the names of the loopback address that we
    /// listen at.
    #[must_use]
    pub fn new(configured: &str, listen: SocketAddr, has_tls: bool) -> Self {
        let port = listen.port();
        let scheme = if has_tls { "https" } else { "http" };
        let origins = match configured {
            "" => {
                let ip = match listen.ip() {
                    IpAddr::V6(ip) => format!("[{ip}]"),
                    IpAddr::V4(ip) => ip.to_string(),
                };
                vec![
                    format!("{scheme}://{ip}:{port}"),
                    format!("{scheme}://localhost:{port}"),
                ]
            }
            one => vec![one.trim_end_matches('/').to_lowercase()],
        };
        Self { origins }
    }

    /// What people type into their browser.
    #[must_use]
    pub fn first(&self) -> &str {
        self.origins.first().map_or("", String::as_str)
    }

    /// The one that this request came to; it MUST have been checked.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> String {
        let host = text(headers, &header::HOST).unwrap_or_default();
        let is_its = |origin: &&String| origin.split("://").nth(1) == Some(&*host);
        self.origins
            .iter()
            .find(is_its)
            .cloned()
            .unwrap_or_default()
    }

    /// Whether browsers reach us by TLS, ours or that of whoever is before us.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.first().starts_with("https://")
    }

    /// Whether a request is one that our own page may make.
    ///
    /// # Errors
    /// What is told to whoever sent it.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let host = text(headers, &header::HOST).unwrap_or_default();
        let hosts = self.origins.iter().filter_map(|o| o.split("://").nth(1));
        if !hosts.into_iter().any(|ours| ours == host) {
            let words = "this service is not reached under this name";
            let next = format!("open {}; serve.web.origin names it", self.first());
            let status = StatusCode::MISDIRECTED_REQUEST;
            return Err(Problem {
                next_step: next,
                ..Problem::status(status, "wrong_host", words)
            });
        }
        let foreign = |words: &str| {
            let next = "use the page that this service itself shows".to_owned();
            Problem {
                next_step: next,
                ..Problem::status(StatusCode::FORBIDDEN, "foreign_origin", words)
            }
        };
        let origin = text(headers, &header::ORIGIN);
        let is_ours = |origin: &String| self.origins.contains(origin);
        if origin.as_ref().is_some_and(|origin| !is_ours(origin)) {
            return Err(foreign("another site's page asked for this"));
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD);
        if changes && origin.is_none() {
            return Err(foreign("a change must come with the header Origin"));
        }
        let site = HeaderName::from_static("sec-fetch-site");
        match text(headers, &site).as_deref() {
            None | Some("same-origin" | "none") => Ok(()),
            // A link on another site leads to the page, and to nothing behind it: the cookie stays away.
            Some(_) if *method == Method::GET && is_navigation(headers) => Ok(()),
            Some(_) => Err(foreign("another site's page asked for this")),
        }
    }
}

fn is_navigation(headers: &HeaderMap) -> bool {
    let name = |name| HeaderName::from_static(name);
    text(headers, &name("sec-fetch-mode")).as_deref() == Some("navigate")
        && text(headers, &name("sec-fetch-dest")).as_deref() == Some("document")
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).to_lowercase())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn check(method: &Method, pairs: &[(&'static str, &'static str)]) -> Result<(), &'static str> {
        let listen = "127.0.0.1:3080".parse().unwrap();
        let checked = Origins::new("", listen, false).check(method, &headers(pairs));
        checked.map_err(|problem| problem.code)
    }

    #[test]
    fn only_our_names_and_our_page_are_answered() {
        const HOST: (&str, &str) = ("host", "127.0.0.1:3080");
        let get = |pairs: &[_]| check(&Method::GET, pairs);
        let post = |pairs: &[_]| check(&Method::POST, pairs);
        assert_eq!(get(&[HOST]), Ok(()));
        assert_eq!(get(&[("host", "LOCALHOST:3080")]), Ok(()));
        for other in [
            "localhost",
            "127.0.0.1",
            "evil.example:3080",
            "127.0.0.1:3081",
            "",
        ] {
            assert_eq!(get(&[("host", other)]), Err("wrong_host"), "{other}");
        }
        assert_eq!(get(&[]), Err("wrong_host"));
        assert_eq!(post(&[HOST]), Err("foreign_origin"));
        let ours = ("origin", "http://127.0.0.1:3080");
        assert_eq!(post(&[HOST, ours]), Ok(()));
        for other in [
            "null",
            "http://evil.example",
            "https://127.0.0.1:3080",
            "http://127.0.0.1",
        ] {
            assert_eq!(
                post(&[HOST, ("origin", other)]),
                Err("foreign_origin"),
                "{other}"
            );
            assert_eq!(
                get(&[HOST, ("origin", other)]),
                Err("foreign_origin"),
                "{other}"
            );
        }
        for site in ["cross-site", "same-site"] {
            let site = ("sec-fetch-site", site);
            assert_eq!(get(&[HOST, site]), Err("foreign_origin"));
            assert_eq!(post(&[HOST, ours, site]), Err("foreign_origin"));
            let link = [
                HOST,
                site,
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ];
            assert_eq!(get(&link), Ok(()));
            let frame = [
                HOST,
                site,
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
            ];
            assert_eq!(get(&frame), Err("foreign_origin"));
        }
        assert_eq!(get(&[HOST, ("sec-fetch-site", "same-origin")]), Ok(()));
    }

    #[test]
    fn a_configured_origin_is_the_only_one() {
        let listen = "127.0.0.1:3080".parse().unwrap();
        let origins = Origins::new("https://Audit.Example/", listen, false);
        assert!(origins.is_https());
        assert_eq!(origins.first(), "https://audit.example");
        let at = |host| {
            origins
                .check(&Method::GET, &headers(&[("host", host)]))
                .is_ok()
        };
        assert!(at("audit.example") && !at("127.0.0.1:3080"));
        let own = Origins::new("", listen, true);
        assert!(own.is_https());
        assert_eq!(own.first(), "https://127.0.0.1:3080");
    }
}
