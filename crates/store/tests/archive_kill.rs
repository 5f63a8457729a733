//! The four steps, ended at every call of a store, before it is done, half done and after it: nothing
//! that was acknowledged is lost, repeating always succeeds, and the listing comes out the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use hansard_core::Class;
use hansard_store::archive::SegmentId;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::catalog::{Catalog, EventRow, SessionRow};
use hansard_store::fault::{Fault, Faults};
use hansard_store::project::Projector;
use hansard_store::reindex::{adopt, reindex};
use hansard_store::{Archive, ArchiveOptions, BlobStore, Query, SealedSegment};
use support::{bytes_of, recording};

/// Stores that outlive the process that uses them.
#[derive(Clone)]
struct World {
    blobs: MemoryBlobs,
    catalog: MemoryCatalog,
    faults: Faults,
}

impl World {
    fn new() -> Self {
        let faults = Faults::new();
        Self {
            blobs: MemoryBlobs::new(faults.clone()),
            catalog: MemoryCatalog::new(faults.clone()),
            faults,
        }
    }

    fn archive(&self) -> Archive {
        let options = ArchiveOptions {
            pack_bytes: 1000,
            pack_age_ns: 1000,
        };
        Archive::new(
            Arc::new(self.blobs.clone()),
            Arc::new(self.catalog.clone()),
            options,
        )
    }

    fn projector(&self) -> Projector {
        Projector::new(Arc::new(self.blobs.clone()), Arc::new(self.catalog.clone()))
    }

    /// Everything that can be listed.
    fn listing(&self) -> (Vec<SessionRow>, Vec<EventRow>) {
        listing(&self.catalog)
    }
}

fn listing(catalog: &dyn Catalog) -> (Vec<SessionRow>, Vec<EventRow>) {
    let (mut sessions, mut events) = (Vec::new(), Vec::new());
    let mut query = Query::default();
    loop {
        let page = catalog.sessions(&query).unwrap();
        sessions.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    loop {
        let page = catalog.events(&query).unwrap();
        events.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
            return (sessions, events);
        }
    }
}

/// Some sessions, whose segments come interleaved.
fn sessions() -> Vec<Vec<SealedSegment>> {
    static MADE: OnceLock<Vec<Vec<SealedSegment>>> = OnceLock::new();
    let make = || (0..6).map(|n| recording(n, 4 + n as u32)).collect();
    MADE.get_or_init(make).clone()
}

/// A host with a spool: it offers what it has not a receipt of class S for, in small batches.
struct Sender {
    sessions: Vec<Vec<SealedSegment>>,
    acknowledged: BTreeSet<SegmentId>,
}

fn id_of(segment: &SealedSegment) -> SegmentId {
    (segment.facts().session, segment.facts().number)
}

impl Sender {
    fn new() -> Self {
        Self {
            sessions: sessions(),
            acknowledged: BTreeSet::new(),
        }
    }

    /// One attempt to get rid of everything; false if it was told that something failed.
    fn offer(&mut self, archive: &Archive) -> bool {
        let mut fine = true;
        for round in 0..12 {
            let mut batch = Vec::new();
            for session in &self.sessions {
                let next = session.iter().skip(round).take(1);
                batch.extend(
                    next.filter(|s| !self.acknowledged.contains(&id_of(s)))
                        .cloned(),
                );
            }
            let put = archive.put(&batch, round as u64);
            for (segment, receipt) in batch.iter().zip(&put.receipts) {
                match receipt {
                    Ok(receipt) if receipt.class == Class::S => {
                        self.acknowledged.insert(id_of(segment));
                    }
                    Ok(_) => {}
                    Err(_) => fine = false,
                }
            }
            fine &= put.flushed.trouble.is_none();
            self.note(put.flushed.settled);
        }
        let flushed = archive.flush();
        fine &= flushed.trouble.is_none();
        self.note(flushed.settled);
        fine
    }

    fn note(&mut self, settled: Vec<hansard_store::archive::Settled>) {
        for settled in settled {
            settled.outcome.unwrap();
            self.acknowledged.insert(settled.segment);
        }
    }

    fn is_done(&self) -> bool {
        let mut all = self.sessions.iter().flatten();
        all.all(|segment| self.acknowledged.contains(&id_of(segment)))
    }
}

fn stored(archive: &Archive, session: &[SealedSegment]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut reader) = archive.open_session(session[0].facts().session).unwrap() {
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(reader.problems_count(), 0);
    }
    bytes
}

/// Every acknowledged segment can be read, and what can be read is a beginning of what was sent.
fn must_hold_acknowledged(world: &World, sender: &Sender) {
    let archive = world.archive();
    for session in &sender.sessions {
        let there = stored(&archive, session);
        assert!(bytes_of(session).starts_with(&there));
        let acknowledged = session
            .iter()
            .filter(|s| sender.acknowledged.contains(&id_of(s)));
        let acknowledged: Vec<SealedSegment> = acknowledged.cloned().collect();
        assert!(
            there.starts_with(&bytes_of(&acknowledged)),
            "an acknowledged segment is lost"
        );
    }
}

/// What a run without any failure lists.
fn wanted() -> (Vec<SessionRow>, Vec<EventRow>) {
    let world = World::new();
    assert!(Sender::new().offer(&world.archive()));
    world.projector().run_all().unwrap();
    world.listing()
}

/// One life after another, until all is archived and projected; the plan decides where lives end.
fn live(world: &World, sender: &mut Sender, dies: bool) {
    let mut archive = world.archive();
    for life in 0..100 {
        let fine = sender.offer(&archive);
        let projected = world.projector().run_all();
        if fine && sender.is_done() && projected.is_ok() {
            return;
        }
        if dies {
            world.faults.heal();
            must_hold_acknowledged(world, sender);
            if life % 2 == 0 {
                adopt(&world.blobs, &world.catalog).unwrap();
            }
            archive = world.archive();
        }
    }
    panic!("it never came to an end");
}

fn end_at_every_call(dies: bool) {
    let wanted = wanted();
    let calls = {
        let world = World::new();
        live(&world, &mut Sender::new(), dies);
        world.faults.calls()
    };
    assert!(calls >= 30, "{calls} calls");
    for call in 1..=calls {
        for fault in Fault::ALL {
            let (world, mut sender) = (World::new(), Sender::new());
            match dies {
                true => world.faults.go_down_at(call, fault),
                false => world.faults.fail_once_at(call, fault),
            }
            live(&world, &mut sender, dies);
            world.faults.heal();
            must_hold_acknowledged(&world, &sender);
            assert_eq!(world.listing(), wanted, "call {call}, {fault:?}");
            let (blobs, catalog): (Arc<dyn BlobStore>, Arc<dyn Catalog>) = (
                Arc::new(world.blobs.clone()),
                Arc::new(MemoryCatalog::default()),
            );
            let (adopted, _) = reindex(&blobs, &catalog).unwrap();
            assert_eq!((adopted.quarantined, adopted.after_loss), (0, 0));
            assert_eq!(
                listing(&*catalog),
                wanted,
                "reindexed, call {call}, {fault:?}"
            );
        }
    }
}

#[test]
fn killed_at_every_call() {
    end_at_every_call(true);
}

#[test]
fn failing_once_at_every_call() {
    end_at_every_call(false);
}
