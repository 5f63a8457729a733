//! Sessions that outlive the daemon that watched them.
//!
//! Where the kernel's programs ended with the last daemon, the marks of their processes did, too. The next one
//! marks each of them anew; what they did in between nobody knows, which the recording says, and an alarm.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use hansard_core::event::{Body, Fact, Gap};
use hansard_core::{Fields, SessionId};
use hansard_record::Recorder;
use libbpf_rs::{MapCore as _, MapFlags};

use super::HostEvents;
use super::events::Watched;
use super::tag::Tag;

impl Watched {
    /// From now on what this thread does belongs to the session, and what it starts. Whether it does:
    /// without what holds it a thread is marked only where marks are by number.
    pub(crate) fn mark(&self, thread: i32, held: Option<&OwnedFd>) -> bool {
        let loaded = &self.shared.loaded;
        let key = match (loaded.by_number, held) {
            (true, _) => thread.to_ne_bytes(),
            (false, Some(held)) => held.as_raw_fd().to_ne_bytes(),
            (false, None) => return false,
        };
        let done = loaded
            .maps
            .tags
            .update(&key, &Tag::of(self.tag).bytes(), MapFlags::ANY);
        done.is_ok()
    }
}

impl HostEvents {
    /// Says in the recording, and to whoever is alarmed, that from this moment of the session until now
    /// nobody knows what was done.
    pub(crate) fn was_unwatched(
        &self,
        (id, recorder): (SessionId, &Recorder),
        from_ns: u64,
        why: &str,
    ) {
        let gap = Gap {
            cause: why.to_owned(),
            from_ns,
            ..Gap::default()
        };
        // A recording that failed ends its session when the next thing is recorded.
        let _ = recorder.witness(Body::Gap(gap));
        let gone = Duration::from_nanos(recorder.now_ns().saturating_sub(from_ns));
        let reason = format!("{why}: the last {:.3} s at most", gone.as_secs_f64());
        let fields = Fields::new()
            .with("alarm", "host_events")
            .with("reason", reason)
            .with("recording", id.to_string());
        (self.0.shared.watched.tell)(Body::Admin(Fact {
            event: "alarm".to_owned(),
            fields,
        }));
    }
}
