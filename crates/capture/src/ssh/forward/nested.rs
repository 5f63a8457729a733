//! What is spoken inside a forward, as far as its first bytes say: a session inside a session, of which
//! no terminal and no statement would be on record.
//!
//! This is no wall: whoever wraps it in something else is not recognised. It keeps apart what an
//! administrator meant to allow from what they did not think of.

/// Bytes of each direction that are looked at.
const LOOKED_AT: usize = 16;

/// Protocols that are refused inside a forward unless they are allowed by name. TLS is told, and never
/// refused: most of what is worth forwarding is in it.
pub(super) const REFUSED: [&str; 4] = ["ssh", "rdp", "postgres", "mysql"];

/// The beginnings of a forward.
#[derive(Debug, Default)]
pub(super) struct Beginnings {
    from_client: Vec<u8>,
    from_target: Vec<u8>,
}

impl Beginnings {
    /// The protocol, once it is clear; told once.
    pub(super) fn came(&mut self, is_from_client: bool, bytes: &[u8]) -> Option<&'static str> {
        let of = match is_from_client {
            true => &mut self.from_client,
            false => &mut self.from_target,
        };
        let room = LOOKED_AT.saturating_sub(of.len());
        let new = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if new.is_empty() {
            return None;
        }
        let before = recognised(is_from_client, of);
        of.extend_from_slice(new);
        recognised(is_from_client, of).filter(|_| before.is_none())
    }
}

fn recognised(is_from_client: bool, bytes: &[u8]) -> Option<&'static str> {
    match (is_from_client, bytes) {
        // RFC 4253 §4.2
        (_, [b'S', b'S', b'H', b'-', ..]) => Some("ssh"),
        // RFC 8446 §5.1: a record of the handshake
        (_, [0x16, 0x03, 0..=4, _, _, 1 | 2, ..]) => Some("tls"),
        // RFC 2126 §8 with X.224's connection request
        (true, [3, 0, _, _, _, 0xe0, ..]) => Some("rdp"),
        // The start-up message's version 3.0, and the requests for TLS, GSS and to cancel
        (true, [0, 0, _, _, 0, 3, 0, 0, ..]) => Some("postgres"),
        (true, [0, 0, 0, _, 0x04, 0xd2, 0x16, 0x2e..=0x30, ..]) => Some("postgres"),
        // The greeting: number 0, version 10, and a version in words
        (false, [_, _, 0, 0, 10, b'0'..=b'9', ..]) => Some("mysql"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoken_is_recognised_by_its_first_bytes_however_they_come() {
        for (is_from_client, bytes, name) in [
            (true, b"SSH-2.0-x\r\n".as_slice(), "ssh"),
            (false, b"SSH-2.0-x\r\n", "ssh"),
            (true, &[3, 0, 0, 43, 38, 0xe0, 0, 0], "rdp"),
            (true, &[0, 0, 0, 8, 4, 210, 22, 47], "postgres"),
            (true, &[0, 0, 0, 84, 0, 3, 0, 0, b'u'], "postgres"),
            (false, &[74, 0, 0, 0, 10, b'8', b'.'], "mysql"),
            (true, &[0x16, 3, 1, 2, 0, 1, 0], "tls"),
        ] {
            let mut whole = Beginnings::default();
            assert_eq!(whole.came(is_from_client, bytes), Some(name));
            assert_eq!(whole.came(is_from_client, bytes), None, "{name}: told once");
            let mut single = Beginnings::default();
            let told: Vec<_> = bytes
                .chunks(1)
                .filter_map(|one| single.came(is_from_client, one))
                .collect();
            assert_eq!(told, [name]);
        }
    }

    #[test]
    fn what_is_nothing_of_that_is_let_through() {
        for bytes in [
            b"GET / HTTP/1.1\r\n".as_slice(),
            b"",
            b"SS",
            &[0; 16],
            &[0xff; 64],
        ] {
            assert_eq!(Beginnings::default().came(true, bytes), None);
            assert_eq!(Beginnings::default().came(false, bytes), None);
        }
    }
}
