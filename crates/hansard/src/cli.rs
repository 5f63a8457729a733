//! The command line: every command, option and its help, in one place. Man pages and completions
//! are made from it.

mod access;
mod credential;
mod journal;
mod machine;
mod policy;
mod service;
mod share;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use hansard_core::OnLoss;
use hansard_view::Format;

use crate::moment::{Moment, Stretch};
pub(crate) use access::{ClientArgs, LockArgs, LockCommand, LoginArgs, LogoutArgs, SshConfigArgs};
pub(crate) use credential::{CredentialArgs, CredentialCommand};
pub(crate) use journal::{JournalArgs, ReaderKind};
pub(crate) use machine::{CoverageArgs, DisableArgs, DisableWay, EnableArgs, EnableWay, RootArgs};
pub(crate) use policy::{PolicyArgs, PolicyCommand, TestArgs};
use service::at_least_one;
pub(crate) use service::{
    CertArgs, CertCommand, EventsArgs, FilterArgs, FollowArgs, HoldArgs, HoldCommand, HostArgs,
    HostCommand, KillArgs, LookArgs, LsArgs, PageArgs, ServiceArgs, ShowArgs, SignArgs, StatusArgs,
    TokenArgs, TokenCommand,
};
pub(crate) use share::{ShareArgs, ShareCommand};
pub(crate) use user::{UserArgs, UserCommand};

/// Record, replay, search and verify sessions
#[derive(Debug, Parser)]
#[command(name = "hansard", version, max_term_width = 100)]
#[command(
    after_help = "Exit status of `verify`: 0 complete and intact, 1 intact but unfinished, \
3 damaged, 2 not a recording or wrong use."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in at a service, and get a certificate that lets you into hosts by your roles
    #[command(
        after_help = "The password and the code are asked for, or read as two lines from standard input."
    )]
    Login(LoginArgs),
    /// Sign out: the key of the login is gone
    Logout(LogoutArgs),
    /// Go to a host, as ssh(1) does: [LOGIN@]HOST [COMMAND]
    Ssh(ClientArgs),
    /// Copy files to and from hosts, as scp(1) does
    Scp(ClientArgs),
    /// Print what ssh(1) needs so that plain ssh, scp, rsync and others go the same way
    SshConfig(SshConfigArgs),
    /// Run a program and record what it shows
    Rec(RecArgs),
    /// Replay a recording in this terminal
    #[command(after_help = "Press ? while it plays for the keys.")]
    Play(PlayArgs),
    /// Print everything a recording showed, at once
    Cat(CatArgs),
    /// Say what a recording is of
    Info(InfoArgs),
    /// Check a recording: every digest, signature and event
    Verify(VerifyArgs),
    /// Show the screen as it was at one moment
    Screen(ScreenArgs),
    /// Find a text that stood on the screen, and when
    #[command(
        after_help = "Exit status: 0 found, 1 not found, 3 not everything could be searched."
    )]
    Search(SearchArgs),
    /// Turn a recording into another format
    Convert(ConvertArgs),
    /// List sessions of the service
    Ls(LsArgs),
    /// Say what the service knows of a session
    Show(ShowArgs),
    /// List events of the service, or follow them
    Events(EventsArgs),
    /// Watch a session as it happens
    #[command(after_help = "q leaves; h j k l look aside, z follows the cursor again.")]
    Follow(FollowArgs),
    /// End a session that is going on
    Kill(KillArgs),
    /// Set, show or try out the policy of who is recorded, and how
    Policy(PolicyArgs),
    /// Hold sessions, so that no rule deletes them, or let them go again
    Hold(HoldArgs),
    /// Give somebody without an account a link to a session; list and revoke links
    Share(ShareArgs),
    /// Make, list or remove tokens that hosts join with
    Token(TokenArgs),
    /// Lock people, roles, accounts, hosts or sessions; list and lift locks
    Lock(LockArgs),
    /// Keep credentials for targets of the SSH proxy
    Credential(CredentialArgs),
    /// Issue SSH certificates that let people in
    Cert(CertArgs),
    /// Add, list or remove users who sign in in a browser; set their passwords
    User(UserArgs),
    /// List hosts, lock them out; have logins of this machine recorded
    Host(HostArgs),
    /// Say how the service is, who you are to it, and where you are signed in
    Status(StatusArgs),
    /// Make a key to sign recordings with
    Keygen(KeygenArgs),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory
    Man {
        /// Where to
        directory: PathBuf,
    },
}

