//! Answers: blocks that may hold some are read line by line, and what is found is told by session
//! with the moment at which it came to be there.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_view::question::{Candidate, Finder, Question, Sought};
use hansard_view::text::What;

use super::block::Span;
use super::{Block, Index, IndexError, Scope, Shown, Spot, Whose};

/// How much is answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions of one answer at most.
    pub sessions: usize,
    /// Hits of one session at most, the first ones; that there are more is said.
    pub hits: usize,
    /// Blocks that are read for one answer at most; then it says where to go on.
    pub blocks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 20,
            hits: 10,
            blocks: 20_000,
        }
    }
}

/// One line that is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What it is.
    pub what: What,
    /// The line.
    pub text: String,
    /// What was asked for in it, in characters.
    pub places: Vec<Range<usize>>,
    /// When what was asked for came to be there: nanoseconds since the session's start.
    pub at_ns: u64,
    /// When the line was there then.
    pub span: Span,
    /// How often the line was there around then, as far as that is told apart.
    pub times: usize,
    /// Whether some of it was printed concealed.
    pub is_concealed: bool,
    /// Whether some of it had the colour of its ground.
    pub is_blended: bool,
    /// Whether it is a piece of a longer line.
    pub is_cut: bool,
}

/// A session with answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfSession {
    /// Whose it is.
    pub whose: Arc<Whose>,
    /// The first answers in it.
    pub hits: Vec<Hit>,
    /// Whether there are more.
    pub has_more: bool,
    /// Whether text of this session was left out of the index.
    pub is_capped: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Sessions with answers, those that began last first.
    pub sessions: Vec<OfSession>,
    /// Where to go on; `None` where everything was looked through.
    pub next: Option<Spot>,
    /// Blocks that were read.
    pub blocks: usize,
    /// Whether it was left off because it took too long, and not because the answer is full.
    pub is_tired: bool,
}

/// Looks for answers behind a place. `is_enough` is asked before each block; once it says so, what
/// was found until then is answered, with where to go on.
///
/// `owner` says whose sessions are looked at, whatever is asked for.
///
/// # Errors
/// As [`Index::look`].
pub fn search(
    index: &dyn Index,
    question: &Question,
    owner: Option<&str>,
    (after, limits): (Option<Spot>, Limits),
    is_enough: &dyn Fn() -> bool,
) -> Result<Found, IndexError> {
    let Some(scope) = scope(question, owner) else {
        return Ok(Found::default());
    };
    let mut search = Searching {
        question,
        finder: Finder::new(question),
        scope: &scope,
        limits,
        found: Found::default(),
        last: after,
    };
    let quick = Quick::of(question);
    let may = |texts: &Shown<'_>| quick.may_answer(texts);
    let looked = index.look(&scope, after, &may, &mut |spot, load| {
        // One block at least is read, so that whoever goes on gets on.
        let blocks = search.found.blocks;
        if blocks > 0 && (blocks >= limits.blocks || is_enough()) {
            search.found.is_tired = true;
            return Ok(search.stop());
        }
        search.visit(spot, load)
    });
    looked?;
    Ok(search.found)
}

/// Where a question looks. `None` where that is nowhere.
fn scope(question: &Question, owner: Option<&str>) -> Option<Scope> {
    let mut bounds = question.bounds.clone();
    if let Some(owner) = owner {
        if bounds.user.as_deref().is_some_and(|user| user != owner) {
            return None;
        }
        bounds.user = Some(owner.to_owned());
    }
    Some(Scope {
        needs: question.needs(),
        bounds,
    })
}

/// Stretches of text without which no line is an answer, and which can be looked for in a whole block
/// at once: much quicker than line by line, and most blocks that have all words do not have them so.
struct Quick<'a> {
    /// Of whole words without digits: such are looked for where numbers are left out.
    plain: Vec<&'a str>,
    others: Vec<&'a str>,
}

impl<'a> Quick<'a> {
    fn of(question: &'a Question) -> Self {
        let wanted = question.items.iter().filter(|item| !item.is_not);
        let stretches = wanted.filter_map(|item| match &item.sought {
            Sought::Phrase { text, is_open } if text.is_ascii() => Some((text.as_str(), *is_open)),
            _ => None,
        });
        let has_digit = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
        let (plain, others): (Vec<_>, Vec<_>) =
            stretches.partition(|(text, is_open)| !is_open && !has_digit(text));
        let texts = |all: Vec<(&'a str, bool)>| all.into_iter().map(|(text, _)| text).collect();
        Self {
            plain: texts(plain),
            others: texts(others),
        }
    }

    /// Whether what is asked for is somewhere in a block. What is damaged is seen by who reads it.
    fn may_answer(&self, texts: &Shown<'_>) -> bool {
        let may = may_hold(&self.plain, texts.without_numbers());
        if !may || self.others.is_empty() {
            return may;
        }
        texts
            .whole()
            .is_none_or(|texts| may_hold(&self.others, &texts))
    }
}

/// Whether these words stand in a text of small letters, with blanks between them as one likes.
fn holds(text: &str, words: &str) -> bool {
    let is_blank = |c: char| matches!(c, ' ' | '\t'..='\r');
    let (first, others) = words.split_once(' ').unwrap_or((words, ""));
    // Places may overlap: in "--- done", "-- done" begins inside of what looks like its first place.
    let mut from = 0;
    while let Some(place) = text.get(from..).and_then(|text| text.find(first)) {
        let at = from + place;
        let mut rest = text.get(at + first.len()..).unwrap_or("");
        let mut words = others.split(' ').filter(|word| !word.is_empty());
        let is_here = words.all(|word| {
            let behind = rest.trim_start_matches(is_blank);
            let is_apart = behind.len() < rest.len();
            match behind.strip_prefix(word).filter(|_| is_apart) {
                Some(on) => rest = on,
                None => return false,
            }
            true
        });
        if is_here {
            return true;
        }
        from = at + 1;
    }
    false
}

/// Whether all of these may stand in a text.
fn may_hold(quick: &[&str], texts: &str) -> bool {
    // A letter whose small form is ASCII though it is not (K for kelvin) must not be missed, nor a
    // blank that is not ASCII.
    if quick.is_empty() || !texts.is_ascii() {
        return true;
    }
    let lowered = texts.to_ascii_lowercase();
    quick.iter().all(|words| holds(&lowered, words))
}

struct Searching<'a> {
    question: &'a Question,
    finder: Finder<'a>,
    scope: &'a Scope,
    limits: Limits,
    found: Found,
    /// The last place that was done.
    last: Option<Spot>,
}

