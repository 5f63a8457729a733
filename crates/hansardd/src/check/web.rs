//! The application in a browser.

use std::path::Path;

use crate::config::{Config, Finding, Web};

/// What it needs, and how it must not be reached.
pub(super) fn web(config: &Config, found: &mut Vec<Finding>) {
    let Some(web) = &config.serve.web else {
        return;
    };
    if config.store.is_none() || config.serve.admin.is_none() {
        found.push(Finding::error(
            "serve.web",
            "it shows what is kept here, to users who are made at admin.sock; one of both is off",
            "add `store: {}` and `serve: {admin: {}}`, or remove serve.web here",
        ));
    }
    let is_open = !web.listen.ip().is_loopback();
    if is_open && web.tls.is_none() {
        found.push(Finding::error(
            "serve.web.listen",
            "passwords and recordings would go over the network in the open",
            "add serve.web.tls, or use 127.0.0.1 or [::1] and a proxy with TLS before it (docs/web.md)",
        ));
    }
    if is_open && web.origin.is_empty() {
        found.push(Finding::error(
            "serve.web.origin",
            "it is required where others than people on this machine come",
            "write what stands in their browser's address bar, as https://audit.example.org",
        ));
    }
    if !is_origin(&web.origin) {
        found.push(Finding::error(
            "serve.web.origin",
            "not the beginning of an address in a browser: `https://` and a name, nothing behind it",
            "write it as https://audit.example.org, or leave it empty",
        ));
    }
    tls(web, found);
}

/// Files that TLS cannot do without, and what it makes of the address. What is in the files is another matter.
fn tls(web: &Web, found: &mut Vec<Finding>) {
    let Some(tls) = &web.tls else {
        return;
    };
    for (key, path) in [("cert_file", &tls.cert_file), ("key_file", &tls.key_file)] {
        if path == Path::new("") {
            found.push(Finding::error(
                format!("serve.web.tls.{key}"),
                "it is required and not set",
                "write the path of a file in PEM",
            ));
        }
    }
    if web.origin.starts_with("http://") {
        found.push(Finding::error(
            "serve.web.origin",
            "browsers reach it by HTTPS, as serve.web.tls says",
            "write it with https://, or leave it empty",
        ));
    }
}

/// Whether browsers could send this as their origin. In the open only to this machine itself.
fn is_origin(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'[' | b']');
    let is_host = |host: &str| !host.is_empty() && host.bytes().all(plain);
    match text.split_once("://") {
        Some(("https", host)) => is_host(host.strip_suffix('/').unwrap_or(host)),
        Some(("http", host)) => {
            let own = ["localhost:", "127.0.0.1:", "[::1]:"];
            is_host(host) && own.iter().any(|own| host.starts_with(own))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_tls_it_is_reached_from_anywhere_under_its_name() {
        let with = |web: &str| about(&format!("store: {{}}\nserve: {{admin: {{}}, web: {web}}}"));
        let tls = "tls: {cert_file: /c.pem, key_file: /k.pem}";
        assert!(with(&format!("{{{tls}}}")).is_empty());
        let open = "listen: '[::]:443'";
        let named = "origin: 'https://audit.example.org'";
        assert!(with(&format!("{{{tls}, {open}, {named}}}")).is_empty());
        assert_eq!(with(&format!("{{{tls}, {open}}}")), ["serve.web.origin"]);
        assert_eq!(with(&format!("{{{open}, {named}}}")), ["serve.web.listen"]);
        let plain = "origin: 'http://localhost:3080'";
        assert_eq!(with(&format!("{{{tls}, {plain}}}")), ["serve.web.origin"]);
        let halves = ["serve.web.tls.cert_file", "serve.web.tls.key_file"];
        assert_eq!(with("{tls: {}}"), halves);
        assert_eq!(with("{tls: {cert_file: /c.pem}}"), halves[1..]);
    }

    fn about(text: &str) -> Vec<String> {
        let (config, wrong) = Config::parse(text);
        assert!(wrong.is_empty(), "{wrong:?}");
        let mut found = Vec::new();
        web(&config, &mut found);
        found.into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn it_is_reached_by_this_machine_only_and_needs_what_it_shows() {
        let with = |web: &str| about(&format!("store: {{}}\nserve: {{admin: {{}}, web: {web}}}"));
        assert!(with("{}").is_empty());
        assert_eq!(about("serve: {web: {}}"), ["serve.web"]);
        let both = ["serve.web.listen", "serve.web.origin"];
        assert_eq!(with("{listen: '0.0.0.0:3080'}"), both);
        assert!(with("{listen: '[::1]:3080'}").is_empty());
        for good in [
            "https://audit.example.org",
            "https://a.b:8443",
            "http://localhost:3080",
        ] {
            assert!(with(&format!("{{origin: '{good}'}}")).is_empty(), "{good}");
        }
        for bad in [
            "audit.example.org",
            "http://audit.example.org",
            "https://",
            "https://a/b",
        ] {
            assert_eq!(
                with(&format!("{{origin: '{bad}'}}")),
                ["serve.web.origin"],
                "{bad}"
            );
        }
    }
}
