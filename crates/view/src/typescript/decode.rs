//! Reads typescripts.

use std::io::Read;

use hansard_core::event::{End, Gap};
use hansard_core::{Body, Event, Stream};

use super::closing::Closing;
use super::log::{Log, Rest};
use super::missing::Missing;
use super::session::{Facts, describe};
use super::timing::{self, Entry};
use super::{ENTRY, FOOTER, HEADERS, LINE, fact, head};
use crate::codec::{DecodeError, Decoder};
use crate::import::Import;
use crate::limits::{RAW_CHUNK_BYTES, TIMING_HEADER_BYTES_MAX, TIMING_LINE_BYTES_MAX};
use crate::lines::Lines;
use crate::seconds::NS_MAX;
use crate::steps::{Ready, Steps};

/// One file.
type Source<'a> = Box<dyn Read + 'a>;

/// Reads a typescript and its timing as a recording. Without timing everything is at time zero.
pub struct TypescriptDecoder<'a> {
    /// The files, until they are opened.
    files: Option<(Source<'a>, Option<Source<'a>>)>,
    import: Import,
    output: Option<Log<'a>>,
    input: Option<Log<'a>>,
    timing: Option<Lines<Source<'a>>>,
    advanced: bool,
    /// Whether what was typed stands among what was shown.
    input_is_inside: bool,
    input_log: String,
    /// The entry whose bytes are being read, and how many of them are left.
    entry: Option<(Stream, u64)>,
    missing: Missing,
    closing: Closing,
    /// Bytes shown and typed that the timing does not tell of.
    left_over: [u64; 2],
    footer: Option<Vec<u8>>,
    state: State,
    ready: Ready,
    at_ns: u64,
    notices: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Beginning,
    Entries,
    Rest(Stream),
    Done,
}

impl<'a> TypescriptDecoder<'a> {
    /// A decoder that reads the typescript `out`, and its timing if there is one.
    pub fn new(out: impl Read + 'a, timing: Option<Box<dyn Read + 'a>>, import: Import) -> Self {
        Self {
            files: Some((Box::new(out), timing)),
            import,
            output: None,
            input: None,
            timing: None,
            advanced: false,
            input_is_inside: false,
            input_log: String::new(),
            entry: None,
            missing: Missing::default(),
            closing: Closing::default(),
            left_over: [0; 2],
            footer: None,
            state: State::Beginning,
            ready: Ready::default(),
            at_ns: 0,
            notices: Vec::new(),
        }
    }

    /// The same, reading what was typed from its own file (script's `-I`).
    ///
    /// # Errors
    /// When that file cannot be read.
    pub fn with_input_log(mut self, input: Box<dyn Read + 'a>) -> Result<Self, DecodeError> {
        self.input = Some(Log::open(input)?);
        Ok(self)
    }

    fn begin(&mut self) -> Result<(), DecodeError> {
        let Some((out, timing)) = self.files.take() else {
            return Ok(());
        };
        let output = Log::open(out)?;
        if output.is_empty() && timing.is_none() {
            return Err(DecodeError::Malformed {
                line: None,
                offset: 0,
                what: "the file is empty, so not a typescript".to_owned(),
            });
        }
        if output.header().is_none() {
            self.notices.push(
                "the first line is not script's own (“Script started on …”): it is shown like the \
                 rest; who recorded this, and when, is not known"
                    .to_owned(),
            );
        }
        match timing {
            Some(timing) => self.timing = Some(Lines::new(timing)),
            None => self.notices.push(
                "no timing: everything is shown at once (script writes it with --log-timing)"
                    .to_owned(),
            ),
        }
        let (facts, pending) = self.read_facts()?;
        let value = |wanted: &str| facts.iter().find(|(name, _)| *name == wanted);
        let (shown_in, typed_in) = (value("OUTPUT_LOG"), value("INPUT_LOG"));
        let same = shown_in.map(|(_, name)| name) == typed_in.map(|(_, name)| name);
        self.input_is_inside = self.input.is_none() && (shown_in.is_none() || same);
        self.input_log = typed_in
            .map(|(_, name)| String::from_utf8_lossy(name).into_owned())
            .unwrap_or_default();
        let described = describe(output.header(), facts, &self.import);
        self.notices.extend(described.notices);
        self.ready
            .push_back((0, Body::Start(Box::new(described.session))));
        self.ready.extend(described.size.map(|size| (0, size)));
        self.output = Some(output);
        self.state = State::Entries;
        match pending {
            true => self.take_line(),
            false => Ok(()),
        }
    }

