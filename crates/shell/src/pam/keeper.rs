//! The process of one session: has the system's modules open it, starts the program as its account, waits, and
//! closes it. It runs as root, and nothing that a user says decides what it does.
//!
//! Its standard descriptors are nothing, for modules. The program's are beside them, and closed here as soon as the
//! program has them: whoever holds the other ends must hear when the program closes its own.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process,
    kill_process_group, pidfd_open, set_dumpable_behavior, waitid,
};

use super::asked::{Answer, Prompt};
use super::forks;
use super::sys::{self, Modules};
use super::wire::{Session, Word, read, write};
use crate::accounts::{Account, groups_of};
use crate::served::{OPEN_FILES, spawned_after};
use crate::sys as process;

/// How long a program whose daemon is gone has to end after it was hung up. After it the session is closed
/// around it.
const HANGUP_GRACE: Duration = Duration::from_secs(2);

/// Signals that end daemons and those in front of terminals: this process ends when its line does.
const UNHEARD: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// What such a process does, from beginning to end; `descriptor` is the number that its daemon has given it as the
/// last argument. Answers the exit status.
#[must_use]
pub fn keep_session(descriptor: &str) -> u8 {
    const WRONG_USE: u8 = 2;
    let line = descriptor.parse().ok().and_then(sys::line_at);
    match line.map(|line| kept(line, None)) {
        Some(Ok(())) => 0,
        // The daemon hears that the line ends, and nobody else would read a word.
        Some(Err(_)) => 1,
        None => WRONG_USE,
    }
}

