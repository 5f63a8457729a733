//! The first hour with the daemon: who begins what as the wrong account is told what to do, and nothing
//! is spoilt by it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hansard_tests::{Daemon, Scratch, copy_program, hansard, hansardd, skipped};

/// An account without a name, which is not root.
const DAEMON: u32 = 61_234;

/// A machine on which nothing was set up; only root can be two accounts.
struct Fresh {
    _scratch: Scratch,
    program: PathBuf,
    config: PathBuf,
    data: PathBuf,
}

impl Fresh {
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped("only root can be two accounts");
            return None;
        }
        let scratch = Scratch::new(name);
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Another account may not reach the program where it was built.
        let program = scratch.join("hansardd");
        copy_program(hansardd(), &program);
        let (config, data) = (scratch.join("hansard.yaml"), scratch.join("data"));
        let run = scratch.join("run");
        fs::create_dir(&run).unwrap();
        fs::write(
            &config,
            format!(
                "node: {{data_dir: {}, runtime_dir: {}}}\ncapture: {{local: {{}}}}\nstore: {{}}\n\
                 serve: {{admin: {{}}}}\n",
                data.display(),
                run.display()
            ),
        )
        .unwrap();
        Some(Self {
            _scratch: scratch,
            program,
            config,
            data,
        })
    }

    fn asks(&self, uid: u32, words: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--config").arg(&self.config);
        if uid != 0 {
            command.uid(uid).gid(uid);
        }
        command.output().unwrap()
    }

    /// The data directory, as `systemd-tmpfiles` makes it.
    fn made(&self) {
        fs::create_dir(&self.data).unwrap();
        fs::set_permissions(&self.data, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&self.data, Some(DAEMON), Some(DAEMON)).unwrap();
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn owners(dir: &Path, found: &mut Vec<u32>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        found.push(entry.metadata().unwrap().uid());
        if entry.metadata().unwrap().is_dir() {
            owners(&entry.path(), found);
        }
    }
}

#[test]
fn a_directory_that_others_can_reach_is_made_private_and_that_is_said() {
    let scratch = Scratch::new("first-run-open");
    let daemon = Daemon::new(
        &scratch.join("service"),
        "host-a",
        "capture:\n  local: {}\nstore: {}\nserve:\n  admin: {}\n",
    );
    fs::create_dir_all(daemon.data()).unwrap();
    fs::set_permissions(daemon.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = daemon.must("init", &[]);
    let mode = fs::metadata(daemon.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{said:?}");
    assert!(
        format!("{said:?}").contains("(mode 755); its mode is 700 now"),
        "{said:?}"
    );
}

#[test]
fn root_initialises_for_the_account_that_has_the_directory() {
    let Some(fresh) = Fresh::new("first-run-init") else {
        return;
    };
    let done = fresh.asks(DAEMON, &["init"]);
    let text = said(&done);
    let next = format!("install -d -m 700 -o {DAEMON} {}", fresh.data.display());
    assert!(
        done.status.code() == Some(1) && text.contains(&next),
        "{text}"
    );
    fresh.made();
    // The configuration is there, so this is no more than init.
    let done = fresh.asks(0, &["init", "--all-in-one", "--cluster", "example"]);
    let text = said(&done);
    assert!(done.status.success(), "{text}");
    assert!(text.contains("cluster example"), "{text}");
    let mut found = Vec::new();
    owners(&fresh.data, &mut found);
    assert!(
        !found.is_empty() && found.iter().all(|uid| *uid == DAEMON),
        "{found:?}"
    );
}

#[test]
fn root_spoils_no_directory_of_the_daemons_account() {
    let Some(fresh) = Fresh::new("first-run-root") else {
        return;
    };
    fresh.made();
    assert!(fresh.asks(DAEMON, &["init"]).status.success());
    for words in [&["run"][..], &["reindex"]] {
        let done = fresh.asks(0, words);
        let text = said(&done);
        assert_eq!(done.status.code(), Some(3), "{words:?}: {text}");
        assert!(
            text.contains("belongs to") && text.contains("run it as"),
            "{text}"
        );
    }
    let mut found = Vec::new();
    owners(&fresh.data, &mut found);
    assert!(found.iter().all(|uid| *uid == DAEMON), "{found:?}");
    // What an older version let root leave there is named, and what to do.
    fs::write(fresh.data.join("spool/spool-0000000009"), b"").unwrap();
    let text = said(&fresh.asks(DAEMON, &["doctor"]));
    assert!(
        text.contains("spool-0000000009") && text.contains("chown -R"),
        "{text}"
    );
}

#[test]
fn a_configuration_that_cannot_be_read_says_what_to_do() {
    let Some(fresh) = Fresh::new("first-run-config") else {
        return;
    };
    fs::set_permissions(&fresh.config, fs::Permissions::from_mode(0o600)).unwrap();
    for words in ["check", "run", "doctor"] {
        let done = fresh.asks(DAEMON, &[words]);
        let text = said(&done);
        assert_eq!(done.status.code(), Some(2), "{words}: {text}");
        assert!(
            text.contains("hint: ") && text.contains("chmod 644"),
            "{text}"
        );
        assert!(!text.contains("os error"), "{text}");
    }
    fs::remove_file(&fresh.config).unwrap();
    let text = said(&fresh.asks(DAEMON, &["check"]));
    assert!(text.contains("--all-in-one"), "{text}");
}

/// The private half named by mistake is not sent anywhere: nobody even has to be there to take it.
#[test]
fn a_private_key_is_not_sent_to_be_certified() {
    let scratch = Scratch::new("first-run-key");
    let key = scratch.join("key");
    fs::write(
        &key,
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n",
    )
    .unwrap();
    let done = Command::new(hansard())
        .args(["cert", "sign", "--login", "anna", "--socket", "/nowhere"])
        .arg(&key)
        .output()
        .unwrap();
    let text = said(&done);
    assert_eq!(done.status.code(), Some(2), "{text}");
    assert!(
        text.contains("nothing was sent") && text.contains("key.pub"),
        "{text}"
    );
}
