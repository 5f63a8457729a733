//! How much of the spool each host may take: what one host leaves there, which is never sealed or never
//! ends, must not stop all others, and what this machine records itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::{Part, Receipt, SessionId, Sink, SinkError};
use hansard_record::Spool;
use hansard_record::clock::Clock;

use crate::live::Live;
use crate::tee::{Source, Tee};

/// The share of one host is this part of the spool. What it offers beyond is not taken: it is told `busy`, and
/// keeps it, until some of what it sent is archived.
pub const SHARES: u64 = 4;

/// What all hosts together leave to this machine's own sessions is this part of the spool.
pub const OWN_SHARES: u64 = 8;

/// How often it is counted anew, nanoseconds, while anybody could be over it.
const COUNT_EVERY_NS: u64 = 1_000_000_000;

/// Told of a host that is over its share, once until it is below again: its bytes, and how many it may have.
pub type OnOver = Box<dyn Fn(&Source, u64, u64) + Send + Sync>;

/// What hosts have in the spool. Clones count together.
#[derive(Clone)]
pub struct Shares(Arc<Shared>);

struct Shared {
    spool: Spool,
    live: Live,
    clock: Arc<dyn Clock>,
    on_over: OnOver,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    /// When that was; `None` before the first time.
    at_ns: Option<u64>,
    bytes: HashMap<Source, u64>,
    /// Who put the sessions that are in the spool. What was there before this start is known to [`Live`].
    owners: HashMap<SessionId, Source>,
    /// Who is over, and was told of.
    over: HashSet<Source>,
}

impl Shares {
    /// Of this spool.
    #[must_use]
    pub fn new(spool: Spool, live: Live, clock: Arc<dyn Clock>, on_over: OnOver) -> Self {
        Self(Arc::new(Shared {
            spool,
            live,
            clock,
            on_over,
            counted: Mutex::default(),
        }))
    }

    /// The sink of one host.
    #[must_use]
    pub fn sink(&self, tee: Tee, source: Source) -> Sharing {
        Sharing {
            tee,
            source,
            shares: self.clone(),
        }
    }

    fn bytes_max(&self) -> u64 {
        self.0
            .spool
            .usage()
            .bytes_max
            .checked_div(SHARES)
            .unwrap_or(0)
    }

    /// Takes note of parts that are about to be put.
    ///
    /// # Errors
    /// Why this host has to wait.
    fn take(&self, source: &Source, parts: &[Part]) -> Result<(), String> {
        let bytes_max = self.bytes_max();
        let bytes = parts.iter().map(|part| part.bytes().len() as u64).sum();
        let mut counted = self.counted();
        self.count(&mut counted);
        for part in parts {
            counted
                .owners
                .entry(part.session())
                .or_insert_with(|| source.clone());
        }
        let own = counted.bytes.entry(source.clone()).or_default();
        let all = own.saturating_add(bytes);
        if all <= bytes_max {
            *own = all;
            counted.over.remove(source);
            return Ok(());
        }
        let has = *own;
        let is_new = counted.over.insert(source.clone());
        drop(counted);
        if is_new {
            (self.0.on_over)(source, has, bytes_max);
        }
        Err(format!(
            "this host has {has} bytes in the service's spool that are not archived, of {bytes_max} that it may have"
        ))
    }

    /// Counts anew, if that is due.
    fn count(&self, counted: &mut Counted) {
        let now_ns = self.0.clock.monotonic_ns();
        let is_fresh = |at_ns: u64| now_ns.saturating_sub(at_ns) < COUNT_EVERY_NS;
        if counted.at_ns.is_some_and(is_fresh) {
            return;
        }
        counted.at_ns = Some(now_ns);
        let all = self.0.spool.bytes_of_sessions();
        let mut owners = HashMap::with_capacity(all.len());
        counted.bytes.clear();
        for (session, bytes) in all {
            let owner = counted.owners.remove(&session);
            let Some(owner) = owner.or_else(|| self.0.live.source(session)) else {
                continue;
            };
            let of_it = counted.bytes.entry(owner.clone()).or_default();
            *of_it = of_it.saturating_add(bytes);
            owners.insert(session, owner);
        }
        counted.owners = owners;
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        let counted = self.0.counted.lock();
        counted.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts what one host sends, as long as that fits in its share.
pub struct Sharing {
    tee: Tee,
    source: Source,
    shares: Shares,
}

impl Sink for Sharing {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        self.shares
            .take(&self.source, parts)
            .map_err(SinkError::Retry)?;
        self.tee.put(parts)
    }
}

#[cfg(test)]
mod tests {
    use hansard_record::SpoolOptions;
    use hansard_record::conformance::sample_parts;
    use hansard_record::order::Spot;
    use hansard_record::sim::{SimClock, SimDisk};

    use super::*;

    #[test]
    fn one_host_that_fills_its_share_waits_alone() {
        let clock = Arc::new(SimClock::new(0));
        let options = SpoolOptions {
            bytes_max: 4 * 6000,
            file_bytes_max: 2000,
            ..SpoolOptions::default()
        };
        let spool = Spool::open("/spool".as_ref(), Arc::new(SimDisk::new(1)), options).unwrap();
        let live = Live::new(clock.clone(), Arc::new(|_, _| {}));
        let told = Arc::new(Mutex::new(Vec::new()));
        let of_told = Arc::clone(&told);
        let on_over: OnOver = Box::new(move |source, _, _| {
            of_told.lock().unwrap().push(source.to_string());
        });
        let shares = Shares::new(spool.clone(), live.clone(), clock.clone(), on_over);
        let sink = |name: &str| {
            let source = Source::Host(name.into());
            let tee = Tee::new(spool.clone(), live.clone(), source.clone());
            shares.sink(tee, source)
        };
        let (mut one, mut other) = (sink("one"), sink("other"));
        let mut put = Vec::new();
        let why = (1..100).find_map(|n| {
            let parts = sample_parts(n).unwrap();
            match one.put(&parts[..1]) {
                Ok(_) => put.push(parts[0].clone()),
                Err(why) => return Some(why),
            }
            None
        });
        assert!(matches!(why, Some(SinkError::Retry(_))), "{why:?}");
        assert!(!put.is_empty());
        other.put(&sample_parts(100).unwrap()[..1]).unwrap();
        // Told once, however often it tries.
        let next = sample_parts(101).unwrap();
        for _ in 0..3 {
            clock.advance(COUNT_EVERY_NS);
            assert!(one.put(&next[..1]).is_err());
        }
        assert_eq!(*told.lock().unwrap(), ["host one"]);
        // Archived: it may go on.
        let spots: Vec<_> = put.iter().map(|p| (p.session(), Spot::of(p))).collect();
        spool.forget(&spots);
        clock.advance(COUNT_EVERY_NS);
        one.put(&next[..1]).unwrap();
    }
}
