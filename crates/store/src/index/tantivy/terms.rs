//! What words are to the index: most are terms as they are. Numbers, addresses, digests and the like are
//! hardly ever said twice, and as terms they would be most of the index and of the work of making it. So
//! each of them is one of [`MARKS`] marks, by its hash: a block that has the mark may have the word, and
//! whether it does is read from the block.
//!
//! A mark says nothing of how its word begins, so beginnings of such words are terms of their own.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use hansard_view::question::words;

/// Marks there are. Of a log a block has some nine hundred, so that one in forty of such blocks is read in
/// vain for a number that is not in it. More would make the index larger: a mark that few blocks have takes
/// as much as a word.
const MARKS: u64 = 1 << 15;

/// A shorter word is a term whatever is in it: there are not many.
const ODD_BYTES_MIN: usize = 4;

/// A longer one is hardly a word of a language.
const PLAIN_CHARS_MAX: usize = 24;

/// Stands before a mark. None of these stands in a word, nor means something in a pattern.
const MARK: char = '#';

/// Stands before the beginning of a number or a digest, of which there are so many that two characters say
/// as much as they can.
const HEX: char = '~';
const HEX_CHARS: usize = 2;

/// Stands before the beginning of another odd word.
const OTHER: char = '=';
const OTHER_CHARS: usize = 3;

/// Whether there are too many words like this one. What begins with one that is odd is odd.
pub(super) fn is_odd(word: &str) -> bool {
    word.len() >= ODD_BYTES_MIN
        && (word.bytes().any(|b| b.is_ascii_digit())
            || (word.len() > PLAIN_CHARS_MAX && word.chars().count() > PLAIN_CHARS_MAX))
}

/// The term that stands for an odd word.
pub(super) fn mark(word: &str) -> String {
    let mut term = String::new();
    push_mark(&mut term, word);
    term
}

/// Terms that stand for how odd words begin: of those that begin so each has one of them, or, where it is
/// said to go on, one that goes on from there.
pub(super) fn heads(begin: &str) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for (sign, chars) in [(HEX, HEX_CHARS), (OTHER, OTHER_CHARS)] {
        // What has other characters begins no digest.
        if sign == OTHER || is_hex(begin) {
            let mut term = String::from(sign);
            term.extend(begin.chars().take(chars));
            all.push((term, begin.chars().count() < chars));
        }
    }
    all
}

fn is_hex(word: &str) -> bool {
    word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn push_mark(term: &mut String, word: &str) {
    const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let mark = hash(MARK_SEED, word.as_bytes()) % MARKS;
    term.push(MARK);
    for shift in [12, 6, 0] {
        let at = usize::try_from((mark >> shift) & 0x3f).unwrap_or(0);
        term.push(DIGITS.get(at).map_or(MARK, |digit| char::from(*digit)));
    }
}

fn push_head(term: &mut String, word: &str) {
    let (sign, chars) = match is_hex(word) {
        true => (HEX, HEX_CHARS),
        false => (OTHER, OTHER_CHARS),
    };
    term.push(sign);
    term.extend(word.chars().take(chars));
}

/// The same for ever: what it makes of words is on the disk.
const MARK_SEED: u64 = 0x243f_6a88_85a3_08d3;

fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let turn = |hash: u64, piece: u64| {
        let product = u128::from(hash ^ piece) * 0x9e37_79b9_7f4a_7c15_u128;
        #[allow(clippy::cast_possible_truncation)] // the halves are what is wanted
        let (low, high) = (product as u64, (product >> 64) as u64);
        low ^ high
    };
    let (pieces, rest) = bytes.as_chunks::<8>();
    let begin = seed ^ bytes.len() as u64;
    let hash = pieces
        .iter()
        .fold(begin, |hash, piece| turn(hash, u64::from_le_bytes(*piece)));
    let rest = rest
        .iter()
        .fold(0, |all, byte| (all << 8) | u64::from(*byte));
    turn(turn(hash, rest), 0x1319_8a2e_0370_7344)
}

/// The terms of a text, each once: that they come again costs much less here than in what puts them
/// together for all blocks.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// Of this process only: nobody can make words that all want the same place.
    seed: u64,
    /// One behind the other, and where each ends.
    terms: String,
    ends: Vec<usize>,
    /// Which term is where its hash says, or next to it: its number from 1, or 0.
    slots: Vec<u32>,
}

/// Places for terms at first: enough for nearly every block.
const SLOTS: usize = 8192;

impl Default for Terms {
    fn default() -> Self {
        Self {
            seed: RandomState::new().hash_one(SLOTS),
            terms: String::new(),
            ends: Vec::new(),
            slots: Vec::new(),
        }
    }
}

