//! Shells of logins that would not be started: `/etc/shells` decides, and another one is taken in
//! silence, since nobody is to be kept out by it.

use std::path::Path;

use crate::config::{Config, Finding};

/// Configured shells that `/etc/shells`, which this is, does not list, or that are not there.
pub(super) fn findings(
    config: &Config,
    listed: &str,
    is_there: impl Fn(&Path) -> bool,
) -> Vec<Finding> {
    let Some(shell) = &config.capture.shell else {
        return Vec::new();
    };
    let usual = [("capture.shell.shell".to_owned(), &shell.shell)];
    let own = shell.shells.0.iter().map(|(user, shell)| {
        let key = format!("capture.shell.shells.{user}");
        (key, shell)
    });
    usual
        .into_iter()
        .chain(own)
        .filter_map(|(key, shell)| {
            let is_listed = listed.lines().any(|line| Path::new(line.trim()) == shell);
            let (why, next) = match (is_listed, is_there(shell)) {
                (true, true) => return None,
                (_, false) => ("is not there", "install it, or name another one"),
                (false, true) => (
                    "is not listed in /etc/shells",
                    "add it there, or name another one",
                ),
            };
            let what = format!(
                "{} {why}: logins get another shell",
                crate::failure::shown(shell)
            );
            Some(Finding::warning(key, what, next))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_that_no_login_gets_is_named() {
        let (config, wrong) = Config::parse(
            "capture: {local: {}, shell: {shell: /bin/bash, shells: {anna: /bin/zsh, ben: /bin/odd}}}\nstore: {}\n",
        );
        assert_eq!(wrong, []);
        let found = findings(
            &config,
            "# shells\n/bin/sh\n/bin/bash\n/bin/zsh\n",
            |path| path != Path::new("/bin/zsh"),
        );
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].contains("shells.anna: /bin/zsh is not there"),
            "{said:?}"
        );
        assert!(
            said[1].contains("shells.ben: /bin/odd is not listed"),
            "{said:?}"
        );
    }
}
