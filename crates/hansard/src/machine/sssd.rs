//! SSSD's session recording: it names `/usr/bin/tlog-rec-session` as the shell of whom it matches, so
//! the recorder must be there under that name.

use super::root::Root;
use super::{TLOG, answers_to, plain_names};
use crate::failure::{Failure, STATUS_WRONG_USE};

const DIRECTORY: &str = "/etc/sssd";
const PARTS: &str = "/etc/sssd/conf.d";

/// The file that Cockpit's page writes, too.
pub(super) const OURS: &str = "/etc/sssd/conf.d/sssd-session-recording.conf";

/// SSSD reads no file that others can.
const MODE: u32 = 0o600;

const HEAD: &str =
    "# Written by `hansard host enable sssd`; `hansard host disable sssd` removes it.\n";

const NEXT: &str = "next: SSSD takes it at its next start (systemctl restart sssd)";

/// The keys of the four lists of names.
const KEYS: [&str; 4] = ["users", "groups", "exclude_users", "exclude_groups"];

/// Has SSSD name the recorder as the shell of whom it matches.
pub(super) fn enable(
    root: &Root,
    program: &str,
    scope: &str,
    names: [&[String]; 4],
) -> Result<Vec<String>, Failure> {
    for list in names {
        plain_names(list)?;
    }
    fits(scope, names)?;
    answers_to(TLOG)?;
    if !root.has(DIRECTORY) {
        let message = format!("{DIRECTORY} is not there: SSSD is not installed");
        return Err(Failure::new(STATUS_WRONG_USE, message)
            .hint("accounts of /etc/passwd need no SSSD: `hansard host enable shell`"));
    }
    let text = text(scope, names);
    let there = root.read(OURS)?;
    if let Some(there) = there.as_deref().filter(|there| *there != text) {
        ours(there)?;
    }
    let mut said = Vec::new();
    // First what SSSD will name: the other way round, a crash in between would leave accounts with
    // a shell that is not there.
    if link(root, program)? {
        said.push(format!("{TLOG}: is {program}"));
    }
    if there.as_deref() == Some(text.as_str()) {
        said.push(format!("{OURS}: is as it should be already"));
    } else {
        root.directory(PARTS)?;
        root.replace(OURS, &text, MODE)?;
        said.extend([format!("{OURS}: is written"), NEXT.to_owned()]);
    }
    if !asks_sssd_first(&root.read("/etc/nsswitch.conf")?.unwrap_or_default()) {
        said.push(
            "warning: /etc/nsswitch.conf asks `files` before `sss`, or not `sss` at all: SSSD is not \
             heard about accounts of /etc/passwd"
                .to_owned(),
        );
    }
    Ok(said)
}

/// Takes back the file first, and then the name that it needs.
pub(super) fn disable(root: &Root) -> Result<Vec<String>, Failure> {
    let mut said = Vec::new();
    match root.read(OURS)? {
        None => said.push(format!("{OURS}: is not there")),
        Some(there) => {
            ours(&there)?;
            root.remove(OURS)?;
            said.extend([format!("{OURS}: is removed"), NEXT.to_owned()]);
        }
    }
    if linked(root).is_some() {
        root.remove(TLOG)?;
        said.push(format!("{TLOG}: is removed"));
    }
    Ok(said)
}

fn fits(scope: &str, names: [&[String]; 4]) -> Result<(), Failure> {
    let given: Vec<&str> = KEYS
        .into_iter()
        .zip(names)
        .filter_map(|(key, list)| (!list.is_empty()).then_some(key))
        .collect();
    let wrong = |message: &str, hint: &str| Err(Failure::new(STATUS_WRONG_USE, message).hint(hint));
    match (scope, given.as_slice()) {
        ("some", []) => wrong(
            "nobody would be recorded",
            "name them: --user, --group, or --scope all",
        ),
        ("some", given) if given.iter().any(|key| key.starts_with("exclude")) => {
            wrong("SSSD excludes with the scope all only", "say --scope all")
        }
        ("all", given) if given.iter().any(|key| !key.starts_with("exclude")) => {
            wrong("the scope all is everybody", "leave --user and --group out")
        }
        ("none", [_, ..]) => wrong("the scope none is nobody", "leave the names out"),
        _ => Ok(()),
    }
}

fn text(scope: &str, names: [&[String]; 4]) -> String {
    let lists = KEYS.into_iter().zip(names);
    let lists = lists.filter(|(_, list)| !list.is_empty());
    lists.fold(
        format!("{HEAD}[session_recording]\nscope={scope}\n"),
        |text, (key, list)| format!("{text}{key}={}\n", list.join(", ")),
    )
}

fn ours(there: &str) -> Result<(), Failure> {
    if there.starts_with(HEAD) {
        return Ok(());
    }
    let message = format!("{OURS} is there and was not written by `hansard host enable`");
    Err(Failure::new(STATUS_WRONG_USE, message)
        .hint("change it where it comes from (Cockpit's page writes it), or move it away"))
}

/// Where the name leads, if it is a link to the recorder.
pub(super) fn linked(root: &Root) -> Option<String> {
    let to = std::fs::read_link(root.at(TLOG)).ok()?;
    let to = to.to_str()?;
    to.ends_with("/hansard-shell").then(|| to.to_owned())
}

/// Gives the recorder tlog's name; `false` where it has it.
fn link(root: &Root, program: &str) -> Result<bool, Failure> {
    match (linked(root), root.has(TLOG)) {
        (Some(to), _) if to == program => Ok(false),
        (None, false) => root.link(TLOG, program).map(|()| true),
        (Some(_), _) => {
            root.remove(TLOG)?;
            root.link(TLOG, program).map(|()| true)
        }
        (None, true) => {
            let message = format!("{TLOG} is there already: tlog's own recorder would be started");
            Err(Failure::new(STATUS_WRONG_USE, message).hint(format!(
                "remove the package tlog, or move it: dpkg-divert --rename --add {TLOG}"
            )))
        }
    }
}

/// Whether SSSD is asked about an account before `/etc/passwd`.
pub(super) fn asks_sssd_first(nsswitch: &str) -> bool {
    let line = nsswitch
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("passwd:"));
    let mut sources = line.unwrap_or("").split_whitespace();
    sources.find(|source| matches!(*source, "sss" | "files" | "compat")) == Some("sss")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_and_names_fit_or_are_refused() {
        let anna = ["anna".to_owned()];
        let fits = |scope, names| fits(scope, names).is_ok();
        assert!(fits("some", [&anna, &[], &[], &[]]) && fits("all", [&[], &[], &anna, &[]]));
        assert!(fits("none", [&[], &[], &[], &[]]) && fits("all", [&[], &[], &[], &[]]));
        assert!(!fits("some", [&[], &[], &[], &[]]) && !fits("some", [&anna, &[], &anna, &[]]));
        assert!(!fits("all", [&anna, &[], &[], &[]]) && !fits("none", [&anna, &[], &[], &[]]));
    }

    #[test]
    fn the_order_of_sources_decides() {
        assert!(asks_sssd_first("group: files\npasswd: sss files systemd\n"));
        assert!(!asks_sssd_first("passwd: files sss\n"));
        assert!(!asks_sssd_first("#passwd: sss files\n"));
    }
}
