//! `hansard host enable`, `disable`, `status`: what they make of a machine's files, with the system's
//! own `usermod` and `sshd`, in a machine of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{Scratch, copy_program, hansard, skipped};
use serde_json::Value;

const SHELL: &str = "/usr/bin/hansard-shell";
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
    daemon:x:1:1::/:/usr/sbin/nologin\n\
    anna:x:1000:1000:Anna,,,:/home/anna:/bin/zsh\n\
    ben:x:1001:1001::/home/ben:/bin/bash\n\
    mail:x:1002:1002::/:/usr/sbin/nologin\n\
    nobody:x:65534:65534::/:/usr/sbin/nologin\n";

/// A machine: a directory with the files of one.
struct Machine(Scratch);

impl Machine {
    /// `None` where only root can try it.
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped("changing a user database, and chroot, are root's to try");
            return None;
        }
        let machine = Self(Scratch::new(name));
        machine.write("etc/passwd", PASSWD);
        machine.write("etc/group", "root:x:0:\nops:x:1000:anna\n");
        machine.write("etc/shells", "# shells\n/bin/sh\n/bin/bash\n/bin/zsh");
        machine.write("etc/login.defs", "# x\nUID_MIN\t1000\nUID_MAX 60000\n");
        for program in [
            "bin/bash",
            "bin/zsh",
            "bin/su",
            "usr/sbin/cron",
            "usr/bin/hansard-shell",
        ] {
            machine.write(program, "#!/bin/sh\n");
            let open = fs::Permissions::from_mode(0o711);
            fs::set_permissions(machine.0.join(program), open).unwrap();
        }
        Some(machine)
    }

    fn write(&self, path: &str, text: &str) {
        let at = self.0.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap_or_default()
    }

    /// Every file, but for the copies that usermod leaves.
    fn files(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.0.join("etc"), self.0.join("usr/bin")];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else if !path.to_string_lossy().ends_with('-') {
                    let text = fs::read_to_string(&path).unwrap();
                    found.insert(path.display().to_string(), text);
                }
            }
        }
        found
    }

    fn ran(&self, args: &[&str]) -> (bool, String) {
        let (verb, rest) = args.split_first().unwrap();
        let output = Command::new(hansard())
            .args(["host", verb, "--root", self.0.join("").to_str().unwrap()])
            .args(rest)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn must(&self, args: &[&str]) -> String {
        let (done, said) = self.ran(args);
        assert!(done, "{args:?}: {said}");
        said
    }

    fn refused(&self, args: &[&str]) -> String {
        let before = self.files();
        let (done, said) = self.ran(args);
        assert!(!done && said.contains("hansard: "), "{args:?}: {said}");
        assert_eq!(
            self.files(),
            before,
            "{args:?} was refused and changed something"
        );
        said
    }

    fn shell_of(&self, name: &str) -> String {
        let passwd = self.read("etc/passwd");
        let line = passwd.lines().find(|l| l.starts_with(&format!("{name}:")));
        line.unwrap().rsplit(':').next().unwrap().to_owned()
    }

    /// The matrix: `recorded`, `partly`, `no` or `absent` by account and way.
    fn covered(&self, account: &str, way: &str) -> String {
        let said: Value = serde_json::from_str(&self.must(&["status", "--json"])).unwrap();
        let accounts = said["accounts"].as_array().unwrap();
        let row = accounts.iter().find(|a| a["name"] == account).unwrap();
        row["covered"][way].as_str().unwrap().to_owned()
    }

    /// The system's own sshd, with what it needs to read its files.
    fn install_sshd(&self) -> bool {
        let Ok(linked) = Command::new("ldd").arg("/usr/sbin/sshd").output() else {
            skipped("there is no ldd");
            return false;
        };
        if !linked.status.success() {
            skipped("OpenSSH's server is missing: scripts/needs.sh test");
            return false;
        }
        let text = String::from_utf8(linked.stdout).unwrap();
        let words = text.split_whitespace().filter(|word| word.starts_with('/'));
        for path in words.chain(["/usr/sbin/sshd"]) {
            let to = self.0.join(path.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            copy_program(Path::new(path), &to);
        }
        fs::create_dir_all(self.0.join("run/sshd")).unwrap();
        let mut passwd = PASSWD.to_owned();
        passwd.push_str("sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n");
        self.write("etc/passwd", &passwd);
        self.write("dev/null", "");
        let key = self.0.join("etc/ssh/ssh_host_ed25519_key");
        fs::create_dir_all(key.parent().unwrap()).unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()])
            .status();
        assert!(made.unwrap().success());
        fs::create_dir_all(self.0.join("etc/ssh/sshd_config.d")).unwrap();
        let config =
            "Include /etc/ssh/sshd_config.d/*.conf\nSubsystem sftp /usr/lib/openssh/sftp-server\n";
        self.write("etc/ssh/sshd_config", config);
        true
    }
}

