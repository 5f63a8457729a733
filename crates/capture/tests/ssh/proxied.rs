//! The proxy, in front of Debian's own sshd: everything that passes is recorded as on a node, and nobody is
//! led where they may not go.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hansard_capture::local::Config as LocalConfig;
use hansard_capture::ssh::{Certify, Config, Proxy, WantedCertificate};
use hansard_core::event::Stream;
use hansard_core::policy::Policy;

use crate::clients::has;
use crate::debian::{self, Debian};
use crate::site::{Site, facts, finished, key};
use crate::support::{TempDir, end_of, gaps, header, shown, stream, wait_for};

/// The cluster's authority, by the hand of `ssh-keygen`.
struct Keygen {
    keys: PathBuf,
    next: AtomicU32,
}

impl Keygen {
    fn sign(&self, ca: &str, public: &str, options: &[&str]) -> Option<String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let file = self.keys.join(format!("issued-{number}.pub"));
        fs::write(&file, public).ok()?;
        let done = Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(self.keys.join(ca))
            .args(options)
            .arg(&file)
            .status();
        done.ok()?.success().then_some(())?;
        let certificate = self.keys.join(format!("issued-{number}-cert.pub"));
        fs::read_to_string(certificate).ok()
    }
}

impl Certify for Keygen {
    fn user(&self, wanted: &WantedCertificate<'_>) -> Result<String, String> {
        let options = ["-I", wanted.user, "-n", wanted.login, "-V", "-5m:+5m"];
        let access = wanted
            .access
            .map(|text| format!("extension:access@hansard={text}"));
        let access = access.iter().flat_map(|option| ["-O", option.as_str()]);
        let options: Vec<&str> = options.into_iter().chain(access).collect();
        self.sign("ca", wanted.key, &options)
            .ok_or_else(|| "no certificate is issued".to_owned())
    }

    fn host(&self, name: &str) -> Option<String> {
        let proxy = fs::read_to_string(self.keys.join("proxy.pub")).ok()?;
        let options = ["-h", "-I", "proxy", "-n", name, "-V", "-5m:+5m"];
        self.sign("host-ca", &proxy, &options)
    }
}

/// A proxy, an sshd behind it, and a user.
pub struct Behind {
    pub site: Site,
    pub debian: Debian,
    /// Keys of authorities and hosts.
    keys: TempDir,
}

/// The seed of the proxy's host key, as the site's node has it.
const SEED: [u8; 32] = [9; 32];

impl Behind {
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(change, |_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config), policy: impl FnOnce(&mut Policy)) -> Self {
        let debian = |keys: &Path| Debian::start(keys, "host");
        let local = |local: &mut LocalConfig| policy(&mut local.policy);
        Self::to(debian, |_, config| change(config), local)
    }

    /// Before this sshd; the directory is that of its keys.
    pub fn to(
        debian: impl FnOnce(&Path) -> Debian,
        change: impl FnOnce(&Path, &mut Config),
        local: impl FnOnce(&mut LocalConfig),
    ) -> Self {
        let keys = TempDir::new();
        for name in ["ca", "host-ca", "host", "other-host"] {
            key(keys.path(), name);
        }
        let seed = russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&SEED);
        let own = russh::keys::PrivateKey::from(seed);
        let line = own.public_key().to_openssh().unwrap();
        fs::write(keys.path().join("proxy.pub"), line).unwrap();
        let debian = debian(keys.path());
        let ca = fs::read_to_string(keys.path().join("ca.pub")).unwrap();
        let place = keys.path().to_path_buf();
        let port = debian.address().port();
        let site = Site::with(
            |config| {
                config.authorities = vec![ca];
                config.proxy = Some(Proxy {
                    targets: vec![format!("127.0.0.0/8:{port}"), format!("localhost:{port}")],
                    host_authorities: Vec::new(),
                    known_hosts: place.join("known_hosts"),
                    first_use: true,
                    certify: Arc::new(Keygen {
                        keys: place.clone(),
                        next: AtomicU32::new(0),
                    }),
                    labels: vec![(
                        vec![format!("127.0.0.0/8:{port}")],
                        BTreeMap::from([("env".to_owned(), "test".to_owned())]),
                    )],
                    sign_in: Vec::new(),
                    credentials: None,
                });
                change(&place, config);
            },
            local,
        );
        let mut behind = Self { site, debian, keys };
        behind.site.user = behind.user();
        behind.certify(&["-V", "-5m:+1h"]);
        behind
    }

    /// Gives the user a certificate of the authority that the proxy believes.
    pub fn certify(&self, options: &[&str]) {
        let done = Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(self.keys.path().join("ca"))
            .args(["-I", "anna", "-n", &self.site.account.name])
            .args(options)
            .arg(self.site.path("user.pub"))
            .status();
        assert!(done.unwrap().success());
    }

    /// The user name that leads to the sshd.
    fn user(&self) -> String {
        self.user_to("127.0.0.1")
    }

    /// The same by another of its names.
    pub fn user_to(&self, host: &str) -> String {
        let port = self.debian.address().port();
        format!("{}+{host}+{port}", self.site.account.name)
    }

    /// A client of Debian's with the options that lead it there.
    pub fn client(&self, program: &str, options: &[&str]) -> Command {
        let mut client = Command::new(program);
        client
            .args(["-F", "none"])
            .args(self.site.options())
            .args(options)
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        client
    }

    pub fn ssh(&self, options: &[&str], command: &str) -> std::process::Output {
        let mut ssh = self.client("ssh", options);
        finished(ssh.args(["127.0.0.1", command]).spawn().unwrap())
    }

    /// A key that lies beside those of authorities and hosts.
    pub fn key(&self, name: &str) -> PathBuf {
        self.keys.path().join(name)
    }

    pub fn fingerprint(&self, name: &str) -> String {
        let line = fs::read_to_string(self.key(&format!("{name}.pub"))).unwrap();
        let key = russh::keys::PublicKey::from_openssh(&line).unwrap();
        key.fingerprint(russh::keys::HashAlg::Sha256).to_string()
    }

    /// Another key than the target's is known from now on.
    pub fn another_host_key(&self) {
        self.knows("other-host");
    }

    /// The key of this name is known to be the target's.
    pub fn knows(&self, name: &str) {
        let port = self.debian.address().port();
        let key = fs::read_to_string(self.key(&format!("{name}.pub"))).unwrap();
        let key: Vec<&str> = key.split(' ').take(2).collect();
        let line = format!("[127.0.0.1]:{port} {}\n", key.join(" "));
        fs::write(self.known_hosts(), line).unwrap();
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.keys.path().join("known_hosts")
    }
}

