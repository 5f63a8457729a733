//! The user name that says where somebody wants to go: `LOGIN+HOST` or `LOGIN+HOST+PORT`.
//!
//! A plus sign means nothing to OpenSSH, PuTTY, dropbear, paramiko, `scp`, `rsync` or a shell, and is in no
//! login and in no host's name. (A colon ends scp's host, a percent sign is expanded by `ssh_config`, a
//! slash is no part of a control socket's name, a comma parts the hosts of `-J`.)

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// What parts login, host and port.
const SEPARATOR: char = '+';

/// SSH's own port.
const PORT: u16 = 22;

/// Longest name of a host, bytes (RFC 1035 §2.3.4); a longer one is refused.
const HOST_BYTES_MAX: usize = 253;

/// A host and a port of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ssh) struct Destination {
    /// A name in small letters, or an address.
    pub(in crate::ssh) host: String,
    pub(in crate::ssh) port: u16,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<Ipv6Addr>() {
            Ok(_) => write!(f, "[{}]:{}", self.host, self.port),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Destination {
    /// As somebody asks for it.
    ///
    /// # Errors
    /// What is no name of a host.
    pub(in crate::ssh) fn of(host: &str, port: u16) -> Result<Self, String> {
        let wrong = || "that is no name or address of a host".to_owned();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host).trim_end_matches('.');
        if let Ok(address) = host.parse::<IpAddr>() {
            let host = address.to_canonical().to_string();
            return Ok(Self { host, port });
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_name = !host.is_empty()
            && host.len() <= HOST_BYTES_MAX
            && !host.starts_with('-')
            && host.chars().all(fits);
        match is_name && port != 0 {
            true => Ok(Self {
                host: host.to_ascii_lowercase(),
                port,
            }),
            false => Err(wrong()),
        }
    }

    /// As a line of `known_hosts` begins.
    pub(in crate::ssh) fn known_as(&self) -> String {
        match self.port {
            PORT => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        }
    }
}

/// The login of a user name, and where it leads, if it says so.
///
/// # Errors
/// What is wrong with it.
pub(in crate::ssh) fn parted(user: &str) -> Result<(&str, Option<Destination>), String> {
    let Some((login, rest)) = user.split_once(SEPARATOR) else {
        return Ok((user, None));
    };
    let (host, port) = match rest.split_once(SEPARATOR) {
        None => (rest, PORT),
        Some((host, port)) => {
            let read = port.parse().ok().filter(|port| *port != 0);
            (host, read.ok_or("that is no port")?)
        }
    };
    if login.is_empty() {
        return Err("a user name is LOGIN+HOST or LOGIN+HOST+PORT".to_owned());
    }
    Ok((login, Some(Destination::of(host, port)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_says_where_to() {
        let to = |user: &str| {
            let (login, to) = parted(user).unwrap();
            (login.to_owned(), to.map(|to| to.to_string()))
        };
        let some = |login: &str, to: &str| (login.to_owned(), Some(to.to_owned()));
        assert_eq!(to("anna"), ("anna".to_owned(), None));
        assert_eq!(to("anna+web1"), some("anna", "web1:22"));
        assert_eq!(
            to("anna+WEB1.example.org.+2222"),
            some("anna", "web1.example.org:2222")
        );
        assert_eq!(to("anna+2001:db8::1"), some("anna", "[2001:db8::1]:22"));
        assert_eq!(to("anna+::ffff:192.0.2.1+22"), some("anna", "192.0.2.1:22"));
        assert_eq!(
            parted("a+b+2222").unwrap().1.unwrap().known_as(),
            "[b]:2222"
        );
        for wrong in [
            "+web1",
            "anna+",
            "anna+web1+",
            "anna+web1+0",
            "anna+web1+70000",
            "anna+web1+22+x",
            "anna+a b",
            "anna+-oProxyCommand",
            "anna+a/b",
            "anna+a@b",
            "anna+é",
        ] {
            assert!(parted(wrong).is_err(), "{wrong}");
        }
    }
}
