//! The own recording of a host or a service: what happens outside any session is an event in it.
//!
//! A diary is a chain of recordings, one for each day of monotonic time. Each names in its target
//! fields the one before (`previous.session`) and the digest of that one's final seal
//! (`previous.digest`), so that none can be taken away without a trace. The link is kept in a small
//! file, synced before the next day begins; after a crash the day that was open is ended by
//! [`crate::revive`], and its digest taken from there.
//!
//! # When it cannot be written
//!
//! An event that is not durable is never dropped: its caller is held back for as long as the
//! policy says, and then told ([`Lost`]). A day that failed stays so: every later event is answered
//! with the same loss. A daemon MUST then take no new session, end those it has, and exit with an
//! error; at its next start the day is revived and the chain goes on. If only the next day could
//! not be begun (its predecessor is closed, nothing is lost), the event is refused, and the next
//! one tries to begin the day again.
//!
//! Where the recorder keeps trying ([`Options::keeps_trying`]), a disk that is full is no failure of
//! the day: callers are told, as above, what they said before is recorded when there is room, and
//! [`Diary::is_lost`] stays false. No page is turned meanwhile.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hansard_core::event::End;
use hansard_core::fields::Fields;
use hansard_core::policy::Policy;
use hansard_core::seal::{Digest, SigningKey};
use hansard_core::wire::{MessageReader, MessageWriter};
use hansard_core::{Body, Session, SessionId, Sink};
use sha2::{Digest as _, Sha256};

use crate::disk::{Disk, parent, read_full_at, write_all_at};
use crate::environment::Environment;
use crate::lost::{Cause, Lost, Summary};
use crate::open_sessions::{OpenSessions, Plan, Survives};
use crate::recorder::{Options, Recorder};
use crate::revive::{Fate, Revival};

/// How long a day is, nanoseconds of monotonic time. At its end the next recording is begun, by the
/// first event or [`Diary::tick`] after it.
pub const DAY_NS: u64 = 24 * 3_600_000_000_000;

/// The reason that a day's `End` gives.
pub const DAY_IS_OVER: &str = "the day is over";

/// Longest link file; what follows is not read.
const LINK_BYTES_MAX: usize = 256;

/// How a link file begins.
const LINK_MAGIC: [u8; 8] = *b"HNSDIARY";

/// Half of a SHA-256 digest ends a link file.
const CHECK_BYTES: usize = 16;

/// What every day's header says, and how it is recorded.
#[derive(Debug, Clone)]
pub struct About {
    /// `host` or `service`.
    pub kind: String,
    /// Whose diary it is: `server_id`, `server_hostname`, labels. The link to the day before is
    /// added to it.
    pub target: Fields,
    /// What is in force; its `on_loss` should be `hold` (see the module).
    pub policy: Policy,
    /// Program and version.
    pub recorder: String,
    /// How the recorder works.
    pub options: Options,
    /// Nanoseconds until the next recording is begun: [`DAY_NS`], less in tests.
    pub day_ns: u64,
}

/// Makes the sink of each day's recorder.
pub type Sinks = Box<dyn Fn() -> Box<dyn Sink + Send> + Send + Sync>;

/// What a diary needs of its daemon.
pub struct Means {
    /// Signs.
    pub key: SigningKey,
    /// Where the parts go.
    pub sinks: Sinks,
    /// Clock, disk, randomness.
    pub env: Environment,
    /// The notes from which the next start knows what was open.
    pub open: OpenSessions,
    /// Where the link to the day before is kept; its directory must be there.
    pub link: PathBuf,
}

/// The diary. Clones are the same diary, and may be used from many threads.
#[derive(Clone)]
pub struct Diary(Arc<Shared>);

struct Shared {
    about: About,
    means: Means,
    day: RwLock<Day>,
}

/// Where the chain stands.
struct Day {
    recorder: Option<Recorder>,
    session: SessionId,
    began_ns: u64,
    previous: Option<Previous>,
    lost: Option<Lost>,
}

/// The day before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Previous {
    session: SessionId,
    /// Not known when that day stayed unfinished.
    digest: Option<Digest>,
}

/// What the link file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    previous: Option<Previous>,
    /// The day that was begun next.
    current: SessionId,
}

