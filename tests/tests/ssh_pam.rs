//! PAM at the SSH node: the daemon itself, as root, with Debian's modules and services that the tests write, in
//! a mount namespace with accounts and lists of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code
)]

#[path = "service/pair.rs"]
mod pair;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Scratch, free_port, skipped, write_program};
use pair::{hansard_at, listed};
use serde_json::Value as Json;

/// How long anything may take on a machine that does other things besides.
const WITHIN: Duration = Duration::from_secs(90);

/// The account that is logged in to; nobody has its number.
const ANNA: &str = "hansard-anna";
const UID: u32 = 64_021;

/// The service's file.
const SERVICE: &str = "hansard-test";

/// The daemon's own `/etc`, and lists of logins.
const SETUP: &str = r#"
mount --bind "$1/etc" /etc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/log
: >/run/utmp
: >/var/log/wtmp
: >/var/log/lastlog
shift
# As its unit has it.
umask 0077
exec "$@"
"#;

struct Place {
    daemon: Daemon,
    port: u16,
    scratch: Scratch,
}

impl Place {
    /// A node with this service of PAM; `None`: without any. No place where these tests cannot run.
    fn new(name: &str, service: Option<&str>) -> Option<Self> {
        Self::with(name, service, "")
    }

    /// The same with more keys of `capture.ssh`.
    fn with(name: &str, service: Option<&str>, keys: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped("not root: nobody else asks PAM");
            return None;
        }
        let scratch = Scratch::new(name);
        lay_out(&scratch);
        if let Some(service) = service {
            let text = service.replace("DIR", scratch.path().to_str().unwrap());
            fs::write(scratch.join("etc/pam.d").join(SERVICE), text).unwrap();
        }
        let port = free_port();
        let pam = service.map_or("off", |_| SERVICE);
        let sections = format!(
            "capture:\n  local: {{notice: \"\"}}\n  ssh:\n    listen: 127.0.0.1:{port}\n    pam: {pam}\n{keys}\
             store:\n  pack_age: 1s\nserve:\n  admin: {{}}"
        );
        let words = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-euc",
            SETUP,
            "sh",
        ];
        let mut words: Vec<String> = words.map(str::to_owned).to_vec();
        words.push(scratch.path().to_str().unwrap().to_owned());
        let mut daemon = Daemon::new(&scratch.join("daemon"), "desk", &sections).behind(&words);
        daemon.must("init", &["--cluster", "test"]);
        daemon.start();
        let key = scratch.join("user.pub");
        let sign = [
            "cert",
            "sign",
            key.to_str().unwrap(),
            "--user",
            "anna",
            "--login",
            ANNA,
        ];
        hansard_at(&daemon.runtime(), &sign);
        Some(Self {
            daemon,
            port,
            scratch,
        })
    }

    fn ssh(&self, options: &[&str], command: &str, typed: &[u8]) -> Output {
        let port = self.port.to_string();
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-p", &port, "-l", ANNA, "-i"])
            .arg(self.scratch.join("user"));
        for option in [
            "UserKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=no",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "LogLevel=ERROR",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(options).arg("127.0.0.1");
        if !command.is_empty() {
            ssh.arg(command);
        }
        let child = ssh
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        // One that is turned away may be gone before it heard this.
        let _ = child.stdin.take().unwrap().write_all(typed);
        child.wait_with_output().unwrap()
    }

    /// What a program says on the daemon's machine.
    fn says(&self, words: &[&str]) -> String {
        let pid = self.daemon.pid().unwrap().to_string();
        let said = Command::new("nsenter")
            .args(["--mount", "--target", &pid])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Documents of events of this name, once there is one that fits.
    fn event(&self, name: &str, fits: impl Fn(&Json) -> bool) -> Json {
        let mut found = None;
        until(&format!("an event {name}"), || {
            let log = self.daemon.data().join("log/events.log");
            let text = fs::read_to_string(log).unwrap_or_default();
            let whole = text.lines().filter(|line| line.ends_with('}'));
            let mut all = whole.map(|line| serde_json::from_str::<Json>(line).unwrap());
            found = all.find(|event| event["event"] == name && fits(event));
            found.is_some()
        });
        found.unwrap()
    }

    /// The session of this kind that is over, once there is one.
    fn ended(&self, kind: &str) -> Json {
        let mut found = None;
        until(&format!("a session {kind} is over"), || {
            let mut rows = listed(&self.daemon.runtime()).into_iter();
            found = rows.find(|row| row["kind"] == kind && row["ended"] == true);
            found.is_some()
        });
        found.unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.scratch.join(name), text).unwrap();
    }
}

