//! A line that the viewer types at the bottom of the screen.

use super::keys::Key;

/// Longest text that can be typed.
const CHARS_MAX: usize = 200;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// A text that stood on the screen.
    Search,
    /// A moment.
    Moment,
}

impl Question {
    /// What stands before the typed text.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Search => "search: ",
            Self::Moment => "go to (90, 1:30, 1h2m, end): ",
        }
    }
}

/// A question and what has been typed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) question: Question,
    pub(super) text: String,
}

/// What a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// Changed the text, or nothing.
    On,
    /// This is the answer.
    Done(String),
    /// No answer.
    Dropped,
}

impl Prompt {
    pub(super) fn new(question: Question) -> Self {
        Self {
            question,
            text: String::new(),
        }
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: Key) -> Typed {
        match key {
            Key::Char(ch) if self.text.chars().count() < CHARS_MAX => self.text.push(ch),
            // As in `less`, deleting what is not there leaves.
            Key::Backspace if self.text.pop().is_none() => return Typed::Dropped,
            Key::Ctrl('u') => self.text.clear(),
            Key::Ctrl('w') => {
                let kept = self.text.trim_end().rfind(' ').map_or(0, |at| at + 1);
                self.text.truncate(kept);
            }
            Key::Enter => return Typed::Done(std::mem::take(&mut self.text)),
            Key::Escape | Key::Ctrl('g') => return Typed::Dropped,
            _ => {}
        }
        Typed::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_corrected_and_answered() {
        let mut prompt = Prompt::new(Question::Search);
        for key in [
            Key::Char('f'),
            Key::Char('x'),
            Key::Backspace,
            Key::Char('é'),
            Key::Left,
        ] {
            assert_eq!(prompt.key(key), Typed::On);
        }
        assert_eq!(prompt.key(Key::Enter), Typed::Done("fé".to_owned()));
        for ch in "two words".chars() {
            prompt.key(Key::Char(ch));
        }
        prompt.key(Key::Ctrl('w'));
        assert_eq!(prompt.text, "two ");
        prompt.key(Key::Ctrl('u'));
        assert_eq!(prompt.key(Key::Backspace), Typed::Dropped);
        assert_eq!(prompt.key(Key::Escape), Typed::Dropped);
    }

    #[test]
    fn a_line_has_an_end() {
        let mut prompt = Prompt::new(Question::Moment);
        for _ in 0..CHARS_MAX * 2 {
            prompt.key(Key::Char('界'));
        }
        assert_eq!(prompt.text.chars().count(), CHARS_MAX);
    }
}
