//! Threads that stand back behind what records: where there is too little for all, who records comes
//! first, who is shown a session as it happens second, who asks for anything else third, and what nobody
//! waits for last.
//!
//! What archives does not stand back: it shares locks with who records, and somebody would wait for a thread
//! that waits for a processor.

/// Behind whom a thread stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Those who record. It has a third of the weight of one of them (nice 5): what it shows must not be
    /// seconds old while they pour, and there is one for each session, however many watch it.
    Recorders,
    /// Those who are watched, too: a tenth (nice 10).
    Painters,
    /// All of them: a twenty-eighth (nice 15).
    Everybody,
}

/// The thread that calls this, and every thread that it begins, stands back from now on. For a thread of
/// its own only, as it stays so.
pub(crate) fn stand_back(behind: Behind) {
    let nice = match behind {
        Behind::Recorders => 5,
        Behind::Painters => 10,
        Behind::Everybody => 15,
    };
    // Where that is refused, it competes with the others as before.
    let _ = rustix::process::setpriority_process(None, nice);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    #[test]
    fn a_thread_stands_back_with_those_it_begins_and_nobody_else() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let stood = std::thread::spawn(move || {
            stand_back(Behind::Everybody);
            (nice(), std::thread::spawn(nice).join().unwrap())
        });
        assert_eq!(stood.join().unwrap(), (before.max(15), before.max(15)));
        assert_eq!(nice(), before);
    }
}
