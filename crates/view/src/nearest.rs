//! The word that was probably meant by one that nobody knows.

/// A word that is longer than any that is known is none of them, and would only cost time.
const WORD_CHARS_MAX: usize = 64;

/// The known word that is so near that it was probably meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > WORD_CHARS_MAX {
        return None;
    }
    // Capitals, and the one line in the place of the other, are no difference.
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let word = plain(word);
    let by_distance = known
        .into_iter()
        .map(|known| (distance(&word, &plain(known)), known));
    let (distance, nearest) = by_distance.min_by_key(|(distance, _)| *distance)?;
    let allowed = 1 + nearest.chars().count() / 4;
    (distance <= allowed).then_some(nearest)
}

/// How many characters must be put in, left out, replaced or swapped with their neighbour to make
/// one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (i, a) in from.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, j) + usize::from(a != *b);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let is_swap = j > 0 && previous == Some(*b) && to.get(j - 1) == Some(&a);
            if is_swap {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        previous = Some(a);
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_what_was_meant() {
        let known = ["pack_bytes", "pack_age", "retention", "event_log"];
        for (word, meant) in [
            ("pack_byte", "pack_bytes"),
            ("pack-bytes", "pack_bytes"),
            ("pakc_age", "pack_age"),
            ("Retention", "retention"),
            ("eventlog", "event_log"),
        ] {
            assert_eq!(nearest(word, known), Some(meant), "{word}");
        }
        for word in ["password", "", "x", &"pack_bytes".repeat(100)] {
            assert_eq!(nearest(word, known), None, "{word}");
        }
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
