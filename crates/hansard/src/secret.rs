//! Asking for secrets at a terminal, which shows nothing of them.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use hansard_view::escape_for_humans;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::failure::{Failure, STATUS_INTERRUPTED, STATUS_WRONG_USE};

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
    let typed = typed();
    let _ = writeln!(io::stderr());
    typed
}

/// The line that somebody types at a terminal that is [`Quiet`].
fn typed() -> Result<String, Failure> {
    let (mut line, mut stdin) = (Vec::new(), io::stdin().lock());
    loop {
        let bytes = stdin.fill_buf()?;
        let end = bytes.iter().position(|byte| ENDS.contains(byte));
        let taken = end.map_or(bytes.len(), |at| at + 1);
        line.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        stdin.consume(taken);
        match line.last() {
            Some(&b'\n') => break,
            Some(last) if ENDS.contains(last) => {
                return Err(Failure::new(STATUS_INTERRUPTED, "interrupted"));
            }
            // The end of the input, or more than anybody types.
            _ if taken == 0 || line.len() as u64 > PASSWORD_BYTES_MAX => break,
            _ => {}
        }
    }
    if line.is_empty() {
        return Err(nothing());
    }
    let text = String::from_utf8(line).map_err(|_| {
        let what = "what was typed is no UTF-8";
        Failure::new(STATUS_WRONG_USE, what).hint("see that the terminal's locale is UTF-8")
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn line() -> Result<String, Failure> {
    some_line()?.ok_or_else(nothing)
}

fn nothing() -> Failure {
    let what = "no password on standard input";
    Failure::new(STATUS_WRONG_USE, what).hint("type it, or pipe one line in")
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

/// What ends a line while a terminal is [`Quiet`]: Enter, and the keys for `SIGINT` and `SIGQUIT`.
const ENDS: [u8; 3] = [b'\n', INTERRUPT, QUIT];

/// Ctrl-C.
const INTERRUPT: u8 = 3;

/// Ctrl-\.
const QUIT: u8 = 28;

/// The terminal shows nothing that is typed until this is dropped. It sends no signals meanwhile: one would end this
/// program before the terminal shows again what is typed. So the keys for them end a line instead.
struct Quiet(Termios);

impl Quiet {
    fn begin(stdin: &io::Stdin) -> Result<Self, Failure> {
        let before = tcgetattr(stdin).map_err(io::Error::from)?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.local_modes.insert(LocalModes::ECHONL);
        quiet.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        quiet.special_codes[SpecialCodeIndex::VEOL2] = QUIT;
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
