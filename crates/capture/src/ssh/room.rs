//! Room for bytes that wait for a program or a target. When it is full, nothing more is read from the connection:
//! the library grants every channel its window anew by itself, so there is no other way to hold a client back.
//!
//! But a program may wait, before it reads more, until what it says is taken, and that the client takes it is
//! heard on the same connection (`ssh HOST cat <BIG | less`). So while nothing is taken, a packet comes in now
//! and then all the same, up to a bound: the word that everybody waits for is never far behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a packet waits for room, before it comes in without. Long enough that whoever takes anything has
/// taken some.
const PATIENCE: Duration = Duration::from_millis(100);

/// Places for bytes.
pub(super) struct Room {
    places: Semaphore,
    /// Bytes that came in without a place.
    over: AtomicUsize,
    over_max: usize,
}

impl Room {
    /// For so many bytes, and as many more while nothing is taken.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            places: Semaphore::new(bytes),
            over: AtomicUsize::new(0),
            over_max: bytes,
        }
    }

    /// Takes room for so many bytes, which [`Room::give_back`] gives back.
    pub(super) async fn take(&self, bytes: usize) {
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Ok(taken) = self.places.try_acquire_many(wanted) {
            return taken.forget();
        }
        loop {
            if let Ok(taken) = timeout(PATIENCE, self.places.acquire_many(wanted)).await {
                // It is never closed.
                return taken
                    .map(tokio::sync::SemaphorePermit::forget)
                    .unwrap_or_default();
            }
            if self.over.load(Ordering::SeqCst) + bytes <= self.over_max {
                self.over.fetch_add(bytes, Ordering::SeqCst);
                return;
            }
        }
    }

    /// Lets so many bytes in, whether there is room or not: the last ones, of which there are few.
    pub(super) fn exceed(&self, bytes: usize) {
        self.over.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Gives room back; what came in without a place has none to give.
    pub(super) fn give_back(&self, bytes: usize) {
        let mut rest = bytes;
        let _ = self
            .over
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |over| {
                let paid = over.min(bytes);
                rest = bytes - paid;
                Some(over - paid)
            });
        self.places.add_permits(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_room_lets_some_in_and_no_more_than_its_bound() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            let room = Room::new(10);
            for _ in 0..4 {
                room.take(5).await;
            }
            assert_eq!(room.over.load(Ordering::SeqCst), 10);
            let full = timeout(PATIENCE * 5, room.take(1)).await;
            assert!(full.is_err(), "it is full");
            room.give_back(20);
            assert_eq!(room.over.load(Ordering::SeqCst), 0);
            assert_eq!(room.places.available_permits(), 10);
        });
    }
}
