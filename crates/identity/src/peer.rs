//! Who a certificate is about.

use std::fmt;

use crate::host_id::HostId;
use crate::name::check_cluster;

/// The scheme of the names in our certificates.
const SCHEME: &str = "hansard://";

/// What a certificate's one URI names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// The cluster's authority itself.
    Authority,
    /// A host that records.
    Host(HostId),
    /// A service that keeps what hosts recorded.
    Service(HostId),
}

impl Principal {
    /// The name of this principal of a cluster, as certificates have it: `hansard://CLUSTER/host/ID`,
    /// `hansard://CLUSTER/service/ID` or `hansard://CLUSTER/authority`.
    #[must_use]
    pub fn uri(&self, cluster: &str) -> String {
        match self {
            Self::Authority => format!("{SCHEME}{cluster}/authority"),
            Self::Host(id) => format!("{SCHEME}{cluster}/host/{id}"),
            Self::Service(id) => format!("{SCHEME}{cluster}/service/{id}"),
        }
    }

    /// Cluster and principal of such a name. Anything that is not exactly of that form is none:
    /// no other spelling, query, port or trailing slash.
    #[must_use]
    pub fn parse(uri: &str) -> Option<(&str, Self)> {
        let (cluster, path) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        check_cluster(cluster).ok()?;
        let principal = match path.split_once('/') {
            None if path == "authority" => Self::Authority,
            Some(("host", id)) => Self::Host(id.parse().ok()?),
            Some(("service", id)) => Self::Service(id.parse().ok()?),
            _ => return None,
        };
        Some((cluster, principal))
    }

    /// The identifier of a host or service.
    #[must_use]
    pub fn id(&self) -> Option<HostId> {
        match self {
            Self::Authority => None,
            Self::Host(id) | Self::Service(id) => Some(*id),
        }
    }
}

impl fmt::Display for Principal {
    /// Such as `host 01890a5d-ac96-774b-bcce-b302099a8057`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority => f.write_str("authority"),
            Self::Host(id) => write!(f, "host {id}"),
            Self::Service(id) => write!(f, "service {id}"),
        }
    }
}

/// The other end of a connection, or a recording's signer, as its certificate says. Only ever made
/// of a certificate whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The cluster whose authority certified it.
    pub cluster: String,
    /// Who it is.
    pub principal: Principal,
    /// Its name, for people; names are not unique.
    pub name: String,
    /// The certificate's serial number, lower-case hexadecimal.
    pub serial: String,
    /// The certificate's end, UTC nanoseconds since 1970. A connection MUST NOT outlive it.
    pub not_after_ns: u64,
}

impl fmt::Display for Peer {
    /// Such as `host web-1 (01890a5d-…) of cluster prod`. Names hold harmless letters only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.principal {
            Principal::Authority => write!(f, "authority {}", self.name)?,
            Principal::Host(id) => write!(f, "host {} ({id})", self.name)?,
            Principal::Service(id) => write!(f, "service {} ({id})", self.name)?,
        }
        write!(f, " of cluster {}", self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_back() {
        let id = HostId::new_v7(0x0189_0a5d_ac96, [3; 10]);
        for principal in [
            Principal::Authority,
            Principal::Host(id),
            Principal::Service(id),
        ] {
            let uri = principal.uri("prod.example");
            assert_eq!(Principal::parse(&uri), Some(("prod.example", principal)));
            for spoilt in [
                format!("{uri}/"),
                format!("{uri}?a"),
                format!("{uri}#a"),
                format!("{uri}\n"),
                format!(" {uri}"),
                uri.to_uppercase(),
                uri.replace("prod", "user@prod"),
                uri.replace(".example", ":1"),
                uri.replace("hansard:", "https:"),
                uri.replace("prod.example/", "prod.example//"),
            ] {
                assert_eq!(Principal::parse(&spoilt), None, "{spoilt}");
            }
        }
    }
}
