//! Lines that scroll away where the emulator keeps none: on the alternate screen, and in a scroll region that
//! does not begin at the top. An event that brings more than a screen of lines there is looked at in steps, each
//! of which scrolls half a screen at most, so that no line comes and goes unseen. What stood there between two
//! steps is told with the event's moment, like what scrolls off the other screen.

use hansard_core::{Body, Event};

use super::{ShownLines, Text};

/// What switches to the alternate screen, so that lines behind it in the same event are seen, too.
const TO_ALTERNATE: [&[u8]; 3] = [b"\x1b[?1049h", b"\x1b[?1047h", b"\x1b[?47h"];

impl ShownLines {
    /// Shows an event's bytes, or gives the screen another size.
    pub(in super::super) fn apply(&mut self, event: &Event, out: &mut Vec<Text>) {
        let Body::Data { stream, bytes } = &event.body else {
            return self.show(event, out);
        };
        let rows = usize::from(self.screen.size().1);
        if feeds(bytes) <= rows || !self.drops_lines(bytes) {
            return self.show(event, out);
        }
        for step in steps(bytes, (rows / 2).max(1)) {
            let body = Body::Data {
                stream: *stream,
                bytes: step.to_vec(),
            };
            let (seq, at_ns) = (event.seq, event.at_ns);
            self.show(&Event { seq, at_ns, body }, out);
        }
    }

    fn drops_lines(&self, bytes: &[u8]) -> bool {
        let switches = |at: usize| {
            let rest = bytes.get(at..).unwrap_or_default();
            TO_ALTERNATE.iter().any(|to| rest.starts_with(to))
        };
        let mut escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == 0x1b);
        self.has_region || self.screen.is_alternate() || escapes.any(|(at, _)| switches(at))
    }
}

fn feeds(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// The bytes in pieces of so many lines.
fn steps(bytes: &[u8], lines: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let end = ends.map(|(at, _)| at + 1).nth(lines.saturating_sub(1));
        let (step, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        rest = behind;
        (!step.is_empty()).then_some(step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_all_of_it() {
        for (bytes, lines, wanted) in [
            (&b"a\nb\nc\nd"[..], 2, vec![&b"a\nb\n"[..], b"c\nd"]),
            (b"a\nb\n", 1, vec![b"a\n", b"b\n"]),
            (b"", 3, vec![]),
            (b"\n\n\n", 5, vec![b"\n\n\n"]),
        ] {
            assert_eq!(steps(bytes, lines).collect::<Vec<_>>(), wanted);
        }
    }
}
