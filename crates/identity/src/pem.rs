//! PEM (RFC 7468): one block of base64 between two lines.

/// Bytes of the one block in this text, if it has this label. What stands around the block is
/// ignored, as everywhere; a second block is not.
#[must_use]
pub fn decode(text: &[u8], label: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let (before, rest) = text.split_once(&begin)?;
    let (body, after) = rest.split_once(&end)?;
    if [before, body, after]
        .iter()
        .any(|t| t.contains("-----BEGIN "))
    {
        return None;
    }
    base64(body.trim_start_matches('\r').strip_prefix('\n')?)
}

/// Bytes of a text of base64 in lines, padded, in its one spelling.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text
        .bytes()
        .filter(|c| !matches!(c, b'\r' | b'\n'))
        .collect();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (fours, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    for (n, four) in fours.iter().enumerate() {
        let padding = four.iter().rev().take_while(|c| **c == b'=').count();
        if padding > 2 || (padding > 0 && n + 1 != fours.len()) {
            return None;
        }
        let mut bits = 0u32;
        for c in four.iter().take(4 - padding) {
            bits = (bits << 6) | u32::from(digit(*c)?);
        }
        bits <<= 6 * padding;
        let [_, three @ ..] = bits.to_be_bytes();
        let (kept, dropped) = three.split_at_checked(3 - padding)?;
        if dropped.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

/// The same way back, padded and in one line.
#[cfg(feature = "authority")]
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let mut bits = [0; 4];
        for (to, from) in bits.iter_mut().skip(1).zip(three) {
            *to = *from;
        }
        let bits = u32::from_be_bytes(bits);
        for place in 0..4 {
            let at = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap_or(0);
            let digit = DIGITS.get(at).copied().unwrap_or(b'=');
            let is_padding = place > three.len();
            text.push(char::from(if is_padding { b'=' } else { digit }));
        }
    }
    text
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "authority")]
    #[test]
    fn base64_there_and_back() {
        for len in 0..70_u8 {
            let bytes: Vec<u8> = (0..len).map(|n| n.wrapping_mul(37)).collect();
            assert_eq!(base64(&encode_base64(&bytes)).unwrap(), bytes);
        }
        assert_eq!(encode_base64(b"foob"), "Zm9vYg==");
    }

    #[test]
    fn base64_of_the_standard() {
        // RFC 4648 §10.
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9v\r\nYmE=\n", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(base64(text).unwrap(), bytes.as_bytes());
        }
        for bad in [
            "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v ", "Zm-_",
        ] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn one_block_and_the_right_one() {
        let block = "-----BEGIN X-----\nZm9v\n-----END X-----\n";
        assert_eq!(decode(block.as_bytes(), "X").unwrap(), b"foo");
        let around = format!("about it\r\n{}after", block.replace('\n', "\r\n"));
        assert_eq!(decode(around.as_bytes(), "X").unwrap(), b"foo");
        let other = "-----BEGIN Y-----\n-----END Y-----\n";
        for bad in [
            format!("{block}{block}"),
            format!("{block}{other}"),
            format!("{other}{block}"),
            block.replace("END X", "END Y"),
            block.replace("-----\nZ", "-----Z"),
            block.replace('X', "Y"),
        ] {
            assert_eq!(decode(bad.as_bytes(), "X"), None, "{bad}");
        }
    }
}
