//! What a browser is told, whatever it asks for.

use axum::http::{HeaderMap, Method, header};

use super::pages;

#[test]
fn the_application_is_there_under_its_pages_and_nowhere_else() {
    let get = |path: &str| pages::answer(&Method::GET, path, &HeaderMap::new());
    for page in [
        "/",
        "/sign-in",
        "/sessions",
        "/sessions/019a0000-0000-7000-8000-000000000000",
        "/events",
    ] {
        let response = get(page).unwrap();
        let kind = &response.headers()[header::CONTENT_TYPE];
        assert_eq!(kind, "text/html; charset=utf-8", "{page}");
    }
    for none in [
        "/index.html",
        "/assets/",
        "/assets/../Cargo.toml",
        "/sessions/../x",
        "/sessions/a/b",
        "/sessions/%2e%2e",
        "/nothing",
        "//",
        "",
    ] {
        assert_eq!(get(none).unwrap_err().code, "not_found", "{none}");
    }
    let post = pages::answer(&Method::POST, "/", &HeaderMap::new());
    assert_eq!(post.unwrap_err().code, "method_not_allowed");
}

#[test]
fn a_browser_asks_whether_it_has_the_newest_and_is_told_to_distrust_the_page() {
    let first = pages::answer(&Method::GET, "/assets/hansard.js", &HeaderMap::new()).unwrap();
    let mut again = HeaderMap::new();
    again.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
    let second = pages::answer(&Method::GET, "/assets/hansard.js", &again).unwrap();
    assert_eq!(second.status(), 304);
    let mut headers = HeaderMap::new();
    pages::guard(&mut headers, false);
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(
        !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    pages::guard(&mut headers, true);
    assert!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
}
