//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::CONFIG_PATH;
use crate::journal::Style;

/// The command that opens a session.
pub const KEEP_SESSION: &str = "keep-session";

/// Keep the record of what people do here, or of what many hosts report
#[derive(Debug, Parser)]
#[command(name = "hansardd", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 done; 1 something failed that may pass; 2 wrong use, or a \
configuration with errors; 3 the data directory is not initialised, or is already; 4 another process \
holds it; 5 stopped before everything was done, which waits in the spool."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with the configuration, and what contradicts itself
    Check(CheckArgs),
    /// Make data directory, keys and stores; nothing else does
    Init(InitArgs),
    /// Do everything that the configuration switches on, until told to stop
    Run(RunArgs),
    /// Build the catalog anew from the archive, while the daemon is stopped
    Reindex(ReindexArgs),
    /// Look at everything the daemon needs, and say what to do
    Doctor(CheckArgs),
    /// Write messages of tlog that come over standard input; the daemon runs this itself
    #[command(hide = true)]
    TlogWriter(TlogWriterArgs),
    /// Have PAM open a session and run a program in it; the daemon runs this itself
    #[command(hide = true, name = KEEP_SESSION)]
    KeepSession {
        /// Number of the descriptor that the daemon speaks through
        descriptor: String,
    },
    /// Write a completion script for a shell to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write man pages into a directory
    Man {
        /// Where to; made if it is not there
        directory: PathBuf,
    },
}

/// Which configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[arg(long, value_name = "FILE", help = CONFIG_HELP)]
    /// The file; the usual one if none is given.
    pub config: Option<PathBuf>,
}

const CONFIG_HELP: &str = "The configuration [default: /etc/hansard/hansard.yaml; without it, one \
machine that records and keeps]";

/// `check`, `doctor`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// First write the configuration of one machine that records and keeps, where there is none
    #[arg(long, conflicts_with = "join")]
    pub all_in_one: bool,
    /// Name of the cluster that begins here
    #[arg(long, value_name = "NAME", default_value = crate::init::CLUSTER, conflicts_with = "join")]
    pub cluster: String,
    /// Join the cluster of this service instead; can be given several times
    #[arg(long, value_name = "HOST:PORT", requires = "ca_pin")]
    pub join: Vec<String>,
    /// The token to join with; others see it in the list of processes, so better use --token-file
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with = "token_file",
        requires = "join"
    )]
    pub token: Option<String>,
    /// A file with the token to join with; - is standard input
    #[arg(long, value_name = "FILE", requires = "join")]
    pub token_file: Option<PathBuf>,
    /// Digest of the cluster's authority, sha256:…, as its `hansardd init` said
    #[arg(long, value_name = "PIN", requires = "join")]
    pub ca_pin: Option<String>,
}

/// `tlog-writer`.
#[derive(Debug, Args)]
pub struct TlogWriterArgs {
    /// file, syslog or journal
    #[arg(long, value_parser = ["file", "syslog", "journal"])]
    pub writer: String,
    /// Number of syslog's facility
    #[arg(long, default_value_t = 10)]
    pub facility: u8,
    /// Number of the priority
    #[arg(long, default_value_t = 6)]
    pub priority: u8,
    /// Give the journal tlog's fields, too
    #[arg(long)]
    pub augment: bool,
    /// The file or socket
    pub path: PathBuf,
}

/// `reindex`.
#[derive(Debug, Args)]
pub struct ReindexArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Write the event log anew as well; the old one stays beside it
    #[arg(long)]
    pub event_log: bool,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How lines of the log look [default: what suits standard error]
    #[arg(long, value_enum)]
    pub log: Option<LogStyle>,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogStyle {
    /// With a time, for people
    Plain,
    /// With a priority, for journald
    Journal,
    /// A JSON object each
    Json,
}

impl From<LogStyle> for Style {
    fn from(style: LogStyle) -> Self {
        match style {
            LogStyle::Plain => Self::Plain,
            LogStyle::Journal => Self::Priority,
            LogStyle::Json => Self::Json,
        }
    }
}

impl ConfigArgs {
    /// The file that is meant, whether or not it is there.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| CONFIG_PATH.into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        assert!(CONFIG_HELP.contains(CONFIG_PATH));
        let init = [
            "hansardd",
            "init",
            "--join",
            "a",
            "--ca-pin",
            "x",
            "--cluster",
            "b",
        ];
        assert!(Cli::try_parse_from(init).is_err(), "found or join");
        assert!(
            Cli::try_parse_from(["hansardd", "init", "--join", "a"]).is_err(),
            "no pin"
        );
        assert!(Cli::try_parse_from(["hansardd", "init"]).is_ok());
    }
}
