//! The one thread that writes. It takes all heads that wait and commits them together, then the
//! rows that wait, so that neither starves the other.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hansard_core::SessionId;
use rusqlite::Connection;

use super::retention::{Act, Done};
use super::sorted;
use super::write::Statements;
use crate::catalog::{Advanced, CatalogError, EventRow, Quarantined, SegmentRow, SegmentUpdate};
use crate::limits::{CATALOG_ADVANCES_MAX, CATALOG_EVENTS_MAX};

/// Where an answer goes.
pub(super) type Reply<T> = SyncSender<Result<T, CatalogError>>;

/// Something to write. Whoever asks waits for the answer, so there are never more jobs than threads
/// that ask.
pub(super) enum Job {
    Advance(Arc<[SegmentRow]>, Reply<Vec<Advanced>>),
    Events(Arc<[EventRow]>, Reply<()>),
    Project(Arc<[SegmentUpdate]>, Reply<()>),
    Quarantine(Quarantined, Option<(SessionId, u32)>, Reply<()>),
    Retain(Act, Reply<Done>),
}

#[derive(Default)]
struct Queue {
    heads: VecDeque<Job>,
    rows: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

/// The thread, ended when this is dropped.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, CatalogError> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("catalog".to_owned())
            .spawn(move || write(&connection, &theirs))
            .map_err(|e| CatalogError::Retry(format!("no thread for the catalog: {e}")))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Hands a job over and waits for its answer.
    pub(super) fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, CatalogError> {
        let (reply, answer) = sync_channel(1);
        let job = job(reply);
        {
            let mut queue = self.shared.queue();
            match job {
                // What is deleted must be so durably, before a blob goes.
                Job::Advance(..) | Job::Retain(..) => queue.heads.push_back(job),
                _ => queue.rows.push_back(job),
            }
        }
        self.shared.arrived.notify_one();
        let gone = || CatalogError::Retry("the catalog's thread has ended".to_owned());
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has lost its connection; there is nothing to tidy up.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to commit next: heads, and rows. Waits until there is something; `None` at the end.
    fn next_groups(&self) -> Option<[Vec<Job>; 2]> {
        let mut queue = self.queue();
        while queue.heads.is_empty() && queue.rows.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self
                .arrived
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let heads = take(&mut queue.heads, CATALOG_ADVANCES_MAX);
        let rows = take(&mut queue.rows, CATALOG_EVENTS_MAX);
        Some([heads, rows])
    }
}

/// Takes jobs until they have this many items; one job at least.
fn take(jobs: &mut VecDeque<Job>, items_max: usize) -> Vec<Job> {
    let (mut taken, mut items) = (Vec::new(), 0usize);
    while let Some(job) = jobs.front() {
        items = items.saturating_add(match job {
            Job::Advance(rows, _) => rows.len(),
            Job::Events(rows, _) => rows.len(),
            Job::Project(updates, _) => updates.len(),
            Job::Quarantine(..) => 1,
            Job::Retain(Act::Sweep(rows), _) => *rows,
            Job::Retain(..) => 1,
        });
        if !taken.is_empty() && items > items_max {
            break;
        }
        taken.extend(jobs.pop_front());
    }
    taken
}

fn write(connection: &Connection, shared: &Shared) {
    while let Some([heads, rows]) = shared.next_groups() {
        for (group, synchronous) in [(heads, "FULL"), (rows, "NORMAL")] {
            if !group.is_empty() {
                commit(connection, group, synchronous);
            }
        }
    }
}

/// An answer that waits for the commit.
type Answer = Box<dyn FnOnce(Option<CatalogError>)>;

fn answer<T: 'static>(reply: Reply<T>, done: T) -> Answer {
    // Whoever asked may be gone; the work is done all the same.
    Box::new(move |error| drop(reply.send(error.map_or(Ok(done), Err))))
}

/// Does all jobs in one transaction and answers them when it is committed. A failure undoes all of
/// them, and all are told so.
fn commit(connection: &Connection, jobs: Vec<Job>, synchronous: &str) {
    let mut answers: Vec<Answer> = Vec::new();
    let mut undone = Vec::new();
    let done = (|| -> rusqlite::Result<()> {
        connection.pragma_update(None, "synchronous", synchronous)?;
        let transaction = connection.unchecked_transaction()?;
        let mut statements = Statements::prepare(&transaction)?;
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            if let Err(e) = act(&mut statements, job, &mut answers, &mut undone) {
                undone.extend(jobs.map(refusal));
                return Err(e);
            }
        }
        drop(statements);
        transaction.commit()
    })();
    let error = done.err().map(|e| sorted(&e));
    for answer in answers.into_iter().chain(undone) {
        answer(error.clone());
    }
}

/// Does one job. Its answer goes to `answers`, or to `undone` if it failed.
fn act(
    statements: &mut Statements<'_>,
    job: Job,
    answers: &mut Vec<Answer>,
    undone: &mut Vec<Answer>,
) -> rusqlite::Result<()> {
    let done = match &job {
        Job::Advance(rows, reply) => {
            let outcomes = rows.iter().map(|row| statements.advance(row));
            let outcomes = outcomes.collect::<rusqlite::Result<Vec<_>>>();
            outcomes.map(|outcomes| answer(reply.clone(), outcomes))
        }
        Job::Events(rows, reply) => statements
            .put_events(rows)
            .map(|()| answer(reply.clone(), ())),
        Job::Project(updates, reply) => updates
            .iter()
            .try_for_each(|update| statements.project(update))
            .map(|()| answer(reply.clone(), ())),
        Job::Quarantine(item, segment, reply) => statements
            .quarantine(item, *segment)
            .map(|()| answer(reply.clone(), ())),
        Job::Retain(act, reply) => statements
            .retain(act)
            .map(|done| answer(reply.clone(), done)),
    };
    match done {
        Ok(answer) => answers.push(answer),
        Err(e) => {
            undone.push(refusal(job));
            return Err(e);
        }
    }
    Ok(())
}

/// The answer to a job that was not done.
fn refusal(job: Job) -> Answer {
    match job {
        Job::Advance(_, reply) => answer(reply, Vec::new()),
        Job::Retain(_, reply) => answer(reply, Done::Nothing),
        Job::Events(_, reply) | Job::Project(_, reply) | Job::Quarantine(.., reply) => {
            answer(reply, ())
        }
    }
}
