//! What a catalog alone knew and segments tell, too: holds and deletions, which are events in the
//! services' own recordings. Without this a catalog that was built anew would have what was deleted,
//! as far as its bytes are still there, and would let what is held be deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hansard_core::SessionId;

use crate::archive::ArchiveError;
use crate::catalog::rows::TIME_NS_MAX;
use crate::catalog::{Burial, Buried, Catalog, EventRow, Query, StartFacts, Tombstone};

/// Holds and deletions that are recalled at most; with more, reindexing says so and stops before
/// anything could be deleted wrongly.
pub const RECALLED_MAX: usize = 1_000_000;

/// Names of the events that tell of it.
const HELD: &str = "recording.held";
const RELEASED: &str = "recording.released";
const DELETED: &str = "recording.deleted";

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
/// # Errors
/// `Retry` when the catalog fails; `Refused` beyond [`RECALLED_MAX`]. Repeating is harmless.
pub fn recall(catalog: &dyn Catalog, keys: &[[u8; 32]]) -> Result<Recalled, ArchiveError> {
    let mut told_of = Vec::new();
    for name in [HELD, RELEASED, DELETED] {
        told_of.extend(told(catalog, name, keys)?);
    }
    let mut fates: BTreeMap<SessionId, Fate> = BTreeMap::new();
    for said in in_order(catalog, told_of)? {
        fates.entry(said.about).or_default().hears(said);
    }
    let mut recalled = Recalled::default();
    for (session, fate) in fates {
        let (held, burial) = fate.settled();
        if let Some(held) = held {
            catalog.hold(session, held)?;
            recalled.held += u64::from(held);
        }
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
    row: EventRow,
    about: SessionId,
    was_done: bool,
    /// What all that came of one request names, since services say it.
    request: Option<String>,
}

/// What was said of one session, as far as it was not taken back.
#[derive(Default)]
struct Fate {
    /// That it is held, or is not: the last word counts.
    holds: Vec<Word>,
    /// That it was deleted, with how many of those words came before.
    burial: Option<Tombstone>,
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
        match (said.row.name == DELETED, said.was_done) {
            (true, true) => {
                self.burial = Some(tombstone(said.about, &said.row));
                self.before_burial = self.holds.len();
            }
            // Nobody may ask for this: who says that it was not done had said that it was.
            (true, false) => self.burial = None,
            (false, true) => self.holds.push(Word {
                is_held: said.row.name == HELD,
                request: said.request,
            }),
            // Who asked for it and might not is on record as well. Only what names the same request takes a word
            // back: or whoever is refused a hold would lift the one that there is.
            (false, false) => self.forget(said.row.name == HELD, said.request.as_deref()),
        }
    }

    /// Whether it is held, if anything was said of that, and its deletion.
    fn settled(mut self) -> (Option<bool>, Option<Tombstone>) {
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
    for name in [HELD, DELETED] {
        let mut query = Query {
            name: Some(name.to_owned()),
            session: Some(told_in),
            ..Query::default()
        };
        loop {
            let page = catalog.events(&query)?;
            all.extend(page.rows.iter().filter_map(|row| about(&row.facts)));
            match page.next {
                None => break,
                next => query.after = next,
            }
        }
    }
    Ok(all)
}

/// The session that an event of a hold or deletion is about.
fn about(facts: &str) -> Option<SessionId> {
    let json: serde_json::Value = serde_json::from_str(facts).ok()?;
    json.get("recording")?.as_str()?.parse().ok()
}

/// What was said of holds and deletions, as it was said one after the other: in the order of a recording's events, and of the
/// recordings each of which names the one before. Not by the clock, which may have been set back between them:
/// a hold would end with a word that came before it. It decides only between recordings of which nothing says
/// how they follow each other.
fn in_order(catalog: &dyn Catalog, told_of: Vec<Said>) -> Result<Vec<Said>, ArchiveError> {
    let mut chain = Chain::default();
    let mut begins: HashMap<SessionId, u64> = HashMap::new();
    let mut placed = Vec::with_capacity(told_of.len());
    for said in told_of {
        let (first, place) = chain.place(catalog, said.row.session)?;
        let begin = begins.entry(first).or_insert(said.row.time_ns);
        *begin = said.row.time_ns.min(*begin);
        placed.push((first, place, said));
    }
    placed.sort_by_key(|(first, place, said)| {
        (
            begins.get(first).copied(),
            *first,
            *place,
            said.row.seq,
            said.row.ordinal,
        )
    });
    Ok(placed.into_iter().map(|(_, _, said)| said).collect())
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

/// Events of this name in recordings of these keys, with the session that each is about, by time.
fn told(catalog: &dyn Catalog, name: &str, keys: &[[u8; 32]]) -> Result<Vec<Said>, ArchiveError> {
    let mut query = Query {
        name: Some(name.to_owned()),
        ..Query::default()
    };
    let (mut all, mut trusted) = (Vec::new(), HashMap::new());
    loop {
        let page = catalog.events(&query)?;
        for row in page.rows {
            let is_trusted = match trusted.get(&row.session) {
                Some(is_trusted) => *is_trusted,
                None => {
                    let is_trusted = is_signed_by(catalog, row.session, keys)?;
                    trusted.insert(row.session, is_trusted);
                    is_trusted
                }
            };
            let json: serde_json::Value = serde_json::from_str(&row.facts).unwrap_or_default();
            let said = |name: &str| json.get(name).and_then(|v| v.as_str());
            let was_done = json.get("success").and_then(serde_json::Value::as_bool) != Some(false);
            let about = said("recording").and_then(|id| id.parse().ok());
            if let Some(about) = about.filter(|_| is_trusted) {
                let request = said("request_id").map(str::to_owned);
                all.push(Said {
                    row,
                    about,
                    was_done,
                    request,
                });
            }
        }
        if all.len() > RECALLED_MAX {
            return Err(ArchiveError::Refused(format!(
                "more than {RECALLED_MAX} events {name}: holds and deletions cannot be recalled"
            )));
        }
        match page.next {
            None => return Ok(all),
            next => query.after = next,
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
