//! Which shell a user really has.

use std::fs;
use std::path::{Path, PathBuf};

use super::Config;

/// Names under which a recorder is somebody's shell: it is never the one that it starts.
const RECORDERS: [&str; 2] = ["hansard-shell", "tlog-rec-session"];

/// What is left when nothing else is there; POSIX has it.
const LAST: &str = "/bin/sh";

/// The shell of this user: what is configured for them, what the user database says, or the
/// default. Only what `/etc/shells` lists.
pub(super) fn shell_of(user: &str, config: &Config) -> PathBuf {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let shells = fs::read_to_string("/etc/shells").unwrap_or_default();
    choose(user, config, &passwd, &shells)
}

fn choose(user: &str, config: &Config, passwd: &str, shells: &str) -> PathBuf {
    let is_shell = |path: &Path| shells.lines().any(|line| Path::new(line.trim()) == path);
    let is_there = |path: &PathBuf| path.is_absolute() && !is_recorder(path) && is_shell(path);
    let configured = config.shells.get(user).cloned();
    let own = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == user).then(|| fields.nth(5).map(PathBuf::from))?
    });
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
        let passwd = "anna:x:1:1::/:/usr/bin/hansard-shell\nben:x:2:2::/:/bin/dash\n\
            tom:x:3:3::/:/usr/bin/tlog-rec-session-shell-bin-zsh\nnone:x:4:4::/:/usr/sbin/nologin\n\
            eve:x:5:5::/:/bin/dash\nzoe:x:6:6::/:/usr/bin/hansard-shell\n";
        let shells = "# shells\n/bin/sh\n/bin/bash\n/bin/dash\n/bin/zsh\n/usr/bin/hansard-shell\n";
        for (user, shell) in [
            ("anna", "/bin/bash"),
            ("ben", "/bin/dash"),
            ("tom", "/bin/bash"),
            ("none", "/bin/bash"),
            ("eve", "/bin/dash"),
            ("zoe", "/bin/zsh"),
            ("unknown", "/bin/bash"),
        ] {
            let found = choose(user, &config, passwd, shells);
            assert_eq!(found, Path::new(shell), "{user}");
        }
        assert_eq!(choose("anna", &config, passwd, ""), Path::new("/bin/sh"));
    }
}
