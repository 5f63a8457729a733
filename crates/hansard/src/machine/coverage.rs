//! Which ways into this machine are recorded for whom: the matrix of `hansard host status`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use hansard_view::escape_for_humans;
use serde_json::{Map, Value as Json, json};

use super::accounts::{Account, accounts, parse, people, shells};
use super::daemon::{self, Logins};
use super::root::Root;
use super::sshd::{self, Served};
use super::{CAPTURE_SOCKET, shells as login_shells, sssd};
use crate::failure::Failure;
use crate::service::{Align, Column, Table};

/// Accounts that are shown; more are counted.
const ACCOUNTS_MAX: usize = 1000;

/// Accounts that sshd is asked about, which takes it some ten milliseconds each; of more, only their
/// login shell is looked at, and `status` says so.
const ASKED_MAX: usize = 64;

/// The accounts that may log in without the daemon.
const BREAK_GLASS: &str = "/etc/hansard/break-glass";

const COLUMNS: &[Column] = &[
    ("ACCOUNT", Align::Whole),
    ("LOGIN SHELL", Align::Left),
    ("CONSOLE", Align::Left),
    ("SERIAL", Align::Left),
    ("SSH", Align::Left),
    ("SU", Align::Left),
    ("SUDO", Align::Left),
    ("CRON", Align::Left),
    ("AT", Align::Left),
];

/// How far a way is recorded for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Recorded,
    Partly,
    No,
    /// There is no such way here.
    Absent,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Partly => "partly",
            Self::No => "no",
            Self::Absent => "absent",
        }
    }
}

/// Ways in, in the table's order, each with the programs of which one must be there, and what is to
/// be known about it.
const WAYS: [(&str, &[&str], &str); 7] = [
    (
        "console",
        &[
            "/sbin/agetty",
            "/sbin/getty",
            "/usr/sbin/agetty",
            "/bin/login",
        ],
        "a login runs the account's login shell",
    ),
    (
        "serial",
        &[
            "/sbin/agetty",
            "/sbin/getty",
            "/usr/sbin/agetty",
            "/bin/login",
        ],
        "as console",
    ),
    (
        "ssh",
        &[sshd::SSHD],
        "sshd runs the login shell, or what ForceCommand says, behind the account's own shell and its \
         start files; an internal-sftp is served by sshd itself, which nobody sees",
    ),
    (
        "su",
        &["/bin/su", "/usr/bin/su"],
        "of the account that is entered: `su` runs its login shell; `su -s` and `su -p` run another if \
         root asks or the login shell is one of /etc/shells, and are recorded as far as the session they are \
         typed in",
    ),
    (
        "sudo",
        &["/usr/bin/sudo"],
        "of the account that is entered: `sudo -i` runs its login shell; `sudo COMMAND` and `sudo -s` are \
         recorded as far as the session they are typed in",
    ),
    (
        "cron",
        &["/usr/sbin/cron", "/usr/sbin/crond"],
        "jobs run /bin/sh without a login: no login recorder sees them; put `hansard rec --` before the command",
    ),
    ("at", &["/usr/sbin/atd", "/usr/bin/at"], "as cron"),
];

/// One account's row.
struct Row {
    account: Account,
    verdicts: [Verdict; 7],
}

/// The matrix, and what it stands on.
pub(super) struct Coverage {
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    left_out: usize,
}

