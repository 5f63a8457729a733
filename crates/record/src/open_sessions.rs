//! Which sessions a daemon is recording now, and how far each is settled: notes in a directory,
//! from which a daemon that was killed knows what to bring to an end.
//!
//! A note is made before a session's header is durable, and removed when the recording is closed.
//! When a segment of a session is settled (class S) and about to be forgotten by the spool, the
//! tip of the chain goes into the note first: without it nobody could continue the chain.
//!
//! # What a crash leaves
//!
//! - A note without anything in the spool and nothing settled: the header never became durable, so
//!   there is no recording. The note is removed ([`crate::revive`]).
//! - A note and parts in the spool: the recorder died. The recording is sealed and ended.
//! - Parts in the spool without a note: closed, or another's. Left alone.
//!
//! A killed process loses nothing of what it wrote into files, synced or not. So an ordinary note
//! is not synced: it costs no wait, and after a loss of power, when an old state of it may be all
//! there is, it is recognised by the boot it names and not believed. Its session then stays
//! unfinished in the archive, and intact. Notes of sessions that must not stay so
//! ([`Survives::Power`]) are synced at every change.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::seal::Digest;
use hansard_core::seal::SigningKey;
use hansard_core::wire::{MessageReader, MessageWriter};
use hansard_core::writer::{LastSegment, Tip};
use hansard_core::{Session, SessionId, Sink};
use sha2::{Digest as _, Sha256};

use crate::disk::{Disk, DiskFile, parent, read_full_at, write_all_at};
use crate::environment::Environment;
use crate::lost::{Cause, Lost};
use crate::recorder::{Options, Recorder};
use crate::revive::GoesOn;
use crate::spool::Spool;

/// Most sessions that are noted at a time. One more is refused, and so not recorded: its capture
/// refuses it.
pub const OPEN_SESSIONS_MAX: usize = 16 * 1024;

/// How a note begins.
const MAGIC: [u8; 8] = *b"HNSOPEN1";

/// Longest note; what follows in a file is not read.
const NOTE_BYTES_MAX: usize = 512;

/// Magic and length before the message, the check after it.
const HEAD_BYTES: usize = 10;
const CHECK_BYTES: usize = 16;

/// What a note outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// A killed process; costs nothing.
    Kill,
    /// A loss of power as well; costs a sync when it is made, for each settled segment, and when
    /// it is removed.
    Power,
}

/// What is noted of a session when its recording begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What the note outlives.
    pub survives: Survives,
    /// Most bytes of data that a crash of the recorder can take: [`Options::loss_bytes_max`], and
    /// what lies before the recorder. `None`: nobody knows.
    pub loss_bytes_max: Option<u64>,
}

/// Which boot of which machine this is; notes of another are not believed.
pub type Boot = [u8; 16];

/// This boot. Where the system does not say, a random one, so that nothing of before is believed.
///
/// # Errors
/// When there is no randomness either.
pub fn this_boot(env: &Environment) -> io::Result<Boot> {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    match told.ok().and_then(|text| text.trim().parse().ok()) {
        Some(SessionIdText(boot)) => Ok(boot),
        None => {
            let mut boot = [0; 16];
            env.random.fill(&mut boot)?;
            Ok(boot)
        }
    }
}

/// A boot's identifier is written as a session's is.
struct SessionIdText([u8; 16]);

impl std::str::FromStr for SessionIdText {
    type Err = hansard_core::id::NotAnId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<SessionId>().map(|id| Self(*id.as_bytes()))
    }
}

/// The notes. Clones are the same notes.
#[derive(Clone)]
pub struct OpenSessions(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    boot: Boot,
    open: Mutex<HashMap<SessionId, Open>>,
}

struct Open {
    note: Note,
    file: Arc<dyn DiskFile>,
    /// It was found at the start: no recorder of this process records it.
    is_found: bool,
}

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) key: [u8; 32],
    boot: Boot,
    survives: Survives,
    pub(crate) loss_bytes_max: Option<u64>,
    /// How many of its segments are settled.
    pub(crate) settled: u32,
    /// Where the chain ends after them, unless the spool holds the beginning of the next.
    pub(crate) tip: Option<Tip>,
}

