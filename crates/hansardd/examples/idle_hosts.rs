//! What connected hosts that do nothing cost a service: memory of the whole daemon, with each host's
//! open sessions.
//!
//! ```text
//! idle_hosts measure HOSTS SESSIONS                     the daemon built with this, hosts in two processes
//! idle_hosts policy HOSTS RULES                         how soon a policy of RULES rules decides at all
//! idle_hosts client DIR ADDRESS FIRST HOSTS SESSIONS    hosts alone, towards any service
//! ```
//!
//! Each host has SESSIONS open sessions, of which the service has the first frames. DIR holds the
//! hosts' identities, in directories named by their numbers, from 0.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use hansard_core::event::Stream;
use hansard_core::policy::decide::Host;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Part, Policy, SessionId, Sink as _};
use hansard_identity::authority::Authority;
use hansard_identity::host_identity::{HostIdentity, HostKeys};
use hansard_identity::registry::Registry;
use hansard_identity::tls::{LiveCertificate, client_config};
use hansard_identity::token::JoinAs;
use hansard_record::clock::{Clock, RealClock};
use hansard_record::forward::{Endpoint, ForwardOptions, Forwarder, Hooks, PolicyPost};
use hansard_record::quarantine::Quarantine;
use hansard_record::random::{Random, RealRandom};
use hansard_record::sim::SimDisk;
use hansard_record::spool::{Spool, SpoolOptions};
use hansardd::config::Local;
use hansardd::data_dir::DataDir;
use hansardd::init::keys::{authority_dir, registry_dir};
use hansardd::policy::taking::{Taking, said};
use hansardd::policy::{InForce, PolicyFiles};
use rustls::time_provider::DefaultTimeProvider;
use tokio::runtime::{Builder, Runtime};

/// An hour, in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| arguments[at].parse::<usize>().unwrap();
    match arguments.first().map(String::as_str) {
        Some("measure") => measure(number(1), number(2)),
        Some("policy") => push(number(1), number(2)),
        Some("client") => {
            let address = arguments[2].parse().unwrap();
            client(
                Path::new(&arguments[1]),
                address,
                number(3)..number(3) + number(4),
                number(5),
            );
        }
        _ => {
            println!(
                "idle_hosts measure HOSTS SESSIONS | policy HOSTS RULES | client DIR ADDRESS FIRST HOSTS SESSIONS"
            )
        }
    }
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Resident memory of a process, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse().unwrap()
}

fn random(bytes: &mut [u8]) -> std::io::Result<()> {
    RealRandom.fill(bytes)
}

/// Kills the other processes and removes the directory.
struct Gone(PathBuf, Vec<Child>);

