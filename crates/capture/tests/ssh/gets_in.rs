//! How the proxy gets in at targets that do not believe the authority, which are Debian's own sshd: with a
//! credential that is kept, and with the agent of whoever goes there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hansard_capture::ssh::{Config, Credential, CredentialKind, Credentials, Method};
use hansard_core::event::Fact;

use crate::debian::{self, Debian};
use crate::proxied::Behind;
use crate::site::{facts, key};
use crate::support::{TempDir, wait_for};

/// Credentials by name: for which target and account, what, and the secret; without one it cannot be opened.
type Row = (&'static str, String, CredentialKind, Option<Vec<u8>>);

struct Kept(BTreeMap<&'static str, Row>);

impl Credentials for Kept {
    fn of_login(&self, login: &str) -> Vec<(String, String)> {
        let of = self.0.iter().filter(|(_, row)| row.1 == login);
        of.map(|(name, row)| ((*name).to_owned(), row.0.to_owned()))
            .collect()
    }

    fn reveal(&self, name: &str, of: (&str, &str)) -> Result<Credential, String> {
        let (target, login, kind, secret) = &self.0[name];
        assert_eq!((*target, login.as_str()), of);
        let secret = secret.clone().ok_or("its file was changed")?;
        Ok(Credential {
            name: name.to_owned(),
            kind: *kind,
            fingerprint: format!("print-of-{name}"),
            secret,
        })
    }
}

fn account() -> String {
    let uid = rustix::process::getuid().as_raw();
    hansard_shell::account_of(uid).unwrap().name
}

/// An sshd that lets in with the keys of this name, and believes no authority.
fn with_keys(names: &'static [&'static str]) -> impl FnOnce(&Path) -> Debian {
    move |keys: &Path| {
        let mut authorized = String::new();
        for name in names {
            if !keys.join(name).exists() {
                key(keys, name);
            }
            authorized += &fs::read_to_string(keys.join(format!("{name}.pub"))).unwrap();
        }
        let file = keys.join("authorized");
        fs::write(&file, authorized).unwrap();
        let lines = format!(
            "AuthorizedKeysFile {}\nTrustedUserCAKeys none\n",
            file.display()
        );
        Debian::with(keys, "host", &lines, None)
    }
}

/// A proxy before it that gets in so.
fn behind(
    debian: impl FnOnce(&Path) -> Debian,
    methods: &[Method],
    kept: impl FnOnce(&Path) -> BTreeMap<&'static str, Row>,
    change: impl FnOnce(&mut Config),
) -> Behind {
    let methods = methods.to_vec();
    Behind::to(
        debian,
        |keys, config| {
            let proxy = config.proxy.as_mut().unwrap();
            proxy.sign_in = vec![(vec!["*:*".to_owned()], methods)];
            proxy.credentials = Some(Arc::new(Kept(kept(keys))));
            change(config);
        },
        |_| {},
    )
}

fn secret(keys: &Path, name: &str) -> Option<Vec<u8>> {
    Some(fs::read(keys.join(name)).unwrap())
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Facts of all connections, by name.
fn told(behind: &Behind, name: &str) -> Vec<Fact> {
    let all = behind.site.sessions().into_iter();
    all.flat_map(|(_, events)| facts(&events, name)).collect()
}

/// Nobody got in, and was told why; on record is the same.
fn refused(behind: &Behind, out: &Output, why: &str) {
    assert_eq!(
        (out.status.code(), &*out.stdout),
        (Some(255), &b""[..]),
        "{out:?}"
    );
    assert!(said(out).contains(why), "{why}: {}", said(out));
    let is_it = |fact: &Fact| {
        fact.fields.get("success") == Some(&false.into())
            && fact
                .fields
                .text("error")
                .is_some_and(|error| error.contains(why))
    };
    wait_for(why, || told(behind, "target.connect").iter().any(is_it));
}

#[test]
fn a_key_that_is_kept_lets_in_where_no_authority_is_believed() {
    if !debian::is_there() {
        return;
    }
    for kind in ["ed25519", "ecdsa"] {
        let make = move |keys: &Path| {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", kind, "-N", "", "-f"])
                .arg(keys.join("kept"))
                .status();
            assert!(made.unwrap().success());
            with_keys(&["kept"])(keys)
        };
        let rows = |keys: &Path| {
            let row = (
                "127.0.0.0/8:*",
                account(),
                CredentialKind::Key,
                secret(keys, "kept"),
            );
            BTreeMap::from([("web", row)])
        };
        let behind = behind(make, &[Method::Credential], rows, |_| {});
        let out = behind.ssh(&[], "echo in");
        assert_eq!(out.stdout, b"in\n", "{}", said(&out));
        let connection = behind.site.complete("ssh");
        let of = |name: &str| facts(&connection, name).remove(0).fields;
        for event in ["credential.use", "target.auth"] {
            let fields = of(event);
            assert_eq!(fields.text("method"), Some("credential"));
            assert_eq!(fields.text("name"), Some("web"));
            assert_eq!(fields.text("key"), Some("print-of-web"));
            assert_eq!(fields.text("login"), Some(&*account()));
            assert_eq!(fields.get("success"), Some(&true.into()));
        }
        let names = [
            "host_key",
            "credential.use",
            "target.auth",
            "target.connect",
        ];
        let order: Vec<u64> = names
            .iter()
            .map(|name| {
                let of = |event: &&hansard_core::Event| facts(&[(*event).clone()], name).len() == 1;
                connection.iter().find(of).unwrap().seq
            })
            .collect();
        assert!(order.is_sorted(), "{order:?}");
        assert!(!format!("{connection:?}").contains("PRIVATE KEY"));
    }
}

#[test]
fn a_credential_that_does_not_fit_is_said_and_nothing_else_is_tried() {
    if !debian::is_there() {
        return;
    }
    // One that believes the authority: a certificate would let in.
    let believing = |keys: &Path| Debian::start(keys, "host");
    let row = |target, login: &str, secret| (target, login.to_owned(), CredentialKind::Key, secret);
    type Rows = Box<dyn FnOnce(&Path) -> BTreeMap<&'static str, Row>>;
    let cases: [(&str, &[Method], Rows); 5] = [
        (
            "it does not take the credential web (print-of-web)",
            &[Method::Credential],
            Box::new(move |keys| {
                BTreeMap::from([("web", row("*:*", &account(), secret(keys, "other-host")))])
            }),
        ),
        (
            "no credential is kept for",
            &[Method::Credential],
            Box::new(move |keys| {
                let other = row("*:*", "somebody-else", secret(keys, "other-host"));
                let elsewhere = row("10.0.0.0/8:*", &account(), secret(keys, "other-host"));
                BTreeMap::from([("other", other), ("elsewhere", elsewhere)])
            }),
        ),
        (
            "its file was changed",
            &[Method::Credential, Method::Certificate],
            Box::new(move |_| BTreeMap::from([("web", row("*:*", &account(), None))])),
        ),
        (
            "no private key",
            &[Method::Credential, Method::Certificate],
            Box::new(move |_| {
                BTreeMap::from([("web", row("*:*", &account(), Some(b"x".to_vec())))])
            }),
        ),
        (
            "no way to sign in there is configured",
            &[],
            Box::new(|_| BTreeMap::new()),
        ),
    ];
    for (why, methods, rows) in cases {
        let behind = behind(believing, methods, rows, |_| {});
        let out = behind.ssh(&[], "echo in");
        // What is wrong with one is for who administrates it.
        let is_broken = methods.len() == 2;
        refused(
            &behind,
            &out,
            if is_broken {
                "cannot be used: tell"
            } else {
                why
            },
        );
        let tried = told(&behind, "target.auth");
        assert_eq!(tried.len(), methods.len().min(1), "{tried:?}");
        for fact in tried {
            assert_eq!(fact.fields.text("method"), Some("credential"));
            let error = fact.fields.text("error").unwrap_or_default();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
    // Where that is configured, the next way is tried, and both are on record.
    let none = |_: &Path| BTreeMap::new();
    let methods = [Method::Credential, Method::Certificate];
    let behind = behind(believing, &methods, none, |_| {});
    let out = behind.ssh(&[], "echo in");
    assert_eq!(out.stdout, b"in\n", "{}", said(&out));
    wait_for("both", || told(&behind, "target.auth").len() == 2);
    let tried: Vec<_> = told(&behind, "target.auth")
        .iter()
        .map(|fact| {
            let is_in = fact.fields.get("success") == Some(&true.into());
            (fact.fields.text("method").unwrap().to_owned(), is_in)
        })
        .collect();
    let wanted = [
        ("credential".to_owned(), false),
        ("certificate".to_owned(), true),
    ];
    assert_eq!(tried, wanted);
}

/// An sshd in a place of its own where the account has this password; `None` where that cannot be.
fn with_password(keys: &Path, by_questions: bool, more: &str) -> Debian {
    let hashed = Command::new("openssl")
        .args(["passwd", "-6", "-salt", "abcdefgh", PASSWORD])
        .output()
        .unwrap();
    let hash = String::from_utf8(hashed.stdout).unwrap();
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    let of_root = format!("root:{}:19000:0:99999:7:::\n", hash.trim());
    let others = shadow.lines().filter(|line| !line.starts_with("root:"));
    let others: String = others.map(|line| format!("{line}\n")).collect();
    let (file, pam) = (keys.join("shadow"), keys.join("pam"));
    fs::write(&file, of_root + &others).unwrap();
    let modules = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
    fs::write(&pam, modules).unwrap();
    let ways = match by_questions {
        false => "PasswordAuthentication yes\nTrustedUserCAKeys none\n",
        true => "KbdInteractiveAuthentication yes\nUsePAM yes\nTrustedUserCAKeys none\n",
    };
    let before = format!(
        "mount --bind {} /etc/shadow && mount --bind {} /etc/pam.d/sshd",
        file.display(),
        pam.display()
    );
    Debian::with(keys, "host", &format!("{ways}{more}"), Some(&before))
}

const PASSWORD: &str = "correct horse battery";

fn a_password(given: &str) -> BTreeMap<&'static str, Row> {
    let secret = Some(given.as_bytes().to_vec());
    let row = ("*:*", account(), CredentialKind::Password, secret);
    BTreeMap::from([("switch", row)])
}

/// First keys of targets are not believed.
fn only_known(config: &mut Config) {
    config.proxy.as_mut().unwrap().first_use = false;
}

#[test]
fn a_password_is_for_no_target_whose_host_key_nobody_confirmed() {
    if !debian::is_there() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    // Taken as the first, and then found where that was written: both times nobody said whose it is.
    let methods = [Method::Credential, Method::Certificate];
    let rows = |_: &Path| a_password(PASSWORD);
    let unsaid = behind(
        |keys| with_password(keys, false, ""),
        &methods,
        rows,
        |_| {},
    );
    for (count, believed) in [(1, "pinned"), (2, "known")] {
        let out = unsaid.ssh(&[], "echo in");
        refused(&unsaid, &out, "never confirmed by an administrator");
        wait_for("its event", || told(&unsaid, "target.auth").len() == count);
        let keys = told(&unsaid, "host_key");
        let is_it = |fact: &Fact| fact.fields.text("reason") == Some(believed);
        assert!(keys.len() == count && keys.iter().any(is_it), "{keys:?}");
    }
    // It says which, and nothing else was tried nor used.
    for fact in told(&unsaid, "target.auth") {
        assert_eq!(fact.fields.text("method"), Some("credential"));
        assert_eq!(fact.fields.text("name"), Some("switch"));
        assert_eq!(fact.fields.get("success"), Some(&false.into()));
    }
    assert!(told(&unsaid, "credential.use").is_empty());
    // Whom an authority vouches for gets it, whether first keys are taken or not.
    let certified = |keys: &Path| {
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-h", "-I", "host", "-n", "127.0.0.1", "-s"])
            .args([keys.join("host-ca"), keys.join("host.pub")])
            .status();
        assert!(signed.unwrap().success());
        let more = format!("HostCertificate {}\n", keys.join("host-cert.pub").display());
        with_password(keys, false, &more)
    };
    let said_by_one = Behind::to(
        certified,
        |keys, config| {
            let proxy = config.proxy.as_mut().unwrap();
            proxy.sign_in = vec![(vec!["*:*".to_owned()], methods.to_vec())];
            proxy.credentials = Some(Arc::new(Kept(a_password(PASSWORD))));
            let authority = fs::read_to_string(keys.join("host-ca.pub")).unwrap();
            proxy.host_authorities = vec![authority];
        },
        |_| {},
    );
    let out = said_by_one.ssh(&[], "echo in");
    assert_eq!(out.stdout, b"in\n", "{}", said(&out));
    wait_for("its use", || {
        told(&said_by_one, "credential.use").len() == 1
    });
    let key = told(&said_by_one, "host_key").remove(0);
    assert_eq!(key.fields.text("reason"), Some("certified"));
}

#[test]
fn a_password_that_is_kept_lets_in_and_stands_nowhere() {
    if !debian::is_there() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    for by_questions in [false, true] {
        for (given, is_right) in [(PASSWORD, true), ("wrong-horse", false)] {
            let debian = move |keys: &Path| with_password(keys, by_questions, "");
            let rows = move |_: &Path| a_password(given);
            let behind = behind(debian, &[Method::Credential], rows, only_known);
            behind.knows("host");
            let out = behind.ssh(&[], "echo in");
            match is_right {
                true => assert_eq!(out.stdout, b"in\n", "{}", said(&out)),
                false => refused(&behind, &out, "it does not take the credential switch"),
            }
            let all = format!("{:?} {out:?}", behind.site.sessions());
            assert!(!all.contains(given), "{all}");
            wait_for("its use", || told(&behind, "credential.use").len() == 1);
        }
    }
}

/// Debian's agent, with keys of this directory.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn new(dir: &Path, keys: &[PathBuf]) -> Self {
        let socket = dir.join("agent.sock");
        let process = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("the agent", || socket.exists());
        for key in keys {
            let added = Command::new("ssh-add")
                .arg("-q")
                .arg(key)
                .env("SSH_AUTH_SOCK", &socket)
                .status();
            assert!(added.unwrap().success());
        }
        Self { process, socket }
    }

    fn option(&self) -> String {
        format!("ForwardAgent={}", self.socket.display())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn nothing(_: &Path) -> BTreeMap<&'static str, Row> {
    BTreeMap::new()
}

#[test]
fn the_agent_of_whoever_goes_there_lets_in_and_is_for_nothing_else() {
    if !debian::is_there() {
        return;
    }
    let (dir, debian) = (TempDir::new(), with_keys(&["other-host"]));
    let behind = behind(debian, &[Method::Agent], nothing, |_| {});
    let keys = ["host-ca", "other-host"].map(|name| behind.key(name));
    let agent = Agent::new(dir.path(), &keys);
    let forwards = agent.option();
    let out = behind.ssh(&["-o", &forwards], "echo in; echo agent=$SSH_AUTH_SOCK");
    assert_eq!(out.stdout, b"in\nagent=\n", "{}", said(&out));
    let connection = behind.site.complete("ssh");
    let used = facts(&connection, "credential.use");
    // Only the key that the target takes is used.
    assert_eq!(used.len(), 1, "{used:?}");
    assert_eq!(used[0].fields.text("method"), Some("agent"));
    let of_key = behind.fingerprint("other-host");
    assert_eq!(used[0].fields.text("key"), Some(&*of_key));
    let tried = facts(&connection, "target.auth").remove(0).fields;
    assert_eq!(tried.text("key"), Some(&*of_key));
    assert_eq!(tried.get("success"), Some(&true.into()));
    // What the client asks for its programs is refused as ever.
    let lent = facts(&connection, "agent-forward");
    assert!(
        lent.iter()
            .all(|fact| fact.fields.get("success") == Some(&false.into())),
        "{lent:?}"
    );
}

#[test]
fn programs_get_the_agent_only_where_that_is_allowed_besides() {
    if !debian::is_there() {
        return;
    }
    let (dir, debian) = (TempDir::new(), with_keys(&["other-host"]));
    let change = |config: &mut Config| config.forwards.agent = true;
    let behind = behind(debian, &[Method::Agent], nothing, change);
    let agent = Agent::new(dir.path(), &[behind.key("other-host")]);
    // As people do it: OpenSSH asks for it only where it finds the agent in its environment.
    let options = behind.site.options();
    let kept = options
        .chunks(2)
        .filter(|pair| pair[1] != "IdentityAgent=none");
    let kept: Vec<&String> = kept.flatten().collect();
    let ssh = Command::new("ssh")
        .args(["-A", "-F", "none"])
        .args(kept)
        .args(["127.0.0.1", "ssh-add -l"])
        .env("SSH_AUTH_SOCK", &agent.socket)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let out = crate::site::finished(ssh.unwrap());
    let shown = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(shown.contains(&behind.fingerprint("other-host")), "{out:?}");
}

#[test]
fn channels_and_forwards_of_one_connection_are_signed_in_by_the_agent_too() {
    if !debian::is_there() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(b"greetings\n").unwrap();
        }
    });
    let (dir, debian) = (TempDir::new(), with_keys(&["other-host"]));
    let change = |config: &mut Config| config.forwards.to = vec![format!("127.0.0.1:{port}")];
    let behind = behind(debian, &[Method::Agent], nothing, change);
    let agent = Agent::new(dir.path(), &[behind.key("other-host")]);
    let (forwards, socket) = (agent.option(), behind.site.path("control"));
    let path = format!("ControlPath={}", socket.display());
    let options = ["-o", &path, "-o", &forwards];
    let mut master = behind.client("ssh", &[&options[..], &["-M", "-N"]].concat());
    let mut master = master.arg("127.0.0.1").spawn().unwrap();
    wait_for("the master", || socket.exists());
    for word in ["one", "two", "three"] {
        let out = behind.ssh(&options, &format!("echo {word}"));
        assert_eq!(out.stdout, format!("{word}\n").into_bytes(), "{out:?}");
    }
    let to = format!("127.0.0.1:{port}");
    let mut through = behind.client("ssh", &[&options[..], &["-W", &to]].concat());
    let out = crate::site::finished(through.arg("127.0.0.1").spawn().unwrap());
    assert_eq!(out.stdout, b"greetings\n", "{out:?}");
    master.kill().unwrap();
    master.wait().unwrap();
    behind.site.complete("ssh");
    // The first is there when it is asked for; each of the others is signed in for itself.
    wait_for("four uses", || told(&behind, "credential.use").len() == 4);
}

