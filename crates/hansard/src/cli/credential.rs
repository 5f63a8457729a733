//! The commands about credentials for targets of the SSH proxy.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{PageArgs, ServiceArgs};

/// Options of `credential`.
#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    #[command(subcommand)]
    pub(crate) command: CredentialCommand,
}

/// What is done with credentials.
#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Keep a private key or a password, sealed; a password is asked for, or piped in
    #[command(
        after_help = "It is used where capture.proxy.target_sign_in has `credential`. Nothing ever shows it again."
    )]
    Add {
        /// By what it is to be known
        name: String,
        /// For which targets, as HOST:PORT: a rule as capture.proxy.targets has them
        #[arg(long, value_name = "HOST:PORT")]
        target: String,
        /// For which account there
        #[arg(short, long, value_name = "NAME")]
        login: String,
        /// The file of the private key, as ssh-keygen writes it, without a passphrase
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List them, without their secrets
    Ls {
        #[command(flatten)]
        page: PageArgs,
        /// Answer in JSON, one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Keep another secret in the place of one
    Replace {
        /// Its name
        name: String,
        /// The file of the private key; without it a password is asked for
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Remove one
    Rm {
        /// Its name
        name: String,
        /// Why; goes into the record
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Seal all of them with another key, and give up the one before
    Rotate {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
}
