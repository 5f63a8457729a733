//! What a login says of itself: claims, every word.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use hansard_core::fields::Value;
use hansard_core::policy::Policy;
use hansard_core::session::ClockQuality;
use hansard_core::{Session, SessionId};

use crate::describe::describe;
use crate::run::mode;

/// The claim of a login by tlog's name: the shell it was told to start, or an empty text. The daemon
/// reads it and does not keep it.
pub const TLOG_SHELL: &str = "tlog_shell";

/// The header of a login that runs these arguments with whatever shell the daemon names. Id, times,
/// key and policy are the daemon's to say.
pub(super) fn claims(args: &[OsString], tlog: Option<&OsStr>) -> Session {
    let mut argv = vec![OsString::new()];
    argv.extend(args.iter().cloned());
    let mut session = of(&argv);
    if let Some(shell) = tlog {
        session
            .target
            .push(TLOG_SHELL, Value::from_os_bytes(shell.as_bytes()));
    }
    session
}

/// The header of a login that runs this.
pub(super) fn of(argv: &[OsString]) -> Session {
    let description = describe(argv);
    Session {
        id: SessionId::from_bytes([0; 16]),
        parent: None,
        kind: mode().kind().to_owned(),
        subject: description.subject,
        origin: description.origin,
        target: description.target,
        start_utc_ns: 0,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: format!("hansard-shell {}", env!("CARGO_PKG_VERSION")),
    }
}
