//! Deleting recordings that are old enough: the configuration's rules, the clock, and the events that
//! say so. The work is [`hansard_store::retention`]'s.
//!
//! Nothing is deleted, and nothing is dated, while the clock cannot be believed: for a day of
//! monotonic time after it jumped ([`crate::steady`]), which is an event by itself.

use std::sync::Arc;

use hansard_core::event::Fact;
use hansard_core::{Body, Fields, SessionId};
use hansard_identity::hex::encode as hex;
use hansard_record::clock::Clock;
use hansard_store::archive::ArchiveError;
use hansard_store::catalog::{Burial, SegmentRow, SessionRow, StartFacts, Tombstone};
use hansard_store::retention::{Retired, Rule, Telling, run};
use hansard_store::{BlobStore, Catalog};

use crate::config::Rule as Configured;
use crate::eventlog::day::text;
use crate::steady::Steady;

/// Deletes by rules. To be run every hour or so, on a thread that may take its time.
pub struct Retention {
    blobs: Arc<dyn BlobStore>,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    steady: Option<Steady>,
}

/// Makes an event of the own recording, durable when `Ok`.
pub type Diarist<'a> = dyn FnMut(Body) -> Result<(), String> + 'a;

impl Retention {
    /// Over these stores.
    #[must_use]
    pub fn new(
        blobs: Arc<dyn BlobStore>,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            blobs,
            catalog,
            clock,
            steady: None,
        }
    }

    /// One run. Every deletion is an event before it is done.
    ///
    /// # Errors
    /// `Retry` when a store fails, or an event could not be made; the next run goes on.
    pub fn run(
        &mut self,
        rules: &[Configured],
        diarist: &mut Diarist<'_>,
    ) -> Result<Retired, ArchiveError> {
        let (monotonic, utc) = (self.clock.monotonic_ns(), self.clock.utc_ns());
        let mut steady = match self.steady.take() {
            Some(steady) => steady,
            None => Steady::new(self.newest()?),
        };
        let jump = steady.look(monotonic, utc);
        let may_delete = steady.may_delete(monotonic);
        self.steady = Some(steady);
        if let Some(jump) = jump {
            let seconds = jump.ahead_ns / 1_000_000_000;
            let fields = Fields::new()
                .with("until", text(jump.until_utc_ns))
                .with("reason", format!("the clock jumped by {seconds} s"));
            diarist(admin("retention.paused", fields)).map_err(ArchiveError::Retry)?;
        }
        if !may_delete {
            return Ok(Retired::default());
        }
        let rules: Vec<Rule> = rules.iter().enumerate().map(rule).collect();
        let mut tell = |telling: &Telling<'_>| {
            let newest_of = |row: &SessionRow| {
                let heads = self
                    .catalog
                    .heads(&[row.session])
                    .map_err(|e| e.to_string())?;
                Ok::<_, String>(heads.into_iter().next().flatten())
            };
            diarist(match telling {
                Telling::Deleting(row, burial) => {
                    deleted((row, burial), newest_of(row)?.as_ref(), None)
                }
                Telling::NotDeleted(row, burial, why) => {
                    deleted((row, burial), newest_of(row)?.as_ref(), Some(why))
                }
                Telling::Held { session, told_in } => held(*session, *told_in),
                Telling::Deleted(tombstone) => deleted_before(tombstone),
            })
        };
        run(&*self.blobs, &*self.catalog, &rules, utc, &mut tell)
    }

    /// The newest time that this service's own clock has written down before this start. What a recording
    /// says of when it was made is its host's word: one that is dated into the future would stop the rules.
    fn newest(&self) -> Result<Option<u64>, ArchiveError> {
        Ok(self.catalog.newest_date()?)
    }
}

/// The event that tells of a deletion; with a reason, that it was not done after all.
#[must_use]
pub fn deleted(
    (row, burial): (&SessionRow, &Burial),
    newest: Option<&SegmentRow>,
    why_not: Option<&str>,
) -> Body {
    let digest = newest.map(|newest| hex(&newest.digest)).unwrap_or_default();
    let mut fields = of_deleted(row.session, &row.start, burial)
        .with("segments", row.segments)
        .with("bytes", row.stored_bytes)
        .with("digest", digest);
    if let Some(newest) = newest {
        fields.push("newest", u64::from(newest.number));
        fields.push("key", hex(&newest.key));
    }
    if let Some(why_not) = why_not {
        fields.push("success", false);
        fields.push("error", why_not);
    }
    admin("recording.deleted", fields)
}

/// The same, told again of what was deleted before.
fn deleted_before(tombstone: &Tombstone) -> Body {
    let Tombstone {
        session,
        start,
        burial,
        ..
    } = tombstone;
    let fields = of_deleted(*session, start, burial)
        .with("segments", tombstone.segments)
        .with("bytes", tombstone.stored_bytes)
        .with("digest", hex(&tombstone.digest))
        .with("newest", u64::from(tombstone.number))
        .with("key", hex(&tombstone.key))
        .with("deleted_ms", burial.utc_ns / 1_000_000);
    admin("recording.deleted", fields)
}

fn of_deleted(session: SessionId, start: &StartFacts, burial: &Burial) -> Fields {
    Fields::new()
        .with("recording", session.to_string())
        .with("rule", burial.by.as_str())
        .with("reason", burial.why.as_str())
        .with("owner", start.user.as_str())
        .with("host", start.host.as_str())
        .with("session_kind", start.kind.as_str())
        .with("session_start", text(start.start_utc_ns))
}

/// The event that tells again of a hold in force.
fn held(session: SessionId, told_in: SessionId) -> Body {
    let reason = format!("it is held still; {told_in}, which told of it, is deleted next");
    let fields = Fields::new()
        .with("recording", session.to_string())
        .with("reason", reason);
    admin("recording.held", fields)
}

fn admin(event: &str, fields: Fields) -> Body {
    Body::Admin(Fact {
        event: event.to_owned(),
        fields,
    })
}

/// A rule of the configuration, named by its place there.
fn rule((number, configured): (usize, &Configured)) -> Rule {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let labels = configured.labels.iter();
    Rule {
        name: format!("retention rule {}", number.saturating_add(1)),
        kind: text(&configured.kind),
        host: text(&configured.host),
        user: text(&configured.user),
        labels: labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        keep_ns: u64::try_from(configured.keep.0.as_nanos()).ok(),
    }
}

#[cfg(test)]
mod tests;
