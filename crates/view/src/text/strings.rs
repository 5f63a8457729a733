//! What is to find in data that is no text: an archive that `tar` wrote to a pipe, an image, a
//! program. On a screen it would be noise, and a search would find noise in it. What strings(1)
//! prints of such data is told, run by run, and nothing else.

use super::{Text, What, pieces};

/// Fewest characters of a run that is told. Of random bytes one in 300 begins a longer one.
const RUN_CHARS_MIN: usize = 6;

/// A run that is longer than this is told in parts as it comes.
const RUN_BYTES_MAX: usize = 64 * 1024;

/// Fewest bytes that are told from text: a few of them may be anything.
const BYTES_MIN: usize = 256;

/// In text less than one byte in so many is a control character that no terminal has a use for.
const ODD_ONE_IN: usize = 32;

/// Whether these bytes of a pipe are something else than text. Zeros that follow one another count
/// once: an archive of texts fills up its blocks with them.
fn is_binary(bytes: &[u8]) -> bool {
    if bytes.len() < BYTES_MIN {
        return false;
    }
    let (mut odd, mut before) = (0_usize, 1);
    for &byte in bytes {
        let is_odd = matches!(byte, 0..=6 | 16..=26 | 28..=31 | 127);
        odd += usize::from(is_odd && (byte, before) != (0, 0));
        before = byte;
    }
    odd.saturating_mul(ODD_ONE_IN) > bytes.len()
}

/// The runs of characters in such data of one stream.
#[derive(Debug)]
pub(super) struct Strings {
    /// What the stream brings.
    what: What,
    run: String,
    chars: usize,
    first_ns: u64,
}

impl Strings {
    pub(super) fn new(what: What) -> Self {
        Self {
            what,
            run: String::new(),
            chars: 0,
            first_ns: 0,
        }
    }

    /// The next bytes of the stream. Takes them if they are no text; if they are, a run that came
    /// before them is over.
    pub(super) fn takes(&mut self, bytes: &[u8], at_ns: u64, out: &mut Vec<Text>) -> bool {
        let is_no_text = is_binary(bytes);
        if is_no_text {
            self.feed(bytes, at_ns, out);
        } else {
            self.finish(at_ns, out);
        }
        is_no_text
    }

    fn feed(&mut self, bytes: &[u8], at_ns: u64, out: &mut Vec<Text>) {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            // Most of such data is not looked at more closely than this.
            let c = match byte {
                0..=127 => Some(char::from(byte)),
                _ => character(rest),
            };
            rest = match c {
                Some(c) => rest.get(c.len_utf8()..).unwrap_or_default(),
                None => tail,
            };
            match c.filter(|c| is_readable(*c)) {
                Some(c) => self.push(c, at_ns, out),
                None if self.chars > 0 => self.finish(at_ns, out),
                None => {}
            }
        }
    }

    fn push(&mut self, c: char, at_ns: u64, out: &mut Vec<Text>) {
        if self.chars == 0 {
            self.first_ns = at_ns;
        }
        self.run.push(c);
        self.chars += 1;
        if self.run.len() >= RUN_BYTES_MAX {
            self.finish(at_ns, out);
        }
    }

    /// The run is over.
    pub(super) fn finish(&mut self, at_ns: u64, out: &mut Vec<Text>) {
        self.standing(at_ns, out);
        self.run.clear();
        self.chars = 0;
    }

    /// The run as far as it came.
    pub(super) fn standing(&self, at_ns: u64, out: &mut Vec<Text>) {
        if self.chars < RUN_CHARS_MIN {
            return;
        }
        let run = self.run.trim();
        if run.chars().nth(RUN_CHARS_MIN - 1).is_none() {
            return;
        }
        let from = out.len();
        out.extend(pieces(run).map(|piece| Text {
            first_ns: self.first_ns,
            last_ns: at_ns,
            ..Text::at(self.what, piece.to_owned(), at_ns)
        }));
        let told = out.get_mut(from..).unwrap_or_default();
        let is_cut = told.len() > 1;
        told.iter_mut().for_each(|text| text.is_cut = is_cut);
    }
}

/// The character of more than one byte that these begin with, if they do.
fn character(bytes: &[u8]) -> Option<char> {
    let len = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let text = std::str::from_utf8(bytes.get(..len)?).ok()?;
    text.chars().next()
}

