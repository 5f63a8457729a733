//! The commands that ask a service.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hansard_core::SessionId;

use super::machine::{CoverageArgs, DisableArgs, EnableArgs};
use crate::service::{Time, long_s};

/// Which service is asked.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct ServiceArgs {
    /// The service's admin socket [default: admin.sock in $HANSARD_RUNTIME_DIR, or in /run/hansard]
    #[arg(long, value_name = "PATH", conflicts_with = "remote")]
    pub(crate) socket: Option<PathBuf>,
    /// Ask the service that `hansard login` signed in at, as whoever signed in
    #[arg(long)]
    pub(crate) remote: bool,
}

/// Options of everything that looks at a session of a service.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct LookArgs {
    /// Why you look at a session of the service; goes into its record of looks
    #[arg(long, value_name = "WORDS")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// What is listed.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// The same as --since
    #[arg(long, value_name = "TIME", value_parser = Time::since)]
    pub(crate) from: Option<Time>,
    /// Before, as --since
    #[arg(long, value_name = "TIME", value_parser = Time::since)]
    pub(crate) until: Option<Time>,
    /// Not before: 30m, 2h, 7d ago, 2026-11-21 or 2026-11-21T08:00 (UTC)
    #[arg(long, value_name = "TIME", conflicts_with = "from", value_parser = Time::since)]
    pub(crate) since: Option<Time>,
    /// Of this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// On this host
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Of this kind: terminal, exec, host, …
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
}

/// How much of a listing is shown.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Show this many; says so when there are more
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    pub(crate) limit: usize,
    /// Show all, however many
    #[arg(short, long, conflicts_with = "limit")]
    pub(crate) all: bool,
    /// Go on where a listing with the same filters ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    let n = text.parse::<usize>().ok().filter(|n| *n > 0);
    n.ok_or_else(|| "not a number of at least 1".to_owned())
}

/// Options of `ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// The oldest first instead of the newest
    #[arg(long)]
    pub(crate) oldest: bool,
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// Answer in JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The session
    pub(crate) session: SessionId,
    /// Its events instead, all of them in their order: with host events, what was really done
    #[arg(long)]
    pub(crate) events: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Options of `events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Of this name, such as session.start
    #[arg(long, value_name = "NAME")]
    pub(crate) event: Option<String>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<SessionId>,
    /// Show what comes, as it comes, until interrupted
    #[arg(short, long, conflicts_with_all = ["until", "all", "limit", "oldest"])]
    pub(crate) follow: bool,
    /// The oldest first instead of the newest
    #[arg(long)]
    pub(crate) oldest: bool,
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// Answer in JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// Options of `follow`.
#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// The session
    pub(crate) session: SessionId,
    /// Print the service's lines: the screen so far, then each event
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Options of `kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// The session
    pub(crate) session: SessionId,
    /// Why; goes into the record
    #[arg(long, value_name = "WORDS")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// Options of `hold`.
#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    #[command(subcommand)]
    pub(crate) command: HoldCommand,
}

/// What is done with holds.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Hold a session: no rule deletes it
    Add {
        /// The session
        session: SessionId,
        /// Why; goes into the record
        #[arg(long, value_name = "WORDS")]
        reason: String,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List the sessions that are held
    Ls {
        #[command(flatten)]
        page: PageArgs,
        /// Answer in JSON, one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Lift a session's hold
    Rm {
        /// The session
        session: SessionId,
        /// Why; goes into the record
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// Options of `token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token that hosts join with; it is said this once
    Create {
        /// What one joins as
        #[arg(long, default_value = "host", value_parser = ["host"])]
        role: String,
        /// How long it holds, at most 30 days: 30m, 1h, 7d
        #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = long_s)]
        ttl: u64,
        /// How often it can be used, at most 1000 times
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: u32,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List tokens, without their secrets
    Ls {
        #[command(flatten)]
        page: PageArgs,
        /// Answer in JSON, one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Remove a token
    Rm {
        /// Its name, as `token ls` shows it
        name: String,
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// Options of `host`.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    #[command(subcommand)]
    pub(crate) command: HostCommand,
}

/// What is done with hosts.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Have logins of this machine recorded
    Enable(EnableArgs),
    /// Take back what `enable` did
    Disable(DisableArgs),
    /// Say which logins of this machine are recorded, and which are not
    Status(CoverageArgs),
    /// List the hosts that joined
    Ls {
        #[command(flatten)]
        page: PageArgs,
        /// Answer in JSON, one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Lock a host out, also where it is connected
    Lock {
        /// Its identifier, as `host ls` shows it
        id: String,
        /// Why; goes into the record
        #[arg(long, value_name = "WORDS")]
        reason: String,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Lift a host's lock
    Unlock {
        /// Its identifier, as `host ls` shows it
        id: String,
        /// Why; goes into the record
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// Options of `cert`.
#[derive(Debug, Args)]
pub(crate) struct CertArgs {
    #[command(subcommand)]
    pub(crate) command: CertCommand,
}

/// What is done about SSH certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Issue a certificate for somebody's public key
    Sign(SignArgs),
    /// Print the public key that signs people's certificates
    Authority {
        /// The one that signs hosts' certificates instead
        #[arg(long)]
        host: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
}

/// Options of `cert sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The public key, as in ~/.ssh/id_ed25519.pub
    #[arg(value_name = "KEY.pub")]
    pub(crate) key: PathBuf,
    /// An account that it lets into; may be given more than once
    #[arg(short, long, value_name = "NAME", required = true)]
    pub(crate) login: Vec<String>,
    /// Who it is for [default: the first login]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// How long it holds, at most 7 days: 30m, 8h, 7d
    #[arg(long, default_value = "8h", value_name = "DURATION", value_parser = long_s)]
    pub(crate) ttl: u64,
    /// An address or network that it may be used from; may be given more than once
    #[arg(long, value_name = "NETWORK")]
    pub(crate) from: Vec<String>,
    /// The one command that it runs, whatever is asked for
    #[arg(long, value_name = "COMMAND")]
    pub(crate) run: Option<String>,
    /// Where to write it [default: KEY-cert.pub, where ssh looks for it]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}