/// The same, with the program's standard descriptors, where one is to be started.
pub(super) fn kept(mut line: UnixStream, given: Option<[OwnedFd; 3]>) -> io::Result<()> {
    let unheard = UNHEARD.map(process::disarm);
    let done = match read(&mut line)? {
        Word::Account {
            service,
            user,
            remote,
        } => {
            let asked = Modules::begin(&service, &user).and_then(|modules| {
                modules.comes_from(&remote, sys::NO_TERMINAL)?;
                modules.may_be_used()
            });
            let answer = asked.map_or_else(Word::Refused, |()| Word::Admitted);
            write(&mut line, &answer)
        }
        Word::Authenticate {
            service,
            user,
            remote,
        } => {
            // A module that crashes must not leave a password on the disk.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
            let proven = proven(&line, (&service, &user, &remote));
            let answer = proven.map_or_else(Word::Refused, |()| Word::Admitted);
            write(&mut line, &answer)
        }
        Word::Forks { service } if given.is_none() => forks::serve(line, &service),
        Word::Session(session) => match given {
            Some(given) => in_session(&mut line, &session, given),
            None => Err(io::ErrorKind::InvalidData.into()),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    };
    drop(unheard);
    done
}

/// Has somebody asked who they are, and whether the account may be used.
fn proven(line: &UnixStream, (service, user, remote): (&str, &str, &str)) -> Result<(), String> {
    let asks = line.try_clone().map_err(|e| e.to_string())?;
    let answering = move |text: &str, prompts: Vec<Prompt>| asked(&asks, text, prompts).ok();
    let modules = Modules::asking(service, user, answering)?;
    modules.comes_from(remote, sys::NO_TERMINAL)?;
    modules.authenticate(user)?;
    modules.may_be_used()?;
    let shown = modules.said();
    if !shown.trim().is_empty() {
        asked(line, &shown, Vec::new()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Asks the daemon, which asks whoever is there. That may take them their time; if they go, the line ends.
fn asked(mut line: &UnixStream, text: &str, prompts: Vec<Prompt>) -> io::Result<Vec<Answer>> {
    let text = text.to_owned();
    write(&mut line, &Word::Asks { text, prompts })?;
    match read(&mut line)? {
        Word::Answers(answers) => Ok(answers),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn in_session(
    line: &mut UnixStream,
    session: &Session,
    descriptors: [OwnedFd; 3],
) -> io::Result<()> {
    let modules = match opened(session) {
        Ok(modules) => modules,
        Err(why) => return write(line, &Word::Refused(why)),
    };
    let shown = modules.said();
    if !shown.is_empty() {
        write(line, &Word::Shown(shown))?;
    }
    let done = match started(line, session, modules.env(), descriptors) {
        Ok(pid) => {
            // What it took to begin is not needed for the hours that it waits.
            hansard_record::memory::give_back();
            hansard_record::memory::give_back_stack();
            write(line, &Word::Runs).and_then(|()| waited_for(line, pid))
        }
        Err(e) => write(line, &Word::NotStarted(e.to_string())),
    };
    // Whatever became of the program: what was opened is closed.
    modules.close();
    done
}

/// Everything that modules do before a program runs. What fails is undone.
fn opened(session: &Session) -> Result<Modules, String> {
    let modules = Modules::begin(&session.service, &session.user)?;
    let terminal = match session.terminal.as_str() {
        "" => sys::NO_TERMINAL,
        path => path,
    };
    modules.comes_from(&session.remote, terminal)?;
    // What was so when somebody signed in may not be any more.
    modules.may_be_used()?;
    // Before modules change them as they are configured to.
    process::begin_as_a_session(OPEN_FILES).map_err(|e| e.to_string())?;
    let account = Account {
        name: session.user.clone(),
        uid: session.uid,
        gid: session.gid,
        home: session.home.clone(),
        shell: std::path::PathBuf::new(),
    };
    sys::join(&groups_of(&account)).map_err(|e| e.to_string())?;
    modules.open()?;
    Ok(modules)
}

/// Starts the program, once the daemon says so.
fn started(
    line: &mut UnixStream,
    session: &Session,
    of_modules: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    [stdin, stdout, stderr]: [OwnedFd; 3],
) -> io::Result<Pid> {
    let (program, args) = session
        .argv
        .split_first()
        .ok_or(io::ErrorKind::InvalidInput)?;
    let of_modules = of_modules.into_iter().filter(|(name, _)| {
        let name = name.to_string_lossy();
        !name.starts_with("SSH_") && name != "TERM"
    });
    let mut command = Command::new(program);
    command
        .args(args)
        .arg0(&session.arg0)
        .env_clear()
        .envs(session.env.iter().map(|(name, value)| (name, value)))
        .envs(of_modules)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr);
    let becomes = process::Becomes {
        uid: session.uid,
        gid: session.gid,
        groups: None,
        is_root: rustix::process::geteuid().is_root(),
        has_terminal: !session.terminal.is_empty(),
        home: process::c_path(&session.home),
        open_files: None,
    };
    process::before_served(&mut command, becomes);
    let (child, _) = spawned_after(command, |number| {
        let told = write(line, &Word::Comes(number)).and_then(|()| read(line));
        if !matches!(told, Ok(Word::Go)) {
            // Nobody records it.
            let pid = Pid::from_raw(number);
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
    });
    child.map(|child| Pid::from_child(&child))
}

/// Waits until the daemon is done with it; tells how the program ended as soon as it has. It is not reaped: its
/// number stays its own until this process ends.
fn waited_for(line: &mut UnixStream, pid: Pid) -> io::Result<()> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let mut has_ended = false;
    let mut until: Option<Instant> = None;
    loop {
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        if has_ended {
            fds.clear();
        }
        if until.is_none() {
            fds.push(PollFd::new(&*line, PollFlags::IN));
        }
        let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
        let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
        match poll(&mut fds, rest.as_ref()) {
            // The time is over.
            Ok(0) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let is_heard = until.is_none() && fds.last().is_some_and(|fd| !fd.revents().is_empty());
        if !has_ended && let Some(word) = how_ended(pid) {
            has_ended = true;
            // Nobody hears it where the line is over, which is heard of next.
            let _ = write(line, &word);
            if until.is_some() {
                return Ok(());
            }
        }
        if !is_heard {
            continue;
        }
        match read(line) {
            Ok(Word::Over) => return Ok(()),
            Ok(_) => {}
            Err(_) if has_ended => return Ok(()),
            Err(_) => {
                // The daemon is gone: nobody records what is done from here on.
                for signal in [Signal::HUP, Signal::CONT] {
                    let _ = kill_process_group(pid, signal);
                }
                until = Some(Instant::now() + HANGUP_GRACE);
            }
        }
    }
}

fn how_ended(pid: Pid) -> Option<Word> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(pid), options).ok()??;
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    Some(Word::Ended {
        status: status.exit_status().map_or(u8::MAX, byte),
        signal: status.terminating_signal().map_or(0, byte),
    })
}
