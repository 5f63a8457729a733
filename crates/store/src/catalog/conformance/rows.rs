//! The rules for rows: counted once, found by everything that can be asked.

use std::sync::Arc;

use hansard_view::document::Counted;

use super::{
    Advanced, Cursor, EndFacts, EventRow, Fresh, Query, SegmentUpdate, SessionId, SessionRow,
    StartFacts, chain, must, must_advance, same, session,
};

/// What the segment with this number adds.
pub(super) fn update(of: SessionId, segment: u32) -> SegmentUpdate {
    SegmentUpdate {
        session: of,
        segment,
        start: None,
        last_ns: u64::from(segment) * 1000,
        end: None,
        events: 10,
        data_bytes: 100,
        stored_bytes: 50,
        gaps: 1,
        counted: counted(u64::from(segment)),
    }
}

/// What was counted up to here; a name may have anything in it.
fn counted(n: u64) -> Counted {
    Counted {
        rx: n,
        tx: 2 * n,
        terminal: true,
        enhanced: n > 1,
        participants: vec!["a\nb\"".to_owned(), String::new()],
    }
}

/// Archives and counts the first segment of a session, and answers its row.
pub(super) fn counted_session(catalog: &Fresh, number: u8) -> Result<SessionRow, String> {
    let of = session(number);
    must_advance(catalog, &chain(of, 0..1)?, Advanced::Done)?;
    let mut first = update(of, 0);
    first.start = Some(start(number));
    must("project", catalog.project(&[first]))?;
    Ok(SessionRow {
        session: of,
        start: start(number),
        last_ns: 0,
        end: None,
        segments: 1,
        events: 10,
        data_bytes: 100,
        stored_bytes: 50,
        gaps: 1,
        counted: counted(0),
    })
}

fn one_of(words: &[&str], number: u8) -> String {
    let word = words.iter().cycle().nth(usize::from(number));
    word.copied().unwrap_or_default().to_owned()
}

/// A header that differs in everything that can be asked for.
fn start(number: u8) -> StartFacts {
    StartFacts {
        parent: number.is_multiple_of(2).then(|| session(number / 2)),
        kind: one_of(&["terminal", "exec"], number),
        user: format!("user-{}", number % 3),
        login: "root".to_owned(),
        host: format!("höst-{}", number % 5),
        title: "'; DROP TABLE sessions; --".to_owned(),
        labels: vec![format!("group={}", number % 4), "env=prod".to_owned()],
        // Two sessions at each time.
        start_utc_ns: u64::from(number / 2) * 1_000_000,
        recorder_key: [number; 32],
    }
}

pub(super) fn counts_once(catalog: &Fresh) -> Result<(), String> {
    let of = session(7);
    must_advance(catalog, &chain(of, 0..3)?, Advanced::Done)?;
    let find = || {
        let query = Query {
            session: Some(of),
            ..Query::default()
        };
        must("sessions", catalog.sessions(&query)).map(|page| page.rows)
    };
    same("before", find()?, Vec::new())?;
    // A segment that nobody archived is not counted.
    must("project", catalog.project(&[update(of, 9)]))?;
    same("of nothing", find()?, Vec::new())?;
    // The second segment alone: what the identifier says.
    must("project", catalog.project(&[update(of, 1)]))?;
    let unknown = find()?.pop().map(|row| row.start);
    same("unknown", unknown, Some(StartFacts::unknown(of)))?;
    let mut first = update(of, 0);
    first.start = Some(start(7));
    let mut last = update(of, 2);
    let end = EndFacts {
        reason: "exited".to_owned(),
        exit_status: Some(3),
        signal: None,
    };
    last.end = Some(end.clone());
    for _ in 0..2 {
        let updates = [first.clone(), update(of, 1), last.clone()];
        must("project", catalog.project(&updates))?;
    }
    let wanted = SessionRow {
        session: of,
        start: start(7),
        last_ns: 2000,
        end: Some(end),
        segments: 3,
        events: 30,
        data_bytes: 300,
        stored_bytes: 150,
        gaps: 3,
        counted: counted(2),
    };
    same("counted", find()?, vec![wanted])
}

pub(super) fn event(of: u8, seq: u64) -> EventRow {
    let start = start(of);
    EventRow {
        session: session(of),
        seq,
        ordinal: 0,
        // Several events at each time.
        time_ns: start.utc_ns(seq / 3),
        name: one_of(&["resize", "session.command", "print"], of),
        user: start.user,
        host: start.host,
        kind: start.kind,
        // Some are about the recording of another session.
        facts: match seq % 4 {
            0 => format!("{{\"seq\":{seq},\"recording\":\"{}\"}}", session(of / 2)),
            _ => format!("{{\"seq\":{seq}}}"),
        },
    }
}

