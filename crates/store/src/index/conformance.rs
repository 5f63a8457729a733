//! What every index must pass: the contract of [`Index`], line by line.
//!
//! A suite is given what makes an index and can crash it. It panics where the contract is broken, as
//! tests do.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use hansard_core::SessionId;
use hansard_view::question::{Bounds, Need, Question};
use hansard_view::text::{Text, What};

use super::search::{Limits, cursor, search, spot_of};
use super::{Block, BlockWriter, Index, Kept, Scope, Shown, Spot, Whose};

/// An index under test.
pub(super) trait Rig {
    /// The index as it is now.
    fn index(&self) -> &dyn Index;

    /// What has it crashes, and it is opened again.
    fn crash(&mut self);
}

/// All of it, each part on an index of its own.
pub(super) fn suite<R: Rig>(make: &dyn Fn() -> R) {
    what_is_put_is_found_at_once(&make());
    open_blocks_are_replaced_and_never_kept(&mut make());
    what_is_committed_survives(&mut make());
    a_block_that_is_put_again_is_there_once(&mut make());
    what_is_forgotten_is_gone(&mut make());
    order_is_newest_session_first_and_can_be_gone_on_with(&make());
    few_of_many_are_given(&make());
    every_scope_visits_what_it_must(&make());
    answers_are_those_of_reading_everything(&make());
}

/// The session with this number; a higher one began later.
fn id(n: u64) -> SessionId {
    SessionId::new_v7(1_000 + n, [7; 10])
}

fn whose(n: u64) -> Whose {
    Whose {
        session: id(n),
        user: ["anna", "ben", "céline"][(n % 3) as usize].to_owned(),
        host: format!("web{}", n % 2),
        kind: ["terminal", "exec"][(n % 2) as usize].to_owned(),
        start_utc_ns: n * 1_000_000,
    }
}

fn text(text: &str, at_ns: u64) -> Text {
    Text {
        what: What::Shown,
        text: text.to_owned(),
        first_ns: at_ns,
        last_ns: at_ns + 10,
        steps: Vec::new(),
        is_concealed: false,
        is_blended: false,
        is_cut: false,
    }
}

/// A block with one line.
fn block(session: u64, number: u32, line: &str, is_last: bool) -> Block {
    let mut writer = BlockWriter::new(whose(session));
    assert!(writer.push(text(line, u64::from(number) * 1000)).is_none());
    let mut block = writer.finish();
    block.number = number;
    block.is_last = is_last;
    block
}

fn open(session: u64, number: u32, line: &str) -> Block {
    let mut block = block(session, number, line, false);
    block.is_open = true;
    block
}

/// Lines that answer a question, with where they stand.
fn answers(index: &dyn Index, question: &str) -> Vec<(SessionId, String)> {
    let question = Question::parse(question, 0).unwrap();
    let found = search(index, &question, None, (None, Limits::default()), &|| false).unwrap();
    let mut lines = Vec::new();
    for session in found.sessions {
        let of = session.whose.session;
        lines.extend(session.hits.into_iter().map(|hit| (of, hit.text)));
    }
    lines
}

fn what_is_put_is_found_at_once(rig: &impl Rig) {
    let index = rig.index();
    assert_eq!(answers(index, "apple"), []);
    index.put(block(1, 0, "an apple a day", false)).unwrap();
    let found = [(id(1), "an apple a day".to_owned())];
    assert_eq!(answers(index, "apple"), found);
    index.commit().unwrap();
    assert_eq!(answers(index, "apple"), found);
    assert_eq!(answers(index, "pear"), []);
}

fn open_blocks_are_replaced_and_never_kept(rig: &mut impl Rig) {
    let index = rig.index();
    index.put(open(1, 0, "half an apple")).unwrap();
    index.commit().unwrap();
    assert_eq!(index.kept(id(1)).unwrap(), Kept::default());
    index.put(open(1, 0, "a whole apple")).unwrap();
    let found = [(id(1), "a whole apple".to_owned())];
    assert_eq!(answers(index, "apple"), found);
    rig.crash();
    assert_eq!(answers(rig.index(), "apple"), []);
}

fn what_is_committed_survives(rig: &mut impl Rig) {
    let index = rig.index();
    index.put(block(1, 0, "first apple", false)).unwrap();
    index.put(block(1, 1, "second apple", true)).unwrap();
    assert_eq!(index.kept(id(1)).unwrap(), Kept::default());
    index.commit().unwrap();
    let whole = Kept {
        blocks: 2,
        is_whole: true,
    };
    assert_eq!(index.kept(id(1)).unwrap(), whole);
    index.put(block(2, 0, "third apple", false)).unwrap();
    rig.crash();
    let index = rig.index();
    assert_eq!(index.kept(id(1)).unwrap(), whole);
    assert_eq!(index.kept(id(2)).unwrap(), Kept::default());
    assert_eq!(answers(index, "apple").len(), 2);
    assert_eq!(index.size().blocks, 2);
}