    /// Reads the named facts at the beginning of the timing. Answers also whether the line behind
    /// them was read.
    fn read_facts(&mut self) -> Result<(Facts, bool), DecodeError> {
        let mut facts = Facts::new();
        let Some(lines) = &mut self.timing else {
            return Ok((facts, false));
        };
        let (mut first, mut bytes) = (true, 0);
        while lines.advance(TIMING_LINE_BYTES_MAX)? {
            let line = lines.line();
            if line.trim_ascii().is_empty() {
                continue;
            }
            if std::mem::take(&mut first) {
                self.advanced = timing::is_advanced(line);
            }
            match timing::parse(line, self.advanced) {
                Ok((delta, Entry::Header(text))) => {
                    let (name, value) = timing::name_and_value(text);
                    let known = HEADERS.iter().find(|(known, _)| known.as_bytes() == name);
                    let new =
                        known.filter(|(known, _)| facts.iter().all(|(name, _)| name != known));
                    let Some((known, _)) = new else {
                        return Ok((facts, true));
                    };
                    bytes += value.len();
                    if bytes > TIMING_HEADER_BYTES_MAX {
                        return Err(lines.malformed(format!(
                            "the facts at the beginning of the timing are longer than \
                             {TIMING_HEADER_BYTES_MAX} bytes, the limit of this reader"
                        )));
                    }
                    facts.push((known, value.to_vec()));
                    self.at_ns = self.at_ns.saturating_add(delta).min(NS_MAX);
                }
                // Nothing happened in it: it does not end the beginning.
                Ok((delta, Entry::Output(0) | Entry::Input(0))) => {
                    self.at_ns = self.at_ns.saturating_add(delta).min(NS_MAX);
                }
                _ => return Ok((facts, true)),
            }
        }
        Ok((facts, false))
    }

    /// Reads the next line of timing, or finds that there is none.
    fn read_line(&mut self) -> Result<(), DecodeError> {
        if let Some(lines) = &mut self.timing
            && lines.advance(TIMING_LINE_BYTES_MAX)?
        {
            return self.take_line();
        }
        self.state = State::Rest(Stream::Output);
        Ok(())
    }

    /// Takes the line that was read.
    fn take_line(&mut self) -> Result<(), DecodeError> {
        let Some(lines) = &self.timing else {
            return Ok(());
        };
        let line = lines.line();
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let (delta, entry) = match timing::parse(line, self.advanced) {
            Ok(entry) => entry,
            // What was not written whole says nothing, and nothing follows it.
            Err(_) if !lines.is_terminated() => {
                let cut =
                    "the last line of the timing is not whole: its bytes are shown with the rest";
                self.notices.push(cut.to_owned());
                return Ok(());
            }
            Err(what) => {
                return Err(lines.malformed(format!(
                    "{what}; the typescript can be read without its timing"
                )));
            }
        };
        if self.at_ns.saturating_add(delta) > NS_MAX {
            let seconds = NS_MAX / 1_000_000_000;
            return Err(lines.malformed(format!("the times add up to more than {seconds} seconds")));
        }
        self.at_ns += delta;
        let body = match entry {
            Entry::Output(0) | Entry::Input(0) => return Ok(()),
            Entry::Output(n) => {
                self.entry = Some((Stream::Output, n));
                None
            }
            Entry::Input(n) => {
                self.entry = Some((Stream::Keystrokes, n));
                None
            }
            Entry::Signal(text) => Some(match timing::size(text) {
                Some((cols, rows)) => Body::Resize { cols, rows },
                None => fact::foreign(ENTRY, &[b"S ", text].concat()),
            }),
            Entry::Header(text) => {
                let (name, value) = timing::name_and_value(text);
                if self.closing.take(name, value) {
                    return Ok(());
                }
                Some(fact::read(text))
            }
            Entry::Unknown => Some(fact::foreign(LINE, line)),
        };
        self.closing.reopen();
        self.ready.extend(body.map(|body| (self.at_ns, body)));
        Ok(())
    }

    /// Reads the next bytes of an entry.
    fn read_bytes(&mut self, stream: Stream, left: u64) -> Result<(), DecodeError> {
        let typed = stream == Stream::Keystrokes;
        let log = match (typed && !self.input_is_inside, &mut self.input) {
            (false, _) => self.output.as_mut(),
            (true, input) => input.as_mut(),
        };
        let Some(log) = log else {
            self.missing.elsewhere = self.missing.elsewhere.saturating_add(left);
            self.entry = None;
            return Ok(());
        };
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(RAW_CHUNK_BYTES);
        let bytes = log.take(wanted)?;
        let read = u64::try_from(bytes.len()).unwrap_or(0);
        let left = left.saturating_sub(read);
        self.entry = (left > 0).then_some((stream, left));
        if bytes.len() < wanted {
            self.entry = None;
            let apart = typed && !self.input_is_inside;
            self.missing.note(apart, left, self.at_ns);
        }
        if !bytes.is_empty() {
            self.ready
                .push_back((self.at_ns, Body::Data { stream, bytes }));
        }
        Ok(())
    }

