//! Which addresses a service connects to on behalf of its configuration or of what others wrote: none
//! of its own machine or network, unless the configuration names them. Asked of what a name resolved
//! to, and of nothing else: what a name says is anybody's choice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether this is an address of the open network.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// Whether a service may connect there: to the open network, and to what is named. An address within
/// another (`::ffff:127.0.0.1`) is what it stands for, also where it is named.
#[must_use]
pub fn may_connect(address: IpAddr, named: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    is_public(address) || named.iter().any(|one| one.to_canonical() == address)
}

/// RFC 6890, and the registry that it began.
fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let is_special = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_broadcast()
        || v4.is_documentation()
        || v4.is_multicast()
        // This network, shared between providers and customers, protocols, benchmarks, reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !is_special
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let inner = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        Ipv4Addr::new(w, x, y, z)
    };
    // Addresses that stand for one of the other kind: mapped, translated (RFC 6052), 6to4.
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => return is_public_v4(inner(g, h)),
        (0x2002, high, low, ..) => return is_public_v4(inner(high, low)),
        _ => {}
    }
    // Only global unicast is given out (RFC 4291 §2.4), and of that not everything: protocols and
    // Teredo, documentation.
    let is_given_out = a & 0xe000 == 0x2000;
    let is_special = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || a == 0x3fff;
    is_given_out && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_own_machine_or_network_is_public() {
        for inside in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!may_connect(inside.parse().unwrap(), &[]), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.254",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(may_connect(outside.parse().unwrap(), &[]), "{outside}");
        }
    }

    #[test]
    fn what_is_named_is_that_address_and_no_other() {
        let named = ["127.0.0.1".parse().unwrap(), "fd00::7".parse().unwrap()];
        for good in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::7"] {
            assert!(may_connect(good.parse().unwrap(), &named), "{good}");
        }
        for bad in ["127.0.0.2", "::1", "fd00::8", "64:ff9b::7f00:1"] {
            assert!(!may_connect(bad.parse().unwrap(), &named), "{bad}");
        }
    }
}