fn lay_out(scratch: &Scratch) {
    let copied = Command::new("cp")
        .args(["-a", "/etc"])
        .arg(scratch.join("etc"))
        .status();
    assert!(copied.unwrap().success());
    let home = scratch.join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(UID), Some(UID)).unwrap();
    for (name, line) in [
        (
            "passwd",
            format!("{ANNA}:x:{UID}:{UID}::{}:/bin/sh\n", home.display()),
        ),
        ("group", format!("{ANNA}:x:{UID}:\n")),
        ("shadow", format!("{ANNA}:*:19000:0:99999:7:::\n")),
    ] {
        let file = scratch.join("etc").join(name);
        let mut text = fs::read_to_string(&file).unwrap();
        text.push_str(&line);
        fs::write(&file, text).unwrap();
    }
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(scratch.join("user"))
        .status();
    assert!(made.unwrap().success());
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Limits, variables, the mask of new files, and somebody who writes down what happens.
const ALL: &str = "\
account required pam_permit.so
session required pam_limits.so conf=DIR/limits.conf
session required pam_env.so conffile=DIR/pam_env.conf readenv=0
session required pam_umask.so umask=0027
session required pam_exec.so DIR/hook
";

fn with_all(name: &str) -> Option<Place> {
    let place = Place::new(name, Some(ALL))?;
    place.write("limits.conf", &format!("{ANNA} - nofile 321\n"));
    place.write(
        "pam_env.conf",
        "FROM_PAM DEFAULT=seen\nTERM DEFAULT=wrong\n",
    );
    let hook = place.scratch.join("hook");
    let told = place.scratch.join("told");
    let script = format!(
        "#!/bin/sh\necho \"$PAM_TYPE $PAM_USER $PAM_RHOST $PAM_TTY $PAM_SERVICE\" >>{}\n",
        told.display()
    );
    write_program(&hook, &script);
    Some(place)
}

#[test]
fn modules_open_a_session_for_a_program_and_close_it_after_it() {
    let Some(place) = with_all("pam-session") else {
        return;
    };
    let asks = "ulimit -Sn; ulimit -Hn; echo $FROM_PAM; umask; id -un; id -G; cat; exit 7";
    let out = place.ssh(&[], asks, b"given");
    let expected = format!("321\n321\nseen\n0027\n{ANNA}\n{UID}\ngiven");
    assert_eq!(text(&out.stdout), expected, "{out:?}");
    assert_eq!(out.status.code(), Some(7));
    let told = || fs::read_to_string(place.scratch.join("told")).unwrap_or_default();
    until("the session is closed", || told().contains("close_session"));
    let line = |what: &str| format!("{what} {ANNA} 127.0.0.1 ssh {SERVICE}\n");
    assert_eq!(told(), line("open_session") + &line("close_session"));
    let row = place.ended("exec");
    assert_eq!(row["exit_status"], 7, "{row:#}");
    // By a signal, and as at a terminal.
    let out = place.ssh(&["-tt"], "echo $TERM; tty; kill -TERM $$", b"");
    assert_eq!(out.status.code(), Some(255), "{out:?}");
    assert!(!text(&out.stdout).contains("wrong"), "{out:?}");
    let row = place.ended("terminal");
    assert_eq!(row["signal"], "TERM", "{row:#}");
    until("its terminal is told", || told().contains(" /dev/pts/"));
}

