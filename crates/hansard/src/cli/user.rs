//! The commands about users who sign in.

use clap::{Args, Subcommand};

use super::{PageArgs, ServiceArgs};

/// Options of `user`.
#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

/// What is done with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user; asks for the password, or reads it from standard input
    #[command(after_help = "What is recorded of an account of the same name is the user's own.")]
    Add {
        /// The name to sign in with
        name: String,
        /// What the user may
        #[arg(long, value_parser = ["admin", "auditor", "reviewer", "user"])]
        role: String,
        /// Ask for no code besides the password
        #[arg(long)]
        no_totp: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List users
    Ls {
        #[command(flatten)]
        page: PageArgs,
        /// Answer in JSON, one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Remove a user, and sign the user out
    Rm {
        /// The name
        name: String,
        /// Why; goes into the service's record
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Set a user's password, and sign the user out
    Passwd {
        /// The name
        name: String,
        /// Make another secret for the authenticator, too
        #[arg(long)]
        new_totp: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
}