/// Options of everything that reads a recording.
#[derive(Debug, Default, Args)]
pub(crate) struct ReadArgs {
    /// Read it as this format instead of guessing
    #[arg(long, value_name = "FORMAT", value_parser = formats(Format::is_readable))]
    pub(crate) from: Option<Format>,
    /// The timing file of a typescript; without it that is FILE.timing
    #[arg(long, value_name = "FILE")]
    pub(crate) timing: Option<PathBuf>,
    /// Which recording, if the file holds several: tlog's `rec`, Teleport's session id
    #[arg(long, visible_alias = "file-match", value_name = "ID")]
    pub(crate) rec: Option<String>,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Options of `rec`.
#[derive(Debug, Args)]
pub(crate) struct RecArgs {
    /// Where to write the recording; must not exist yet. Without it, the session is handed over
    /// to this machine's daemon
    #[arg(short, long, value_name = "FILE", conflicts_with = "socket")]
    pub(crate) out: Option<PathBuf>,
    /// The daemon's capture socket, if not $HANSARD_RUNTIME_DIR/capture.sock or
    /// /run/hansard/capture.sock
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Say nothing before and after
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Also keep what is typed, except where the terminal hides it (a daemon may refuse it, or
    /// keep it unasked)
    #[arg(short, long)]
    pub(crate) keystrokes: bool,
    /// Do not keep what is piped in
    #[arg(long)]
    pub(crate) no_stdin: bool,
    /// Show nothing before its record is on the disk
    #[arg(long)]
    pub(crate) strict: bool,
    /// What to do while the record cannot be written: end the session, hold it back (30 s, then
    /// end it), or continue and note the gap. Of a daemon's recordings its configuration says it
    #[arg(long, value_name = "POLICY", default_value = "hold", value_parser = parse_on_loss,
        requires = "out")]
    pub(crate) on_loss: OnLoss,
    /// Sign with this key (PEM, as `hansard keygen` or `openssl genpkey -algorithm ed25519` make
    /// it) instead of one made for this recording
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(crate) key: Option<PathBuf>,
    /// A title, kept in the header
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// A prompt after which nothing typed is kept until Enter (may be given more than once;
    /// replaces the built-in ones)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) prompt: Vec<String>,
    /// The program and its arguments; your shell if there is none
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Options of `play`.
#[derive(Debug, Args)]
pub(crate) struct PlayArgs {
    /// A session of the service (its UUID), or a file in any format that can be read
    #[arg(
        required = false,
        required_unless_present = "reader",
        default_value_if("reader", "journal", crate::journal::ANY)
    )]
    pub(crate) file: PathBuf,
    /// How fast: 1 is as it was, 0.0625 to 64
    #[arg(short, long, default_value_t = 1.0, value_name = "FACTOR")]
    pub(crate) speed: f64,
    /// Let no pause last longer than this many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = number)]
    pub(crate) idle_limit: Option<f64>,
    /// Begin at this moment: seconds, [H:]M:S, or 1h2m3s
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    pub(crate) at: Option<Moment>,
    /// Begin paused
    #[arg(short, long)]
    pub(crate) paused: bool,
    /// Begin with host events beside the screen: what was really done
    #[arg(long)]
    pub(crate) events: bool,
    /// Go on when the recording grows
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Options of `cat`.
#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    /// A session of the service (its UUID), or a file in any format that can be read; `-` is
    /// standard input
    #[arg(
        required = false,
        required_unless_present = "reader",
        default_value_if("reader", "journal", crate::journal::ANY)
    )]
    pub(crate) file: PathBuf,
    /// Send a terminal every sequence, also those that change its state or make it answer
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Options of `info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A session of the service (its UUID), or a file in any format that can be read; `-` is
    /// standard input
    #[arg(
        required = false,
        required_unless_present = "reader",
        default_value_if("reader", "journal", crate::journal::ANY)
    )]
    pub(crate) file: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Sessions of the service (their UUIDs), or files; `-` is standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Accept only this signer, or signers that this authority has certified (public key or
    /// certificate, PEM; may be given more than once)
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Vec<PathBuf>,
    /// Answer in JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing; the exit status is the answer
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Options of `screen`.
#[derive(Debug, Args)]
pub(crate) struct ScreenArgs {
    /// A session of the service (its UUID), or a file in any format that can be read
    pub(crate) file: PathBuf,
    /// Which moment: seconds, [H:]M:S, 1h2m3s, or `end`
    #[arg(
        long,
        value_name = "MOMENT",
        default_value = "end",
        allow_hyphen_values = true
    )]
    pub(crate) at: Moment,
    /// As a picture (SVG) instead of text
    #[arg(long, conflicts_with = "json")]
    pub(crate) svg: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Options of `search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Of one session: what stood on the screen. Of all: words, "a phrase", begin*, field:value,
    /// /expression/
    pub(crate) text: String,
    /// A session of the service (its UUID), or a file in any format that can be read; without it,
    /// every session of the service is searched
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) filter: SearchFilterArgs,
    /// Stop after this many findings
    #[arg(short, long, default_value_t = 1000, value_name = "N", value_parser = at_least_one)]
    pub(crate) limit: usize,
    /// Answer in JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Which sessions of the service are searched.
