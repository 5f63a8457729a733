//! The application in a browser.

use crate::config::{Config, Finding};

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
    if !web.listen.ip().is_loopback() {
        found.push(Finding::error(
            "serve.web.listen",
            "passwords and recordings would go over the network in the open",
            "use 127.0.0.1 or [::1], and a proxy with TLS before it (docs/web.md)",
        ));
    }
    if !is_origin(&web.origin) {
        found.push(Finding::error(
            "serve.web.origin",
            "not the beginning of an address in a browser: `https://` and a name, nothing behind it",
            "write it as https://audit.example.org, or leave it empty",
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
        assert_eq!(with("{listen: '0.0.0.0:3080'}"), ["serve.web.listen"]);
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
