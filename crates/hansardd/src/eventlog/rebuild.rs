//! All files anew from the archive.
//!
//! Every segment in the order of its arrival, its events' documents into the file of the day on which
//! they happened (the live log has the day on which they came). What is written beside takes the
//! place of what was there in one step, and what was there stays beside, to be removed by whoever is
//! satisfied. A crash before that step leaves everything as it was.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_core::{Body, Session, SessionId};
use hansard_record::disk::Disk as _;
use hansard_record::real_disk::RealDisk;
use hansard_store::catalog::{ArrivalCursor, SegmentRow};
use hansard_store::project::unknown_header;
use hansard_store::segment::{Unfit, walk};
use hansard_store::{Archive, Catalog};
use hansard_view::document::{Counted, Document, Documents};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::cursor::{Cursor, Place};
use super::day::Day;
use super::link::{Link as _, SymbolicLink};
use super::recover::Ahead;
use super::sessions::{Sessions, State};
use super::{LINK, SESSIONS_MAX, known};

/// Files that are open at the same time; with more days at once, they are opened again and again.
const FILES_MAX: usize = 64;

/// Segments that are asked for at once.
const SEGMENTS: usize = 256;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Segments that were read.
    pub segments: u64,
    /// Segments that could not be, and whose events are missing.
    pub lost: u64,
    /// Lines.
    pub lines: u64,
    /// Files.
    pub files: u64,
}

/// Writes the log of this service in `root` anew. Nobody may have it open.
///
/// # Errors
/// `WouldBlock` when somebody has it open; otherwise what stores and system say. The old log is as it
/// was then.
pub fn rebuild(
    archive: &Archive,
    catalog: &dyn Catalog,
    root: &Path,
    service: &str,
) -> io::Result<Rebuilt> {
    let dir = root.join(service);
    RealDisk.create_dir(&dir)?;
    let _lock = RealDisk.lock(&dir.join("lock"), "rebuilding the event log")?;
    let beside = root.join(format!("{service}.new"));
    match fs::remove_dir_all(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    RealDisk.create_dir(&beside)?;
    let mut anew = Anew::new(archive, catalog, &beside);
    anew.all()?;
    let newest = anew.finish()?;
    let rebuilt = anew.rebuilt;
    RealDisk.sync_dir(&beside)?;
    // Both are there before and after this; which is which changes in one step.
    renameat_with(CWD, &beside, CWD, &dir, RenameFlags::EXCHANGE)?;
    let mut number = 1u32;
    let mut aside = root.join(format!("{service}.replaced-{number}"));
    while aside.exists() {
        number = number.saturating_add(1);
        aside = root.join(format!("{service}.replaced-{number}"));
    }
    fs::rename(&beside, &aside)?;
    RealDisk.sync_dir(root)?;
    if let Some(newest) = newest {
        SymbolicLink.point(&root.join(LINK), &Path::new(service).join(newest))?;
    }
    Ok(rebuilt)
}

/// A session as far as it has been gone through.
struct Running {
    header: Arc<Session>,
    counted: Counted,
    next_segment: u32,
    next_seq: u64,
}

struct Anew<'a> {
    archive: &'a Archive,
    catalog: &'a dyn Catalog,
    dir: PathBuf,
    files: BTreeMap<Day, BufWriter<File>>,
    running: HashMap<SessionId, Running>,
    rebuilt: Rebuilt,
}

impl<'a> Anew<'a> {
    fn new(archive: &'a Archive, catalog: &'a dyn Catalog, dir: &Path) -> Self {
        Self {
            archive,
            catalog,
            dir: dir.to_owned(),
            files: BTreeMap::new(),
            running: HashMap::new(),
            rebuilt: Rebuilt::default(),
        }
    }

    fn all(&mut self) -> io::Result<()> {
        let mut after = ArrivalCursor::default();
        loop {
            let page = self
                .catalog
                .arrived(after, SEGMENTS)
                .map_err(io::Error::other)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (_, row) in &page {
                self.segment(row)?;
            }
        }
    }

