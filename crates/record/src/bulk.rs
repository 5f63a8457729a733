//! The budget of a stream: beyond it only what trickles is kept. What pours is counted and hashed,
//! and the recording says so. So copying 600 GB through a session does not make a recording of
//! 600 GB, and whoever has the 600 GB can still show that they are what went through; and whoever
//! fills the budget with rubbish and then goes on by hand is seen.
//!
//! Each time that `stream.omitted` is said (`Gap` before it), it is of the whole stream so far:
//!
//! - `kept_bytes`: those that the recording has of it at this place; what was lost to a sink in trouble
//!   (`on_loss: continue`) is in a gap of its own and not among them
//! - `omitted_bytes`: all that were left out, now and before
//! - `sha256`: of all those, one after the other, as if they were one
//!
//! It is said before anything of the stream is kept again. So what is between two of them, or before the
//! first, is first kept and then left out, and by how much both numbers grew says how much: whoever
//! has what went through can cut it accordingly, and hash it.
//!
//! Hashes are made by a thread of its own (`aside`), and whoever is to say one waits for it: order and
//! account are as if they were made in place. What trickles is in `calm`.

use hansard_core::event::{Fact, Gap};
use hansard_core::fields::Fields;
use hansard_core::{Body, Session, Stream};

mod aside;
mod budgeted;
mod calm;

use aside::Aside;
pub(crate) use budgeted::Budgeted;
use calm::Calm;

/// Bytes of a stream that are left out before the recording says so (again). A recorder that is
/// killed can take the account of at most so many bytes of each stream with it.
pub const BULK_TOLD_BYTES: u64 = 16 * 1024 * 1024;

/// The kind of a session on a terminal.
const KIND_TERMINAL: &str = "terminal";

/// Name of the event that says what was left out.
pub const OMITTED: &str = "stream.omitted";

/// Most bytes of data that the recorder of this session can take the account of with it when it is
/// killed, beside what it can take of what is kept.
#[must_use]
pub(crate) fn untold_bytes_max(session: &Session) -> u64 {
    match bytes_max(session) {
        0 => 0,
        _ => BULK_TOLD_BYTES.saturating_mul(Stream::ALL.len() as u64),
    }
}

/// The budget of each of its streams; 0: there is none. On a terminal there is none: what people see
/// there is what a recording is for, however much it is.
fn bytes_max(session: &Session) -> u64 {
    match session.kind.as_str() {
        KIND_TERMINAL => 0,
        _ => session.policy.bulk_bytes_max,
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
    /// Also within the budget: what poured until there goes on as what pours.
    calm: Calm,
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
    /// What it was to say was lost on the way: it is to say it again, all that there is by then.
    is_unsaid: bool,
}

/// What becomes of bytes of a stream.
#[derive(Debug, PartialEq)]
pub(crate) struct Taken {
    /// What the recording has to say before it has any of them.
    before: Vec<Body>,
    /// So many of them are kept, from the first.
    kept: usize,
    /// Whether it has to say something after those.
    is_due: bool,
}

impl Taken {
    fn whole(bytes: &[u8]) -> Self {
        Self {
            before: Vec::new(),
            kept: bytes.len(),
            is_due: false,
        }
    }
}

impl Bulk {
    /// Of a session; `None` where there is no bound.
    pub(crate) fn of(session: &Session) -> Option<Self> {
        Self::new(bytes_max(session))
    }

    fn new(bytes_max: u64) -> Option<Self> {
        (bytes_max > 0).then(|| Self {
            bytes_max,
            streams: Default::default(),
            hashes: None,
        })
    }

    /// Takes bytes of a stream, in one piece: answers what becomes of them.
    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8], now_ns: u64) -> Taken {
        let bytes_max = self.bytes_max;
        let of = position(stream).and_then(|at| Some((at, self.streams.get_mut(at)?)));
        let Some((at, budget)) = of.filter(|_| !bytes.is_empty()) else {
            return Taken::whole(bytes);
        };
        let is_calm = budget.calm.takes(bytes.len(), now_ns);
        let room = bytes_max.saturating_sub(budget.kept);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if is_calm || room >= bytes.len() {
            let before = budget.told(at, bytes_max, self.hashes.as_ref());
            budget.kept = budget.kept.saturating_add(bytes.len() as u64);
            return Taken {
                before,
                ..Taken::whole(bytes)
            };
        }
        let (kept, rest) = bytes.split_at(room);
        budget.kept = budget.kept.saturating_add(kept.len() as u64);
        let hashes = self.hashes.get_or_insert_with(Aside::new);
        hashes.update(at, rest);
        Taken {
            is_due: budget.leave_out(rest.len(), now_ns) >= BULK_TOLD_BYTES,
            ..Taken::whole(kept)
        }
    }

    /// What the recording has to say of a stream now.
    fn due(&mut self, stream: Stream) -> Vec<Body> {
        let (bytes_max, hashes) = (self.bytes_max, self.hashes.as_ref());
        let of = position(stream).and_then(|at| Some((at, self.streams.get_mut(at)?)));
        of.map_or_else(Vec::new, |(at, budget)| budget.told(at, bytes_max, hashes))
    }

    /// So many bytes of a stream that were to be kept are not: a gap of its own stands for them.
    fn was_lost(&mut self, stream: Stream, bytes: u64) {
        if let Some(budget) = position(stream).and_then(|at| self.streams.get_mut(at)) {
            budget.kept = budget.kept.saturating_sub(bytes);
        }
    }

    /// Not all that the recording had to say of a stream was taken. What it counted is in a gap; the account
    /// and the digest are said again.
    fn was_not_said(&mut self, stream: Stream) {
        let budget = position(stream).and_then(|at| self.streams.get_mut(at));
        if let Some(over) = budget.and_then(|budget| budget.over.as_mut()) {
            over.is_unsaid = true;
        }
    }

    /// What the recording has to say before its end. The thread that hashes ends.
    pub(crate) fn rest(&mut self) -> Vec<Body> {
        if let Some(hashes) = &mut self.hashes {
            hashes.end();
        }
        let (bytes_max, hashes) = (self.bytes_max, self.hashes.as_ref());
        let streams = self.streams.iter_mut().enumerate();
        streams
            .flat_map(|(at, budget)| budget.told(at, bytes_max, hashes))
            .collect()
    }
}

