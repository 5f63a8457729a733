//! Where forwards may lead: rules of hosts and ports, and of sockets' paths. What no rule allows is refused.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Component, Path};

use crate::ssh::credentials::is_within;

/// Hosts and ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ssh) struct Places(Vec<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    host: Host,
    ports: (u16, u16),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    /// A name, in small letters.
    Name(String),
    /// What names end with that are below one: `.example.org`.
    Below(String),
    /// An address or a network, as `source-address` of certificates has them.
    Network(String),
}

impl Places {
    /// From rules `HOST:PORT`. The host is a name, `*.NAME` for all below it, an address, a network
    /// (`192.0.2.0/24`; of IPv6 in brackets) or `*`; the port a number, a range (`8000-8099`) or `*`.
    ///
    /// # Errors
    /// Which rule is none.
    pub(in crate::ssh) fn read(rules: &[String]) -> Result<Self, String> {
        let places = rules.iter().map(|rule| {
            Place::read(rule).ok_or_else(|| {
                format!("{rule:?} is no host and port, as db.example.org:5432 or 192.0.2.0/24:*")
            })
        });
        places.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Whether a connection to this may be allowed, once it is known what a name stands for.
    pub(in crate::ssh) fn may(&self, host: &str, port: u16) -> bool {
        self.names(host, port)
            || match host.parse::<IpAddr>() {
                Ok(address) => self.has(address, port),
                Err(_) => self
                    .of(port)
                    .any(|place| matches!(place.host, Host::Network(_))),
            }
    }

    /// Which of a host's addresses are allowed: all, if its name is.
    pub(super) fn keep(&self, host: &str, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let is_allowed =
            |at: &SocketAddr| self.names(host, at.port()) || self.has(at.ip(), at.port());
        found.into_iter().filter(is_allowed).collect()
    }

    /// Whether a rule has exactly this, by its name or as an address: for what is looked up elsewhere.
    pub(in crate::ssh) fn has_as_written(&self, host: &str, port: u16) -> bool {
        let address = host.parse::<IpAddr>();
        self.names(host, port) || address.is_ok_and(|address| self.has(address, port))
    }

    /// Connects to the first address of a host that is allowed and answers.
    pub(in crate::ssh) fn connect(&self, host: &str, port: u16) -> std::io::Result<TcpStream> {
        super::opening::tcp(host, port, self)
    }

    fn of(&self, port: u16) -> impl Iterator<Item = &Place> {
        let fits = move |place: &&Place| (place.ports.0..=place.ports.1).contains(&port);
        self.0.iter().filter(fits)
    }

    fn names(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.of(port).any(|place| match &place.host {
            Host::Any => true,
            Host::Name(name) => *name == host,
            Host::Below(end) => host.len() > end.len() && host.ends_with(end.as_str()),
            Host::Network(_) => false,
        })
    }

    fn has(&self, address: IpAddr, port: u16) -> bool {
        self.of(port)
            .any(|place| matches!(&place.host, Host::Network(list) if is_within(list, address)))
    }
}

impl Place {
    fn read(rule: &str) -> Option<Self> {
        let (host, port) = rule.trim().rsplit_once(':')?;
        let ports = match port.split_once('-') {
            _ if port == "*" => (0, u16::MAX),
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None => {
                let port = port.parse().ok()?;
                (port, port)
            }
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match (bare, host) {
            (None, "*") => Host::Any,
            (Some(v6), _) => Host::Network(network(v6)?),
            // An address of IPv6 without brackets: where it ends would be anybody's guess.
            (None, host) if host.contains(':') => return None,
            (None, host) if host.parse::<IpAddr>().is_ok() || host.contains('/') => {
                Host::Network(network(host)?)
            }
            (None, host) => match host.strip_prefix('*') {
                Some(end) if end.starts_with('.') => Host::Below(name(end)?),
                _ => Host::Name(name(host)?),
            },
        };
        (ports.0 <= ports.1).then_some(Self { host, ports })
    }
}

fn name(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_name = !text.is_empty() && text.len() <= 253 && text.chars().all(fits);
    is_name.then(|| text.to_ascii_lowercase())
}

fn network(text: &str) -> Option<String> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "0"));
    let most = match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    (bits.parse::<u32>().ok()? <= most).then(|| text.to_owned())
}

