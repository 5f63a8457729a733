//! Credentials for targets as people administrate and use them: the daemon itself before Debian's own sshd that
//! believes no authority, and what becomes of sealed files that somebody touches.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code
)]

#[path = "../../crates/capture/tests/ssh/debian.rs"]
mod debian;
#[path = "service/pair.rs"]
mod pair;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use debian::Debian;
use hansard_tests::{Daemon, Scratch, free_port, hansard};
use pair::hansard_at;
use serde_json::Value as Json;

/// How long anything may take on a machine that does other things besides.
const WITHIN: Duration = Duration::from_secs(90);

/// A daemon with service and proxy, an sshd that lets in with the key `kept`, and somebody with a certificate.
struct Place {
    daemon: Daemon,
    debian: Debian,
    port: u16,
    user: String,
    scratch: Scratch,
}

impl Place {
    fn new(name: &str) -> Self {
        Self::with(name, "true", "")
    }

    /// With this for `first_use`, and more lines for the sshd.
    fn with(name: &str, first_use: &str, more: &str) -> Self {
        let scratch = Scratch::new(name);
        debian::keys(scratch.path());
        for name in ["kept", "later"] {
            keygen(&scratch, &["-N", "", "-f", name]);
        }
        let port = free_port();
        let sections = format!(
            "capture:\n  local: {{notice: \"\"}}\n  proxy:\n    listen: 127.0.0.1:{port}\n    \
             targets: [\"127.0.0.1:*\"]\n    first_use: {first_use}\n    target_sign_in:\n    \
             - targets: [\"127.0.0.1:*\"]\n      methods: credential\n\
             store:\n  pack_age: 1s\nserve:\n  admin: {{}}"
        );
        let mut daemon = Daemon::new(&scratch.join("daemon"), "gate", &sections);
        daemon.must("init", &["--cluster", "test"]);
        daemon.start();
        fs::write(scratch.join("ca.pub"), "").unwrap();
        let authorized = scratch.join("authorized");
        fs::copy(scratch.join("kept.pub"), &authorized).unwrap();
        let lines = format!(
            "AuthorizedKeysFile {}\nTrustedUserCAKeys none\n{more}",
            authorized.display()
        );
        let debian = Debian::with(scratch.path(), "host", &lines, None);
        let said = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(said.stdout)
            .unwrap()
            .trim_end()
            .to_owned();
        let key = scratch.join("user.pub");
        let key = key.to_str().unwrap();
        let sign = [
            "cert", "sign", key, "--user", "anna", "--login", &user, "--ttl", "1h",
        ];
        hansard_at(&daemon.runtime(), &sign);
        Self {
            daemon,
            debian,
            port,
            user,
            scratch,
        }
    }

    fn ssh(&self) -> Output {
        let port = self.debian.address().port();
        Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
            .args(["-o", "StrictHostKeyChecking=no", "-o", "IdentitiesOnly=yes"])
            .args([
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "IdentityAgent=none",
                "-i",
            ])
            .arg(self.scratch.join("user"))
            .args(["-p", &self.port.to_string()])
            .arg(format!("{}+127.0.0.1+{port}@127.0.0.1", self.user))
            .arg("echo in")
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn gets_in(&self) {
        let out = self.ssh();
        assert_eq!(out.stdout, b"in\n", "{out:?}");
    }

    /// Nobody gets in; whoever wanted to is told this.
    fn is_refused(&self, why: &str) {
        let out = self.ssh();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(255), "{out:?}");
        assert!(said.contains(why), "{said}");
        // Where it lies is nothing for them.
        assert!(!said.contains("credentials.key"), "{said}");
    }

    fn hansard(&self, args: &[&str]) -> String {
        hansard_at(&self.daemon.runtime(), args)
    }

    /// The same where it is refused: what was said.
    fn refuses(&self, args: &[&str], given: &str) -> String {
        let out = self.run(args, given);
        assert!(!out.status.success(), "{args:?}: {out:?}");
        String::from_utf8(out.stderr).unwrap()
    }

