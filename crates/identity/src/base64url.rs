//! Base 64 with the alphabet for addresses and file names, without padding (RFC 4648 §5), as WebAuthn
//! and JSON web tokens have it.

use crate::pem;

/// The bytes as text.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let padded = pem::encode_base64(bytes);
    let text = padded.trim_end_matches('=');
    text.replace('+', "-").replace('/', "_")
}

/// The bytes of a text; `None` unless it is the one text of some bytes.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let is_ours = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    if !text.bytes().all(is_ours) {
        return None;
    }
    let padding = (4 - text.len() % 4) % 4;
    let padded = text.replace('-', "+").replace('_', "/") + &"=".repeat(padding);
    pem::base64(&padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes_are_one_to_one() {
        // RFC 4648 §10, without padding.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
        for bad in ["Z", "Zg==", "Zh", "Zm9", "+_8", "Zm 9v", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
