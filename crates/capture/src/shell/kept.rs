//! Logins that outlive the daemon: somebody else, the service manager, keeps their descriptors, and
//! with them what the next daemon must know to go on in the same recording.
//!
//! Four for each login: its terminal's master, the terminal it came on, the connection of
//! `hansard-shell`, and a file in memory that says whose all this is. While no daemon is there, the
//! program runs on, what it writes waits in its terminal (the kernel takes some 4 KiB, then the
//! program waits), and nobody sees or records it but the next daemon. If that never comes, the
//! manager lets go, and the kernel hangs the program up.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hansard_core::policy::Watch;
use hansard_core::wire::{MessageReader, MessageWriter};
use hansard_core::{Body, Session, SessionId, body};
use hansard_shell::{Held, OnItsWay};
use rustix::fs::{MemfdFlags, memfd_create};

use super::process::Process;
use crate::local::peer::Peer;

mod sys;

pub use sys::inherited;

/// Descriptors of one login.
pub const DESCRIPTORS_OF_LOGIN: usize = 4;

/// Longest file of what is to be known, in bytes; a longer one is not believed, and its session ended.
const STATE_BYTES_MAX: u64 = 1024 * 1024;

/// The field that stands last: what a kill left half written has none, or more behind it.
const WHOLE: u32 = 15;

/// How the names begin under which descriptors are kept.
const PREFIX: &str = "hansard-";

/// What each descriptor is; its name's end.
const ROLES: [&str; DESCRIPTORS_OF_LOGIN] = ["master", "outer", "line", "state"];

/// Somebody who keeps descriptors for the next process.
pub trait Keeps: Send + Sync {
    /// How many it takes.
    fn descriptors_max(&self) -> usize;

    /// Has one kept under this name. When this is `Ok` the keeper MUST have been told.
    ///
    /// # Errors
    /// When it could not be told.
    fn keep(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()>;

    /// Has none kept under this name any more. One that was not told gives it to the next process,
    /// which finds the session over.
    fn forget(&self, name: &str);
}

/// What must be known of a login to go on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) session: Session,
    pub(super) uid: u32,
    /// Its process.
    pub(super) process: Option<Process>,
    /// Who logged in first, by the kernel's audit.
    pub(super) login: Option<u32>,
    /// The recording's moment zero, by the clock of this boot.
    pub(super) zero_ns: u64,
    /// The outer terminal's modes.
    pub(super) modes: String,
    /// What the session leaves running is killed.
    pub(super) kills: bool,
    /// What of host events the policy wanted of it.
    pub(super) watch: Watch,
    /// The last daemon let go on purpose, and this was on its way.
    pub(super) paused: Option<OnItsWay>,
    /// Everything that came before was durable then.
    pub(super) is_durable: bool,
}

/// A login that is being kept, by the daemon that holds it.
pub(super) struct Kept {
    by: Arc<dyn Keeps>,
    file: File,
    state: State,
    /// The next daemon is to find it: it is not forgotten.
    is_left: bool,
    /// Given back after everything is forgotten.
    _place: Option<OnePlace>,
}

/// How many logins more may be kept.
pub(super) struct Places(Arc<AtomicUsize>);

/// The place of one that is.
pub(super) struct OnePlace(Arc<AtomicUsize>);

impl Places {
    pub(super) fn of(by: Option<&dyn Keeps>) -> Self {
        let descriptors = by.map_or(0, Keeps::descriptors_max);
        Self(Arc::new(AtomicUsize::new(
            descriptors / DESCRIPTORS_OF_LOGIN,
        )))
    }

    /// `None` when there is none left.
    pub(super) fn take(&self) -> Option<OnePlace> {
        let less = |left: usize| left.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        taken.ok().map(|_| OnePlace(Arc::clone(&self.0)))
    }
}

