//! Rows of events on their way into the catalog: one batch is written while the next is made.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::catalog::{Catalog, CatalogError, EventRow};
use crate::limits::CATALOG_EVENTS_MAX;

/// Hands batches to a thread of its own, one at a time: whoever has made the next one waits until
/// the one before is written. So at most two batches are in memory.
///
/// A crash, or an error, leaves some of the rows in the catalog: they are put again by the next run.
pub(super) struct Putter {
    catalog: Arc<dyn Catalog>,
    thread: Option<Running>,
    /// Rows of the batch that is being written.
    pending: Option<u64>,
}

struct Running {
    batches: SyncSender<Vec<EventRow>>,
    outcomes: Receiver<Result<(), CatalogError>>,
    thread: JoinHandle<()>,
}

impl Putter {
    pub(super) fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self {
            catalog,
            thread: None,
            pending: None,
        }
    }

    /// Has these rows written, and answers how many of earlier ones are. Whether these are is said
    /// by the next call.
    pub(super) fn put(&mut self, rows: Vec<EventRow>) -> Result<u64, CatalogError> {
        let before = self.wait()?;
        if rows.is_empty() {
            return Ok(before);
        }
        let count = rows.len() as u64;
        if self.thread.is_none() {
            self.thread = start(&self.catalog);
        }
        // No thread is to be had, or the one there was died of a panic: it takes longer, and that
        // is all.
        let undone = match &self.thread {
            Some(running) => running.batches.send(rows).err().map(|unsent| unsent.0),
            None => Some(rows),
        };
        match undone {
            None => {
                self.pending = Some(count);
                Ok(before)
            }
            Some(rows) => {
                self.thread = None;
                put(&*self.catalog, rows)?;
                Ok(before.saturating_add(count))
            }
        }
    }

    /// Waits until everything is written; answers how many rows were since the last answer.
    pub(super) fn wait(&mut self) -> Result<u64, CatalogError> {
        let Some(count) = self.pending.take() else {
            return Ok(0);
        };
        let outcome = self.thread.as_ref().map(|running| running.outcomes.recv());
        match outcome {
            Some(Ok(outcome)) => outcome.map(|()| count),
            _ => {
                self.thread = None;
                let why = "the thread that writes rows has died".to_owned();
                Err(CatalogError::Retry(why))
            }
        }
    }
}

impl Drop for Putter {
    fn drop(&mut self) {
        if let Some(Running {
            batches, thread, ..
        }) = self.thread.take()
        {
            drop(batches);
            // One that panicked has nothing to tidy up.
            let _ = thread.join();
        }
    }
}

fn start(catalog: &Arc<dyn Catalog>) -> Option<Running> {
    let (batches, to_write) = sync_channel::<Vec<EventRow>>(1);
    let (written, outcomes) = sync_channel(1);
    let catalog = Arc::clone(catalog);
    let thread = std::thread::Builder::new()
        .name("rows".to_owned())
        .spawn(move || {
            for rows in to_write {
                if written.send(put(&*catalog, rows)).is_err() {
                    return;
                }
            }
        });
    Some(Running {
        batches,
        outcomes,
        thread: thread.ok()?,
    })
}

fn put(catalog: &dyn Catalog, mut rows: Vec<EventRow>) -> Result<(), CatalogError> {
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(CATALOG_EVENTS_MAX));
        catalog.put_events(std::mem::replace(&mut rows, rest).into())?;
    }
    Ok(())
}
