//! What an index keeps of a session's texts: some thirty kilobytes of them, each once, with the
//! moments at which it was there.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use hansard_core::{Session, SessionId};
use hansard_view::question::{Bounds, Need, words};
use hansard_view::text::{Step, Text, What, moment_of};

use crate::limits::ROW_TEXT_BYTES_MAX;
use crate::project::start_facts;

/// Bytes of text at which a block is full.
pub const BLOCK_TEXT_BYTES: usize = 32 * 1024;

/// Texts at which a block is full, however short they are.
pub const BLOCK_TEXTS_MAX: usize = 2048;

/// Moments of all texts at which a block is full: what is drawn again and again takes some bytes
/// each time.
pub const BLOCK_SPANS_MAX: usize = 8192;

/// Times at which one text was there that a block tells apart; further ones are taken for one with
/// the last.
pub const SPANS_MAX: usize = 32;

/// A text that is gone for no longer than this was there all the time.
pub const FLICKER_NS: u64 = 250_000_000;

/// Text of one session that is indexed, in bytes. Of a session that showed more, the rest of what was
/// shown and typed is not found, which its answers say; commands and events still are.
pub const SESSION_TEXT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Whose session it is: what a block says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// The session.
    pub session: SessionId,
    /// Its user; empty where nobody is known.
    pub user: String,
    /// The host.
    pub host: String,
    /// The kind of session.
    pub kind: String,
    /// UTC nanoseconds since 1970 at its moment zero.
    pub start_utc_ns: u64,
}

impl Whose {
    /// As a session's header has it, and as rows of the catalog do.
    #[must_use]
    pub fn of(header: &Session) -> Self {
        let start = start_facts(header);
        let cut = |text: &str| {
            let mut end = text.len().min(ROW_TEXT_BYTES_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.get(..end).unwrap_or("").to_owned()
        };
        Self {
            session: header.id,
            user: cut(&start.user),
            host: cut(&start.host),
            kind: cut(&start.kind),
            start_utc_ns: header.start_utc_ns,
        }
    }
}

/// A time during which a text was there: nanoseconds since the session's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From.
    pub first_ns: u64,
    /// Up to.
    pub last_ns: u64,
}

/// One text of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub what: What,
    /// Length of its text in bytes, without the line feed behind it.
    pub bytes: u32,
    /// Whether some of it was printed concealed.
    pub is_concealed: bool,
    /// Whether some of it had the colour of its ground.
    pub is_blended: bool,
    /// Whether it is a piece of a longer line.
    pub is_cut: bool,
    /// When it was there, in order, at least once and at most [`SPANS_MAX`] times.
    pub spans: Vec<Span>,
    /// How it grew the first time.
    pub steps: Vec<Step>,
}

impl Entry {
    /// When so many of its characters came to be there within these moments, if they were.
    #[must_use]
    pub fn moment(&self, chars: usize, since_ns: u64, until_ns: u64) -> Option<(u64, Span)> {
        let within = |(at, span): (usize, &Span)| {
            let came = match at {
                0 => moment_of(span.first_ns, &self.steps, chars),
                _ => span.first_ns,
            };
            let is_within = came < until_ns && span.last_ns.max(came) >= since_ns;
            is_within.then(|| (came.max(since_ns), *span))
        };
        self.spans.iter().enumerate().find_map(within)
    }
}

/// Some texts of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Whose they are.
    pub whose: Arc<Whose>,
    /// Number in the session, from 0.
    pub number: u32,
    /// Whether more texts may come into it.
    pub is_open: bool,
    /// Whether it is the session's last.
    pub is_last: bool,
    /// Whether text of the session was left out, over [`SESSION_TEXT_BYTES_MAX`] or because too
    /// much scrolled away at once.
    pub is_capped: bool,
    /// Least and greatest moment of its texts, nanoseconds since the session's start.
    pub span: Span,
    /// Its texts.
    pub entries: Vec<Entry>,
    /// Their texts, one behind the other, a line feed behind each.
    pub texts: String,
}

