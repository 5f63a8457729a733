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

mod alike;
mod cat;
mod cert;
mod cli;
mod convert;
mod credential;
mod draft;
mod drop_in;
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
mod lock;
mod login;
mod ls;
mod machine;
mod man;
mod moment;
mod originals;
mod play;
mod policy;
mod progress;
mod rec;
mod screen;
mod search;
mod secret;
mod seekable;
mod service;
mod session;
mod share;
mod show;
mod source;
mod ssh;
mod status;
mod token;
mod trust;
mod user;
mod verify;
mod watched;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use cli::{Cli, Command};
use drop_in::Called;

fn main() -> ExitCode {
    // As a login shell it is called `hansard-shell`, or `-hansard-shell`, or by tlog's name.
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(called) = drop_in::called(args, std::env::var_os(drop_in::SHELL_VARIABLE)) {
        return by_another_name(called);
    }
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Login(args) => login::run(args),
        Command::Logout(args) => login::out(args),
        Command::Ssh(args) => ssh::run("ssh", args),
        Command::Scp(args) => ssh::run("scp", args),
        Command::SshConfig(args) => ssh::config(args),
        Command::Lock(args) => lock::run(args),
        Command::Credential(args) => credential::run(args),
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
        Command::Share(args) => share::run(args),
        Command::Token(args) => token::run(args),
        Command::Cert(args) => cert::run(args),
        Command::Hold(args) => hold::run(args),
        Command::Policy(args) => policy::run(args),
        Command::User(args) => user::run(args),
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

/// What the client does under its other names.
fn by_another_name(called: Called) -> ExitCode {
    let said = match called {
        Called::Login { args, tlog } => {
            let socket = Path::new(hansard_shell::CAPTURE_SOCKET);
            return ExitCode::from(hansard_shell::log_in(socket, &args, tlog));
        }
        Called::Configuration => {
            hansard_shell::tlog_configuration(Path::new(hansard_shell::TLOG_CONF))
                .map(|said| said + "\n")
        }
        Called::Version => Ok(format!("hansard-shell {}\n", env!("CARGO_PKG_VERSION"))),
        Called::Help => Ok(drop_in::HELP.to_owned()),
    };
    let written = match &said {
        Ok(said) => std::io::stdout().write_all(said.as_bytes()).is_ok(),
        Err(why) => {
            let next = "`hansardd check` says more";
            // A closed standard error leaves only the status to tell.
            let _ = writeln!(std::io::stderr(), "hansard-shell: {why}; {next}");
            false
        }
    };
    match written {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
