//! `hansard rec`: runs a program here and records it: into a file, in this process, or by handing
//! the session over to this machine's daemon.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;

use hansard_core::SessionId;
use hansard_core::event::End;
use hansard_core::policy::Policy;
use hansard_core::session::Session;
use hansard_record::{Environment, FileSink, Lost, Options, Recorder};
use hansard_shell::{Exit, Mode, Prompts, ShellError, describe, mode};

use crate::cli::RecArgs;
use crate::failure::{Failure, STATUS_RECORDER, STATUS_WRONG_USE, shown, word};
use crate::{key, moment, source};

mod handed;

/// Runs and records; answers the program's status.
pub(crate) fn run(args: &RecArgs) -> Result<u8, Failure> {
    match &args.out {
        Some(out) => into_file(args, out),
        None => handed::over(args),
    }
}

fn into_file(args: &RecArgs, out: &Path) -> Result<u8, Failure> {
    let argv = argv(args);
    let options = shell_options(args, &policy(args))?;
    let env = Environment::real();
    let key = key::signing_key(args.key.as_deref())?;
    let session = session(args, &argv, &env, key.public())?;
    let sink = FileSink::create(out, &*env.disk).map_err(|e| cannot_create(out, &e))?;
    let recorder = Recorder::open(session, key, Box::new(sink), &env, Options::default())
        .map_err(|lost| not_recorded(out, &lost))?;
    notice(args, out);
    let ran = hansard_shell::run(&hansard_shell::Command::new(argv), &options, &recorder);
    let closed = recorder.close(end_of(&ran));
    let exit = ran.map_err(|error| Failure::new(error.status(), error.to_string()))?;
    let summary = closed.map_err(|lost| not_recorded(out, &lost))?;
    if summary.gaps > 0 {
        let gaps = summary.gaps;
        say(&format!(
            "hansard: the recording has {gaps} gaps: {} bytes are missing",
            summary.missing.bytes
        ));
    }
    if !args.quiet {
        let (file, size) = (shown(out), moment::bytes(summary.stored_bytes));
        let word = word(out);
        say(&format!(
            "hansard: recorded {size} in {file}; `hansard play {word}` replays it"
        ));
    }
    answer(&exit)
}

/// The program's status, unless what it wrote or read was not passed on.
fn answer(exit: &Exit) -> Result<u8, Failure> {
    match &exit.fault {
        None => Ok(exit.status),
        Some(fault) => {
            let failure = Failure::new(exit.answer(), fault.as_str());
            Err(failure.hint("what the command had written by then is in the recording"))
        }
    }
}

/// What the last event of the recording says.
fn end_of(ran: &Result<Exit, ShellError>) -> End {
    match ran {
        Ok(exit) => exit.end(),
        Err(error) => End {
            reason: error.to_string(),
            ..End::default()
        },
    }
}

/// The program and its arguments; the user's shell if there is none.
fn argv(args: &RecArgs) -> Vec<OsString> {
    if !args.command.is_empty() {
        return args.command.clone();
    }
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    vec![shell.unwrap_or_else(|| "/bin/sh".into())]
}

fn policy(args: &RecArgs) -> Policy {
    Policy {
        stdin: !args.no_stdin,
        keystrokes: args.keystrokes,
        strict: args.strict,
        on_loss: args.on_loss,
        ..Policy::default()
    }
}

/// How the program is run under a policy.
fn shell_options(args: &RecArgs, policy: &Policy) -> Result<hansard_shell::Options, Failure> {
    let mut options = hansard_shell::Options::from_policy(policy);
    if !args.prompt.is_empty() {
        options.prompts = Prompts::new(args.prompt.iter().map(String::as_str))
            .map_err(|error| Failure::new(STATUS_WRONG_USE, format!("--prompt: {error}")))?;
    }
    Ok(options)
}

fn session(
    args: &RecArgs,
    argv: &[OsString],
    env: &Environment,
    recorder_key: [u8; 32],
) -> Result<Session, Failure> {
    let start_utc_ns = env.clock.utc_ns();
    let mut random = [0u8; 10];
    let filled = env.random.fill(&mut random);
    filled.map_err(|e| Failure::new(STATUS_RECORDER, format!("no randomness for an id: {e}")))?;
    let mut description = describe(argv);
    if let Some(title) = &args.title {
        description.target.push("title", title.as_str());
    }
    Ok(Session {
        id: SessionId::new_v7(start_utc_ns / 1_000_000, random),
        parent: None,
        kind: mode().kind().to_owned(),
        subject: description.subject,
        origin: description.origin,
        target: description.target,
        start_utc_ns,
        clock: env.clock.quality(),
        policy: policy(args),
        recorder_key,
        recorder: source::recorder_name(),
    })
}

fn cannot_create(out: &Path, error: &io::Error) -> Failure {
    let failure = Failure::about(out, error);
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            failure.hint("a recording is never written over; choose another name for --out")
        }
        io::ErrorKind::NotFound => failure.hint("the directory must exist"),
        _ => failure,
    }
}

fn not_recorded(out: &Path, lost: &Lost) -> Failure {
    Failure::new(
        STATUS_RECORDER,
        format!("recording into {} failed: {lost}", shown(out)),
    )
    .hint("what is in the file is intact; `hansard verify` says up to where")
}

fn notice(args: &RecArgs, out: &Path) {
    if args.quiet {
        return;
    }
    let kept = match mode() {
        Mode::Terminal if args.keystrokes => {
            "what it shows and what you type (hidden input is not)"
        }
        Mode::Terminal => "what it shows (what you type is not)",
        Mode::Pipes if args.no_stdin => "its output and errors (its input is not)",
        Mode::Pipes => "its input, output and errors",
    };
    say(&format!(
        "hansard: this session is recorded into {}: {kept}",
        shown(out)
    ));
}

/// To standard error; a closed one is no reason not to record.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