impl Block {
    /// Every entry with its text.
    pub fn entries(&self) -> impl Iterator<Item = (&Entry, &str)> + Clone {
        let mut at = 0usize;
        self.entries.iter().map(move |entry| {
            let end = at.saturating_add(usize::try_from(entry.bytes).unwrap_or(usize::MAX));
            let text = self.texts.get(at..end).unwrap_or("");
            at = end.saturating_add(1);
            (entry, text)
        })
    }

    /// Each word of it, once.
    #[must_use]
    pub fn words(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (_, text) in self.entries() {
            words::each(text, |word| {
                if !found.contains(word) {
                    found.insert(word.to_owned());
                }
            });
        }
        found
    }

    /// UTC nanoseconds of its least and greatest moment.
    #[must_use]
    pub fn utc(&self) -> Span {
        let utc = |ns: u64| self.whose.start_utc_ns.saturating_add(ns);
        Span {
            first_ns: utc(self.span.first_ns),
            last_ns: utc(self.span.last_ns),
        }
    }

    /// Whether it is within these bounds.
    #[must_use]
    pub fn is_within(&self, bounds: &Bounds) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|w| w == has);
        let utc = self.utc();
        is(&bounds.user, &self.whose.user)
            && is(&bounds.host, &self.whose.host)
            && is(&bounds.kind, &self.whose.kind)
            && bounds.session.is_none_or(|id| id == self.whose.session)
            && bounds.since_ns.is_none_or(|since| utc.last_ns >= since)
            && bounds.until_ns.is_none_or(|until| utc.first_ns < until)
    }

    /// Whether it has all these words.
    #[must_use]
    pub fn has(&self, needs: &[Need]) -> bool {
        if needs.is_empty() {
            return true;
        }
        let words = self.words();
        needs.iter().all(|need| match need {
            Need::Word(word) => words.contains(word),
            Need::Begin(begin) => words
                .range::<String, _>(begin.to_owned()..)
                .next()
                .is_some_and(|word| word.starts_with(begin.as_str())),
        })
    }
}

/// Cuts a session's texts into blocks. The same texts make the same blocks.
#[derive(Debug, Clone)]
pub struct BlockWriter {
    block: Block,
    /// Which entry has a text, by the hash of both, and where its text begins.
    known: HashMap<u64, (usize, usize)>,
    spans: usize,
    /// Bytes that were shown or typed in blocks so far.
    text_bytes: u64,
}

impl BlockWriter {
    /// At the beginning of a session.
    #[must_use]
    pub fn new(whose: Whose) -> Self {
        let block = Block {
            whose: Arc::new(whose),
            number: 0,
            is_open: true,
            is_last: false,
            is_capped: false,
            span: Span {
                first_ns: u64::MAX,
                last_ns: 0,
            },
            entries: Vec::new(),
            texts: String::new(),
        };
        Self {
            block,
            known: HashMap::new(),
            spans: 0,
            text_bytes: 0,
        }
    }

    /// Says whose session it is, where that became known only now. Blocks before it are without.
    pub fn set_whose(&mut self, whose: Whose) {
        self.block.whose = Arc::new(whose);
    }