/// Looks at everything; changes nothing.
pub(super) fn look(root: &Root, program: Option<&Path>) -> Result<Coverage, Failure> {
    let mut found = entering(root)?;
    let left_out = found.len().saturating_sub(ACCOUNTS_MAX);
    found.truncate(ACCOUNTS_MAX);
    let has_way = WAYS.map(|(_, programs, _)| programs.iter().any(|program| root.has(program)));
    let tlog_is_ours = sssd::linked(root).is_some();
    let mut facts = facts(root, program)?;
    let mut unasked = 0;
    let mut trouble = None;
    let mut rows = Vec::with_capacity(found.len());
    for (n, account) in found.into_iter().enumerate() {
        let is_tlog = account.shell.contains("tlog-rec-session");
        let by_shell =
            crate::drop_in::is_shell(OsStr::new(&account.shell)) && (!is_tlog || tlog_is_ours);
        let served = match has_way.get(2) {
            Some(true) if n < ASKED_MAX => sshd::served(root, &account.name),
            Some(true) => {
                unasked += 1;
                Err(String::new())
            }
            _ => Err(String::new()),
        };
        if let Err(why) = &served {
            trouble = trouble.or((!why.is_empty()).then(|| why.clone()));
        }
        let verdicts = verdicts(by_shell, served.ok().as_ref());
        let mut verdicts = verdicts
            .into_iter()
            .zip(has_way)
            .map(|(verdict, has)| match has {
                true => verdict,
                false => Verdict::Absent,
            });
        let verdicts = std::array::from_fn(|_| verdicts.next().unwrap_or(Verdict::Absent));
        rows.push(Row { account, verdicts });
    }
    if let Some(why) = trouble {
        facts.push((
            "sshd says",
            format!("{why}; ssh is judged by login shells alone"),
        ));
    }
    if unasked > 0 {
        let words = format!("{unasked} accounts are judged by their login shell alone");
        facts.push(("not asked", words));
    }
    Ok(Coverage {
        facts,
        rows,
        left_out,
    })
}

/// Accounts that can be entered: root and people, with the shells that the system really gives them.
fn entering(root: &Root) -> Result<Vec<Account>, Failure> {
    let (min, max) = people(root)?;
    let listed = shells(root)?;
    let local = accounts(root)?.into_iter();
    let mut found: Vec<Account> = local
        .filter(|a| a.uid == 0 || (min..=max).contains(&a.uid))
        .collect();
    if root.is_this_machine() {
        // SSSD answers before the file, where it is asked first.
        let names = found.iter().take(ACCOUNTS_MAX).map(|a| a.name.as_str());
        let mut getent = Command::new("getent");
        getent
            .args(["passwd", "--"])
            .args(names)
            .stdin(Stdio::null());
        if let Ok(output) = getent.output() {
            for real in parse(&String::from_utf8_lossy(&output.stdout)) {
                if let Some(account) = found.iter_mut().find(|a| a.name == real.name) {
                    account.shell = real.shell;
                }
            }
        }
    }
    let can_log_in = |a: &Account| {
        a.shell.is_empty() || listed.contains(&a.shell) || login_shells::is_recorder(&a.shell)
    };
    found.retain(can_log_in);
    Ok(found)
}

fn facts(root: &Root, program: Option<&Path>) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut facts = Vec::new();
    if root.is_this_machine() {
        let said = match daemon::ask(Path::new(CAPTURE_SOCKET)) {
            Logins::Served => format!("serves logins at {CAPTURE_SOCKET}"),
            Logins::Refused(why) => {
                format!("refuses logins: {why}; who is to be recorded cannot log in")
            }
            Logins::Silent(why) => format!(
                "does not answer at {CAPTURE_SOCKET} ({why}): who is to be recorded cannot log in"
            ),
        };
        facts.push(("daemon", said));
    }
    let program = root.program(program);
    facts.push(match program {
        Ok(path) if shells(root)?.contains(&path) => {
            let may = "in /etc/shells: an account may exchange it (`chsh`, `su -s`)";
            ("recorder", format!("{path}, {may}"))
        }
        Ok(path) => ("recorder", path),
        Err(_) => ("recorder", "hansard-shell is not installed".to_owned()),
    });
    // Who is let in, recorded by their own process, while there is no daemon.
    if let Some(text) = root.read(BREAK_GLASS)? {
        let names = text.lines().map(str::trim);
        let names: Vec<&str> = names
            .filter(|n| !n.is_empty() && !n.starts_with('#'))
            .collect();
        facts.push(("break-glass", names.join(", ")));
    }
    for (name, path) in [("sshd", sshd::OURS), ("sssd", sssd::OURS)] {
        let text = root.read(path)?;
        let said = text.map_or("nothing set up".to_owned(), |text| {
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            format!("{path}: {}", lines.collect::<Vec<_>>().join("; "))
        });
        facts.push((name, said));
    }
    Ok(facts)
}

