//! The account that somebody wants to be here: whether it may be used, and what its programs find.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hansard_core::Login;
use hansard_shell::{Account, Keeper, account_named, group_of, groups_of};

/// What everybody but root is kept out by, where it is there (nologin(5)).
const NOLOGIN: &str = "/etc/nologin";

/// Where accounts expire (shadow(5)).
const SHADOW: &str = "/etc/shadow";

/// Most of what stands there that is told, bytes; the rest is cut.
const NOLOGIN_BYTES_MAX: usize = 1024;

/// `PATH` of accounts, and of root.
const PATHS: [&str; 2] = [
    "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];

/// What is run where an account has no shell.
const SHELL: &str = "/bin/sh";

/// The account of this name, if it can be served here at all; otherwise why not.
pub(super) fn served(name: &str) -> Result<Account, String> {
    let account = account_named(name).ok_or("no such account")?;
    let own = rustix::process::geteuid();
    if !own.is_root() && own.as_raw() != account.uid {
        return Err("the daemon is not root: it can serve its own account only".to_owned());
    }
    Ok(account)
}

/// Whether that is root, under whatever name.
pub(super) fn is_root(name: &str) -> bool {
    account_named(name).is_some_and(|account| account.uid == 0)
}

/// Whether somebody may be it now, for whoever has proven that they may come in; if not, why. With a keeper
/// the system's modules decide, and may take their time; without one, what sshd(8) looks at by itself.
pub(super) fn admitted(account: &Account, keeper: Option<&Keeper>) -> Result<(), String> {
    if let Some(keeper) = keeper {
        return keeper.admits(account).map_err(|e| e.to_string());
    }
    if account.uid != 0 && Path::new(NOLOGIN).exists() {
        let words = std::fs::read_to_string(NOLOGIN).unwrap_or_default();
        let words = crate::registry::cut(words.trim(), NOLOGIN_BYTES_MAX);
        let why = format!("{NOLOGIN} keeps everybody out but root");
        return Err(match words.is_empty() {
            true => why,
            false => format!("{why}: {words}"),
        });
    }
    let shadow = std::fs::read_to_string(SHADOW).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let today = now.map_or(0, |now| now.as_secs() / 86_400);
    match state(&shadow, &account.name, today) {
        State::Usable => Ok(()),
        State::Expired => Err("the account has expired".to_owned()),
        State::Locked => Err("the account is locked".to_owned()),
    }
}

/// What shadow(5) says of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Usable,
    Expired,
    Locked,
}

fn state(shadow: &str, name: &str, today: u64) -> State {
    let of = |line: &&str| line.split(':').next() == Some(name);
    let Some(line) = shadow.lines().find(of) else {
        return State::Usable;
    };
    let mut fields = line.split(':').skip(1);
    let is_locked = fields.next().is_some_and(|digest| digest.starts_with('!'));
    let expires = fields.nth(5).and_then(|day| day.parse::<u64>().ok());
    match expires {
        Some(day) if today >= day => State::Expired,
        _ if is_locked => State::Locked,
        _ => State::Usable,
    }
}

/// An account of another machine, of which nothing is known here but its name. Its number is nobody's.
pub(super) fn elsewhere(name: &str) -> Account {
    const NOBODY: u32 = 65_534;
    Account {
        name: name.to_owned(),
        uid: NOBODY,
        gid: NOBODY,
        home: PathBuf::from("/"),
        shell: PathBuf::new(),
    }
}

/// Who that is, for whoever decides about sessions.
pub(super) fn login(account: &Account, kind: &str) -> Login {
    let groups = groups_of(account).into_iter();
    Login {
        user: account.name.clone(),
        uid: account.uid,
        groups: groups
            .map(|gid| group_of(gid).unwrap_or_else(|| gid.to_string()))
            .collect(),
        kind: kind.to_owned(),
    }
}

/// What is started for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Started {
    pub(super) argv: Vec<OsString>,
    pub(super) arg0: OsString,
}

