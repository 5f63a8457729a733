//! The budget of a stream: what is beyond it is not kept, but counted and hashed, and the recording
//! says so. So copying 600 GB through a session does not make a recording of 600 GB, and whoever has
//! the 600 GB can still show that they are what went through.
//!
//! The hash is of what was left out alone, from its first byte; the `kept_bytes` before it stand in
//! the recording. It is made by a thread of its own (`aside`), and whoever is to say it waits for it:
//! order and account are as if it were made in place.

use hansard_core::event::{Fact, Gap};
use hansard_core::fields::Fields;
use hansard_core::policy::Policy;
use hansard_core::{Body, Session, Stream};

mod aside;

use aside::Aside;

/// Bytes of a stream that are left out before the recording says so (again). A recorder that is
/// killed can take the account of at most so many bytes of each stream with it.
pub const BULK_TOLD_BYTES: u64 = 16 * 1024 * 1024;

/// The kind of a session on a terminal.
const KIND_TERMINAL: &str = "terminal";

/// Name of the event that says what was left out.
pub const OMITTED: &str = "stream.omitted";

/// Most bytes of data that a recorder which is killed can take the account of with it, beside what
/// it can take of what is kept.
#[must_use]
pub fn untold_bytes_max(policy: &Policy) -> u64 {
    match policy.bulk_bytes_max {
        0 => 0,
        _ => BULK_TOLD_BYTES.saturating_mul(Stream::ALL.len() as u64),
    }
}

/// Budgets of all streams of a session.
#[derive(Debug)]
pub(crate) struct Bulk {
    bytes_max: u64,
    streams: [Budget; Stream::ALL.len()],
    /// Once a stream went over its budget.
    hashes: Option<Aside>,
}

#[derive(Debug, Default)]
struct Budget {
    kept: u64,
    over: Option<Over>,
}

/// What was left out of a stream.
#[derive(Debug, Default)]
struct Over {
    bytes: u64,
    /// Of these the recording does not say anything yet.
    untold: u64,
    /// Since when.
    untold_from_ns: u64,
}

impl Bulk {
    /// Of a session; `None` where there is no bound. On a terminal there is none: whoever filled it
    /// could go on typing and looking, unseen.
    pub(crate) fn of(session: &Session) -> Option<Self> {
        match session.kind.as_str() {
            KIND_TERMINAL => None,
            _ => Self::new(session.policy.bulk_bytes_max),
        }
    }

    fn new(bytes_max: u64) -> Option<Self> {
        (bytes_max > 0).then(|| Self {
            bytes_max,
            streams: Default::default(),
            hashes: None,
        })
    }

    /// Takes bytes of a stream: answers how many of them, from the first, are to be kept, and what
    /// the recording has to say now.
    pub(crate) fn take(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        now_ns: u64,
    ) -> (usize, Option<[Body; 2]>) {
        let bytes_max = self.bytes_max;
        let at = Stream::ALL.iter().position(|known| *known == stream);
        let of = at.and_then(|at| Some((at, self.streams.get_mut(at)?)));
        let Some((at, budget)) = of else {
            return (bytes.len(), None);
        };
        let room = bytes_max.saturating_sub(budget.kept);
        let kept = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
        budget.kept = budget.kept.saturating_add(kept as u64);
        let rest = bytes.get(kept..).unwrap_or_default();
        if rest.is_empty() {
            return (kept, None);
        }
        let hashes = self.hashes.get_or_insert_with(Aside::new);
        hashes.update(at, rest);
        let over = budget.over.get_or_insert_default();
        if over.untold == 0 {
            over.untold_from_ns = now_ns;
        }
        over.bytes = over.bytes.saturating_add(rest.len() as u64);
        over.untold = over.untold.saturating_add(rest.len() as u64);
        let said = match over.untold >= BULK_TOLD_BYTES {
            true => budget.told(stream, bytes_max, || hashes.digest(at)),
            false => None,
        };
        (kept, said)
    }