#[derive(Debug, Default, Args)]
pub(crate) struct SearchFilterArgs {
    /// Not before: 30m, 2h, 7d ago, 2026-11-21 or 2026-11-21T08:00 (UTC)
    #[arg(long, value_name = "TIME", conflicts_with = "file")]
    pub(crate) since: Option<String>,
    /// Before, as --since
    #[arg(long, value_name = "TIME", conflicts_with = "file")]
    pub(crate) until: Option<String>,
    /// Only sessions of this user
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub(crate) user: Option<String>,
    /// Only on this host
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub(crate) host: Option<String>,
    /// Only of this kind: terminal, exec, host, …
    #[arg(long, value_name = "KIND", conflicts_with = "file")]
    pub(crate) kind: Option<String>,
    /// Go on where a search for the same ended
    #[arg(long, value_name = "CURSOR", conflicts_with = "file")]
    pub(crate) cursor: Option<String>,
}

/// Options of `convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Into which format
    #[arg(long, value_name = "FORMAT", value_parser = formats(Format::is_writable))]
    pub(crate) to: Format,
    /// Only what happened between two moments, such as `1:30..2:00`, `90..` or `..1h`; it begins with the
    /// screen as it was
    #[arg(long, value_name = "FROM..UNTIL")]
    pub(crate) clip: Option<Stretch>,
    /// Replace the output if it exists; never what is converted
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Sign a Hansard recording with this key (PEM) instead of one made for it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// A session of the service (its UUID), or a file; `-` is standard input
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// Where to; `-` is standard output
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
}

/// Options of `keygen`.
#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// Where to write the private key (PEM); its public half goes to FILE.pub
    pub(crate) file: PathBuf,
}

/// Names of the formats that can do this, for help, completion and errors alike.
fn formats(can: fn(Format) -> bool) -> impl TypedValueParser<Value = Format> {
    let names = Format::ALL.into_iter().filter(|format| can(*format));
    PossibleValuesParser::new(names.map(Format::as_str)).try_map(|name| name.parse::<Format>())
}

/// A number as pauses are given.
fn number(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "not a number from 0 on, as 2 or 0.5".to_owned())
}

fn parse_on_loss(word: &str) -> Result<OnLoss, String> {
    OnLoss::parse(word).ok_or_else(|| "not one of: end, hold, continue".to_owned())
}
