//! Whose address a request is from, where a proxy that is trusted hands it on: what `X-Forwarded-For` says, as
//! far as trusted ones wrote it. Anybody may send that header; what somebody else wrote in it is nothing.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

/// Proxies that are gone through, one behind the other; behind so many the address is that of the last.
const HOPS_MAX: usize = 16;

/// The address of the browser: that of the connection's other end, or where that is a trusted proxy, the
/// last one in the header that is none. What cannot be read is as good as not there.
#[must_use]
pub fn browser(headers: &HeaderMap, peer: IpAddr, trusted: &[IpAddr]) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|one| one.to_canonical() == address)
    };
    let name = HeaderName::from_static("x-forwarded-for");
    let values = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap_or_default());
    let values: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
    let mut address = peer;
    // Each proxy puts whom it was asked by behind what it got.
    for written in values.iter().rev().take(HOPS_MAX) {
        match read(written.trim()) {
            Some(before) if is_trusted(address) => address = before,
            _ => break,
        }
    }
    address
}

/// An address, which some write with its port.
fn read(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(peer: &str, headers: &[&str]) -> String {
        let mut map = HeaderMap::new();
        for value in headers {
            let value = HeaderValue::from_str(value).unwrap();
            map.append("x-forwarded-for", value);
        }
        let trusted = ["127.0.0.1", "10.0.0.7", "fd00::7"].map(|one| one.parse().unwrap());
        browser(&map, peer.parse().unwrap(), &trusted).to_string()
    }

    #[test]
    fn what_a_trusted_proxy_says_counts_and_nothing_that_others_say() {
        assert_eq!(of("127.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("::ffff:127.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("fd00::7", &["2001:db8::1"]), "2001:db8::1");
        // Nobody trusted.
        assert_eq!(of("192.0.2.9", &["192.0.2.1"]), "192.0.2.9");
        assert_eq!(of("127.0.0.2", &["192.0.2.1"]), "127.0.0.2");
        // The browser wrote the first; the proxy, whom it was asked by.
        assert_eq!(of("127.0.0.1", &["10.9.9.9, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["10.9.9.9", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["10.0.0.7, 192.0.2.1"]), "192.0.2.1");
        // Two that are trusted.
        assert_eq!(of("127.0.0.1", &["192.0.2.1, 10.0.0.7"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["10.0.0.7, 127.0.0.1"]), "10.0.0.7");
    }

    #[test]
    fn what_cannot_be_read_ends_it() {
        assert_eq!(of("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &[""]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.1, unknown"]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.1,"]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.1:443"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(of("127.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        let long = vec!["127.0.0.1"; 10_000].join(",");
        assert_eq!(
            of("127.0.0.1", &[&format!("192.0.2.1,{long}")]),
            "127.0.0.1"
        );
    }
}