    fn segment(&mut self, row: &SegmentRow) -> io::Result<()> {
        let running = match self.running.remove(&row.session) {
            Some(running) if running.next_segment == row.number => running,
            _ => self.up_to(row)?,
        };
        let mut lines = Vec::new();
        let Some(running) = self.read(row, running, &mut |document| {
            lines.push((Day::of(document.time_ns), document.to_string()));
        })?
        else {
            self.rebuilt.lost += 1;
            return Ok(());
        };
        for (day, line) in lines {
            writeln!(self.file(day)?, "{line}")?;
            self.rebuilt.lines += 1;
        }
        self.rebuilt.segments += 1;
        if row.is_final {
            return Ok(());
        }
        if self.running.len() >= SESSIONS_MAX {
            // Each is gone through again when it comes again.
            self.running.clear();
        }
        self.running.insert(row.session, running);
        Ok(())
    }

    /// Goes through the segments of a session before this one, for what they leave to it.
    fn up_to(&mut self, row: &SegmentRow) -> io::Result<Running> {
        let mut running = Running {
            header: Arc::new(unknown_header(row.session)),
            counted: Counted::default(),
            next_segment: 0,
            next_seq: 0,
        };
        while running.next_segment < row.number {
            let from = running.next_segment;
            let rows = self.catalog.segments(row.session, from, 1);
            let rows = rows.map_err(io::Error::other)?;
            let Some(before) = rows.first().filter(|before| before.number < row.number) else {
                break;
            };
            running.next_segment = before.number.saturating_add(1);
            let kept = (running.header.clone(), running.counted.clone());
            running = match self.read(before, running, &mut |_| {})? {
                Some(running) => running,
                None => Running {
                    header: kept.0,
                    counted: kept.1,
                    next_segment: before.number.saturating_add(1),
                    next_seq: before.next_seq,
                },
            };
        }
        Ok(running)
    }

    /// Turns a segment's events; `None` where it cannot be read.
    fn read(
        &self,
        row: &SegmentRow,
        running: Running,
        take: &mut dyn FnMut(Document),
    ) -> io::Result<Option<Running>> {
        let bytes = self.archive.segment_bytes(row).map_err(io::Error::other)?;
        let Ok(bytes) = bytes else {
            return Ok(None);
        };
        let mut header = running.header;
        let mut documents = Documents::resume(known::place(), &header, running.counted);
        let walked = walk(&bytes, |events| {
            for event in events {
                documents.turn(&event).into_iter().for_each(&mut *take);
                if let Body::Start(session) = event.body {
                    header = Arc::new(*session);
                }
            }
            Ok::<(), Unfit>(())
        });
        if walked.is_err() {
            return Ok(None);
        }
        Ok(Some(Running {
            header,
            counted: documents.into_counted(),
            next_segment: row.number.saturating_add(1),
            next_seq: row.next_seq,
        }))
    }

    fn file(&mut self, day: Day) -> io::Result<&mut BufWriter<File>> {
        if self.files.len() >= FILES_MAX && !self.files.contains_key(&day) {
            self.close()?;
        }
        match self.files.entry(day) {
            std::collections::btree_map::Entry::Occupied(there) => Ok(there.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let path = self.dir.join(day.file_name());
                let is_new = !path.exists();
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(path)?;
                self.rebuilt.files += u64::from(is_new);
                Ok(place.insert(BufWriter::new(file)))
            }
        }
    }

    fn close(&mut self) -> io::Result<()> {
        for (_, file) in std::mem::take(&mut self.files) {
            let file = file.into_inner().map_err(|e| e.into_error())?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Makes everything durable, with a cursor from which the live log goes on. Answers the name of
    /// the newest file.
    fn finish(&mut self) -> io::Result<Option<String>> {
        self.close()?;
        let names = RealDisk.list(&self.dir)?;
        let days = names.iter().filter_map(|name| Day::of_file(name.to_str()?));
        let Some(newest) = days.max().map(Day::file_name) else {
            return Ok(None);
        };
        let mut sessions = Sessions::default();
        for (session, running) in self.running.drain() {
            let state = State {
                next_seq: running.next_seq,
                counted: running.counted,
                has_ended: false,
            };
            sessions.put(session, state);
        }
        let place = Place {
            offset: fs::metadata(self.dir.join(&newest))?.len(),
            file: newest.clone(),
        };
        Cursor::new(&self.dir).save(&RealDisk, (&mut sessions, &Ahead::new()), &place)?;
        Ok(Some(newest))
    }
}