impl Budget {
    /// Notes that so many bytes are left out; answers of how many the recording does not say anything
    /// yet.
    fn leave_out(&mut self, bytes: usize, now_ns: u64) -> u64 {
        let over = self.over.get_or_insert_default();
        if over.untold == 0 {
            over.untold_from_ns = now_ns;
        }
        over.bytes = over.bytes.saturating_add(bytes as u64);
        over.untold = over.untold.saturating_add(bytes as u64);
        over.untold
    }

    /// What the recording has to say of the stream that stands there in [`Stream::ALL`].
    fn told(&mut self, at: usize, bytes_max: u64, hashes: Option<&Aside>) -> Vec<Body> {
        let over = self.over.as_mut();
        let over = over.filter(|over| over.untold > 0 || over.is_unsaid);
        let Some(((over, stream), hashes)) = over.zip(Stream::ALL.get(at)).zip(hashes) else {
            return Vec::new();
        };
        let gap = Gap {
            cause: format!(
                "the policy keeps {bytes_max} bytes of a stream and what trickles, and {} poured on",
                stream.as_str()
            ),
            from_ns: over.untold_from_ns,
            bytes: Some(over.untold),
            ..Gap::default()
        };
        let fields = Fields::new()
            .with("stream_name", stream.as_str())
            .with("kept_bytes", self.kept)
            .with("omitted_bytes", over.bytes)
            .with("sha256", hashes.digest(at));
        let omitted = Body::Transfer(Fact {
            event: OMITTED.to_owned(),
            fields,
        });
        let gap = (over.untold > 0).then_some(Body::Gap(gap));
        (over.untold, over.is_unsaid) = (0, false);
        gap.into_iter().chain([omitted]).collect()
    }
}