#[test]
fn shells_are_changed_and_given_back() {
    let Some(machine) = Machine::new("enable-shell") else {
        return;
    };
    // As a file of lines, for the last had no line feed.
    machine.write("etc/shells", &(machine.read("etc/shells") + "\n"));
    let before = machine.files();
    let said = machine.must(&["enable", "shell", "--all"]);
    assert!(said.contains("anna: the login shell is /usr/bin/hansard-shell, was /bin/zsh"));
    // The daemon must know who wants another shell than bash.
    assert!(said.contains("shells: {anna: /bin/zsh}"), "{said}");
    for (name, shell) in [
        ("anna", SHELL),
        ("ben", SHELL),
        ("root", "/bin/bash"),
        ("mail", "/usr/sbin/nologin"),
    ] {
        assert_eq!(machine.shell_of(name), shell, "{name}");
    }
    // Whoever has a shell that is listed may exchange it.
    assert!(!machine.read("etc/shells").contains(SHELL));
    assert_eq!(machine.covered("anna", "su"), "recorded");
    assert_eq!(machine.covered("anna", "cron"), "no");
    assert_eq!(machine.covered("anna", "at"), "absent");
    assert_eq!(machine.covered("root", "su"), "no");

    // The same again changes nothing.
    let enabled = machine.files();
    assert!(
        machine
            .must(&["enable", "shell", "anna", "ben"])
            .contains("recorded already")
    );
    assert_eq!(machine.files(), enabled);

    // One at a time; one that was given another shell meanwhile keeps it.
    assert!(
        machine
            .must(&["disable", "shell", "anna"])
            .contains("/bin/zsh again")
    );
    assert_eq!(
        (machine.shell_of("anna"), machine.shell_of("ben")),
        ("/bin/zsh".into(), SHELL.into())
    );
    let passwd = machine.read("etc/passwd").replace(SHELL, "/bin/sh");
    machine.write("etc/passwd", &passwd);
    assert!(
        machine
            .must(&["disable", "shell"])
            .contains("ben: was given /bin/sh meanwhile")
    );
    let passwd = machine
        .read("etc/passwd")
        .replace("/bin/sh\n", "/bin/bash\n");
    machine.write("etc/passwd", &passwd);
    assert_eq!(machine.files(), before);
}

#[test]
fn nobody_is_left_who_may_exchange_the_recorder() {
    let Some(machine) = Machine::new("enable-listed") else {
        return;
    };
    // As a version before left it.
    let shells = machine.read("etc/shells") + "\n";
    let listed = format!("{shells}{SHELL}\n");
    machine.write("etc/shells", &listed);
    machine.write("etc/hansard/shells", &format!("+{SHELL}\n"));
    let said = machine.must(&["enable", "shell", "anna"]);
    assert!(said.contains("hansard-shell is removed"), "{said}");
    assert_eq!(machine.read("etc/shells"), shells);
    assert!(!machine.must(&["status"]).contains("in /etc/shells"));

    // A line of the administrator's own stays, and is named each time.
    machine.write("etc/shells", &listed);
    for said in [&["enable", "shell", "anna"][..], &["status"]] {
        assert!(machine.must(said).contains("may exchange it"));
    }
    machine.must(&["disable", "shell"]);
    assert_eq!(machine.read("etc/shells"), listed);
}

#[test]
fn a_recorder_that_moves_is_nobodys_own_shell() {
    let Some(machine) = Machine::new("enable-moved") else {
        return;
    };
    let program = "usr/local/bin/hansard-shell";
    machine.write(program, "#!/bin/sh\n");
    let open = fs::Permissions::from_mode(0o711);
    fs::set_permissions(machine.0.join(program), open).unwrap();
    let local = format!("/{program}");
    machine.must(&["enable", "--program", &local, "shell", "anna"]);
    assert_eq!(machine.shell_of("anna"), local);
    let said = machine.must(&["enable", "--program", SHELL, "shell", "anna"]);
    assert!(said.contains("shells: {anna: /bin/zsh}"), "{said}");
    assert_eq!(machine.shell_of("anna"), SHELL);
    let said = machine.must(&["disable", "shell"]);
    assert!(
        said.contains("anna: the login shell is /bin/zsh again"),
        "{said}"
    );
    assert_eq!(machine.shell_of("anna"), "/bin/zsh");

    // A note that says the recorder is none.
    machine.must(&["enable", "shell", "anna"]);
    machine.write("etc/hansard/shells", &format!("anna:{local}\n"));
    let (done, said) = machine.ran(&["disable", "shell", "anna"]);
    assert!(!done && said.contains("nobody noted"), "{said}");
    assert_eq!(machine.shell_of("anna"), SHELL);
}