/// The account's shell, as a login shell, or with a command.
pub(super) fn started(account: &Account, command: Option<&[u8]>) -> Started {
    let shell = shell(account);
    let name = shell.file_name().unwrap_or(OsStr::new("sh")).to_owned();
    match command {
        None => {
            let mut arg0 = OsString::from("-");
            arg0.push(&name);
            let argv = vec![shell.into_os_string()];
            Started { argv, arg0 }
        }
        Some(command) => {
            let command = OsString::from_vec(command.to_vec());
            let argv = vec![shell.into_os_string(), OsString::from("-c"), command];
            Started { argv, arg0: name }
        }
    }
}

pub(super) fn shell(account: &Account) -> PathBuf {
    match account.shell.as_os_str().as_bytes() {
        b"" => PathBuf::from(SHELL),
        _ => account.shell.clone(),
    }
}

/// The variables that every program of the account finds.
pub(super) fn environment(account: &Account) -> Vec<(OsString, OsString)> {
    let path = match account.uid {
        0 => PATHS[1],
        _ => PATHS[0],
    };
    let mail = format!("/var/mail/{}", account.name);
    let home = match account.home.as_os_str().as_bytes() {
        b"" => OsString::from("/"),
        _ => account.home.clone().into_os_string(),
    };
    let own = [
        ("USER", OsString::from(&account.name)),
        ("LOGNAME", OsString::from(&account.name)),
        ("HOME", home),
        ("PATH", OsString::from(path)),
        ("SHELL", shell(account).into_os_string()),
        ("MAIL", OsString::from(mail)),
    ];
    own.into_iter()
        .map(|(name, value)| (OsString::from(name), value))
        .collect()
}

/// Whether one of these patterns (`LANG`, `LC_*`) lets a client set this variable. What makes a program
/// load something or find another one is never a client's to set, whatever the patterns say.
pub(super) fn may_set(name: &str, patterns: &[String]) -> bool {
    const NEVER: [&str; 10] = [
        "PATH", "HOME", "SHELL", "USER", "LOGNAME", "IFS", "ENV", "BASH_ENV", "TERM", "MAIL",
    ];
    let is_name = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    let is_never = NEVER.contains(&name) || name.starts_with("LD_") || name.starts_with("SSH_");
    let fits = |pattern: &String| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    };
    is_name && !is_never && patterns.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anna() -> Account {
        Account {
            name: "anna".into(),
            uid: 1000,
            gid: 100,
            home: "/home/anna".into(),
            shell: "/bin/zsh".into(),
        }
    }

    #[test]
    fn an_account_expires_on_its_day_and_a_locked_one_is_nobodys() {
        let shadow = "root:*:1::::::\nanna:*:1:::::20000:\nbea:$y$x:1:::::::\ndora:!$y$x:1::::::\n";
        assert_eq!(state(shadow, "anna", 19_999), State::Usable);
        assert_eq!(state(shadow, "anna", 20_000), State::Expired);
        assert_eq!(state(shadow, "bea", 20_000), State::Usable);
        assert_eq!(state(shadow, "carl", 20_000), State::Usable);
        assert_eq!(state(shadow, "dora", 20_000), State::Locked);
    }

    #[test]
    fn a_shell_is_a_login_shell_and_a_command_is_its_argument() {
        let shell = started(&anna(), None);
        assert_eq!(shell.argv, ["/bin/zsh"]);
        assert_eq!(shell.arg0, "-zsh");
        let command = started(&anna(), Some(b"echo \xff"));
        assert_eq!(command.arg0, "zsh");
        assert_eq!(command.argv[1], "-c");
        assert_eq!(command.argv[2].as_bytes(), b"echo \xff");
        let none = Account {
            shell: PathBuf::new(),
            ..anna()
        };
        assert_eq!(started(&none, None).argv, ["/bin/sh"]);
    }

    #[test]
    fn a_client_sets_what_it_may_and_nothing_that_loads() {
        let patterns = [
            "LANG".to_owned(),
            "LC_*".to_owned(),
            "LD_*".to_owned(),
            "*".to_owned(),
        ];
        for name in ["LANG", "LC_ALL"] {
            assert!(may_set(name, &patterns[..2]), "{name}");
        }
        assert!(!may_set("LANGUAGE", &patterns[..2]));
        for name in ["LD_PRELOAD", "PATH", "BASH_ENV", "SSH_AUTH_SOCK", "", "A=B"] {
            assert!(!may_set(name, &patterns), "{name}");
        }
    }
}
