//! What connected hosts cost a service that do nothing: memory for each, and what that makes for
//! two thousand of them.
//!
//! ```text
//! idle_hosts measure HOSTS SESSIONS                     a service here, the hosts in another process
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
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use hansard_core::event::Stream;
use hansard_core::seal::Digest;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Part, Policy, SessionId, Sink};
use hansard_identity::Peer;
use hansard_identity::authority::Authority;
use hansard_identity::host_identity::{HostIdentity, HostKeys};
use hansard_identity::registry::{Enrolment, Registry};
use hansard_identity::tls::{Clients, LiveCertificate, client_config, server_config};
use hansard_identity::token::JoinAs;
use hansard_record::clock::{Clock, RealClock};
use hansard_record::forward::{Endpoint, ForwardOptions, Forwarder, Hooks};
use hansard_record::quarantine::Quarantine;
use hansard_record::random::{Random, RealRandom};
use hansard_record::real_disk::RealDisk;
use hansard_record::sim::SimDisk;
use hansard_record::spool::{Spool, SpoolOptions};
use hansardd::ingest::{
    Answer, Connections, Depot, Ingest, KeyGate, Note, Parts, RegistryAdmission, Witness,
};
use rustls::time_provider::DefaultTimeProvider;
use tokio::runtime::{Builder, Runtime};

/// An hour, in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| arguments[at].parse::<usize>().unwrap();
    match arguments.first().map(String::as_str) {
        Some("measure") => measure(number(1), number(2)),
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
            println!("idle_hosts measure HOSTS SESSIONS | client DIR ADDRESS FIRST HOSTS SESSIONS")
        }
    }
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Resident memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse().unwrap()
}

fn random(bytes: &mut [u8]) -> std::io::Result<()> {
    RealRandom.fill(bytes)
}

/// Ends the other processes and removes the directory.
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
    let (registry, service) = enrol(&dir, hosts);
    let runtime = runtime();
    let (address, connections) = serve(&dir, registry, &service, &runtime);
    let mut resident = vec![resident_kib()];
    let half = hosts / 2;
    for (first, count) in [(0, half), (half, hosts - half)] {
        let counts = [first.to_string(), count.to_string(), sessions.to_string()];
        let child = Command::new(env::current_exe().unwrap())
            .arg("client")
            .arg(dir.join("hosts"))
            .arg(address.to_string())
            .args(&counts)
            .spawn();
        gone.1.push(child.unwrap());
        wait_for(&connections, first + count, sessions);
        // Long enough for pings, and for what only the beginning needed to be given back.
        thread::sleep(Duration::from_secs(20));
        resident.push(resident_kib());
    }
    let (before, first, all) = (resident[0], resident[1], resident[2]);
    // What the first half costs beyond that, it costs once.
    let each = (all as f64 - first as f64) / (hosts - half) as f64;
    println!("resident KiB: no host {before}, {half} hosts {first}, {hosts} hosts {all}");
    println!("each further host with {sessions} sessions: {each:.1} KiB");
    let of_2000 = (first as f64 + each * (2000.0 - half as f64)) / 1024.0;
    println!("two thousand hosts by that: {of_2000:.0} MiB");
}

fn wait_for(connections: &Connections, hosts: usize, sessions: usize) {
    let begin = Instant::now();
    loop {
        let list = connections.list();
        let there: usize = list.iter().map(|host| host.sessions).sum();
        if list.len() == hosts && there == hosts * sessions {
            return;
        }
        let is_in_time = begin.elapsed() < Duration::from_secs(300);
        assert!(is_in_time, "only {} hosts connected", list.len());
        thread::sleep(Duration::from_millis(100));
    }
}

fn enrol(dir: &Path, hosts: usize) -> (Arc<Registry>, HostIdentity) {
    let now = RealClock.utc_ns();
    let authority = Authority::create(&dir.join("authority"), "idle", now, &random).unwrap();
    let authority = Arc::new(authority);
    Registry::create(&dir.join("registry")).unwrap();
    let at = dir.join("registry");
    let opened = Registry::open(&at, Arc::clone(&authority), Arc::new(random));
    let registry = opened.unwrap().0;
    let own = &authority.own().der;
    let keys = HostKeys::create(&dir.join("service"), &random).unwrap();
    let enrolment = Enrolment {
        name: "service".to_owned(),
        labels: BTreeMap::new(),
        server_names: vec!["localhost".to_owned()],
        tls_key: keys.tls().public(),
        recorder_key: keys.recorder().public(),
    };
    let enrolled = registry.enrol(&enrolment, now).unwrap();
    keys.store(&enrolled.answer, own, now).unwrap();
    for n in 0..hosts {
        let keys = HostKeys::create(&dir.join("hosts").join(n.to_string()), &random).unwrap();
        let token = registry.create_token(JoinAs::Host, 1, HOUR, "root", now);
        let token = token.unwrap().answer.reveal();
        let name = format!("host-{n}");
        let request = keys.join_request(&token, &name, BTreeMap::new(), Vec::new());
        let joined = registry.join(&request, now).unwrap();
        keys.store(&joined.answer, own, now).unwrap();
    }
    let service = HostIdentity::open(&dir.join("service")).unwrap().unwrap();
    (Arc::new(registry), service)
}

fn live(identity: &HostIdentity) -> Arc<LiveCertificate> {
    let key = identity.keys().tls();
    let live = LiveCertificate::new(identity.tls_certificate(), identity.authority(), key);
    Arc::new(live.unwrap())
}

/// A spool, and an archive that is always empty.
struct Shelf(Spool);

impl Depot for Shelf {
    fn sink(&self, _peer: &Peer) -> Box<dyn Sink + Send> {
        Box::new(self.0.clone())
    }

    fn archived(&self, _session: SessionId) -> Result<Option<u32>, String> {
        Ok(None)
    }

    fn holds(&self, _session: SessionId, _segment: u32, _digest: &Digest) -> Result<bool, String> {
        Ok(false)
    }
}

/// Nobody to tell of anything.
struct Quiet;

impl Witness for Quiet {
    fn note(&self, _note: Note) {}
}

fn serve(
    dir: &Path,
    registry: Arc<Registry>,
    service: &HostIdentity,
    runtime: &Runtime,
) -> (SocketAddr, Connections) {
    let options = SpoolOptions::default();
    let spool = Spool::open(&dir.join("spool"), Arc::new(RealDisk), options).unwrap();
    let time = Arc::new(DefaultTimeProvider);
    let authority = service.authority();
    let tls = server_config(authority, live(service), Clients::OrAnonymous, time);
    let keys = Arc::clone(&registry);
    let gate = KeyGate::new(
        Box::new(move |peer, key| {
            let id = peer.principal.id();
            id.is_some_and(|id| keys.has_recorder_key(id, key))
        }),
        Box::new(|_| Ok(None)),
    );
    let nobody: Answer = Arc::new(|_, _| (404, Vec::new()));
    let connections = Connections::new();
    let ingest = Ingest::new(Parts {
        tls: Arc::new(tls.unwrap()),
        admission: Arc::new(RegistryAdmission::new(registry, Arc::new(RealClock))),
        gate: Arc::new(gate),
        depot: Arc::new(Shelf(spool)),
        witness: Arc::new(Quiet),
        join: Arc::clone(&nobody),
        renew: nobody,
        connections: connections.clone(),
        software: "idle_hosts".to_owned(),
    });
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(ingest.run(listener, std::future::pending()));
    (address, connections)
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
            Quarantine::new(Path::new("/aside"), disk),
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
        runtime.spawn(forwarder.run(std::future::pending()));
    }
    runtime.block_on(std::future::pending::<()>());
}
