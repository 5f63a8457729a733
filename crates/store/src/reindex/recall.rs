//! What a catalog alone knew and segments tell, too: holds and deletions, which are events in the
//! services' own recordings. Without this a catalog that was built anew would have what was deleted,
//! as far as its bytes are still there, and would let what is held be deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use hansard_core::SessionId;

use crate::archive::ArchiveError;
use crate::catalog::rows::TIME_NS_MAX;
use crate::catalog::{Burial, Buried, Catalog, Cursor, EventRow, Query, StartFacts, Tombstone};

/// What was recalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recalled {
    /// Sessions that are held.
    pub held: u64,
    /// Sessions that were deleted again.
    pub deleted: u64,
}

/// Applies the holds and deletions that recordings signed with one of these keys tell of: the
/// recorder keys of this cluster's services. Others may say what they want. To be run after
/// [`super::reindex`], and before anything is deleted.
///
/// Deletions only ever get more. So what was said is read one event after the other, and of each session that
/// something was said of about 100 bytes stay in memory, however often it was said.
///
/// # Errors
/// `Retry` when the catalog fails. Repeating is harmless.
pub fn recall(catalog: &dyn Catalog, keys: &[[u8; 32]]) -> Result<Recalled, ArchiveError> {
    let mut fates: BTreeMap<SessionId, Fate> = BTreeMap::new();
    for told_in in in_order(catalog, telling(catalog, keys)?)? {
        each_said(catalog, Some(told_in), &mut |said| {
            fates.entry(said.about).or_default().hears(said);
            Ok(())
        })?;
    }
    let mut recalled = Recalled::default();
    for (session, fate) in fates {
        let (held, told) = fate.settled();
        if let Some(held) = held {
            catalog.hold(session, held)?;
            recalled.held += u64::from(held);
        }
        let burial = match told {
            Some(at) => event_at(catalog, at)?.map(|row| tombstone(session, &row)),
            None => None,
        };
        if let Some(burial) = burial {
            let done = match catalog.bury(session, &burial.burial)? {
                Buried::Done(_) => true,
                // Nothing of it is there any more, as it should be. That it was is kept for ever.
                Buried::Unknown if held != Some(true) => catalog.entomb(&burial)?,
                Buried::Already(_) | Buried::Held | Buried::Waits | Buried::Unknown => false,
            };
            recalled.deleted += u64::from(done);
        }
    }
    Ok(recalled)
}

/// An event that says something of a session.
struct Said {
    /// Where the event is.
    at: Cursor,
    word: Telling,
    about: SessionId,
    was_done: bool,
    /// What all that came of one request names, since services say it.
    request: Option<String>,
}

/// What an event says of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    Held,
    Released,
    Deleted,
}

impl Telling {
    const ALL: [Self; 3] = [Self::Held, Self::Released, Self::Deleted];

    /// The event's name.
    const fn name(self) -> &'static str {
        match self {
            Self::Held => "recording.held",
            Self::Released => "recording.released",
            Self::Deleted => "recording.deleted",
        }
    }
}

/// What was said of one session, as far as it was not taken back.
#[derive(Default)]
struct Fate {
    /// That it is held, or is not: the last word counts.
    holds: Vec<Word>,
    /// The event that it was deleted, with how many of those words came before.
    burial: Option<Cursor>,
    before_burial: usize,
}

/// One word on a hold.
struct Word {
    is_held: bool,
    /// The request that it came of; services that say it look first whether there is what is to be held, and take
    /// back what they said and did not do.
    request: Option<String>,
}

impl Fate {
    fn hears(&mut self, said: Said) {
        let is_held = said.word == Telling::Held;
        match (said.word == Telling::Deleted, said.was_done) {
            (true, true) => {
                self.burial = Some(said.at);
                self.before_burial = self.holds.len();
            }
            // Nobody may ask for this: who says that it was not done had said that it was.
            (true, false) => self.burial = None,
            (false, true) => self.holds.push(Word {
                is_held,
                request: said.request,
            }),
            // Who asked for it and might not is on record as well. Only what names the same request takes a word
            // back: or whoever is refused a hold would lift the one that there is.
            (false, false) => self.forget(is_held, said.request.as_deref()),
        }
    }

    /// Whether it is held, if anything was said of that, and its deletion.
    fn settled(mut self) -> (Option<bool>, Option<Cursor>) {
        let behind = self.holds.iter().skip(self.before_burial);
        // Somebody may have been told of a deletion that a hold then prevented.
        let is_there = behind.into_iter().any(|word| word.request.is_some());
        let burial = self.burial.filter(|_| !is_there);
        // Of what was deleted, holds are not changed any more: that was refused, whatever the record says of it.
        if burial.is_some() {
            self.holds.truncate(self.before_burial);
        }
        (self.holds.last().map(|word| word.is_held), burial)
    }

