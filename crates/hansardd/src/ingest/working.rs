//! Work of a stream that is under way while it goes on hearing and saying.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hansard_core::SessionId;
use hansard_core::seal::Digest;
use hansard_record::forward::wire::Stored;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::ingest::depot::Depot;
use crate::ingest::taker::{Taken, Taker};

/// A batch that is put; its outcome goes with what it has borrowed.
pub(super) type Working = Pin<Box<dyn Future<Output = Option<(Taker, Taken)>> + Send>>;

/// Room that is waited for.
pub(super) type Asking = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// A look into the archive: what of it is stored.
pub(super) type Looking = Pin<Box<dyn Future<Output = Vec<Stored>> + Send>>;

/// A segment that is complete here.
pub(super) type Unstored = (SessionId, (u32, Digest));

/// Looks which of these segments are stored.
pub(super) fn look(depot: Arc<dyn Depot>, unstored: Vec<Unstored>) -> Looking {
    Box::pin(async move {
        let look = move || {
            let holds = |(session, (segment, digest)): &Unstored| {
                depot.holds(*session, *segment, digest) == Ok(true)
            };
            let held = unstored.iter().filter(|of| holds(of));
            held.map(|(session, (segment, digest))| Stored::new(*session, *segment, *digest))
                .collect()
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.unwrap_or_default()
    })
}

/// Does something with a taker, when it is its turn, on a thread that may block.
pub(super) fn work(
    puts: Arc<Semaphore>,
    wait: Duration,
    mut taker: Taker,
    what: impl FnOnce(&mut Taker) -> Taken + Send + 'static,
) -> Working {
    Box::pin(async move {
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let turn = puts.acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let taken = what(&mut taker);
            drop(turn);
            (taker, taken)
        });
        done.await.ok()
    })
}

/// The outcome of something that may not be under way; then it waits for ever. What is done is
/// taken out.
pub(super) async fn outcome<T>(
    under_way: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>,
) -> T {
    match under_way {
        Some(future) => {
            let outcome = future.as_mut().await;
            *under_way = None;
            outcome
        }
        None => std::future::pending().await,
    }
}
