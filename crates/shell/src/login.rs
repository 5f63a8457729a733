//! `hansard-shell`: a login whose terminal the daemon holds.
//!
//! It hands its standard input, output and error over, starts the user's shell on what it is given
//! in their place, and then only passes on what the kernel tells nobody but it: signals, window
//! changes, the shell's end. Ending it ends the session and cannot un-record it; stopping it stops
//! nothing else.

use std::ffi::{OsStr, OsString};
use std::io::BufReader;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use hansard_record::handoff::descriptors::send_with;
use hansard_record::handoff::{
    FromClient, FromDaemon, Granted, Incoming, Login, OPEN_BYTES_MAX, VERSION, read_message,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::stdio::{stderr, stdin, stdout};

use crate::child::Program;
use crate::command::Command;
use crate::error::ShellError;
use crate::limits::{DAEMON_RETRY_EVERY, DAEMON_WAIT_MAX, GRANT_WAIT_MAX};
use crate::signals::Signals;

mod alone;
mod claims;
mod outside;
mod stay;

pub use alone::{BREAK_GLASS_DIR, may_break_glass};
pub use claims::TLOG_SHELL;
use outside::Outside;

/// Where the daemon answers. Fixed: a login must not be told by its environment who records it.
pub const CAPTURE_SOCKET: &str = "/run/hansard/capture.sock";

/// Status of a login that was refused, or whose recorder failed.
pub const STATUS_REFUSED: u8 = 125;

/// What a daemon gives a login.
type Answer = (Line, Granted, Option<[OwnedFd; 3]>);

/// Why a login was not granted, in words.
enum NotGranted {
    /// The daemon says so.
    Refused(String),
    /// It says nothing that is an answer, within the bound.
    Silent(String),
}

/// The socket to the daemon, and what was read from it.
type Line = BufReader<Incoming>;

/// Logs in as `hansard-shell` with these arguments (the first is its own name), at the daemon that
/// answers at this socket. Answers the status to end with; where the user's shell was killed by a
/// signal, this process ends by the same one.
///
/// `tlog` is there for one that was called by tlog's name: the shell that `TLOG_REC_SESSION_SHELL` asks
/// for, or nothing. The daemon takes it for accounts whose shell by its own knowledge is tlog's, and
/// no other than those of `/etc/shells`.
///
/// Best in the main thread of a process that has done nothing else: it takes the signals, and what
/// was standard input, output and error is not that any more afterwards.
#[must_use]
pub fn log_in(socket: &Path, args: &[OsString], tlog: Option<OsString>) -> u8 {
    // From here on nobody of the same user may trace this process, read its memory or take its
    // descriptors. Installed without read permission it is so from the start.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let outside = Outside::look();
    let mut asked = Asked::of(args, std::env::var_os("SSH_ORIGINAL_COMMAND"));
    asked.tlog = tlog;
    match asked.go(socket, &outside) {
        Ok(status) => status,
        Err(why) => {
            outside.say(&why);
            STATUS_REFUSED
        }
    }
}

/// How it was called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    /// As a login shell.
    is_login: bool,
    /// The user's shell's arguments.
    args: Vec<OsString>,
    /// By tlog's name: the shell that it was told to start, or nothing.
    tlog: Option<OsString>,
}

impl Asked {
    /// Called without arguments it is a login shell, or, forced by an SSH server, what the user
    /// wanted instead.
    fn of(args: &[OsString], forced: Option<OsString>) -> Self {
        let name = args.first().map_or(OsStr::new(""), OsString::as_os_str);
        let is_login = name.as_bytes().starts_with(b"-");
        let args = args.get(1..).unwrap_or_default().to_vec();
        match forced.filter(|_| args.is_empty() && !is_login) {
            Some(command) => Self {
                is_login,
                args: vec!["-c".into(), command],
                tlog: None,
            },
            None => Self {
                is_login: is_login || args.is_empty(),
                args,
                tlog: None,
            },
        }
    }

    fn go(&self, socket: &Path, outside: &Outside) -> Result<u8, String> {
        let stream = match reach(socket) {
            Ok(stream) => stream,
            Err(why) if alone::is_allowed(socket) => return self.go_alone(&why, outside),
            Err(why) => return Err(why),
        };
        let (line, granted, given) = match self.ask(stream) {
            Ok(answer) => answer,
            // As good as none: it is hung, or died over this login.
            Err(NotGranted::Silent(why)) if alone::is_allowed(socket) => {
                return self.go_alone(&why, outside);
            }
            Err(NotGranted::Silent(why) | NotGranted::Refused(why)) => return Err(why),
        };
        let shell = OsString::from_vec(granted.shell.clone());
        let command = self.command(&shell);
        if granted.session.is_none() {
            return Err(become_it(&command));
        }
        let Some(given) = given else {
            return Err("hansard: the daemon granted a login and gave it no terminal".to_owned());
        };
        let about = |e: ShellError| format!("hansard: {e}");
        let signals = Signals::take(true).map_err(about)?;
        let terminal = granted.terminal.and_then(|at| i32::try_from(at).ok());
        let program = Program::for_login(&command, given, terminal, &signals).map_err(about)?;
        Ok(stay::stay(line, &program, &signals, outside))
    }

    /// Breaks the glass.
    fn go_alone(&self, why: &str, outside: &Outside) -> Result<u8, String> {
        outside.say("hansard: no daemon is there; this login goes on as break-glass, is recorded and reported");
        let exit = alone::record(self, Path::new(BREAK_GLASS_DIR), why)?;
        if let Some(fault) = &exit.fault {
            outside.say(&format!("hansard: {fault}"));
        }
        Ok(exit.answer())
    }

