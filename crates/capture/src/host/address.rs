//! Addresses of sockets, as a program gives them to the kernel (`sockaddr`) and as the kernel has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Where something is sent or connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Ip(IpAddr, u16),
    /// A path; of an abstract name with `@` for the zero that it begins with.
    Unix(Vec<u8>),
    /// Another family, by number.
    Other(u16),
}

impl Address {
    /// Reads a `sockaddr`; `None` where it is shorter than its family says.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first_chunk()?;
        let port = || Some(u16::from_be_bytes(*rest.first_chunk()?));
        match u16::from_ne_bytes(*family) {
            AF_INET => {
                let address: [u8; 4] = *rest.get(2..)?.first_chunk()?;
                Some(Self::Ip(Ipv4Addr::from(address).into(), port()?))
            }
            AF_INET6 => {
                let address: [u8; 16] = *rest.get(6..)?.first_chunk()?;
                Some(Self::Ip(Ipv6Addr::from(address).into(), port()?))
            }
            AF_UNIX => Some(Self::Unix(match rest.strip_prefix(b"\0") {
                Some(name) => [b"@", name].concat(),
                None => rest.split(|b| *b == 0).next().unwrap_or_default().to_vec(),
            })),
            other => Some(Self::Other(other)),
        }
    }
}

/// Both ends of a socket of the internet, as the kernel has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
}

impl Ends {
    /// From both addresses, local first, and the ports: local in the lower half in the machine's
    /// order, remote above it in the network's.
    pub(super) fn parse(addresses: &[u8], ports: u64) -> Option<Self> {
        let (local, remote): (IpAddr, IpAddr) = match addresses.len() {
            8 => {
                let (local, remote) = addresses.split_first_chunk::<4>()?;
                let remote: [u8; 4] = *remote.first_chunk()?;
                (Ipv4Addr::from(*local).into(), Ipv4Addr::from(remote).into())
            }
            32 => {
                let (local, remote) = addresses.split_first_chunk::<16>()?;
                let remote: [u8; 16] = *remote.first_chunk()?;
                (plain(Ipv6Addr::from(*local)), plain(Ipv6Addr::from(remote)))
            }
            _ => return None,
        };
        let local_port = u16::try_from(ports & 0xffff).ok()?;
        let remote_port = u16::try_from(ports >> 16 & 0xffff).ok()?;
        Some(Self {
            local: (local, local_port),
            remote: (remote, u16::from_be(remote_port)),
        })
    }
}

/// IPv4 in IPv6's clothes is IPv4.
fn plain(address: Ipv6Addr) -> IpAddr {
    match address.to_ipv4_mapped() {
        Some(address) => address.into(),
        None => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        let family = |number: u16| number.to_ne_bytes().to_vec();
        let v4 = [family(2), vec![0x1f, 0x90, 127, 0, 0, 1, 0, 0]].concat();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            Address::parse(&v4),
            Some(Address::Ip(ip("127.0.0.1"), 8080))
        );
        assert_eq!(Address::parse(&v4[..6]), None);
        let mut v6 = [family(10), vec![0, 53, 0, 0, 0, 0], vec![0; 16]].concat();
        v6[23] = 1;
        assert_eq!(Address::parse(&v6), Some(Address::Ip(ip("::1"), 53)));
        let unix = [family(1), b"/run/x\0junk".to_vec()].concat();
        assert_eq!(
            Address::parse(&unix),
            Some(Address::Unix(b"/run/x".to_vec()))
        );
        let hidden = [family(1), b"\0abs".to_vec()].concat();
        assert_eq!(
            Address::parse(&hidden),
            Some(Address::Unix(b"@abs".to_vec()))
        );
        assert_eq!(Address::parse(&family(16)), Some(Address::Other(16)));
        assert_eq!(Address::parse(&[]), None);
    }

    #[test]
    fn both_ends() {
        let ports = 40000 | u64::from(8080u16.to_be()) << 16;
        let ends = Ends::parse(&[127, 0, 0, 1, 10, 0, 0, 2], ports).unwrap();
        assert_eq!(ends.local, ("127.0.0.1".parse().unwrap(), 40000));
        assert_eq!(ends.remote, ("10.0.0.2".parse().unwrap(), 8080));
        let mapped = Ipv6Addr::from_bits(0xffff_7f00_0001).octets();
        let ends = Ends::parse(&[mapped, mapped].concat(), ports).unwrap();
        assert_eq!(ends.local.0, "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(Ends::parse(&[1, 2], 0), None);
    }
}