#[test]
fn a_program_has_the_mask_of_a_login_and_not_that_of_the_daemon() {
    for (name, service) in [
        (
            "pam-mask",
            Some("account required pam_permit.so\nsession required pam_permit.so\n"),
        ),
        ("no-pam-mask", None),
    ] {
        let Some(place) = Place::new(name, service) else {
            return;
        };
        let out = place.ssh(&[], "umask", b"");
        assert_eq!(text(&out.stdout), "0022\n", "{name}: {out:?}");
    }
}

#[test]
fn a_program_that_a_client_leaves_ends_with_its_session() {
    let Some(place) = with_all("pam-gone") else {
        return;
    };
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-p", &place.port.to_string()])
        .args([
            "-l",
            ANNA,
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ])
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "BatchMode=yes",
            "-i",
        ])
        .arg(place.scratch.join("user"))
        .args(["127.0.0.1", "exec sleep 600"])
        .stdin(Stdio::null());
    let mut ssh = ssh.spawn().unwrap();
    until("it runs", || {
        let pid = Command::new("pgrep")
            .args(["-u", ANNA_UID, "-x", "sleep"])
            .output();
        !pid.unwrap().stdout.is_empty()
    });
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    place.ended("exec");
    let told = || fs::read_to_string(place.scratch.join("told")).unwrap_or_default();
    until("the session is closed", || told().contains("close_session"));
    // Nothing of it is left: neither the program nor the process of its session.
    let left = || {
        text(
            &Command::new("pgrep")
                .args(["-u", ANNA_UID])
                .output()
                .unwrap()
                .stdout,
        )
    };
    until("the program is gone", || left().is_empty());
}

const ANNA_UID: &str = "64021";

#[test]
fn who_is_turned_away_is_told_why_and_so_is_the_record() {
    let service = "account required pam_nologin.so\naccount required pam_unix.so\n\
                   account required pam_access.so accessfile=DIR/access.conf\n\
                   session required pam_exec.so DIR/may\n";
    let Some(place) = Place::new("pam-account", Some(service)) else {
        return;
    };
    let may = place.scratch.join("may");
    let set = |script: &str| write_program(&may, script);
    set("#!/bin/sh\nexit 0\n");
    place.write("access.conf", "+:ALL:ALL\n");
    let refused = |part: &str| {
        let out = place.ssh(&[], "echo never", b"");
        assert_eq!(
            (out.status.code(), text(&out.stdout)),
            (Some(255), String::new()),
            "{part}"
        );
        let said = text(&out.stderr);
        assert!(said.contains(part), "{part}: {said}");
        place.event("auth", |event| {
            event["success"] == false
                && event["error"]
                    .as_str()
                    .is_some_and(|why| why.contains(part))
        });
    };
    assert_eq!(text(&place.ssh(&[], "echo in", b"").stdout), "in\n");
    place.write("etc/nologin", "We paint the walls until noon.\n");
    refused("We paint the walls until noon.");
    fs::remove_file(place.scratch.join("etc/nologin")).unwrap();
    let shadow = fs::read_to_string(place.scratch.join("etc/shadow")).unwrap();
    let expired = shadow.replace(
        &format!("{ANNA}:*:19000:0:99999:7:::"),
        &format!("{ANNA}:*:19000:0:99999:7::19001:"),
    );
    place.write("etc/shadow", &expired);
    refused("expired");
    place.write("etc/shadow", &shadow);
    place.write("access.conf", &format!("-:{ANNA}:ALL\n"));
    refused("Permission denied");
    place.write("access.conf", "+:ALL:ALL\n");
    // The account may be used, but no session is opened: nothing runs.
    set("#!/bin/sh\nexit 1\n");
    let out = place.ssh(&[], "echo never", b"");
    assert_ne!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(text(&out.stdout), "", "{out:?}");
    let event = place.event("exec", |event| event["success"] == false);
    let why = event["error"].as_str().unwrap();
    assert!(text(&out.stderr).contains(why), "{why}: {out:?}");
    set("#!/bin/sh\nexit 0\n");
    assert_eq!(text(&place.ssh(&[], "echo in", b"").stdout), "in\n");
}

