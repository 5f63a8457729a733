//! The commands about the policy.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ServiceArgs;

/// Options of `policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// What is done with the policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show the policy in force
    Get {
        /// This version instead
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        /// Answer in JSON, with version, digest, and who set it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Set the policy, for all hosts; it decides from the next login on
    Set {
        /// Its text, YAML; `-` is standard input
        file: PathBuf,
        /// Only if this version is in force now; 0: if none was set
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
        /// Why; goes into the record
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Say what is decided for a login
    Test(TestArgs),
}

/// Options of `policy test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Name of the account
    #[arg(long, value_name = "NAME")]
    pub(crate) user: String,
    /// Its number
    #[arg(long, value_name = "N")]
    pub(crate) uid: Option<u32>,
    /// A group that it is in; again for each
    #[arg(long = "group", value_name = "NAME")]
    pub(crate) groups: Vec<String>,
    /// On the host of this name [default: the service's own]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Kind of session: terminal or exec
    #[arg(long, value_name = "KIND", default_value = "terminal")]
    pub(crate) kind: String,
    /// Decide by this text, which is not set; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}
