//! A provider as it is configured, and who has which role by it now.

use std::path::Path;

use hansard_identity::oidc::{Asking, Rule};

use crate::config::{Config, Oidc};
use crate::web::files;

/// Providers at most; a configuration with more is refused.
pub const PROVIDERS_MAX: usize = 16;

/// Bytes of a secret at most; a longer one is refused.
const SECRET_BYTES_MAX: usize = 4096;

/// A provider, as it was when the service started.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the API and in events.
    pub name: String,
    /// What people read.
    pub display: String,
    /// Who it is.
    pub issuer: String,
    /// As whom it knows us.
    pub client_id: String,
    /// What only it and we know.
    pub secret: Option<String>,
    /// What it is asked to say.
    pub scope: String,
    /// Which claim has a person's name.
    pub username_claim: String,
    /// What it is to ask people once more.
    pub prompt: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Settings of {}", self.name)
    }
}

impl Settings {
    /// Those of a section.
    ///
    /// # Errors
    /// In words, when its secret cannot be read.
    pub fn of(oidc: &Oidc) -> Result<Self, String> {
        let display = match oidc.display.as_str() {
            "" => &oidc.name,
            display => display,
        };
        Ok(Self {
            name: oidc.name.clone(),
            display: display.to_owned(),
            issuer: oidc.issuer_url.clone(),
            client_id: oidc.client_id.clone(),
            secret: secret(oidc)?,
            scope: oidc.scope.join(" "),
            username_claim: oidc.username_claim.clone(),
            prompt: oidc.prompt.clone(),
        })
    }

    /// What it is asked, to come back to `callback`.
    #[must_use]
    pub fn asking<'a>(&'a self, callback: &'a str) -> Asking<'a> {
        Asking {
            client_id: &self.client_id,
            callback,
            scope: &self.scope,
            prompt: &self.prompt,
        }
    }

    /// Whether it is on this machine, and reached without TLS.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        is_loopback_issuer(&self.issuer)
    }
}

/// Whether an issuer is one on this machine that is reached without TLS.
#[must_use]
pub fn is_loopback_issuer(issuer: &str) -> bool {
    let Some(rest) = issuer.strip_prefix("http://") else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| {
        let port = host.strip_prefix(own);
        port.is_some_and(|port| {
            let digits = port.strip_prefix(':').unwrap_or("0");
            (port.is_empty() || port.starts_with(':'))
                && !digits.is_empty()
                && digits.bytes().all(|c| c.is_ascii_digit())
        })
    })
}

/// The secret of a provider, if it gave one: the first line of its file.
///
/// # Errors
/// In words.
pub fn secret(oidc: &Oidc) -> Result<Option<String>, String> {
    let path = &oidc.client_secret_file;
    if path == Path::new("") {
        return Ok(None);
    }
    let read = files::read_secret(path)?;
    let text = String::from_utf8(read).unwrap_or_default();
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    let is_good = (1..=SECRET_BYTES_MAX).contains(&secret.len())
        && secret.bytes().all(|c| (0x20..0x7f).contains(&c));
    if is_good {
        return Ok(Some(secret.to_owned()));
    }
    let at = crate::failure::shown(path);
    Err(format!(
        "{at}: not one line of plain letters, at most {SECRET_BYTES_MAX} of them"
    ))
}

/// Who has which role by this provider, as the configuration says now. Of one that is not configured any
/// more, nobody.
#[must_use]
pub fn rules(config: &Config, name: &str, issuer: &str) -> Vec<Rule> {
    let providers = config.serve.web.as_ref().map(|web| web.oidc.as_slice());
    let mut providers = providers.unwrap_or_default().iter();
    let provider = providers.find(|one| one.name == name && one.issuer_url == issuer);
    let rules = provider.map(|one| one.claims_to_roles.as_slice());
    let rule = |rule: &crate::config::ClaimRule| {
        Some(Rule {
            claim: rule.claim.clone(),
            value: rule.value.clone(),
            role: rule.role.parse().ok()?,
        })
    };
    rules.unwrap_or_default().iter().filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    use hansard_identity::Role;

    use super::*;

    #[test]
    fn rules_are_those_of_the_configuration_that_is_in_force() {
        let with = |rules: &str| {
            let web = format!("{{oidc: {{issuer_url: 'https://a.example', {rules}}}}}");
            Config::parse(&format!("serve: {{web: {web}}}")).0
        };
        let config = with("claims_to_roles: [{claim: g, value: x, role: auditor}]");
        let found = rules(&config, "oidc", "https://a.example");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].role, Role::Auditor);
        assert_eq!(rules(&config, "other", "https://a.example"), []);
        assert_eq!(rules(&config, "oidc", "https://b.example"), []);
        assert_eq!(rules(&with("name: oidc"), "oidc", "https://a.example"), []);
        assert_eq!(rules(&Config::default(), "oidc", "https://a.example"), []);
        let wrong = with("claims_to_roles: [{claim: g, value: x, role: root}]");
        assert_eq!(rules(&wrong, "oidc", "https://a.example"), []);
    }
}