/// Where a stream stands in [`Stream::ALL`].
fn position(stream: Stream) -> Option<usize> {
    Stream::ALL.iter().position(|known| *known == stream)
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

    fn shown(digest: &[u8]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const MS: u64 = 1_000_000;

    /// A piece that is never calm.
    const POUR: usize = 70_000;

    /// Beside a stream: what of it is kept and what is left out, as whoever reads its recording learns.
    #[derive(Default)]
    struct Read {
        kept: u64,
        left_out: u64,
        hash: Sha256,
        /// What is left out and not said.
        untold: Vec<u8>,
        /// How often something was kept after something was left out.
        resumed: usize,
    }

    impl Read {
        fn took(&mut self, bytes: &[u8], taken: &Taken, bulk: &mut Bulk, stream: Stream) {
            self.said(&taken.before);
            let (kept, rest) = bytes.split_at(taken.kept);
            if !kept.is_empty() {
                assert!(self.untold.is_empty(), "kept before it is said");
                self.kept += kept.len() as u64;
                self.resumed += usize::from(!taken.before.is_empty());
            }
            self.untold.extend_from_slice(rest);
            if taken.is_due {
                self.said(&bulk.due(stream));
            }
        }

        fn said(&mut self, bodies: &[Body]) {
            if bodies.is_empty() {
                return;
            }
            let gap = self.untold.len() as u64;
            self.hash.update(std::mem::take(&mut self.untold));
            self.left_out += gap;
            let digest = shown(&self.hash.clone().finalize());
            assert_eq!(told(bodies), (gap, self.kept, self.left_out, digest));
        }
    }

    /// Bytes of which no two runs are alike.
    fn piece(len: usize, seed: u64) -> Vec<u8> {
        let mut rng = crate::sim::Rng::new(seed);
        (0..len).map(|_| rng.next_u64() as u8).collect()
    }

    #[test]
    fn what_pours_over_the_budget_is_counted_and_hashed_and_each_stream_has_its_own() {
        let pours = vec![1; POUR];
        let mut bulk = Bulk::new(POUR as u64 + 10).unwrap();
        let mut take = |stream, bytes, now_ns| bulk.take(stream, bytes, now_ns);
        assert_eq!(take(Stream::Stdout, &pours, 1), Taken::whole(&pours));
        assert_eq!(
            take(Stream::Stdout, b"12345678", 1),
            Taken::whole(b"12345678")
        );
        assert_eq!(take(Stream::Stdout, b"90abc", 2), Taken::whole(b"90"));
        assert_eq!(take(Stream::Stderr, b"hello", 3), Taken::whole(b"hello"));
        assert_eq!(take(Stream::Stdout, b"def", 4), Taken::whole(b""));
        let rest = bulk.rest();
        let kept = POUR as u64 + 10;
        assert_eq!(told(&rest), (6, kept, 6, shown(&Sha256::digest(b"abcdef"))));
        let Body::Gap(gap) = &rest[0] else { panic!() };
        assert_eq!(gap.from_ns, 2);
        assert!(bulk.rest().is_empty(), "said once");
        assert!(Bulk::new(0).is_none());
    }

    #[test]
    fn it_is_said_again_and_again_and_the_gaps_add_up() {
        let mut bulk = Bulk::new(3).unwrap();
        let (mut read, mut said) = (Read::default(), 0);
        for i in 0..40 {
            let piece = piece(1024 * 1024, i);
            let taken = bulk.take(Stream::Output, &piece, i);
            said += usize::from(taken.is_due);
            assert!((read.untold.len() as u64) < BULK_TOLD_BYTES);
            read.took(&piece, &taken, &mut bulk, Stream::Output);
        }
        assert_eq!(said, 2);
        read.said(&bulk.rest());
        assert_eq!((read.kept, read.left_out), (3, 40 * 1024 * 1024 - 3));
    }

    #[test]
    fn what_was_lost_is_not_kept_and_what_was_not_said_is_said_again() {
        let mut bulk = Bulk::new(10).unwrap();
        let (first, second) = (vec![1; POUR], vec![2; POUR]);
        assert_eq!(bulk.take(Stream::Stdout, &first, 1).kept, 10);
        bulk.was_lost(Stream::Stdout, 4);
        let lost = bulk.due(Stream::Stdout);
        assert_eq!(told(&lost).1, 6);
        bulk.was_not_said(Stream::Stdout);
        bulk.take(Stream::Stdout, &second, 2);
        bulk.was_lost(Stream::Stdout, 4);
        let both = [&first[10..], &second[4..]].concat();
        let (gap, digest) = (second[4..].len() as u64, shown(&Sha256::digest(&both)));
        let said = told(&bulk.due(Stream::Stdout));
        assert_eq!(said, (gap, 6, both.len() as u64, digest.clone()));
        // Nothing more is left out: the account alone.
        bulk.was_not_said(Stream::Stdout);
        let rest = bulk.rest();
        let [Body::Transfer(fact)] = rest.as_slice() else {
            panic!("{rest:?}");
        };
        assert_eq!(fact.fields.text("sha256"), Some(digest.as_str()));
        assert!(bulk.rest().is_empty());
    }

    #[test]
    fn a_flood_never_resumes_and_what_trickles_after_it_does_once_the_hold_is_over() {
        let (mut bulk, mut read) = (Bulk::new(100).unwrap(), Read::default());
        let mut now_ns = 0;
        let mut take = |bulk: &mut Bulk, len, now_ns| {
            let piece = piece(len, now_ns);
            let taken = bulk.take(Stream::Stdin, &piece, now_ns);
            read.took(&piece, &taken, bulk, Stream::Stdin);
            (read.kept, read.resumed)
        };
        let mut kept = (100, 0);
        // 16 MB/s for a second, in pieces that would be calm alone.
        for _ in 0..4000 {
            now_ns += MS / 4;
            kept = take(&mut bulk, 4096, now_ns);
        }
        let flood = kept;
        assert!(flood.0 < 100 + 2 * calm::CALM_BYTES_MAX && flood.1 == 0);
        // Somebody types.
        for _ in 0..9 {
            now_ns += 10 * MS;
            assert_eq!(take(&mut bulk, 5, now_ns), flood, "the hold");
        }
        now_ns += 10 * MS;
        assert_eq!(take(&mut bulk, 5, now_ns), (flood.0 + 5, 1));
        now_ns += 1;
        assert_eq!(take(&mut bulk, 5, now_ns), (flood.0 + 10, 1), "said once");
        assert!(bulk.rest().is_empty(), "all is said");
    }

    #[test]
    fn a_stream_that_was_always_calm_goes_over_its_budget_as_if_there_were_none() {
        let mut bulk = Bulk::new(1000).unwrap();
        for i in 0..1000 {
            let taken = bulk.take(Stream::Stdout, b"0123456789", i * MS);
            assert_eq!(taken, Taken::whole(b"0123456789"));
        }
        assert!(bulk.hashes.is_none() && bulk.rest().is_empty());
    }

    #[test]
    fn whoever_alternates_does_so_ten_times_a_second_at_most_and_every_digest_is_right() {
        let mut bulk = Bulk::new(50_000).unwrap();
        let mut reads = [const { None::<Read> }; Stream::ALL.len()];
        let mut rng = crate::sim::Rng::new(7);
        let (mut now_ns, mut seed) = (0, 0);
        const SECONDS: u64 = 20;
        while now_ns < SECONDS * 1000 * MS {
            for (at, stream) in Stream::ALL.into_iter().enumerate().skip(1) {
                let len = match (at, rng.below(40)) {
                    // One stream is calm throughout; others pour now and then, or as often as they may.
                    (1, _) => 20,
                    (2, 0) | (3, 0..20) => POUR,
                    (4, _) if now_ns % (105 * MS) == 0 => POUR,
                    _ => rng.up_to(30),
                };
                seed += 1;
                let piece = piece(len, seed);
                let taken = bulk.take(stream, &piece, now_ns);
                let read = reads[at].get_or_insert_default();
                read.took(&piece, &taken, &mut bulk, stream);
            }
            now_ns += 5 * MS;
        }
        let mut rest = bulk.rest().into_iter();
        for read in reads.iter_mut().flatten() {
            if !read.untold.is_empty() {
                let bodies = [rest.next().unwrap(), rest.next().unwrap()];
                read.said(&bodies);
            }
        }
        assert!(rest.next().is_none());
        let of = |at: usize| reads[at].as_ref().unwrap();
        assert!(of(1).left_out == 0 && of(1).kept == SECONDS * 200 * 20);
        let resumed = [2, 3, 4].map(|at| of(at).resumed as u64);
        assert!(resumed.iter().all(|n| *n <= SECONDS * 10), "{resumed:?}");
        assert!(
            resumed[0] > SECONDS && resumed[2] > SECONDS * 5,
            "{resumed:?}"
        );
        let kept = SECONDS * calm::CALM_BYTES_PER_S + calm::CALM_BYTES_MAX + 50_000;
        assert!([2, 3, 4].iter().all(|at| of(*at).kept <= kept));
    }
}