/// A note that was found at the start.
pub(crate) enum Found {
    Note(Note),
    /// It says nothing that can be believed; why, in words.
    Doubtful(&'static str),
}

impl OpenSessions {
    /// Takes the notes in this directory, which is made if it is not there (its parent must be).
    ///
    /// # Errors
    /// What the system says.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>, boot: Boot) -> io::Result<Self> {
        disk.create_dir(dir)?;
        disk.sync_dir(parent(dir))?;
        Ok(Self(Arc::new(Shared {
            dir: dir.to_owned(),
            disk,
            boot,
            open: Mutex::new(HashMap::new()),
        })))
    }

    /// Opens a recorder whose session is noted. After its [`Recorder::close`] succeeded, or when it
    /// is certain that nothing of it is durable, [`OpenSessions::end`] MUST be called; after a
    /// close that failed it MUST NOT, so that the next start brings the recording to an end.
    ///
    /// # Errors
    /// As [`Recorder::open`]; and when the session cannot be noted.
    pub fn record(
        &self,
        session: Session,
        key: SigningKey,
        sink: Box<dyn Sink + Send>,
        env: &Environment,
        (options, plan): (Options, Plan),
    ) -> Result<Recorder, Lost> {
        let id = session.id;
        self.begin(id, key.public(), plan).map_err(|e| {
            let why = format!("{}: cannot note a session: {e}", self.0.dir.display());
            Lost::new(Cause::Refused, why)
        })?;
        let recorder = Recorder::open(session, key, sink, env, options);
        if recorder.is_err() {
            // No program has run: a header that became durable all the same is a recording
            // of nothing, without an end.
            let _ = self.end(id);
        }
        recorder
    }

    /// Opens a recorder that goes on with the recording of this session, whose moment zero was then.
    /// What [`OpenSessions::record`] asks for holds here as well.
    ///
    /// # Errors
    /// As [`Recorder::go_on`]; the next start brings the recording to an end then.
    pub fn record_on(
        &self,
        session: &Session,
        (goes_on, zero_ns): (GoesOn, u64),
        sink: Box<dyn Sink + Send>,
        env: &Environment,
        options: Options,
    ) -> Result<Recorder, Lost> {
        if let Some(open) = self.0.lock().get_mut(&goes_on.session) {
            open.is_found = false;
        }
        Recorder::go_on(session, goes_on, zero_ns, sink, env, options)
    }

    /// Notes that a session goes on without a recorder, whose last one is gone with everything
    /// durable: perhaps the next start goes on with it, perhaps only after a loss of power brings it
    /// to an end. From now on its note outlives that.
    ///
    /// # Errors
    /// What the system says; the note then outlives a kill, as before.
    pub fn paused(&self, session: SessionId) -> io::Result<()> {
        let shared = &*self.0;
        let mut open = shared.lock();
        let Some(Open { note, file, .. }) = open.get_mut(&session) else {
            return Ok(());
        };
        note.survives = Survives::Power;
        note.write(&**file, true)?;
        shared.disk.sync_dir(&shared.dir)
    }