#[test]
fn a_login_stands_in_the_lists_and_is_greeted_unless_it_is_hushed() {
    let service = "account required pam_permit.so\nsession required pam_permit.so\n\
                   session optional pam_motd.so motd=DIR/motd noupdate\n";
    let Some(place) = Place::new("pam-lists", Some(service)) else {
        return;
    };
    place.write("motd", "Mind the step.\n");
    let typed = b"who >who; echo done\nexit\n";
    let out = place.ssh(&["-tt"], "", typed);
    let first = text(&out.stdout);
    assert!(first.contains("done"), "{out:?}");
    assert!(first.contains("Mind the step.\r\n"), "{first}");
    assert!(!first.contains("Last login"), "{first}");
    let who = fs::read_to_string(place.scratch.join("home/who")).unwrap();
    assert!(who.starts_with(ANNA) && who.contains("pts/"), "{who}");
    assert!(who.contains("(127.0.0.1)"), "{who}");
    place.ended("terminal");
    until("nobody is logged in", || place.says(&["who"]).is_empty());
    let last = || place.says(&["last", "-w", "-f", "/var/log/wtmp"]);
    until("its end is in the list of all logins", || {
        !last().contains("still")
    });
    assert!(
        last().contains(ANNA) && last().contains("127.0.0.1"),
        "{}",
        last()
    );
    let second = text(&place.ssh(&["-tt"], "", b"exit\n").stdout);
    assert!(
        second.contains("Last login: ") && second.contains(" from 127.0.0.1\r\n"),
        "{second}"
    );
    // What is shown is what is on record.
    let row = place.ended("terminal");
    let sid = row["sid"].as_str().unwrap();
    let cat = hansard_at(&place.daemon.runtime(), &["cat", sid]);
    assert!(cat.contains("Mind the step."), "{cat}");
    place.write("home/.hushlogin", "");
    let hushed = text(&place.ssh(&["-tt"], "", b"exit\n").stdout);
    assert!(
        !hushed.contains("Mind") && !hushed.contains("Last login"),
        "{hushed}"
    );
    // Nor is a command greeted.
    fs::remove_file(place.scratch.join("home/.hushlogin")).unwrap();
    let command = text(&place.ssh(&["-tt"], "echo only", b"").stdout);
    assert_eq!(command, "only\r\n");
}

#[test]
fn without_pam_the_system_is_asked_as_sshd_asks_it() {
    let Some(place) = Place::new("pam-off", None) else {
        return;
    };
    place.write("etc/motd", "Plain words.\n");
    let shown = text(&place.ssh(&["-tt"], "", b"exit\n").stdout);
    assert!(shown.contains("Plain words.\r\n"), "{shown}");
    place.write("etc/nologin", "Closed.\n");
    let out = place.ssh(&[], "true", b"");
    assert!(
        text(&out.stderr).contains("/etc/nologin keeps everybody out but root: Closed."),
        "{out:?}"
    );
    fs::remove_file(place.scratch.join("etc/nologin")).unwrap();
    let shadow = fs::read_to_string(place.scratch.join("etc/shadow")).unwrap();
    place.write(
        "etc/shadow",
        &shadow.replace(&format!("{ANNA}:*:"), &format!("{ANNA}:!:")),
    );
    let out = place.ssh(&[], "true", b"");
    assert!(
        text(&out.stderr).contains("the account is locked"),
        "{out:?}"
    );
    place.event("auth", |event| event["error"] == "the account is locked");
}

