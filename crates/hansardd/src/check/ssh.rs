//! What the SSH server and the SSH proxy need of the rest of the configuration, and of this machine.

use crate::config::{Config, Finding};

/// What the SSH server needs.
pub(super) fn ssh(config: &Config, found: &mut Vec<Finding>) {
    let Some(ssh) = &config.capture.ssh else {
        return;
    };
    if config.capture.local.is_none() {
        found.push(Finding::error(
            "capture.ssh",
            "what is kept of its sessions is what capture.local says, which is off",
            "add `local: {}` beside it",
        ));
    }
    let others = ssh.authorized_keys || ssh.keyboard_interactive;
    if config.store.is_none() && ssh.user_authorities.is_empty() && !others {
        found.push(Finding::error(
            "capture.ssh.user_authorities",
            "no authority is named, and the cluster's is not on this machine: nobody could sign in",
            "write the line that `hansard cert authority` shows at the service",
        ));
    }
    if let Err(why) = ssh.forwards().check() {
        found.push(Finding::error(
            "capture.ssh",
            why,
            "write it in the form that docs/configuration.md gives",
        ));
    }
    match (ssh.check_pam(), ssh.pam_service()) {
        (Err(why), _) => found.push(Finding::error(
            "capture.ssh.pam",
            why,
            "write auto, off, or the name of a service",
        )),
        (Ok(()), Some((name, false))) if rustix::process::geteuid().is_root() => {
            found.push(Finding::warning(
                "capture.ssh.pam",
                format!(
                    "there is no /etc/pam.d/{name}: what PAM has for `other` decides who may log in"
                ),
                "write that file, install openssh-server, or write `pam: off`",
            ));
        }
        _ => {}
    }
    if ssh.keyboard_interactive && (ssh.pam_service().is_none() || ssh.roles_only) {
        found.push(Finding::error(
            "capture.ssh.keyboard_interactive",
            "nobody could be asked: it is PAM that asks, and who is let in so has no roles",
            "write a service in `pam`, without `roles_only`, or leave this out",
        ));
    }
    if !rustix::process::geteuid().is_root() {
        found.push(Finding::warning(
            "capture.ssh",
            "a daemon that is not root can run programs as its own account only",
            "run the daemon of this role as root",
        ));
    }
}

/// What the SSH proxy needs.
pub(super) fn proxy(config: &Config, found: &mut Vec<Finding>) {
    let Some(proxy) = &config.capture.proxy else {
        return;
    };
    if config.capture.local.is_none() {
        found.push(Finding::error(
            "capture.proxy",
            "what is kept of its sessions is what capture.local says, which is off",
            "add `local: {}` beside it",
        ));
    }
    if config.store.is_none() {
        found.push(Finding::error(
            "capture.proxy",
            "targets are signed in to with certificates of the cluster's authority, which is with the service",
            "run the proxy on the machine that has `store`",
        ));
    }
    if let Err(why) = proxy
        .forwards()
        .check()
        .and_then(|()| proxy.check_targets())
    {
        found.push(Finding::error(
            "capture.proxy",
            why,
            "write it in the form that docs/configuration.md gives",
        ));
    }
    if proxy.targets.is_empty() {
        found.push(Finding::warning(
            "capture.proxy.targets",
            "it leads nowhere",
            "name the machines that people may go to, as *.example.org:22",
        ));
    }
}
