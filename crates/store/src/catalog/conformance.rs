//! What every catalog must do, as a suite that any implementation can be put through.

use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::seal::NO_PREDECESSOR;

use crate::blob::BlobName;
use crate::catalog::{
    Advanced, Catalog, CatalogError, Cursor, EndFacts, EventRow, Place, Quarantined, Query,
    SegmentRow, SegmentUpdate, SessionRow, StartFacts,
};

mod counts;
mod retention;
mod rows;

/// An empty catalog under test.
pub type Fresh = Arc<dyn Catalog>;

/// A rule: what it is called, and the function that tries it on an empty catalog.
type Rule = (&'static str, fn(&Fresh) -> Result<(), String>);

/// The rules, in the words of the contract.
const RULES: [Rule; 20] = [
    ("heads follow their chains", heads_follow),
    ("the same again changes nothing", repeats),
    ("a fork is a conflict and changes nothing", forks),
    ("nothing follows an end, a hole, or nothing", refuses_holes),
    ("what follows lost segments is taken", follows_loss),
    ("a batch is tried in order", batches),
    ("of many that want the same place one has it", races),
    ("segments are answered in order, in pages", lists_segments),
    ("blobs are known by the segments in them", references),
    ("segments wait until they are counted or put aside", waits),
    ("a segment is counted once", rows::counts_once),
    ("an event has one row", rows::one_row),
    (
        "sessions are found by everything that can be asked",
        rows::finds_sessions,
    ),
    (
        "events are found by everything that can be asked",
        rows::finds_events,
    ),
    (
        "events are counted as they are found",
        counts::counts_events,
    ),
    ("sessions are counted by host", counts::lists_hosts),
    ("segments arrive in one order", retention::arrives),
    (
        "what is old is found, and what is held is not",
        retention::expires,
    ),
    (
        "what is deleted leaves a tombstone and no more",
        retention::buries,
    ),
    ("what moved is where it was moved to", retention::moves),
];

/// Puts fresh, empty catalogs through every rule.
///
/// # Errors
/// The first rule that is broken, and how.
pub fn check(mut fresh: impl FnMut() -> Fresh) -> Result<(), String> {
    for (name, rule) in RULES {
        rule(&fresh()).map_err(|how| format!("{name}: {how}"))?;
    }
    Ok(())
}

fn must<T>(what: &str, done: Result<T, CatalogError>) -> Result<T, String> {
    done.map_err(|e| format!("{what}: {e:?}"))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, not {wanted:?}"))
}

/// A session; higher numbers sort later.
#[must_use]
pub fn session(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

/// A row of a made-up segment. `branch` tells forks apart.
///
/// # Errors
/// None in practice.
pub fn segment(of: SessionId, number: u32, branch: u8) -> Result<SegmentRow, String> {
    let digest = |number: u32| {
        let mut digest = [branch; 32];
        digest
            .iter_mut()
            .zip(number.to_le_bytes())
            .for_each(|(d, n)| *d = n);
        digest
    };
    Ok(SegmentRow {
        session: of,
        number,
        predecessor: number.checked_sub(1).map_or(NO_PREDECESSOR, digest),
        digest: digest(number),
        content: digest(number),
        key: [9; 32],
        next_seq: u64::from(number) * 10 + 10,
        last_ns: u64::from(number) * 1000,
        is_final: false,
        after_loss: false,
        place: Place {
            blob: BlobName::parse(&format!("pack/00-{number:08}")).map_err(|e| e.to_string())?,
            offset: 16,
            bytes: 100,
        },
    })
}

fn chain(of: SessionId, numbers: std::ops::Range<u32>) -> Result<Vec<SegmentRow>, String> {
    numbers.map(|number| segment(of, number, 1)).collect()
}

fn must_advance(catalog: &Fresh, rows: &[SegmentRow], outcome: Advanced) -> Result<(), String> {
    let outcomes = must("advance", catalog.advance(rows))?;
    same("outcomes", outcomes, vec![outcome; rows.len()])
}

fn must_head(catalog: &Fresh, of: SessionId, head: Option<&SegmentRow>) -> Result<(), String> {
    let heads = must("heads", catalog.heads(&[of]))?;
    same("head", heads, vec![head.cloned()])
}

fn heads_follow(catalog: &Fresh) -> Result<(), String> {
    let of = session(1);
    must_head(catalog, of, None)?;
    for row in chain(of, 0..5)? {
        must_advance(catalog, std::slice::from_ref(&row), Advanced::Done)?;
        must_head(catalog, of, Some(&row))?;
    }
    let other = segment(session(2), 0, 1)?;
    must_advance(catalog, std::slice::from_ref(&other), Advanced::Done)?;
    let heads = must("heads", catalog.heads(&[session(2), session(3), of]))?;
    let heads: Vec<Option<u32>> = heads.iter().map(|h| h.as_ref().map(|h| h.number)).collect();
    same("heads of three", heads, vec![Some(0), None, Some(4)])
}

fn repeats(catalog: &Fresh) -> Result<(), String> {
    let rows = chain(session(1), 0..4)?;
    must_advance(catalog, &rows, Advanced::Done)?;
    // The same segments from another pack: the first place stays.
    let mut elsewhere = rows.clone();
    for row in &mut elsewhere {
        row.place.offset = 4711;
    }
    must_advance(catalog, &elsewhere, Advanced::Already)?;
    let there = must("segments", catalog.segments(session(1), 0, 10))?;
    same("segments", there, rows)
}

fn forks(catalog: &Fresh) -> Result<(), String> {
    let rows = chain(session(1), 0..3)?;
    must_advance(catalog, &rows, Advanced::Done)?;
    for number in 0..4 {
        let other = segment(session(1), number, 2)?;
        must_advance(catalog, &[other], Advanced::Conflict)?;
    }
    // The same digest under another seal is another segment.
    let mut resealed = segment(session(1), 2, 1)?;
    resealed.content = [77; 32];
    must_advance(catalog, &[resealed], Advanced::Conflict)?;
    let there = must("segments", catalog.segments(session(1), 0, 10))?;
    same("segments", there, rows)
}

fn refuses_holes(catalog: &Fresh) -> Result<(), String> {
    let of = session(1);
    must_advance(catalog, &[segment(of, 3, 1)?], Advanced::TooEarly)?;
    let mut orphan = segment(of, 0, 1)?;
    orphan.predecessor = [1; 32];
    must_advance(catalog, &[orphan], Advanced::Conflict)?;
    must_head(catalog, of, None)?;
    must_advance(catalog, &chain(of, 0..2)?, Advanced::Done)?;
    must_advance(catalog, &[segment(of, 3, 1)?], Advanced::TooEarly)?;
    let mut last = segment(of, 2, 1)?;
    last.is_final = true;
    must_advance(catalog, std::slice::from_ref(&last), Advanced::Done)?;
    must_advance(catalog, &[segment(of, 3, 1)?], Advanced::Conflict)?;
    must_head(catalog, of, Some(&last))
}

fn follows_loss(catalog: &Fresh) -> Result<(), String> {
    let of = session(1);
    let mut row = segment(of, 4, 1)?;
    row.after_loss = true;
    must_advance(catalog, std::slice::from_ref(&row), Advanced::Done)?;
    must_advance(catalog, &[segment(of, 5, 1)?], Advanced::Done)?;
    let mut back = segment(of, 2, 1)?;
    back.after_loss = true;
    must_advance(catalog, &[back], Advanced::Conflict)?;
    let there = must("segments", catalog.segments(of, 0, 10))?;
    let numbers: Vec<(u32, bool)> = there.iter().map(|r| (r.number, r.after_loss)).collect();
    same("segments", numbers, vec![(4, true), (5, false)])
}

fn batches(catalog: &Fresh) -> Result<(), String> {
    must_advance(catalog, &[], Advanced::Done)?;
    let mut rows = Vec::new();
    for number in 0..20 {
        for of in 1..=20 {
            rows.push(segment(session(of), number, 1)?);
        }
    }
    must_advance(catalog, &rows, Advanced::Done)?;
    let mixed = [
        segment(session(1), 19, 1)?,
        segment(session(1), 20, 1)?,
        segment(session(1), 20, 2)?,
        segment(session(1), 22, 1)?,
        segment(session(1), 21, 1)?,
    ];
    let outcomes = must("advance", catalog.advance(&mixed))?;
    same(
        "outcomes",
        outcomes,
        vec![
            Advanced::Already,
            Advanced::Done,
            Advanced::Conflict,
            Advanced::TooEarly,
            Advanced::Done,
        ],
    )
}

fn races(catalog: &Fresh) -> Result<(), String> {
    for number in 0..10u32 {
        let mut predecessor = must("heads", catalog.heads(&[session(1)]))?;
        let head = predecessor.pop().flatten();
        let mut outcomes = Vec::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=8u8)
                .map(|branch| {
                    let head = head.clone();
                    scope.spawn(move || {
                        let mut row = segment(session(1), number, branch)?;
                        row.predecessor = head.map_or(NO_PREDECESSOR, |head| head.digest);
                        must("advance", catalog.advance(&[row]))
                    })
                })
                .collect();
            outcomes.extend(threads.into_iter().map(std::thread::ScopedJoinHandle::join));
        });
        let mut done = 0;
        for outcome in outcomes {
            match outcome
                .map_err(|_| "a thread panicked".to_owned())??
                .as_slice()
            {
                [Advanced::Done] => done += 1,
                [Advanced::Conflict] => {}
                other => return Err(format!("{other:?}")),
            }
        }
        same("winners", done, 1)?;
    }
    Ok(())
}

