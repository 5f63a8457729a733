//! `hansardd`: the daemon's command line. What is done is in the library; this only says how it
//! ended.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use hansardd::cli::Cli;
use hansardd::command::perform;
use hansardd::failure::STATUS_BROKEN_PIPE;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match perform(&cli, &mut std::io::stdout()) {
        Ok(status) => ExitCode::from(status),
        // Whoever read our answer has enough of it (`| head`): nothing to say, as with SIGPIPE.
        Err(failure) if failure.status == STATUS_BROKEN_PIPE => ExitCode::from(failure.status),
        Err(failure) => {
            // A closed standard error leaves only the status to tell.
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(failure.status)
        }
    }
}
