//! The rules for what arrived, what is held and what is deleted.

use super::rows::{counted_session, event};
use super::{
    Advanced, Fresh, Query, SegmentRow, chain, must, must_advance, must_head, same, segment,
    session,
};
use crate::catalog::{
    ArrivalCursor, Burial, Buried, CatalogError, Cursor, Expiry, Move, Place, SessionRow,
    StartFacts, Tombstone,
};

const FOREVER: u64 = u64::MAX;

fn burial(utc_ns: u64) -> Burial {
    Burial {
        by: "rule 'x'".to_owned(),
        why: "old".to_owned(),
        utc_ns,
    }
}

fn buried(catalog: &Fresh, number: u8) -> Result<Buried, String> {
    must("bury", catalog.bury(session(number), &burial(77)))
}

fn expired(catalog: &Fresh, expiry: &Expiry) -> Result<Vec<SessionRow>, String> {
    let (mut all, mut expiry) = (Vec::new(), expiry.clone());
    expiry.limit = 2;
    loop {
        let rows = must("expired", catalog.expired(&expiry))?;
        let Some(last) = rows.last() else {
            return Ok(all);
        };
        expiry.after = Some(Cursor::of_session(last));
        all.extend(rows);
    }
}

pub(super) fn arrives(catalog: &Fresh) -> Result<(), String> {
    let (one, two) = (chain(session(9), 0..4)?, chain(session(1), 0..3)?);
    let mut order: Vec<SegmentRow> = Vec::new();
    let (one_a, one_b) = one.split_at(2);
    let (two_a, two_b) = two.split_at(1);
    for part in [one_a, two_a, one_b, two_b] {
        must_advance(catalog, part, Advanced::Done)?;
        // Those that are there already do not arrive again.
        must_advance(catalog, part, Advanced::Already)?;
        order.extend(part.iter().cloned());
    }
    let all = must("arrived", catalog.arrived(ArrivalCursor::default(), 100))?;
    let rows: Vec<SegmentRow> = all.iter().map(|(_, row)| row.clone()).collect();
    same("order", rows, order)?;
    let (mut after, mut paged) = (ArrivalCursor::default(), Vec::new());
    loop {
        let page = must("arrived", catalog.arrived(after, 3))?;
        let Some((last, _)) = page.last() else {
            break;
        };
        after = *last;
        paged.extend(page);
    }
    same("in pages", paged, all.clone())?;
    // The newest is deleted: whatever comes next is behind it all the same.
    for number in 0..3 {
        let update = super::rows::update(session(1), number);
        must("project", catalog.project(&[update]))?;
    }
    same(
        "buried",
        matches!(buried(catalog, 1)?, Buried::Done(_)),
        true,
    )?;
    let next = segment(session(2), 0, 1)?;
    must_advance(catalog, std::slice::from_ref(&next), Advanced::Done)?;
    let page = must("arrived", catalog.arrived(after, 10))?;
    let rows: Vec<SegmentRow> = page.into_iter().map(|(_, row)| row).collect();
    same("behind what was deleted", rows, vec![next])
}

/// Everything that can be asked, one by one and together.
fn expiries(all: &Expiry) -> Vec<Expiry> {
    let text = |text: &str| Some(text.to_owned());
    vec![
        Expiry {
            ended_before_ns: 3_000_000,
            ..all.clone()
        },
        Expiry {
            kind: text("exec"),
            ..all.clone()
        },
        Expiry {
            host: text("höst-3"),
            ..all.clone()
        },
        Expiry {
            user: text("user-2"),
            ..all.clone()
        },
        Expiry {
            labels: vec!["group=1".to_owned()],
            ..all.clone()
        },
        Expiry {
            labels: vec!["env=prod".to_owned()],
            ..all.clone()
        },
        Expiry {
            labels: vec!["env".to_owned()],
            ..all.clone()
        },
        Expiry {
            user: text("user-1"),
            kind: text("exec"),
            labels: vec!["group=3".to_owned(), "env=prod".to_owned()],
            ..all.clone()
        },
    ]
}

