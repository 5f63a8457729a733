//! The session is handed over: the program runs here, the daemon records.

use std::env;
use std::io;
use std::path::PathBuf;

use hansard_record::Environment;
use hansard_record::handoff::{Gone, HandoffTape, NotOpened};
use hansard_view::escape_for_humans;

use crate::cli::RecArgs;
use crate::failure::{Failure, STATUS_RECORDER, shown};
use crate::moment;
use crate::rec::{answer, argv, end_of, policy, say, session, shell_options};

/// Where the daemon's sockets are, unless `HANSARD_RUNTIME_DIR` says otherwise.
const RUNTIME_DIR: &str = "/run/hansard";

/// The capture socket's name there.
const SOCKET: &str = "capture.sock";

/// Status of a session that somebody ended through the daemon: as if its terminal had been hung
/// up (128 and SIGHUP's number).
const STATUS_ENDED: u8 = 129;

/// Runs the program and hands its session over; answers the program's status.
pub(super) fn over(args: &RecArgs) -> Result<u8, Failure> {
    let argv = argv(args);
    // Before anything is asked of the daemon: wrong patterns are wrong use.
    shell_options(args, &policy(args))?;
    let env = Environment::real();
    // Id, key and times of these claims are not looked at: the daemon gives its own.
    let claims = session(args, &argv, &env, [0; 32])?;
    let socket = socket(args);
    let tape = HandoffTape::open(&socket, claims).map_err(|why| not_opened(&socket, why))?;
    let id = tape.session().id;
    if !args.quiet {
        for line in tape.notice().lines() {
            say(&format!("hansard: {}", escape_for_humans(line)));
        }
    }
    let options = shell_options(args, &tape.session().policy)?;
    let ran = hansard_shell::run(&hansard_shell::Command::new(argv), &options, &tape);
    let state = tape.check();
    let closed = tape.close(end_of(&ran));
    if let Err(Gone {
        why,
        is_ended: true,
    }) = state
    {
        let why = escape_for_humans(&why);
        return Err(Failure::new(
            STATUS_ENDED,
            format!("the session was ended: {why}"),
        ));
    }
    let exit = match (ran, &closed) {
        (Err(error), _) => return Err(lost(error.status(), &error.to_string())),
        (Ok(_), Err(gone)) => {
            let what = format!("the session is not recorded to its end: {gone}");
            return Err(lost(STATUS_RECORDER, &what));
        }
        (Ok(exit), Ok(_)) => exit,
    };
    let closed = closed.unwrap_or_default();
    if closed.gaps > 0 {
        let (gaps, bytes) = (closed.gaps, closed.missing_bytes);
        say(&format!(
            "hansard: the recording has {gaps} gaps: {bytes} bytes are missing"
        ));
    }
    if !args.quiet {
        let size = moment::bytes(closed.stored_bytes);
        say(&format!("hansard: recorded {size} as {id}"));
    }
    answer(&exit)
}

/// Where the daemon listens.
fn socket(args: &RecArgs) -> PathBuf {
    match &args.socket {
        Some(path) => path.clone(),
        None => {
            let dir = env::var_os("HANSARD_RUNTIME_DIR").filter(|dir| !dir.is_empty());
            dir.map_or_else(|| PathBuf::from(RUNTIME_DIR), PathBuf::from)
                .join(SOCKET)
        }
    }
}

fn not_opened(socket: &std::path::Path, why: NotOpened) -> Failure {
    let at = shown(socket);
    let failure =
        |what: String| Failure::new(STATUS_RECORDER, escape_for_humans(&what).into_owned());
    match why {
        NotOpened::NoDaemon(e) => {
            let reason = match e.kind() {
                io::ErrorKind::NotFound => "there is no such socket".to_owned(),
                io::ErrorKind::ConnectionRefused => "nobody answers".to_owned(),
                _ => e.to_string(),
            };
            failure(format!("no daemon records here: {at}: {reason}"))
                .hint("start hansardd, or record into a file: `hansard rec --out FILE`")
        }
        NotOpened::Refused(why) => {
            failure(format!("the daemon does not record this session: {why}"))
                .hint("`hansard rec --out FILE` records into a file, where that is allowed")
        }
        NotOpened::Broken(why) => failure(format!("{at}: {why}"))
            .hint("is the daemon of the same version as this program?"),
    }
}

/// What is known of a recording whose daemon is gone.
fn lost(status: u8, what: &str) -> Failure {
    let failure = Failure::new(status, escape_for_humans(what).into_owned());
    if status == STATUS_RECORDER {
        failure
            .hint("what was recorded until then is kept; the daemon says so when it starts again")
    } else {
        failure
    }
}