/// An agent that has a key and never signs; counts how often it is asked for what.
fn declines(socket: &Path, public: &Path) -> [Arc<AtomicUsize>; 2] {
    let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let line = fs::read_to_string(public).unwrap();
    let blob = russh::keys::PublicKey::from_openssh(&line)
        .unwrap()
        .to_bytes()
        .unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    let [asked, signs] = counts.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: UnixStream = stream.unwrap();
            asked.fetch_add(1, Ordering::SeqCst);
            let mut len = [0; 4];
            while stream.read_exact(&mut len).is_ok() {
                let mut request = vec![0; u32::from_be_bytes(len) as usize];
                stream.read_exact(&mut request).unwrap();
                let answer = match request[0] {
                    11 => {
                        let mut answer = vec![12, 0, 0, 0, 1];
                        answer.extend((blob.len() as u32).to_be_bytes());
                        answer.extend(&blob);
                        answer.extend([0, 0, 0, 0]);
                        answer
                    }
                    request => {
                        signs.fetch_add(usize::from(request == 13), Ordering::SeqCst);
                        vec![5]
                    }
                };
                stream
                    .write_all(&(answer.len() as u32).to_be_bytes())
                    .unwrap();
                stream.write_all(&answer).unwrap();
            }
        }
    });
    counts
}

