//! What a terminal showed: an emulator fed with a recording's bytes.

use std::borrow::Cow;

use avt::observer::Observer;
use avt::{Line, Terminal};
use hansard_core::{Body, Stream};

use crate::conceal::{CONCEAL_BYTES, Conceal};
use crate::heavy::lightened;
use crate::limits::{REFLOW_CELLS_MAX, SCREEN_COLS_MAX, SCREEN_DEFAULT, SCREEN_ROWS_MAX};
use crate::utf8::Utf8;

/// Version of [`Screen::to_keyframe`]'s layout.
const KEYFRAME_VERSION: u8 = 1;

/// A terminal's screen.
///
/// Takes bytes, not text: a character cut in two is completed by the next bytes, and what is not
/// UTF-8 shows as U+FFFD. There is no scrollback: what left the screen is gone. A terminal wider
/// or higher than [`SCREEN_COLS_MAX`] × [`SCREEN_ROWS_MAX`] is emulated at that size, so that a
/// hostile resize costs no memory. A size of zero says that nobody set one (a terminal without a
/// window: cron, CI, a program that opened it): it counts as [`SCREEN_DEFAULT`], which is what
/// programs take it for.
pub struct Screen {
    terminal: Terminal,
    utf8: Utf8,
    conceal: Conceal,
    /// Whether cells blink where they are concealed, and nowhere else.
    marks: bool,
    work: u64,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new(SCREEN_DEFAULT.0, SCREEN_DEFAULT.1)
    }
}

/// The stored bytes are no keyframe of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAKeyframe;

impl std::fmt::Display for NotAKeyframe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a keyframe of this version")
    }
}

impl std::error::Error for NotAKeyframe {}

impl Screen {
    /// A blank screen of this size, within the bounds of the type.
    #[must_use]
    pub fn new(cols: u16, rows: u16) -> Self {
        let (cols, rows) = clamp(cols, rows);
        Self {
            terminal: blank(cols, rows),
            utf8: Utf8::new(),
            conceal: Conceal::default(),
            marks: false,
            work: 0,
        }
    }

    /// A screen whose cells blink where they are concealed, and nowhere else. It is for looking at cells: its keyframes
    /// are not those of the recording.
    pub(crate) fn marking() -> Self {
        Self {
            marks: true,
            ..Self::default()
        }
    }

