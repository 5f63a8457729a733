//! Hashing beside whoever hands over data: a thread of the recording's own, fed by a copy through a
//! bounded queue.
//!
//! ```text
//! capture ── copy ──▶ queue ── swap ──▶ thread: hashes
//!    ▲                  │full: waits
//!    └──────────────────┘
//! ```
//!
//! It begins when enough has come together and ends with the recording, or when nothing came for a
//! while. Where there is none (it cannot be begun, or it died), whoever hands over hashes: no digest
//! is ever without a byte of what it is of.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hansard_core::Stream;
use sha2::{Digest as _, Sha256};

use crate::sys;

/// Bytes that wait for the thread at most; it has as many in hand at most. Whoever hands over more
/// waits.
const QUEUE_BYTES: usize = 512 * 1024;

/// Changes from stream to stream that wait at most. At so many the queue is full as well.
const PARTS_MAX: usize = 1024;

/// Bytes at which the thread is woken, or begun: not for less, a wake-up costs who hands over.
const WAKE_BYTES: usize = 128 * 1024;

/// How long the thread waits for more before it ends and gives its memory back.
const IDLE: Duration = Duration::from_secs(1);

/// A state for each of [`Stream::ALL`].
type Hashes = [Sha256; Stream::ALL.len()];

/// Makes the thread.
type Begin = fn(Arc<Both>) -> io::Result<JoinHandle<()>>;

/// Hashes of the streams of one recording, each of all that was given of it, in order.
#[derive(Debug)]
pub(super) struct Aside {
    both: Arc<Both>,
    thread: Option<JoinHandle<()>>,
    begin: Begin,
}

/// What who hands over and the thread share.
#[derive(Debug, Default)]
struct Both {
    state: Mutex<State>,
    /// The thread waits here.
    work: Condvar,
    /// Who hands over waits here, for room or for what is in hand.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Of everything before what is in hand, left over or queued.
    hashes: Hashes,
    queue: Batch,
    /// What a thread that died had in hand: comes before what is queued.
    left: Option<Batch>,
    /// The thread has a batch that `hashes` does not have yet.
    is_in_hand: bool,
    is_alive: bool,
    is_asleep: bool,
    /// Somebody waits for the thread: nobody is notified for nothing.
    is_waited_for: bool,
    /// There is to be no thread any more: the recording ends, or there cannot be one.
    is_over: bool,
}

/// Bytes of streams, in the order in which they came.
#[derive(Debug, Default)]
struct Batch {
    /// Which stream, and how many of the bytes.
    parts: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Batch {
    /// Takes what there is room for; answers the rest.
    fn add<'a>(&mut self, at: usize, bytes: &'a [u8]) -> &'a [u8] {
        if self.is_full() {
            return bytes;
        }
        let room = QUEUE_BYTES.saturating_sub(self.bytes.len());
        let (taken, rest) = bytes.split_at(room.min(bytes.len()));
        if self.bytes.capacity() < QUEUE_BYTES {
            self.bytes
                .reserve_exact(QUEUE_BYTES.saturating_sub(self.bytes.len()));
        }
        self.bytes.extend_from_slice(taken);
        match self.parts.last_mut() {
            Some((last, len)) if *last == at => *len = len.saturating_add(taken.len()),
            _ => self.parts.push((at, taken.len())),
        }
        rest
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= QUEUE_BYTES || self.parts.len() >= PARTS_MAX
    }

    fn is_worthwhile(&self) -> bool {
        self.bytes.len() >= WAKE_BYTES || self.parts.len() >= PARTS_MAX / 2
    }

    fn hash_into(&self, hashes: &mut Hashes) {
        let mut rest = self.bytes.as_slice();
        for (at, len) in &self.parts {
            let (part, behind) = rest.split_at(rest.len().min(*len));
            rest = behind;
            if let Some(hash) = hashes.get_mut(*at) {
                hash.update(part);
            }
        }
    }

    /// Empties it and keeps its memory.
    fn clear(&mut self) {
        self.parts.clear();
        self.bytes.clear();
    }
}

impl State {
    /// Hashes what nobody has hashed. Nothing may be in hand.
    fn catch_up(&mut self) {
        if let Some(left) = self.left.take() {
            left.hash_into(&mut self.hashes);
        }
        self.queue.hash_into(&mut self.hashes);
        match self.is_alive {
            true => self.queue.clear(),
            // Nobody says when there will be more.
            false => self.queue = Batch::default(),
        }
    }
}