impl Drop for OnePlace {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Kept {
    /// Has a login kept. `None` where it cannot be: it ends with the daemon.
    pub(super) fn keep(
        by: &Arc<dyn Keeps>,
        held: &Held,
        line: BorrowedFd<'_>,
        (state, place): (State, OnePlace),
    ) -> Option<Self> {
        let to_keep = held.to_keep()?;
        let file = memfd_create("hansard-login", MemfdFlags::CLOEXEC).ok()?;
        let kept = Self {
            by: Arc::clone(by),
            file: File::from(file),
            state,
            is_left: false,
            _place: Some(place),
        };
        kept.write().ok()?;
        let fds = [to_keep.master, to_keep.outer, line, kept.file.as_fd()];
        for (role, fd) in ROLES.into_iter().zip(fds) {
            // Dropped, it is forgotten: a part of a login is of no use.
            by.keep(&name(kept.state.session.id, role), fd).ok()?;
        }
        Some(kept)
    }

    /// Goes on being kept, as it was found.
    pub(super) fn again(
        by: &Arc<dyn Keeps>,
        file: OwnedFd,
        (state, place): (State, Option<OnePlace>),
    ) -> io::Result<Self> {
        let kept = Self {
            by: Arc::clone(by),
            file: File::from(file),
            state: State {
                paused: None,
                is_durable: false,
                ..state
            },
            is_left: false,
            _place: place,
        };
        kept.write()?;
        Ok(kept)
    }

    /// Leaves it for the next daemon.
    pub(super) fn pause(mut self, on_its_way: OnItsWay, is_durable: bool) -> io::Result<()> {
        self.state.paused = Some(on_its_way);
        self.state.is_durable = is_durable;
        self.write()?;
        self.is_left = true;
        Ok(())
    }

    /// A kill in here leaves what is not believed, and so a session that is ended.
    fn write(&self) -> io::Result<()> {
        let bytes = self.state.encode();
        self.file.write_all_at(&bytes, 0)?;
        self.file.set_len(bytes.len() as u64)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.is_left {
            forget(&*self.by, self.state.session.id);
        }
    }
}

fn name(session: SessionId, role: &str) -> String {
    format!("{PREFIX}{session}-{role}")
}

/// A login that the last daemon held, as it was kept.
pub struct Found {
    pub(super) state: State,
    pub(super) master: OwnedFd,
    pub(super) outer: OwnedFd,
    pub(super) line: OwnedFd,
    pub(super) file: OwnedFd,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Found").field(&self.session()).finish()
    }
}

impl Found {
    /// Its session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.state.session.id
    }

    /// Whose it is.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.state.uid
    }

    /// The logins among descriptors that were kept, by their names. What is none, or not whole, is
    /// forgotten and closed; others' are left out.
    #[must_use]
    pub fn all(descriptors: Vec<(String, OwnedFd)>, by: &dyn Keeps) -> Vec<Self> {
        let mut of_login = std::collections::BTreeMap::<SessionId, [Option<OwnedFd>; 4]>::new();
        for (name, fd) in descriptors {
            let known = name.strip_prefix(PREFIX).and_then(|n| n.rsplit_once('-'));
            let Some((session, role)) = known else {
                continue;
            };
            let at = ROLES.iter().position(|known| *known == role);
            let (Ok(session), Some(at)) = (session.parse(), at) else {
                continue;
            };
            if let Some(slot) = of_login.entry(session).or_default().get_mut(at) {
                *slot = Some(fd);
            }
        }
        let mut found = Vec::new();
        for (session, fds) in of_login {
            let whole = match fds {
                [Some(master), Some(outer), Some(line), Some(file)] => State::read(&file)
                    .filter(|state| state.session.id == session)
                    .map(|state| Self {
                        state,
                        master,
                        outer,
                        line,
                        file,
                    }),
                _ => None,
            };
            match whole {
                Some(login) => found.push(login),
                None => forget(by, session),
            }
        }
        found
    }

    /// Lets go: the program is hung up.
    pub fn drop_for_good(self, by: &dyn Keeps) {
        forget(by, self.session());
    }
}

pub(super) fn forget(by: &dyn Keeps, session: SessionId) {
    ROLES
        .iter()
        .for_each(|role| by.forget(&name(session, role)));
}

impl State {
    pub(super) fn of(
        session: &Session,
        peer: &Peer,
        held: &Held,
        (zero_ns, kills, watch): (u64, bool, Watch),
    ) -> Self {
        Self {
            session: session.clone(),
            uid: peer.uid,
            process: peer.process,
            login: peer.login,
            zero_ns,
            modes: held.modes_before(),
            kills,
            watch,
            paused: None,
            is_durable: false,
        }
    }

