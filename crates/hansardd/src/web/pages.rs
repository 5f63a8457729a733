//! The application, which is part of this program: built from `web/` by `make web`, committed, and
//! compared by CI. Nothing of it is fetched from anywhere else, and a browser is told so.

use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use hansard_identity::hex;
use sha2::{Digest as _, Sha256};

use crate::api::problem::Problem;

/// A file of the application.
struct File {
    path: &'static str,
    media: &'static str,
    bytes: &'static [u8],
}

const FILES: [File; 4] = [
    File {
        path: "/",
        media: "text/html; charset=utf-8",
        bytes: include_bytes!("../../../../web/dist/index.html"),
    },
    File {
        path: "/assets/hansard.js",
        media: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../../../web/dist/assets/hansard.js"),
    },
    File {
        path: "/assets/hansard.css",
        media: "text/css; charset=utf-8",
        bytes: include_bytes!("../../../../web/dist/assets/hansard.css"),
    },
    File {
        path: "/assets/mark.svg",
        media: "image/svg+xml",
        bytes: include_bytes!("../../../../web/dist/assets/mark.svg"),
    },
];

/// What a browser may load, and from where: our own files, and nothing that stands in the page
/// itself. No recording, name or title can become code by it, whatever a page gets wrong.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

/// Pages of the application: what stands first in their path. What is behind it is read by the page.
const PAGES: [&str; 10] = [
    "sign-in", "sessions", "events", "hosts", "users", "search", "shared", "account", "policy",
    "looks",
];

/// What every answer says, whatever it is of.
pub(super) fn guard(headers: &mut HeaderMap, is_https: bool) {
    let always = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in always {
        let name = HeaderName::from_static(name);
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    // What nobody said otherwise about is kept by nobody.
    let fresh = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(fresh);
}

/// Answers a request for a part of the application.
///
/// # Errors
/// Where there is none.
pub(super) fn answer(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, Problem> {
    let file = find(path).ok_or_else(Problem::not_found)?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Problem::method("GET"));
    }
    let tag = tag(file);
    let mut response = Response::new(Body::empty());
    let is_known = headers.get(header::IF_NONE_MATCH) == Some(&tag);
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if *method == Method::GET {
        *response.body_mut() = Body::from(Bytes::from_static(file.bytes));
    }
    let said = response.headers_mut();
    said.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media));
    said.insert(header::ETAG, tag);
    // Kept by the browser, and asked for each time whether it still holds: an update is seen at once.
    said.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn find(path: &str) -> Option<&'static File> {
    let exact = FILES.iter().find(|file| file.path == path);
    exact.or_else(|| {
        let mut parts = path.strip_prefix('/')?.split('/');
        let is_page = parts.next().is_some_and(|first| PAGES.contains(&first));
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        let rest: Vec<&str> = parts.collect();
        let is_plain = rest.iter().all(|part| part.bytes().all(plain));
        // A provider's way back has its name behind it.
        let is_way_back = path.starts_with("/sign-in/oidc/");
        let depth_max = if is_way_back { 2 } else { 1 };
        (is_page && is_plain && rest.len() <= depth_max)
            .then(|| FILES.first())
            .flatten()
    })
}

/// The digest of a file, as a tag.
fn tag(file: &'static File) -> HeaderValue {
    static TAGS: OnceLock<Vec<(&'static str, HeaderValue)>> = OnceLock::new();
    let tags = TAGS.get_or_init(|| {
        let of = |file: &File| {
            let digest = hex::encode(&Sha256::digest(file.bytes));
            let value = HeaderValue::from_str(&format!("\"{digest}\""));
            (
                file.path,
                value.unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
            )
        };
        FILES.iter().map(of).collect()
    });
    let found = tags.iter().find(|(path, _)| *path == file.path);
    found.map_or_else(|| HeaderValue::from_static("\"\""), |(_, tag)| tag.clone())
}