impl Terms {
    /// Begins anew, with those of this text.
    pub(super) fn set(&mut self, text: &str) {
        self.terms.clear();
        self.ends.clear();
        self.slots.resize(SLOTS, 0);
        self.slots.fill(0);
        words::each(text, |word| {
            let begin = self.terms.len();
            if !is_odd(word) {
                self.terms.push_str(word);
                self.take(begin);
                return;
            }
            push_mark(&mut self.terms, word);
            self.take(begin);
            // Another word of the same mark may begin otherwise: a mark that is there says nothing of the head.
            let begin = self.terms.len();
            push_head(&mut self.terms, word);
            self.take(begin);
        });
    }

    /// Takes what stands behind here for a term, unless it is there.
    fn take(&mut self, begin: usize) {
        if self.ends.len() * 2 >= self.slots.len() {
            self.widen();
        }
        let place = self.place_of(begin..self.terms.len());
        let number = u32::try_from(self.ends.len() + 1).unwrap_or(u32::MAX);
        match self.slots.get_mut(place) {
            Some(slot) if *slot == 0 => *slot = number,
            _ => {
                self.terms.truncate(begin);
                return;
            }
        }
        self.ends.push(self.terms.len());
    }

    /// Where this term is, or would be.
    fn place_of(&self, term: Range<usize>) -> usize {
        let mask = self.slots.len() - 1;
        let bytes = self.terms.as_bytes();
        let wanted = bytes.get(term).unwrap_or(&[]);
        let mut place = usize::try_from(hash(self.seed, wanted)).unwrap_or(0) & mask;
        loop {
            let number = self.slots.get(place).map_or(0, |slot| *slot as usize);
            if number == 0 || bytes.get(self.range(number - 1)) == Some(wanted) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn range(&self, at: usize) -> Range<usize> {
        let end = |at: usize| self.ends.get(at).copied().unwrap_or(0);
        at.checked_sub(1).map_or(0, end)..end(at)
    }

    fn widen(&mut self) {
        let slots = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(slots, 0);
        for at in 0..self.ends.len() {
            let place = self.place_of(self.range(at));
            if let Some(slot) = self.slots.get_mut(place) {
                *slot = u32::try_from(at + 1).unwrap_or(u32::MAX);
            }
        }
    }

    /// The term with this number, from 0.
    pub(super) fn get(&self, at: usize) -> Option<&str> {
        self.ends.get(at)?;
        self.terms.get(self.range(at))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(text: &str) -> Vec<String> {
        let mut terms = Terms::default();
        terms.set(text);
        let all = (0..).map_while(|at| terms.get(at).map(str::to_owned));
        all.collect()
    }

    #[test]
    fn words_are_terms_and_numbers_are_marks_with_their_beginning() {
        assert_eq!(of("Drop the table, the TABLE"), ["drop", "the", "table"]);
        assert_eq!(of("v2 404 10"), ["v2", "404", "10"]);
        let deadbeef = [mark("deadbeef01"), "~de".to_owned()];
        assert_eq!(of("deadbeef01 DEADBEEF01"), deadbeef);
        assert_eq!(deadbeef[0].len(), 4);
        // The beginning of two is there once.
        assert_eq!(of("20261122 20261123").len(), 3);
        let long = "abcdefghijklmnopqrstuvwxy";
        assert_eq!(of(long), [mark(long), "=abc".to_owned()]);
        // Two of the same mark, each with its own beginning.
        assert_eq!(mark("3464"), mark("approval7"));
        let heads = ["~34".to_owned(), "=app".to_owned()];
        assert_eq!(of("3464 approval7")[1..], heads);
        assert_eq!(of("界é世界 é123"), ["界", "é", "世", &mark("é123"), "=é12"]);
    }

    #[test]
    fn however_many_there_are_each_is_there_once() {
        let text: String = (0..40_000).map(|n| format!("w{n:x} ")).collect();
        let found = of(&(text.clone() + &text));
        let each: BTreeSet<&String> = found.iter().collect();
        assert_eq!(each.len(), found.len());
        let mut words = Vec::new();
        words::each(&text, |word| words.push(word.to_owned()));
        for word in words {
            if is_odd(&word) {
                let mut head = String::new();
                push_head(&mut head, &word);
                assert!(each.contains(&head), "{head}");
            }
            let term = if is_odd(&word) { mark(&word) } else { word };
            assert!(each.contains(&term), "{term}");
        }
    }

    /// They are on the disk: whoever changes them changes the version of the index.
    #[test]
    fn marks_stay_what_they_are() {
        assert_eq!(mark("1795248000"), "#4R3");
        assert_eq!(mark("deadbeef01"), "#66J");
        let marks: BTreeSet<String> = (0..100_000).map(|n| mark(&format!("{n:05}"))).collect();
        // By chance one in twenty is left out.
        assert!(marks.len() > 31_000, "{}", marks.len());
    }
}