#[test]
fn without_an_agent_that_signs_nobody_gets_in_and_is_told_why() {
    if !debian::is_there() {
        return;
    }
    let (dir, debian) = (TempDir::new(), with_keys(&["other-host"]));
    let behind = behind(debian, &[Method::Agent], nothing, |_| {});
    // None, one without keys, one with others.
    let out = behind.ssh(&[], "echo in");
    refused(&behind, &out, "your agent is needed, and was not forwarded");
    let empty = Agent::new(dir.path(), &[]);
    let out = behind.ssh(&["-o", &empty.option()], "echo in");
    refused(&behind, &out, "your agent has no key");
    drop(empty);
    fs::remove_file(dir.path().join("agent.sock")).unwrap();
    let other = Agent::new(dir.path(), &[behind.key("host-ca")]);
    let out = behind.ssh(&["-o", &other.option()], "echo in");
    refused(&behind, &out, "it takes none of the keys of your agent");
    assert!(told(&behind, "credential.use").is_empty());
    // One that has the key, and declines.
    let socket = dir.path().join("declines.sock");
    let [asked, signs] = declines(&socket, &behind.key("other-host.pub"));
    let forwards = format!("ForwardAgent={}", socket.display());
    let out = behind.ssh(&["-o", &forwards], "echo in");
    refused(&behind, &out, "your agent did not sign");
    assert_eq!(signs.load(Ordering::SeqCst), 1);
    assert_eq!(told(&behind, "credential.use").len(), 1);
    // A certificate that does not permit it, and a target that is another: it is not even asked.
    let before = asked.load(Ordering::SeqCst);
    behind.certify(&["-V", "-5m:+1h", "-O", "no-agent-forwarding"]);
    let out = behind.ssh(&["-o", &forwards], "echo in");
    refused(&behind, &out, "does not permit that your agent is used");
    behind.certify(&["-V", "-5m:+1h"]);
    behind.another_host_key();
    let out = behind.ssh(&["-o", &forwards], "echo in");
    refused(&behind, &out, "its host key is another");
    assert_eq!(asked.load(Ordering::SeqCst), before);
    assert_eq!(signs.load(Ordering::SeqCst), 1);
}

#[test]
fn what_the_target_is_to_listen_at_waits_for_the_agent_or_is_refused() {
    if !debian::is_there() {
        return;
    }
    let (dir, debian) = (TempDir::new(), with_keys(&["other-host"]));
    let change = |config: &mut Config| config.forwards.listen = vec!["*:*".to_owned()];
    let behind = behind(debian, &[Method::Agent], nothing, change);
    let agent = Agent::new(dir.path(), &[behind.key("other-host")]);
    let forwards = agent.option();
    // Asked for before anything runs there: refused, in words, and the rest goes on.
    let remote = "127.0.0.1:0:127.0.0.1:9";
    let out = behind.ssh(&["-o", &forwards, "-R", remote], "echo in");
    assert_eq!(out.stdout, b"in\n", "{}", said(&out));
    let listens = || {
        let all = told(&behind, "port.remote");
        all.into_iter().map(|fact| fact.fields).collect::<Vec<_>>()
    };
    wait_for("its event", || listens().len() == 1);
    let why = listens()[0].text("error").unwrap_or_default().to_owned();
    assert!(why.contains("signed in to with your agent"), "{why}");
}
