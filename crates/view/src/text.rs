//! What there is to find in a session: lines that stood on the screen, lines that were typed,
//! commands, and the fields of events, each with the moments it was there.
//!
//! Everything here is computed from the events alone: the same events make the same texts, in the
//! same order, whoever asks and when. A text is told once it is over (a line left the screen, a line
//! of typing ended); what still stands is asked for separately ([`Texts::standing`]), so that a
//! session can be searched while it runs.
//!
//! - `shown`: lines of the screen; `guess`: commands among them; `typed`: what went in; `facts`: events of flat fields;
//!   `strings`: what can be read in data of pipes that is no text
//!
//! Nothing here can be made to grow by a recording: a screen is bounded, a line is cut at
//! [`TEXT_BYTES_MAX`], and what scrolls away within one event is bounded by [`GONE_LINES_MAX`].

use hansard_core::{Body, Event, Stream};

mod facts;
mod guess;
mod shown;
mod strings;
mod typed;

use shown::ShownLines;
use strings::Strings;
use typed::TypedLine;

/// Longest text, in bytes; a longer line is cut in pieces, each with [`Text::is_cut`].
pub const TEXT_BYTES_MAX: usize = 4096;

/// Lines that scroll away within one event and are told; more are counted as passed over.
pub const GONE_LINES_MAX: usize = 10_000;

/// Moments at which a growing line is noted; with more the later half is noted more coarsely.
pub const STEPS_MAX: usize = 128;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// A line that stood on the screen, or was written by a program without a terminal; of data that is no text, a run
    /// of characters in it.
    Shown,
    /// A line that was typed or piped in, or such a run.
    Typed,
    /// A command, as an event of the recording has it, or as the header of the session does.
    Command,
    /// A command, as the shell marked it (OSC 133).
    MarkedCommand,
    /// A command, as it looks on the screen: typed behind something that looks like a prompt.
    GuessedCommand,
    /// The fields of an event.
    Fact,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Shown,
        Self::Typed,
        Self::Command,
        Self::MarkedCommand,
        Self::GuessedCommand,
        Self::Fact,
    ];

    /// The word for it in answers and in `in:`: `shown`, `typed`, `command`, `event`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Typed => "typed",
            Self::Command | Self::MarkedCommand | Self::GuessedCommand => "command",
            Self::Fact => "event",
        }
    }

    /// Where that is known from: `screen`, `keyboard`, `event`, `osc133`, `prompt`.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Shown => "screen",
            Self::Typed => "keyboard",
            Self::Command | Self::Fact => "event",
            Self::MarkedCommand => "osc133",
            Self::GuessedCommand => "prompt",
        }
    }

    /// A number for storing it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Shown => 0,
            Self::Typed => 1,
            Self::Command => 2,
            Self::MarkedCommand => 3,
            Self::GuessedCommand => 4,
            Self::Fact => 5,
        }
    }

    /// What was stored as this number.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.code() == code)
    }
}

/// A moment at which a growing line had so many characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// So many of the text's characters stood there from then on.
    pub chars: u32,
    /// Nanoseconds since the session's start.
    pub at_ns: u64,
}

/// Something that can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What it is.
    pub what: What,
    /// The text, at most [`TEXT_BYTES_MAX`]; never empty.
    pub text: String,
    /// When it, or its beginning, came to be there: nanoseconds since the session's start.
    pub first_ns: u64,
    /// Up to when it was there.
    pub last_ns: u64,
    /// How it grew, if it did not come at once: at most [`STEPS_MAX`], in order.
    pub steps: Vec<Step>,
    /// Whether some of it was printed concealed (SGR 8), so that who sat there may not have seen it.
    pub is_concealed: bool,
    /// Whether some of it was printed in the colour of its ground.
    pub is_blended: bool,
    /// Whether it is a piece of a line that is longer.
    pub is_cut: bool,
}

impl Text {
    pub(super) fn at(what: What, text: String, at_ns: u64) -> Self {
        Self {
            what,
            text,
            first_ns: at_ns,
            last_ns: at_ns,
            steps: Vec::new(),
            is_concealed: false,
            is_blended: false,
            is_cut: false,
        }
    }

    /// When the first so many characters of it were there.
    #[must_use]
    pub fn moment_of(&self, chars: usize) -> u64 {
        moment_of(self.first_ns, &self.steps, chars)
    }
}