    fn forget(&mut self, is_held: bool, request: Option<&str>) {
        let is_it = |word: &Word| word.is_held == is_held && word.request.as_deref() == request;
        let place = request.and_then(|_| self.holds.iter().rposition(is_it));
        if let Some(place) = place {
            self.holds.remove(place);
            self.before_burial -= usize::from(place < self.before_burial);
        }
    }
}

/// The tombstone that an event of a deletion tells of. What it does not say is as for a session that is
/// not known.
fn tombstone(session: SessionId, row: &EventRow) -> Tombstone {
    let json: serde_json::Value = serde_json::from_str(&row.facts).unwrap_or_default();
    let said = |name: &str| json.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    let number = |name: &str| json.get(name).and_then(serde_json::Value::as_u64);
    let digest = |name: &str| said(name).and_then(|text| hex(&text)).unwrap_or_default();
    let start = StartFacts::unknown(session);
    let segments = number("segments").unwrap_or_default();
    // Of versions that did not say it: where none was lost it was the last of so many.
    let newest = number("newest").unwrap_or_else(|| segments.saturating_sub(1));
    let deleted_ns = number("deleted_ms").map(|ms| ms.saturating_mul(1_000_000));
    Tombstone {
        session,
        start: StartFacts {
            kind: said("session_kind").unwrap_or(start.kind),
            user: said("owner").unwrap_or_default(),
            host: said("host").unwrap_or_default(),
            recorder_key: digest("key"),
            ..start
        },
        last_ns: 0,
        number: u32::try_from(newest).unwrap_or(u32::MAX),
        digest: digest("digest"),
        key: digest("key"),
        next_seq: 0,
        is_final: true,
        segments,
        stored_bytes: number("bytes").unwrap_or_default(),
        burial: Burial {
            by: said("rule").or_else(|| said("user")).unwrap_or_default(),
            why: said("reason").unwrap_or_default(),
            utc_ns: deleted_ns.unwrap_or(row.time_ns).min(TIME_NS_MAX),
        },
    }
}

/// A digest or key from 64 hexadecimal digits.
fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Sessions of which a recording tells that they were held or deleted.
pub(crate) fn told_of(
    catalog: &dyn Catalog,
    told_in: SessionId,
) -> Result<BTreeSet<SessionId>, ArchiveError> {
    let mut all = BTreeSet::new();
    each_said(catalog, Some(told_in), &mut |said| {
        if said.word != Telling::Released {
            all.insert(said.about);
        }
        Ok(())
    })?;
    Ok(all)
}

/// Recordings in which something is said of holds and deletions, in the order in which it was said: each behind the
/// one that it names as the one before. Not by the clock, which may have been set back between them: a hold would
/// end with a word that came before it. It decides only between recordings of which nothing says how they follow
/// each other. Given with each is the time of the first such word in it.
fn in_order(
    catalog: &dyn Catalog,
    told_in: BTreeMap<SessionId, u64>,
) -> Result<Vec<SessionId>, ArchiveError> {
    let mut chain = Chain::default();
    let mut begins: HashMap<SessionId, u64> = HashMap::new();
    let mut placed = Vec::with_capacity(told_in.len());
    for (session, time_ns) in told_in {
        let (first, place) = chain.place(catalog, session)?;
        let begin = begins.entry(first).or_insert(time_ns);
        *begin = time_ns.min(*begin);
        placed.push((first, place, session));
    }
    placed.sort_by_key(|(first, place, session)| {
        (begins.get(first).copied(), *first, *place, *session)
    });
    Ok(placed.into_iter().map(|(_, _, session)| session).collect())
}

/// Recordings each of which names the one before.
#[derive(Default)]
struct Chain {
    /// The first that is known of a recording's chain, and how many are between.
    places: HashMap<SessionId, (SessionId, u64)>,
}

impl Chain {
    fn place(
        &mut self,
        catalog: &dyn Catalog,
        session: SessionId,
    ) -> Result<(SessionId, u64), ArchiveError> {
        let (mut at, mut behind) = (session, Vec::new());
        let (first, mut place) = loop {
            if let Some(place) = self.places.get(&at) {
                break *place;
            }
            behind.push(at);
            match previous(catalog, at)? {
                // One that names one behind it is no chain.
                Some(before) if !behind.contains(&before) => at = before,
                _ => {
                    behind.pop();
                    self.places.insert(at, (at, 0));
                    break (at, 0);
                }
            }
        };
        for session in behind.into_iter().rev() {
            place = place.saturating_add(1);
            self.places.insert(session, (first, place));
        }
        Ok((first, place))
    }
}

