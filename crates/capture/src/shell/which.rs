//! Which shell a user really has.

use std::fs;
use std::path::{Path, PathBuf};

use hansard_core::fields::Fields;
use hansard_shell::{TLOG_SHELL, TlogConf, account_named, tlog_shell_in};

use super::Config;

/// Names under which a recorder is somebody's shell: it is never the one that it starts.
const RECORDERS: [&str; 2] = ["hansard-shell", TLOG];

/// The name of tlog's recorder, which SSSD gives out as the shell of whom it matches.
const TLOG: &str = "tlog-rec-session";

/// What is left when nothing else is there; POSIX has it.
const LAST: &str = "/bin/sh";

/// What is started, and what else tlog's configuration says.
pub(super) struct Chosen {
    /// The shell.
    pub(super) shell: PathBuf,
    /// The notice of a login by tlog's name, where the policy has none.
    pub(super) notice: Option<String>,
}

/// The shell of this user: what is configured for them, what the user database says, or the
/// default. Only what `/etc/shells` lists. `claims` are what the login says of its target.
pub(super) fn shell_of(user: &str, config: &Config, claims: &Fields) -> Chosen {
    let own = account_named(user).map(|account| account.shell);
    let shells = fs::read_to_string("/etc/shells").unwrap_or_default();
    let asked = claims
        .get(TLOG_SHELL)
        .map(|asked| PathBuf::from(asked.as_text().unwrap_or("")));
    // Read at each login, as tlog does: Cockpit's page changes it and tells nobody. One that cannot
    // be used keeps nobody out; `check` and the daemon's start say so.
    let is_tlog = asked.is_some() || own.as_deref().is_some_and(is_tlog);
    let tlog = is_tlog.then(|| TlogConf::load(&config.tlog_conf));
    let tlog = tlog.flatten().and_then(Result::ok).unwrap_or_default();
    let shell = choose(user, config, own, [asked, tlog.shell], &shells);
    let notice = tlog.notice;
    Chosen { shell, notice }
}

/// `of_tlog`: what the login asks for and what tlog's configuration says, which count where the user
/// database says that tlog's recorder is the account's shell.
fn choose(
    user: &str,
    config: &Config,
    own: Option<PathBuf>,
    of_tlog: [Option<PathBuf>; 2],
    shells: &str,
) -> PathBuf {
    let is_shell = |path: &Path| shells.lines().any(|line| Path::new(line.trim()) == path);
    let is_there = |path: &PathBuf| path.is_absolute() && !is_recorder(path) && is_shell(path);
    let configured = config.shells.get(user).cloned();
    let named = own.as_deref().and_then(tlog_shell_in);
    let [asked, set] = match own.as_deref().is_some_and(is_tlog) {
        true => of_tlog,
        false => [None, None],
    };
    [
        configured,
        own,
        named,
        asked,
        set,
        Some(config.shell.clone()),
    ]
    .into_iter()
    .flatten()
    .find(is_there)
    .unwrap_or_else(|| PathBuf::from(LAST))
}

fn is_tlog(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(TLOG)
}

fn is_recorder(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    RECORDERS.iter().any(|recorder| name.starts_with(recorder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hansard_core::{Decision, Gate, Login};

    struct Nobody;

    impl Gate for Nobody {
        fn admit(&self, _: &Login) -> Decision {
            unreachable!("no login comes")
        }
    }

    #[test]
    fn a_recorder_is_nobodys_real_shell() {
        let config = Config {
            gate: std::sync::Arc::new(Nobody),
            shells: [("eve", "/home/eve/sh"), ("zoe", "/bin/zsh")]
                .map(|(user, shell)| (user.to_owned(), PathBuf::from(shell)))
                .into(),
            shell: PathBuf::from("/bin/bash"),
            notes: PathBuf::new(),
            utmp: PathBuf::new(),
            break_glass: PathBuf::new(),
            tlog_conf: PathBuf::new(),
            keeper: None,
        };
        let shells = "# shells\n/bin/sh\n/bin/bash\n/bin/dash\n/bin/zsh\n/usr/bin/hansard-shell\n";
        for (user, own, shell) in [
            ("anna", "/usr/bin/hansard-shell", "/bin/bash"),
            ("ben", "/bin/dash", "/bin/dash"),
            ("tom", "/usr/bin/tlog-rec-session-shell-bin-zsh", "/bin/zsh"),
            ("none", "/usr/sbin/nologin", "/bin/bash"),
            ("eve", "/bin/dash", "/bin/dash"),
            ("zoe", "/usr/bin/hansard-shell", "/bin/zsh"),
            ("empty", "", "/bin/bash"),
        ] {
            let found = choose(
                user,
                &config,
                Some(PathBuf::from(own)),
                [None, None],
                shells,
            );
            assert_eq!(found, Path::new(shell), "{user}");
        }
        assert_eq!(
            choose("unknown", &config, None, [None, None], shells),
            Path::new("/bin/bash")
        );
        assert_eq!(
            choose("anna", &config, None, [None, None], ""),
            Path::new("/bin/sh")
        );
        // tlog's own words count for accounts whose shell is tlog's, and for no other.
        let of = |own: &str, asked: &str, set: &str, user: &str| {
            let words = [asked, set].map(|word| Some(PathBuf::from(word)));
            choose(user, &config, Some(PathBuf::from(own)), words, shells)
        };
        let tlog = "/usr/bin/tlog-rec-session";
        for (own, asked, set, user, shell) in [
            (tlog, "/bin/dash", "/bin/zsh", "anna", "/bin/dash"),
            (tlog, "/home/anna/evil", "/bin/zsh", "anna", "/bin/zsh"),
            (
                tlog,
                "/home/anna/evil",
                "/usr/bin/nothing",
                "anna",
                "/bin/bash",
            ),
            (tlog, "/usr/bin/hansard-shell", "", "anna", "/bin/bash"),
            (tlog, "", "", "anna", "/bin/bash"),
            (tlog, "/bin/dash", "", "zoe", "/bin/zsh"),
            (
                "/usr/bin/tlog-rec-session-shell-bin-zsh",
                "/bin/dash",
                "",
                "anna",
                "/bin/zsh",
            ),
            (
                "/usr/bin/hansard-shell",
                "/bin/dash",
                "/bin/zsh",
                "anna",
                "/bin/bash",
            ),
            ("/bin/dash", "/bin/zsh", "/bin/zsh", "anna", "/bin/dash"),
        ] {
            assert_eq!(
                of(own, asked, set, user),
                Path::new(shell),
                "{own} {asked} {set} {user}"
            );
        }
    }
}
