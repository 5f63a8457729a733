//! What names may be. They end in certificates, file listings, log lines and on terminals, so only
//! letters that mean nothing anywhere are allowed.

use std::fmt;
use std::net::IpAddr;

use crate::limits::{CLUSTER_BYTES_MAX, NAME_BYTES_MAX, SERVER_NAME_BYTES_MAX};

/// A name that is not allowed, and which are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName(pub(crate) String);

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadName {}

/// Checks a host's or service's name: letters, digits, `.`, `_`, `-`, beginning with a letter or
/// digit, at most [`NAME_BYTES_MAX`] bytes.
///
/// # Errors
/// When it is anything else.
pub fn check_name(name: &str) -> Result<(), BadName> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    check(
        "a name",
        name,
        NAME_BYTES_MAX,
        allowed,
        "letters, digits, '.', '_' and '-'",
    )
}

/// Checks a cluster's name: lower-case letters, digits, `.` and `-`, beginning with a letter or
/// digit, at most [`CLUSTER_BYTES_MAX`] bytes. It is the authority part of a URI.
///
/// # Errors
/// When it is anything else.
pub fn check_cluster(name: &str) -> Result<(), BadName> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-');
    check(
        "a cluster's name",
        name,
        CLUSTER_BYTES_MAX,
        allowed,
        "lower-case letters, digits, '.' and '-'",
    )
}

/// Checks a name that a service is reached under: an IP address or a DNS name, without wildcard,
/// in lower case.
///
/// # Errors
/// When it is anything else.
pub fn check_server_name(name: &str) -> Result<(), BadName> {
    if name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-');
    check(
        "a server's name",
        name,
        SERVER_NAME_BYTES_MAX,
        allowed,
        "an IP address, or lower-case letters, digits, '.' and '-' without wildcard",
    )?;
    let label =
        |l: &str| !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && !l.ends_with('-');
    if name.split('.').all(label) {
        Ok(())
    } else {
        Err(BadName(
            "a server's name must be an IP address or a DNS name".into(),
        ))
    }
}

/// Says nothing of the name itself: it may be long, and hostile.
fn check(
    what: &str,
    name: &str,
    bytes_max: usize,
    allowed: impl Fn(u8) -> bool,
    rule: &str,
) -> Result<(), BadName> {
    let begins = name
        .bytes()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && name.len() <= bytes_max && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(BadName(format!(
        "{what} must be 1 to {bytes_max} of {rule}, beginning with a letter or digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names() {
        for good in ["web-1", "web_1.example.org", "9", &"a".repeat(64)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "-rf",
            ".hidden",
            "..",
            "a/b",
            "a b",
            "x\nhansard://c/host/1",
            "\u{1b}[2J",
            "ä",
            "*.example.org",
            &"a".repeat(65),
            &"a".repeat(64 * 1024),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for bad in [
            "", "Prod", "a/b", "a_b", "*", "a:b", "a@b", "a?b", "a#b", "a%41",
        ] {
            assert!(check_cluster(bad).is_err(), "{bad}");
        }
        for good in ["hansard.example.org", "localhost", "10.0.0.1", "::1"] {
            assert_eq!(check_server_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "*.example.org",
            "a..b",
            "-a",
            "a-.b",
            "A.b",
            "a b",
            "[::1]",
            "a:3025",
        ] {
            assert!(check_server_name(bad).is_err(), "{bad}");
        }
    }
}
