//! Providers of OpenID Connect, as they are configured.

use std::collections::BTreeSet;

use hansard_identity::Role;
use hansard_view::nearest;

use crate::config::{Config, Finding, Oidc};
use crate::web::oidc::settings::{PROVIDERS_MAX, is_loopback_issuer};

/// What each of them needs.
pub(super) fn oidc(config: &Config, found: &mut Vec<Finding>) {
    let Some(web) = &config.serve.web else {
        return;
    };
    if web.oidc.len() > PROVIDERS_MAX {
        found.push(Finding::error(
            "serve.web.oidc",
            format!("more than {PROVIDERS_MAX} providers"),
            "remove some",
        ));
    }
    let mut names = BTreeSet::new();
    for (i, oidc) in web.oidc.iter().enumerate() {
        let at = |name: &str| format!("serve.web.oidc.{i}.{name}");
        if !names.insert(&oidc.name) {
            found.push(Finding::error(
                at("name"),
                "another provider has it",
                "give each another name",
            ));
        }
        provider(oidc, &at, found);
        rules(oidc, &at, found);
    }
}

fn provider(oidc: &Oidc, at: &dyn Fn(&str) -> String, found: &mut Vec<Finding>) {
    let mut wrong = |key: &str, what: &str, next: &str| {
        found.push(Finding::error(at(key), what, next));
    };
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if !(1..=32).contains(&oidc.name.len()) || !oidc.name.bytes().all(plain) {
        let what = "not 1 to 32 lower-case letters, digits and `-`";
        wrong(
            "name",
            what,
            "choose another; what people read is `display`",
        );
    }
    if oidc.display.chars().count() > 64 || oidc.display.chars().any(char::is_control) {
        wrong(
            "display",
            "longer than 64 characters, or with control characters",
            "shorten it",
        );
    }
    if !is_issuer(&oidc.issuer_url) {
        let what = "not an address as https://id.example.org (http for a provider on this machine \
                    only: 127.0.0.1, [::1], localhost), without `?`, `#` and `@`";
        wrong(
            "issuer_url",
            what,
            "write what the provider itself says as `issuer`",
        );
    }
    let graphic = |text: &str| !text.is_empty() && text.bytes().all(|c| (0x20..0x7f).contains(&c));
    if !graphic(&oidc.client_id) {
        let what = "it is required and not set, or has other than plain letters in it";
        wrong(
            "client_id",
            what,
            "write what the provider calls this service",
        );
    }
    let is_word =
        |word: &String| graphic(word) && !word.bytes().any(|c| matches!(c, b' ' | b'"' | b'\\'));
    if !oidc.scope.iter().any(|word| word == "openid") || !oidc.scope.iter().all(is_word) {
        wrong(
            "scope",
            "`openid` is not in it, or a word has a space or a quote in it",
            "mend it",
        );
    }
    if oidc.username_claim.is_empty() {
        wrong(
            "username_claim",
            "it is required",
            "leave it at its default, or write a claim",
        );
    }
    if !["", "login", "select_account", "consent"].contains(&oidc.prompt.as_str()) {
        let what = "none of login, select_account, consent";
        wrong("prompt", what, "write one of them, or leave it empty");
    }
}

fn rules(oidc: &Oidc, at: &dyn Fn(&str) -> String, found: &mut Vec<Finding>) {
    if oidc.claims_to_roles.is_empty() {
        found.push(Finding::warning(
            at("claims_to_roles"),
            "nobody can sign in by this provider: no rule gives anybody a role",
            "write rules as {claim: groups, value: auditors, role: auditor}",
        ));
    }
    for (n, rule) in oidc.claims_to_roles.iter().enumerate() {
        let at = |name: &str| at(&format!("claims_to_roles.{n}.{name}"));
        for (key, text) in [("claim", &rule.claim), ("value", &rule.value)] {
            if text.is_empty() {
                found.push(Finding::error(
                    at(key),
                    "it is required and not set",
                    "write it",
                ));
            }
        }
        if rule.role.parse::<Role>().is_err() {
            let near = nearest(&rule.role, Role::ALL.map(Role::as_str));
            let next = near.map_or_else(
                || "write one of them".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            let what = "not a role (admin, auditor, reviewer, user)";
            found.push(Finding::error(at("role"), what, next));
        }
    }
}

/// Whether this can be who a provider is: reached so that nobody on the way can answer for it.
fn is_issuer(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'?' | b'#' | b'@' | b'\\' | b'"');
    let host = text
        .strip_prefix("https://")
        .and_then(|rest| rest.split('/').next());
    let is_https = host.is_some_and(|host| !host.is_empty());
    (is_https || is_loopback_issuer(text)) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "claims_to_roles: [{claim: groups, value: a, role: auditor}]";

    fn about(oidc: &str) -> Vec<String> {
        let (config, wrong) = Config::parse(&format!("serve: {{web: {{oidc: {oidc}}}}}"));
        assert_eq!(wrong, [], "{oidc}");
        let mut found = Vec::new();
        super::oidc(&config, &mut found);
        let key = |finding: Finding| finding.key.replace("serve.web.oidc.", "");
        found.into_iter().map(key).collect()
    }

    fn with(more: &str) -> Vec<String> {
        about(&format!(
            "{{issuer_url: 'https://id.example', client_id: hansard, {RULES}, {more}}}"
        ))
    }

    #[test]
    fn a_provider_is_who_it_says_over_https_or_on_this_machine() {
        assert!(with("").is_empty());
        let of = |issuer: &str| {
            about(&format!(
                "{{issuer_url: '{issuer}', client_id: h, {RULES}}}"
            ))
        };
        for good in [
            "https://id.example/realms/x",
            "https://id.example:8443",
            "http://127.0.0.1:5556",
            "http://localhost:5556/dex",
            "http://[::1]:5556",
        ] {
            assert!(of(good).is_empty(), "{good}");
        }
        for bad in [
            "",
            "id.example",
            "http://id.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example:80",
            "http://localhost@evil.example",
            "https://",
            "https:///x",
            "https://a@b",
            "https://id.example/?x",
            "https://id.example/#x",
            "file:///etc/passwd",
        ] {
            assert_eq!(of(bad), ["0.issuer_url"], "{bad}");
        }
    }

    #[test]
    fn what_is_missing_or_cannot_be_is_named() {
        assert_eq!(
            about("{}"),
            ["0.issuer_url", "0.client_id", "0.claims_to_roles"]
        );
        for (more, key) in [
            ("name: 'A b'", "0.name"),
            ("name: ''", "0.name"),
            ("display: \"a\\u0007\"", "0.display"),
            ("scope: [profile]", "0.scope"),
            ("scope: [openid, 'a b']", "0.scope"),
            ("username_claim: ''", "0.username_claim"),
            ("prompt: none", "0.prompt"),
        ] {
            assert_eq!(with(more), [key], "{more}");
        }
        let rules = "{issuer_url: 'https://a.example', client_id: h, claims_to_roles: \
                     [{claim: g}, {value: x, role: root}, {claim: g, value: x, role: user}]}";
        assert_eq!(
            about(rules),
            [
                "0.claims_to_roles.0.value",
                "0.claims_to_roles.0.role",
                "0.claims_to_roles.1.claim",
                "0.claims_to_roles.1.role"
            ]
        );
        let one = format!("{{issuer_url: 'https://a.example', client_id: h, {RULES}}}");
        assert_eq!(about(&format!("[{one}, {one}]")), ["1.name"]);
    }
}