impl Diary {
    /// Begins today's recording. `revival` is what [`crate::revive::revive`] answered at this
    /// start; [`Revival::done`] MUST be called after this, not before.
    ///
    /// # Errors
    /// As [`Recorder::open`]; and when the link cannot be read or written. A link file that is
    /// damaged is an error: the chain is not begun anew without somebody's say (remove the file).
    pub fn open(about: About, means: Means, revival: &Revival) -> Result<Self, Lost> {
        let link = Link::read(&*means.env.disk, &means.link).map_err(|e| at(&means.link, &e))?;
        let previous = link.and_then(|link| match revival.fate(link.current) {
            Fate::NeverBegan => link.previous,
            Fate::Complete(digest) => Some(Previous {
                session: link.current,
                digest: Some(digest),
            }),
            Fate::Unfinished => Some(Previous {
                session: link.current,
                digest: None,
            }),
        });
        let diary = Self(Arc::new(Shared {
            about,
            means,
            day: RwLock::new(Day {
                recorder: None,
                session: SessionId::from_bytes([0; 16]),
                began_ns: 0,
                previous,
                lost: None,
            }),
        }));
        diary.0.begin_day(&mut diary.0.write())?;
        Ok(diary)
    }

    /// Records a fact. Returns when it is queued; [`Diary::flush`] waits until it is durable.
    ///
    /// # Errors
    /// When it will not be recorded. See the module for what a daemon does then.
    pub fn event(&self, body: Body) -> Result<(), Lost> {
        let day = self.0.today()?;
        match &day.recorder {
            Some(recorder) => recorder.event(body),
            None => Err(day.lost.clone().unwrap_or_else(closed)),
        }
    }

    /// Waits until everything recorded so far is durable.
    ///
    /// # Errors
    /// As [`Diary::event`].
    pub fn flush(&self) -> Result<(), Lost> {
        let day = self.0.read();
        match (&day.recorder, &day.lost) {
            (Some(recorder), _) => recorder.flush(),
            (None, Some(lost)) => Err(lost.clone()),
            // The day before is closed, and with it everything durable.
            (None, None) => Ok(()),
        }
    }

    /// Begins the next day if this one is over: for a diary in which nothing happens.
    ///
    /// # Errors
    /// As [`Diary::event`].
    pub fn tick(&self) -> Result<(), Lost> {
        self.0.today().map(drop)
    }

    /// Whether today's recording has failed: every later event is answered with the same loss, and
    /// only a restart goes on with the chain.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let day = self.0.read();
        let failed = |recorder: &Recorder| recorder.has_failed();
        day.lost.is_some() || day.recorder.as_ref().is_some_and(failed)
    }

    /// The recording of today.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.read().session
    }

    /// Says whether somebody follows it ([`Recorder::set_frame_ns`]); until the day ends.
    pub fn set_frame_ns(&self, frame_ns: u64) {
        if let Some(recorder) = &self.0.read().recorder {
            recorder.set_frame_ns(frame_ns);
        }
    }

    /// Ends today's recording, and with it the diary of this process.
    ///
    /// # Errors
    /// As [`Recorder::close`].
    pub fn close(&self, reason: &str) -> Result<Option<Summary>, Lost> {
        let mut day = self.0.write();
        let summary = self.0.end_day(&mut day, reason)?;
        day.lost.get_or_insert_with(closed);
        if let Some(previous) = day.previous {
            // A crash before this leaves a finished day that is still noted, which the next start
            // finds; after it, the link alone says where the chain ends.
            let (disk, path) = (&*self.0.means.env.disk, &self.0.means.link);
            let link = Link {
                previous: Some(previous),
                current: NOBODY,
            };
            link.write(disk, path).map_err(|e| at(path, &e))?;
            let _ = self.0.means.open.end(previous.session);
        }
        Ok(summary)
    }
}

