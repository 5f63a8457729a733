//! Listings over what the catalog knows and what it does not know yet: each row once, in order,
//! with a cursor that goes on where the page ended.

use std::collections::HashSet;

use hansard_core::SessionId;
use hansard_store::Catalog;
use hansard_store::catalog::{CatalogError, Cursor, EventRow, Page, Query, SessionRow};

use super::{Live, LiveRow};

/// A page, and whether it leaves out what is not listed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The rows, and where to go on.
    pub page: Page<T>,
    /// Whether everything is in it that was durable when it was asked for. If not, more comes to
    /// the catalog shortly; it may belong before the page's end.
    pub complete: bool,
}

/// Sessions, as the catalog lists them and with what it does not list yet.
///
/// # Errors
/// As sorted by [`CatalogError`].
pub fn sessions(
    catalog: &dyn Catalog,
    live: &Live,
    query: &Query,
) -> Result<Listing<SessionRow>, CatalogError> {
    // First what is not listed yet: whatever leaves it after this is in the catalog before that is
    // asked. The other way round a session could be in neither.
    let new = live.sessions(query)?;
    let page = catalog.sessions(query)?;
    Ok(Listing {
        page: merge_sessions(query, page, new),
        complete: true,
    })
}

/// Events, as the catalog lists them and with those that it does not list yet.
///
/// # Errors
/// As sorted by [`CatalogError`].
pub fn events(
    catalog: &dyn Catalog,
    live: &Live,
    query: &Query,
) -> Result<Listing<EventRow>, CatalogError> {
    let (new, complete) = live.events(query);
    let page = catalog.events(query)?;
    Ok(Listing {
        page: merge_events(query, page, new),
        complete,
    })
}

/// One page of a catalog's page and of what was live before that was asked, both of this query and
/// in its order.
#[must_use]
pub fn merge_sessions(
    query: &Query,
    mut page: Page<SessionRow>,
    live: Vec<LiveRow>,
) -> Page<SessionRow> {
    let mut new = Vec::new();
    for row in live {
        let same = |listed: &&mut SessionRow| listed.session == row.session;
        match page.rows.iter_mut().find(same) {
            Some(listed) => row.add_to(listed),
            None => new.push(row.row()),
        }
    }
    merge(query, page, new, Cursor::of_session)
}

/// The same for events.
#[must_use]
pub fn merge_events(query: &Query, page: Page<EventRow>, live: Vec<EventRow>) -> Page<EventRow> {
    let key = |row: &EventRow| (row.session, row.seq, row.ordinal);
    let listed: HashSet<(SessionId, u64, u32)> = page.rows.iter().map(key).collect();
    let new = live.into_iter().filter(|row| !listed.contains(&key(row)));
    let new = new.collect();
    merge(query, page, new, Cursor::of_event)
}

/// Two lists in the query's order that have nothing in common.
fn merge<T>(query: &Query, page: Page<T>, new: Vec<T>, place: impl Fn(&T) -> Cursor) -> Page<T> {
    let Page { rows, next } = page;
    let mut all: Vec<T> = match next {
        // What stands behind a page that is not the last may have others of the catalog before it.
        Some(end) => {
            let before = |row: &T| match query.newest_first {
                true => place(row) > end,
                false => place(row) < end,
            };
            rows.into_iter()
                .chain(new.into_iter().filter(|row| before(row)))
                .collect()
        }
        None => rows.into_iter().chain(new).collect(),
    };
    all.sort_by_key(&place);
    if query.newest_first {
        all.reverse();
    }
    let more = next.is_some();
    let mut merged = query.page(all, &place);
    if more && merged.next.is_none() {
        merged.next = merged.rows.last().map(&place);
    }
    merged
}
