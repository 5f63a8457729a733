//! What an auditor would look at after the daemons were killed: the archive, from its own files, and
//! the event log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use hansard_core::reader::{Item, Reader};
use hansard_core::verify::Verdict;
use hansard_core::{Body, SessionId, Stream};
use hansard_store::archive::ArchiveOptions;
use hansard_store::blob::fs::FsBlobs;
use hansard_store::catalog::sqlite::SqliteCatalog;
use hansard_store::{Archive, Catalog, Query};

use crate::load::{Outcome, bytes_of};

/// Longest piece that a program hands over at a time.
const PIECE_BYTES_MAX: u64 = 32 * 1024;

/// The stores of a service that does not run.
pub(crate) struct Kept {
    archive: Archive,
    catalog: Arc<dyn Catalog>,
}

/// What was counted while everything was checked.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sessions: usize,
    pub(crate) revived: usize,
    pub(crate) produced: u64,
    pub(crate) recorded: u64,
    /// Bytes that were produced, not acknowledged, and are not recorded; a gap stands for them.
    pub(crate) gone: u64,
    /// Of these, what gaps have counted. Only where sessions go on without a record.
    pub(crate) counted: u64,
    pub(crate) lines: usize,
}

impl Kept {
    /// Opens what is under a service's `data_dir`.
    pub(crate) fn open(data: &Path) -> Self {
        let blobs = FsBlobs::open(&data.join("archive"), "the audit").unwrap();
        let catalog = SqliteCatalog::open(&data.join("catalog"), "the audit").unwrap();
        let catalog: Arc<dyn Catalog> = Arc::new(catalog);
        let archive = Archive::new(
            Arc::new(blobs),
            Arc::clone(&catalog),
            ArchiveOptions::default(),
        );
        Self { archive, catalog }
    }

    /// Everything that was acknowledged is there once, in order, and what is not there is a gap.
    pub(crate) fn check(&self, outcomes: &[Outcome], data: &Path) -> Tally {
        let mut tally = Tally::default();
        let mut expected = BTreeMap::new();
        for outcome in outcomes {
            let ei = self.check_session(outcome, &mut tally);
            expected.insert(outcome.session, ei);
        }
        tally.lines = check_log(&data.join("log"), &expected);
        self.check_rows(outcomes);
        tally
    }

    fn check_session(&self, outcome: &Outcome, tally: &mut Tally) -> BTreeSet<u64> {
        let what = format!("session {} ({})", outcome.number, outcome.session);
        let report = self.archive.verify_session(outcome.session).unwrap();
        let report = report.unwrap_or_else(|| panic!("{what} is not in the archive: {outcome:?}"));
        assert!(report.is_intact(), "{what}: {:?}", report.problems);
        let found = &report.report;
        assert_eq!(
            found.verdict,
            Verdict::Complete,
            "{what}: {outcome:?}\n{found:?}"
        );
        let reader = self.archive.open_session(outcome.session).unwrap().unwrap();
        let (mut found_bytes, mut next_seq) = (Found::of(outcome), 0);
        let mut ei = BTreeSet::new();
        let mut reader = Reader::new(reader);
        loop {
            let events = match reader.next_item().unwrap() {
                Item::Frame(frame) => frame.events,
                Item::Seal(_) => continue,
                Item::Damage(damage) => panic!("{what}: {damage}"),
                Item::End(_) => break,
            };
            for event in events {
                assert_eq!(event.seq, next_seq, "{what}: numbers have no holes");
                next_seq += 1;
                if !found_bytes.takes(&event.body) {
                    ei.insert(event.seq);
                }
            }
        }
        let Found {
            recorded,
            counted,
            at_most,
            marks,
            ..
        } = found_bytes;
        assert!(
            recorded + counted >= outcome.acknowledged && (marks >= outcome.marks.1 || counted > 0),
            "{what}: {recorded} bytes and {marks} marks are recorded: {outcome:?}"
        );
        if outcome.closed {
            assert_eq!(
                (recorded, marks),
                (outcome.produced, outcome.marks.0),
                "{what}"
            );
            assert_eq!(found.gaps, 0, "{what}");
        } else if recorded < outcome.produced {
            assert!(
                found.gaps > 0,
                "{what}: something is missing, and no gap says so"
            );
            assert!(
                outcome.produced <= recorded + counted + at_most,
                "{what}: more is missing than the gap of {at_most} bytes: {outcome:?}, {recorded}"
            );
        }
        tally.sessions += 1;
        tally.revived += usize::from(found.gaps > 0);
        tally.produced += outcome.produced;
        tally.recorded += recorded;
        tally.counted += counted;
        tally.gone += outcome.produced.saturating_sub(recorded);
        ei
    }