    /// Number of the block that is being filled.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.block.number
    }

    /// Some of the session's text was passed over.
    pub fn note_passed_over(&mut self) {
        self.block.is_capped = true;
    }

    /// Adds a text; answers the block before it if that is full.
    pub fn push(&mut self, text: Text) -> Option<Block> {
        let is_stream = matches!(text.what, What::Shown | What::Typed);
        if is_stream && self.text_bytes >= SESSION_TEXT_BYTES_MAX {
            self.block.is_capped = true;
            return None;
        }
        // Line feeds are not counted.
        let bytes = self.block.texts.len() - self.block.entries.len();
        let is_full = bytes + text.text.len() > BLOCK_TEXT_BYTES
            || self.block.entries.len() >= BLOCK_TEXTS_MAX
            || self.spans >= BLOCK_SPANS_MAX;
        let full = is_full.then(|| self.turn_over());
        self.add(text, is_stream);
        full
    }

    fn add(&mut self, text: Text, is_stream: bool) {
        let span = Span {
            first_ns: text.first_ns,
            last_ns: text.last_ns.max(text.first_ns),
        };
        let bounds = &mut self.block.span;
        bounds.first_ns = bounds.first_ns.min(span.first_ns);
        bounds.last_ns = bounds.last_ns.max(span.last_ns);
        let key = key(text.what, &text.text);
        if let Some(entry) = self.known_entry(key, &text) {
            entry.is_concealed |= text.is_concealed;
            entry.is_blended |= text.is_blended;
            let is_more = join(&mut entry.spans, span);
            self.spans += usize::from(is_more);
            return;
        }
        self.spans += 1 + text.steps.len() / 4;
        if is_stream {
            self.text_bytes = self.text_bytes.saturating_add(text.text.len() as u64);
        }
        let place = (self.block.entries.len(), self.block.texts.len());
        self.block.texts.push_str(&text.text);
        self.block.texts.push('\n');
        self.block.entries.push(Entry {
            what: text.what,
            bytes: u32::try_from(text.text.len()).unwrap_or(u32::MAX),
            is_concealed: text.is_concealed,
            is_blended: text.is_blended,
            is_cut: text.is_cut,
            spans: vec![span],
            steps: text.steps,
        });
        self.known.insert(key, place);
    }

    /// The entry that has this text already.
    fn known_entry(&mut self, key: u64, text: &Text) -> Option<&mut Entry> {
        let (entry, begin) = *self.known.get(&key)?;
        let entry = self.block.entries.get_mut(entry)?;
        let end = begin.checked_add(text.text.len())?;
        let is_it = entry.what == text.what
            && entry.bytes as usize == text.text.len()
            && self.block.texts.get(begin..end) == Some(text.text.as_str());
        is_it.then_some(entry)
    }

    fn turn_over(&mut self) -> Block {
        let next = Block {
            whose: Arc::clone(&self.block.whose),
            number: self.block.number.saturating_add(1),
            is_capped: self.block.is_capped,
            ..BlockWriter::new((*self.block.whose).clone()).block
        };
        let mut full = std::mem::replace(&mut self.block, next);
        full.is_open = false;
        self.known.clear();
        self.spans = 0;
        sound(full)
    }

    /// The block that is being filled as it is now, and with it what stands there.
    #[must_use]
    pub fn open(&self, standing: Vec<Text>) -> Block {
        let mut now = self.clone();
        for text in standing {
            let is_stream = matches!(text.what, What::Shown | What::Typed);
            now.add(text, is_stream);
        }
        sound(now.block)
    }

    /// The session is over.
    #[must_use]
    pub fn finish(mut self) -> Block {
        self.block.is_open = false;
        self.block.is_last = true;
        sound(self.block)
    }
}

/// The same in every process: blocks are a function of the recording.
fn key(what: What, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (what, text).hash(&mut hasher);
    hasher.finish()
}

/// A block without texts has no moments.
fn sound(mut block: Block) -> Block {
    block.span.first_ns = block.span.first_ns.min(block.span.last_ns);
    block
}

/// Adds a time to those that a text was there; answers whether it is one more.
fn join(spans: &mut Vec<Span>, span: Span) -> bool {
    let (has_room, is_first) = (spans.len() < SPANS_MAX, spans.len() == 1);
    match spans.last_mut() {
        Some(last) if !has_room || span.first_ns <= last.last_ns.saturating_add(FLICKER_NS) => {
            if is_first {
                last.first_ns = last.first_ns.min(span.first_ns);
            }
            last.last_ns = last.last_ns.max(span.last_ns);
            false
        }
        _ => {
            spans.push(span);
            true
        }
    }
}
