//! Whether what holds are recalled from will ever be archived: parts that were in the spool at the
//! start, and of which something is missing, wait for a sender that may be gone for good.

use crate::keeper::Figures;

/// How long nothing of them must have become archived, though everything else was, until they are
/// said to be stuck: more than the longest pause after something fails.
pub(super) const STUCK_AFTER_NS: u64 = 10_000_000_000;

/// Looks on.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    /// When the keeper had read everything there was.
    read_ns: Option<u64>,
    /// Since when only these wait, and how many they are.
    quiet: Option<(u64, usize)>,
    is_told: bool,
}

impl Stuck {
    /// Answers whether it is to be told now that so many sessions are stuck, which is once.
    pub(super) fn look(
        &mut self,
        waiting: usize,
        is_read: bool,
        keeper: &Figures,
        now_ns: u64,
    ) -> bool {
        if is_read {
            self.read_ns.get_or_insert(now_ns);
        }
        // While something fails, nobody knows; what was sealed before is still to be archived: it may be what is waited for.
        let read_ns = self.read_ns.filter(|read_ns| {
            let sealed_ns = keeper.waiting_since_ns;
            keeper.trouble.is_none() && sealed_ns.is_none_or(|sealed_ns| sealed_ns > *read_ns)
        });
        if read_ns.is_none() || self.quiet.is_none_or(|(_, before)| before != waiting) {
            self.quiet = read_ns.map(|_| (now_ns, waiting));
        }
        let is_stuck = self
            .quiet
            .is_some_and(|(since_ns, _)| now_ns.saturating_sub(since_ns) >= STUCK_AFTER_NS);
        is_stuck && !std::mem::replace(&mut self.is_told, is_stuck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting_since(sealed_ns: Option<u64>) -> Figures {
        Figures {
            waiting_since_ns: sealed_ns,
            ..Figures::default()
        }
    }

    #[test]
    fn it_is_told_once_and_only_when_nothing_else_can_be_meant() {
        let second = 1_000_000_000;
        let (idle, mut stuck) = (waiting_since(None), Stuck::default());
        // The keeper has not come to it yet, however long that takes.
        assert!(!stuck.look(2, false, &idle, 0));
        assert!(!stuck.look(2, false, &idle, 60 * second));
        // What was in the spool is sealed, and not archived.
        let busy = waiting_since(Some(50 * second));
        assert!(!stuck.look(2, true, &busy, 61 * second));
        assert!(!stuck.look(2, false, &busy, 90 * second));
        let fails = Figures {
            trouble: Some("the disk".to_owned()),
            ..idle.clone()
        };
        assert!(!stuck.look(2, false, &fails, 95 * second));
        // One of the two is archived; others that came later are on their way.
        let busy = waiting_since(Some(100 * second));
        assert!(!stuck.look(2, false, &busy, 100 * second));
        assert!(!stuck.look(1, false, &busy, 109 * second));
        assert!(!stuck.look(1, false, &busy, 118 * second));
        assert!(stuck.look(1, false, &busy, 119 * second));
        assert!(!stuck.look(1, false, &busy, 500 * second));
    }
}
