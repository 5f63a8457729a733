//! `hansard`: record, replay, search and verify sessions.
//!
//! Each command is a module of its own name; this file only chooses. Data goes to standard output,
//! everything said about it to standard error.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::print_stdout
    )
)]

mod cat;
mod cli;
mod convert;
mod draft;
mod events;
mod failure;
mod follow;
mod hold;
mod host;
mod info;
mod journal;
mod key;
mod kill;
mod listing;
mod ls;
mod machine;
mod man;
mod moment;
mod play;
mod policy;
mod progress;
mod rec;
mod screen;
mod search;
mod seekable;
mod service;
mod session;
mod show;
mod source;
mod status;
mod token;
mod trust;
mod verify;
mod watched;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use cli::{Cli, Command};

fn main() -> ExitCode {
    // As a login shell it is called `hansard-shell`, or `-hansard-shell`.
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.first().is_some_and(|name| is_shell(name)) {
        let socket = Path::new(hansard_shell::CAPTURE_SOCKET);
        return ExitCode::from(hansard_shell::log_in(socket, &args));
    }
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Rec(args) => rec::run(args),
        Command::Play(args) => play::run(args),
        Command::Cat(args) => cat::run(args),
        Command::Info(args) => info::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Screen(args) => screen::run(args),
        Command::Search(args) => search::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Ls(args) => ls::run(args),
        Command::Show(args) => show::run(args),
        Command::Events(args) => events::run(args),
        Command::Follow(args) => follow::run(args),
        Command::Kill(args) => kill::run(args),
        Command::Token(args) => token::run(args),
        Command::Hold(args) => hold::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Host(args) => host::run(args),
        Command::Status(args) => status::run(args),
        Command::Keygen(args) => key::run(args),
        Command::Completions { shell } => man::completions(*shell),
        Command::Man { directory } => man::pages(directory),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        // Whoever read our answer has enough of it (`| head`): nothing to say, as with SIGPIPE.
        Err(failure) if failure.is_broken_pipe() => ExitCode::from(failure::STATUS_BROKEN_PIPE),
        Err(failure) => {
            // A closed standard error leaves only the status to tell.
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(failure.status)
        }
    }
}

/// Whether this is the name of the login shell.
fn is_shell(name: &OsStr) -> bool {
    let name = Path::new(name).file_name().unwrap_or(name).as_bytes();
    name.strip_prefix(b"-").unwrap_or(name) == b"hansard-shell"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_login_shell_is_the_login_shell() {
        for name in ["hansard-shell", "-hansard-shell", "/usr/bin/hansard-shell"] {
            assert!(is_shell(OsStr::new(name)), "{name}");
        }
        for name in ["hansard", "/usr/bin/hansard", "hansard-shell-x", ""] {
            assert!(!is_shell(OsStr::new(name)), "{name}");
        }
    }
}