fn given(client: &mut Command, bytes: &[u8]) -> std::process::Output {
    let mut client = client.stdin(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(bytes).unwrap();
    finished(client)
}

const SAYS: &str = "printf out; printf err >&2; cat; exit 7";

#[test]
fn a_command_on_another_machine_is_recorded_as_one_of_this() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::with(|_| {}, |policy| policy.stdin = true);
    let out = given(
        behind
            .client("ssh", &["-o", "SetEnv=LC_TEST=x"])
            .args(["127.0.0.1", SAYS]),
        b"given",
    );
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    assert_eq!(
        (&*out.stdout, &*out.stderr),
        (&b"outgiven"[..], &b"err"[..])
    );
    let exec = behind.site.complete("exec");
    assert_eq!(stream(&exec, Stream::Stdout), b"outgiven");
    assert_eq!(stream(&exec, Stream::Stderr), b"err");
    assert_eq!(stream(&exec, Stream::Stdin), b"given");
    assert_eq!(end_of(&exec).exit_status, Some(7));
    assert!(gaps(&exec).is_empty());
    let session = header(&exec);
    assert_eq!(session.subject.text("user"), Some("anna"));
    assert_eq!(
        session.subject.text("login"),
        Some(&*behind.site.account.name)
    );
    assert_eq!(session.subject.get("uid"), None);
    assert_eq!(session.target.text("server_hostname"), Some("127.0.0.1"));
    let address = behind.debian.address().to_string();
    assert_eq!(session.target.text("server_addr"), Some(&*address));
    assert_eq!(session.target.text("forwarded_by"), Some("h1"));
    assert_eq!(session.target.text("command"), Some(SAYS));
    let connection = behind.site.complete("ssh");
    let of = |name: &str| facts(&connection, name).remove(0).fields;
    assert_eq!(of("host_key").text("reason"), Some("pinned"));
    let connected = of("target.connect");
    assert_eq!(connected.get("success"), Some(&true.into()));
    assert_eq!(connected.text("server_addr"), Some(&*address));
    assert_eq!(of("env").get("success"), Some(&true.into()));
    // The next time it is known.
    assert_eq!(behind.ssh(&[], "true").status.code(), Some(0));
    let known = fs::read_to_string(behind.known_hosts()).unwrap();
    assert_eq!(known.lines().count(), 1, "{known}");
}

