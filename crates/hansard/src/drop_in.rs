//! The client under its other names: `hansard-shell`, and `tlog-rec-session`, as which SSSD, `sshd` and
//! `su` start it where tlog recorded before.
//!
//! By either name it does the same. Of tlog's words those count that say how the shell is started;
//! what is recorded, and where it goes, no word and no variable says.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// SSSD's word for the shell that the account really has.
pub(crate) const SHELL_VARIABLE: &str = "TLOG_REC_SESSION_SHELL";

/// What is said to `tlog-rec-session --help`.
pub(crate) const HELP: &str = "\
Usage: tlog-rec-session [-l] [-i] [FILE [ARG...]]
       tlog-rec-session -c [-l] [-i] COMMAND [NAME [ARG...]]
       tlog-rec-session --configuration | --version | --help

This is hansard-shell: a login shell that hands its terminal to hansardd, which records it, and
starts the account's own shell with these arguments. Of /etc/tlog/tlog-rec-session.conf the keys
shell and notice count; `hansardd check` says what does not.
";

/// What it was called for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// A login, as `hansard_shell::log_in` takes it.
    Login {
        /// The arguments, the name first.
        args: Vec<OsString>,
        /// By tlog's name: the shell that it was told to start, or nothing.
        tlog: Option<OsString>,
    },
    /// What Cockpit's page asks: tlog's configuration.
    Configuration,
    /// The version.
    Version,
    /// How to call it.
    Help,
}

/// What it was called for by these arguments; `None` where it is `hansard`. `wanted` is what
/// [`SHELL_VARIABLE`] says.
pub(crate) fn called(args: Vec<OsString>, wanted: Option<OsString>) -> Option<Called> {
    match name(args.first()?) {
        b"hansard-shell" => Some(Called::Login { args, tlog: None }),
        name if is_tlog(name) => Some(match asks(&args) {
            Some(asked) => asked,
            None => Called::Login {
                args: args_of_a_shell(args),
                tlog: Some(wanted.unwrap_or_default()),
            },
        }),
        _ => None,
    }
}

/// Whether the client, called so, is a login shell.
pub(crate) fn is_shell(called: &OsStr) -> bool {
    let name = name(called);
    name == b"hansard-shell" || is_tlog(name)
}

/// The name, without the dash of a login shell.
fn name(called: &OsStr) -> &[u8] {
    let name = Path::new(called).file_name().unwrap_or(called).as_bytes();
    name.strip_prefix(b"-").unwrap_or(name)
}

/// With a shell encoded in it (`tlog-rec-session-shell-bin-zsh`) or without. Which shell that is the
/// daemon reads in the user database, for a name can be made up.
fn is_tlog(name: &[u8]) -> bool {
    name == b"tlog-rec-session" || name.starts_with(b"tlog-rec-session-shell-")
}

/// A question about the program itself; shells have options of the same letters, but none asks a login
/// shell that.
fn asks(args: &[OsString]) -> Option<Called> {
    let [called, asked] = args else {
        return None;
    };
    if called.as_bytes().starts_with(b"-") {
        return None;
    }
    match asked.as_bytes() {
        b"--configuration" => Some(Called::Configuration),
        b"-v" | b"--version" => Some(Called::Version),
        b"-h" | b"--help" => Some(Called::Help),
        _ => None,
    }
}

/// tlog's long options as every shell knows them, up to the first word that is none.
fn args_of_a_shell(args: Vec<OsString>) -> Vec<OsString> {
    let mut words = args.into_iter();
    let mut all: Vec<OsString> = words.next().into_iter().collect();
    let mut is_option = true;
    all.extend(words.map(|word| {
        is_option = is_option && word.as_bytes().starts_with(b"-") && word != "--";
        match word.as_bytes() {
            b"--login" if is_option => "-l".into(),
            b"--interactive" if is_option => "-i".into(),
            b"--command" if is_option => "-c".into(),
            _ => word,
        }
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn login(args: &[&str], tlog: Option<&str>) -> Option<Called> {
        let (args, tlog) = (words(args), tlog.map(OsString::from));
        Some(Called::Login { args, tlog })
    }

    #[test]
    fn only_the_login_shell_is_the_login_shell() {
        for name in ["hansard-shell", "-hansard-shell", "/usr/bin/hansard-shell"] {
            assert_eq!(
                called(words(&[name]), Some("/x".into())),
                login(&[name], None)
            );
        }
        for name in [
            "hansard",
            "/usr/bin/hansard",
            "hansard-shell-x",
            "tlog-rec",
            "",
            "-",
        ] {
            assert_eq!(called(words(&[name, "-c", "x"]), None), None, "{name}");
        }
        assert_eq!(called(Vec::new(), None), None);
    }

    #[test]
    fn by_tlogs_name_it_takes_tlogs_words() {
        for name in [
            "tlog-rec-session",
            "-tlog-rec-session",
            "/usr/bin/tlog-rec-session",
            "tlog-rec-session-shell-bin-zsh",
            "-tlog-rec-session-shell-bin-zsh",
        ] {
            assert_eq!(called(words(&[name]), None), login(&[name], Some("")));
            let wanted = Some("/bin/zsh".into());
            assert_eq!(
                called(words(&[name]), wanted),
                login(&[name], Some("/bin/zsh"))
            );
        }
        for other in [
            "tlog-rec-session-x",
            "tlog-rec-sessionx",
            "xtlog-rec-session",
        ] {
            assert_eq!(called(words(&[other]), None), None, "{other}");
        }
    }

    #[test]
    fn options_are_the_shells() {
        let tlog = |args: &[&str]| called(words(&[&["tlog-rec-session"], args].concat()), None);
        let shell = |args: &[&str]| login(&[&["tlog-rec-session"], args].concat(), Some(""));
        assert_eq!(tlog(&["-c", "ls -l"]), shell(&["-c", "ls -l"]));
        assert_eq!(
            tlog(&["--login", "--command", "ls"]),
            shell(&["-l", "-c", "ls"])
        );
        assert_eq!(
            tlog(&["-i", "-c", "ls", "--login"]),
            shell(&["-i", "-c", "ls", "--login"])
        );
        assert_eq!(tlog(&["--", "--login"]), shell(&["--", "--login"]));
        assert_eq!(tlog(&["--configuration"]), Some(Called::Configuration));
        assert_eq!(tlog(&["-v"]), Some(Called::Version));
        assert_eq!(tlog(&["--help"]), Some(Called::Help));
        // A command of that name is a command, and a login shell is a shell.
        assert_eq!(tlog(&["-c", "--help"]), shell(&["-c", "--help"]));
        let at_login = ["-tlog-rec-session", "--version"];
        assert_eq!(called(words(&at_login), None), login(&at_login, Some("")));
    }
}