#[test]
fn nobody_is_locked_out() {
    let Some(machine) = Machine::new("enable-careful") else {
        return;
    };
    let said = machine.refused(&["enable", "shell", "mail"]);
    assert!(said.contains("no shell to log in with"), "{said}");
    let said = machine.refused(&["enable", "shell", "stranger"]);
    assert!(said.contains("sssd"), "{said}");
    machine.refused(&["enable", "shell", "anna:x"]);
    machine.refused(&["enable", "--program", "/usr/bin/missing", "shell", "anna"]);
    machine.refused(&["enable", "--program", "/etc/passwd", "shell", "anna"]);
    machine.refused(&["enable", "sshd"]);
    machine.refused(&["enable", "sssd", "--user", "anna"]);
    // A name that the recorder does not answer to.
    machine.write("opt/recorder", "#!/bin/sh\n");
    let open = fs::Permissions::from_mode(0o711);
    fs::set_permissions(machine.0.join("opt/recorder"), open).unwrap();
    let said = machine.refused(&["enable", "--program", "/opt/recorder", "shell", "anna"]);
    assert!(said.contains("does not answer to the name"), "{said}");

    // A crash behind the note, before anything else: it is gone on from, and taken back.
    machine.write(
        "etc/hansard/shells",
        "anna:/bin/zsh\n+/usr/bin/hansard-shell\n",
    );
    let said = machine.must(&["disable", "shell"]);
    assert!(said.contains("keeps it"), "{said}");
    assert!(!machine.0.join("etc/hansard/shells").exists());
    machine.write(
        "etc/hansard/shells",
        "anna:/bin/zsh\n+/usr/bin/hansard-shell\n",
    );
    machine.must(&["enable", "shell", "anna"]);
    assert_eq!(machine.shell_of("anna"), SHELL);

    // The shell from before is gone.
    fs::remove_file(machine.0.join("bin/zsh")).unwrap();
    let said = machine.refused(&["disable", "shell"]);
    assert!(said.contains("anna had /bin/zsh, which is gone"), "{said}");
    machine.write("bin/zsh", "");
    machine.must(&["disable", "shell"]);
    assert_eq!(machine.shell_of("anna"), "/bin/zsh");

    // Notes that nobody understands are not passed over, nor a file that leads elsewhere.
    machine.write("etc/hansard/shells", "nonsense\n");
    assert!(
        machine
            .refused(&["enable", "shell", "anna"])
            .contains("line 1")
    );
    machine.write("etc/hansard/shells", &format!("+{SHELL}\n"));
    machine.write("etc/shells", &(machine.read("etc/shells") + SHELL));
    fs::rename(
        machine.0.join("etc/shells"),
        machine.0.join("etc/elsewhere"),
    )
    .unwrap();
    symlink("elsewhere", machine.0.join("etc/shells")).unwrap();
    let (done, said) = machine.ran(&["enable", "shell", "anna"]);
    assert!(!done && said.contains("not a regular file"), "{said}");
    assert_eq!(machine.shell_of("anna"), "/bin/zsh");
}

#[test]
fn sshd_takes_what_is_written() {
    let Some(machine) = Machine::new("enable-sshd") else {
        return;
    };
    if !machine.install_sshd() {
        return;
    }
    let ours = "etc/ssh/sshd_config.d/00-hansard.conf";
    let before = machine.files();
    assert_eq!(machine.covered("anna", "ssh"), "no");
    machine.must(&["enable", "sshd", "--user", "anna"]);
    assert_eq!(machine.covered("anna", "ssh"), "partly");
    assert_eq!(machine.covered("ben", "ssh"), "no");
    assert_eq!(machine.covered("anna", "su"), "no");
    let once = machine.read(ours);
    assert!(
        machine
            .must(&["enable", "sshd", "--user", "anna"])
            .contains("already")
    );
    assert_eq!(machine.read(ours), once);

    // For everybody, before what others force on some.
    machine.write(
        "etc/ssh/sshd_config",
        &(machine.read("etc/ssh/sshd_config") + "Match User ben\n    ForceCommand /bin/menu\n"),
    );
    machine.must(&["enable", "sshd"]);
    assert_eq!(machine.covered("ben", "ssh"), "partly");
    machine.must(&["enable", "shell", "ben"]);
    assert_eq!(machine.covered("ben", "ssh"), "recorded");
    machine.must(&["disable", "shell"]);
    machine.must(&["disable", "sshd"]);
    assert_eq!(machine.covered("ben", "ssh"), "no");

    // What sshd does not take is not written; nor what would end every sftp.
    let config = machine.read("etc/ssh/sshd_config");
    machine.write("etc/ssh/sshd_config", &format!("{config}Nonsense yes\n"));
    let said = machine.refused(&["enable", "sshd"]);
    assert!(said.contains("Nonsense"), "{said}");
    machine.write(
        "etc/ssh/sshd_config",
        &config.replace("/usr/lib/openssh/sftp-server", "internal-sftp"),
    );
    let said = machine.refused(&["enable", "sshd"]);
    assert!(said.contains("internal-sftp"), "{said}");
    machine.must(&["enable", "shell", "anna"]);
    assert_eq!(machine.covered("anna", "ssh"), "partly");
    machine.must(&["disable", "shell"]);
    machine.write("etc/ssh/sshd_config", "Port 22\n");
    assert!(machine.refused(&["enable", "sshd"]).contains("Include"));
    machine.write(ours, "ForceCommand /bin/menu\n");
    assert!(
        machine
            .refused(&["disable", "sshd"])
            .contains("not written by")
    );

    fs::remove_file(machine.0.join(ours)).unwrap();
    let config =
        "Include /etc/ssh/sshd_config.d/*.conf\nSubsystem sftp /usr/lib/openssh/sftp-server\n";
    machine.write("etc/ssh/sshd_config", config);
    assert_eq!(machine.files(), before);
}

