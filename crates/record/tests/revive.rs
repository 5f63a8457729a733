//! A daemon that was killed brings to an end what it was recording.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::path::Path;
use std::sync::Arc;

use hansard_core::event::End;
use hansard_core::frame::Place;
use hansard_core::policy::OnLoss;
use hansard_core::seal::SigningKey;
use hansard_core::verify::{Verdict, verify};
use hansard_core::writer::{Bounds, LastSegment, SegmentWriter};
use hansard_core::{Body, Part, Receipt, SessionId, Sink, SinkError, Stream};
use hansard_record::disk::Disk;
use hansard_record::open_sessions::{Boot, Plan, Survives};
use hansard_record::order::Spot;
use hansard_record::revive::{Fate, Revival, WITHOUT_A_WORD, revive};
use hansard_record::sim::SimDisk;
use hansard_record::{OpenSessions, Spool, SpoolOptions};
use proptest::prelude::*;
use support::{key, read_all, session};

const BOOT: Boot = [1; 16];
const LOSS: u64 = 12_345;
const MINUTE: u64 = 60_000_000_000;

fn plan(survives: Survives) -> Plan {
    Plan {
        survives,
        loss_bytes_max: Some(LOSS),
    }
}

/// A daemon over a disk: what it has in its spool and its notes, and what it gave away for good.
struct Host {
    disk: SimDisk,
    spool: Spool,
    open: OpenSessions,
    archived: Vec<Part>,
}

impl Host {
    fn start(disk: SimDisk, boot: Boot, archived: Vec<Part>) -> Self {
        let options = SpoolOptions {
            file_bytes_max: 700,
            ..SpoolOptions::default()
        };
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Spool::open(Path::new("/spool"), Arc::clone(&shared), options).unwrap();
        let open = OpenSessions::open(Path::new("/open"), shared, boot).unwrap();
        Self {
            disk,
            spool,
            open,
            archived,
        }
    }

    fn new() -> Self {
        Self::start(SimDisk::new(1), BOOT, Vec::new())
    }

    /// Dies by SIGKILL and is started again: files are as they were, memory is not.
    fn killed(self) -> Self {
        self.restarted(BOOT)
    }

    fn restarted(self, boot: Boot) -> Self {
        let (disk, archived) = (self.disk.clone(), self.archived.clone());
        drop(self);
        Self::start(disk, boot, archived)
    }

    /// What a keeper does with a sealed segment.
    fn settle(&mut self, session: SessionId, segment: u32) {
        let pending = self.spool.pending_in(session, segment);
        let read = pending.iter().map(|p| self.spool.read(p).unwrap());
        let parts: Vec<Part> = read.collect();
        // Both ways of noting it are as good.
        match LastSegment::read(&parts).ok().and_then(|last| last.tip()) {
            Some(tip) if segment % 2 == 1 => self.open.settled_at(&tip).unwrap(),
            _ => self.open.settled(&self.spool, session, segment).unwrap(),
        }
        self.archived.extend(parts);
        let names: Vec<_> = pending.iter().map(|p| (p.session, p.spot)).collect();
        self.spool.forget(&names);
    }

    fn revive(&self) -> Revival {
        let revival = revive(&self.spool, &mut self.spool.clone(), &key(), &self.open).unwrap();
        revival.done(&self.open).unwrap();
        revival
    }

    fn notes(&self) -> usize {
        self.disk.list(Path::new("/open")).unwrap().len()
    }

    /// The recording: what was archived, and what the spool holds beyond.
    fn recording(&self, session: SessionId) -> Vec<u8> {
        let mut parts = self.archived.clone();
        let pending = self.spool.pending(None, usize::MAX);
        parts.extend(pending.iter().map(|p| self.spool.read(p).unwrap()));
        parts.retain(|part| part.session() == session);
        parts.sort_by_key(Spot::of);
        // Parts that came back are offered again byte for byte; anything else is a fork.
        parts.dedup_by(|a, b| Spot::of(a) == Spot::of(b) && a.bytes() == b.bytes());
        parts.iter().flat_map(|p| p.bytes().to_vec()).collect()
    }
}

fn writer(number: u16) -> SegmentWriter {
    let bounds = Bounds {
        frame_bytes: 100,
        segment_bytes: 500,
        ..Bounds::default()
    };
    SegmentWriter::new(session(number, OnLoss::Hold, 0), key(), bounds).unwrap()
}