fn lists_segments(catalog: &Fresh) -> Result<(), String> {
    let rows = chain(session(1), 0..50)?;
    must_advance(catalog, &rows, Advanced::Done)?;
    must_advance(catalog, &chain(session(2), 0..3)?, Advanced::Done)?;
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let page = must("segments", catalog.segments(session(1), from, 7))?;
        let Some(last) = page.last() else {
            break;
        };
        from = last.number + 1;
        found.extend(page);
    }
    same("segments", found, rows)
}

fn references(catalog: &Fresh) -> Result<(), String> {
    must_advance(catalog, &chain(session(1), 0..3)?, Advanced::Done)?;
    let names = [0, 7, 2].map(|n| segment(session(1), n, 1).map(|row| row.place.blob));
    let names = names.into_iter().collect::<Result<Vec<_>, _>>()?;
    let known = must("referenced", catalog.referenced(&names))?;
    same("known", known, vec![true, false, true])
}

fn waits(catalog: &Fresh) -> Result<(), String> {
    let rows = [chain(session(1), 0..5)?, chain(session(2), 0..5)?].concat();
    must_advance(catalog, &rows, Advanced::Done)?;
    let waiting = must("unprojected", catalog.unprojected(100))?;
    same("waiting", waiting, rows.clone())?;
    same(
        "a few",
        must("unprojected", catalog.unprojected(3))?.len(),
        3,
    )?;
    let update = |row: &SegmentRow| rows::update(row.session, row.number);
    let updates: Vec<SegmentUpdate> = rows.iter().take(4).map(update).collect();
    must("project", catalog.project(&updates))?;
    let item = Quarantined {
        what: "pack/00 x/4".to_owned(),
        reason: "torn".to_owned(),
    };
    must(
        "quarantine",
        catalog.quarantine(&item, Some((session(1), 4))),
    )?;
    must(
        "quarantine again",
        catalog.quarantine(&item, Some((session(1), 4))),
    )?;
    let other = Quarantined {
        what: "pack/01".to_owned(),
        reason: "gone".to_owned(),
    };
    must("quarantine", catalog.quarantine(&other, None))?;
    let waiting = must("unprojected", catalog.unprojected(100))?;
    same(
        "still waiting",
        waiting.as_slice(),
        rows.get(5..).unwrap_or_default(),
    )?;
    let first = must("quarantined", catalog.quarantined(None, 1))?;
    same("first", first.as_slice(), std::slice::from_ref(&item))?;
    let rest = must("quarantined", catalog.quarantined(Some(&item.what), 10))?;
    same("rest", rest, vec![other])
}
