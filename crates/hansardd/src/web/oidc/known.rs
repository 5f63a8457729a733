//! What is known of one provider: what it says of itself, and its keys. Fetched when wanted, kept for a
//! while, and fetched again when a token names a key that is not among them; never more often than so
//! much, whatever the provider or anybody else does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_identity::oidc::{Keys, Provider};
use tokio::sync::Mutex;

use super::fault::Fault;
use super::fetch::Fetch;

/// How long what a provider said of itself, and its keys, are believed; then they are fetched again.
pub const KEPT: Duration = Duration::from_secs(3600);

/// Keys that are fetched again before that because a token names another one: this often in
/// [`REFETCH_WINDOW`]; a further token with an unknown key is refused unfetched.
pub const REFETCHES_MAX: u32 = 4;

/// See [`REFETCHES_MAX`].
pub const REFETCH_WINDOW: Duration = Duration::from_secs(60);

/// How long a provider that could not be reached is not asked again: whoever comes meanwhile is told the
/// same at once, and a provider that hangs is hung on by one.
pub const FAILURE_KEPT: Duration = Duration::from_secs(5);

/// What is known of a provider.
pub struct Known {
    issuer: String,
    is_plain: bool,
    fetch: Fetch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    provider: Option<(Arc<Provider>, Instant)>,
    keys: Option<(Arc<Keys>, Instant)>,
    failed: Option<(Fault, Instant)>,
    refetches: Option<(u32, Instant)>,
}

impl Known {
    /// Nothing yet.
    #[must_use]
    pub fn new(issuer: &str, is_plain: bool, fetch: Fetch) -> Self {
        Self {
            issuer: issuer.to_owned(),
            is_plain,
            fetch,
            state: Mutex::default(),
        }
    }

    /// What asks it.
    #[must_use]
    pub fn fetch(&self) -> &Fetch {
        &self.fetch
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it cannot be reached, or says what cannot be.
    pub async fn provider(&self) -> Result<Arc<Provider>, Fault> {
        // Held while it is asked: others wait for the one answer.
        let mut state = self.state.lock().await;
        if let Some((provider, at)) = &state.provider
            && at.elapsed() < KEPT
        {
            return Ok(Arc::clone(provider));
        }
        state.may_ask()?;
        let at = Provider::document_address(&self.issuer);
        let read = match self.fetch.get(&at).await {
            Ok(text) => Provider::read(&self.issuer, &text, self.is_plain)
                .map_err(|e| Fault::Setup(e.to_string())),
            Err(why) => Err(Fault::Unreached(why)),
        };
        let provider = Arc::new(state.remember(read)?);
        state.provider = Some((Arc::clone(&provider), Instant::now()));
        Ok(provider)
    }

    /// Its keys; with `unlike`, others than those, if there are.
    ///
    /// # Errors
    /// When they cannot be fetched, or there are none.
    pub async fn keys(
        &self,
        provider: &Provider,
        unlike: Option<&Arc<Keys>>,
    ) -> Result<Arc<Keys>, Fault> {
        let mut state = self.state.lock().await;
        if let Some((keys, at)) = &state.keys
            && at.elapsed() < KEPT
        {
            let keys = Arc::clone(keys);
            let is_other = unlike.is_none_or(|unlike| !Arc::ptr_eq(unlike, &keys));
            if is_other || !state.may_refetch() {
                return Ok(keys);
            }
        }
        state.may_ask()?;
        let read = match self.fetch.get(&provider.jwks_uri).await {
            Ok(text) => Keys::read(&text).map_err(|e| Fault::Setup(e.to_string())),
            Err(why) => Err(Fault::Unreached(why)),
        };
        let keys = Arc::new(state.remember(read)?);
        state.keys = Some((Arc::clone(&keys), Instant::now()));
        Ok(keys)
    }
}

impl State {
    /// Not again a moment after it failed.
    fn may_ask(&self) -> Result<(), Fault> {
        match &self.failed {
            Some((fault, at)) if at.elapsed() < FAILURE_KEPT => Err(fault.clone()),
            _ => Ok(()),
        }
    }

    fn remember<T>(&mut self, read: Result<T, Fault>) -> Result<T, Fault> {
        self.failed = match &read {
            Ok(_) => None,
            Err(fault) => Some((fault.clone(), Instant::now())),
        };
        read
    }

    fn may_refetch(&mut self) -> bool {
        let fresh = (0, Instant::now());
        let counted = self
            .refetches
            .filter(|(_, at)| at.elapsed() < REFETCH_WINDOW);
        let (count, at) = counted.unwrap_or(fresh);
        self.refetches = Some((count.saturating_add(1), at));
        count < REFETCHES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_again_so_often_in_a_while() {
        let mut state = State::default();
        let asked = (0..20).filter(|_| state.may_refetch()).count();
        assert_eq!(asked, REFETCHES_MAX as usize);
        let long_ago = Instant::now().checked_sub(REFETCH_WINDOW);
        state.refetches = long_ago.map(|at| (99, at));
        assert!(state.may_refetch());
    }

    #[test]
    fn who_failed_is_left_alone_for_a_moment() {
        let mut state = State::default();
        assert_eq!(state.remember(Ok(7)), Ok(7));
        assert_eq!(state.may_ask(), Ok(()));
        let fault = Fault::Unreached("no route".to_owned());
        assert_eq!(state.remember::<u8>(Err(fault.clone())), Err(fault.clone()));
        assert_eq!(state.may_ask(), Err(fault));
        assert_eq!(state.remember(Ok(7)), Ok(7));
        assert_eq!(state.may_ask(), Ok(()));
    }
}