    /// Feeds bytes that a terminal was sent.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.feed_with(bytes, &mut ());
    }

    /// Feeds bytes and lets an observer of the emulator look on.
    pub(crate) fn feed_with<O: Observer>(&mut self, bytes: &[u8], observer: &mut O) {
        let Self {
            terminal,
            utf8,
            conceal,
            marks,
            work,
        } = self;
        utf8.feed(bytes, |text| {
            let text = if *marks {
                conceal.feed_marking(text)
            } else {
                conceal.feed(text);
                Cow::Borrowed(text)
            };
            let (text, more) = lightened(&text, terminal.size());
            *work = work.saturating_add(more);
            terminal.feed_with(&*text, &mut *observer);
        });
    }

    /// What sequences of few bytes made of it since this screen was made, in about as many printed characters.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Gives the screen another size, within the bounds of the type. Lines are wrapped anew, as
    /// terminals do it.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.resize_with(cols, rows, &mut ());
    }

    pub(crate) fn resize_with<O: Observer>(&mut self, cols: u16, rows: u16, observer: &mut O) {
        let (cols, rows) = clamp(cols, rows);
        let (cols, rows) = (usize::from(cols), usize::from(rows));
        loop {
            let (cols_now, rows_now) = self.terminal.size();
            if rows_now * cols_now * cols_now / cols <= REFLOW_CELLS_MAX {
                break;
            }
            self.terminal
                .resize_with(cols_now / 2, rows_now, &mut *observer);
        }
        self.terminal.resize_with(cols, rows, observer);
    }

    /// Applies an event: bytes shown and changes of size count, everything else does not.
    ///
    /// Standard output and error of a program without a terminal are shown as a terminal would
    /// have shown them: a line feed also returns to the first column.
    pub fn apply(&mut self, body: &Body) {
        self.apply_with(body, &mut ());
    }

    pub(crate) fn apply_with<O: Observer>(&mut self, body: &Body, observer: &mut O) {
        match body {
            Body::Data {
                stream: Stream::Output,
                bytes,
            } => self.feed_with(bytes, observer),
            Body::Data {
                stream: Stream::Stdout | Stream::Stderr,
                bytes,
            } => {
                for line in bytes.split_inclusive(|b| *b == b'\n') {
                    match line.split_last() {
                        Some((b'\n', line)) => {
                            self.feed_with(line, observer);
                            self.feed_with(b"\r\n", observer);
                        }
                        _ => self.feed_with(line, observer),
                    }
                }
            }
            Body::Resize { cols, rows } => self.resize_with(*cols, *rows, observer),
            _ => {}
        }
    }

    /// Whether the alternate screen is shown, which keeps nothing that scrolls away.
    pub(crate) fn is_alternate(&self) -> bool {
        self.terminal.active_screen_kind() == avt::ScreenKind::Alternate
    }

    /// Columns and rows.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        let (cols, rows) = self.terminal.size();
        (
            u16::try_from(cols).unwrap_or(u16::MAX),
            u16::try_from(rows).unwrap_or(u16::MAX),
        )
    }

    /// Column and row of the cursor from 0, if it is shown. The column can equal the width: the
    /// next character wraps.
    #[must_use]
    pub fn cursor(&self) -> Option<(usize, usize)> {
        self.terminal.cursor().position()
    }

    /// The text of every row, trailing blanks cut.
    #[must_use]
    pub fn rows(&self) -> Vec<String> {
        self.lines().map(row_text).collect()
    }

    /// The text of the screen: its rows, trailing blank ones left out, a line feed after each.
    #[must_use]
    pub fn text(&self) -> String {
        let rows = self.rows();
        let used = rows
            .iter()
            .rposition(|row| !row.is_empty())
            .map_or(0, |last| last + 1);
        let mut text = String::new();
        for row in rows.iter().take(used) {
            text.push_str(row);
            text.push('\n');
        }
        text
    }

    /// Whether text printed now would be concealed (SGR 8). The screen shows concealed text.
    #[must_use]
    pub fn is_concealing(&self) -> bool {
        self.conceal.is_on()
    }

    /// Characters printed concealed since the beginning, spaces not counted.
    #[must_use]
    pub fn concealed_chars(&self) -> u64 {
        self.conceal.chars()
    }

    /// Concealed text since the last call, cut at a bound; empty if there was none.
    pub fn take_concealed(&mut self) -> String {
        self.conceal.take_text()
    }

    /// Control sequences that bring a blank terminal of the same size into this state.
    #[must_use]
    pub fn dump(&self) -> String {
        self.terminal.dump()
    }

    /// The same, and behind it the bytes of a character that is not whole yet: what follows completes it.
    #[must_use]
    pub fn dump_bytes(&self) -> Vec<u8> {
        let mut bytes = self.dump().into_bytes();
        bytes.extend_from_slice(self.utf8.held());
        bytes
    }

    /// Everything needed to go on from here, in the layout of keyframes in an index.
    #[must_use]
    pub fn to_keyframe(&self) -> Vec<u8> {
        let (cols, rows) = self.size();
        let dump = self.dump();
        let mut out = Vec::with_capacity(dump.len() + 32);
        out.push(KEYFRAME_VERSION);
        out.extend_from_slice(&cols.to_le_bytes());
        out.extend_from_slice(&rows.to_le_bytes());
        let held = self.utf8.held();
        out.push(u8::try_from(held.len()).unwrap_or(0));
        out.extend_from_slice(held);
        out.resize(9, 0);
        out.extend_from_slice(&self.conceal.to_bytes());
        out.extend_from_slice(dump.as_bytes());
        out
    }

    /// The screen that [`Self::to_keyframe`] stored.
    ///
    /// # Errors
    /// When the bytes are no keyframe. Any bytes may be given.
    pub fn from_keyframe(bytes: &[u8]) -> Result<Self, NotAKeyframe> {
        let (head, rest) = bytes.split_first_chunk::<9>().ok_or(NotAKeyframe)?;
        let (conceal, dump) = rest
            .split_first_chunk::<CONCEAL_BYTES>()
            .ok_or(NotAKeyframe)?;
        let [version, c0, c1, r0, r1, held_len, held @ ..] = head;
        let (cols, rows) = (
            u16::from_le_bytes([*c0, *c1]),
            u16::from_le_bytes([*r0, *r1]),
        );
        let held = held.get(..usize::from(*held_len)).ok_or(NotAKeyframe)?;
        let dump = std::str::from_utf8(dump).map_err(|_| NotAKeyframe)?;
        if *version != KEYFRAME_VERSION || clamp(cols, rows) != (cols, rows) {
            return Err(NotAKeyframe);
        }
        let mut terminal = blank(cols, rows);
        terminal.feed(dump);
        Ok(Self {
            terminal,
            utf8: Utf8::holding(held),
            conceal: Conceal::from_bytes(conceal),
            marks: false,
            work: 0,
        })
    }

    /// The same, where it brings all of it back. There is one state that the emulator's sequences do not: origin mode, with the
    /// cursor outside the margins, where the cursor that was saved has other modes. They end in that one, restored.
    #[must_use]
    pub fn to_whole_keyframe(&self) -> Option<Vec<u8>> {
        const RESTORED: &[u8] = b"\x1b[u";
        let keyframe = self.to_keyframe();
        let mut pieces = keyframe.windows(RESTORED.len());
        let is_doubtful = pieces.any(|piece| piece == RESTORED);
        let again = || Self::from_keyframe(&keyframe).map(|again| again.to_keyframe());
        let is_whole = !is_doubtful || again().is_ok_and(|again| again == keyframe);
        is_whole.then_some(keyframe)
    }

    pub(crate) fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    pub(crate) fn lines(&self) -> impl ExactSizeIterator<Item = &Line> {
        self.terminal.screen().visible_lines()
    }
}

