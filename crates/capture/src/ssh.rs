//! The SSH node: a server on the host, in the daemon. Whoever signs in with a certificate runs programs
//! as an account of this machine, and everything they do is recorded; what cannot be recorded is refused.
//!
//! - `door`: who may connect; `connection`: a thread for each; `preface`: whether it is SSH at all
//! - `witness`: what the library refuses without telling anybody
//! - `credentials`, `account`: who may come in, and as whom; `access`: what roles and locks say of it
//! - `handler`: the library's hooks; `channel`: what is asked for in a channel; `relay`: bytes between a
//!   program and its channel; `forward`: connections that go through
//! - `proxy`: in the stead of programs of this machine, connections to another; `program`: either
//! - `greeting`: what somebody who logs in is shown, and where it is noted that they did
//! - `ciphers`: what is spoken; `header`, `fact`: what is written; `ender`: how others end it

use std::collections::BTreeMap;
use std::io::{self, PipeWriter, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Certificate, PrivateKey};
use russh::{MethodKind, MethodSet, SshId};

use crate::local::{Server as LocalServer, THE_DAEMON_STOPS};
use crate::registry::Runs as _;
use crate::who::Who;

mod access;
mod account;
mod alive;
mod channel;
mod ciphers;
mod connection;
mod credentials;
mod distance;
mod door;
mod ender;
mod fact;
mod forward;
mod gathered;
mod greeting;
mod handler;
mod header;
pub mod limits;
mod over;
mod preface;
mod program;
mod proxy;
mod relay;
mod room;
mod sftp;
mod sys;
mod witness;
mod x11;

use credentials::Authorities;
use ender::Ender;
pub use forward::Forwards;
pub use greeting::Lists;
pub use hansard_shell::Keeper;
use header::OfMachine;
use limits::{
    ALIVE_EVERY, ALIVE_MAX, ATTEMPTS_MAX, CHANNEL_MESSAGES_MAX, CONNECTIONS_MAX, LOGIN_GRACE,
    PACKET_BYTES, REJECTION_TIME, STOP_MAX, UNKNOWN_MAX, UNKNOWN_OF_ADDRESS_MAX, WINDOW_BYTES,
};
pub use proxy::{
    Certify, Credential, CredentialKind, Credentials, Method, Proxy, Wanted as WantedCertificate,
    check_target, key_fingerprint,
};

/// How a node works. What is kept of sessions, and how, is what the capture socket's configuration says.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The seed of its Ed25519 host key.
    pub host_key: [u8; 32],
    /// Its certificate, as a line of a `-cert.pub` file, if it has one.
    pub host_certificate: Option<String>,
    /// Public keys of those whose certificates let in, as lines for `TrustedUserCAKeys`.
    pub authorities: Vec<String>,
    /// Whether keys in the accounts' `.ssh/authorized_keys` let in as well.
    pub authorized_keys: bool,
    /// Where those are: below the account's home, or a whole path; `%u` is the account's name.
    pub authorized_keys_file: String,
    /// Variables that clients may set: names, or beginnings of names with a `*` behind.
    pub accept_env: Vec<String>,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time that have not signed in.
    pub unknown_max: usize,
    /// The same of one address.
    pub unknown_of_address_max: usize,
    /// How long somebody may take to sign in.
    pub login_grace: Duration,
    /// The program that serves SFTP, `sftp-server`(8).
    pub sftp_server: PathBuf,
    /// What may be forwarded.
    pub forwards: Forwards,
    /// Who asks the system's modules (PAM), and opens sessions in a process of their own; `None`: nobody does.
    /// Where from is said for each connection.
    pub keeper: Option<Keeper>,
    /// Whether somebody is let in who answers what those modules ask; without a keeper nobody is.
    pub questions: bool,
    /// The lists of logins of this machine that are kept, where they are.
    pub lists: Option<Lists>,
    /// What is shown to whoever logs in at a terminal, `/etc/motd`; empty: nothing. With a keeper the modules say
    /// that.
    pub motd: PathBuf,
    /// Where this leads, if it is a proxy and no node.
    pub proxy: Option<Proxy>,
    /// This machine's name, which is its label `name` where it has none.
    pub name: String,
    /// This machine's labels, by which roles choose.
    pub labels: BTreeMap<String, String>,
    /// Whether only certificates let in that say what their holder's roles give.
    pub roles_only: bool,
}