    /// Notes that a session begins, before anything of it is durable.
    ///
    /// # Errors
    /// What the system says; `QuotaExceeded` beyond [`OPEN_SESSIONS_MAX`].
    pub fn begin(&self, session: SessionId, key: [u8; 32], plan: Plan) -> io::Result<()> {
        let shared = &*self.0;
        let mut open = shared.lock();
        if open.len() >= OPEN_SESSIONS_MAX {
            let why = format!("{OPEN_SESSIONS_MAX} sessions are being recorded, no more may be");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        let path = shared.path(session);
        let file = shared.disk.create_new(&path)?;
        let note = Note {
            key,
            boot: shared.boot,
            survives: plan.survives,
            loss_bytes_max: plan.loss_bytes_max,
            settled: 0,
            tip: None,
        };
        let synced = plan.survives == Survives::Power;
        // A crash in here leaves a note of a session that has nothing in the spool.
        let written = note.write(&*file, synced).and_then(|()| match synced {
            true => shared.disk.sync_dir(&shared.dir),
            false => Ok(()),
        });
        if let Err(e) = written {
            let _ = shared.disk.remove(&path);
            return Err(e);
        }
        let is_found = false;
        open.insert(
            session,
            Open {
                note,
                file,
                is_found,
            },
        );
        Ok(())
    }

    /// Notes that a session is closed: there is nothing to bring to an end.
    ///
    /// # Errors
    /// What the system says; the next start then finds a note too many.
    pub fn end(&self, session: SessionId) -> io::Result<()> {
        let shared = &*self.0;
        // Locked until the removal is done, so that nothing is forgotten in between.
        let mut open = shared.lock();
        let Some(ended) = open.remove(&session) else {
            return Ok(());
        };
        shared.disk.remove(&shared.path(session))?;
        match ended.note.survives {
            Survives::Power => shared.disk.sync_dir(&shared.dir),
            Survives::Kill => Ok(()),
        }
    }

    /// Notes that a segment is settled, the final one too. MUST be called before the spool forgets
    /// any of its parts, in the order of the segments, and they MUST NOT be forgotten if it fails.
    /// Of sessions that are not noted here nothing is noted, at the cost of a look into a map.
    ///
    /// # Errors
    /// What the system says. Call it again later.
    pub fn settled(&self, spool: &Spool, session: SessionId, segment: u32) -> io::Result<()> {
        self.note_settled(session, segment.saturating_add(1), || {
            // The opening frame of the next segment says all that the tip would, without decoding.
            let is_followed = !spool
                .pending_in(session, segment.saturating_add(1))
                .is_empty();
            if is_followed {
                return Ok(None);
            }
            tip_of(spool, session, segment)
        })
    }

    /// The same for whoever knows already where the chain ends after the segment.
    ///
    /// # Errors
    /// As [`OpenSessions::settled`].
    pub fn settled_at(&self, tip: &Tip) -> io::Result<()> {
        self.note_settled(tip.session, tip.segments, || Ok(Some(*tip)))
    }

    fn note_settled(
        &self,
        session: SessionId,
        settled: u32,
        tip: impl FnOnce() -> io::Result<Option<Tip>>,
    ) -> io::Result<()> {
        let mut open = self.0.lock();
        let Some(Open { note, file, .. }) = open.get_mut(&session) else {
            return Ok(());
        };
        if note.settled >= settled {
            return Ok(());
        }
        let next = Note {
            settled,
            tip: tip()?,
            ..note.clone()
        };
        next.write(&**file, next.survives == Survives::Power)?;
        *note = next;
        Ok(())
    }

    /// Whether a session is noted.
    #[must_use]
    pub fn contains(&self, session: SessionId) -> bool {
        self.0.lock().contains_key(&session)
    }

    /// Reads all notes, which become this process's own.
    pub(crate) fn found(&self) -> io::Result<Vec<(SessionId, Found)>> {
        let shared = &*self.0;
        let mut open = shared.lock();
        let mut all = Vec::new();
        for name in shared.disk.list(&shared.dir)? {
            let Some(session) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(known) = open.get(&session) {
                if known.is_found {
                    all.push((session, Found::Note(known.note.clone())));
                }
                continue;
            }
            let file = shared.disk.open(&shared.path(session))?;
            let found = Note::read(&*file, session)?;
            let believed = match found {
                None => Found::Doubtful("its note is damaged"),
                Some(note) if note.survives == Survives::Kill && note.boot != shared.boot => {
                    Found::Doubtful("the machine was started again since, and its note not synced")
                }
                Some(note) => {
                    let own = note.clone();
                    let own = Open {
                        note: own,
                        file,
                        is_found: true,
                    };
                    open.insert(session, own);
                    Found::Note(note)
                }
            };
            all.push((session, believed));
        }
        Ok(all)
    }

    /// Removes a note that was found and not believed.
    pub(crate) fn drop_doubtful(&self, session: SessionId) -> io::Result<()> {
        self.0.disk.remove(&self.0.path(session))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, session: SessionId) -> PathBuf {
        self.dir.join(session.to_string())
    }
}

/// Where the chain ends after a segment that is in the spool; `None` if the medium damaged it
/// meanwhile, which makes the session one that cannot be gone on with and nothing worse.
fn tip_of(spool: &Spool, session: SessionId, segment: u32) -> io::Result<Option<Tip>> {
    let mut parts = Vec::new();
    for pending in spool.pending_in(session, segment) {
        match spool.read(&pending) {
            Ok(part) => parts.push(part),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    Ok(LastSegment::read(&parts).ok().and_then(|last| last.tip()))
}

impl Note {
    /// Writes it in one call, over what was there: a kill leaves the one or the other.
    fn write(&self, file: &dyn DiskFile, synced: bool) -> io::Result<()> {
        let message = self.encode();
        let mut bytes = MAGIC.to_vec();
        let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&message);
        let check = Sha256::digest(&bytes);
        bytes.extend(check.iter().take(CHECK_BYTES));
        write_all_at(file, 0, &bytes)?;
        if synced { file.sync_data() } else { Ok(()) }
    }

    fn encode(&self) -> Vec<u8> {
        let mut m = MessageWriter::new();
        m.bytes(1, &self.key)
            .bytes(2, &self.boot)
            .uint(3, u64::from(self.survives == Survives::Power))
            .uint(5, u64::from(self.settled));
        if let Some(bytes) = self.loss_bytes_max {
            m.uint(4, bytes);
        }
        if let Some(tip) = &self.tip {
            m.bytes(6, &tip.digest)
                .uint(7, tip.next_seq)
                .uint(8, tip.last_ns)
                .uint(9, u64::from(tip.is_final));
        }
        m.finish()
    }

    /// Reads the note of a session; `None` when it is damaged.
    fn read(file: &dyn DiskFile, session: SessionId) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; NOTE_BYTES_MAX];
        let len = read_full_at(file, 0, &mut bytes)?;
        bytes.truncate(len);
        Ok(Self::decode(&bytes, session))
    }