#[test]
fn a_signal_and_a_terminal_come_through() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::new(|_| {});
    let out = behind.ssh(&["-tt"], "tty; printf '%s\\n' \"$TERM\"; kill -TERM $$");
    assert_ne!(out.status.code(), Some(0), "{out:?}");
    let terminal = behind.site.complete("terminal");
    let text = String::from_utf8_lossy(&shown(&terminal)).into_owned();
    assert!(text.contains("/dev/pts/"), "{text}");
    assert_eq!(end_of(&terminal).signal.as_deref(), Some("TERM"));
    assert!(out.stdout.windows(9).any(|part| part == b"/dev/pts/"));
}

#[test]
fn typed_lines_are_kept_if_the_terminal_showed_them() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::with(|_| {}, |policy| policy.keystrokes = true);
    let mut ssh = behind.client("ssh", &["-tt"]);
    let script = "stty -echo; echo ready; read a; stty echo; echo then; read b; echo $a-$b";
    let mut client = ssh
        .args(["127.0.0.1", script])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = client.stdin.take().unwrap();
    let terminal = behind.site.session("terminal");
    let says = |word: &str| {
        wait_for(word, || {
            let events = crate::support::events(&behind.site.daemon.recording(terminal));
            String::from_utf8_lossy(&shown(&events)).contains(word)
        });
    };
    says("ready");
    typed.write_all(b"hidden\r").unwrap();
    says("then");
    // Its echo first: what is shown when Enter is typed is shown however long anything takes.
    typed.write_all(b"plain").unwrap();
    says("plain");
    typed.write_all(b"\r").unwrap();
    says("hidden-plain");
    drop(typed);
    assert_eq!(finished(client).status.code(), Some(0));
    let events = behind.site.daemon.complete(terminal);
    assert_eq!(stream(&events, Stream::Keystrokes), b"plain\r");
}

#[test]
fn files_are_told_one_by_one_and_rsync_and_old_scp_pass() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::new(|_| {});
    let dir = behind.site.keys.path();
    let (up, there, back) = (dir.join("up"), dir.join("there"), dir.join("back"));
    fs::write(&up, vec![7; 300_000]).unwrap();
    let at = |path: &Path| format!("127.0.0.1:{}", path.display());
    for protocol in ["-s", "-O"] {
        let mut scp = behind.client("scp", &[protocol]);
        let out = finished(scp.arg(&up).arg(at(&there)).spawn().unwrap());
        assert_eq!(out.status.code(), Some(0), "{protocol}: {out:?}");
        let mut scp = behind.client("scp", &[protocol]);
        let out = finished(scp.arg(at(&there)).arg(&back).spawn().unwrap());
        assert_eq!(out.status.code(), Some(0), "{protocol}: {out:?}");
        assert_eq!(fs::read(&back).unwrap(), vec![7; 300_000]);
        fs::remove_file(&back).unwrap();
        fs::remove_file(&there).unwrap();
    }
    let sftp = behind.site.complete("sftp");
    let moved = facts(&sftp, "sftp");
    let came = |way| {
        moved
            .iter()
            .any(|fact| fact.fields.get(way) == Some(&300_000_u64.into()))
    };
    assert!(came("rx") || came("tx"), "{moved:?}");
    assert!(
        moved
            .iter()
            .any(|fact| fact.fields.text("sha256").is_some())
    );
    if !has("rsync", &["--version"]) {
        return;
    }
    let options = behind.site.options().join(" ");
    let shell = format!("ssh -F none {options}");
    let mut rsync = Command::new("rsync");
    rsync.args(["-e", &shell]).arg(&up).arg(at(&there));
    rsync.stdout(Stdio::piped()).stderr(Stdio::piped());
    let out = finished(rsync.spawn().unwrap());
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(fs::read(&there).unwrap(), vec![7; 300_000]);
}

#[test]
fn many_channels_of_one_connection_go_on_while_one_is_not_read() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::new(|_| {});
    let socket = behind.site.path("control");
    let path = format!("ControlPath={}", socket.display());
    let mut master = behind.client("ssh", &["-o", &path, "-M", "-N"]);
    let mut master = master.arg("127.0.0.1").spawn().unwrap();
    wait_for("the master", || socket.exists());
    // Nobody reads what this one says.
    let mut floods = behind.client("ssh", &["-o", &path]);
    let mut flooding = floods.args(["127.0.0.1", "yes"]).spawn().unwrap();
    behind.site.session("exec");
    for word in ["one", "two"] {
        let out = behind.ssh(&["-o", &path], &format!("echo {word}"));
        assert_eq!(out.stdout, format!("{word}\n").into_bytes(), "{out:?}");
    }
    for client in [&mut flooding, &mut master] {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    behind.site.complete("ssh");
}