    /// What the recording has to say before its end. The thread that hashes ends.
    pub(crate) fn rest(&mut self) -> Vec<Body> {
        let bytes_max = self.bytes_max;
        let Some(hashes) = &mut self.hashes else {
            return Vec::new();
        };
        hashes.end();
        let streams = Stream::ALL.into_iter().zip(&mut self.streams).enumerate();
        let told = streams.filter_map(|(at, (stream, budget))| {
            budget.told(stream, bytes_max, || hashes.digest(at))
        });
        told.flatten().collect()
    }
}

impl Budget {
    fn told(
        &mut self,
        stream: Stream,
        bytes_max: u64,
        digest: impl FnOnce() -> String,
    ) -> Option<[Body; 2]> {
        let over = self.over.as_mut().filter(|over| over.untold > 0)?;
        let gap = Gap {
            cause: format!(
                "the policy keeps {bytes_max} bytes of a stream, and {} went on",
                stream.as_str()
            ),
            from_ns: over.untold_from_ns,
            bytes: Some(std::mem::take(&mut over.untold)),
            ..Gap::default()
        };
        let fields = Fields::new()
            .with("stream_name", stream.as_str())
            .with("kept_bytes", self.kept)
            .with("omitted_bytes", over.bytes)
            .with("sha256", digest());
        let omitted = Body::Transfer(Fact {
            event: OMITTED.to_owned(),
            fields,
        });
        Some([Body::Gap(gap), omitted])
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn told(bodies: &[Body]) -> (u64, u64, u64, String) {
        let [Body::Gap(gap), Body::Transfer(fact)] = bodies else {
            panic!("{bodies:?}");
        };
        let number = |name: &str| match fact.fields.get(name) {
            Some(hansard_core::Value::Uint(n)) => *n,
            other => panic!("{name}: {other:?}"),
        };
        let sha256 = fact.fields.text("sha256").unwrap().to_owned();
        (
            gap.bytes.unwrap(),
            number("kept_bytes"),
            number("omitted_bytes"),
            sha256,
        )
    }

    fn sha256(bytes: &[u8]) -> String {
        Sha256::digest(bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    #[test]
    fn what_is_over_the_budget_is_counted_and_hashed_and_each_stream_has_its_own() {
        let mut bulk = Bulk::new(10).unwrap();
        assert_eq!(bulk.take(Stream::Stdout, b"12345678", 1), (8, None));
        assert_eq!(bulk.take(Stream::Stdout, b"90abc", 2), (2, None));
        assert_eq!(bulk.take(Stream::Stderr, b"hello", 3), (5, None));
        assert_eq!(bulk.take(Stream::Stdout, b"def", 4), (0, None));
        let rest = bulk.rest();
        assert_eq!(told(&rest), (6, 10, 6, sha256(b"abcdef")));
        let Body::Gap(gap) = &rest[0] else { panic!() };
        assert_eq!(gap.from_ns, 2);
        assert!(bulk.rest().is_empty(), "said once");
        assert!(Bulk::new(0).is_none());
    }

    #[test]
    fn it_is_said_again_and_again_and_the_gaps_add_up() {
        let mut bulk = Bulk::new(3).unwrap();
        let piece = vec![7u8; 1024 * 1024];
        let (mut kept, mut gaps, mut last) = (0, 0, None);
        for i in 0..40 {
            let (n, said) = bulk.take(Stream::Output, &piece, i);
            kept += n as u64;
            if let Some(said) = said {
                let (gap, _, _, digest) = told(&said);
                assert!(gap < BULK_TOLD_BYTES + piece.len() as u64);
                gaps += gap;
                last = Some(digest);
            }
        }
        assert!(last.is_some());
        let (gap, of_kept, omitted, digest) = told(&bulk.rest());
        gaps += gap;
        let all = 40 * piece.len() as u64;
        assert_eq!((kept + gaps, of_kept, omitted), (all, kept, all - kept));
        assert_eq!(
            digest,
            sha256(&vec![7u8; usize::try_from(all - 3).unwrap()])
        );
    }
}
