//! Moments as documents say them, one after another: most are of the same second as the one before.

use crate::teleport::time;

/// Writes moments; remembers the last one's second.
#[derive(Debug, Default)]
pub(super) struct Moment {
    second: Option<u64>,
    /// Length of what stands for the second.
    whole: usize,
    text: String,
}

impl Moment {
    /// RFC 3339 in UTC of nanoseconds since 1970, to the millisecond that has begun.
    pub(super) fn text_ms(&mut self, utc_ns: u64) -> &str {
        let (second, ms) = (utc_ns / 1_000_000_000, utc_ns / 1_000_000 % 1000);
        if self.second != Some(second) {
            let whole = time::text(i64::try_from(second).unwrap_or(0), 0).unwrap_or_default();
            self.text.clear();
            self.text.push_str(whole.trim_end_matches('Z'));
            self.whole = self.text.len();
            self.second = Some(second);
        }
        self.text.truncate(self.whole);
        self.text.push('.');
        for digit in [ms / 100, ms / 10 % 10, ms % 10] {
            let digit = u8::try_from(digit).unwrap_or(0);
            self.text.push(char::from(b'0' + digit));
        }
        self.text.push('Z');
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_that_is_remembered_is_the_right_one() {
        let mut moment = Moment::default();
        let start = 1_700_000_000_000_000_000;
        for (ns, text) in [
            (0, "2023-11-14T22:13:20.000Z"),
            (999_999_999, "2023-11-14T22:13:20.999Z"),
            (1_000_000_000, "2023-11-14T22:13:21.000Z"),
            (7_000_000, "2023-11-14T22:13:20.007Z"),
            (86_400_000_000_000, "2023-11-15T22:13:20.000Z"),
        ] {
            assert_eq!(moment.text_ms(start + ns), text);
        }
        assert_eq!(moment.text_ms(0), "1970-01-01T00:00:00.000Z");
    }
}