#[test]
fn a_jump_is_answered_by_the_proxy_and_recorded() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::new(|_| {});
    let port = behind.debian.address().port().to_string();
    // The proxy shows a certificate for the target's name, which clients believe like any other.
    let host_ca = fs::read_to_string(behind.keys.path().join("host-ca.pub")).unwrap();
    let known = behind.site.path("believed");
    fs::write(&known, format!("@cert-authority * {host_ca}")).unwrap();
    let login = &behind.site.account.name;
    let user = behind.site.path("user");
    let text = format!(
        "Host *\n IdentityFile {}\n IdentitiesOnly yes\n IdentityAgent none\n BatchMode yes\n\
         LogLevel ERROR\nHost jump\n HostName 127.0.0.1\n Port {}\n User anna\n\
         StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\nHost localhost\n Port {port}\n User {login}\n\
         StrictHostKeyChecking yes\n UserKnownHostsFile {}\n",
        user.display(),
        behind.site.address().port(),
        known.display()
    );
    let config = behind.site.path("config");
    fs::write(&config, text).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F")
        .arg(&config)
        .args(["-J", "jump", "localhost", "echo inside"]);
    ssh.env_remove("SSH_AUTH_SOCK")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let out = finished(ssh.stdin(Stdio::null()).spawn().unwrap());
    assert_eq!(out.stdout, b"inside\n", "{out:?}");
    let exec = behind.site.complete("exec");
    assert_eq!(stream(&exec, Stream::Stdout), b"inside\n");
    let target = &header(&exec).target;
    assert_eq!(target.text("server_hostname"), Some("localhost"));
    // Which address that name stood for when it was connected to.
    let address = behind.debian.address().to_string();
    assert_eq!(target.text("server_addr"), Some(&*address));
}

#[test]
fn what_is_forwarded_goes_by_the_rules() {
    if !debian::is_there() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"greetings\n").unwrap();
    });
    let behind = Behind::new(|config| {
        config.forwards.to = vec![format!("127.0.0.1:{port}")];
    });
    let to = format!("127.0.0.1:{port}");
    let mut ssh = behind.client("ssh", &["-W", &to]);
    let out = finished(ssh.arg("127.0.0.1").spawn().unwrap());
    assert_eq!(out.stdout, b"greetings\n", "{out:?}");
    let mut ssh = behind.client("ssh", &["-W", "127.0.0.1:1"]);
    let out = finished(ssh.arg("127.0.0.1").spawn().unwrap());
    assert_ne!(out.status.code(), Some(0));
    let told = |what: bool| {
        let all = behind.site.sessions().into_iter();
        let mut all = all.flat_map(|(_, events)| facts(&events, "port.local"));
        all.any(|fact| fact.fields.get("success") == Some(&what.into()))
    };
    wait_for("both", || told(true) && told(false));
}

#[test]
fn nobody_is_led_to_a_host_that_is_another_or_not_allowed() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::new(|_| {});
    assert_eq!(behind.ssh(&[], "true").status.code(), Some(0));
    // Somebody else answers at the same place.
    behind.another_host_key();
    let out = behind.ssh(&[], "echo never");
    assert_eq!(
        (out.status.code(), &*out.stdout),
        (Some(255), &b""[..]),
        "{out:?}"
    );
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("host key is another"), "{said}");
    let refused = || {
        let all = behind.site.sessions().into_iter();
        let mut all = all.flat_map(|(_, events)| facts(&events, "host_key"));
        all.any(|fact| fact.fields.get("success") == Some(&false.into()))
    };
    wait_for("its event", refused);
    // Elsewhere nobody goes at all.
    for user in ["+10.1.2.3", "+127.0.0.1+1", "+", "+a b"] {
        let user = format!("User={}{user}", behind.site.account.name);
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", &user])
            .args(behind.site.options());
        ssh.args(["127.0.0.1", "true"]).stderr(Stdio::piped());
        let out = finished(ssh.spawn().unwrap());
        assert_eq!(out.status.code(), Some(255), "{user}");
    }
    behind.site.refusal("capture.proxy.targets");
    behind.site.refusal("no name or address of a host");
}

#[test]
fn a_target_that_ends_takes_nothing_with_it_that_it_said() {
    if !debian::is_there() {
        return;
    }
    let behind = Behind::new(|_| {});
    // The sshd of this session itself is killed, after it has said something.
    let out = behind.ssh(
        &[],
        "echo last words; sleep 0.2; kill -KILL $PPID; sleep 60",
    );
    assert_eq!(out.stdout, b"last words\n", "{out:?}");
    assert_ne!(out.status.code(), Some(0));
    let exec = behind.site.complete("exec");
    assert_eq!(end_of(&exec).exit_status, None);
    assert_eq!(stream(&exec, Stream::Stdout), b"last words\n");
}