/// Stands in the link for a day that was not begun.
const NOBODY: SessionId = SessionId::from_bytes([0; 16]);

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Day> {
        self.day.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Day> {
        self.day.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, day: &Day) -> bool {
        let Some(recorder) = &day.recorder else {
            return true;
        };
        let now_ns = self.means.env.clock.monotonic_ns();
        // To end a day takes room: one that keeps trying goes on beyond its end.
        let waits = self.about.options.keeps_trying && recorder.is_held_back();
        !waits && now_ns.saturating_sub(day.began_ns) >= self.about.day_ns
    }

    /// The day that an event of now belongs to.
    fn today(&self) -> Result<RwLockReadGuard<'_, Day>, Lost> {
        let day = self.read();
        if !self.is_over(&day) {
            return Ok(day);
        }
        drop(day);
        let mut day = self.write();
        // Another thread may have been here first.
        if self.is_over(&day) {
            self.end_day(&mut day, DAY_IS_OVER)?;
            self.begin_day(&mut day)?;
        }
        // Between the two locks the next day cannot be over, or its events belong to it all the
        // same.
        drop(day);
        Ok(self.read())
    }

    /// Closes the recording, if one is open: it is complete and durable afterwards.
    fn end_day(&self, day: &mut Day, reason: &str) -> Result<Option<Summary>, Lost> {
        if let Some(lost) = &day.lost {
            return Err(lost.clone());
        }
        let Some(recorder) = day.recorder.take() else {
            return Ok(None);
        };
        let end = End {
            reason: reason.to_owned(),
            ..End::default()
        };
        // A crash after this leaves a complete day whose note is still there: the next start finds
        // it finished, with its digest.
        match recorder.close(end) {
            Ok(summary) => {
                day.previous = Some(Previous {
                    session: day.session,
                    digest: summary.digest,
                });
                Ok(Some(summary))
            }
            Err(lost) => {
                day.lost = Some(lost.clone());
                Err(lost)
            }
        }
    }

    fn begin_day(&self, day: &mut Day) -> Result<(), Lost> {
        let (env, about) = (&self.means.env, &self.about);
        let utc_ns = env.clock.utc_ns();
        let mut random = [0; 10];
        let filled = env.random.fill(&mut random);
        filled.map_err(|e| Lost::new(Cause::Broken, format!("no randomness for an id: {e}")))?;
        let id = SessionId::new_v7(utc_ns / 1_000_000, random);
        let link = Link {
            previous: day.previous,
            current: id,
        };
        let path = &self.means.link;
        // A crash after this leaves a day that never began, and the link to the one before.
        link.write(&*env.disk, path).map_err(|e| at(path, &e))?;
        if let Some(previous) = day.previous {
            // The link holds its digest now, so its note is needed no more. One that cannot be
            // removed is found finished at the next start.
            let _ = self.means.open.end(previous.session);
        }
        let session = Session {
            id,
            parent: None,
            kind: about.kind.clone(),
            subject: Fields::new(),
            origin: Fields::new(),
            target: with_previous(about.target.clone(), day.previous),
            start_utc_ns: utc_ns,
            clock: env.clock.quality(),
            policy: about.policy.clone(),
            recorder_key: self.means.key.public(),
            recorder: about.recorder.clone(),
        };
        let plan = Plan {
            survives: Survives::Power,
            loss_bytes_max: about.options.loss_bytes_max(&session),
        };
        let began_ns = env.clock.monotonic_ns();
        let (key, sink) = (self.means.key.clone(), (self.means.sinks)());
        let how = (about.options, plan);
        let recorder = self.means.open.record(session, key, sink, env, how)?;
        day.recorder = Some(recorder);
        day.session = id;
        day.began_ns = began_ns;
        Ok(())
    }
}

fn with_previous(mut target: Fields, previous: Option<Previous>) -> Fields {
    if let Some(previous) = previous {
        target.push("previous.session", previous.session.to_string());
        if let Some(digest) = previous.digest {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            target.push("previous.digest", hex);
        }
    }
    target
}

fn closed() -> Lost {
    Lost::new(Cause::Closed, "the diary is closed")
}

fn at(path: &Path, error: &io::Error) -> Lost {
    Lost::new(Cause::Refused, format!("{}: {error}", path.display()))
}

impl Link {
    /// Replaces the file as a whole: a crash leaves the old or the new one.
    fn write(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let mut m = MessageWriter::new();
        m.bytes(1, self.current.as_bytes());
        if let Some(previous) = &self.previous {
            m.bytes(2, previous.session.as_bytes());
            if let Some(digest) = &previous.digest {
                m.bytes(3, digest);
            }
        }
        let mut bytes = LINK_MAGIC.to_vec();
        bytes.extend_from_slice(&m.finish());
        let check = Sha256::digest(&bytes);
        bytes.extend(check.iter().take(CHECK_BYTES));
        let new = path.with_extension("new");
        match disk.remove(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = disk.create_new(&new)?;
        write_all_at(&*file, 0, &bytes)?;
        file.sync_data()?;
        disk.rename(&new, path)?;
        disk.sync_dir(parent(path))
    }

    /// Reads it; `None` where there is none yet.
    fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Self>> {
        let file = match disk.open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut bytes = vec![0; LINK_BYTES_MAX];
        let len = read_full_at(&*file, 0, &mut bytes)?;
        bytes.truncate(len);
        match Self::decode(&bytes) {
            Some(link) => Ok(Some(link)),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the link to the day before is damaged; remove the file to begin a new chain",
            )),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let split = bytes.len().checked_sub(CHECK_BYTES)?;
        let (body, check) = bytes.split_at_checked(split)?;
        let message = body.strip_prefix(&LINK_MAGIC)?;
        let fits = Sha256::digest(body).iter().take(CHECK_BYTES).eq(check);
        if !fits {
            return None;
        }
        let (mut current, mut session, mut digest) = (None, None, None);
        let mut reader = MessageReader::new(message);
        while let Some((number, field)) = reader.next_field().ok()? {
            match number {
                1 => current = field.array("current").ok(),
                2 => session = field.array("previous").ok(),
                3 => digest = field.array("digest").ok(),
                _ => {}
            }
        }
        let previous = session.map(|session| Previous {
            session: SessionId::from_bytes(session),
            digest,
        });
        Some(Self {
            previous,
            current: SessionId::from_bytes(current?),
        })
    }
}