impl Config {
    /// The defaults; nobody is believed yet.
    #[must_use]
    pub fn at(listen: SocketAddr, host_key: [u8; 32]) -> Self {
        Self {
            listen,
            host_key,
            host_certificate: None,
            authorities: Vec::new(),
            authorized_keys: false,
            authorized_keys_file: ".ssh/authorized_keys".to_owned(),
            accept_env: vec!["LANG".to_owned(), "LC_*".to_owned()],
            connections_max: CONNECTIONS_MAX,
            unknown_max: UNKNOWN_MAX,
            unknown_of_address_max: UNKNOWN_OF_ADDRESS_MAX,
            login_grace: LOGIN_GRACE,
            sftp_server: PathBuf::from("/usr/lib/openssh/sftp-server"),
            forwards: Forwards::default(),
            keeper: None,
            questions: false,
            lists: None,
            motd: PathBuf::new(),
            proxy: None,
            name: String::new(),
            labels: BTreeMap::new(),
            roles_only: false,
        }
    }
}

/// What all connections of a node share.
pub(crate) struct Node {
    config: Config,
    authorities: Authorities,
    rules: forward::Rules,
    leads: Option<proxy::Leads>,
    who: Option<Who>,
    machine: OfMachine,
    /// How the library works for connections that begin now.
    russh: RwLock<Arc<russh::server::Config>>,
    door: door::Door,
    enders: Enders,
    stopping: AtomicBool,
    fewer: Condvar,
    terminals: Arc<relay::Terminals>,
}

/// Whom to tell when the node stops.
#[derive(Default)]
struct Enders {
    next: AtomicU64,
    all: Mutex<std::collections::HashMap<u64, Weak<Ender>>>,
}

impl Enders {
    fn put(&self, ender: &Arc<Ender>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Arc::downgrade(ender));
        id
    }

    fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    fn end_all(&self, reason: &str) {
        let all: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|ender| ender.end(reason, ""));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<u64, Weak<Ender>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node, while it is served. Dropping it stops it, as [`Server::stop`] does.
