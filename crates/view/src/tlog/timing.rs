//! The timing of a message: what happened when, as records without separators.

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// Milliseconds since the record before.
    Delay(u64),
    /// Columns and rows from now on.
    Window(u16, u16),
    /// Characters of the text.
    Text { output: bool, chars: u64 },
    /// Characters of the text that stand for bytes, and the bytes.
    Bytes {
        output: bool,
        chars: u64,
        bytes: u64,
    },
}

/// The record at the beginning of what is left, and the bytes it takes with the blanks before it.
/// Nothing: there is no more.
pub(super) fn record(rest: &[u8]) -> Result<Option<(Record, usize)>, String> {
    // Blanks as C sees them.
    let blank = |byte: &u8| matches!(byte, b' ' | 0x09..=0x0d);
    let blanks = rest.iter().take_while(|byte| blank(byte)).count();
    let mut scan = Scan { rest, at: blanks };
    let Some(mark) = scan.next() else {
        return Ok(None);
    };
    let first = scan.number();
    let record = match mark {
        b'+' => Record::Delay(first?),
        b'<' | b'>' => Record::Text {
            output: mark == b'>',
            chars: first?,
        },
        b'[' | b']' => Record::Bytes {
            output: mark == b']',
            chars: first?,
            bytes: scan.second(b'/')?,
        },
        b'=' => Record::Window(side(first?)?, side(scan.second(b'x')?)?),
        _ => {
            let mark = char::from(mark).escape_default();
            return Err(format!("\"{mark}\" begins no record of the timing"));
        }
    };
    Ok(Some((record, scan.at)))
}

/// The runs of one moment, in an order in which they can have happened.
///
/// tlog writes the record of a run when the next run in its direction begins, or when the moment
/// is over, input first. So the order of the records is not that of the runs: behind a record
/// comes the next run in its direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The record that is next in the timing.
    at: usize,
    /// The next record of input and of output, somewhere behind; before the first, nothing.
    ahead: [Option<usize>; 2],
    /// Whether output came first, where both did.
    output_first: bool,
    /// Whether there was output, and input behind its last record.
    has_output: bool,
    ends_in_input: bool,
    /// Whether all of the message went one way, so that there is nothing to put in order.
    one_way: bool,
}

impl Moment {
    /// The first moment.
    pub(super) fn first(timing: &[u8]) -> Self {
        let has = |marks: [u8; 2]| timing.iter().any(|byte| marks.contains(byte));
        let one_way = !has([b'<', b'[']) || !has([b'>', b']']);
        Self::new(0, false, one_way)
    }

    /// The moment that follows this one, whose records begin here.
    ///
    /// Input stands last only where the run of output was cut before the moment was over: by
    /// output that began the next moment.
    pub(super) fn following(self, at: usize) -> Self {
        Self::new(at, self.has_output && self.ends_in_input, self.one_way)
    }

    fn new(at: usize, output_first: bool, one_way: bool) -> Self {
        Self {
            at,
            ahead: [None; 2],
            output_first,
            has_output: false,
            ends_in_input: false,
            one_way,
        }
    }

    /// Where the moment ended, once [`Self::next`] has answered that nothing is left.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The next run, if there is one: a record of text or of bytes.
    pub(super) fn next(&mut self, timing: &[u8]) -> Result<Option<Record>, String> {
        if self.one_way {
            let next = run(timing, self.at)?;
            return Ok(next.map(|(record, end)| {
                self.at = end;
                record
            }));
        }
        for output in [self.output_first, !self.output_first] {
            if self.slot(output).is_none() {
                let at = self.at;
                *self.slot(output) = Some(at);
                if let Some(record) = self.next_of(timing, output)? {
                    return Ok(Some(record));
                }
            }
        }
        while let Some((record, end)) = run(timing, self.at)? {
            self.at = end;
            self.ends_in_input = !record.is_output();
            self.has_output |= record.is_output();
            if let Some(record) = self.next_of(timing, record.is_output())? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The next run in one direction.
    fn next_of(&mut self, timing: &[u8], output: bool) -> Result<Option<Record>, String> {
        let slot = self.slot(output);
        while let Some((record, end)) = run(timing, slot.unwrap_or(0))? {
            *slot = Some(end);
            if record.is_output() == output {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn slot(&mut self, output: bool) -> &mut Option<usize> {
        let [input_slot, output_slot] = &mut self.ahead;
        match output {
            true => output_slot,
            false => input_slot,
        }
    }
}

/// The run that stands here, and where its record ends; nothing if the moment is over.
fn run(timing: &[u8], at: usize) -> Result<Option<(Record, usize)>, String> {
    let mut at = at;
    loop {
        match record(timing.get(at..).unwrap_or(&[]))? {
            Some((Record::Delay(0), used)) => at += used,
            Some((record @ (Record::Text { .. } | Record::Bytes { .. }), used)) => {
                return Ok(Some((record, at + used)));
            }
            _ => return Ok(None),
        }
    }
}

impl Record {
    fn is_output(self) -> bool {
        match self {
            Self::Text { output, .. } | Self::Bytes { output, .. } => output,
            Self::Delay(_) | Self::Window(..) => false,
        }
    }
}

fn side(n: u64) -> Result<u16, String> {
    u16::try_from(n).map_err(|_| format!("a window of {n}; 65535 is the most"))
}

struct Scan<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.rest.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn number(&mut self) -> Result<u64, String> {
        let digits = self.rest.get(self.at..).unwrap_or(&[]);
        let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        let digits = digits.get(..len).unwrap_or(&[]);
        self.at += len;
        let add = |n: u64, digit: &u8| n.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        match digits.iter().try_fold(0, add) {
            _ if digits.is_empty() => Err("a record of the timing without its number".to_owned()),
            None => Err("a number in the timing that is absurdly large".to_owned()),
            Some(n) => Ok(n),
        }
    }

    fn second(&mut self, separator: u8) -> Result<u64, String> {
        if self.next() != Some(separator) {
            let separator = char::from(separator);
            return Err(format!(
                "a record of the timing without its \"{separator}\""
            ));
        }
        self.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_one_after_another() {
        let timing = b" =80x24\t<5+1>0]1/3[0/1+0 ";
        let (mut at, mut records) = (0, Vec::new());
        while let Some((record, used)) = record(&timing[at..]).unwrap() {
            records.push(record);
            at += used;
        }
        let text = |output, chars| Record::Text { output, chars };
        let bytes = |output, chars, bytes| Record::Bytes {
            output,
            chars,
            bytes,
        };
        let expected = [
            Record::Window(80, 24),
            text(false, 5),
            Record::Delay(1),
            text(true, 0),
            bytes(true, 1, 3),
            bytes(false, 0, 1),
            Record::Delay(0),
        ];
        assert_eq!(records, expected);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bad in [
            "x",
            ">",
            "+x",
            "]1",
            "]1/",
            "]/1",
            "=80",
            "=80x",
            "=65536x1",
            "=1x65536",
            "-1",
            ">18446744073709551616",
            "\u{7f}",
        ] {
            assert!(record(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
