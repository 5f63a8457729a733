//! Debian's own sshd, as a target of the proxy: a new process for each connection, with nothing of ours
//! but the line that makes it believe the authority.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const SSHD: &str = "/usr/sbin/sshd";

/// Whether there is one; in CI there has to be.
pub fn is_there() -> bool {
    let is_there = Path::new(SSHD).exists();
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "{SSHD} is missing: scripts/needs.sh test"
    );
    if !is_there {
        eprintln!("skipped: there is no {SSHD}");
    }
    is_there
}

/// An sshd, until it is dropped: with it end the processes of its connections.
pub struct Debian {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Debian {
    /// Begins to serve, believing `ca.pub` of this directory; its host key is made there under this name.
    pub fn start(keys: &Path, host_key: &str) -> Self {
        Self::with(keys, host_key, "", None)
    }

    /// The same with lines of its configuration that count before the others; and, where a command is given, in
    /// mounts of its own that this has made (root).
    pub fn with(keys: &Path, host_key: &str, lines: &str, mounts: Option<&str>) -> Self {
        // Where its half without rights lives. Debian's unit makes it; a container has no units.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let host_key = keys.join(host_key);
        let config = host_key.with_extension("config");
        let text = format!(
            "{lines}HostKey {}\nTrustedUserCAKeys {}\nAuthorizedKeysFile none\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\n\
             AcceptEnv LANG LC_*\nPermitRootLogin yes\nPermitTunnel no\nX11Forwarding yes\n\
             Subsystem sftp /usr/lib/openssh/sftp-server\n",
            host_key.display(),
            keys.join("ca.pub").display()
        );
        fs::write(&config, text).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let mounts = mounts.map(str::to_owned);
        let accepting =
            std::thread::spawn(move || serve(&listener, (&config, mounts.as_deref()), &ends));
        Self {
            address,
            is_over,
            accepting: Some(accepting),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(listener: &TcpListener, (config, mounts): (&Path, Option<&str>), ends: &AtomicBool) {
    let children = Mutex::new(Vec::<Child>::new());
    for stream in listener.incoming() {
        if ends.load(Ordering::SeqCst) {
            break;
        }
        let (input, output) = (stream.as_ref().unwrap(), stream.as_ref().unwrap());
        let mut sshd = match mounts {
            None => Command::new(SSHD),
            Some(mounts) => {
                let mut shell = Command::new("unshare");
                let line = format!("{mounts} && exec {SSHD} \"$@\"");
                shell.args(["-m", "sh", "-c", &line, SSHD]);
                shell
            }
        };
        let child = sshd
            .args(["-i", "-e", "-f"])
            .arg(config)
            .stdin(OwnedFd::from(input.try_clone().unwrap()))
            .stdout(OwnedFd::from(output.try_clone().unwrap()))
            .stderr(Stdio::null())
            .spawn();
        children.lock().unwrap().push(child.unwrap());
    }
    for mut child in children.into_inner().unwrap() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Keys of a user and of a host, `user` and `host` in this directory.
#[allow(dead_code)] // not by all who start it
pub fn keys(dir: &Path) {
    for name in ["user", "host"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(dir.join(name))
            .status();
        assert!(made.unwrap().success());
    }
}
