//! The commands of those who sign in and go to hosts, and of who locks them out.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{PageArgs, ServiceArgs};
use crate::service::long_s;

/// Options of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The service's web server, as https://hansard.example.org [default: the one of the last time]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Who you are there [default: who you were the last time, or your account's name]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// How long it is to hold, at most what your roles say: 30m, 8h
    #[arg(long, default_value = "8h", value_name = "DURATION", value_parser = long_s)]
    pub(crate) ttl: u64,
    /// Where the SSH proxy is, as HOST:PORT, if not where the service says
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) proxy: Option<String>,
    /// Believe these authorities (PEM) about the server's certificate, and not those of the system
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Keep the key in a file, readable by you alone, also where an agent is
    #[arg(long)]
    pub(crate) no_agent: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `ssh` and `scp`.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The host is a node: go straight to it, not through the proxy
    #[arg(long)]
    pub(crate) node: bool,
    /// What ssh(1) or scp(1) takes
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "ARGUMENT"
    )]
    pub(crate) args: Vec<OsString>,
}

/// Options of `ssh-config`.
#[derive(Debug, Args)]
pub(crate) struct SshConfigArgs {
    /// Hosts that are reached so, as ssh_config(5) has patterns [default: what the proxy leads to, and the node]
    #[arg(value_name = "PATTERN")]
    pub(crate) hosts: Vec<String>,
}

/// Options of `lock`.
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) command: LockCommand,
}

/// What is done with locks.
#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Lock somebody or something: sessions end, new ones are refused, no certificate is issued
    Add {
        /// user:NAME, role:NAME, login:ACCOUNT, host:NAME or session:ID
        target: String,
        /// For how long: 30m, 8h, 7d [default: until it is lifted]
        #[arg(long, value_name = "DURATION", value_parser = long_s)]
        ttl: Option<u64>,
        /// What they are told; goes into the record
        #[arg(long, value_name = "WORDS", default_value = "")]
        message: String,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// List locks that hold
    Ls {
        #[command(flatten)]
        page: PageArgs,
        /// Answer in JSON, one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: ServiceArgs,
    },
    /// Lift a lock
    Rm {
        /// Its name, as `lock ls` shows it
        name: String,
        /// Why; goes into the record
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
        #[command(flatten)]
        service: ServiceArgs,
    },
}
