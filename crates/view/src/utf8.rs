//! Bytes to text, for streams: a character cut in two by a read is completed by the next one.

/// An incremental UTF-8 decoder. What is not UTF-8 becomes U+FFFD, one for each maximal part
/// (Unicode §3.9, as terminals do it).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Utf8 {
    held: [u8; 3],
    len: usize,
}

const REPLACEMENT: &str = "\u{fffd}";

impl Utf8 {
    /// A decoder that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder that holds these bytes of an unfinished character; more than three of them are
    /// decoded at once and what they say is dropped.
    #[must_use]
    pub fn holding(bytes: &[u8]) -> Self {
        let mut decoder = Self::new();
        decoder.feed(bytes, |_| ());
        decoder
    }

    /// Bytes of an unfinished character, at most three.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        self.held.get(..self.len).unwrap_or(&[])
    }

    /// Decodes these bytes and hands on the text, in one piece or several.
    pub fn feed(&mut self, bytes: &[u8], mut emit: impl FnMut(&str)) {
        let mut rest = bytes;
        while self.len > 0 {
            let Some((&byte, tail)) = rest.split_first() else {
                return;
            };
            if self.complete(byte, &mut emit) {
                rest = tail;
            }
        }
        if let Ok(text) = std::str::from_utf8(rest) {
            if !text.is_empty() {
                emit(text);
            }
            return;
        }
        // Handed on at once: what takes text has more to do for each piece than for each character.
        let mut text = String::with_capacity(rest.len());
        let mut chunks = rest.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let bad = chunk.invalid();
            // Only the very end of the input can be unfinished rather than wrong.
            let is_last = chunks.peek().is_none();
            if is_last && std::str::from_utf8(bad).is_err_and(|e| e.error_len().is_none()) {
                self.hold(bad);
            } else if !bad.is_empty() {
                text.push_str(REPLACEMENT);
            }
        }
        if !text.is_empty() {
            emit(&text);
        }
    }

    /// The stream ended: an unfinished character becomes U+FFFD.
    pub fn finish(&mut self, mut emit: impl FnMut(&str)) {
        if self.len > 0 {
            self.len = 0;
            emit(REPLACEMENT);
        }
    }

    /// Adds one byte to the held ones. Answers whether it was used up.
    fn complete(&mut self, byte: u8, emit: &mut impl FnMut(&str)) -> bool {
        let mut whole = [0u8; 4];
        for (slot, byte) in whole.iter_mut().zip(self.held().iter().chain([&byte])) {
            *slot = *byte;
        }
        let whole = whole.get(..=self.len).unwrap_or(&[]);
        match std::str::from_utf8(whole) {
            Ok(text) => {
                self.len = 0;
                emit(text);
                true
            }
            Err(e) if e.error_len().is_none() => {
                self.hold(whole);
                true
            }
            // The new byte does not continue the character: it begins something of its own.
            Err(_) => {
                self.len = 0;
                emit(REPLACEMENT);
                false
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.len = bytes.len().min(3);
        for (slot, byte) in self.held.iter_mut().zip(bytes) {
            *slot = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(bytes: &[u8], at: &[usize]) -> String {
        let mut decoder = Utf8::new();
        let mut text = String::new();
        let mut from = 0;
        for &cut in at {
            let cut = cut.clamp(from, bytes.len());
            decoder.feed(&bytes[from..cut], |t| text.push_str(t));
            from = cut;
        }
        decoder.feed(&bytes[from..], |t| text.push_str(t));
        decoder.finish(|t| text.push_str(t));
        text
    }

    #[test]
    fn every_cut_of_awkward_bytes_reads_like_the_whole() {
        for bytes in [
            "aé界🎉z".as_bytes(),
            b"\xf0\x9f\x8e\xe7\x95x\xc3",
            b"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82",
            b"\x9b31m\xc2\x9b31m",
        ] {
            let whole = String::from_utf8_lossy(bytes).into_owned();
            for a in 0..=bytes.len() {
                for b in a..=bytes.len() {
                    assert_eq!(split(bytes, &[a, b]), whole, "{bytes:?} at {a} and {b}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn like_from_utf8_lossy(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(0xe7), Just(0x95), Just(0xf0), Just(0x9f)], 0..64),
            mut cuts in proptest::collection::vec(0usize..64, 0..8),
        ) {
            cuts.sort_unstable();
            prop_assert_eq!(split(&bytes, &cuts), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_holding_decoder_goes_on_where_it_was(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(0xe7), Just(0x95), Just(0xf0), Just(0x9f)], 0..32),
            cut in 0usize..32,
        ) {
            let cut = cut.min(bytes.len());
            let mut first = Utf8::new();
            let mut text = String::new();
            first.feed(&bytes[..cut], |t| text.push_str(t));
            let mut second = Utf8::holding(first.held());
            second.feed(&bytes[cut..], |t| text.push_str(t));
            second.finish(|t| text.push_str(t));
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
