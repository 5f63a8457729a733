//! Which shell a user really has.

use std::fs;
use std::path::{Path, PathBuf};

use hansard_shell::account_named;

use super::Config;

/// Names under which a recorder is somebody's shell: it is never the one that it starts.
const RECORDERS: [&str; 2] = ["hansard-shell", "tlog-rec-session"];

/// What is left when nothing else is there; POSIX has it.
const LAST: &str = "/bin/sh";

/// The shell of this user: what is configured for them, what the user database says, or the
/// default. Only what `/etc/shells` lists.
pub(super) fn shell_of(user: &str, config: &Config) -> PathBuf {
    let own = account_named(user).map(|account| account.shell);
    let shells = fs::read_to_string("/etc/shells").unwrap_or_default();
    choose(user, config, own, &shells)
}

fn choose(user: &str, config: &Config, own: Option<PathBuf>, shells: &str) -> PathBuf {
    let is_shell = |path: &Path| shells.lines().any(|line| Path::new(line.trim()) == path);
    let is_there = |path: &PathBuf| path.is_absolute() && !is_recorder(path) && is_shell(path);
    let configured = config.shells.get(user).cloned();
    [configured, own, Some(config.shell.clone())]
        .into_iter()
        .flatten()
        .find(is_there)
        .unwrap_or_else(|| PathBuf::from(LAST))
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
            break_glass: PathBuf::new(),
        };
        let shells = "# shells\n/bin/sh\n/bin/bash\n/bin/dash\n/bin/zsh\n/usr/bin/hansard-shell\n";
        for (user, own, shell) in [
            ("anna", "/usr/bin/hansard-shell", "/bin/bash"),
            ("ben", "/bin/dash", "/bin/dash"),
            (
                "tom",
                "/usr/bin/tlog-rec-session-shell-bin-zsh",
                "/bin/bash",
            ),
            ("none", "/usr/sbin/nologin", "/bin/bash"),
            ("eve", "/bin/dash", "/bin/dash"),
            ("zoe", "/usr/bin/hansard-shell", "/bin/zsh"),
            ("empty", "", "/bin/bash"),
        ] {
            let found = choose(user, &config, Some(PathBuf::from(own)), shells);
            assert_eq!(found, Path::new(shell), "{user}");
        }
        assert_eq!(
            choose("unknown", &config, None, shells),
            Path::new("/bin/bash")
        );
        assert_eq!(choose("anna", &config, None, ""), Path::new("/bin/sh"));
    }
}
