//! Writes asciicast.

use std::io::Write;

use hansard_core::event::{End, Gap};
use hansard_core::{Body, Event, Fields, Session, Stream};
use serde_json::Value as Json;

use super::header;
use super::{COMMENT, CastVersion, FOREIGN_EVENT};
use crate::codec::{EncodeError, Encoder};
use crate::utf8::Utf8;

/// Writes a cast. Times are microseconds, rounded so that the errors of intervals do not add up.
///
/// Programs without a terminal are shown as a terminal would have shown them. A gap becomes a
/// marker that says so. Facts that are not part of what was seen are left out.
pub struct CastEncoder<W> {
    out: W,
    version: CastVersion,
    /// The session, until the header is written with the first size.
    waiting: Option<Box<Session>>,
    /// Unfinished characters, one decoder for each stream.
    texts: [(Stream, Utf8); 5],
    /// Microseconds of the event written last.
    last_us: u64,
    last_ns: u64,
}

impl<W: Write> CastEncoder<W> {
    /// An encoder that writes here.
    pub fn new(out: W, version: CastVersion) -> Self {
        Self {
            out,
            version,
            waiting: None,
            texts: Stream::ALL.map(|stream| (stream, Utf8::new())),
            last_us: 0,
            last_ns: 0,
        }
    }

    fn write_header(&mut self, size: Option<(u16, u16)>) -> Result<(), EncodeError> {
        if let Some(session) = self.waiting.take() {
            writeln!(self.out, "{}", header::write(&session, size, self.version))?;
        }
        Ok(())
    }

    fn line(&mut self, code: &str, data: &str) -> Result<(), EncodeError> {
        let json = serde_json::to_string(data).map_err(|e| EncodeError::Refused(e.to_string()))?;
        self.json_line(code, &json)
    }

    fn json_line(&mut self, code: &str, json: &str) -> Result<(), EncodeError> {
        // Rounding the moment, not the interval, is what keeps errors from adding up.
        let now_us = self.last_ns.saturating_add(500) / 1000;
        let time = match self.version {
            CastVersion::V2 => now_us,
            CastVersion::V3 => now_us.saturating_sub(self.last_us),
        };
        self.last_us = now_us;
        let code = Json::from(code);
        writeln!(self.out, "[{}, {code}, {json}]", seconds(time))?;
        Ok(())
    }

    /// What a cast said that a recording has no place for.
    fn foreign(&mut self, fields: &Fields) -> Result<(), EncodeError> {
        if let Some(comment) = fields.text(COMMENT) {
            // Version 2 has no comments.
            if self.version == CastVersion::V3 {
                for line in comment.split('\n') {
                    writeln!(self.out, "#{line}")?;
                }
            }
            return Ok(());
        }
        let code = fields.text("code").unwrap_or_default();
        match fields.text("json") {
            // Parsed, so that it stays one line of sound JSON whoever wrote the field.
            Some(json) => match serde_json::from_str::<Json>(json) {
                Ok(json) => self.json_line(code, &json.to_string()),
                Err(_) => Ok(()),
            },
            None => self.line(code, fields.text("data").unwrap_or_default()),
        }
    }

    fn data(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), EncodeError> {
        let mut text = String::with_capacity(bytes.len());
        if let Some((_, utf8)) = self.texts.iter_mut().find(|(s, _)| *s == stream) {
            utf8.feed(bytes, |piece| text.push_str(piece));
        }
        self.text(stream, &text)
    }

    fn text(&mut self, stream: Stream, text: &str) -> Result<(), EncodeError> {
        match stream {
            _ if text.is_empty() => Ok(()),
            Stream::Output => self.line("o", text),
            // There was no terminal to add the carriage returns; a player's terminal needs them.
            Stream::Stdout | Stream::Stderr => self.line("o", &text.replace('\n', "\r\n")),
            Stream::Stdin | Stream::Keystrokes => self.line("i", text),
        }
    }

    /// Characters that were never finished become U+FFFD.
    fn flush_text(&mut self) -> Result<(), EncodeError> {
        for stream in Stream::ALL {
            let mut text = String::new();
            if let Some((_, utf8)) = self.texts.iter_mut().find(|(s, _)| *s == stream) {
                utf8.finish(|piece| text.push_str(piece));
            }
            self.text(stream, &text)?;
        }
        Ok(())
    }

    fn exit(&mut self, end: &End) -> Result<(), EncodeError> {
        self.flush_text()?;
        match (self.version, exit_status(end)) {
            (CastVersion::V3, Some(status)) => self.line("x", &status.to_string()),
            _ => Ok(()),
        }
    }
}

impl<W: Write> Encoder for CastEncoder<W> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        self.waiting = Some(Box::new(session.clone()));
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        if let (Some(_), Body::Resize { cols, rows }) = (&self.waiting, &event.body) {
            return self.write_header(Some((*cols, *rows)));
        }
        self.write_header(None)?;
        self.last_ns = event.at_ns.max(self.last_ns);
        match &event.body {
            Body::Data { stream, bytes } => self.data(*stream, bytes),
            Body::Resize { cols, rows } => self.line("r", &format!("{cols}x{rows}")),
            Body::Mark { label } => self.line("m", label),
            Body::Gap(gap) => self.line("m", &gap_label(gap)),
            Body::End(end) => self.exit(end),
            Body::Channel(fact) if fact.event == FOREIGN_EVENT => self.foreign(&fact.fields),
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.write_header(None)?;
        self.flush_text()?;
        Ok(self.out.flush()?)
    }
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') {
        format!("{short}0")
    } else {
        short.to_owned()
    }
}

/// What a missing part is called where it cannot be an event of its own.
pub(crate) fn gap_label(gap: &Gap) -> String {
    let lost = match (gap.bytes, gap.bytes_max) {
        (Some(bytes), _) => format!("{bytes} bytes"),
        (None, Some(max)) => format!("at most {max} bytes"),
        (None, None) => "an unknown amount".to_owned(),
    };
    format!("recording gap: {lost} missing ({})", gap.cause)
}

/// The status a shell would have reported.
pub(crate) fn exit_status(end: &End) -> Option<u8> {
    const SIGNALS: [(&str, u8); 13] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
    ];
    end.exit_status.or_else(|| {
        let name = end.signal.as_deref()?;
        SIGNALS
            .iter()
            .find(|(signal, _)| *signal == name)
            .map(|(_, number)| 128 + number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact_and_short() {
        for (us, text) in [
            (0, "0.0"),
            (1, "0.000001"),
            (1_500_000, "1.5"),
            (1_000_000, "1.0"),
            (86_400_000_010, "86400.00001"),
        ] {
            assert_eq!(seconds(us), text);
        }
    }
}