/// When the first so many characters stood there, of a line that grew so.
#[must_use]
pub fn moment_of(first_ns: u64, steps: &[Step], chars: usize) -> u64 {
    let chars = u32::try_from(chars).unwrap_or(u32::MAX);
    let grown = steps.iter().find(|step| step.chars >= chars);
    match (grown, steps.last()) {
        (Some(step), _) | (None, Some(step)) => step.at_ns,
        (None, None) => first_ns,
    }
}

/// Makes texts of events. One for each session, given all of its events in order.
///
/// Memory: a screen once something was shown, the text on it, and what one event made.
#[derive(Debug)]
pub struct Texts {
    /// `None` until something is shown: much of what is recorded never shows anything.
    shown: Option<ShownLines>,
    typed: TypedLine,
    /// Streams that may carry data that is no text, and what is read in it. A terminal's are never taken for that.
    pipes: [(Stream, Strings); 3],
    /// Whether commands are known from somewhere better than their looks.
    knows_commands: bool,
    at_ns: u64,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            shown: None,
            typed: TypedLine::default(),
            pipes: [
                (Stream::Stdout, Strings::new(What::Shown)),
                (Stream::Stderr, Strings::new(What::Shown)),
                (Stream::Stdin, Strings::new(What::Typed)),
            ],
            knows_commands: false,
            at_ns: 0,
        }
    }
}

impl Texts {
    /// At the beginning of a session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next event: what it brought to an end is told.
    pub fn turn(&mut self, event: &Event, out: &mut Vec<Text>) {
        self.at_ns = event.at_ns;
        let from = out.len();
        match &event.body {
            Body::Data { stream, bytes } => {
                let mut pipes = self.pipes.iter_mut().filter(|(pipe, _)| pipe == stream);
                if pipes.any(|(_, strings)| strings.takes(bytes, event.at_ns, out)) {
                    return;
                }
                match stream {
                    Stream::Keystrokes | Stream::Stdin => self.typed.feed(bytes, event.at_ns, out),
                    Stream::Output | Stream::Stdout | Stream::Stderr => self.show(event, out),
                }
            }
            Body::Resize { .. } => self.show(event, out),
            Body::End(_) => {
                facts::tell(event, out);
                return self.finish(out);
            }
            _ => facts::tell(event, out),
        }
        self.guess(from, out);
    }

    fn show(&mut self, event: &Event, out: &mut Vec<Text>) {
        let shown = self.shown.get_or_insert_with(ShownLines::new);
        shown.apply(event, out);
    }

    /// Nothing more comes: what still stood there is told, too.
    pub fn finish(&mut self, out: &mut Vec<Text>) {
        let from = out.len();
        self.typed.finish(self.at_ns, out);
        if let Some(shown) = &mut self.shown {
            shown.finish(self.at_ns, out);
        }
        self.guess(from, out);
        for (_, strings) in &mut self.pipes {
            strings.finish(self.at_ns, out);
        }
    }

    /// What stands on the screen, or is being typed, after the last event.
    pub fn standing(&self, out: &mut Vec<Text>) {
        if let Some(shown) = &self.shown {
            shown.standing(self.at_ns, out);
        }
        self.typed.standing(self.at_ns, out);
        for (_, strings) in &self.pipes {
            strings.standing(self.at_ns, out);
        }
    }

    /// Lines that were passed over since the beginning, because too many scrolled away at once.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.shown.as_ref().map_or(0, ShownLines::passed_over)
    }

    /// Moment of the last event.
    #[must_use]
    pub fn at_ns(&self) -> u64 {
        self.at_ns
    }

    /// Adds what looks like commands among the lines told since, unless they are known better.
    fn guess(&mut self, from: usize, out: &mut Vec<Text>) {
        let told = out.get(from..).unwrap_or(&[]);
        if told.is_empty() {
            return;
        }
        let known = |text: &Text| matches!(text.what, What::MarkedCommand);
        self.knows_commands |= told.iter().any(known);
        if self.knows_commands {
            return;
        }
        let guessed: Vec<Text> = told.iter().filter_map(guess::guessed_command).collect();
        out.extend(guessed);
    }
}

/// Cuts off a piece of at most so many bytes, at a character.
fn piece(text: &str, bytes_max: usize) -> (&str, &str) {
    if text.len() <= bytes_max {
        return (text, "");
    }
    let mut at = bytes_max;
    while at > 0 && !text.is_char_boundary(at) {
        at -= 1;
    }
    text.split_at(at)
}

/// Pieces of a text within the bound.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (head, tail) = piece(rest, TEXT_BYTES_MAX);
        rest = tail;
        (!head.is_empty()).then_some(head)
    })
}

#[cfg(test)]
mod tests;
