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
        /// A role: one of admin, auditor, reviewer and user (which it is otherwise) for what the user may at the
        /// service; others, and those, for what the user may over SSH. May be given more than once
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
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
    /// Give a user other roles than those there are, besides what the user may at the service
    Roles {
        /// The name
        name: String,
        /// The roles; without any the user has none of them any more
        roles: Vec<String>,
        /// Answer in JSON
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