/// What a run is made of: characters of writing, as a line of text has them.
fn is_readable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => c == '\t',
        c => c.is_alphanumeric(),
    }
}

#[cfg(test)]
mod tests {
    use hansard_core::{Body, Event, Stream};

    use super::*;
    use crate::text::Texts;

    /// Bytes as a compressed file has them, always the same.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let next = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..len).map(next).collect()
    }

    fn texts_of(stream: Stream, pieces: &[&[u8]]) -> Vec<(What, String)> {
        let (mut texts, mut out) = (Texts::new(), Vec::new());
        for (at, bytes) in (0..).zip(pieces) {
            let body = Body::Data {
                stream,
                bytes: bytes.to_vec(),
            };
            let event = Event {
                seq: at,
                at_ns: at * 1_000_000,
                body,
            };
            texts.turn(&event, &mut out);
        }
        texts.finish(&mut out);
        out.into_iter().map(|text| (text.what, text.text)).collect()
    }

    fn found(texts: &[(What, String)], what: What, words: &str) -> bool {
        texts
            .iter()
            .any(|(of, text)| *of == what && text.contains(words))
    }

    #[test]
    fn text_is_text_and_the_rest_is_not() {
        let (text, noise) = ("\x1b[31mrot\x1b[0m \x07ok\tÄ\r\n".repeat(40), noise(4096));
        assert!(!is_binary(text.as_bytes()));
        assert!(is_binary(&noise));
        assert!(
            !is_binary(&noise[..BYTES_MIN - 1]),
            "a few bytes may be anything"
        );
        // Latin-1, as an old program writes it.
        assert!(!is_binary(&b"gr\xfc\xdfe aus M\xfcnchen\n".repeat(40)));
        // What tar makes of a text of a hundred bytes: a head and a tail of zeros.
        let tar = [
            &b"etc/motd"[..],
            &[0; 492],
            "Willkommen auf dem Rechner. ".repeat(4).as_bytes(),
            &[0; 400],
        ]
        .concat();
        assert!(!is_binary(&tar));
        let utf16: Vec<u8> = "passwort"
            .repeat(99)
            .bytes()
            .flat_map(|byte| [byte, 0])
            .collect();
        assert!(is_binary(&utf16));
    }

    #[test]
    fn what_can_be_read_in_data_is_found_also_across_pieces() {
        let noise = noise(3000);
        let one = [
            &noise[..1000],
            b"\0/usr/lib/Gr\xc3\xbc\xc3\x9fe-und-K\xc3\xbcsse.so\0",
            &noise[1000..2000],
            b"\0BEGIN_OF_",
        ]
        .concat();
        let two = [&b"KEY\0abcde\0"[..], &noise[2000..]].concat();
        for (stream, strings) in Texts::new().pipes {
            let what = strings.what;
            let texts = texts_of(stream, &[&one, &two, b"plain words\n"]);
            assert!(
                found(&texts, what, "/usr/lib/Grüße-und-Küsse.so"),
                "{texts:?}"
            );
            assert!(found(&texts, what, "BEGIN_OF_KEY"), "{texts:?}");
            assert!(found(&texts, what, "plain words"), "{texts:?}");
            assert!(!found(&texts, what, "abcde"), "five characters are none");
            assert!(texts.len() < 30, "{texts:?}");
        }
    }

    #[test]
    fn what_a_terminal_shows_is_shown_whatever_it_is() {
        let mut shown = noise(3000);
        shown.extend_from_slice(b"\x1bc\x0fabcde\r\n");
        let texts = texts_of(Stream::Output, &[&shown]);
        assert!(found(&texts, What::Shown, "abcde"));
    }

    #[test]
    fn a_run_that_does_not_end_is_told_in_parts() {
        let mut data = noise(600);
        data.extend(std::iter::repeat_n(b'x', 3 * RUN_BYTES_MAX));
        let (mut strings, mut out) = (Strings::new(What::Shown), Vec::new());
        for piece in data.chunks(1000) {
            strings.feed(piece, 1, &mut out);
            assert!(strings.run.len() < RUN_BYTES_MAX);
        }
        strings.finish(1, &mut out);
        let told: usize = out.iter().map(|text| text.text.matches('x').count()).sum();
        // Of the last part too little may be left for a run.
        assert!(told > 3 * RUN_BYTES_MAX - RUN_CHARS_MIN, "{told}");
    }
}