/// The recording that this one says it follows.
fn previous(catalog: &dyn Catalog, session: SessionId) -> Result<Option<SessionId>, ArchiveError> {
    let query = Query {
        session: Some(session),
        limit: 1,
        ..Query::default()
    };
    let first = catalog.events(&query)?.rows.into_iter().next();
    let first = first.filter(|row| row.seq == 0);
    let json: Option<serde_json::Value> =
        first.and_then(|row| serde_json::from_str(&row.facts).ok());
    let named = json.as_ref().and_then(|json| json.get("previous.session"));
    Ok(named.and_then(|named| named.as_str()?.parse().ok()))
}

/// Recordings of these keys in which something is said, and when the first such word was.
fn telling(
    catalog: &dyn Catalog,
    keys: &[[u8; 32]],
) -> Result<BTreeMap<SessionId, u64>, ArchiveError> {
    let mut trusted: HashMap<SessionId, bool> = HashMap::new();
    let mut first: BTreeMap<SessionId, u64> = BTreeMap::new();
    each_said(catalog, None, &mut |said| {
        let told_in = said.at.session;
        let is_trusted = match trusted.get(&told_in) {
            Some(is_trusted) => *is_trusted,
            None => {
                let is_trusted = is_signed_by(catalog, told_in, keys)?;
                trusted.insert(told_in, is_trusted);
                is_trusted
            }
        };
        if is_trusted {
            let time_ns = first.entry(told_in).or_insert(said.at.time_ns);
            *time_ns = said.at.time_ns.min(*time_ns);
        }
        Ok(())
    })?;
    Ok(first)
}

/// What is said in one recording, in the order of its events, or in all, in no order.
fn each_said(
    catalog: &dyn Catalog,
    told_in: Option<SessionId>,
    hear: &mut dyn FnMut(Said) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    // Of one recording all three at once: a hold and its end are in the order in which they were said.
    let mut pages = Vec::new();
    for word in Telling::ALL {
        pages.push(Pages::new(word, told_in));
    }
    while let Some(said) = next_of(catalog, &mut pages)? {
        hear(said)?;
    }
    Ok(())
}

/// The first of what these bring next.
fn next_of(catalog: &dyn Catalog, pages: &mut [Pages]) -> Result<Option<Said>, ArchiveError> {
    let mut first: Option<(usize, Cursor)> = None;
    for (at, page) in pages.iter_mut().enumerate() {
        page.fill(catalog)?;
        if let Some(said) = page.ready.front()
            && first.is_none_or(|(_, cursor)| said.at < cursor)
        {
            first = Some((at, said.at));
        }
    }
    let page = first.and_then(|(at, _)| pages.get_mut(at));
    Ok(page.and_then(|page| page.ready.pop_front()))
}

/// Events that say one thing, a page of them at a time.
struct Pages {
    word: Telling,
    query: Query,
    is_last: bool,
    ready: VecDeque<Said>,
}

impl Pages {
    fn new(word: Telling, told_in: Option<SessionId>) -> Self {
        Self {
            word,
            query: Query {
                name: Some(word.name().to_owned()),
                session: told_in,
                ..Query::default()
            },
            is_last: false,
            ready: VecDeque::new(),
        }
    }

    fn fill(&mut self, catalog: &dyn Catalog) -> Result<(), ArchiveError> {
        while self.ready.is_empty() && !self.is_last {
            let page = catalog.events(&self.query)?;
            let word = self.word;
            let said = page.rows.iter().filter_map(|row| said(word, row));
            self.ready.extend(said);
            self.is_last = page.next.is_none();
            self.query.after = page.next;
        }
        Ok(())
    }
}

/// What an event says, if it names a session.
fn said(word: Telling, row: &EventRow) -> Option<Said> {
    let json: serde_json::Value = serde_json::from_str(&row.facts).ok()?;
    let said = |name: &str| json.get(name).and_then(|v| v.as_str());
    Some(Said {
        at: Cursor::of_event(row),
        word,
        about: said("recording")?.parse().ok()?,
        was_done: json.get("success").and_then(serde_json::Value::as_bool) != Some(false),
        request: said("request_id").map(str::to_owned),
    })
}

/// The event in this place.
fn event_at(catalog: &dyn Catalog, at: Cursor) -> Result<Option<EventRow>, ArchiveError> {
    let mut query = Query {
        session: Some(at.session),
        from_ns: Some(at.time_ns),
        until_ns: at.time_ns.checked_add(1),
        ..Query::default()
    };
    loop {
        let page = catalog.events(&query)?;
        let is_it = |row: &EventRow| Cursor::of_event(row) == at;
        match (page.rows.into_iter().find(is_it), page.next) {
            (None, Some(next)) => query.after = Some(next),
            (row, _) => return Ok(row),
        }
    }
}

fn is_signed_by(
    catalog: &dyn Catalog,
    session: SessionId,
    keys: &[[u8; 32]],
) -> Result<bool, ArchiveError> {
    let heads = catalog.heads(&[session])?;
    let head = heads.into_iter().next().flatten();
    Ok(head.is_some_and(|head| keys.contains(&head.key)))
}
