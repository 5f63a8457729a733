//! `hansard-shell` at a daemon of a test: `login_shell SOCKET NAME ARGS…`, where NAME is what it is
//! called by (`-sh` for a login shell).

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let socket = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    ExitCode::from(hansard_shell::log_in(Path::new(&socket), &args, None))
}
