//! A machine of a test's own: accounts, `/run`, a daemon that is root, and `sshd`, in a mount
//! namespace, so that nothing of the real machine is touched.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Scratch, copy_program, hansard, skipped};

use crate::outer::{Outer, PATIENCE};

/// Accounts whose login shell is the recorder; nobody has these numbers.
pub(crate) const ANNA: &str = "hansard-anna";
pub(crate) const BEN: &str = "hansard-ben";
/// One who has an ordinary shell.
pub(crate) const CARL: &str = "hansard-carl";
const UIDS: [(&str, u32); 3] = [(ANNA, 64_011), (BEN, 64_012), (CARL, 64_013)];

/// What lets one in as `BEN`.
pub(crate) const PASSWORD: &str = "Correct-Horse-9431";

/// Makes the machine of what is laid out in a directory. It lasts until standard input is closed.
const SETUP: &str = r#"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/sshd /run/hansard
mount --bind "$1/run" /run/hansard
mount -t tmpfs -o mode=755 tmpfs /var/spool
mkdir -m 1777 /var/spool/hansard
mount --bind "$1/etc" /etc
echo ready
exec cat
"#;

pub(crate) struct Place {
    pub(crate) daemon: Daemon,
    pub(crate) scratch: Scratch,
    holder: Child,
}

impl Place {
    /// `None` where these tests cannot run.
    pub(crate) fn new(name: &str) -> Option<Self> {
        Self::with(name, "", "{}")
    }