/// Whether the program is a login shell under this name, or tells how it is used instead.
fn is_login_shell(name: &str) -> bool {
    let mut program = Command::new(hansard());
    program.arg0(name).args(["-c", "true"]);
    let mut child = program.stderr(Stdio::null()).spawn().unwrap();
    // A login shell looks for the daemon for seconds, or is refused by it.
    let since = Instant::now();
    let ended = loop {
        match child.try_wait().unwrap() {
            None if since.elapsed() < Duration::from_secs(30) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            ended => break ended,
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    ended.is_none_or(|status| status.code() != Some(2))
}

#[test]
fn sssd_names_the_recorder() {
    let Some(machine) = Machine::new("enable-sssd") else {
        return;
    };
    machine.write("etc/nsswitch.conf", "passwd: files sss\n");
    machine.write("etc/sssd/sssd.conf", "[sssd]\n");
    let before = machine.files();
    let tlog = machine.0.join("usr/bin/tlog-rec-session");
    let args = [
        "enable", "sssd", "--user", "anna", "--user", "ben", "--group", "ops",
    ];
    // The name leads to a recorder that answers to it, or nothing is done.
    if !is_login_shell("tlog-rec-session") {
        let said = machine.refused(&args);
        assert!(said.contains("does not answer to the name"), "{said}");
        symlink(SHELL, &tlog).unwrap();
        let passwd = PASSWD.replace("/bin/zsh", "/usr/bin/tlog-rec-session");
        machine.write("etc/passwd", &passwd);
        assert_eq!(machine.covered("anna", "su"), "no");
        return;
    }
    let said = machine.must(&args);
    assert!(said.contains("asks `files` before `sss`"), "{said}");
    machine.write("etc/nsswitch.conf", "passwd: sss files\n");
    assert!(!machine.must(&args).contains("warning"));
    let conf = machine
        .0
        .join("etc/sssd/conf.d/sssd-session-recording.conf");
    let text = fs::read_to_string(&conf).unwrap();
    assert!(text.ends_with("[session_recording]\nscope=some\nusers=anna, ben\ngroups=ops\n"));
    assert_eq!(
        fs::metadata(&conf).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::read_link(&tlog).unwrap(), Path::new(SHELL));
    machine.must(&["enable", "sssd", "--scope", "all", "--exclude-user", "root"]);
    machine.must(&["disable", "sssd"]);
    assert!(!tlog.exists() && tlog.symlink_metadata().is_err());
    machine.write("etc/nsswitch.conf", "passwd: files sss\n");
    assert_eq!(machine.files(), before);

    // tlog's own recorder, and a file of Cockpit's, are not ours to replace.
    machine.write("usr/bin/tlog-rec-session", "tlog\n");
    assert!(machine.refused(&args).contains("dpkg-divert"));
    fs::remove_file(&tlog).unwrap();
    fs::write(&conf, "[session_recording]\nscope=all\n").unwrap();
    assert!(machine.refused(&args).contains("not written by"));
    assert!(machine.refused(&["disable", "sssd"]).contains("Cockpit"));
    for wrong in [
        &["enable", "sssd"][..],
        &["enable", "sssd", "--scope", "all", "--user", "anna"],
        &[
            "enable",
            "sssd",
            "--scope",
            "some",
            "--exclude-user",
            "anna",
        ],
        &["enable", "sssd", "--user", "anna, ben"],
    ] {
        machine.refused(wrong);
    }
}
