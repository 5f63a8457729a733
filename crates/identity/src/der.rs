//! DER (X.690 §10), as much as our certificates need: elements of one-byte tags and shortest
//! lengths. There is one spelling of each value, and anything else is refused; nothing is copied and
//! nothing is allocated.

/// Tags that our certificates have.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    /// A certificate's version.
    pub(crate) const VERSION: u8 = 0xa0;
    /// A certificate's extensions.
    pub(crate) const EXTENSIONS: u8 = 0xa3;
    /// Names: of the domain name system, URIs, addresses.
    pub(crate) const DNS: u8 = 0x82;
    pub(crate) const URI: u8 = 0x86;
    pub(crate) const ADDRESS: u8 = 0x87;
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// Tag and length included.
    pub(crate) whole: &'a [u8],
}

/// Values one after another, read from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value; none when there is none, or it is not DER.
    pub(crate) fn next(&mut self) -> Option<Element<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        // A tag of several bytes; no value of ours has one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (&[low], rest) = rest.split_first_chunk()?;
                (usize::from(low).checked_sub(0x80)? + 0x80, rest)
            }
            0x82 => {
                let (bytes, rest) = rest.split_first_chunk()?;
                let length = u16::from_be_bytes(*bytes);
                (usize::from(length).checked_sub(0x100)? + 0x100, rest)
            }
            // Without a length, or longer than any certificate that is read.
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some(Element {
            tag,
            content,
            whole,
        })
    }

    /// The next value, if it has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }
}

impl<'a> Element<'a> {
    /// The values inside.
    pub(crate) fn inside(&self) -> Elements<'a> {
        Elements::of(self.content)
    }

    /// The one value that stands alone in these bytes.
    pub(crate) fn only(bytes: &'a [u8], tag: u8) -> Option<Self> {
        let mut elements = Elements::of(bytes);
        let element = elements.expect(tag)?;
        elements.is_empty().then_some(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_each_length() {
        for length in [0usize, 1, 127, 128, 129, 255, 256, 257, 8000] {
            let mut encoded = vec![tag::OCTET_STRING];
            match length {
                0..=127 => encoded.push(length as u8),
                128..=255 => encoded.extend([0x81, length as u8]),
                _ => encoded.extend([0x82, (length >> 8) as u8, length as u8]),
            }
            encoded.extend(vec![7; length]);
            let element = Element::only(&encoded, tag::OCTET_STRING).unwrap();
            assert_eq!(
                (element.content.len(), element.whole),
                (length, &encoded[..])
            );
            assert_eq!(Element::only(&encoded, tag::BIT_STRING), None);
            for cut in 0..encoded.len() {
                assert_eq!(Element::only(&encoded[..cut], tag::OCTET_STRING), None);
            }
            encoded.push(0);
            assert_eq!(Element::only(&encoded, tag::OCTET_STRING), None);
        }
        for long in [
            &[0x04, 0x81, 0x01, 7][..],
            &[0x04, 0x82, 0x00, 0x01, 7],
            &[0x04, 0x83, 0x00, 0x00, 0x01, 7],
            &[0x04, 0x80, 7, 0, 0],
            &[0x04, 0xff],
            &[0x1f, 0x01, 0x01, 7],
        ] {
            assert_eq!(Elements::of(long).next(), None, "{long:?}");
        }
    }
}
