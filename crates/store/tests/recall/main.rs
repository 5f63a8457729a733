//! Recall: what stood on the screens of recorded programs is found, at the moment it stood there.
//!
//! The recordings in `tests/samples/screens` are of vim, less, top, tmux, git, a shell, Python and
//! others, made on a pty. The judge is a plain scan: the screen after each event, row by row. Phrases
//! are taken from what the scan sees; each must be found at the moment it came to be there, within one
//! event. `made` does the same with recordings that are made just then.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

mod made;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use hansard_core::{Body, Event, SessionId};
use hansard_store::index::{BlockWriter, Hit, Index as _, Limits, TantivyIndex, Whose, search};
use hansard_view::cast::{CastDecoder, CastVersion};
use hansard_view::codec::Decoder as _;
use hansard_view::question::{Candidate, Finder, Question};
use hansard_view::text::{Texts, What};
use hansard_view::{Import, Screen};

/// Phrases that are taken of all recordings together.
const PHRASES: usize = 1000;

struct Recording {
    name: String,
    whose: Whose,
    events: Vec<Event>,
    /// Rows after each event.
    frames: Vec<(u64, Vec<String>)>,
    /// Width of the screen then.
    cols: Vec<usize>,
}

fn samples() -> Vec<Recording> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/samples/screens");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "cast"))
        .collect();
    paths.sort();
    (0u64..)
        .zip(paths)
        .map(|(n, path)| read(n, &path))
        .collect()
}

fn read(n: u64, path: &Path) -> Recording {
    let import = Import {
        id: SessionId::new_v7(n + 1, [3; 10]),
        start_utc_ns: 0,
        recorder: "test".to_owned(),
        rec: None,
    };
    let mut decoder = CastDecoder::new(File::open(path).unwrap(), CastVersion::V2, import);
    let mut events = Vec::new();
    let mut whose = None;
    while let Some(event) = decoder.next_event().unwrap() {
        if let Body::Start(header) = &event.body {
            let mut of = Whose::of(header);
            of.session = SessionId::new_v7(n + 1, [3; 10]);
            of.start_utc_ns = (n + 1) * 1_000_000_000_000;
            whose = Some(of);
        }
        events.push(event);
    }
    let mut screen = Screen::default();
    let mut frames: Vec<(u64, Vec<String>)> = Vec::new();
    let mut cols = Vec::new();
    for event in &events {
        screen.apply(&event.body);
        cols.push(usize::from(screen.size().0));
        frames.push((event.at_ns, screen.rows()));
    }
    Recording {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        whose: whose.unwrap(),
        events,
        frames,
        cols,
    }
}

/// An index of all recordings, in a directory that goes with it.
struct Indexed {
    index: TantivyIndex,
    dir: PathBuf,
}

impl Drop for Indexed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn index(recordings: &[Recording], name: &str) -> Indexed {
    let dir = std::env::temp_dir().join(format!("hansard-recall-{name}-{}", std::process::id()));
    let (index, _) = TantivyIndex::open(&dir).unwrap();
    for recording in recordings {
        let mut texts = Texts::new();
        let mut writer = BlockWriter::new(recording.whose.clone());
        let mut ready = Vec::new();
        for event in &recording.events {
            texts.turn(event, &mut ready);
        }
        texts.finish(&mut ready);
        for text in ready {
            if let Some(full) = writer.push(text) {
                index.put(full).unwrap();
            }
        }
        index.put(writer.finish()).unwrap();
    }
    index.commit().unwrap();
    Indexed { index, dir }
}

fn asked(index: &Indexed, whose: &Whose, phrase: &str, within: Option<(u64, u64)>) -> Vec<Hit> {
    let mut question = question(phrase);
    question.bounds.session = Some(whose.session);
    if let Some((since, until)) = within {
        question.bounds.since_ns = Some(whose.start_utc_ns + since);
        question.bounds.until_ns = Some(whose.start_utc_ns + until);
    }
    let limits = Limits {
        hits: 1_000_000,
        ..Limits::default()
    };
    let found = search(&index.index, &question, None, (None, limits), &|| false).unwrap();
    assert_eq!(found.next, None);
    found.sessions.into_iter().flat_map(|of| of.hits).collect()
}