/// A recording's parts: `minutes` segments and an open one, unless `end` closes it.
fn recorded(number: u16, minutes: u64, end: bool) -> Vec<Part> {
    let mut writer = writer(number);
    for minute in 0..=minutes {
        for piece in 0..3 {
            let at_ns = minute * MINUTE + piece * 1_000_000_000;
            let text = format!("minute {minute} piece {piece}\n");
            writer
                .push_data(at_ns, Stream::Output, text.as_bytes())
                .unwrap();
        }
    }
    if end {
        writer.finish(minutes * MINUTE, &End::default()).unwrap();
    } else {
        writer.cut().unwrap();
    }
    writer.parts()
}

fn id(number: u16) -> SessionId {
    session(number, OnLoss::Hold, 0).id
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn killed_anywhere_it_is_sealed_and_ended(
        minutes in 0u64..4, end in any::<bool>(), cut in any::<usize>(),
        settled in 0u32..5, settles_late in any::<bool>(), power in any::<bool>(),
    ) {
        let parts = recorded(1, minutes, end);
        let parts = &parts[..=cut % parts.len()];
        let survives = if power { Survives::Power } else { Survives::Kill };
        let mut host = Host::new();
        // Another session's parts keep every file of the spool, so that forgotten parts come back.
        let mut other = recorded(2, 4, false).into_iter();
        host.open.begin(id(1), key().public(), plan(survives)).unwrap();
        let sealed = parts.iter().filter(|p| p.place() == Place::Seal).count();
        let settled = settled.min(u32::try_from(sealed).unwrap());
        for part in parts {
            host.spool.put(std::slice::from_ref(part)).unwrap();
            host.spool.put(&other.next().into_iter().collect::<Vec<_>>()).unwrap();
            if !settles_late && part.place() == Place::Seal && part.segment() < settled {
                host.settle(id(1), part.segment());
            }
        }
        for segment in 0..settled {
            host.settle(id(1), segment);
        }
        let known: Vec<u8> = host.recording(id(1));
        let was_complete = verify(known.as_slice()).unwrap().verdict == Verdict::Complete;

        let host = host.killed();
        let revival = host.revive();
        prop_assert_eq!(&revival.left, &vec![]);
        let bytes = host.recording(id(1));
        prop_assert!(bytes.starts_with(&known));
        let report = verify(bytes.as_slice()).unwrap();
        prop_assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.damages);
        prop_assert_eq!(revival.fate(id(1)), Fate::Complete(report.head.unwrap()));
        prop_assert_eq!(revival.revived.len(), usize::from(!was_complete));
        prop_assert_eq!(host.notes(), 0);
        // Once more finds nothing to do.
        let host = host.killed();
        prop_assert_eq!(host.revive(), Revival::default());
        prop_assert_eq!(host.recording(id(1)), bytes);
    }

    #[test]
    fn killed_while_it_revives_it_goes_on_from_there(minutes in 0u64..3, kept in 0usize..4) {
        let parts = recorded(1, minutes, false);
        let mut host = Host::new();
        host.open.begin(id(1), key().public(), plan(Survives::Kill)).unwrap();
        host.spool.put(&parts).unwrap();
        let host = host.killed();
        let mut torn = Torn { spool: host.spool.clone(), kept };
        let revival = revive(&host.spool, &mut torn, &key(), &host.open).unwrap();
        prop_assert!(revival.left.iter().all(|left| left.again) && revival.left.len() == 1);
        prop_assert_eq!(revival.fate(id(1)), Fate::Unfinished);
        drop(torn);
        let host = host.killed();
        let revival = host.revive();
        prop_assert!(matches!(revival.fate(id(1)), Fate::Complete(_)));
        let report = verify(host.recording(id(1)).as_slice()).unwrap();
        prop_assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.damages);
        prop_assert_eq!(report.gaps, 1);
    }
}

/// Takes some parts and says "not now".
struct Torn {
    spool: Spool,
    kept: usize,
}

impl Sink for Torn {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        self.spool.put(&parts[..self.kept.min(parts.len())])?;
        Err(SinkError::Retry("told to fail".into()))
    }
}