/// Paths of sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Paths(Vec<String>);

impl Paths {
    /// From whole paths, or their beginnings with a `*` behind.
    ///
    /// # Errors
    /// Which rule is none.
    pub(super) fn read(rules: &[String]) -> Result<Self, String> {
        match rules.iter().find(|rule| !rule.starts_with('/')) {
            Some(rule) => Err(format!("{rule:?} is no whole path of a socket")),
            None => Ok(Self(rules.to_vec())),
        }
    }

    /// Whether this one is among them. A path with `..` in it is not what it begins like.
    pub(super) fn has(&self, path: &str) -> bool {
        let is_plain = !path.contains('\0')
            && !Path::new(path)
                .components()
                .any(|part| part == Component::ParentDir);
        is_plain
            && self.0.iter().any(|rule| match rule.strip_suffix('*') {
                Some(beginning) => path.starts_with(beginning),
                None => path == rule,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(rules: &[&str]) -> Places {
        let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
        Places::read(&rules).unwrap()
    }

    #[test]
    fn names_are_allowed_by_name_and_addresses_by_network() {
        let all = places(&[
            "db.example.org:5432",
            "*.web.example.org:80-89",
            "192.0.2.0/24:*",
        ]);
        assert!(all.may("DB.example.org.", 5432));
        assert!(!all.may("198.51.100.7", 5432));
        assert!(all.may("a.web.example.org", 81));
        assert!(!all.names("web.example.org", 81));
        assert!(all.may("192.0.2.9", 22));
        assert!(!all.may("198.51.100.9", 22));
        let found: Vec<SocketAddr> = ["192.0.2.9:22", "198.51.100.9:22", "[2001:db8::1]:22"]
            .map(|at| at.parse().unwrap())
            .into();
        // A name that no rule has may lead into a network that one has, and nowhere else.
        assert!(all.may("other.example.org", 22));
        assert_eq!(all.keep("other.example.org", found.clone()), found[..1]);
        assert_eq!(places(&["*:22"]).keep("x", found.clone()), found);
        // What a name stands for elsewhere is not known here.
        assert!(all.has_as_written("192.0.2.9", 22) && all.has_as_written("db.example.org", 5432));
        assert!(!all.has_as_written("other.example.org", 22));
        let six = places(&["[2001:db8::/32]:22"]);
        assert_eq!(six.keep("x", found.clone()), found[2..]);
        assert!(!Places::default().may("localhost", 1));
    }

    #[test]
    fn what_is_no_rule_is_refused_and_not_ignored() {
        for rule in [
            "",
            "db",
            "db:",
            "db:x",
            ":22",
            "db:9-8",
            "db:70000",
            "2001:db8::1:22",
            "[db]:1",
            "192.0.2.0/33:1",
            "192.0.2.0/x:1",
            "a b:1",
            "*x:1",
        ] {
            assert!(Places::read(&[rule.to_owned()]).is_err(), "{rule}");
        }
        assert!(Paths::read(&["run/x".to_owned()]).is_err());
    }

    #[test]
    fn a_path_is_what_it_says() {
        let paths = Paths::read(&["/run/app.sock".to_owned(), "/srv/x/*".to_owned()]).unwrap();
        assert!(paths.has("/run/app.sock") && paths.has("/srv/x/y/z"));
        for path in [
            "/run/app.sock2",
            "/srv/x/../../run/docker.sock",
            "/srv/x",
            "/srv/x/\0",
        ] {
            assert!(!paths.has(path), "{path}");
        }
    }
}
