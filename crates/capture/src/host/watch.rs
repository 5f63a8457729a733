//! How a session begins to be watched: its holder is marked, and the kernel hands that on.
//!
//! Whoever may open a session may have what they do left out of the record, if that made them its holder in every
//! case. So what is in a session already stays there: what it does is told there, and what it starts is told in
//! the new one, which is told as much as the old one is.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use hansard_core::SessionId;
use hansard_core::policy::Watch;
use hansard_record::Recorder;
use libbpf_rs::{MapCore as _, MapFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Switches;
use super::events::{HostEvents, LOST_BYTES, Shared, Watched};
use super::facts;
use super::sessions::{Entry, Lost, Session, lock};
use super::tag::Tag;
use crate::local::peer::effective_uid;

/// What the holder of a new session was.
enum Before {
    /// Of no session, or the holder of one: what it does is not told.
    Holder { outer: u64 },
    /// What a login that the kernel found began with, and a recorder: that login is left to it.
    Recorder { login: u64, outer: u64 },
    /// Of a session, like anything that is: so it stays.
    Within(Tag),
}

impl HostEvents {
    /// From now on, what the children of this process do goes into this recording, and what theirs
    /// do. The process itself is the program that holds the session: of what it does nothing is told, unless it
    /// is of another session already, which goes on telling it.
    /// It must be this user's still: its number may be another's by now. What the policy does not say
    /// of what is told, the configuration does; the recording begins with it.
    ///
    /// # Errors
    /// Why not, for the recording to say. Nothing is watched then.
    pub fn watch(
        &self,
        (uid, pid): (u32, Option<i32>),
        (id, recorder): (SessionId, Recorder),
        policy: Watch,
    ) -> Result<Watched, String> {
        let shared = &self.0.shared;
        let pid = pid.and_then(Pid::from_raw);
        let pid = pid.ok_or("the system does not say which process holds the session")?;
        let process = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|e| format!("the process that holds the session is gone: {e}"))?;
        // Held before it is looked at: whoever has the number later is not marked in its place.
        if effective_uid(&pid.as_raw_nonzero().to_string()) != Some(uid) {
            return Err("the process that holds the session is gone".to_owned());
        }
        // Never given twice: what a session leaves running is not taken for another's.
        let tag = shared.next_tag.fetch_add(1, Ordering::Relaxed);
        let of_process = match shared.loaded.by_number {
            true => pid.as_raw_nonzero().get().to_ne_bytes(),
            false => process.as_raw_fd().to_ne_bytes(),
        };
        let before = shared.before(of_process);
        let mut switches = shared.config.of(policy);
        if let Before::Within(tag) = &before {
            switches = switches.with(shared.told_of(tag.session));
        }
        let (support, left_out) = (&shared.loaded.support, &shared.config.left_out);
        // A recording that failed ends its session by itself.
        let _ = recorder.witness(facts::watched(support, switches, left_out));
        let session = Session::begun(id, recorder);
        let watched = Watched {
            shared: Arc::clone(shared),
            tag,
            session: Arc::new(Mutex::new(session)),
            stays: false,
        };
        let of_reader = Entry::Open(Arc::clone(&watched.session));
        lock(&shared.watched.by_tag).insert(tag, of_reader);
        // From here on dropping it takes back what was done.
        shared.note(tag, id, Lost::default());
        shared.mark((of_process, before.holds(tag)), switches)?;
        if shared.loaded.by_number && has_ended(&process) {
            // Its number may be another's already, which is not to be marked in its place.
            let _ = shared.loaded.maps.tags.delete(&of_process);
            return Err("the process that holds the session is gone".to_owned());
        }
        if let Before::Recorder { login, .. } = before {
            shared.watched.has_recorder(login);
        }
        Ok(watched)
    }
}

impl Before {
    /// What it carries from now on, as the holder of this session.
    fn holds(&self, session: u64) -> Tag {
        match self {
            Self::Holder { outer } | Self::Recorder { outer, .. } => Tag {
                outer: *outer,
                ..Tag::holding(session)
            },
            Self::Within(tag) => Tag {
                begins: session,
                ..*tag
            },
        }
    }
}

impl Shared {
    /// What this process was until now.
    fn before(&self, process: [u8; 4]) -> Before {
        let found = self.loaded.maps.tags.lookup(&process, MapFlags::ANY);
        let found = found.ok().flatten();
        let Some(tag) = found.and_then(|bytes| Tag::parse(&bytes)) else {
            return Before::Holder { outer: 0 };
        };
        let outer = tag.outer;
        if tag.is_seed {
            return Before::Holder { outer };
        }
        // What it began with was told before it could ask for this.
        self.drain();
        match self.watched.is_of_recorder(tag.session) {
            true => Before::Recorder {
                login: tag.session,
                outer,
            },
            false => Before::Within(tag),
        }
    }

    /// What is told of a session, as the kernel knows it.
    fn told_of(&self, tag: u64) -> u32 {
        let sessions = &self.loaded.maps.sessions;
        let found = sessions.lookup(&tag.to_ne_bytes(), MapFlags::ANY);
        let bytes = found.ok().flatten();
        let bytes = bytes.and_then(|bytes| bytes.first_chunk().copied());
        bytes.map_or(0, u32::from_ne_bytes)
    }

    /// Tells the kernel of a new session and its holder.
    fn mark(&self, (process, holder): ([u8; 4], Tag), switches: Switches) -> Result<(), String> {
        let maps = &self.loaded.maps;
        let tag = match holder.begins {
            0 => holder.session,
            begins => begins,
        };
        let (key, any) = (tag.to_ne_bytes(), MapFlags::ANY);
        maps.losses
            .update(&key, &[0; LOST_BYTES], any)
            .and_then(|()| {
                let switches = switches.bits().to_ne_bytes();
                maps.sessions.update(&key, &switches, any)
            })
            .and_then(|()| maps.tags.update(&process, &holder.bytes(), any))
            .map_err(|e| format!("the kernel takes no more sessions: {e}"))
    }
}

/// Whether this process has ended.
fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    !matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
}
