//! A service with a node, a proxy, a web server and roles; Debian's sshd behind the proxy; and people's homes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Scratch, free_port, hansard};
use serde_json::Value as Json;

/// How long anything may take that happens by itself, on a machine that does other things besides.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

pub(crate) const PASSWORD: &str = "correct horse battery";

const SSHD: &str = "/usr/sbin/sshd";

pub(crate) struct Place {
    // Ended first.
    pub(crate) daemon: Daemon,
    sshd: Child,
    pub(crate) origin: String,
    pub(crate) node: u16,
    /// Of Debian's sshd.
    pub(crate) target: u16,
    pub(crate) scratch: Scratch,
    /// The account that everything runs as.
    pub(crate) account: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// What there is to say of an account, by the system.
fn own_account() -> String {
    let said = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let [node, proxy, target] = [(); 3].map(|()| free_port());
        let account = own_account();
        let sections = format!(
            "  labels: {{env: test}}
capture:
  local: {{}}
  ssh:
    listen: 127.0.0.1:{node}
    names: [127.0.0.1]
    forward_to: ['127.0.0.1:*']
    forward_listen: ['127.0.0.1:*']
  proxy:
    listen: 127.0.0.1:{proxy}
    names: [127.0.0.1]
    targets: ['localhost:{target}']
    first_use: true
    target_labels: [{{targets: 'localhost:*', labels: {{env: behind}}}}]
access:
  roles:
  - name: operators
    logins: [{account}]
    hosts: {{env: [test, behind]}}
    channels: [shell, exec, sftp, scp, forward-local]
  - name: copiers
    logins: [{account}]
    hosts: {{env: test}}
    channels: [sftp]
    ttl_max: 1h
store:
  pack_age: 1s
serve:
  admin: {{}}
  web:
    listen: 127.0.0.1:0"
        );
        let mut daemon = Daemon::new(&scratch.join("service"), "keeper", &sections);
        daemon.must("init", &["--cluster", "test"]);
        daemon.start();
        let mut place = Self {
            sshd: sshd(&scratch, target),
            daemon,
            origin: String::new(),
            node,
            target,
            scratch,
            account,
        };
        let authority = place.client(&["cert", "authority"], "");
        fs::write(place.scratch.join("ca.pub"), authority).unwrap();
        place.read_origin();
        place
    }

    fn read_origin(&mut self) {
        let status: Json = serde_json::from_str(&self.client(&["status", "--json"], "")).unwrap();
        self.origin = status["web"].as_str().unwrap().to_owned();
    }

    /// Stops the daemon and starts it again.
    pub(crate) fn again(&mut self) {
        self.daemon.stop();
        self.daemon.start();
        self.read_origin();
    }

    /// Runs the client as an administrator, with this on its standard input; what it said.
    pub(crate) fn client(&self, args: &[&str], input: &str) -> String {
        let mut command = Command::new(hansard());
        command
            .env("HANSARD_RUNTIME_DIR", self.daemon.runtime())
            .args(args);
        let done = given(&mut command, input);
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "hansard {args:?}: {complaint}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Adds a user with these roles, and no second factor unless wanted.
    pub(crate) fn user(&self, name: &str, roles: &[&str], more: &[&str]) -> Json {
        let mut args = vec!["user", "add", name, "--json"];
        args.extend(roles.iter().flat_map(|role| ["--role", role]));
        args.extend(more);
        serde_json::from_str(&self.client(&args, &format!("{PASSWORD}\n"))).unwrap()
    }

    /// Somebody's home, and what they run there.
    pub(crate) fn person(&self, name: &str) -> Person<'_> {
        let home = self.scratch.join(&format!("home-{name}"));
        fs::create_dir_all(&home).unwrap();
        Person {
            place: self,
            name: name.to_owned(),
            home,
            agent: None,
        }
    }

    /// Events of this name, the oldest first.
    pub(crate) fn events(&self, event: &str) -> Vec<Json> {
        let said = self.client(
            &["events", "--json", "--all", "--oldest", "--event", event],
            "",
        );
        said.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The first event of this name that is so, once there is one.
    pub(crate) fn event(&self, event: &str, is: impl Fn(&Json) -> bool) -> Json {
        let mut found = None;
        wait_for(&format!("the event {event}"), || {
            found = self.events(event).into_iter().find(&is);
            found.is_some()
        });
        found.unwrap()
    }
}

/// Debian's sshd, which believes the authority when it is asked.
fn sshd(scratch: &Scratch, port: u16) -> Child {
    // Where its half without rights lives. Debian's unit makes it; a container has no units.
    let _ = fs::create_dir_all("/run/sshd");
    let host_key = scratch.join("sshd-key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&host_key)
        .status();
    assert!(made.unwrap().success());
    let config = scratch.join("sshd_config");
    let text = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nTrustedUserCAKeys {}\nAuthorizedKeysFile none\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\n\
         PermitRootLogin yes\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
        host_key.display(),
        scratch.join("ca.pub").display()
    );
    fs::write(&config, text).unwrap();
    Command::new(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Somebody who signs in.
pub(crate) struct Person<'a> {
    place: &'a Place,
    name: String,
    pub(crate) home: PathBuf,
    /// The socket of their agent.
    pub(crate) agent: Option<PathBuf>,
}

impl Person<'_> {
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("HOME", &self.home)
            .env("HANSARD_RUNTIME_DIR", self.home.join("no-service-here"))
            .env_remove("HANSARD_HOME")
            .env_remove("SSH_AUTH_SOCK")
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(agent) = &self.agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        command
    }

    /// Runs `hansard` to its end.
    pub(crate) fn hansard(&self, args: &[&str], input: &str) -> Output {
        given(self.command(hansard()).args(args), input)
    }

    /// Signs in with this on standard input.
    pub(crate) fn login(&self, input: &str, more: &[&str]) -> Output {
        let mut args = vec![
            "login",
            "--json",
            "--server",
            &self.place.origin,
            "--user",
            &self.name,
        ];
        args.extend(more);
        self.hansard(&args, input)
    }

    /// Signs in; what was said.
    pub(crate) fn signed_in(&self) -> Json {
        let out = self.login(&format!("{PASSWORD}\n"), &[]);
        assert!(out.status.success(), "{out:?}");
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// `hansard ssh`, straight to the node.
    pub(crate) fn node(&self, more: &[&str]) -> Command {
        let mut command = self.command(hansard());
        let port = self.place.node.to_string();
        command.args(["ssh", "--node", "-p", &port]).args(more);
        command
    }

    /// The same through the proxy, to Debian's sshd, which is known by another name.
    pub(crate) fn proxy(&self, more: &[&str]) -> Command {
        let mut command = self.command(hansard());
        let port = self.place.target.to_string();
        command.args(["ssh", "-p", &port, "localhost"]).args(more);
        command
    }

    /// A file of the login.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.join(".hansard").join(name)
    }
}

/// The permissions of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Runs a command to its end, with this on its standard input; one that does not end is killed.
pub(crate) fn given(command: &mut Command, input: &str) -> Output {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    finished(child)
}

/// What became of a command.
pub(crate) fn finished(mut child: Child) -> Output {
    let since = Instant::now();
    // What it says is little: it fits into the pipes.
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() >= WITHIN {
            let _ = child.kill();
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

pub(crate) fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < WITHIN, "{what} did not come");
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}