    /// Reads what the timing does not tell of.
    fn read_rest(&mut self, stream: Stream) -> Result<(), DecodeError> {
        let log = match stream {
            Stream::Output => self.output.as_mut(),
            _ => self.input.as_mut(),
        };
        let footer = match log.map(Log::rest).transpose()?.unwrap_or(Rest::End) {
            Rest::Bytes(bytes) => {
                let [shown, typed] = &mut self.left_over;
                *(if stream == Stream::Output {
                    shown
                } else {
                    typed
                }) += u64::try_from(bytes.len()).unwrap_or(0);
                self.ready
                    .push_back((self.at_ns, Body::Data { stream, bytes }));
                return Ok(());
            }
            Rest::Footer(line) => Some(line),
            Rest::End => None,
        };
        if stream == Stream::Output {
            self.footer = footer;
            self.state = State::Rest(Stream::Keystrokes);
        } else {
            // The input's last line says nothing that the output's does not.
            self.close();
        }
        Ok(())
    }

    /// Hands out what is known at the end only.
    fn close(&mut self) {
        self.state = State::Done;
        self.ready.finish();
        self.tell_damage();
        let done = self.footer.as_deref().map(head::read_done);
        let Closing { lasted, exit, .. } = self.closing;
        if exit.flatten().is_none() && done.is_none() {
            self.notices.push(
                "no end (“Script done on …”): the recording stopped before the session, or was cut"
                    .to_owned(),
            );
            return;
        }
        let footer = self.footer.take();
        self.ready
            .extend(footer.map(|line| (self.at_ns, fact::foreign(FOOTER, &line))));
        let done = done.unwrap_or_default();
        let exit_status = exit.flatten().or(done.exit);
        let reason = match (done.reason, exit_status) {
            (Some(reason), _) => reason,
            (None, Some(_)) => "exited".to_owned(),
            (None, None) => self.import.end().reason,
        };
        self.at_ns = self.at_ns.max(lasted.unwrap_or(0));
        let end = End {
            reason,
            exit_status,
            signal: None,
        };
        self.ready.push_back((self.at_ns, Body::End(end)));
    }

    fn tell_damage(&mut self) {
        if self.closing.exit == Some(None) {
            self.notices
                .push("EXIT_CODE is no status from 0 to 255: left out".to_owned());
        }
        let mut tell = |n: u64, what: &str| {
            if n > 0 {
                self.notices.push(format!("{n} {what}"));
            }
        };
        let Missing {
            shown,
            typed,
            elsewhere,
            ..
        } = self.missing;
        let [left_shown, left_typed] = self.left_over;
        tell(
            shown,
            "bytes that the timing tells of are not in the typescript: it is cut, or the timing \
             is not its own",
        );
        tell(
            typed,
            "bytes that the timing tells of are not in the file of what was typed",
        );
        tell(
            elsewhere,
            &format!(
                "bytes that were typed stand in a file of their own ({:?} then), which was not \
                 given: left out",
                self.input_log
            ),
        );
        tell(
            self.closing.astray,
            "times facts of the end (DURATION, EXIT_CODE) stand in the midst of the timing: left out",
        );
        if self.timing.is_some() {
            tell(
                left_shown,
                "bytes of the typescript are not in its timing, and are shown where it ends: it is \
                 cut, or the typescript holds several sessions (script --append keeps the timing \
                 of the last only)",
            );
            tell(
                left_typed,
                "bytes that were typed are not in the timing, and come where it ends",
            );
        }
        let Missing {
            shown_from_ns,
            typed_from_ns,
            ..
        } = self.missing;
        for (bytes, from_ns, file) in [
            (shown, shown_from_ns, "the typescript"),
            (typed, typed_from_ns, "the file of what was typed"),
        ] {
            if bytes > 0 {
                let gap = Gap {
                    cause: format!("{file} holds less than the timing tells of"),
                    from_ns,
                    bytes: Some(bytes),
                    ..Gap::default()
                };
                self.ready.push_back((self.at_ns, Body::Gap(gap)));
            }
        }
    }

    fn step(&mut self) -> Result<(), DecodeError> {
        match (self.state, self.entry) {
            (State::Beginning, _) => self.begin(),
            (State::Entries, Some((stream, left))) => self.read_bytes(stream, left),
            (State::Entries, None) => self.read_line(),
            (State::Rest(stream), _) => self.read_rest(stream),
            (State::Done, _) => Ok(()),
        }
    }
}

impl Steps for TypescriptDecoder<'_> {
    fn ready(&mut self) -> &mut Ready {
        &mut self.ready
    }

    fn take_step(&mut self) -> Result<(), DecodeError> {
        self.step()
    }
}

impl Decoder for TypescriptDecoder<'_> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        self.next_of_steps()
    }

    fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }
}
