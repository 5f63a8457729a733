//! Login shells of accounts.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::accounts::{Account, accounts, people, shells};
use super::notes::Notes;
use super::plain_names;
use super::root::Root;
use super::sssd::linked;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};

const SHELLS: &str = "/etc/shells";

/// Where `/etc/shells` is written again.
const SHELLS_MODE: u32 = 0o644;

/// What the daemon starts where it is told nothing else.
const USUAL: &str = "/bin/bash";

/// Makes the recorder the login shell of these accounts. A crash between two steps leaves a note of
/// an account whose shell is still its own, or an account that is recorded: both are what the same
/// command goes on from, and `disable` takes back.
pub(super) fn enable(
    root: &Root,
    program: &str,
    users: &[String],
    all: bool,
) -> Result<Vec<String>, Failure> {
    plain_names(users)?;
    let listed = shells(root)?;
    let there = accounts(root)?;
    let chosen = chosen(root, &there, &listed, (users, all))?;
    let mut said = Vec::new();
    let mut notes = Notes::read(root)?;
    // A recorder that is installed elsewhere now is nobody's own shell: what was noted stands.
    let own = |account: &&&Account| account.shell != program && !is_ours(root, &account.shell);
    for account in chosen.iter().filter(own) {
        notes
            .before
            .insert(account.name.clone(), account.shell.clone());
    }
    notes.write(root)?;
    // Those of earlier versions put it there.
    let ours = std::mem::take(&mut notes.added);
    let added = ours.iter().any(|line| line == program);
    unlist(root, ours, &mut said)?;
    notes.write(root)?;
    if listed.iter().any(|line| line == program) && !added {
        said.push(format!(
            "{SHELLS} has {program}: whoever knows an account's password may exchange it \
             (`chsh`) or pass it over (`su -s`); take the line away"
        ));
    }
    for account in &chosen {
        if account.shell == program {
            said.push(format!("{}: is recorded already", account.name));
            continue;
        }
        set(root, &account.name, program)?;
        let (name, before) = (&account.name, &account.shell);
        said.push(format!(
            "{name}: the login shell is {program}, was {before}"
        ));
    }
    said.extend(to_configure(&chosen, &notes));
    Ok(said)
}

/// Who is meant: each with a shell that can be given back.
fn chosen<'a>(
    root: &Root,
    there: &'a [Account],
    listed: &[String],
    (users, all): (&[String], bool),
) -> Result<Vec<&'a Account>, Failure> {
    let (min, max) = people(root)?;
    let is_listed =
        |account: &Account| listed.contains(&account.shell) || is_ours(root, &account.shell);
    let mut chosen: Vec<&Account> = Vec::new();
    for name in users {
        let account = there.iter().find(|account| account.name == *name);
        let account = account.ok_or_else(|| not_in_passwd(root, name))?;
        if !is_listed(account) {
            let shell = &account.shell;
            let message = format!("{name} has no shell to log in with: {shell} is not in {SHELLS}");
            return Err(Failure::new(STATUS_WRONG_USE, message).hint(format!(
                "add it to {SHELLS} if it is one, or leave the account out"
            )));
        }
        chosen.push(account);
    }
    let people = there
        .iter()
        .filter(|account| (min..=max).contains(&account.uid));
    chosen.extend(people.filter(|account| all && is_listed(account)));
    chosen.sort_by_key(|account| (account.uid, &account.name));
    chosen.dedup();
    Ok(chosen)
}

/// Only accounts of the file can be given another shell here. The system, which knows others too, is
/// asked on this machine alone.
fn not_in_passwd(root: &Root, name: &str) -> Failure {
    let known = root.is_this_machine() && hansard_shell::account_named(name).is_some();
    let (message, hint) = match known {
        true => (
            format!("{name} is an account of a directory: its login shell is not changed here"),
            format!(
                "have it recorded by `hansard host enable sssd --user {name}`, or by sshd; or set \
                 its login shell in the directory"
            ),
        ),
        false => (
            format!("{name} is not in /etc/passwd, and nobody else here knows it"),
            "accounts of a directory are recorded by `hansard host enable sssd` or sshd".to_owned(),
        ),
    };
    Failure::new(STATUS_WRONG_USE, message).hint(hint)
}