pub(super) fn expires(catalog: &Fresh) -> Result<(), String> {
    let mut rows = Vec::new();
    for number in 0..12 {
        rows.push(counted_session(catalog, number)?);
    }
    rows.sort_by_key(Cursor::of_session);
    let all = Expiry {
        ended_before_ns: FOREVER,
        dated_before_ns: FOREVER,
        unended_dated_before_ns: FOREVER,
        ..Expiry::default()
    };
    same("not dated", expired(catalog, &all)?.len(), 0)?;
    same("no date", must("newest", catalog.newest_date())?, None)?;
    must("date", catalog.date(100))?;
    must("date again", catalog.date(5000))?;
    same("newest", must("newest", catalog.newest_date())?, Some(100))?;
    same("dated", expired(catalog, &all)?, rows.clone())?;
    expires_without_an_end(catalog, &all, &rows)?;
    let dated = Expiry {
        dated_before_ns: 100,
        ..all.clone()
    };
    same("dated later", expired(catalog, &dated)?.len(), 0)?;
    for expiry in expiries(&all) {
        let wanted: Vec<_> = rows
            .iter()
            .filter(|row| expiry.admits(row))
            .cloned()
            .collect();
        same(&format!("{expiry:?}"), expired(catalog, &expiry)?, wanted)?;
    }
    // A hold, something that waits, and something that came after the date.
    must("hold", catalog.hold(session(3), true))?;
    must("hold of nobody", catalog.hold(session(99), true))?;
    must_advance(catalog, &[segment(session(4), 1, 1)?], Advanced::Done)?;
    must_advance(catalog, &[segment(session(5), 1, 1)?], Advanced::Done)?;
    let update = super::rows::update(session(5), 1);
    must("project", catalog.project(&[update]))?;
    let stay = [3, 4, 5].map(session);
    let left: Vec<_> = expired(catalog, &all)?
        .iter()
        .map(|row| row.session)
        .collect();
    same("left", left.len(), 9)?;
    same(
        "none of them",
        left.iter().any(|id| stay.contains(id)),
        false,
    )?;
    must("release", catalog.hold(session(3), false))?;
    must("date", catalog.date(200))?;
    same("released", expired(catalog, &all)?.len(), 11)?;
    let held = must("held", catalog.held(&[session(3), session(99), session(1)]))?;
    same("held", held, vec![false, true, false])?;
    must("hold again", catalog.hold(session(3), true))?;
    let (first, second) = (session(3).min(session(99)), session(3).max(session(99)));
    let all = must("holds", catalog.holds(None, 9))?;
    same("holds, by identifier", all, vec![first, second])?;
    let page = must("holds", catalog.holds(None, 1))?;
    same("a page of holds", page, vec![first])?;
    let page = must("holds", catalog.holds(Some(first), 9))?;
    same("the holds after it", page, vec![second])?;
    must("release", catalog.hold(session(3), false))
}

/// Those without an end, whose date has a bound of its own.
fn expires_without_an_end(
    catalog: &Fresh,
    all: &Expiry,
    rows: &[SessionRow],
) -> Result<(), String> {
    let ended = Expiry {
        unended_dated_before_ns: 100,
        ..all.clone()
    };
    let is_ended = |row: &&SessionRow| row.end.is_some();
    let wanted: Vec<_> = rows.iter().filter(is_ended).cloned().collect();
    same("without an end", expired(catalog, &ended)?, wanted)
}

pub(super) fn buries(catalog: &Fresh) -> Result<(), String> {
    same("unknown", buried(catalog, 1)?, Buried::Unknown)?;
    let row = counted_session(catalog, 1)?;
    let other = counted_session(catalog, 2)?;
    let events: Vec<_> = (0..50)
        .flat_map(|seq| [event(1, seq), event(2, seq)])
        .collect();
    must("put", catalog.put_events(events.into()))?;
    must("hold", catalog.hold(session(1), true))?;
    same("held", buried(catalog, 1)?, Buried::Held)?;
    must("release", catalog.hold(session(1), false))?;
    let next = segment(session(1), 1, 1)?;
    must_advance(catalog, std::slice::from_ref(&next), Advanced::Done)?;
    same("waits", buried(catalog, 1)?, Buried::Waits)?;
    let update = super::rows::update(session(1), 1);
    must("project", catalog.project(&[update]))?;

    let told = entombs(catalog)?;
    let Buried::Done(tombstone) = buried(catalog, 1)? else {
        return Err("not deleted".to_owned());
    };
    let wanted = Tombstone {
        session: row.session,
        start: row.start,
        last_ns: 1000,
        number: 1,
        digest: next.digest,
        key: next.key,
        next_seq: next.next_seq,
        is_final: false,
        segments: 2,
        stored_bytes: 100,
        burial: burial(77),
    };
    same("tombstone", &*tombstone, &wanted)?;
    let again = must("bury", catalog.bury(session(1), &burial(78)))?;
    same("again", again, Buried::Already(tombstone))?;
    let found = must("tombstones", catalog.tombstones(&[session(2), session(1)]))?;
    same("found", found, vec![None, Some(wanted)])?;
    let found = must("tombstones", catalog.tombstones(&[told.session]))?;
    same("told of", found, vec![Some(told)])?;
    must_head(catalog, session(1), None)?;
    same(
        "segments",
        must("segments", catalog.segments(session(1), 0, 9))?,
        Vec::new(),
    )?;
    for number in 0..3 {
        must_advance(
            catalog,
            &[segment(session(1), number, 1)?],
            Advanced::Conflict,
        )?;
    }
    let listed = must("sessions", catalog.sessions(&Query::default()))?.rows;
    same("sessions", listed, vec![other])?;

    sweeps(catalog)
}