    /// Every session is listed once.
    fn check_rows(&self, outcomes: &[Outcome]) {
        let mut query = Query::default();
        let mut listed = BTreeMap::<SessionId, usize>::new();
        loop {
            let page = self.catalog.sessions(&query).unwrap();
            for row in page.rows {
                *listed.entry(row.session).or_default() += 1;
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        for outcome in outcomes {
            assert_eq!(
                listed.get(&outcome.session),
                Some(&1),
                "{outcome:?} in the listing"
            );
        }
    }
}

/// What a recording has of what its program produced, checked as it is read.
struct Found {
    number: u64,
    /// All that can have been produced, and where in it the recording is.
    truth: Vec<u8>,
    at: u64,
    recorded: u64,
    /// Bytes that gaps say are missing, and those that they say are missing at most.
    counted: u64,
    at_most: u64,
    marks: u64,
    label: u64,
}

impl Found {
    fn of(outcome: &Outcome) -> Self {
        Self {
            number: outcome.number,
            // One piece more may have been on its way when the program was told no.
            truth: bytes_of(outcome.number, outcome.produced + PIECE_BYTES_MAX),
            at: 0,
            recorded: 0,
            counted: 0,
            at_most: 0,
            marks: 0,
            label: 0,
        }
    }

    /// Takes the next event; answers whether it is of the kind that has no line in the log.
    fn takes(&mut self, body: &Body) -> bool {
        match body {
            Body::Data {
                stream: Stream::Stdout,
                bytes,
            } => {
                let at = self.at as usize;
                let truth = self.truth.get(at..at + bytes.len());
                assert!(
                    truth == Some(bytes.as_slice()),
                    "session {}: other bytes than were produced, at {at}",
                    self.number
                );
                self.at += bytes.len() as u64;
                self.recorded += bytes.len() as u64;
                return true;
            }
            Body::Gap(gap) => {
                let bytes = gap.bytes.unwrap_or(0);
                self.at += bytes;
                self.counted += bytes;
                self.at_most += gap.bytes_max.unwrap_or(0);
            }
            Body::Mark { label } => {
                let (number, label) = label.split_once(':').unwrap();
                assert_eq!(number, self.number.to_string());
                let label: u64 = label.parse().unwrap();
                let is_next = label == self.label || (self.counted > 0 && label > self.label);
                assert!(
                    is_next,
                    "session {number}: mark {label} comes after {}",
                    self.label
                );
                self.label = label + 1;
                self.marks += 1;
            }
            _ => {}
        }
        false
    }
}

/// Every event but Data has its lines, once; answers how many lines there are.
fn check_log(dir: &Path, expected: &BTreeMap<SessionId, BTreeSet<u64>>) -> usize {
    let mut seen = BTreeSet::new();
    let mut found = BTreeMap::<SessionId, BTreeSet<u64>>::new();
    let mut lines = 0;
    for service in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if !service.file_type().unwrap().is_dir() {
            continue;
        }
        for file in fs::read_dir(service.path()).unwrap().map(Result::unwrap) {
            let name = file.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".log") || !name.starts_with("20") {
                continue;
            }
            for line in BufReader::new(fs::File::open(file.path()).unwrap()).lines() {
                let line = line.unwrap();
                let json: serde_json::Value =
                    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{name}: {e}: {line}"));
                let uid = json["uid"].as_str().unwrap().to_owned();
                assert!(seen.insert(uid), "twice in {name}: {line}");
                lines += 1;
                if let Ok(sid) = json["sid"].as_str().unwrap_or_default().parse() {
                    let ei = json["ei"].as_u64().unwrap();
                    found.entry(sid).or_default().insert(ei);
                }
            }
        }
    }
    for (session, ei) in expected {
        assert_eq!(found.get(session), Some(ei), "lines of session {session}");
    }
    lines
}