    /// What comes of it when it is given this.
    fn run(&self, args: &[&str], given: &str) -> Output {
        let mut child = Command::new(hansard())
            .args(args)
            .env("HANSARD_RUNTIME_DIR", self.daemon.runtime())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that is refused may be gone before it read this.
        let _ = child.stdin.take().unwrap().write_all(given.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn add(&self, name: &str, key: &str, target: &str) -> String {
        let key = self.scratch.join(key);
        let key = key.to_str().unwrap();
        let add = [
            "credential",
            "add",
            name,
            "--target",
            target,
            "--login",
            &self.user,
        ];
        self.hansard(&[&add[..], &["--key", key]].concat())
    }

    /// Documents of events of this name, once one of them has this.
    fn event(&self, name: &str, is_it: impl Fn(&Json) -> bool) -> Json {
        let log = self.daemon.data().join("log/events.log");
        let since = Instant::now();
        loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let whole = text.lines().filter(|line| line.ends_with('}'));
            let mut all = whole.map(|line| serde_json::from_str::<Json>(line).unwrap());
            if let Some(found) = all.find(|event| event["event"] == name && is_it(event)) {
                return found;
            }
            assert!(since.elapsed() < WITHIN, "{name} is not on record: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Keeps a password for the account, at any target.
    fn add_password(&self, name: &str, password: &str) {
        let add = ["credential", "add", name, "--target", "127.0.0.1:*"];
        let out = self.run(&[&add[..], &["--login", &self.user]].concat(), password);
        assert!(out.status.success(), "{out:?}");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.daemon.data().join(format!("credentials/{name}.json"))
    }

    fn key(&self) -> PathBuf {
        self.daemon.data().join("keys/authority/credentials.key")
    }

    fn restart(&mut self) {
        self.daemon.stop();
        self.daemon.start();
    }
}

fn keygen(scratch: &Scratch, args: &[&str]) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519"])
        .args(args)
        .current_dir(scratch.path())
        .status();
    assert!(made.unwrap().success());
}

/// Whether any file below has these bytes.
fn has(below: &Path, bytes: &[u8]) -> Option<PathBuf> {
    for entry in fs::read_dir(below).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        let found = match () {
            () if kind.is_dir() => has(&path, bytes),
            () if kind.is_file() => fs::read(&path)
                .unwrap_or_default()
                .windows(bytes.len())
                .any(|part| part == bytes)
                .then_some(path),
            () => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[test]
fn a_credential_is_kept_used_listed_replaced_and_removed_and_each_is_on_record() {
    if !debian::is_there() {
        return;
    }
    let mut place = Place::new("ssh-credential");
    place.is_refused("no credential is kept for");
    let said = place.add("web", "kept", "127.0.0.1:*");
    assert!(said.contains("credential web is kept for"), "{said}");
    let print = Command::new("ssh-keygen")
        .args(["-lf"])
        .arg(place.scratch.join("kept.pub"))
        .output()
        .unwrap();
    let print = String::from_utf8(print.stdout).unwrap();
    let print = print.split(' ').nth(1).unwrap();
    place.gets_in();
    let made = place.event("credential.create", |_| true);
    assert_eq!(
        (&made["key"], &made["login"]),
        (&print.into(), &place.user.clone().into())
    );
    for name in ["credential.use", "target.auth"] {
        let used = place.event(name, |event| {
            event["x.name"] == "web" || event["name"] == "web"
        });
        assert_eq!(used["user"], "anna", "{used:#}");
        assert!(used["sid"].is_string(), "{used:#}");
        assert!(used.to_string().contains(print), "{used:#}");
    }
    let listed = place.hansard(&["credential", "ls", "--json"]);
    let listed: Json = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed["name"], &listed["kind"]),
        (&"web".into(), &"key".into())
    );
    assert_eq!(listed["fingerprint"], print);
    assert_eq!(listed.as_object().unwrap().len(), 9, "{listed:#}");
    // Neither the key nor what can be read of it stands anywhere; what is sealed is its owner's alone.
    let secret = fs::read_to_string(place.scratch.join("kept")).unwrap();
    let line = secret.lines().nth(2).unwrap();
    assert_eq!(has(&place.daemon.data(), line.as_bytes()), None);
    assert_eq!(
        has(&place.daemon.data(), b"PRIVATE KEY-----\\nb3Blbn"),
        None
    );
    for file in [place.file("web"), place.key()] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    // It holds over a restart, and is another after it was replaced.
    place.restart();
    place.gets_in();
    let later = place.scratch.join("later");
    place.hansard(&[
        "credential",
        "replace",
        "web",
        "--key",
        later.to_str().unwrap(),
    ]);
    place.is_refused("it does not take the credential web");
    place.event("credential.update", |_| true);
    let kept = place.scratch.join("kept");
    place.hansard(&[
        "credential",
        "replace",
        "web",
        "--key",
        kept.to_str().unwrap(),
    ]);
    place.gets_in();
    let rotated = place.hansard(&["credential", "rotate"]);
    assert!(rotated.contains("1 credentials are sealed"), "{rotated}");
    place.event("credential.rotate", |_| true);
    place.gets_in();
    place.hansard(&["credential", "rm", "web", "--reason", "no more"]);
    place.event("credential.delete", |event| event["name"] == "web");
    assert!(!place.file("web").exists());
    place.is_refused("no credential is kept for");
}

#[test]
fn what_cannot_be_used_is_not_kept() {
    if !debian::is_there() {
        return;
    }
    let place = Place::new("ssh-credential-bad");
    keygen(&place.scratch, &["-N", "a passphrase", "-f", "locked"]);
    keygen(
        &place.scratch,
        &["-N", "", "-t", "rsa", "-b", "2048", "-f", "old"],
    );
    let add = |name: &str, target: &str, key: &str, given: &str| {
        let key = place.scratch.join(key);
        let mut all = vec![
            "credential",
            "add",
            name,
            "--login",
            "root",
            "--target",
            target,
        ];
        if given.is_empty() {
            all.extend(["--key", key.to_str().unwrap()]);
        }
        place.refuses(&all, given)
    };
    for (name, target, key, given, why) in [
        ("web", "web:22", "locked", "", "has a passphrase"),
        ("web", "web:22", "kept.pub", "", "no private key"),
        ("web", "web:22", "old", "", "Ed25519 and ECDSA"),
        ("web", "web", "kept", "", "no host and port"),
        ("../web", "web:22", "kept", "", "a name"),
        ("web", "web:22", "", "\n", "1 to"),
    ] {
        let said = add(name, target, key, given);
        assert!(said.contains(why), "{why}: {said}");
    }
    assert_eq!(place.hansard(&["credential", "ls", "--json"]), "");
    assert!(!place.key().exists());
    let none = place.refuses(&["credential", "replace", "web"], "x\n");
    assert!(none.contains("nothing here"), "{none}");
}

#[test]
fn files_that_somebody_touched_let_nobody_in_and_say_so() {
    if !debian::is_there() {
        return;
    }
    let mut place = Place::new("ssh-credential-touched");
    place.add("web", "kept", "127.0.0.1:*");
    place.add("other", "later", "other:22");
    place.gets_in();
    let (web, other) = (
        fs::read_to_string(place.file("web")).unwrap(),
        fs::read_to_string(place.file("other")).unwrap(),
    );
    let sealed = |text: &str| text[text.find("\"sealed\"").unwrap()..].to_owned();
    let facts = |text: &str| text[..text.find("\"sealed\"").unwrap()].to_owned();
    let swapped = facts(&web) + &sealed(&other);
    let mut flipped: Json = serde_json::from_str(&web).unwrap();
    let bytes = flipped["sealed"]["bytes"].as_str().unwrap();
    let first = if bytes.starts_with('A') { "B" } else { "A" };
    let bytes = format!("{first}{}", &bytes[1..]);
    flipped["sealed"]["bytes"] = bytes.into();
    for (what, text) in [("swapped", swapped), ("flipped", flipped.to_string())] {
        fs::write(place.file("web"), text).unwrap();
        place.restart();
        place.event("registry.unreadable", |event| event["name"] == "web");
        place.is_refused("cannot be used: tell whoever administrates it");
        let is_it = |event: &Json| {
            event
                .to_string()
                .contains("was changed, or belongs to something else")
        };
        place.event("target.auth", is_it);
        assert_eq!(
            place
                .hansard(&["credential", "ls", "--json"])
                .lines()
                .count(),
            2,
            "{what}"
        );
    }
    fs::write(place.file("web"), &web).unwrap();
    place.restart();
    place.gets_in();
    // The key that seals, readable by others; and lost.
    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o644)).unwrap();
    place.is_refused("cannot be used: tell whoever administrates it");
    place.event("target.auth", |event| {
        event.to_string().contains("chmod 600")
    });
    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o600)).unwrap();
    let key = fs::read(place.key()).unwrap();
    fs::remove_file(place.key()).unwrap();
    place.is_refused("cannot be used: tell whoever administrates it");
    place.event("target.auth", |event| {
        event.to_string().contains("from a backup")
    });
    place.restart();
    place.is_refused("cannot be used: tell whoever administrates it");
    fs::write(place.key(), key).unwrap();
    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o600)).unwrap();
    place.gets_in();
}

