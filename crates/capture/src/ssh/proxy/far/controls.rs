//! What a relay asks of a channel at a target, besides moving bytes. A target that has stopped reading is
//! asked nothing for the time being, so what waits has a bound: of sizes the last one counts, and a signal
//! that waits already is not asked for twice, as the kernel has it with processes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Signals that wait for a target; one more is not sent, and the event of it says so.
const SIGNALS_MAX: usize = 16;

/// One thing to ask.
#[derive(Debug)]
pub(super) enum Control {
    Size([u16; 4]),
    Signal(String),
}

/// All that waits to be asked.
#[derive(Default)]
pub(super) struct Controls {
    asked: Mutex<Asked>,
    bell: Notify,
    closing: Notify,
}

#[derive(Default)]
struct Asked {
    size: Option<[u16; 4]>,
    signals: VecDeque<String>,
    is_over: bool,
}

impl Controls {
    /// The terminal has this size.
    pub(super) fn size(&self, size: [u16; 4]) {
        self.asked().size = Some(size);
        self.bell.notify_one();
    }

    /// Sends a signal, by its name without SIG; `false`: too many wait.
    pub(super) fn signal(&self, name: &str) -> bool {
        let mut asked = self.asked();
        let waits = asked.signals.iter().any(|waiting| waiting == name);
        if !waits && asked.signals.len() >= SIGNALS_MAX {
            return false;
        }
        if !waits {
            asked.signals.push_back(name.to_owned());
        }
        self.bell.notify_one();
        true
    }

    /// Nobody wants the channel any more.
    pub(super) fn close(&self) {
        self.asked().is_over = true;
        self.closing.notify_one();
    }

    /// Returns when nobody wants it any more.
    pub(super) async fn closed(&self) {
        while !self.asked().is_over {
            self.closing.notified().await;
        }
    }

    /// What to ask next; waits for it.
    pub(super) async fn next(&self) -> Control {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.bell.notified().await;
        }
    }

    fn take(&self) -> Option<Control> {
        let mut asked = self.asked();
        let size = asked.size.take().map(Control::Size);
        size.or_else(|| asked.signals.pop_front().map(Control::Signal))
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_target_that_does_not_read_has_a_bound() {
        let controls = Controls::default();
        for cols in 0..10_000 {
            controls.size([cols, 1, 0, 0]);
            assert!(controls.signal("INT"));
        }
        assert!(controls.signal("TERM"));
        let (mut sizes, mut signals) = (Vec::new(), Vec::new());
        while let Some(control) = controls.take() {
            match control {
                Control::Size([cols, ..]) => sizes.push(cols),
                Control::Signal(signal) => signals.push(signal),
            }
        }
        assert_eq!(sizes, [9999]);
        assert_eq!(signals, ["INT", "TERM"]);
        let custom = |n: usize| controls.signal(&n.to_string());
        assert!((0..SIGNALS_MAX).all(custom));
        assert!(!custom(SIGNALS_MAX));
    }
}
