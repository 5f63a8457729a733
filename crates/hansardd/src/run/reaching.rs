//! Says in the log whether the service is reached, and if not, why: nothing else on a host would.

use std::sync::Arc;
use std::time::Duration;

use hansard_record::forward::{Snapshot, Status};
use tokio::time::{Instant, sleep};

use crate::journal::Journal;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long nothing more is said after a line, so that a wire that comes and goes fills no log.
const SILENT_AFTER: Duration = Duration::from_secs(5);

/// How long the same trouble is not said again for another reason.
const SAME_AFTER: Duration = Duration::from_secs(60);

/// How it stands with the service.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Reached,
    /// It is there and takes nothing.
    Busy(String),
    Away(String),
}

impl Standing {
    /// `None` before the first attempt has come to anything.
    fn of(now: Snapshot) -> Option<Self> {
        match (now.connected_for, now.busy, now.last_error) {
            (Some(_), None, _) => Some(Self::Reached),
            (Some(_), Some(why), _) => Some(Self::Busy(why)),
            (None, _, Some((_, why))) => Some(Self::Away(why)),
            (None, _, None) => None,
        }
    }

    /// Whether this is worth a line so long after that one was said.
    fn is_news(&self, said: Option<&Self>, ago: Duration) -> bool {
        match said {
            None => true,
            Some(said) if said == self => false,
            Some(said) => {
                let is_same = std::mem::discriminant(said) == std::mem::discriminant(self);
                ago >= if is_same { SAME_AFTER } else { SILENT_AFTER }
            }
        }
    }

    fn say(&self, journal: &Journal) {
        match self {
            Self::Reached => journal.notice("the service is reached", &[]),
            Self::Busy(why) => journal.warning("the service takes nothing now", &[("why", why)]),
            Self::Away(why) => journal.warning("the service is not reached", &[("why", why)]),
        }
    }
}

/// Looks and says until it is dropped.
pub(super) async fn tell(status: Arc<Status>, journal: Journal) {
    let (mut said, mut when) = (None, Instant::now());
    loop {
        if let Some(now) = Standing::of(status.snapshot())
            && now.is_news(said.as_ref(), when.elapsed())
        {
            now.say(&journal);
            (said, when) = (Some(now), Instant::now());
        }
        sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_soon_and_another_reason_for_the_same_seldom() {
        let away = |why: &str| Standing::Away(why.to_owned());
        let second = Duration::from_secs(1);
        assert!(away("refused").is_news(None, Duration::ZERO));
        let said = away("refused");
        assert!(!away("refused").is_news(Some(&said), second * 600));
        assert!(!away("no route").is_news(Some(&said), second * 10));
        assert!(away("no route").is_news(Some(&said), second * 60));
        assert!(!Standing::Reached.is_news(Some(&said), second));
        assert!(Standing::Reached.is_news(Some(&said), second * 5));
        assert!(Standing::Busy("full".to_owned()).is_news(Some(&Standing::Reached), second * 5));
    }
}