#[test]
fn a_password_is_not_given_to_whoever_answers_first() {
    if !debian::is_there() {
        return;
    }
    let asks = "PasswordAuthentication yes\n";
    let place = Place::with("ssh-credential-first", "true", asks);
    place.add_password("switch", "correct horse battery\n");
    for believed in ["pinned", "known"] {
        place.is_refused("its host key was never confirmed by an administrator");
        place.event("host_key", |event| event.to_string().contains(believed));
    }
    let refused = place.event("target.auth", |_| true);
    assert_eq!(refused["success"], false, "{refused:#}");
    assert!(refused.to_string().contains("never confirmed"));
    // It was not used, which would be on record before that.
    let log = fs::read_to_string(place.daemon.data().join("log/events.log")).unwrap();
    assert!(!log.contains("credential.use"), "{log}");
    // The same target where somebody wrote its key down: it is given, and is a wrong one there.
    let place = Place::with("ssh-credential-known", "false", asks);
    place.add_password("switch", "correct horse battery\n");
    place.is_refused("its host key is not known");
    let port = place.debian.address().port();
    let key = fs::read_to_string(place.scratch.join("host.pub")).unwrap();
    let known = place.daemon.data().join("known_hosts");
    fs::write(&known, format!("[127.0.0.1]:{port} {key}")).unwrap();
    place.is_refused("it does not take the credential switch");
    place.event("credential.use", |event| {
        event.to_string().contains("switch")
    });
}