impl Drop for Gone {
    fn drop(&mut self) {
        for child in &mut self.1 {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn measure(hosts: usize, sessions: usize) {
    let dir = env::temp_dir().join(format!("hansard-idle-hosts-{}", process::id()));
    fs::create_dir(&dir).unwrap();
    let mut gone = Gone(dir.clone(), Vec::new());
    let service = Service::found(&dir);
    service.enrol(hosts);
    gone.1.push(service.start());
    let service_pid = gone.1[0].id();
    service.wait_for(0, 0);
    let mut resident = vec![resident_kib(service_pid)];
    let half = hosts / 2;
    for (first, count) in [(0, half), (half, hosts - half)] {
        let counts = [first.to_string(), count.to_string(), sessions.to_string()];
        let child = Command::new(env::current_exe().unwrap())
            .arg("client")
            .arg(dir.join("hosts"))
            .arg(service.ingest.to_string())
            .args(&counts)
            .spawn();
        gone.1.push(child.unwrap());
        service.wait_for(first + count, (first + count) * sessions);
        // Long enough for pings, and for what only the beginning needed to be given back.
        thread::sleep(Duration::from_secs(20));
        resident.push(resident_kib(service_pid));
    }
    let (before, first, all) = (resident[0], resident[1], resident[2]);
    // What the first half costs beyond that, it costs once.
    let each = (all as f64 - first as f64) / (hosts - half) as f64;
    println!("resident KiB: no host {before}, {half} hosts {first}, {hosts} hosts {all}");
    println!("each further host with {sessions} sessions: {each:.1} KiB");
    println!("{hosts} hosts: {:.0} MiB", all as f64 / 1024.0);
}

/// Sets a policy at the service ten times, and waits until it knows of every host that it decides there.
/// The hosts' own work (reading the policy, making it ready) is done on this machine, too.
fn push(hosts: usize, rules: usize) {
    let dir = env::temp_dir().join(format!("hansard-policy-{}", process::id()));
    fs::create_dir(&dir).unwrap();
    let mut gone = Gone(dir.clone(), Vec::new());
    let service = Service::found(&dir);
    service.enrol(hosts);
    gone.1.push(service.start());
    let counts = ["0".to_owned(), hosts.to_string(), "0".to_owned()];
    let child = Command::new(env::current_exe().unwrap())
        .arg("client")
        .arg(dir.join("hosts"))
        .arg(service.ingest.to_string())
        .args(&counts)
        .spawn();
    gone.1.push(child.unwrap());
    service.wait_for(hosts, 0);
    for version in 1..=10 {
        let rule = |n| format!("- {{name: r{n}, users: [u{n}, v{n}], keystrokes: true}}\n");
        let text: String = (0..rules).map(rule).collect();
        let text = format!("default: {{notice: number {version}}}\nrules:\n{text}");
        let file = dir.join("policy.yaml");
        fs::write(&file, &text).unwrap();
        let (cpu, since) = (cpu_ms(gone.1[0].id()), Instant::now());
        service.asked(&["policy", "set", file.to_str().unwrap()]);
        let set = since.elapsed();
        let decides = format!("\"policy_version\":{version},");
        // The service itself is a host, too.
        while service
            .asked(&["host", "ls", "--json", "--all"])
            .matches(&decides)
            .count()
            <= hosts
        {
            assert!(since.elapsed() < Duration::from_secs(60), "too long");
            thread::sleep(Duration::from_millis(10));
        }
        let (all, cpu) = (since.elapsed(), cpu_ms(gone.1[0].id()) - cpu);
        println!(
            "{} bytes, {rules} rules: set after {set:?}, known to decide at {hosts} hosts after {all:?}; \
             {cpu} ms of the service's CPU, with being asked",
            text.len()
        );
        thread::sleep(Duration::from_secs(1));
    }
}

/// CPU time of a process so far: user and system.
fn cpu_ms(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let mut fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11);
    let mut ticks = || fields.next().unwrap().parse::<u64>().unwrap();
    (ticks() + ticks()) * 10
}

/// What takes policies on a host: reads them, keeps them on a disk in memory, decides by them.
fn taking(disk: Arc<SimDisk>) -> PolicyPost {
    let in_force = InForce::configured(Host::default(), &Local::default());
    let (files, _) = PolicyFiles::open(Path::new("/policy"), disk, 2).unwrap();
    let post = PolicyPost::new(said(&in_force, ""));
    let taking = Taking {
        post: post.clone(),
        files,
        in_force,
        clock: Arc::new(RealClock),
        tell: Box::new(|_| {}),
    };
    thread::spawn(move || taking.run());
    post
}

/// A real service, with everything that one has.
struct Service {
    dir: PathBuf,
    ingest: SocketAddr,
    metrics: SocketAddr,
}

impl Service {
    /// Writes its configuration and founds its cluster.
    fn found(dir: &Path) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let (ingest, metrics) = (free().unwrap(), free().unwrap());
        let service = Self {
            dir: dir.to_owned(),
            ingest,
            metrics,
        };
        let text = format!(
            "node: {{data_dir: '{0}/data', runtime_dir: '{0}/run'}}\nstore: {{}}\nserve:\n  admin: {{}}\n  \
             ingest: {{listen: '{ingest}', names: [localhost]}}\n  metrics: {{listen: '{metrics}'}}\n",
            dir.display()
        );
        fs::write(service.config(), text).unwrap();
        let init = service
            .hansardd("init")
            .args(["--cluster", "idle"])
            .status();
        assert!(init.unwrap().success(), "hansardd init failed");
        service
    }

    fn config(&self) -> PathBuf {
        self.dir.join("hansard.yaml")
    }

    /// The daemon that was built with this example.
    fn hansardd(&self, command: &str) -> Command {
        let here = env::current_exe().unwrap();
        let program = here.parent().unwrap().parent().unwrap().join("hansardd");
        let mut hansardd = Command::new(program);
        hansardd.arg(command).arg("--config").arg(self.config());
        hansardd.stdout(Stdio::null()).stderr(Stdio::null());
        hansardd
    }

    /// What the client says that was built with this example.
    fn asked(&self, args: &[&str]) -> String {
        let here = env::current_exe().unwrap();
        let program = here.parent().unwrap().parent().unwrap().join("hansard");
        let mut hansard = Command::new(program);
        hansard
            .args(args)
            .env("HANSARD_RUNTIME_DIR", self.dir.join("run"));
        let done = hansard.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn start(&self) -> Child {
        self.hansardd("run").spawn().unwrap()
    }

    /// Lets hosts join, at its registry while it does not run.
    fn enrol(&self, hosts: usize) {
        let now = RealClock.utc_ns();
        let keys = DataDir::new(&self.dir.join("data")).keys();
        let authority = Authority::open(&authority_dir(&keys)).unwrap();
        let authority = Arc::new(authority);
        let opened = Registry::open(
            &registry_dir(&keys),
            Arc::clone(&authority),
            Arc::new(random),
        );
        let registry = opened.unwrap().0;
        for n in 0..hosts {
            let keys = HostKeys::create(&self.dir.join("hosts").join(n.to_string()), &random);
            let keys = keys.unwrap();
            let token = registry.create_token(JoinAs::Host, 1, HOUR, "root", now);
            let token = token.unwrap().answer.reveal();
            let name = format!("host-{n}");
            let request = keys.join_request(&token, &name, BTreeMap::new(), Vec::new());
            let joined = registry.join(&request, now).unwrap();
            keys.store(&joined.answer, &authority.own().der, now)
                .unwrap();
        }
    }

    /// Waits until it has so many hosts and sessions of theirs.
    fn wait_for(&self, hosts: usize, sessions: usize) {
        let begin = Instant::now();
        loop {
            let (connected, live) = (
                self.measured("hansard_hosts_connected"),
                self.measured("hansard_sessions_live"),
            );
            // The service's own recording is a session, too.
            if connected == Some(hosts) && live.is_some_and(|live| live >= sessions) {
                return;
            }
            let is_in_time = begin.elapsed() < Duration::from_secs(300);
            assert!(is_in_time, "connected: {connected:?}, live: {live:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What one of its metrics says, once it answers.
    fn measured(&self, name: &str) -> Option<usize> {
        let mut stream = TcpStream::connect(self.metrics).ok()?;
        let asked = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(asked.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().strip_suffix(".0")?.parse().ok())
    }
}

fn live(identity: &HostIdentity) -> Arc<LiveCertificate> {
    let key = identity.keys().tls();
    let live = LiveCertificate::new(identity.tls_certificate(), identity.authority(), key);
    Arc::new(live.unwrap())
}

/// The first frames of a session.
fn begun(identity: &HostIdentity, id: SessionId) -> Vec<Part> {
    let key = identity.recorder_key();
    let session = Session {
        id,
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "alice"),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: RealClock.utc_ns(),
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "idle_hosts".to_owned(),
    };
    let mut writer = SegmentWriter::new(session, key, Bounds::default()).unwrap();
    writer.push_data(1, Stream::Output, b"$ ").unwrap();
    writer.cut().unwrap();
    writer.parts()
}

fn client(dir: &Path, address: SocketAddr, hosts: std::ops::Range<usize>, sessions: usize) {
    let runtime = runtime();
    for n in hosts {
        let identity = HostIdentity::open(&dir.join(n.to_string()))
            .unwrap()
            .unwrap();
        let time = Arc::new(DefaultTimeProvider);
        let tls = client_config(identity.authority(), Some(live(&identity)), time);
        let endpoint = Endpoint {
            addresses: vec![address.to_string()],
            server_name: "localhost".try_into().unwrap(),
            tls: Arc::new(tls.unwrap()),
        };
        let disk = Arc::new(SimDisk::new(1));
        let spool = Spool::open(Path::new("/spool"), disk.clone(), SpoolOptions::default());
        let mut spool = spool.unwrap();
        for _ in 0..sessions {
            let mut bytes = [0; 10];
            random(&mut bytes).unwrap();
            let id = SessionId::new_v7(RealClock.utc_ns() / 1_000_000, bytes);
            spool.put(&begun(&identity, id)).unwrap();
        }
        let forwarder = Forwarder::new(
            &spool,
            Quarantine::new(Path::new("/aside"), disk.clone()),
            Arc::new(move || Ok(endpoint.clone())),
            Arc::new(RealRandom),
            ForwardOptions::default(),
            Hooks {
                control: Box::new(|_| {}),
                alarm: Arc::new(|alarm| println!("{alarm:?}")),
                live: Box::new(Vec::new),
                before_forget: Arc::new(|_, _| Ok(())),
            },
        );
        let forwarder = forwarder.with_policy(taking(disk));
        runtime.spawn(forwarder.run(std::future::pending()));
    }
    runtime.block_on(std::future::pending::<()>());
}