/// Runs `id -un` as this account, by answering what is asked with what this script says.
fn answering(place: &Place, account: &str, script: &str) -> Output {
    let askpass = place.scratch.join("askpass");
    write_program(&askpass, &format!("#!/bin/sh\n{script}\n"));
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-p", &place.port.to_string(), "-l", account]);
    for option in [
        "UserKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=no",
        "PubkeyAuthentication=no",
        "PreferredAuthentications=keyboard-interactive",
        "NumberOfPasswordPrompts=1",
        "LogLevel=ERROR",
    ] {
        ssh.args(["-o", option]);
    }
    let ssh = ssh
        .args(["127.0.0.1", "id -un"])
        .env("SSH_ASKPASS", &askpass)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null());
    ssh.output().unwrap()
}

/// Whether this text stands in a file below, as it is.
fn stands_below(dir: &std::path::Path, text: &str) -> bool {
    let found = Command::new("grep").args(["-rqaF", text]).arg(dir).status();
    found.unwrap().success()
}

#[test]
fn who_answers_what_modules_ask_is_in_and_no_answer_is_kept() {
    const SECRET: &str = "zebra-7-crossing";
    let service = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n\
                   session required pam_permit.so\n";
    let keys = "    keyboard_interactive: true\n";
    let Some(place) = Place::with("pam-asks", Some(service), keys) else {
        return;
    };
    let digest = Command::new("openssl")
        .args(["passwd", "-6", SECRET])
        .output();
    let digest = text(&digest.unwrap().stdout);
    let shadow = fs::read_to_string(place.scratch.join("etc/shadow")).unwrap();
    let own = format!("{ANNA}:{}:", digest.trim_end());
    place.write("etc/shadow", &shadow.replace(&format!("{ANNA}:*:"), &own));
    let told = |part: &str| {
        place.event("auth", |event| {
            event["method"] == "keyboard-interactive"
                && event["success"] == false
                && event["error"]
                    .as_str()
                    .is_some_and(|why| why.contains(part))
        })
    };
    let wrong = answering(&place, ANNA, "echo zebra-8-crossing");
    assert_eq!(wrong.status.code(), Some(255), "{wrong:?}");
    assert_eq!(told("Authentication failure")["login"], ANNA);
    let nobody = answering(&place, "nobody-at-all", &format!("echo {SECRET}"));
    assert_eq!(nobody.status.code(), Some(255), "{nobody:?}");
    // It is asked by the modules' own words.
    let asked = place.scratch.join("asked");
    let script = format!("echo \"$1\" >{}; echo {SECRET}", asked.display());
    let right = answering(&place, ANNA, &script);
    assert_eq!(text(&right.stdout), format!("{ANNA}\n"), "{right:?}");
    assert!(fs::read_to_string(&asked).unwrap().contains("Password: "));
    let event = place.event("auth", |event| {
        event["method"] == "keyboard-interactive" && event["success"] == true
    });
    assert_eq!(event["user"], ANNA, "{event:#}");
    assert_eq!(place.ended("exec")["user"], ANNA);
    // Root is not even asked.
    fs::remove_file(&asked).unwrap();
    let root = answering(&place, "root", &script);
    assert_eq!(root.status.code(), Some(255), "{root:?}");
    assert!(!asked.exists());
    told("root is let in by a certificate or key");
    // Who is locked out has answered well, and hears why.
    let locked = format!("user:{ANNA}");
    let runtime = place.daemon.runtime();
    hansard_at(
        &runtime,
        &["lock", "add", &locked, "--message", "ask the desk"],
    );
    let locked = answering(&place, ANNA, &script);
    assert_eq!(locked.status.code(), Some(255), "{locked:?}");
    assert!(text(&locked.stderr).contains("ask the desk"), "{locked:?}");
    told("ask the desk");
    let daemon = place.daemon.config();
    assert!(!stands_below(daemon.parent().unwrap(), SECRET));
    assert!(!stands_below(daemon.parent().unwrap(), "zebra-8-crossing"));
}
