//! The command line of `host enable`, `disable` and `status`: what concerns this machine.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which machine.
#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    /// The machine whose files are under this directory, an image, instead of this one
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// Where hansard-shell is on it, if not in /usr/bin or /usr/local/bin
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
}

/// Options of `host enable`.
#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    #[command(flatten)]
    pub(crate) root: RootArgs,
    /// Also where the daemon does not answer, or sshd cannot be asked: accounts that are recorded
    /// cannot log in until the daemon does
    #[arg(long)]
    pub(crate) unchecked: bool,
    #[command(subcommand)]
    pub(crate) way: EnableWay,
}

/// How logins come to the recorder.
#[derive(Debug, Subcommand)]
pub(crate) enum EnableWay {
    /// As the login shell of accounts of /etc/passwd: console, ssh, su, sudo -i
    Shell {
        /// The accounts
        #[arg(value_name = "USER", required_unless_present = "all")]
        users: Vec<String>,
        /// All accounts of people: those with a shell of /etc/shells and a number from login.defs;
        /// root only if it is named
        #[arg(long)]
        all: bool,
    },
    /// By ForceCommand of OpenSSH's server: ssh only
    Sshd {
        /// Only these accounts, not all
        #[arg(long, value_name = "NAME")]
        user: Vec<String>,
        /// Only accounts in these groups
        #[arg(long, value_name = "NAME")]
        group: Vec<String>,
    },
    /// By SSSD's session recording, for accounts of a directory, too
    Sssd {
        /// Whom: none, some (of --user and --group), or all
        #[arg(long, default_value = "some", value_parser = ["none", "some", "all"])]
        scope: String,
        /// These accounts (scope some)
        #[arg(long, value_name = "NAME")]
        user: Vec<String>,
        /// Accounts in these groups (scope some)
        #[arg(long, value_name = "NAME")]
        group: Vec<String>,
        /// All but these accounts (scope all)
        #[arg(long, value_name = "NAME")]
        exclude_user: Vec<String>,
        /// All but accounts in these groups (scope all)
        #[arg(long, value_name = "NAME")]
        exclude_group: Vec<String>,
    },
}

/// Options of `host disable`.
#[derive(Debug, Args)]
pub(crate) struct DisableArgs {
    #[command(flatten)]
    pub(crate) root: RootArgs,
    #[command(subcommand)]
    pub(crate) way: DisableWay,
}

/// What is taken back.
#[derive(Debug, Subcommand)]
pub(crate) enum DisableWay {
    /// Gives accounts the shell they had
    Shell {
        /// The accounts; without any, all that `enable` changed
        #[arg(value_name = "USER")]
        users: Vec<String>,
    },
    /// Removes what forces ssh
    Sshd,
    /// Removes what SSSD was told
    Sssd,
}

/// Options of `host status`.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    #[command(flatten)]
    pub(crate) root: RootArgs,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}