fn a_block_that_is_put_again_is_there_once(rig: &mut impl Rig) {
    for _ in 0..3 {
        let index = rig.index();
        index.put(block(1, 0, "an apple", false)).unwrap();
        assert_eq!(answers(index, "apple").len(), 1);
        index.commit().unwrap();
        assert_eq!(answers(index, "apple").len(), 1);
        rig.crash();
    }
    assert_eq!(answers(rig.index(), "apple").len(), 1);
    assert_eq!(rig.index().size().blocks, 1);
}

fn what_is_forgotten_is_gone(rig: &mut impl Rig) {
    let index = rig.index();
    for session in 1..4 {
        index.put(block(session, 0, "apple one", false)).unwrap();
    }
    index.commit().unwrap();
    for session in 1..4 {
        index.put(block(session, 1, "apple two", false)).unwrap();
    }
    index.forget(&[id(1), id(3), id(9)]).unwrap();
    index.forget(&[]).unwrap();
    assert_eq!(answers(index, "apple").len(), 2);
    assert_eq!(index.kept(id(1)).unwrap(), Kept::default());
    rig.crash();
    // What was put before may have become durable with it, and need not have.
    let found = answers(rig.index(), "apple");
    assert_eq!(found.first(), Some(&(id(2), "apple one".to_owned())));
    assert!(found.iter().all(|(session, _)| *session == id(2)));
}

fn order_is_newest_session_first_and_can_be_gone_on_with(rig: &impl Rig) {
    let index = rig.index();
    for number in 0..5 {
        for session in [3, 1, 2] {
            let text = ["an apple", "an apple pie"][number as usize % 2];
            index.put(block(session, number, text, false)).unwrap();
        }
        if number % 2 == 0 {
            index.commit().unwrap();
        }
    }
    let wanted: Vec<Spot> = [3, 2, 1]
        .into_iter()
        .flat_map(|n| (0..5).map(move |number| (n, number)))
        .map(|(n, number)| Spot {
            session: id(n),
            number,
        })
        .collect();
    let mut seen = Vec::new();
    let mut after = None;
    let may = |texts: &Shown<'_>| texts.without_numbers().contains("pie");
    // Two at a time, going on behind the second.
    loop {
        let before = seen.len();
        let mut visit = |spot: Spot, load: super::Load<'_>| {
            let found = load()?.map(|found| (found.number, found.texts.clone()));
            let is_pie = spot.number % 2 == 1;
            let pie = (spot.number, "an apple pie\n".to_owned());
            assert_eq!(found, is_pie.then_some(pie));
            seen.push(spot);
            Ok(match seen.len() - before {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
        };
        index
            .look(&Scope::default(), after, &may, &mut visit)
            .unwrap();
        if seen.len() == before {
            break;
        }
        after = seen.last().copied();
        assert_eq!(after.and_then(|spot| spot_of(&cursor(spot))), after);
    }
    assert_eq!(seen, wanted);
}

/// Forty sessions of three blocks of generated lines, half of them committed.
fn fill(index: &dyn Index) -> Vec<Block> {
    let words = [
        "apple",
        "pear",
        "plum",
        "applepie",
        "drop",
        "table",
        "Ünder",
        "世界",
        "x9",
        "root@web",
        "20261122",
        "7F3a90c1",
        "approval7",
        // Of the same mark as the one before.
        "3464",
    ];
    let mut state = 5u64;
    let mut next = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n as u64) as usize
    };
    let mut blocks = Vec::new();
    for session in 0..40 {
        for number in 0..3 {
            let mut writer = BlockWriter::new(whose(session));
            for line in 0..6 {
                let count = 1 + next(4);
                let line_words: Vec<&str> = (0..count).map(|_| words[next(words.len())]).collect();
                let at = u64::from(number) * 1_000_000 + line * 1000;
                assert!(writer.push(text(&line_words.join(" "), at)).is_none());
            }
            let mut block = writer.finish();
            block.number = number;
            block.is_last = number == 2;
            blocks.push(block.clone());
            index.put(block).unwrap();
        }
        if session == 20 {
            index.commit().unwrap();
        }
    }
    blocks
}

/// Of many blocks a few: an index may look through others ahead of those that are asked for.
fn few_of_many_are_given(rig: &impl Rig) {
    const BLOCKS: u32 = 700;
    let index = rig.index();
    let is_wanted = |number: u32| number % 97 == 3 || (400..404).contains(&number);
    for session in [1, 2] {
        for number in 0..BLOCKS {
            let text = if is_wanted(number) {
                "a pie"
            } else {
                "no cake"
            };
            let block = block(session, number, &format!("{text} {number}"), false);
            index.put(block).unwrap();
        }
        index.commit().unwrap();
    }
    let may = |texts: &Shown<'_>| texts.without_numbers().contains("pie");
    let (mut given, mut visited) = (Vec::new(), 0);
    let mut visit = |spot: Spot, load: super::Load<'_>| {
        visited += 1;
        // Some are passed over.
        if spot.number % 5 == 4 {
            return Ok(ControlFlow::Continue(()));
        }
        if let Some(block) = load()? {
            assert_eq!(
                (block.whose.session, block.number),
                (spot.session, spot.number)
            );
            given.push((spot.session, spot.number));
        }
        Ok(ControlFlow::Continue(()))
    };
    index
        .look(&Scope::default(), None, &may, &mut visit)
        .unwrap();
    let all = [2, 1]
        .into_iter()
        .flat_map(|n| (0..BLOCKS).map(move |number| (id(n), number)));
    let wanted = all.filter(|(_, number)| is_wanted(*number) && number % 5 != 4);
    assert_eq!(given, wanted.collect::<Vec<_>>());
    assert_eq!(visited, 2 * BLOCKS);
}