pub struct Server {
    node: Arc<Node>,
    address: SocketAddr,
    wake: PipeWriter,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the address and serves it. Sessions are recorded with what the capture socket records with,
    /// and stand in its registry.
    ///
    /// # Errors
    /// `InvalidInput` for a configuration that no node can work with; otherwise what the system says.
    pub fn start(config: Config, local: &LocalServer) -> io::Result<Self> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        // Before anybody can connect: a request that nobody sees is not to be taken.
        witness::listen().map_err(wrong)?;
        let authorities = Authorities::read(&config.authorities).map_err(wrong)?;
        if authorities.is_empty() && !config.authorized_keys && !config.questions {
            return Err(wrong(
                "no authority is trusted: nobody could sign in".to_owned(),
            ));
        }
        let rules =
            forward::Rules::read(&config.forwards, config.proxy.is_some()).map_err(wrong)?;
        let leads = config.proxy.as_ref().map(proxy::Leads::read);
        let leads = leads.transpose().map_err(wrong)?;
        let russh = library(&config, None).map_err(wrong)?;
        let who = config.lists.as_ref().map(Lists::open).transpose()?;
        let listener = TcpListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (woken, wake) = io::pipe()?;
        let node = Arc::new(Node {
            config,
            authorities,
            rules,
            leads,
            who,
            machine: Arc::clone(&local.shared),
            russh: RwLock::new(Arc::new(russh)),
            door: door::Door::default(),
            enders: Enders::default(),
            stopping: AtomicBool::new(false),
            fewer: Condvar::new(),
            terminals: Arc::default(),
        });
        let of_thread = Arc::clone(&node);
        let accepting = std::thread::Builder::new()
            .name("ssh-door".to_owned())
            .spawn(move || door::open(&of_thread, &listener, &woken))?;
        Ok(Self {
            node,
            address,
            wake,
            accepting: Some(accepting),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What exchanges its certificate while it goes on.
    #[must_use]
    pub fn shown(&self) -> Shown {
        Shown(Arc::clone(&self.node))
    }

    /// Takes no more connections, ends all there are and waits until their recordings are complete and
    /// durable. Answers how many are not: the next start revives them.
    pub fn stop(mut self) -> usize {
        self.shut_down()
    }

    fn shut_down(&mut self) -> usize {
        let Some(accepting) = self.accepting.take() else {
            return 0;
        };
        self.node.stopping.store(true, Ordering::SeqCst);
        let _ = self.wake.write(&[0]);
        let _ = accepting.join();
        self.node.enders.end_all(THE_DAEMON_STOPS);
        self.node.wait_for_all()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// What a node shows of itself to whoever connects.
#[derive(Clone)]
pub struct Shown(Arc<Node>);

impl Shown {
    /// Connections that begin from now on are shown this certificate, a line of a `-cert.pub` file; those that are
    /// there go on.
    ///
    /// # Errors
    /// For a line that is none; what was shown before is shown on.
    pub fn certify(&self, line: &str) -> Result<(), String> {
        let config = Arc::new(library(&self.0.config, Some(line))?);
        let mut now = self.0.russh.write().unwrap_or_else(PoisonError::into_inner);
        *now = config;
        Ok(())
    }
}

impl Node {
    fn russh(&self) -> Arc<russh::server::Config> {
        let now = self.russh.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now)
    }

    fn wait_for_all(&self) -> usize {
        let until = Instant::now() + STOP_MAX;
        let asleep = Mutex::new(());
        let mut guard = asleep.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = self.door.count();
            let rest = until.saturating_duration_since(Instant::now());
            if left == 0 || rest.is_zero() {
                return left;
            }
            // Looked at again now and then: one that ended between the two lines above woke nobody.
            let pause = rest.min(Duration::from_millis(50));
            let woken = self.fewer.wait_timeout(guard, pause);
            guard = woken.unwrap_or_else(PoisonError::into_inner).0;
            // One that came in while the others were told.
            self.enders.end_all(THE_DAEMON_STOPS);
        }
    }
}

/// How the library works for this node; under the name of a target, where it answers for one.
fn library(config: &Config, certificate: Option<&str>) -> Result<russh::server::Config, String> {
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&config.host_key));
    let certificate = certificate.or(config.host_certificate.as_deref());
    let certificate = certificate.map(|line| {
        let read = Certificate::from_openssh(line);
        read.map_err(|e| format!("the host's certificate cannot be read: {e}"))
    });
    let certificate = certificate.transpose()?;
    let mut methods = MethodSet::empty();
    methods.push(MethodKind::PublicKey);
    if config.questions && config.keeper.is_some() && config.proxy.is_none() {
        methods.push(MethodKind::KeyboardInteractive);
    }
    // OpenSSH's clients say that nobody reads a program's output any more (`ssh HOST yes | head`), and others
    // ask for sockets, only where the name begins like this: it says which extensions are understood.
    let name = concat!(
        "SSH-2.0-OpenSSH_compatible_Hansard_",
        env!("CARGO_PKG_VERSION")
    );
    Ok(russh::server::Config {
        server_id: SshId::Standard(name.into()),
        methods,
        auth_rejection_time: REJECTION_TIME,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        certificates: certificate.into_iter().collect(),
        window_size: WINDOW_BYTES,
        maximum_packet_size: u32::try_from(PACKET_BYTES).unwrap_or(u32::MAX),
        channel_buffer_size: CHANNEL_MESSAGES_MAX,
        max_auth_attempts: ATTEMPTS_MAX,
        inactivity_timeout: None,
        keepalive_interval: Some(ALIVE_EVERY),
        keepalive_max: ALIVE_MAX,
        preferred: ciphers::preferred(),
        nodelay: true,
        ..russh::server::Config::default()
    })
}