impl Both {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for word from the thread.
    fn wait<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.is_waited_for = true;
        self.done
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever waits for the thread.
    fn tell(&self, state: &mut State) {
        if std::mem::take(&mut state.is_waited_for) {
            self.done.notify_all();
        }
    }
}

impl Aside {
    /// Of nothing yet; there is no thread.
    pub(super) fn new() -> Self {
        Self::with(|both| {
            let thread = std::thread::Builder::new().name("digest".to_owned());
            thread.spawn(move || run(both))
        })
    }

    fn with(begin: Begin) -> Self {
        Self {
            both: Arc::default(),
            thread: None,
            begin,
        }
    }

    /// Takes bytes of the stream that stands there in [`Stream::ALL`]. Waits while the queue is full.
    pub(super) fn update(&mut self, at: usize, bytes: &[u8]) {
        let both = Arc::clone(&self.both);
        let mut state = both.lock();
        let mut rest = bytes;
        loop {
            rest = state.queue.add(at, rest);
            if state.queue.is_worthwhile() {
                self.wake(&both, &mut state);
            }
            if rest.is_empty() {
                return;
            }
            while state.queue.is_full() && state.is_alive {
                state = both.wait(state);
            }
        }
    }

    /// Sees to it that what is queued is hashed: by the thread, or else here and now.
    fn wake(&mut self, both: &Arc<Both>, state: &mut State) {
        if state.is_alive {
            if std::mem::take(&mut state.is_asleep) {
                both.work.notify_one();
            }
            return;
        }
        if !state.is_over {
            match (self.begin)(Arc::clone(both)) {
                Ok(thread) => {
                    state.is_alive = true;
                    self.thread = Some(thread);
                    return;
                }
                // Asking again and again for a thread would cost more than hashing does.
                Err(_) => state.is_over = true,
            }
        }
        state.catch_up();
    }