fn question(phrase: &str) -> Question {
    let escaped = phrase.replace('\\', "\\\\").replace('"', "\\\"");
    Question::parse(&format!("in:shown \"{escaped}\""), 0).unwrap()
}

/// Whether a phrase stands in a row of a frame, as whole words: those at the edge of the screen, or
/// at the end of a row that is still being written, are not whole yet.
fn stands(finder: &mut Finder<'_>, recording: &Recording, frame: usize, at: usize) -> bool {
    let rows = &recording.frames[frame].1;
    let line = Candidate {
        what: What::Shown,
        text: &rows[at],
        is_hidden: false,
    };
    let Some(places) = finder.find(line) else {
        return false;
    };
    let (begins_cut, ends_cut) = edges(recording, frame, at);
    let end = rows[at].chars().count();
    places
        .iter()
        .all(|place| (!begins_cut || place.start != 0) && (!ends_cut || place.end != end))
}

/// Whether the first word of a row, and its last, may be pieces of words.
fn edges(recording: &Recording, frame: usize, at: usize) -> (bool, bool) {
    let rows = &recording.frames[frame].1;
    let width = |row: &String| row.chars().count();
    let cols = recording.cols[frame];
    let grows = recording.frames.get(frame + 1).is_some_and(|(_, later)| {
        later
            .iter()
            .any(|later| later.starts_with(&rows[at]) && *later != rows[at])
    });
    let begins_cut = at > 0 && width(&rows[at - 1]) >= cols;
    (begins_cut, grows || width(&rows[at]) >= cols)
}