/// The text of a line of the emulator, trailing blanks cut.
pub(crate) fn row_text(line: &Line) -> String {
    let mut text = line.text();
    text.truncate(text.trim_end_matches(' ').len());
    text
}

fn clamp(cols: u16, rows: u16) -> (u16, u16) {
    let (default_cols, default_rows) = SCREEN_DEFAULT;
    let or = |side, default| if side == 0 { default } else { side };
    (
        or(cols, default_cols).min(SCREEN_COLS_MAX),
        or(rows, default_rows).min(SCREEN_ROWS_MAX),
    )
}

/// A blank terminal without scrollback.
fn blank(cols: u16, rows: u16) -> Terminal {
    match Terminal::new(usize::from(cols.max(1)), usize::from(rows.max(1))) {
        Ok(terminal) => terminal,
        Err(_) => unreachable!("the emulator refuses a size of zero only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded_and_said() {
        let mut screen = Screen::new(0, 0);
        assert_eq!(screen.size(), SCREEN_DEFAULT);
        screen.resize(0, 5);
        assert_eq!(screen.size(), (SCREEN_DEFAULT.0, 5));
        screen.resize(u16::MAX, u16::MAX);
        assert_eq!(screen.size(), (SCREEN_COLS_MAX, SCREEN_ROWS_MAX));
        screen.feed(b"\x1b[31mstill there");
        assert!(screen.text().ends_with("still there\n"));
    }

    #[test]
    fn a_full_screen_made_narrow_takes_little_memory() {
        let mut screen = Screen::new(SCREEN_COLS_MAX, SCREEN_ROWS_MAX);
        let text: Vec<u8> = (b'a'..=b'y').cycle().take(640 * 250).collect();
        screen.feed(&text);
        let before = memory_kib();
        screen.resize(1, SCREEN_ROWS_MAX);
        // In one step the emulator takes a gigabyte for this.
        let grown = memory_kib().saturating_sub(before);
        assert!(grown < 100_000, "{grown} KiB");
        // And it is still the end of the text that is there.
        let rows = screen.rows();
        let tail: Vec<String> = text
            .iter()
            .rev()
            .take(249)
            .rev()
            .map(|b| char::from(*b).to_string())
            .collect();
        assert!(
            rows.windows(100)
                .any(|rows| tail.windows(100).any(|tail| rows == tail))
        );
    }

    /// Most memory that was ever resident, as the kernel counts it.
    fn memory_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn a_character_cut_in_two_and_bytes_that_are_none() {
        let mut screen = Screen::new(20, 2);
        for byte in "é界\u{9b}31m".bytes().chain([0xff, b'x']) {
            screen.feed(&[byte]);
        }
        assert_eq!(screen.text(), "é界\u{fffd}x\n");
        assert_eq!(screen.cursor(), Some((5, 0)));
    }

    #[test]
    fn concealed_text_is_shown_and_flagged() {
        let mut screen = Screen::default();
        screen.feed(b"a\x1b[8mpass word");
        assert_eq!(screen.text(), "apass word\n");
        assert!(screen.is_concealing());
        assert_eq!(screen.concealed_chars(), 8);
        assert_eq!(screen.take_concealed(), "password");
    }

    #[test]
    fn a_keyframe_is_whole_or_there_is_none() {
        let mut screen = Screen::default();
        // A cursor that was saved in origin mode comes back outside of the margins that were set meanwhile.
        screen.feed(b"\x1b[?1047h\x1b[?6h\x1b[1;10H\x1b7\x1b[5;8r\x1b[u");
        let keyframe = screen.to_whole_keyframe().unwrap();
        assert_eq!(keyframe, screen.to_keyframe());
        // On the other screen the saved one has not that mode.
        screen.feed(b"\x1b[?1047l");
        assert_eq!(screen.to_whole_keyframe(), None);
        screen.feed(b"\x1b[?6l");
        assert_eq!(screen.to_whole_keyframe(), Some(screen.to_keyframe()));
    }

    #[test]
    fn any_bytes_may_be_taken_for_a_keyframe() {
        let sound = Screen::new(10, 3).to_keyframe();
        assert!(Screen::from_keyframe(&sound).is_ok());
        for len in 0..27 {
            assert!(Screen::from_keyframe(&sound[..len]).is_err(), "{len} bytes");
        }
        for (at, byte) in [(0, 2), (1, 0), (2, 0xff), (4, 0xff), (5, 9)] {
            let mut changed = sound.clone();
            changed[at] = byte;
            assert!(
                Screen::from_keyframe(&changed).is_err(),
                "byte {at} is {byte}"
            );
        }
    }
}