    /// The digest of all bytes of this stream so far, in hexadecimal. Waits for what the thread has
    /// in hand, and hashes what is queued itself.
    pub(super) fn digest(&self, at: usize) -> String {
        let mut state = self.both.lock();
        while state.is_in_hand {
            state = self.both.wait(state);
        }
        state.catch_up();
        let hash = state.hashes.get(at).cloned().unwrap_or_default();
        drop(state);
        let digest = hash.finalize();
        digest.iter().fold(String::new(), |mut text, byte| {
            use std::fmt::Write as _;
            // Writing into a text does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Ends the thread. Bytes and digests go on without it.
    pub(super) fn end(&mut self) {
        let mut state = self.both.lock();
        state.is_over = true;
        self.both.work.notify_one();
        drop(state);
        if let Some(thread) = self.thread.take() {
            // If it panicked, what it had in hand is left over.
            let _ = thread.join();
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread. Like the recorder's it is not to take the processor from whoever wakes it.
fn run(both: Arc<Both>) {
    sys::work_in_batches();
    let mut hand = Hand {
        both,
        batch: Batch::default(),
    };
    while let Some(mut hashes) = hand.take() {
        hand.batch.hash_into(&mut hashes);
        hand.give_back(hashes);
    }
}

/// What the thread works on.
struct Hand {
    both: Arc<Both>,
    batch: Batch,
}

impl Hand {
    /// Swaps the queue for an empty one once there is enough in it, and answers the hashes so far.
    /// `None`: the thread ends.
    fn take(&mut self) -> Option<Hashes> {
        let mut state = self.both.lock();
        while !state.queue.is_worthwhile() && !state.is_over {
            state.is_asleep = true;
            let wait = self.both.work.wait_timeout(state, IDLE);
            let (again, waited) = wait.unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.is_asleep = false;
            if waited.timed_out() && !state.queue.is_worthwhile() {
                break;
            }
        }
        if !state.queue.is_worthwhile() || state.is_over {
            state.is_alive = false;
            state.catch_up();
            self.both.tell(&mut state);
            return None;
        }
        std::mem::swap(&mut state.queue, &mut self.batch);
        state.is_in_hand = true;
        self.both.tell(&mut state);
        Some(state.hashes.clone())
    }

    fn give_back(&mut self, hashes: Hashes) {
        self.batch.clear();
        let mut state = self.both.lock();
        state.hashes = hashes;
        state.is_in_hand = false;
        self.both.tell(&mut state);
    }
}

impl Drop for Hand {
    /// A thread that dies leaves what it had in hand to whoever hands over. It is not begun again:
    /// what it died of would be there again.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut state = self.both.lock();
        if std::mem::take(&mut state.is_in_hand) {
            state.left = Some(std::mem::take(&mut self.batch));
        }
        state.is_alive = false;
        state.is_over = true;
        self.both.tell(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that are different at each place.
    fn noise(len: usize) -> Vec<u8> {
        (0..len as u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect()
    }

    fn sha256(bytes: &[u8]) -> String {
        let digest = Sha256::digest(bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Gives two streams in turns, in pieces of all lengths; asks now and then.
    fn is_right(aside: &mut Aside) {
        let all = noise(8 * 1024 * 1024);
        let (mut given, mut of) = ([0usize; 2], [Vec::new(), Vec::new()]);
        for turn in 0.. {
            let (at, len) = (turn % 2, (turn * turn * 977) % 700_000);
            let end = (given[at] + len).min(all.len());
            let piece = &all[given[at]..end];
            aside.update(1 + at, piece);
            of[at].extend_from_slice(piece);
            given[at] = end;
            let is_done = given == [all.len(); 2];
            if turn % 17 == 0 || is_done {
                assert_eq!(aside.digest(1 + at), sha256(&of[at]), "turn {turn}");
            }
            if is_done {
                break;
            }
        }
        assert_eq!(aside.digest(1), sha256(&all));
        assert_eq!(aside.digest(2), sha256(&all));
        assert_eq!(aside.digest(0), sha256(b""), "nothing was given of it");
    }

    #[test]
    fn a_thread_hashes_what_is_given_and_less_than_is_worth_it_begins_none() {
        let mut aside = Aside::new();
        aside.update(0, b"little");
        assert_eq!(aside.digest(0), sha256(b"little"));
        assert!(aside.thread.is_none());
        let mut aside = Aside::new();
        is_right(&mut aside);
        assert!(aside.thread.is_some());
        aside.end();
        assert!(!aside.both.lock().is_alive);
        aside.update(0, &noise(3 * QUEUE_BYTES));
        assert_eq!(aside.digest(0), sha256(&noise(3 * QUEUE_BYTES)));
        assert!(aside.thread.is_none(), "it ended");
    }

    #[test]
    fn a_thread_for_which_there_is_no_work_ends_and_the_next_goes_on() {
        let mut aside = Aside::new();
        let half = noise(2 * QUEUE_BYTES);
        aside.update(3, &half);
        aside.update(3, b"and a little");
        let id = |aside: &Aside| aside.thread.as_ref().unwrap().thread().id();
        let first = id(&aside);
        let mut state = aside.both.lock();
        while state.is_alive {
            state = aside.both.wait(state);
        }
        assert_eq!(state.queue.bytes.capacity(), 0, "memory is given back");
        drop(state);
        aside.update(3, &half);
        let all = [half.as_slice(), b"and a little", &half].concat();
        assert_eq!(aside.digest(3), sha256(&all));
        assert_ne!(id(&aside), first);
    }

    #[test]
    fn without_a_thread_who_hands_over_hashes() {
        let mut aside = Aside::with(|_| Err(io::ErrorKind::WouldBlock.into()));
        is_right(&mut aside);
        assert!(aside.thread.is_none());
    }

    #[test]
    fn what_a_thread_that_dies_has_in_hand_is_not_lost() {
        let mut aside = Aside::with(|both| {
            std::thread::Builder::new().spawn(move || {
                let batch = Batch::default();
                let mut hand = Hand { both, batch };
                let mut hashes = hand.take().unwrap();
                // What it has hashed, nobody takes for hashed.
                hand.batch.hash_into(&mut hashes);
                panic!("as a test wants it");
            })
        });
        is_right(&mut aside);
        assert!(aside.both.lock().is_over, "it is not begun again");
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_in_changes() {
        let mut batch = Batch::default();
        let much = noise(2 * QUEUE_BYTES);
        assert_eq!(batch.add(0, &much).len(), QUEUE_BYTES);
        assert_eq!(batch.add(1, b"more"), b"more");
        assert_eq!(batch.bytes.capacity(), QUEUE_BYTES);
        let mut batch = Batch::default();
        let taken = (0..).take_while(|i| batch.add(i % 2, b"x").is_empty());
        assert_eq!(taken.count(), PARTS_MAX);
    }
}
