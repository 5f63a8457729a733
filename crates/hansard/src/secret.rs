//! Asking for secrets at a terminal, which shows nothing of them.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use hansard_view::escape_for_humans;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::failure::{Failure, STATUS_WRONG_USE};

/// Longest line that is taken for a password, bytes; of a longer one the service would refuse the
/// beginning.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// Asks for a password, twice, without showing it; or reads one line where nobody can be asked.
pub(crate) fn new_password(name: &str) -> Result<String, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line();
    }
    let quiet = Quiet::begin(&stdin)?;
    let ask = |what: &str| ask(&format!("{what} for {}", escape_for_humans(name)));
    let (first, second) = (ask("Password")?, ask("Again, the password")?);
    drop(quiet);
    if first == second {
        return Ok(first);
    }
    let what = "the two are not the same";
    Err(Failure::new(STATUS_WRONG_USE, what).hint("type it again"))
}

/// Asks for a password and for a code, without showing either; or reads a line for each where nobody can be
/// asked. Somebody without an authenticator leaves the code empty.
pub(crate) fn credentials(name: &str) -> Result<(String, String), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let password = line()?;
        return Ok((password, some_line()?.unwrap_or_default()));
    }
    let _quiet = Quiet::begin(&stdin)?;
    let password = ask(&format!("Password for {}", escape_for_humans(name)))?;
    let code = ask("Code of the authenticator (empty if you have none)")?;
    Ok((password, code))
}

fn ask(what: &str) -> Result<String, Failure> {
    let _ = write!(io::stderr(), "{what}: ");
    let typed = line();
    let _ = writeln!(io::stderr());
    typed
}

fn line() -> Result<String, Failure> {
    let line = some_line()?;
    line.ok_or_else(|| {
        let what = "no password on standard input";
        Failure::new(STATUS_WRONG_USE, what).hint("type it, or pipe one line in")
    })
}

fn some_line() -> Result<Option<String>, Failure> {
    let mut line = String::new();
    let read = io::stdin()
        .lock()
        .take(PASSWORD_BYTES_MAX)
        .read_line(&mut line)?;
    let line = line.trim_end_matches(['\r', '\n']);
    Ok((read > 0).then(|| line.to_owned()))
}

/// The terminal shows nothing that is typed until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin(stdin: &io::Stdin) -> Result<Self, Failure> {
        let before = tcgetattr(stdin).map_err(io::Error::from)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(stdin, OptionalActions::Flush, &quiet).map_err(io::Error::from)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
