//! Whether an account that was let in at the admin socket still would be, asked again for as long as an answer
//! goes on. However many it has, the machine is asked for an account at most once in [`AGAIN`]: it may ask
//! a directory service, where too many who ask at once get no answer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::Body;
use axum::http::Response;
use hyper::body::Body as _;
use tokio::sync::{Mutex as Turn, oneshot};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::limits::AGAIN;
use super::role::{Peer, Role};
use super::until::Until;

/// The name of an account and its role; `None`: whoever it is is not let in.
pub(super) type Stands = Option<(Option<String>, Role)>;

/// What was found last, and when; whoever asks anew has the turn.
pub(super) type Known = Arc<Turn<Option<(Instant, Stands)>>>;

/// What was found last, by the numbers of account and group.
#[derive(Default)]
pub(super) struct Standing {
    known: Mutex<HashMap<(u32, u32), Known>>,
}

impl Standing {
    /// What all answers share that go on to this account.
    pub(super) fn of(&self, peer: &Peer) -> Known {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has nothing that goes on is not known any more.
        all.retain(|_, known| Arc::strong_count(known) > 1);
        Arc::clone(all.entry((peer.uid, peer.gid)).or_default())
    }
}

/// As it is now, or was a moment ago.
async fn newest<F: Future<Output = Stands>>(known: &Known, ask: impl FnOnce() -> F) -> Stands {
    let mut known = known.lock().await;
    if let Some((at, stands)) = known.as_ref()
        && at.elapsed() < AGAIN
    {
        return stands.clone();
    }
    let at = Instant::now();
    let stands = ask().await;
    *known = Some((at, stands.clone()));
    stands
}

/// What lets somebody have an answer: a role of their own, or that it is of what is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Right {
    /// The role that may have it of everybody.
    pub(super) least: Role,
    /// To whose own it is limited; `None`: it is not.
    pub(super) only: Option<String>,
}

impl Right {
    fn holds(&self, stands: &Stands) -> bool {
        let Some((account, role)) = stands else {
            return false;
        };
        *role >= self.least || (self.only.is_some() && self.only == *account)
    }
}

/// Ends its task with itself.
struct Asking(AbortHandle);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The same answer, cut when `right` does not hold any more. One that is whole already is left as it is.
pub(super) fn while_it_holds<F>(
    (known, right): (Known, Right),
    ask: impl Fn() -> F + Send + Sync + 'static,
    response: Response<Body>,
) -> Response<Body>
where
    F: Future<Output = Stands> + Send + 'static,
{
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let (tell, over) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        while right.holds(&newest(&known, &ask).await) {
            sleep(AGAIN).await;
        }
        let _ = tell.send(());
    });
    let (asking, mut over) = (Asking(task.abort_handle()), Some(over));
    response.map(|body| {
        Body::new(Until::new(body, move |context, _| {
            let _ends_with_it = &asking;
            let told = over
                .as_mut()
                .map(|over| Future::poll(std::pin::Pin::new(over), context));
            let is_over = told.is_none_or(|told| told.is_ready());
            if is_over {
                over = None;
            }
            is_over
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_of_a_role_or_of_what_is_ones_own() {
        let right = |only: Option<&str>| Right {
            least: Role::Auditor,
            only: only.map(str::to_owned),
        };
        let stands = |account: Option<&str>, role| Some((account.map(str::to_owned), role));
        let (all, own) = (right(None), right(Some("ada")));
        assert!(!all.holds(&None) && !own.holds(&None));
        for account in [Some("ada"), None] {
            assert!(all.holds(&stands(account, Role::Auditor)));
            assert!(all.holds(&stands(account, Role::Admin)));
            assert!(own.holds(&stands(account, Role::Auditor)));
            // What began as everybody's is not for who may see their own.
            assert!(!all.holds(&stands(account, Role::Reviewer)));
        }
        assert!(own.holds(&stands(Some("ada"), Role::User)));
        assert!(!own.holds(&stands(Some("bob"), Role::User)));
        assert!(!own.holds(&stands(None, Role::User)));
    }
}
