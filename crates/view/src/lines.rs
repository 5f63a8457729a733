//! Lines of hostile input: bounded in length, counted, never more than one in memory.

use std::io::{BufRead, BufReader, Read};

use crate::codec::DecodeError;

/// Reads lines.
pub(crate) struct Lines<R> {
    src: BufReader<R>,
    buffer: Vec<u8>,
    number: u64,
    offset: u64,
    next_offset: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(src: R) -> Self {
        Self {
            src: BufReader::with_capacity(64 * 1024, src),
            buffer: Vec::new(),
            number: 0,
            offset: 0,
            next_offset: 0,
        }
    }

    /// Reads the next line, of at most `bytes_max` bytes, and answers whether there was one.
    pub(crate) fn advance(&mut self, bytes_max: usize) -> Result<bool, DecodeError> {
        self.buffer.clear();
        self.offset = self.next_offset;
        self.number += 1;
        let limit = u64::try_from(bytes_max)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let read = (&mut self.src)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)?;
        if read > bytes_max && self.buffer.last() != Some(&b'\n') {
            return Err(self.malformed(format!(
                "the line is longer than {bytes_max} bytes, the limit of this reader"
            )));
        }
        self.next_offset += u64::try_from(read).unwrap_or(0);
        Ok(read > 0)
    }

    /// The line, without its end.
    pub(crate) fn line(&self) -> &[u8] {
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Whether the line ended with a line feed; only the last one can lack it.
    pub(crate) fn is_terminated(&self) -> bool {
        self.buffer.last() == Some(&b'\n')
    }

    /// The error that names this line.
    pub(crate) fn malformed(&self, what: impl Into<String>) -> DecodeError {
        DecodeError::Malformed {
            line: Some(self.number),
            offset: self.offset,
            what: what.into(),
        }
    }

    /// The error for a line that is not the JSON it should be.
    pub(crate) fn not_json(&self, wanted: &str, e: &serde_json::Error) -> DecodeError {
        let cut = if self.is_terminated() {
            ""
        } else {
            "; the file seems to end inside this line"
        };
        self.malformed(format!("not {wanted}: {e}{cut}"))
    }
}

/// Refuses JSON with so many values that they would take far more memory than their text.
pub(crate) fn check_json_size(json: &[u8], values_max: usize) -> Result<(), String> {
    let (mut inside, mut escaped, mut values) = (false, false, 0usize);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b',' | b'[' | b'{' if !inside => values += 1,
            _ => {}
        }
    }
    if values > values_max {
        return Err(format!(
            "more than {values_max} values, the limit of this reader"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_bounded() {
        let mut lines = Lines::new(&b"one\r\n\ntwelve bytes\nlast"[..]);
        let mut seen = Vec::new();
        while lines.advance(12).unwrap() {
            seen.push((
                lines.number,
                lines.offset,
                String::from_utf8_lossy(lines.line()).into(),
            ));
        }
        let want: Vec<(u64, u64, String)> = vec![
            (1, 0, "one".into()),
            (2, 5, String::new()),
            (3, 6, "twelve bytes".into()),
            (4, 19, "last".into()),
        ];
        assert_eq!(seen, want);
        assert!(!lines.is_terminated());
    }

    #[test]
    fn an_endless_line_is_an_error_and_takes_no_memory() {
        let mut lines = Lines::new(std::io::repeat(b'x'));
        let error = lines.advance(1000).unwrap_err().to_string();
        assert!(
            error.starts_with("line 1 (offset 0): the line is longer than 1000"),
            "{error}"
        );
        assert!(lines.buffer.capacity() < 10_000);
    }

    #[test]
    fn values_are_counted_outside_strings_only() {
        assert!(check_json_size(br#"["[[[[,,,,\"[[[[",1]"#, 2).is_ok());
        assert!(check_json_size(b"[[],[],[]]", 5).is_err());
    }
}