    /// The login's process, if it is there.
    pub(super) fn login_process(&self) -> Option<Process> {
        self.process.filter(|process| process.is_there())
    }

    fn encode(&self) -> Vec<u8> {
        let mut header = Vec::new();
        let kind = body::encode(&Body::Start(Box::new(self.session.clone())), &mut header);
        let mut m = MessageWriter::new();
        m.uint(1, u64::from(kind))
            .bytes(2, &header)
            .uint(3, u64::from(self.uid))
            .uint(4, self.zero_ns)
            .text(5, &self.modes)
            .uint(6, u64::from(self.kills));
        if let Some(Process { pid, started }) = self.process {
            m.uint(7, u64::try_from(pid).unwrap_or(0)).uint(8, started);
        }
        if let Some(login) = self.login {
            m.uint(9, u64::from(login).saturating_add(1));
        }
        if let Some(on_its_way) = &self.paused {
            // A daemon that knows 1 alone takes it for one that let go without a word.
            m.uint(10, if self.is_durable { 1 } else { 2 })
                .bytes(11, &on_its_way.unshown)
                .bytes(12, &on_its_way.untyped);
        }
        m.uint(13, bits(self.watch));
        m.uint(WHOLE, 1);
        m.finish()
    }

    fn read(file: &OwnedFd) -> Option<Self> {
        let mut file = File::from(file.try_clone().ok()?);
        io::Seek::rewind(&mut file).ok()?;
        let mut bytes = Vec::new();
        file.take(STATE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .ok()?;
        (bytes.len() as u64 <= STATE_BYTES_MAX).then(|| Self::decode(&bytes))?
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut kind, mut header) = (0, None);
        let (mut uid, mut zero_ns, mut modes, mut kills) = (None, None, None, false);
        let (mut pid, mut started, mut login) = (0, 0, 0);
        let (mut is_whole, mut watch) = (false, Watch::default());
        let (mut paused, mut unshown, mut untyped) = (0, Vec::new(), Vec::new());
        let mut reader = MessageReader::new(bytes);
        while let Some((number, field)) = reader.next_field().ok()? {
            if is_whole {
                return None;
            }
            let uint = || field.uint("number").ok();
            match number {
                1 => kind = u8::try_from(uint()?).ok()?,
                2 => header = Some(field.bytes("header").ok()?.to_vec()),
                3 => uid = Some(u32::try_from(uint()?).ok()?),
                4 => zero_ns = Some(uint()?),
                5 => modes = Some(field.text("modes").ok()?),
                6 => kills = uint()? == 1,
                7 => pid = i32::try_from(uint()?).ok()?,
                8 => started = uint()?,
                9 => login = uint()?,
                10 => paused = uint()?,
                11 => unshown = field.bytes("unshown").ok()?.to_vec(),
                WHOLE => is_whole = true,
                12 => untyped = field.bytes("untyped").ok()?.to_vec(),
                13 => watch = of_bits(uint()?),
                _ => {}
            }
        }
        let Ok(Body::Start(session)) = body::decode(kind, &header.filter(|_| is_whole)?) else {
            return None;
        };
        Some(Self {
            session: *session,
            uid: uid?,
            process: (pid > 0).then_some(Process { pid, started }),
            login: login.checked_sub(1).and_then(|n| u32::try_from(n).ok()),
            zero_ns: zero_ns?,
            modes: modes?,
            kills,
            watch,
            paused: matches!(paused, 1 | 2).then_some(OnItsWay { unshown, untyped }),
            is_durable: paused == 1,
        })
    }
}

/// Two bits for each switch: whether it is set, and how.
fn bits(watch: Watch) -> u64 {
    let all = [watch.command, watch.disk, watch.network];
    all.into_iter().fold(0, |bits, switch| {
        bits << 2 | switch.map_or(0, |is_on| 2 | u64::from(is_on))
    })
}

/// What [`bits`] was of.
fn of_bits(bits: u64) -> Watch {
    let switch = |at: u32| (bits >> at & 2 != 0).then_some(bits >> at & 1 != 0);
    Watch {
        command: switch(4),
        disk: switch(2),
        network: switch(0),
    }
}

#[cfg(test)]
#[path = "kept/tests.rs"]
mod tests;
