//! The commands about links for people without an account.

use clap::{Args, Subcommand};
use hansard_core::SessionId;

use super::{PageArgs, ServiceArgs};
use crate::moment::Stretch;
use crate::service::{Time, long_s};

/// Options of `share`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ShareArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ShareCommand>,
    /// The session; it must have ended
    #[arg(required = true)]
    pub(crate) session: Option<SessionId>,
    /// Who the link is for; stands across the screen, and in the record of looks
    #[arg(long = "for", value_name = "NAME", required = true)]
    pub(crate) viewer: Option<String>,
    /// How long it holds, at most 90 days: 12h, 7d
    #[arg(long, value_name = "DURATION", value_parser = long_s, conflicts_with = "until")]
    pub(crate) ttl: Option<u64>,
    /// Until when it holds (UTC) [default: for 7 days]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Time>,
    /// Only this stretch of it: 1:30..2:00, 90.., ..1h
    #[arg(long, value_name = "FROM..UNTIL")]
    pub(crate) clip: Option<Stretch>,
    /// Why; goes into the record
    #[arg(long, value_name = "WORDS")]
    pub(crate) reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// What is done with links that there are.
#[derive(Debug, Subcommand)]
pub(crate) enum ShareCommand {
    /// List links, without their secrets
    Ls {
        /// To this session
        #[arg(long, value_name = "ID")]
        session: Option<SessionId>,
        #[command(flatten)]
        page: PageArgs,
        /// Answer in JSON, one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Revoke a link: it opens nothing from now on
    Rm {
        /// Its name, as `share ls` shows it
        name: String,
        /// Why; goes into the record
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
        #[command(flatten)]
        service: ServiceArgs,
    },
}
