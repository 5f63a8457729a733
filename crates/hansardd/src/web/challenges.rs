//! Challenges that authenticators are to sign: each is for one thing, holds for a few minutes, and is
//! used up by the first answer, whatever that is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_identity::random::Random;

use super::waiting::{Bounds, Waiting};

/// How long a challenge holds: as long as somebody may look for their key.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(5 * 60);

/// Challenges that are open; beyond that the oldest of the network that has most is forgotten, and whoever answers
/// it is refused.
pub const CHALLENGES_MAX: usize = 4096;

/// Of those, for one address; likewise.
pub const PER_ADDRESS_MAX: usize = 32;

/// The bytes of a challenge.
pub type Challenge = [u8; 32];

/// What a challenge is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Signing in.
    SignIn,
    /// A passkey for this user.
    Make(String),
}

/// Challenges that wait for an answer, each with the origin of the page that has to give it.
pub struct Challenges {
    random: Arc<dyn Random>,
    open: Waiting<(Purpose, String)>,
}

impl Challenges {
    /// None yet.
    #[must_use]
    pub fn new(random: Arc<dyn Random>) -> Self {
        let open = Waiting::new(Bounds {
            life: CHALLENGE_LIFE,
            all: CHALLENGES_MAX,
            per_address: PER_ADDRESS_MAX,
        });
        Self { random, open }
    }

    /// A new one, for a page of this origin at this address.
    ///
    /// # Errors
    /// Without randomness.
    pub fn begin(
        &self,
        purpose: Purpose,
        (origin, address): (&str, IpAddr),
        now: Instant,
    ) -> std::io::Result<Challenge> {
        let mut challenge = Challenge::default();
        self.random.fill(&mut challenge)?;
        let value = (purpose, origin.to_owned());
        self.open.put(challenge, value, address, now);
        Ok(challenge)
    }

    /// Uses a challenge up; of what origin the page is that has to have answered it. `None` unless it
    /// is open, and for this.
    #[must_use]
    pub fn take(&self, challenge: &[u8], purpose: &Purpose, now: Instant) -> Option<String> {
        let (open_for, origin) = self.open.take(challenge, now)?;
        (open_for == *purpose).then_some(origin)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const ORIGIN: &str = "http://localhost:3080";

    fn challenges() -> Challenges {
        let count = AtomicU64::new(0);
        Challenges::new(Arc::new(move |bytes: &mut [u8]| {
            let n = count.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            bytes.iter_mut().zip(n).for_each(|(to, from)| *to = from);
            Ok(())
        }))
    }

    fn at(n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))
    }

    #[test]
    fn a_challenge_is_for_one_thing_once_and_for_a_while() {
        let challenges = challenges();
        let began = Instant::now();
        let ada = Purpose::Make("ada".to_owned());
        let begin = |purpose: &Purpose| {
            let place = (ORIGIN, at(1));
            challenges.begin(purpose.clone(), place, began).unwrap()
        };
        let (first, other, late, wrong) = (
            begin(&ada),
            begin(&Purpose::SignIn),
            begin(&ada),
            begin(&ada),
        );
        assert_eq!(
            challenges.take(&first, &ada, began).as_deref(),
            Some(ORIGIN)
        );
        assert_eq!(challenges.take(&first, &ada, began), None);
        // One that is answered for something else is used up, too.
        assert_eq!(challenges.take(&other, &ada, began), None);
        assert_eq!(challenges.take(&other, &Purpose::SignIn, began), None);
        assert_eq!(challenges.take(&late, &ada, began + CHALLENGE_LIFE), None);
        let bob = Purpose::Make("bob".to_owned());
        assert_eq!(challenges.take(&wrong, &bob, began), None);
        for none in [&[][..], &[0; 31], &[9; 32]] {
            assert_eq!(challenges.take(none, &Purpose::SignIn, began), None);
        }
    }

    #[test]
    fn one_address_pushes_out_its_own_only() {
        let challenges = challenges();
        let began = Instant::now();
        let begin = |address| {
            let place = (ORIGIN, address);
            challenges.begin(Purpose::SignIn, place, began).unwrap()
        };
        let quiet = begin(at(1));
        let many: Vec<Challenge> = (0..PER_ADDRESS_MAX * 2).map(|_| begin(at(2))).collect();
        let holds = |c: &Challenge| challenges.take(c, &Purpose::SignIn, began).is_some();
        assert!(holds(&quiet));
        assert_eq!(many.iter().filter(|c| holds(c)).count(), PER_ADDRESS_MAX);
    }
}