impl Searching<'_> {
    fn stop(&mut self) -> ControlFlow<()> {
        self.found.next = self.last;
        ControlFlow::Break(())
    }

    fn visit(&mut self, spot: Spot, load: super::Load<'_>) -> Result<ControlFlow<()>, IndexError> {
        let of_last = self.found.sessions.last();
        let is_same = of_last.is_some_and(|found| found.whose.session == spot.session);
        if !is_same && self.found.sessions.len() >= self.limits.sessions {
            let full = of_last.map(|found| Spot::behind(found.whose.session));
            self.last = self.last.max(full);
            return Ok(self.stop());
        }
        // A session that has its answers: the rest of it is not even read.
        if is_same && of_last.is_some_and(|found| found.has_more) {
            if self.question.bounds.session.is_some() {
                return Ok(self.stop());
            }
            self.last = Some(spot);
            return Ok(ControlFlow::Continue(()));
        }
        let block = load()?;
        self.found.blocks += 1;
        self.last = Some(spot);
        if let Some(block) = block.filter(|block| block.is_within(&self.scope.bounds)) {
            self.read(&block, is_same);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn read(&mut self, block: &Block, is_same: bool) {
        let start = block.whose.start_utc_ns;
        let since = self
            .scope
            .bounds
            .since_ns
            .unwrap_or(0)
            .saturating_sub(start);
        let until = self.scope.bounds.until_ns.unwrap_or(u64::MAX);
        let until = until.saturating_sub(start);
        let mut is_same = is_same;
        for (entry, text) in block.entries() {
            let line = Candidate {
                what: entry.what,
                text,
                is_hidden: entry.is_concealed || entry.is_blended,
            };
            let Some(places) = self.finder.find(line) else {
                continue;
            };
            let chars = places.iter().map(|place| place.end).max().unwrap_or(0);
            let Some((at_ns, span)) = entry.moment(chars, since, until) else {
                continue;
            };
            let hit = Hit {
                what: entry.what,
                text: text.to_owned(),
                places,
                at_ns,
                span,
                times: entry.spans.len(),
                is_concealed: entry.is_concealed,
                is_blended: entry.is_blended,
                is_cut: entry.is_cut,
            };
            if !is_same {
                self.found.sessions.push(OfSession {
                    whose: Arc::clone(&block.whose),
                    hits: Vec::new(),
                    has_more: false,
                    is_capped: false,
                });
                is_same = true;
            }
            let Some(of_session) = self.found.sessions.last_mut() else {
                return;
            };
            of_session.is_capped |= block.is_capped;
            if of_session.hits.len() >= self.limits.hits && self.question.bounds.session.is_none() {
                of_session.has_more = true;
                return;
            }
            of_session.hits.push(hit);
        }
        if let Some(of_session) = self.found.sessions.last_mut()
            && self.question.bounds.session.is_some()
        {
            // Of one session whole blocks are answered, so that a place says where to go on.
            of_session.has_more = of_session.hits.len() >= self.limits.hits;
        }
    }
}

/// Whether a question has to be looked for in every block.
#[must_use]
pub fn looks_through_everything(question: &Question) -> bool {
    let is_regex = |sought: &Sought| matches!(sought, Sought::Regex(_));
    question.needs().is_empty() && question.items.iter().any(|item| is_regex(&item.sought))
}

/// The place as a text that says nothing to others, and back.
#[must_use]
pub fn cursor(spot: Spot) -> String {
    format!("{}.{}", spot.session, spot.number)
}

/// The place that [`cursor`] wrote.
#[must_use]
pub fn spot_of(cursor: &str) -> Option<Spot> {
    let (session, number) = cursor.split_once('.')?;
    let session: SessionId = session.parse().ok()?;
    let number = number.parse().ok()?;
    Some(Spot { session, number })
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn words_stand_in_a_text_with_blanks_between_them_as_one_likes() {
        for text in [
            "drop table",
            "x drop \t table y",
            "xdrop drop tables",
            "drop drop  table",
        ] {
            assert!(holds(text, "drop table"), "{text}");
        }
        for text in [
            "droptable",
            "drop tabl",
            "table drop",
            "drop a table",
            "drop",
            "",
        ] {
            assert!(!holds(text, "drop table"), "{text}");
        }
        assert!(holds("it says: no. again", ": no."));
        assert!(holds("one", "one"));
        // Places of the first word that overlap.
        for (text, words) in [
            ("--- done", "-- done"),
            ("../../.. &&", "../.. &&"),
            ("0.0.0 lo", "0.0 lo"),
        ] {
            assert!(holds(text, words), "{text}");
        }
    }
}
