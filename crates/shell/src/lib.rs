//! Runs a program on a terminal of its own, or over pipes, and records what passes.
//!
//! [`run`] is the whole of it: it looks at what standard input and output are, chooses between a
//! pty and pipes, and returns how the program ended. It is the only code that opens a pty. No
//! runtime: one poll loop in the calling thread; compressing and writing happen behind the
//! [`Tape`], never between the program and the screen (unless strict mode asks for that).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::print_stdout
    )
)]

mod accounts;
mod child;
mod command;
mod describe;
mod error;
mod exit;
mod fds;
mod held;
mod hidden;
mod holders;
mod inner;
mod lane;
mod limits;
mod line;
mod login;
mod options;
mod outlet;
mod pam;
mod pipes;
mod prompt;
mod pty;
mod pty_run;
mod refused;
mod run;
mod served;
mod signals;
mod sys;
mod tape;
mod terminal;
mod tlog_conf;
mod viewer;

pub use accounts::{Account, account_named, account_of, group_of, groups_of};
pub use command::Command;
pub use describe::{Description, describe, login_uid, subject_of};
pub use error::ShellError;
pub use exit::{Ending, Exit};
pub use held::{Given, Held, Line, OnItsWay, Over, ToKeep, Word, terminal_device};
pub use login::{
    BREAK_GLASS_DIR, CAPTURE_SOCKET, STATUS_REFUSED, TLOG_SHELL, log_in, may_break_glass,
};
pub use options::Options;
pub use pam::{Answer, Keeper, Prompt, Questions, Step, keep_session};
pub use prompt::{PROMPTS_DEFAULT, PatternError, Prompts};
pub use run::{Mode, mode, run};
pub use served::{Ends, Keys, Served, Service, Window};
pub use tape::{Tape, TapeLost};
pub use terminal::Echo;
pub use tlog_conf::{Remark, TLOG_CONF, TlogConf, tlog_configuration, tlog_shell_in};
pub use viewer::{Viewer, Woken};
