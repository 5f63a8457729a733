//! Pages of lines, in both directions, beside all lines sorted.

use hansard_core::SessionId;
use hansard_view::text::{Step, Text, What};

use super::{LinePlace, Wish, lines};
use crate::index::block::{BLOCK_TEXT_BYTES, BlockWriter, Whose};
use crate::index::{MemoryIndex, TantivyIndex};

const SECOND: u64 = 1_000_000_000;

fn session(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

fn whose(number: u8) -> Whose {
    Whose {
        session: session(number),
        user: "ada".to_owned(),
        host: "web-1".to_owned(),
        kind: "terminal".to_owned(),
        start_utc_ns: 1_700_000_000 * SECOND,
    }
}

fn text(line: String, first_ns: u64, last_ns: u64) -> Text {
    Text {
        what: What::Shown,
        text: line,
        first_ns,
        last_ns,
        steps: Vec::new(),
        is_concealed: false,
        is_blended: false,
        is_cut: false,
    }
}

/// Lines in the order in which they were over: most scroll through within a second, each hundredth
/// stands for twenty minutes. Between them are commands, which are no lines.
fn made() -> Vec<Text> {
    let mut made = Vec::new();
    let mut at_ns = 0;
    for n in 0..6000u64 {
        // Bursts of a thousand lines, several of one moment, and pauses of minutes between them.
        at_ns += match n % 1000 {
            0 => 600 * SECOND,
            m if m % 3 == 0 => 0,
            _ => 2_000_000,
        };
        let stands = if n % 100 == 7 { 1200 * SECOND } else { SECOND };
        made.push(text(
            format!("line {n} {}", "x".repeat(40)),
            at_ns,
            at_ns + stands,
        ));
        if n % 50 == 0 {
            let mut command = text(format!("command {n}"), at_ns, at_ns);
            command.what = What::Command;
            made.push(command);
        }
    }
    made.sort_by_key(|text| text.last_ns);
    made
}

fn fill(index: &dyn crate::index::Index, number: u8, texts: Vec<Text>) -> u32 {
    let mut writer = BlockWriter::new(whose(number));
    for text in texts {
        if let Some(full) = writer.push(text) {
            index.put(full).unwrap();
        }
    }
    let last = writer.finish();
    let blocks = last.number + 1;
    index.put(last).unwrap();
    index.commit().unwrap();
    blocks
}

/// All pages from an edge on, as moments and texts.
fn read(
    index: &dyn crate::index::Index,
    edge: LinePlace,
    is_backward: bool,
    limit: usize,
) -> Vec<(u64, String)> {
    let (mut edge, mut all) = (edge, Vec::new());
    loop {
        let wish = Wish {
            session: session(1),
            edge,
            is_backward,
            limit,
        };
        let page = lines(index, &wish).unwrap();
        assert!(page.lines.len() <= limit && page.is_whole && !page.is_tired);
        all.extend(page.lines.into_iter().map(|l| (l.place.at_ns, l.text)));
        match page.next {
            Some(next) => edge = LinePlace::of_cursor(&next.cursor()).unwrap(),
            None => return all,
        }
    }
}

fn pages_are_all_lines(index: &dyn crate::index::Index) {
    let texts = made();
    // Another session before and behind it has lines of its own.
    for other in [0, 2] {
        fill(
            index,
            other,
            vec![text("of somebody else".to_owned(), 0, SECOND)],
        );
    }
    let blocks = fill(index, 1, texts.clone());
    assert!(blocks > 5, "{blocks} blocks of {BLOCK_TEXT_BYTES} bytes");
    let shown = texts.iter().filter(|text| text.what == What::Shown);
    let mut wanted: Vec<(u64, String)> = shown.map(|t| (t.first_ns, t.text.clone())).collect();
    wanted.sort_by_key(|(at_ns, _)| *at_ns);
    let sorted = |mut lines: Vec<(u64, String)>| {
        let times: Vec<u64> = lines.iter().map(|(at_ns, _)| *at_ns).collect();
        assert!(times.is_sorted());
        // Those of one moment stand as they were over.
        lines.sort();
        lines
    };
    for limit in [1000, 37] {
        let all = read(index, LinePlace::default(), false, limit);
        let mut expected = wanted.clone();
        expected.sort();
        assert_eq!(sorted(all.clone()), expected);
        let end = LinePlace::before(u64::MAX);
        let mut back = read(index, end, true, limit);
        back.reverse();
        assert_eq!(back, all, "the way back is the same");
    }
    // From the middle, on and back: together all, and nothing twice.
    for at_s in [0u64, 600, 601, 1500, 3601] {
        let edge = LinePlace::before(at_s * SECOND);
        let mut both = read(index, edge, true, 100);
        both.reverse();
        assert!(both.iter().all(|(at_ns, _)| *at_ns < edge.at_ns));
        both.extend(read(index, edge, false, 100));
        let mut expected = wanted.clone();
        expected.sort();
        assert_eq!(sorted(both), expected, "around {at_s} s");
    }
}

#[test]
fn pages_on_and_back_are_all_lines_in_the_order_in_which_they_came() {
    pages_are_all_lines(&MemoryIndex::new());
    let dir = crate::index::tests::Scratch::new();
    let (index, _) = TantivyIndex::open(dir.path()).unwrap();
    pages_are_all_lines(&index);
}

#[test]
fn a_line_says_when_it_was_whole_and_each_time_it_was_there() {
    let index = MemoryIndex::new();
    let grown = Text {
        steps: vec![
            Step {
                chars: 2,
                at_ns: 10,
            },
            Step {
                chars: 7,
                at_ns: 900,
            },
        ],
        ..text("$ ls -l".to_owned(), 10, 2 * SECOND)
    };
    let again = text("$ ls -l".to_owned(), 60 * SECOND, 61 * SECOND);
    fill(&index, 1, vec![grown, again]);
    let wish = Wish {
        session: session(1),
        edge: LinePlace::default(),
        is_backward: false,
        limit: 10,
    };
    let page = lines(&index, &wish).unwrap();
    let times = page.lines.iter().map(|l| (l.place.at_ns, l.whole_ns));
    let times: Vec<(u64, u64)> = times.collect();
    assert_eq!(times, [(10, 900), (60 * SECOND, 60 * SECOND)]);
    assert_eq!(page.lines[0].until_ns, 2 * SECOND);
    // A session that the index has nothing of has no lines.
    let nothing = lines(
        &index,
        &Wish {
            session: session(9),
            ..wish
        },
    );
    assert_eq!(nothing.unwrap().lines, []);
}

#[test]
fn cursors_survive_as_text() {
    let place = LinePlace {
        at_ns: u64::MAX,
        block: 3,
        entry: 2047,
        time: 31,
    };
    assert_eq!(LinePlace::of_cursor(&place.cursor()), Some(place));
    for bad in ["", "1", "1.2.3", "1.2.3.4.5", "1.2.3.-4", "' OR 1=1"] {
        assert_eq!(LinePlace::of_cursor(bad), None, "{bad}");
    }
}
