//! How a program ended.

use hansard_core::event::End;

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The program came to its own end.
    Program,
    /// The terminal went away, and the program was hung up.
    Hangup,
    /// The recorder was told to end by this signal (`TERM`), and passed it on.
    Told(String),
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// As a shell would put it: the exit status, or 128 and the signal's number.
    pub status: u8,
    /// Name of the signal that killed it, without `SIG`.
    pub signal: Option<String>,
    /// Why the session ended.
    pub ending: Ending,
    /// Whether the program is still there: it ignored the hangup of its terminal.
    pub left_behind: bool,
    /// Which of its streams could not be passed on or read to their end, and why, in words. What it had
    /// written by then is recorded. A reader that left is none of this.
    pub fault: Option<String>,
}

/// Status of a session whose streams failed, as if recording had.
const STATUS_FAULT: u8 = 125;

impl Exit {
    /// What to end with: the program's status, unless what it wrote was not delivered, or what it read not
    /// all there was (125).
    #[must_use]
    pub fn answer(&self) -> u8 {
        match self.fault {
            Some(_) => STATUS_FAULT,
            None => self.status,
        }
    }

    /// What the last event of the recording says.
    #[must_use]
    pub fn end(&self) -> End {
        let reason = match (&self.ending, &self.signal) {
            (Ending::Hangup, _) => "hangup".to_owned(),
            (Ending::Told(signal), _) => format!("recorder ended by SIG{signal}"),
            (Ending::Program, Some(_)) => "signalled".to_owned(),
            (Ending::Program, None) => "exited".to_owned(),
        };
        let reason = with_fault(reason, self.fault.as_deref());
        End {
            reason,
            exit_status: (self.signal.is_none() && !self.left_behind).then_some(self.status),
            signal: self.signal.clone(),
        }
    }

    /// Of a program that somebody else started; as wait(2) says it.
    #[must_use]
    pub fn of_wait(word: u64) -> Self {
        let signal = u8::try_from(word & 0x7f).unwrap_or(0);
        let code = u8::try_from(word >> 8 & 0xff).unwrap_or(0);
        Self {
            status: if signal == 0 { code } else { 128 | signal },
            signal: (signal != 0).then(|| signal_name(signal)),
            ending: Ending::Program,
            left_behind: false,
            fault: None,
        }
    }

    pub(crate) fn of(status: rustix::process::WaitStatus, ending: Ending) -> Self {
        if let Some(number) = status.terminating_signal() {
            let number = u8::try_from(number).unwrap_or(0);
            let signal = Some(signal_name(number));
            return Self {
                status: 128 | number,
                signal,
                ending,
                left_behind: false,
                fault: None,
            };
        }
        let status = status
            .exit_status()
            .and_then(|s| u8::try_from(s).ok())
            .unwrap_or(255);
        Self {
            status,
            signal: None,
            ending,
            left_behind: false,
            fault: None,
        }
    }

    /// The end of a session whose program outlives it.
    pub(crate) fn left_behind(ending: Ending) -> Self {
        Self {
            status: 128 + 1,
            signal: None,
            ending,
            left_behind: true,
            fault: None,
        }
    }
}

/// Why a session ended, with what went wrong before that.
pub(crate) fn with_fault(reason: String, fault: Option<&str>) -> String {
    match fault {
        Some(fault) => format!("{reason}; {fault}"),
        None => reason,
    }
}

/// A signal's name without `SIG`; its number where it has none.
pub(crate) fn signal_name(number: u8) -> String {
    const NAMES: [&str; 32] = [
        "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
        "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU",
        "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    NAMES
        .get(usize::from(number))
        .map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_says_how_it_ended() {
        let exited = Exit {
            status: 3,
            signal: None,
            ending: Ending::Program,
            left_behind: false,
            fault: None,
        }
        .end();
        assert_eq!(
            (exited.reason.as_str(), exited.exit_status),
            ("exited", Some(3))
        );
        let killed = Exit {
            status: 137,
            signal: Some(signal_name(9)),
            ending: Ending::Program,
            left_behind: false,
            fault: None,
        }
        .end();
        assert_eq!(
            (killed.reason.as_str(), killed.exit_status),
            ("signalled", None)
        );
        assert_eq!(killed.signal.as_deref(), Some("KILL"));
        let undelivered = Exit {
            status: 0,
            signal: None,
            ending: Ending::Program,
            left_behind: false,
            fault: Some("standard output: full".to_owned()),
        };
        assert_eq!(undelivered.answer(), 125);
        let end = undelivered.end();
        assert_eq!(end.reason, "exited; standard output: full");
        assert_eq!(end.exit_status, Some(0), "that is the program's");
        let left = Exit::left_behind(Ending::Hangup).end();
        assert_eq!((left.reason.as_str(), left.exit_status), ("hangup", None));
    }
}