/// In the order of [`WAYS`].
fn verdicts(by_shell: bool, served: Option<&Served>) -> [Verdict; 7] {
    use Verdict::{No, Partly, Recorded};
    let login = if by_shell { Recorded } else { No };
    let ssh = match served {
        // Nobody's shell runs.
        Some(served) if served.forces_own_sftp() => No,
        Some(served) if served.forces_recorder() && !by_shell => Partly,
        Some(served) if served.forces_recorder() => Recorded,
        Some(served) if by_shell && served.has_own_sftp => Partly,
        _ => login,
    };
    let sudo = if by_shell { Partly } else { No };
    [login, login, ssh, login, sudo, No, No]
}

impl Coverage {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, said: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:12} {}", escape_for_humans(said));
        };
        for (name, said) in &self.facts {
            line(name, said);
        }
        let mut table = Table::new(COLUMNS);
        for Row { account, verdicts } in &self.rows {
            let mut cells = vec![account.name.clone(), account.shell.clone()];
            cells.extend(verdicts.iter().map(|verdict| verdict.word().to_owned()));
            table.row(cells);
        }
        text.push('\n');
        text.push_str(&table.text());
        if self.left_out > 0 {
            let _ = writeln!(text, "and {} more", self.left_out);
        }
        text.push('\n');
        for (name, _, why) in WAYS {
            let _ = writeln!(text, "{name:12} {why}");
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Json {
        let facts: Map<String, Json> = self
            .facts
            .iter()
            .map(|(name, said)| (name.replace(' ', "_"), json!(said)))
            .collect();
        let ways: Map<String, Json> = WAYS
            .iter()
            .map(|(name, _, why)| ((*name).to_owned(), json!(why)))
            .collect();
        let rows = self.rows.iter().map(|Row { account, verdicts }| {
            let ways = WAYS.iter().zip(verdicts);
            let ways: Map<String, Json> = ways
                .map(|((name, ..), verdict)| ((*name).to_owned(), json!(verdict.word())))
                .collect();
            json!({"name": account.name, "uid": account.uid, "shell": account.shell, "covered": ways})
        });
        let rows: Vec<Json> = rows.collect();
        json!({"facts": facts, "ways": ways, "accounts": rows, "accounts_left_out": self.left_out})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sshd_does_itself_nobody_sees() {
        let served = |forced: Option<&str>, has_own_sftp| Served {
            forced: forced.map(str::to_owned),
            has_own_sftp,
        };
        let ssh = |by_shell, served: Served| verdicts(by_shell, Some(&served))[2];
        let ours = Some("/usr/bin/hansard-shell");
        assert_eq!(ssh(true, served(None, false)), Verdict::Recorded);
        assert_eq!(ssh(true, served(None, true)), Verdict::Partly);
        assert_eq!(
            ssh(true, served(Some("internal-sftp -R"), false)),
            Verdict::No
        );
        assert_eq!(ssh(false, served(ours, false)), Verdict::Partly);
        assert_eq!(ssh(true, served(ours, true)), Verdict::Recorded);
        assert_eq!(ssh(false, served(Some("/bin/menu"), false)), Verdict::No);
        assert_eq!(verdicts(true, None)[2], Verdict::Recorded);
        assert_eq!(
            verdicts(true, None)[4..],
            [Verdict::Partly, Verdict::No, Verdict::No]
        );
    }
}
