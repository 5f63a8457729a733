//! One long stream: parts come in and are put together, receipts and wishes go out.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hansard_core::SessionId;
use hansard_core::seal::Digest;
use hansard_record::forward::Pieces;
use hansard_record::forward::wire::{Decoder, Down, Hello, InForce, ProblemKind, Stored, Up};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};

use crate::ingest::accept::Shared;
use crate::ingest::connections::Place;
use crate::ingest::figures::add;
use crate::ingest::limits::{
    BATCH_BYTES, BATCH_PARTS, BUSY_EVERY, BUSY_PAUSE, FREE_BYTES, LARGE_MESSAGE_MAX, LOOK_EVERY,
    PUT_AGAIN, SAY_MAX, SILENCE_MAX,
};
use crate::ingest::note::{Cause, Note};
use crate::ingest::taker::{Offer, Taken, Taker};
use crate::ingest::times::Times;
use crate::ingest::working::{Asking, Looking, Working, look, outcome, work};

/// Bytes that one permit stands for.
pub(super) const PERMIT_BYTES: usize = 1024;

/// A stream.
pub(super) struct Stream {
    shared: Arc<Shared>,
    place: Arc<Place>,
    down: Pieces,
    decoder: Decoder<Up>,
    hello: Option<Hello>,
    gathered: Gathered,
    /// Ordinal of the last part that was read, and of the last one that is being worked on.
    ordinals: (u64, u64),
    taker: Option<Taker>,
    working: Option<Working>,
    asking: Option<Asking>,
    looking: Option<Looking>,
    /// Why the batch in work did not fit, and how often it was tried.
    full: Option<(String, u32)>,
    /// Segments complete here that the host was not told to be stored.
    unstored: HashMap<SessionId, (u32, Digest)>,
    /// What was told to be stored while a batch was in work.
    told: HashMap<SessionId, u32>,
    /// Sessions found in conflict while a batch was in work.
    shut: Vec<SessionId>,
    times: Times,
}

/// Offers that wait to be put.
#[derive(Default)]
struct Gathered {
    offers: Vec<Offer>,
    bytes: usize,
    /// Room beyond [`FREE_BYTES`].
    permit: Option<OwnedSemaphorePermit>,
}

