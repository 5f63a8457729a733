//! OpenSSH's server: a `ForceCommand` of ours, in a file of its own.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::plain_names;
use super::root::Root;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};

/// The server.
pub(super) const SSHD: &str = "/usr/sbin/sshd";

const CONFIG: &str = "/etc/ssh/sshd_config";
const DIRECTORY: &str = "/etc/ssh/sshd_config.d";

/// Ours, before all others: of two settings sshd takes the first.
pub(super) const OURS: &str = "/etc/ssh/sshd_config.d/00-hansard.conf";
const MODE: u32 = 0o644;

/// What sshd calls its own server of files.
const OWN_SFTP: &str = "internal-sftp";

const HEAD: &str =
    "# Written by `hansard host enable sshd`; `hansard host disable sshd` removes it.\n";

const NEXT: &str =
    "next: sshd takes it when it reads its files again (systemctl reload ssh, or sshd)";

/// Has logins over ssh recorded.
pub(super) fn enable(
    root: &Root,
    program: &str,
    (users, groups): (&[String], &[String]),
    unchecked: bool,
) -> Result<Vec<String>, Failure> {
    plain_names(users)?;
    plain_names(groups)?;
    let config = root.read(CONFIG)?;
    if !config.as_deref().is_some_and(includes) {
        let message = format!("{CONFIG} does not include {DIRECTORY}/*.conf");
        return Err(Failure::new(STATUS_WRONG_USE, message).hint(format!(
            "write `Include {DIRECTORY}/*.conf` as its first line"
        )));
    }
    let text = text(program, users, groups);
    if let Some(there) = root.read(OURS)? {
        if there == text {
            return Ok(vec![format!("{OURS}: is as it should be already")]);
        }
        ours(&there)?;
    }
    if !unchecked {
        check(root, &text)?;
    }
    root.replace(OURS, &text, MODE)?;
    Ok(vec![format!("{OURS}: is written"), NEXT.to_owned()])
}

/// Removes it.
pub(super) fn disable(root: &Root) -> Result<Vec<String>, Failure> {
    match root.read(OURS)? {
        None => Ok(vec![format!("{OURS}: is not there")]),
        Some(there) => {
            ours(&there)?;
            root.remove(OURS)?;
            Ok(vec![format!("{OURS}: is removed"), NEXT.to_owned()])
        }
    }
}

/// Whether this configuration takes in the directory's files for everybody: before the first `Match`.
fn includes(config: &str) -> bool {
    let lines = config.lines().map(str::trim_start);
    let mut lines = lines.take_while(|line| !line.to_lowercase().starts_with("match"));
    lines.any(|line| {
        let mut words = line.split_whitespace();
        let keyword = words.next().unwrap_or("").to_lowercase();
        keyword == "include"
            && words.any(|path| {
                let path = path.trim_matches('"');
                path == format!("{DIRECTORY}/*.conf") || path == "sshd_config.d/*.conf"
            })
    })
}

/// In `Match` also for everybody: it goes before what stands outside of one.
fn text(program: &str, users: &[String], groups: &[String]) -> String {
    let mut blocks = Vec::new();
    if !users.is_empty() {
        blocks.push(format!("User {}", users.join(",")));
    }
    if !groups.is_empty() {
        blocks.push(format!("Group {}", groups.join(",")));
    }
    if blocks.is_empty() {
        blocks.push("all".to_owned());
    }
    blocks.iter().fold(HEAD.to_owned(), |text, block| {
        format!("{text}Match {block}\n    ForceCommand {program}\n")
    })
}

fn ours(there: &str) -> Result<(), Failure> {
    if there.starts_with(HEAD) {
        return Ok(());
    }
    let message = format!("{OURS} is there and was not written by `hansard host enable`");
    Err(Failure::new(STATUS_WRONG_USE, message).hint("move it away"))
}