#[test]
fn the_gap_says_how_much_at_most_and_since_when() {
    let mut host = Host::new();
    host.open
        .begin(id(1), key().public(), plan(Survives::Kill))
        .unwrap();
    host.spool.put(&recorded(1, 0, false)).unwrap();
    let host = host.killed();
    let revival = host.revive();
    let (events, _) = read_all(&host.recording(id(1)));
    let [.., gap, end] = events.as_slice() else {
        panic!("too short")
    };
    let Body::Gap(missing) = &gap.body else {
        panic!("{gap:?}")
    };
    assert_eq!(revival.revived[0].gap.as_ref(), Some(missing));
    assert_eq!(
        (missing.bytes_max, missing.bytes, missing.from_ns),
        (Some(LOSS), None, 2_000_000_000)
    );
    let Body::End(end) = &end.body else {
        panic!("{end:?}")
    };
    assert_eq!(
        (missing.cause.as_str(), end.reason.as_str()),
        (WITHOUT_A_WORD, WITHOUT_A_WORD)
    );
}

#[test]
fn a_sink_that_is_full_is_asked_again_by_the_same_process() {
    let mut host = Host::new();
    host.open
        .begin(id(1), key().public(), plan(Survives::Kill))
        .unwrap();
    host.spool.put(&recorded(1, 1, false)).unwrap();
    let host = host.killed();
    let mut torn = Torn {
        spool: host.spool.clone(),
        kept: 0,
    };
    let first = revive(&host.spool, &mut torn, &key(), &host.open).unwrap();
    assert!(first.left[0].again, "{first:?}");
    assert_eq!(host.notes(), 1);
    assert!(matches!(host.revive().fate(id(1)), Fate::Complete(_)));
    assert_eq!(host.notes(), 0);
}

#[test]
fn what_never_began_and_what_another_key_signs_is_left() {
    let mut host = Host::new();
    host.open
        .begin(id(1), key().public(), plan(Survives::Kill))
        .unwrap();
    host.open
        .begin(id(2), key().public(), plan(Survives::Kill))
        .unwrap();
    host.spool.put(&recorded(2, 0, false)).unwrap();
    // Parts without a note are closed, or another host's.
    host.spool.put(&recorded(3, 0, false)).unwrap();
    let before = host.recording(id(3));
    let host = host.killed();
    let other = SigningKey::from_seed([8; 32]);
    let revival = revive(&host.spool, &mut host.spool.clone(), &other, &host.open).unwrap();
    assert_eq!(revival.fate(id(1)), Fate::NeverBegan);
    assert!(!revival.left[0].again && revival.left[0].session == id(2));
    assert_eq!(host.notes(), 0);
    assert_eq!(host.recording(id(3)), before);
}

#[test]
fn after_a_loss_of_power_only_a_synced_note_is_believed() {
    for survives in [Survives::Kill, Survives::Power] {
        let mut host = Host::new();
        host.open
            .begin(id(1), key().public(), plan(survives))
            .unwrap();
        host.spool.put(&recorded(1, 2, false)).unwrap();
        host.settle(id(1), 0);
        let host = host.restarted([2; 16]);
        let revival = host.revive();
        match survives {
            Survives::Power => assert!(matches!(revival.fate(id(1)), Fate::Complete(_))),
            Survives::Kill => {
                assert_eq!(revival.fate(id(1)), Fate::Unfinished);
                assert!(!revival.left[0].again);
            }
        }
        assert_eq!(host.notes(), 0);
        assert_eq!(
            verify(host.recording(id(1)).as_slice()).unwrap().damages,
            []
        );
    }
}

#[test]
fn a_damaged_note_is_no_reason_to_invent_a_seal() {
    let mut host = Host::new();
    host.open
        .begin(id(1), key().public(), plan(Survives::Kill))
        .unwrap();
    host.spool.put(&recorded(1, 0, false)).unwrap();
    let path = Path::new("/open").join(id(1).to_string());
    host.disk.rot(&path, 20, 3);
    let before = host.recording(id(1));
    let host = host.killed();
    let revival = host.revive();
    assert_eq!(revival.left[0].why, "its note is damaged");
    assert_eq!(host.recording(id(1)), before);
}

#[test]
fn an_ended_session_has_no_note_and_is_not_noted_again() {
    let mut host = Host::new();
    host.open
        .begin(id(1), key().public(), plan(Survives::Power))
        .unwrap();
    host.spool.put(&recorded(1, 1, true)).unwrap();
    host.open.end(id(1)).unwrap();
    host.settle(id(1), 0);
    host.settle(id(1), 1);
    assert!(!host.open.contains(id(1)) && host.notes() == 0);
    assert_eq!(host.killed().revive(), Revival::default());
}