/// What the daemon must be told, so that everybody gets the shell they are used to.
fn to_configure(chosen: &[&Account], notes: &Notes) -> Option<String> {
    let others = chosen.iter().filter_map(|account| {
        let before = notes.before.get(&account.name)?;
        let other = !before.is_empty() && before != USUAL;
        other.then(|| format!("{}: {before}", account.name))
    });
    let others: Vec<String> = others.collect();
    (!others.is_empty()).then(|| {
        format!(
            "next: the daemon starts {USUAL} unless its configuration says otherwise: \
             capture: {{shell: {{shells: {{{}}}}}}}",
            others.join(", ")
        )
    })
}

/// Gives accounts the shell they had. Answers what was done, and what could not be.
pub(super) fn disable(
    root: &Root,
    users: &[String],
) -> Result<(Vec<String>, Vec<String>), Failure> {
    plain_names(users)?;
    let mut notes = Notes::read(root)?;
    let there = accounts(root)?;
    let mut said = Vec::new();
    let mut stuck = Vec::new();
    let names = match users {
        [] => notes.before.keys().cloned().collect(),
        named => named.to_vec(),
    };
    for name in names {
        let account = there.iter().find(|account| account.name == name);
        let before = notes.before.get(&name).cloned();
        let before = before.filter(|shell| !is_ours(root, shell));
        match (account, before) {
            (None, None) => stuck.push(format!("{name} is not in /etc/passwd")),
            (None, Some(_)) => said.push(format!("{name}: the account is gone")),
            (Some(account), None) if is_recorder(&account.shell) => {
                stuck.push(format!(
                    "nobody noted which shell {name} had: `usermod -s` sets one"
                ));
            }
            (Some(_), None) => said.push(format!("{name}: is not recorded")),
            (Some(account), Some(_)) if !is_recorder(&account.shell) => {
                let shell = &account.shell;
                said.push(format!("{name}: was given {shell} meanwhile, and keeps it"));
            }
            // Who is given a shell that is not there cannot log in at all.
            (Some(_), Some(before)) if !before.is_empty() && !root.has(&before) => {
                stuck.push(format!(
                    "{name} had {before}, which is gone: `usermod -s` sets another"
                ));
                continue;
            }
            (Some(_), Some(before)) => {
                set(root, &name, &before)?;
                said.push(format!("{name}: the login shell is {before} again"));
            }
        }
        notes.before.remove(&name);
    }
    unlist(root, std::mem::take(&mut notes.added), &mut said)?;
    notes.write(root)?;
    if said.is_empty() && stuck.is_empty() {
        said.push("no account's shell was changed by `hansard host enable`".to_owned());
    }
    Ok((said, stuck))
}

/// Whether a login shell is a recorder.
pub(super) fn is_recorder(shell: &str) -> bool {
    let name = shell.rsplit('/').next().unwrap_or(shell);
    name == "hansard-shell" || name.starts_with("tlog-rec-session")
}

/// Whether it is this recorder, at whichever path and under whichever of its names. tlog's own may
/// well be the shell that an account had.
fn is_ours(root: &Root, shell: &str) -> bool {
    let name = shell.rsplit('/').next().unwrap_or(shell);
    name == "hansard-shell" || (is_recorder(shell) && linked(root).is_some())
}

/// Takes away lines of `/etc/shells` that are ours. What stands there may be exchanged by whoever has it as
/// their login shell: `chsh` and `su --shell` take one that does not for a restriction.
fn unlist(root: &Root, ours: BTreeSet<String>, said: &mut Vec<String>) -> Result<(), Failure> {
    if ours.is_empty() {
        return Ok(());
    }
    let text = root.read(SHELLS)?.unwrap_or_default();
    let kept = text.lines().filter(|line| !ours.contains(line.trim()));
    let kept = kept.fold(String::new(), |kept, line| kept + line + "\n");
    if kept != text {
        root.replace(SHELLS, &kept, SHELLS_MODE)?;
    }
    for path in ours {
        said.push(format!("{SHELLS}: {path} is removed"));
    }
    Ok(())
}

/// Changes the user database, with the system's own program: it knows the locks.
fn set(root: &Root, name: &str, shell: &str) -> Result<(), Failure> {
    let mut command = Command::new("usermod");
    if !root.is_this_machine() {
        command.arg("--prefix").arg(root.dir());
    }
    command
        .args(["--shell", shell, "--", name])
        .env("LC_ALL", "C");
    let ran = command.stdin(Stdio::null()).output();
    let why = match ran {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(e) => format!("usermod: {e}"),
    };
    let message = format!("the login shell of {name} cannot be changed: {why}");
    let hint = format!(
        "as root; what was done before stays, see `hansard host status --root {}`",
        shown(root.dir())
    );
    Err(Failure::new(STATUS_WRONG_USE, message).hint(hint))
}
