//! Which ended sessions have left anything running: the kernel goes through all tasks and says whose they
//! are. A session that has left nothing needs no place any more, and one that has keeps its own.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libbpf_rs::{Iter, Link, MapCore as _, MapFlags, Object};

use super::events::{Shared, monotonic_ns, nanos};
use super::kernel::Loaded;
use super::sessions::lock;
use super::tag::{TAG_BYTES, Tag};

/// The program that hands them over.
pub(super) const PROGRAM: &str = "each_task";

/// Ended sessions from which on it is asked.
const ASKED_FROM: usize = 64;

/// How often at most.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Makes it ready to be asked.
pub(super) fn attach(object: &Object) -> libbpf_rs::Result<Option<Link>> {
    let mut programs = object.progs_mut();
    let found = programs.find(|program| program.name() == PROGRAM && program.autoload());
    found.map(|program| program.attach()).transpose()
}

impl Loaded {
    /// Whether it can be asked whose tasks there are.
    pub(super) fn knows_who_lives(&self) -> bool {
        self.by_number || self.living.is_some()
    }

    /// Tags of all sessions that a task is of, or was of. `None` where the kernel cannot say.
    fn living(&self) -> Option<BTreeSet<u64>> {
        let tags = match (&self.living, self.by_number) {
            // What has ended is in the table no more.
            (_, true) => self.numbered(),
            (Some(link), false) => told(link)?,
            (None, false) => return None,
        };
        let all = tags
            .iter()
            .flat_map(|tag| [tag.session, tag.outer, tag.begins]);
        Some(all.collect())
    }

    fn numbered(&self) -> Vec<Tag> {
        let tags = &self.maps.tags;
        let found = tags
            .keys()
            .filter_map(|key| tags.lookup(&key, MapFlags::ANY).ok().flatten());
        found.filter_map(|bytes| Tag::parse(&bytes)).collect()
    }
}

/// All that the program hands over.
fn told(link: &Link) -> Option<Vec<Tag>> {
    let mut bytes = Vec::new();
    Iter::new(link).ok()?.read_to_end(&mut bytes).ok()?;
    let (tags, rest) = bytes.as_chunks::<TAG_BYTES>();
    if !rest.is_empty() {
        return None;
    }
    tags.iter().map(|tag| Tag::parse(tag)).collect()
}

impl Shared {
    /// Forgets ended sessions that have left nothing running, where there are many.
    pub(super) fn look_who_lives(&self) {
        let now_ns = monotonic_ns();
        let since_ns = now_ns.saturating_sub(self.asked_ns.load(Ordering::Relaxed));
        if since_ns < nanos(ASK_EVERY) {
            return;
        }
        let ended = self.watched.ended();
        if ended.len() < ASKED_FROM {
            return;
        }
        self.asked_ns.store(now_ns, Ordering::Relaxed);
        let Some(living) = self.loaded.living() else {
            return;
        };
        // What one did last was handed over before it was seen no more.
        if !self.drain() {
            return;
        }
        for (tag, over) in ended {
            if !living.contains(&tag) {
                self.look_after(tag, &mut lock(&over), u64::MAX);
                lock(&self.watched.done).push(tag);
            }
        }
    }
}