fn every_scope_visits_what_it_must(rig: &impl Rig) {
    let blocks = fill(rig.index());
    let word = |word: &str| vec![Need::Word(word.to_owned())];
    let begin = |begin: &str| vec![Need::Begin(begin.to_owned())];
    let both = vec![Need::Word("drop".to_owned()), Need::Begin("app".to_owned())];
    let needs = [
        Vec::new(),
        word("apple"),
        word("ünder"),
        word("界"),
        begin("appl"),
        both,
        word("nowhere"),
        word("7f3a90c1"),
        word("20261122"),
        begin("7f"),
        begin("7f3a9"),
        begin("202"),
        begin("ap"),
        begin("approval"),
        begin("346"),
    ];
    let none = Bounds::default;
    let some = |text: &str| Some(text.to_owned());
    let bounds = [
        Bounds {
            user: some("céline"),
            ..none()
        },
        Bounds {
            user: some("cé"),
            ..none()
        },
        Bounds {
            host: some("web1"),
            ..none()
        },
        Bounds {
            kind: some("exec"),
            ..none()
        },
        Bounds {
            session: Some(id(7)),
            ..none()
        },
        Bounds {
            since_ns: Some(30_000_000),
            ..none()
        },
        Bounds {
            until_ns: Some(9_001_000),
            ..none()
        },
        Bounds {
            since_ns: Some(5_000_000),
            until_ns: Some(8_000_000),
            ..none()
        },
    ];
    let of_needs = needs.into_iter().map(|needs| Scope {
        needs,
        bounds: none(),
    });
    let of_bounds = bounds.into_iter().map(|bounds| Scope {
        needs: Vec::new(),
        bounds,
    });
    for scope in of_needs.chain(of_bounds) {
        let mut seen = BTreeSet::new();
        let mut visit = |spot: Spot, _: super::Load<'_>| {
            assert!(seen.insert(spot), "twice: {spot:?}");
            Ok(ControlFlow::Continue(()))
        };
        rig.index()
            .look(&scope, None, &super::any, &mut visit)
            .unwrap();
        let must = blocks
            .iter()
            .filter(|block| block.is_within(&scope.bounds) && block.has(&scope.needs));
        for block in must {
            let spot = Spot {
                session: block.whose.session,
                number: block.number,
            };
            assert!(seen.contains(&spot), "{scope:?} leaves out {spot:?}");
        }
    }
}

fn answers_are_those_of_reading_everything(rig: &impl Rig) {
    let blocks = fill(rig.index());
    for question in [
        "apple",
        "appl*",
        "\"drop table\"",
        "drop -table",
        "/x[0-9]/",
        "/p(l|e)/ user:ben",
        "plum host:web1 kind:exec",
        "20261122",
        "\"apple 7f3a90c1\"",
        "7F3A*",
        "2026*",
        "apr*",
        "approv*",
        "UNDER",
        "ünder",
        "世",
        "root@web",
    ] {
        let asked = Question::parse(question, 0).unwrap();
        let mut finder = hansard_view::question::Finder::new(&asked);
        let mut wanted = BTreeSet::new();
        for block in &blocks {
            let whose = &block.whose;
            let is_asked = asked.bounds.user.as_ref().is_none_or(|u| *u == whose.user)
                && asked.bounds.host.as_ref().is_none_or(|h| *h == whose.host)
                && asked.bounds.kind.as_ref().is_none_or(|k| *k == whose.kind);
            for (entry, line) in block.entries().filter(|_| is_asked) {
                let candidate = hansard_view::question::Candidate {
                    what: entry.what,
                    text: line,
                    is_hidden: false,
                };
                if finder.find(candidate).is_some() {
                    wanted.insert((whose.session, block.number, line.to_owned()));
                }
            }
        }
        let limits = Limits {
            sessions: 7,
            hits: 1000,
            blocks: 11,
        };
        let (mut found, mut after) = (BTreeSet::new(), None);
        loop {
            let page = search(rig.index(), &asked, None, (after, limits), &|| false).unwrap();
            for session in page.sessions {
                for hit in session.hits {
                    let number = (hit.at_ns / 1_000_000) as u32;
                    found.insert((session.whose.session, number, hit.text));
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, wanted, "{question}");
    }
}