    fn decode(bytes: &[u8], session: SessionId) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (magic, len) = head.split_at_checked(MAGIC.len())?;
        let len = usize::from(u16::from_le_bytes(len.try_into().ok()?));
        let (message, check) = rest.split_at_checked(len)?;
        let checked = bytes.get(..HEAD_BYTES.checked_add(len)?)?;
        let fits = Sha256::digest(checked)
            .iter()
            .take(CHECK_BYTES)
            .eq(check.get(..CHECK_BYTES)?);
        if magic != MAGIC || !fits {
            return None;
        }
        let (mut key, mut boot, mut survives) = (None, None, Survives::Kill);
        let (mut loss_bytes_max, mut settled) = (None, 0);
        let mut digest: Option<Digest> = None;
        let (mut next_seq, mut last_ns, mut is_final) = (0, 0, false);
        let mut reader = MessageReader::new(message);
        while let Some((number, field)) = reader.next_field().ok()? {
            match number {
                1 => key = field.array("key").ok(),
                2 => boot = field.array("boot").ok(),
                3 if field.uint("survives").ok()? == 1 => survives = Survives::Power,
                4 => loss_bytes_max = Some(field.uint("loss").ok()?),
                5 => settled = u32::try_from(field.uint("settled").ok()?).ok()?,
                6 => digest = field.array("digest").ok(),
                7 => next_seq = field.uint("next_seq").ok()?,
                8 => last_ns = field.uint("last_ns").ok()?,
                9 => is_final = field.uint("final").ok()? == 1,
                _ => {}
            }
        }
        let key = key?;
        let tip = digest.map(|digest| Tip {
            session,
            key,
            segments: settled,
            digest,
            next_seq,
            last_ns,
            is_final,
        });
        Some(Self {
            key,
            boot: boot?,
            survives,
            loss_bytes_max,
            settled,
            tip,
        })
    }
}
