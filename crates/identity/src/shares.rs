//! Links to sessions for people without an account: one small file for each, replaced whole and
//! durable before anybody hears of it. A file that is damaged opens nothing.

use std::path::Path;
use std::sync::Arc;

use hansard_core::SessionId;

use crate::failure::Failure;
use crate::hex;
use crate::limits::{PAGE_ROWS_MAX, SHARE_KEPT_NS, SHARES_MAX};
use crate::random::Random;
use crate::rows::{Row, Rows};
use crate::share::{Maker, Secret, Share, ShareRow, Wish};

/// The links of one service.
pub struct Shares {
    random: Arc<dyn Random>,
    rows: Rows<ShareRow>,
}

impl Row for ShareRow {
    const CALLED: (&'static str, &'static str) = ("link", "links");
    const MAX: usize = SHARES_MAX;

    fn name(&self) -> &str {
        &self.id
    }

    fn check(&self) -> Result<(), &'static str> {
        match self.share() {
            Some(_) => Ok(()),
            None => Err("it names no session"),
        }
    }
}

/// A link that is ready to be kept: until it is, it opens nothing.
#[derive(Debug)]
pub struct Prepared {
    /// The link.
    pub share: Share,
    /// What opens it. Said once.
    pub secret: Secret,
    row: ShareRow,
}

impl Shares {
    /// Opens the links in `directory`, which is made if it is not there; and what about it cannot be
    /// read, as names and reasons.
    ///
    /// # Errors
    /// `Conflict` with more than [`SHARES_MAX`], `Retry` when the disk fails.
    pub fn open(
        directory: &Path,
        random: Arc<dyn Random>,
    ) -> Result<(Self, Vec<(String, String)>), Failure> {
        let (rows, unreadable) = Rows::open(directory)?;
        let shares = Self { random, rows };
        Ok((shares, unreadable))
    }

    /// Makes a link that opens nothing yet, so that it can be put on record first.
    ///
    /// # Errors
    /// `Malformed` as [`Wish::check`], `Conflict` at [`SHARES_MAX`], `Retry` without randomness.
    pub fn prepare(
        &self,
        wish: &Wish,
        by: (&str, Maker),
        utc_ns: u64,
    ) -> Result<Prepared, Failure> {
        wish.check()?;
        let is_old = |row: &ShareRow| is_old(row, utc_ns);
        let known = self.rows.known();
        let kept = known.values().filter(|row| !is_old(row)).count();
        drop(known);
        if kept >= SHARES_MAX {
            let words = format!(
                "there are {SHARES_MAX} links; those that expired {} days ago make room",
                SHARE_KEPT_NS / (24 * 3600 * 1_000_000_000)
            );
            return Err(Failure::Conflict(words));
        }
        let secret = Secret::new(&*self.random)?;
        let row = ShareRow::new(wish, &secret, by, utc_ns);
        let share = row
            .share()
            .ok_or_else(|| Failure::Malformed("a link leads to a session".to_owned()))?;
        Ok(Prepared { share, secret, row })
    }

    /// Keeps a link: it opens its session from now on. Links that are over for long make room.
    ///
    /// # Errors
    /// `Conflict` at [`SHARES_MAX`], `Retry` when the disk fails.
    pub fn keep(&self, prepared: &Prepared) -> Result<(), Failure> {
        let _writing = self.rows.writing();
        let utc_ns = prepared.share.created_ns;
        let known = self.rows.known();
        let old = known.values().filter(|row| is_old(row, utc_ns));
        let old: Vec<String> = old.map(|row| row.id.clone()).collect();
        drop(known);
        for id in old {
            self.rows.remove(&id)?;
        }
        if self.rows.known().len() >= SHARES_MAX {
            let words = format!("there are {SHARES_MAX} links: others came first");
            return Err(Failure::Conflict(words));
        }
        self.rows.put(prepared.row.clone())
    }

    /// Revokes a link: it opens nothing from now on. Doing it twice is doing it once. `false` if there
    /// is none of that name.
    ///
    /// # Errors
    /// `Retry` when the disk fails; it opens nothing then either, until a restart.
    pub fn revoke(&self, id: &str, by: &str, utc_ns: u64) -> Result<bool, Failure> {
        let _writing = self.rows.writing();
        let Some(mut row) = self.rows.known().get(id).cloned() else {
            return Ok(false);
        };
        // One that was revoked is written again: a disk may have failed the first time.
        if row.revoked_ns.is_none() {
            row.revoked_ns = Some(utc_ns);
            row.revoked_by = Some(by.to_owned());
        }
        // Closed first: who revokes wants it closed, whatever the disk does. A crash here leaves it
        // open, and whoever revoked it without an answer.
        self.rows.known_mut().insert(id.to_owned(), row.clone());
        self.rows.put(row)?;
        Ok(true)
    }

    /// The link that this secret is of, whether or not it still holds. Cheap: nothing is read from
    /// disk.
    #[must_use]
    pub fn of(&self, secret: &Secret) -> Option<Share> {
        let known = self.rows.known();
        let row = known.get(&secret.id())?;
        (row.secret_sha256 == hex::encode(&secret.digest()))
            .then(|| row.share())
            .flatten()
    }

    /// A link by its name.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Share> {
        self.rows.known().get(id).and_then(ShareRow::share)
    }

    /// Links by name, at most `limit` (and [`PAGE_ROWS_MAX`] and one more), after this one; those to
    /// this session, where one is named.
    #[must_use]
    pub fn list(
        &self,
        session: Option<SessionId>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Share> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let known = self.rows.known();
        let rest = known.range::<str, _>((from, Unbounded));
        rest.filter_map(|(_, row)| row.share())
            .filter(|share| session.is_none_or(|session| share.session == session))
            .take(limit.min(PAGE_ROWS_MAX.saturating_add(1)))
            .collect()
    }
}

fn is_old(row: &ShareRow, utc_ns: u64) -> bool {
    row.expires_ns.saturating_add(SHARE_KEPT_NS) <= utc_ns
}

#[cfg(test)]
mod tests;
