//! Keyframes and timelines of recordings that are over, on the disk: whoever opens one again has any
//! moment of it at once. Computed from the recording and thrown away whenever they are doubtful; they
//! hold what stood on screens, so they go when their session is deleted.
//!
//! Of each there are two files, `SESSION.timeline` and `SESSION.idx` ([`hansard_view::index`]), written in
//! that order and each whole before it has its name: a crash leaves parts, which go at the next start,
//! or a timeline alone, which is written anew. Of one that a check found damaged there is neither, but
//! `SESSION.damaged`, which says so until a check finds it intact: reading alone does not show everything
//! that a check finds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hansard_core::SessionId;
use hansard_view::index::{Index, IndexError, Progress, build};
use hansard_view::source::Source;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::survey::{LANES, survey};
use crate::api::player::{Damaged, Happening, Timeline};

/// Bytes of all keyframes; with more, those that were made first go, and are made again when somebody
/// wants them.
const KEYFRAMES_BYTES_MAX: u64 = 4 << 30;

/// Bytes of the keyframes of one recording: what is printed so that it compresses to nothing must not
/// fill the disk.
const ONE_BYTES_MAX: u64 = 1 << 30;

/// Longest timeline that is read.
const TIMELINE_BYTES_MAX: u64 = 16 << 20;

/// Longest note of damage that is read, and the longest words in one.
const DAMAGED_BYTES_MAX: u64 = 16 << 10;
const WORDS_CHARS_MAX: usize = 2000;

/// Where they are.
pub(super) struct Kept {
    directory: PathBuf,
    /// Names of parts that were given out.
    parts: AtomicU64,
}