/// A phrase of a row, and the frame in which the row came to be there.
struct Phrase {
    words: String,
    frame: usize,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// A phrase of whole words from a row that came to be there in some frame. Words that are cut by the
/// edge of the screen, or are still being written, are no words yet.
fn draw(recording: &Recording, dice: &mut Dice) -> Option<Phrase> {
    let frame = 1 + dice.below(recording.frames.len() - 1);
    let before: HashSet<&String> = recording.frames[frame - 1].1.iter().collect();
    let rows = &recording.frames[frame].1;
    let fresh: Vec<usize> = (0..rows.len())
        .filter(|at| !rows[*at].is_empty() && !before.contains(&rows[*at]))
        .collect();
    if fresh.is_empty() {
        return None;
    }
    let at = fresh[dice.below(fresh.len())];
    let row = &rows[at];
    let (begins_cut, ends_cut) = edges(recording, frame, at);
    let mut words: Vec<&str> = row.split_whitespace().collect();
    if ends_cut && !words.is_empty() {
        words.pop();
    }
    if begins_cut && !words.is_empty() {
        words.remove(0);
    }
    if words.is_empty() {
        return None;
    }
    let from = dice.below(words.len());
    let count = 1 + dice.below(4.min(words.len() - from));
    Some(Phrase {
        words: words[from..from + count].join(" "),
        frame,
    })
}

/// The moments between which something counts as that of this frame: one frame each way.
fn around(recording: &Recording, frame: usize) -> (u64, u64) {
    let at = |n: usize| recording.frames[n.min(recording.frames.len() - 1)].0;
    (at(frame.saturating_sub(1)), at(frame + 1) + 1)
}

#[test]
fn every_phrase_that_stood_on_a_screen_is_found_at_its_moment() {
    let recordings = samples();
    assert!(recordings.len() >= 25, "{}", recordings.len());
    let index = index(&recordings, "sampled");
    let mut dice = Dice(1);
    let (mut done, mut tries) = (0, 0);
    while done < PHRASES {
        tries += 1;
        assert!(tries < PHRASES * 20, "too few phrases to draw");
        let recording = &recordings[dice.below(recordings.len())];
        if let Some(phrase) = draw(recording, &mut dice) {
            must_be_found(&index, recording, &phrase);
            done += 1;
        }
    }
}

/// A phrase that was drawn is found where it was drawn, and where it was first.
fn must_be_found(index: &Indexed, recording: &Recording, Phrase { words, frame }: &Phrase) {
    let frame = *frame;
    let what = format!("{}: {words:?} of frame {frame}", recording.name);
    // Where it was drawn.
    let (since, until) = around(recording, frame);
    let hits = asked(index, &recording.whose, words, Some((since, until)));
    assert!(!hits.is_empty(), "{what} is not found there");
    // Where it was first.
    let question = question(words);
    let mut finder = Finder::new(&question);
    let first = (0..recording.frames.len())
        .find(|frame| {
            let rows = 0..recording.frames[*frame].1.len();
            rows.into_iter()
                .any(|row| stands(&mut finder, recording, *frame, row))
        })
        .unwrap_or_else(|| panic!("{what}: the judge does not see it"));
    let (since, until) = around(recording, first);
    let hits = asked(index, &recording.whose, words, None);
    // Below a row that is full a word may be the rest of one, or stand there whole: both will do.
    let sees = |rows: &[String]| {
        rows.iter().any(|row| {
            let (what, is_hidden) = (What::Shown, false);
            let line = Candidate {
                what,
                text: row,
                is_hidden,
            };
            finder.find(line).is_some()
        })
    };
    let frames = recording.frames.iter();
    let seen = frames.map(|(_, rows)| rows.as_slice()).position(sees);
    let (seen_since, seen_until) = around(recording, seen.unwrap_or(first));
    let is_then = |hit: &Hit| {
        (since..until).contains(&hit.at_ns) || (seen_since..seen_until).contains(&hit.at_ns)
    };
    assert!(
        hits.iter().any(is_then),
        "{what}: first in {first}, {hits:?}"
    );
}

#[test]
fn every_planted_phrase_is_found() {
    let recordings = samples();
    let index = index(&recordings, "planted");
    for (name, phrase) in [
        ("vim-0", "planted in vim number 0 here"),
        ("vim-1", "planted in vim number 1 here"),
        ("vim-2", "planted in vim number 2 here"),
        ("vim-3", "planted in vim number 3 here"),
        ("shell-0", "planted at a prompt 0"),
        ("shell-3", "planted at a prompt 3"),
        ("shell-1", "planted at a prompt 1"),
        ("tmux-0", "planted in tmux 0"),
        ("tmux-1", "planted in tmux 1"),
        ("python", "row 29 of the python table 841"),
        ("progress", "Progress: 42% of the transfer"),
        ("progress", "finished the transfer"),
        ("git-log", "change number 8 of the schema"),
        ("psql", "psql is the PostgreSQL interactive terminal."),
    ] {
        let recording = recordings.iter().find(|r| r.name == name).unwrap();
        let hits = asked(&index, &recording.whose, phrase, None);
        assert!(!hits.is_empty(), "{name}: {phrase}");
    }
}

#[test]
fn every_line_that_ran_through_a_screen_is_found() {
    let recordings = samples();
    let index = index(&recordings, "bulk");
    let bulk = recordings.iter().find(|r| r.name == "bulk").unwrap();
    let mut shown = Vec::new();
    for event in &bulk.events {
        if let Body::Data { bytes, .. } = &event.body {
            shown.extend_from_slice(bytes);
        }
    }
    let shown = String::from_utf8(shown).unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.len() > 1000);
    for line in lines.iter().step_by(7) {
        let hits = asked(&index, &bulk.whose, line, None);
        assert!(!hits.is_empty(), "{line}");
    }
}