    /// With these keys of `capture.local` and `capture.shell`.
    pub(crate) fn with(name: &str, local: &str, shell: &str) -> Option<Self> {
        for program in ["/usr/sbin/sshd", "/usr/bin/sudo", "/usr/bin/rsync"] {
            if !Path::new(program).exists() {
                skipped(&format!("no {program} (scripts/needs.sh test)"));
                return None;
            }
        }
        if !rustix::process::geteuid().is_root() {
            skipped("not root: cannot log in as somebody else");
            return None;
        }
        let scratch = Scratch::new(name);
        lay_out(scratch.path());
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-euc", SETUP])
            .arg("sh")
            .arg(scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = holder.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        assert_eq!(
            said, "ready\n",
            "a mount namespace with its own /etc and /run"
        );
        let sections = format!(
            "capture:\n  local: {{notice: \"\"{local}}}\n  shell: {shell}\n\
             store:\n  pack_age: 1s\nserve:\n  admin: {{}}"
        );
        let words = [String::from("nsenter"), mount_of(&holder)];
        let mut daemon = Daemon::new(scratch.path(), "desk", &sections).behind(&words);
        daemon.must("init", &["--cluster", "test"]);
        daemon.start();
        Some(Self {
            daemon,
            scratch,
            holder,
        })
    }

    /// What leads `nsenter` to it.
    pub(crate) fn mount(&self) -> String {
        mount_of(&self.holder)
    }

    /// A program that runs on this machine, as root.
    pub(crate) fn run(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(mount_of(&self.holder)).args(words);
        command.env_remove("LC_ALL").env("LANG", "C.UTF-8");
        command
    }

    /// `ssh`'s options that lead to this machine.
    pub(crate) fn ssh_options(&self) -> Vec<String> {
        let server = format!(
            "ProxyCommand=nsenter {} /usr/sbin/sshd -i -f {}",
            mount_of(&self.holder),
            self.scratch.join("sshd.conf").display()
        );
        let key = self.scratch.join("key").display().to_string();
        let mut options = vec!["-F".to_owned(), "none".to_owned(), "-i".to_owned(), key];
        for option in [
            server.as_str(),
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// `ssh FLAGS ANNA@desk WORDS`.
    pub(crate) fn ssh(&self, flags: &[&str], words: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.ssh_options()).args(flags);
        command.arg(format!("{ANNA}@desk")).args(words);
        command.stdin(Stdio::null());
        command
    }

    /// A program on a terminal of its own.
    pub(crate) fn on_terminal(&self, command: &Command) -> Outer {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words = words.map(ToOwned::to_owned).collect();
        Outer::with(crate::outer::Scratch::new(), words, |_| {})
    }

    /// `su -` as root, on a terminal: a login of this user.
    pub(crate) fn su(&self, user: &str) -> Outer {
        self.on_terminal(&self.run(&["su", "-", user]))
    }

    pub(crate) fn home(&self, user: &str) -> PathBuf {
        self.scratch.join("home").join(user)
    }

    /// What the client says to these words.
    pub(crate) fn hansard(&self, args: &[&str]) -> Output {
        self.hansard_command(args).output().unwrap()
    }

    pub(crate) fn hansard_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(hansard());
        let runtime = self.daemon.runtime();
        command.args(args).env("HANSARD_RUNTIME_DIR", runtime);
        command
    }

    /// All sessions, the oldest first, once that many have ended.
    pub(crate) fn sessions(&self, count: usize) -> Vec<serde_json::Value> {
        let since = Instant::now();
        loop {
            let listed = self.hansard(&["ls", "--json", "--all"]);
            let said = String::from_utf8_lossy(&listed.stdout).into_owned();
            let mut rows: Vec<serde_json::Value> = said
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .filter(|row: &serde_json::Value| {
                    row["kind"] == "exec" || row["kind"] == "terminal"
                })
                .collect();
            if rows.iter().filter(|row| row["ended"] == true).count() == count {
                rows.sort_by_key(|row| row["sid"].to_string());
                return rows;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "{count} sessions wanted: {said}\n{}",
                self.daemon.said()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The recording of a session as the service gives it out, one JSON line for each event.
    pub(crate) fn events(&self, session: &serde_json::Value) -> String {
        let file = self.scratch.join("shown");
        let file = file.to_str().unwrap();
        let id = session["sid"].as_str().unwrap();
        let _ = fs::remove_file(file);
        let done = self.hansard(&["convert", "--to", "jsonl", id, file]);
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{complaint}");
        fs::read_to_string(file).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.daemon.kill();
        // Its end of input.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

fn mount_of(holder: &Child) -> String {
    format!("--mount=/proc/{}/ns/mnt", holder.id())
}

/// Everything that the machine is made of.
fn lay_out(dir: &Path) {
    let open = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(dir, open(0o755)).unwrap();
    must(Command::new("cp").args(["-a", "/etc"]).arg(dir.join("etc")));
    for name in ["run", "bin", "home"] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::set_permissions(dir.join(name), open(0o755)).unwrap();
    }
    let shell = dir.join("bin/hansard-shell");
    copy_program(hansard(), &shell);
    // As it is installed: who cannot read it cannot look into its process either.
    fs::set_permissions(&shell, open(0o711)).unwrap();
    accounts(dir, &shell);
    must(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(dir.join("key")),
    );
    must(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(dir.join("host")),
    );
    let shown = dir.display();
    let conf = format!(
        "HostKey {shown}/host\nAuthorizedKeysFile {shown}/key.pub\nStrictModes no\nUsePAM no\n\
         PidFile none\nPrintMotd no\nPrintLastLog no\nAcceptEnv LANG LC_*\n\
         Subsystem sftp /usr/lib/openssh/sftp-server\n\
         Match User {CARL}\nForceCommand {}\n",
        shell.display()
    );
    fs::write(dir.join("sshd.conf"), conf).unwrap();
    fs::set_permissions(dir.join("key.pub"), open(0o644)).unwrap();
}

fn accounts(dir: &Path, shell: &Path) {
    let open = |mode| fs::Permissions::from_mode(mode);
    let mut hash = Command::new("openssl")
        .args(["passwd", "-6", "-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = hash.stdin.take().unwrap();
    stdin.write_all(PASSWORD.as_bytes()).unwrap();
    drop(stdin);
    let mut hashed = String::new();
    hash.stdout
        .take()
        .unwrap()
        .read_to_string(&mut hashed)
        .unwrap();
    hash.wait().unwrap();
    let hashed = hashed.trim();
    let existing = |name: &str| fs::read_to_string(format!("/etc/{name}")).unwrap_or_default();
    let mut texts = ["passwd", "group", "shadow"].map(|name| (name, existing(name)));
    let recorder = shell.display().to_string();
    for (user, uid) in UIDS {
        let home = dir.join("home").join(user);
        fs::create_dir(&home).unwrap();
        // What a person has: a prompt that is known.
        fs::write(home.join(".bash_profile"), format!("PS1='{user}> '\n")).unwrap();
        std::os::unix::fs::chown(&home, Some(uid), Some(uid)).unwrap();
        let home = home.display();
        let shell = match user {
            CARL => "/bin/bash",
            _ => recorder.as_str(),
        };
        texts[0].1 += &format!("{user}:x:{uid}:{uid}::{home}:{shell}\n");
        texts[1].1 += &format!("{user}:x:{uid}:\n");
        texts[2].1 += &format!("{user}:{hashed}:19000:0:99999:7:::\n");
    }
    for (name, text) in texts {
        let path = dir.join("etc").join(name);
        fs::write(&path, text).unwrap();
        let mode = if name == "shadow" { 0o600 } else { 0o644 };
        fs::set_permissions(&path, open(mode)).unwrap();
    }
    sudoers(dir, "use_pty");
}

/// What people may do with `sudo`, and how it does it: with Debian's own `use_pty`, or without.
pub(crate) fn sudoers(dir: &Path, defaults: &str) {
    let file = dir.join("etc/sudoers");
    let _ = fs::remove_file(&file);
    let text = format!(
        "Defaults {defaults}\nroot ALL=(ALL) ALL\n{ANNA} ALL=({BEN}) NOPASSWD: SETENV: ALL\n"
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
}

/// Runs a command that must succeed.
pub(crate) fn must(command: &mut Command) -> Output {
    let done = command.output().unwrap();
    assert!(
        done.status.success(),
        "{command:?}: {}\n{}{}",
        done.status,
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    done
}

/// Runs a command with this input, which it need not take.
pub(crate) fn fed(command: &mut Command, input: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// Bytes of every value, in no order that compresses; other ones for another seed.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
    let mut all = Vec::with_capacity(bytes + 8);
    while all.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend_from_slice(&state.to_le_bytes());
    }
    all.truncate(bytes);
    all
}

/// How often each kind of transfer is tried.
pub(crate) fn runs() -> u64 {
    const USUAL: u64 = 3;
    std::env::var("HANSARD_TORTURE")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(USUAL)
}

/// Waits until this is so.
pub(crate) fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