/// A file that takes so many bytes more.
struct Bounded<'a> {
    to: &'a File,
    left: u64,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or(io::ErrorKind::FileTooLarge)?;
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file without its name yet, which goes unless it gets one.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    /// Gives it its name once it is durable. Whoever has it open may go on reading it.
    fn keep(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.path = PathBuf::new();
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // What stays goes at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Kept {
    /// In this directory, which is made if it is not there; unfinished files in it go.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let this = Self {
            directory: directory.to_owned(),
            parts: AtomicU64::new(0),
        };
        for path in this.files(".part") {
            // What stays is written over.
            let _ = fs::remove_file(path);
        }
        Ok(this)
    }

    /// What there is of this recording, if it is sound.
    pub(super) fn get(&self, session: SessionId, recording: &Source) -> Option<(Index, Timeline)> {
        if self.damaged(session).is_some() {
            // Kept by somebody who was at it when that was noted.
            return None;
        }
        let file = File::open(self.path(session, ".idx")).ok()?;
        let index = Index::open(Arc::new(file)).ok()?;
        let is_it = index.session() == session && index.covers(recording.as_ref()).ok()?;
        let path = self.path(session, ".timeline");
        let is_short = fs::metadata(&path).ok()?.len() <= TIMELINE_BYTES_MAX;
        let timeline = read(&fs::read(path).ok().filter(|_| is_short)?)?;
        is_it.then_some((index, timeline))
    }

    /// Goes through a recording and keeps what that makes, unless the recording is damaged: what cannot
    /// be read now may be readable later. Whoever keeps one of the same session at the same time waits
    /// outside.
    pub(super) fn make(
        &self,
        session: SessionId,
        recording: &Source,
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<(Index, Timeline), IndexError> {
        let part = self.begin(session, ".idx")?;
        let bounded = Bounded {
            to: &part.file,
            left: ONE_BYTES_MAX,
        };
        let mut out = BufWriter::with_capacity(256 * 1024, bounded);
        let go_on = &mut |_: Progress| match is_stopping() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        build(recording, &mut out, go_on)?;
        out.flush().map_err(IndexError::Write)?;
        drop(out);
        let index = Index::open(Arc::new(part.file.try_clone()?))?;
        let timeline = survey(recording, &index, is_stopping)?;
        // What a check found wrong may not be seen by who reads, and what is made of it is kept nowhere.
        if timeline.damages > 0 || self.damaged(session).is_some() {
            return Ok((index, timeline));
        }
        let mut text = self.begin(session, ".timeline")?;
        let done = text
            .file
            .write_all(&write(&timeline))
            .and_then(|()| text.keep(&self.path(session, ".timeline")))
            .and_then(|()| part.keep(&self.path(session, ".idx")));
        done.map_err(IndexError::Write)?;
        self.trim(session);
        Ok((index, timeline))
    }

    /// Whether there is something of this session, sound or not.
    pub(super) fn has(&self, session: SessionId) -> bool {
        self.path(session, ".idx").exists()
    }

    /// Takes away what was made of a recording.
    pub(super) fn forget(&self, session: SessionId) {
        self.remove(session, &[".idx", ".timeline"]);
    }

    /// Takes away everything that there is of a session.
    pub(super) fn forget_all(&self, session: SessionId) {
        self.remove(session, &[".idx", ".timeline", ".damaged"]);
    }

    fn remove(&self, session: SessionId, ends: &[&str]) {
        for end in ends {
            // What cannot be removed now is removed when all are gone through again.
            let _ = fs::remove_file(self.path(session, end));
        }
    }

    /// Notes what a check found wrong with a recording, or that it is intact.
    pub(super) fn note(&self, session: SessionId, damaged: Option<&Damaged>) -> io::Result<()> {
        let path = self.path(session, ".damaged");
        let Some(Damaged { places, what }) = damaged else {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let what: String = what.chars().take(WORDS_CHARS_MAX).collect();
        let mut part = self.begin(session, ".damaged")?;
        part.file
            .write_all(json!([places, what]).to_string().as_bytes())?;
        part.keep(&path)
    }

    /// What a check found wrong with a recording, unless a later one found it intact. A note that cannot
    /// be read is of damage, too: only that is noted.
    pub(super) fn damaged(&self, session: SessionId) -> Option<Damaged> {
        let file = match File::open(self.path(session, ".damaged")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => return Some(unread()),
        };
        let noted: Option<Json> = serde_json::from_reader(file.take(DAMAGED_BYTES_MAX)).ok();
        let damaged = noted.and_then(|noted| {
            Some(Damaged {
                places: noted.get(0)?.as_u64()?.max(1),
                what: noted.get(1)?.as_str()?.to_owned(),
            })
        });
        Some(damaged.unwrap_or_else(unread))
    }

    /// Of which sessions there is something.
    pub(super) fn sessions(&self) -> Vec<SessionId> {
        let files = [".idx", ".timeline", ".damaged"].map(|end| self.files(end));
        let name = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok();
        let mut all: Vec<SessionId> = files.iter().flatten().filter_map(name).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn path(&self, session: SessionId, end: &str) -> PathBuf {
        self.directory.join(format!("{session}{end}"))
    }

    fn begin(&self, session: SessionId, end: &str) -> io::Result<Unfinished> {
        let n = self.parts.fetch_add(1, Ordering::Relaxed);
        let path = self.path(session, &format!("{end}.{n}.part"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = options.mode(0o600).open(&path)?;
        Ok(Unfinished { path, file })
    }

    fn files(&self, end: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        let named = |path: &PathBuf| path.to_str().is_some_and(|path| path.ends_with(end));
        entries.map(|entry| entry.path()).filter(named).collect()
    }

    /// Keeps within the bound, the newest in any case.
    fn trim(&self, newest: SessionId) {
        let made = |path: PathBuf| {
            let facts = fs::metadata(&path).ok()?;
            let session: SessionId = path.file_stem()?.to_str()?.parse().ok()?;
            let at = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Some((at, session, facts.len()))
        };
        let mut all: Vec<_> = self.files(".idx").into_iter().filter_map(made).collect();
        all.sort_unstable();
        let mut bytes: u64 = all.iter().map(|(.., bytes)| bytes).sum();
        for (_, session, its) in all {
            if bytes <= KEYFRAMES_BYTES_MAX {
                return;
            }
            if session != newest {
                self.forget(session);
                bytes = bytes.saturating_sub(its);
            }
        }
    }
}

/// What a note says that cannot be read.
fn unread() -> Damaged {
    Damaged {
        places: 1,
        what: "a check found it damaged; verify it again for what".to_owned(),
    }
}

/// A timeline as bytes: the digest of what comes, then JSON.
fn write(timeline: &Timeline) -> Vec<u8> {
    let happenings = timeline.happenings.iter();
    let happenings: Vec<Json> = happenings
        .map(|one| json!([one.at_ns, one.seq, one.lane, one.label]))
        .collect();
    let body = json!([
        timeline.duration_ns,
        timeline.is_whole,
        timeline.output,
        timeline.idle,
        happenings,
        timeline.left_out,
        timeline.damages,
    ]);
    let body = body.to_string().into_bytes();
    let mut bytes = Sha256::digest(&body).to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

/// Any bytes may be given.
fn read(bytes: &[u8]) -> Option<Timeline> {
    let (sum, body) = bytes.split_at_checked(32)?;
    if Sha256::digest(body).as_slice() != sum {
        return None;
    }
    let body: Json = serde_json::from_slice(body).ok()?;
    let numbers = |value: &Json| -> Option<Vec<u64>> {
        let all = value.as_array()?.iter();
        all.map(Json::as_u64).collect()
    };
    let idle = |value: &Json| match numbers(value)?.as_slice() {
        [from, until] => Some((*from, *until)),
        _ => None,
    };
    let happening = |value: &Json| {
        Some(Happening {
            at_ns: value.get(0)?.as_u64()?,
            seq: value.get(1)?.as_u64()?,
            lane: LANES
                .into_iter()
                .find(|lane| Some(*lane) == value.get(2).and_then(Json::as_str))?,
            label: value.get(3)?.as_str()?.to_owned(),
        })
    };
    Some(Timeline {
        duration_ns: body.get(0)?.as_u64()?,
        is_whole: body.get(1)?.as_bool()?,
        output: numbers(body.get(2)?)?,
        idle: body
            .get(3)?
            .as_array()?
            .iter()
            .map(idle)
            .collect::<Option<_>>()?,
        happenings: body
            .get(4)?
            .as_array()?
            .iter()
            .map(happening)
            .collect::<Option<_>>()?,
        left_out: body.get(5)?.as_u64()?,
        damages: body.get(6)?.as_u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_comes_back_and_a_damaged_one_does_not() {
        let timeline = Timeline {
            duration_ns: 5,
            is_whole: true,
            output: vec![1, 0, u64::MAX],
            idle: vec![(2, 4)],
            happenings: vec![Happening {
                at_ns: 3,
                seq: 9,
                lane: "marks",
                label: "é \"<b>\"".to_owned(),
            }],
            left_out: 7,
            damages: 1,
        };
        let bytes = write(&timeline);
        assert_eq!(read(&bytes), Some(timeline));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(read(&changed), None, "byte {at}");
            assert_eq!(read(&bytes[..at]), None, "cut at {at}");
        }
    }
}