pub(super) fn one_row(catalog: &Fresh) -> Result<(), String> {
    let rows: Vec<EventRow> = (0..200).map(|seq| event(1, seq)).collect();
    must("put nothing", catalog.put_events(Arc::default()))?;
    must(
        "put",
        catalog.put_events(rows.get(50..).unwrap_or_default().into()),
    )?;
    must("put again", catalog.put_events(rows.as_slice().into()))?;
    let mut ordinal = event(1, 5);
    ordinal.ordinal = 1;
    must(
        "put",
        catalog.put_events([ordinal.clone(), ordinal.clone()].into()),
    )?;
    let found = must("events", catalog.events(&Query::default()))?.rows;
    let mut wanted = rows;
    wanted.push(ordinal);
    wanted.sort_by_key(Cursor::of_event);
    same("events", found, wanted)
}

/// Everything that can be asked, one by one and together.
pub(super) fn queries() -> Vec<Query> {
    let text = |text: &str| Some(text.to_owned());
    let mut queries = Vec::new();
    for newest_first in [false, true] {
        let all = Query {
            newest_first,
            limit: 7,
            ..Query::default()
        };
        let with = |change: fn(&mut Query)| {
            let mut query = all.clone();
            change(&mut query);
            query
        };
        queries.extend([
            all.clone(),
            with(|q| q.from_ns = Some(5_000_000)),
            with(|q| q.until_ns = Some(5_000_000)),
            with(|q| (q.from_ns, q.until_ns) = (Some(3_000_000), Some(9_000_001))),
            with(|q| (q.from_ns, q.until_ns) = (Some(u64::MAX), Some(0))),
            with(|q| q.until_ns = Some(u64::MAX)),
            with(|q| q.session = Some(session(4))),
            with(|q| q.session = Some(session(99))),
        ]);
        for (user, host, kind) in [
            (text("user-1"), None, None),
            (None, text("höst-3"), None),
            (None, None, text("exec")),
            (text("user-2"), text("höst-0"), text("terminal")),
            (text("' OR 1=1 --"), None, None),
            (text(""), None, None),
        ] {
            queries.push(Query {
                user,
                host,
                kind,
                from_ns: Some(2_000_000),
                ..all.clone()
            });
        }
    }
    queries
}

/// All rows of a query, page by page, and that each page says whether it is the last.
fn pages<T: Clone>(
    query: &Query,
    mut ask: impl FnMut(&Query) -> Result<super::super::Page<T>, String>,
) -> Result<Vec<T>, String> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let page = ask(&query)?;
        if page.rows.len() > query.rows_max() {
            return Err("a page is longer than was asked for".to_owned());
        }
        found.extend(page.rows.iter().cloned());
        match page.next {
            None => return Ok(found),
            Some(_) if page.rows.len() < query.rows_max() => {
                return Err("a page is not full and not the last".to_owned());
            }
            // Through text, as a client does it.
            Some(next) => {
                let text = next.to_string();
                query.after = Some(text.parse().map_err(|e| format!("{e:?}"))?);
            }
        }
    }
}

pub(super) fn finds_sessions(catalog: &Fresh) -> Result<(), String> {
    let mut rows = Vec::new();
    for number in 0..40u8 {
        rows.push(counted_session(catalog, number)?);
    }
    rows.sort_by_key(Cursor::of_session);
    for query in queries() {
        let found = pages(&query, |query| must("sessions", catalog.sessions(query)))?;
        let mut wanted = Vec::new();
        for row in &rows {
            if query.admits_session(row).map_err(|e| e.to_string())? {
                wanted.push(row.clone());
            }
        }
        if query.newest_first {
            wanted.reverse();
        }
        same(&format!("{query:?}"), found, wanted)?;
    }
    let named = Query {
        name: Some("resize".to_owned()),
        ..Query::default()
    };
    match catalog.sessions(&named) {
        Err(super::CatalogError::Refused(_)) => Ok(()),
        other => Err(format!("sessions by an event's name: {other:?}")),
    }
}

pub(super) fn finds_events(catalog: &Fresh) -> Result<(), String> {
    let mut rows: Vec<EventRow> = Vec::new();
    for of in 0..20 {
        rows.extend((0..9).map(|seq| event(of, seq)));
    }
    must("put", catalog.put_events(rows.as_slice().into()))?;
    rows.sort_by_key(Cursor::of_event);
    let mut queries = queries();
    for name in ["resize", "session.command", "nothing"] {
        queries.push(Query {
            name: Some(name.to_owned()),
            host: Some("höst-3".to_owned()),
            limit: 2,
            ..Query::default()
        });
        queries.push(Query {
            name: Some(name.to_owned()),
            newest_first: true,
            ..Query::default()
        });
        queries.push(Query {
            name: Some(name.to_owned()),
            recording: Some(session(4)),
            limit: 2,
            ..Query::default()
        });
    }
    queries.push(Query {
        recording: Some(session(3)),
        newest_first: true,
        ..Query::default()
    });
    for query in queries {
        let found = pages(&query, |query| must("events", catalog.events(query)))?;
        let admitted = rows.iter().filter(|row| query.admits_event(row)).cloned();
        let mut wanted: Vec<EventRow> = admitted.collect();
        if query.newest_first {
            wanted.reverse();
        }
        same(&format!("{query:?}"), found, wanted)?;
    }
    Ok(())
}