/// Of a session that is not known, and of no other.
fn entombs(catalog: &Fresh) -> Result<Tombstone, String> {
    let told = |number| {
        let session = session(number);
        Tombstone {
            session,
            start: StartFacts::unknown(session),
            last_ns: 0,
            number: 3,
            digest: [7; 32],
            key: [8; 32],
            next_seq: 0,
            is_final: true,
            segments: 4,
            stored_bytes: 5,
            burial: burial(70),
        }
    };
    let entomb = |number| must("entomb", catalog.entomb(&told(number)));
    same("of one that is there", entomb(1)?, false)?;
    same("of one that is not known", entomb(40)?, true)?;
    same("again", entomb(40)?, false)?;
    let segment = segment(session(40), 0, 1)?;
    must_advance(catalog, &[segment], Advanced::Conflict)?;
    same(
        "none of the other",
        must("tombstones", catalog.tombstones(&[session(1)]))?,
        vec![None],
    )?;
    Ok(told(40))
}

/// The rows of the events of the one session go, and no others.
fn sweeps(catalog: &Fresh) -> Result<(), String> {
    let mut swept = 0;
    loop {
        let rows = must("sweep", catalog.sweep(7))?;
        same("at most", rows <= 7, true)?;
        if rows == 0 {
            break;
        }
        swept += rows;
    }
    same("swept", swept, 50)?;
    let left = must("events", catalog.events(&Query::default()))?.rows;
    same(
        "left",
        left.iter().all(|row| row.session == session(2)),
        true,
    )?;
    same("events", left.len(), 50)
}

pub(super) fn moves(catalog: &Fresh) -> Result<(), String> {
    let blob = |n: u32| segment(session(1), n, 1).map(|row| row.place.blob);
    counted_session(catalog, 1)?;
    counted_session(catalog, 2)?;
    must_advance(catalog, &[segment(session(2), 1, 1)?], Advanced::Done)?;
    same(
        "doomed",
        must("doomed", catalog.doomed(None, 9))?,
        Vec::new(),
    )?;
    buried(catalog, 1)?;
    same(
        "doomed",
        must("doomed", catalog.doomed(None, 9))?,
        vec![blob(0)?],
    )?;
    let there = must("segments in", catalog.segments_in(&blob(0)?))?;
    let mut row = segment(session(2), 0, 1)?;
    same("segments in", there, vec![row.clone()])?;
    row.place = Place {
        blob: blob(7)?,
        offset: 99,
        bytes: 100,
    };
    let moved = |from: u32, number| -> Result<Move, String> {
        Ok(Move {
            session: session(2),
            number,
            from: blob(from)?,
            to: row.place.clone(),
        })
    };
    // Not where it is said to be, and not there at all: nothing happens.
    must("relocate", catalog.relocate(&[moved(3, 0)?, moved(0, 9)?]))?;
    same(
        "stays",
        must("segments in", catalog.segments_in(&blob(0)?))?.len(),
        1,
    )?;
    must("relocate", catalog.relocate(&[moved(0, 0)?]))?;
    must("relocate again", catalog.relocate(&[moved(0, 0)?]))?;
    same(
        "moved",
        must("segments in", catalog.segments_in(&blob(7)?))?,
        vec![row.clone()],
    )?;
    same(
        "gone",
        must("segments in", catalog.segments_in(&blob(0)?))?.len(),
        0,
    )?;
    let places = must("segments", catalog.segments(session(2), 0, 1))?;
    same("place", places, vec![row])?;
    must("undoom", catalog.undoom(&blob(0)?))?;
    same(
        "undoomed",
        must("doomed", catalog.doomed(None, 9))?,
        Vec::new(),
    )?;
    match catalog.relocate(&[]) {
        Ok(()) => Ok(()),
        Err(CatalogError::Retry(why) | CatalogError::Refused(why) | CatalogError::Damaged(why)) => {
            Err(why)
        }
    }
}