    /// Asks for the login; answers what was granted.
    fn ask(&self, stream: UnixStream) -> Result<Answer, NotGranted> {
        let says = |e: &dyn std::fmt::Display| {
            format!("hansard: this login cannot be recorded, so it is refused: {e}")
        };
        let broken = |e: &dyn std::fmt::Display| NotGranted::Silent(says(e));
        let timeout = Some(GRANT_WAIT_MAX);
        stream.set_read_timeout(timeout).map_err(|e| broken(&e))?;
        stream.set_write_timeout(timeout).map_err(|e| broken(&e))?;
        let mut hello = Vec::new();
        let claims = Box::new(claims::claims(&self.args, self.tlog.as_deref()));
        let version = VERSION;
        FromClient::Login(Login { version, claims }).encode(&mut hello);
        // A refusal may come before all of this is written: it is read all the same.
        let outside = [stdin(), stdout(), stderr()];
        let sent = send_with(&stream, &hello, &outside);
        let mut line = BufReader::new(Incoming::new(stream));
        let mut answer = Vec::new();
        match read_message(&mut line, &mut answer, OPEN_BYTES_MAX) {
            Ok(true) => {}
            Ok(false) => return Err(broken(&"the daemon closed the connection")),
            Err(e) => return Err(broken(&sent.err().map_or(e.to_string(), |e| e.to_string()))),
        }
        match FromDaemon::decode(&answer) {
            Ok(FromDaemon::Granted(granted)) => {
                // From now on a daemon that says nothing may be followed by another; one that closed is heard of.
                let socket = line.get_ref().socket();
                socket.set_read_timeout(None).map_err(|e| broken(&e))?;
                socket.set_write_timeout(None).map_err(|e| broken(&e))?;
                let given = line.get_mut().take();
                Ok((line, granted, given))
            }
            Ok(FromDaemon::Refused(why)) => Err(NotGranted::Refused(says(&why))),
            Ok(_) => Err(broken(&"the daemon's first answer is none")),
            Err(e) => Err(broken(&e)),
        }
    }

    fn command(&self, shell: &OsStr) -> Command {
        let mut argv = vec![shell.to_owned()];
        argv.extend(self.args.iter().cloned());
        let mut command = Command::new(argv);
        if self.is_login {
            let name = Path::new(shell).file_name().unwrap_or(shell);
            let mut arg0 = OsString::from("-");
            arg0.push(name);
            command.arg0 = Some(arg0);
        }
        // Programs that start "the user's shell" in it are in the recording already.
        command.env = vec![("SHELL".into(), shell.to_owned())];
        command
    }
}

/// Connects to the daemon; one that is just starting is waited for.
fn reach(socket: &Path) -> Result<UnixStream, String> {
    let until = std::time::Instant::now() + DAEMON_WAIT_MAX;
    loop {
        let why = match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(e) => e,
        };
        if std::time::Instant::now() >= until {
            return Err(format!(
                "hansard: logins on this machine are recorded, and no daemon is there to do it \
                 ({}: {why}), so this one is refused; tell an administrator",
                socket.display()
            ));
        }
        std::thread::sleep(DAEMON_RETRY_EVERY);
    }
}

/// Becomes the user's shell, which nobody records. Answers why not.
fn become_it(command: &Command) -> String {
    use std::os::unix::process::CommandExt as _;
    let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    match command.to_std() {
        Some(mut std) => {
            let why = std.exec();
            format!("hansard: cannot run {}: {why}", command.program())
        }
        None => "hansard: the daemon named no shell".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::*;

    fn asked(args: &[&str], forced: Option<&str>) -> (bool, Vec<OsString>) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let asked = Asked::of(&args, forced.map(OsString::from));
        (asked.is_login, asked.args)
    }

    #[test]
    fn how_it_is_called_decides_what_is_run() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(asked(&["-hansard-shell"], None), (true, vec![]));
        assert_eq!(asked(&["hansard-shell"], None), (true, vec![]));
        let run = ["hansard-shell", "-c", "ls -l"];
        assert_eq!(asked(&run, None), (false, words(&["-c", "ls -l"])));
        assert_eq!(
            asked(&["hansard-shell"], Some("scp -f x")),
            (false, words(&["-c", "scp -f x"]))
        );
        // Left over in the environment of a login shell it means nothing.
        assert_eq!(asked(&["-hansard-shell"], Some("x")), (true, vec![]));
        assert_eq!(asked(&run, Some("x")), (false, words(&["-c", "ls -l"])));
    }

    #[test]
    fn a_login_shell_is_told_so_by_its_name() {
        let (_, args) = asked(&["-hansard-shell"], None);
        let asked = Asked {
            is_login: true,
            args,
            tlog: None,
        };
        let command = asked.command(OsStr::new("/bin/bash"));
        assert_eq!(command.argv, [OsString::from("/bin/bash")]);
        assert_eq!(command.arg0, Some("-bash".into()));
    }

    #[test]
    fn once_granted_a_daemon_that_is_away_is_waited_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let granted = Granted {
            session: None,
            shell: b"/bin/sh".to_vec(),
            terminal: None,
        };
        let mut answer = Vec::new();
        FromDaemon::Granted(granted).encode(&mut answer);
        theirs.write_all(&answer).unwrap();
        let asked = Asked::of(&["hansard-shell".into()], None);
        let Ok((line, ..)) = asked.ask(ours) else {
            panic!("not granted")
        };
        let socket = line.get_ref().socket();
        assert_eq!(socket.read_timeout().unwrap(), None);
        assert_eq!(socket.write_timeout().unwrap(), None);
    }

    #[test]
    fn what_the_terminal_was_is_looked_at_before_it_is_handed_over() {
        let outside = Outside::look();
        outside.restore();
        assert!(outside.voice().as_fd().try_clone_to_owned().is_ok());
    }
}