/// Why a stream ended.
type Ended = String;

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, place: Arc<Place>, down: Pieces) -> Self {
        let number = place.line.number;
        let connections = shared.parts.connections.clone();
        let taker = Taker::new(
            place.line.peer.clone(),
            Arc::clone(&shared.parts.gate),
            Arc::clone(&shared.parts.depot),
            Arc::new(move |session| connections.route(number, session)),
        );
        Self {
            shared,
            place,
            down,
            decoder: Decoder::new(),
            hello: None,
            gathered: Gathered::default(),
            ordinals: (0, 0),
            taker: Some(taker),
            working: None,
            asking: None,
            looking: None,
            full: None,
            unstored: HashMap::new(),
            told: HashMap::new(),
            shut: Vec::new(),
            times: Times::new(),
        }
    }

    /// Goes on until the host or somebody here ends it; answers why. The host is told, if it
    /// listens.
    pub(super) async fn run(mut self, mut body: Incoming) -> String {
        let why = loop {
            if let Err(why) = self.step(&mut body).await {
                break why;
            }
        };
        let mut bytes = Vec::new();
        Down::Bye { why: why.clone() }.encode(&mut bytes);
        let _ = timeout(SAY_MAX, self.down.put(Bytes::from(bytes))).await;
        why
    }

    /// Waits for one thing and does it.
    async fn step(&mut self, body: &mut Incoming) -> Result<(), Ended> {
        self.begin_work();
        self.ask_for_room();
        let may_read = self.may_read();
        let is_large = self.decoder.wanted_bytes() > FREE_BYTES;
        self.times.note(may_read, is_large);
        let line = Arc::clone(&self.place.line);
        let wake = self.times.next();
        tokio::select! {
            biased;
            () = line.wake.notified() => self.say_what_waits().await,
            done = outcome(&mut self.working) => self.finish_work(done).await,
            stored = outcome(&mut self.looking) => self.say_stored(stored).await,
            permit = outcome(&mut self.asking) => {
                self.gathered.permit = permit;
                Ok(())
            }
            frame = body.frame(), if may_read => {
                match frame {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) => self.hear(&bytes).await,
                        Err(_) => Ok(()),
                    },
                    Some(Err(e)) => Err(format!("the connection was lost: {e}")),
                    None => Err("the host ended the stream".to_owned()),
                }
            }
            () = sleep_until(wake) => self.on_time().await,
        }
    }

    /// Room for what is gathered, in bytes.
    fn room(&self) -> usize {
        let asked = self.gathered.permit.as_ref().map_or(0, |permit| {
            permit.num_permits().saturating_mul(PERMIT_BYTES)
        });
        FREE_BYTES.saturating_add(asked)
    }

    /// Bytes that the message now coming in and the gathered ones take.
    fn wanted(&self) -> usize {
        let wanted = self.decoder.wanted_bytes();
        self.gathered.bytes.saturating_add(wanted)
    }

    fn may_read(&self) -> bool {
        self.wanted() <= self.room()
            && self.gathered.bytes < BATCH_BYTES
            && self.gathered.offers.len() < BATCH_PARTS
    }

    /// Asks for room for a long message, or to gather more while a batch is in work; gives back what
    /// is not needed.
    fn ask_for_room(&mut self) {
        let wanted = self.wanted();
        if wanted <= FREE_BYTES && self.gathered.bytes <= FREE_BYTES / 2 {
            self.gathered.permit = None;
            self.asking = None;
            return;
        }
        // With nothing gathered, nothing would ever give back too little room for a long message.
        if wanted > self.room() && self.gathered.offers.is_empty() {
            self.gathered.permit = None;
        }
        if self.asking.is_some() || self.gathered.permit.is_some() {
            return;
        }
        let bytes = wanted.max(BATCH_BYTES);
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.shared.room);
        self.asking = Some(Box::pin(async move {
            room.acquire_many_owned(permits).await.ok()
        }));
    }

    /// Puts what is gathered, unless a batch is in work already. The first part of a quiet session
    /// so waits for nothing, and what comes while a disk syncs is put together.
    fn begin_work(&mut self) {
        if self.working.is_some() || self.gathered.offers.is_empty() {
            return;
        }
        let Some(taker) = self.taker.take() else {
            return;
        };
        let gathered = std::mem::take(&mut self.gathered);
        self.ordinals.1 = self.ordinals.0;
        add(&self.shared.figures.batches, 1);
        self.working = Some(work(
            Arc::clone(&self.shared.puts),
            Duration::ZERO,
            taker,
            move |taker| {
                let taken = taker.take(gathered.offers);
                drop(gathered.permit);
                taken
            },
        ));
    }

    async fn finish_work(&mut self, done: Option<(Taker, Taken)>) -> Result<(), Ended> {
        self.working = None;
        let Some((mut taker, mut taken)) = done else {
            return Err("the service could not work on what was sent".to_owned());
        };
        let mut out = Vec::new();
        let number = self.place.line.number;
        for session in taken.forgotten.drain(..) {
            self.shared.parts.connections.unroute(number, session);
            self.unstored.remove(&session);
        }
        for trouble in taken.troubles.drain(..) {
            self.note_trouble(&trouble.problem, trouble.cause);
            Down::Problem(trouble.problem).encode(&mut out);
        }
        for (session, segment, digest) in taken.sealed.drain(..) {
            if self.told.get(&session).is_none_or(|told| *told < segment) {
                self.unstored.insert(session, (segment, digest));
            }
        }
        for stored in taken.stored.drain(..) {
            self.tell_stored(stored, &mut out);
        }
        if let Some(why) = taken.again.take() {
            let failures = self.full.take().map_or(0, |(_, failures)| failures);
            let (first, max) = PUT_AGAIN;
            let wait = first.saturating_mul(1 << failures.min(10)).min(max);
            add(&self.shared.figures.put_again, 1);
            self.times.busy = Instant::now();
            busy(&why).encode(&mut out);
            self.full = Some((why, failures.saturating_add(1)));
            let puts = Arc::clone(&self.shared.puts);
            self.working = Some(work(puts, wait, taker, move |taker| taker.again(taken)));
            return self.say(out).await;
        }
        self.full = None;
        self.told = HashMap::new();
        self.shut.drain(..).for_each(|session| taker.shut(session));
        self.taker = Some(taker);
        Down::Received {
            ordinal: self.ordinals.1,
        }
        .encode(&mut out);
        self.say(out).await
    }

    fn note_trouble(&self, problem: &hansard_record::forward::wire::Problem, cause: Cause) {
        let figures = &self.shared.figures;
        match problem.kind {
            ProblemKind::Retry => return add(&figures.retries, 1),
            ProblemKind::Conflict => add(&figures.conflicts, 1),
            ProblemKind::Refused => add(&figures.refusals, 1),
        }
        self.shared.parts.witness.note(Note::NotTaken {
            peer: self.place.line.peer.clone(),
            remote: self.place.line.remote,
            session: problem.session,
            kind: problem.kind,
            why: problem.why.clone(),
            cause,
        });
    }

    /// Reads what came.
    async fn hear(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.times.heard = Instant::now();
        self.decoder.push(bytes);
        let mut out = Vec::new();
        loop {
            let message = self.decoder.next_message();
            let message = message.map_err(|e| format!("the stream cannot be read: {e}"))?;
            match message {
                None => break,
                Some(Up::Hello(hello)) if self.hello.is_none() => self.greet(hello, &mut out)?,
                Some(_) if self.hello.is_none() => {
                    return Err("the stream does not begin with a hello".to_owned());
                }
                Some(Up::Hello(_)) => return Err("a second hello".to_owned()),
                Some(Up::Ping(number)) => Down::Pong(number).encode(&mut out),
                Some(Up::InForce(now)) => self.hear_policy(now),
                Some(Up::Part(part)) => {
                    add(&self.shared.figures.parts, 1);
                    add(&self.shared.figures.bytes, part.bytes().len());
                    let bytes = part.bytes().len();
                    self.gather(Offer::Part(part), bytes);
                }
                Some(Up::TooLong {
                    session,
                    spot,
                    bytes,
                }) => self.gather(
                    Offer::TooLong {
                        session,
                        spot,
                        bytes,
                    },
                    0,
                ),
            }
        }
        self.say(out).await
    }

    fn gather(&mut self, offer: Offer, bytes: usize) {
        self.ordinals.0 = self.ordinals.0.saturating_add(1);
        self.gathered.bytes = self
            .gathered
            .bytes
            .saturating_add(bytes)
            .saturating_add(size_of::<Offer>());
        self.gathered.offers.push(offer);
    }

    fn greet(&mut self, mut hello: Hello, out: &mut Vec<u8>) -> Result<(), Ended> {
        hello.check().map_err(|e| e.to_string())?;
        let line = &self.place.line;
        line.live
            .store(std::mem::take(&mut hello.live).len(), Ordering::Relaxed);
        self.shared.parts.witness.note(Note::Connected {
            peer: line.peer.clone(),
            remote: line.remote,
            software: hello.software.clone(),
        });
        self.hello = Some(hello);
        Down::welcome(&self.shared.parts.software).encode(out);
        Ok(())
    }

    /// Notes which policy decides at the host. One that has another than the service's is sent it;
    /// one that cannot take the newest says why, and is not sent it again until it connects again.
    fn hear_policy(&mut self, now: InForce) {
        let line = &self.place.line;
        let refuses = !now.trouble.is_empty();
        let mut said = line.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = said.replace(now).is_none();
        drop(said);
        if let Some(policy) = self.shared.parts.connections.policy()
            && (is_first || !refuses)
        {
            line.offer_policy(&policy.sha256);
        }
    }

    /// Says what others have for this host.
    async fn say_what_waits(&mut self) -> Result<(), Ended> {
        let waiting = self.place.line.take();
        let mut out = Vec::new();
        for stored in waiting.stored.into_values() {
            self.tell_stored(stored, &mut out);
        }
        for (session, problem) in waiting.problems {
            self.unstored.remove(&session);
            match &mut self.taker {
                Some(taker) => taker.shut(session),
                None => self.shut.push(session),
            }
            // Whoever found it has raised the alarm.
            Down::Problem(problem).encode(&mut out);
        }
        for control in waiting.controls {
            control.encode(&mut out);
        }
        self.say(out).await?;
        if waiting.policy
            && let Some(policy) = self.shared.parts.connections.policy()
        {
            self.say_bytes(policy.bytes.clone()).await?;
        }
        waiting.cut.map_or(Ok(()), Err)
    }

    fn tell_stored(&mut self, stored: Stored, out: &mut Vec<u8>) {
        let Stored {
            session, segment, ..
        } = stored;
        add(&self.shared.figures.stored_told, 1);
        if self
            .unstored
            .get(&session)
            .is_some_and(|(n, _)| *n <= segment)
        {
            self.unstored.remove(&session);
        }
        if self.working.is_some() {
            let told = self.told.entry(session).or_default();
            *told = segment.max(*told);
        }
        Down::Stored(stored).encode(out);
    }

    async fn say_stored(&mut self, stored: Vec<Stored>) -> Result<(), Ended> {
        self.looking = None;
        let mut out = Vec::new();
        for stored in stored {
            self.tell_stored(stored, &mut out);
        }
        self.say(out).await
    }

    async fn say(&mut self, bytes: Vec<u8>) -> Result<(), Ended> {
        self.say_bytes(Bytes::from(bytes)).await
    }

    async fn say_bytes(&mut self, bytes: Bytes) -> Result<(), Ended> {
        if bytes.is_empty() {
            return Ok(());
        }
        match timeout(SAY_MAX, self.down.put(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("the connection was lost".to_owned()),
            Err(_) => Err("the host does not read what it is told".to_owned()),
        }
    }

    async fn on_time(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let mut out = Vec::new();
        match self.times.unread {
            Some(unread) if now >= self.times.busy.max(unread) + BUSY_EVERY => {
                self.times.busy = now;
                // Silence while nothing was read is not the host's.
                self.times.heard = now;
                let why = self.full.as_ref().map(|(why, _)| why.as_str());
                busy(why.unwrap_or("other hosts are being served")).encode(&mut out);
            }
            None if now >= self.times.heard + SILENCE_MAX => {
                return Err(format!("the host has said nothing for {SILENCE_MAX:?}"));
            }
            _ => {}
        }
        if self
            .times
            .large
            .is_some_and(|at| now >= at + LARGE_MESSAGE_MAX)
        {
            return Err("a message took too long".to_owned());
        }
        if now >= self.times.look + LOOK_EVERY {
            self.times.look = now;
            self.look();
        }
        self.say(out).await
    }

    /// Looks whether something was stored that nobody told of: what is told goes to the newest
    /// connection that sent a session, and there is a bound to how many sessions that is known of.
    fn look(&mut self) {
        if self.looking.is_some() || self.unstored.is_empty() {
            return;
        }
        let unstored: Vec<_> = self.unstored.iter().map(|(s, of)| (*s, *of)).collect();
        let depot = Arc::clone(&self.shared.parts.depot);
        self.looking = Some(look(depot, unstored));
    }
}

fn busy(why: &str) -> Down {
    Down::Busy {
        pause_ms: u64::try_from(BUSY_PAUSE.as_millis()).unwrap_or(1000),
        why: why.to_owned(),
    }
}