/// Has sshd itself read everything as it would be.
fn check(root: &Root, text: &str) -> Result<(), Failure> {
    if !root.has(SSHD) {
        let message = format!("{SSHD} is not there to check the configuration");
        return Err(Failure::new(STATUS_WRONG_USE, message)
            .hint("install OpenSSH's server, or say --unchecked"));
    }
    let draft = root.draft(OURS, text)?;
    let inside = |draft: &PathBuf| {
        let inside = draft.strip_prefix(root.dir()).unwrap_or(draft);
        format!("/{}", inside.display())
    };
    let whole = format!("Include {}\nInclude {CONFIG}\n", inside(&draft));
    let whole = root.draft(CONFIG, &whole);
    let checked = whole.and_then(|whole| {
        let ran = asking(root, "root", Some(&inside(&whole))).output();
        let checked = ran.map_err(|e| Failure::about(&root.at(SSHD), &e));
        let _ = std::fs::remove_file(whole);
        checked
    });
    // Nothing reads a draft that stays.
    let _ = std::fs::remove_file(draft);
    let checked = checked?;
    if !checked.status.success() {
        return Err(refused(&checked));
    }
    match Served::of(&String::from_utf8_lossy(&checked.stdout)).has_own_sftp {
        false => Ok(()),
        true => Err(Failure::new(
            STATUS_WRONG_USE,
            "sshd serves files itself (`Subsystem sftp internal-sftp`), which is no command to be recorded",
        )
        .hint("write `Subsystem sftp /usr/lib/openssh/sftp-server`, or say --unchecked: then sftp ends at once")),
    }
}

fn refused(checked: &Output) -> Failure {
    let why = String::from_utf8_lossy(&checked.stderr)
        .trim()
        .replace('\n', "; ");
    let why = hansard_view::escape_for_humans(&why).into_owned();
    Failure::new(
        STATUS_WRONG_USE,
        format!("sshd does not take the configuration: {why}"),
    )
    .hint("nothing was changed; `sshd -t` says whether it took the one before")
}

/// What sshd does with an account.
pub(super) struct Served {
    /// The command that it forces on it.
    pub(super) forced: Option<String>,
    /// Whether sshd itself serves files.
    pub(super) has_own_sftp: bool,
}

impl Served {
    pub(super) fn forces_recorder(&self) -> bool {
        let first = self
            .forced
            .as_deref()
            .and_then(|c| c.split_whitespace().next());
        first.is_some_and(|program| program.ends_with("/hansard-shell"))
    }

    pub(super) fn forces_own_sftp(&self) -> bool {
        let forced = self.forced.as_deref().unwrap_or("");
        forced.starts_with(OWN_SFTP)
    }

    fn of(said: &str) -> Self {
        let value = |name: &str| {
            let mut lines = said.lines();
            lines
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .map(str::trim)
        };
        Self {
            forced: value("forcecommand")
                .filter(|c| *c != "none")
                .map(str::to_owned),
            has_own_sftp: value("subsystem sftp").is_some_and(|with| with.starts_with(OWN_SFTP)),
        }
    }
}

/// By sshd's own word; `Err` where it cannot be asked.
pub(super) fn served(root: &Root, user: &str) -> Result<Served, String> {
    let ran = asking(root, user, None).output();
    let output = ran.map_err(|e| format!("{}: {e}", shown(&root.at(SSHD))))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(why
            .lines()
            .last()
            .unwrap_or("sshd -T fails")
            .trim()
            .to_owned());
    }
    Ok(Served::of(&String::from_utf8_lossy(&output.stdout)))
}

/// Has sshd read its files, or this one, and say what holds for an account.
fn asking(root: &Root, user: &str, file: Option<&str>) -> Command {
    let mut sshd = root.command(SSHD);
    sshd.args([
        "-T",
        "-C",
        &format!("user={user},host=localhost,addr=127.0.0.1"),
    ]);
    sshd.args(file.into_iter().flat_map(|file| ["-f", file]))
        .stdin(Stdio::null());
    sshd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_include_must_be_for_everybody() {
        let line = "Include /etc/ssh/sshd_config.d/*.conf\n";
        assert!(includes(line) && includes(&format!("# x\nPort 22\n  {line}Match all\n")));
        assert!(includes("include \"sshd_config.d/*.conf\""));
        assert!(!includes(&format!("#{line}")) && !includes(&format!("Match User a\n{line}")));
        assert!(!includes("Include /etc/ssh/other/*.conf"));
    }

    #[test]
    fn users_and_groups_are_blocks_of_their_own() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let both = text(
            "/usr/bin/hansard-shell",
            &names(&["a", "b"]),
            &names(&["g"]),
        );
        assert!(
            both.contains(
                "Match User a,b\n    ForceCommand /usr/bin/hansard-shell\nMatch Group g\n"
            )
        );
        assert!(text("/x", &[], &[]).ends_with("Match all\n    ForceCommand /x\n"));
    }
}
