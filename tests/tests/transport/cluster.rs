//! An authority, identities that it certified, and a clock that the test moves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, process, thread};

use hansard_core::session::ClockQuality;
use hansard_identity::authority::Authority;
use hansard_identity::host_identity::{HostIdentity, HostKeys};
use hansard_identity::random::Random as IdentityRandom;
use hansard_identity::registry::{Enrolment, Registry};
use hansard_identity::tls::{Clients, LiveCertificate, client_config, server_config};
use hansard_identity::token::JoinAs;
use hansard_record::clock::Clock;
use hansard_record::random::Random as _;
use hansard_record::sim::SimRandom;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const HOUR: u64 = 3600 * SECOND;

/// Waits for something to become so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < Duration::from_secs(40),
            "waited too long until {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// A clock that starts at the real time and is moved by the test.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = u64::try_from(now.unwrap().as_nanos()).unwrap();
        Self(Arc::new(AtomicU64::new(now)))
    }

    pub(crate) fn advance(&self, ns: u64) {
        self.0.fetch_add(ns, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn monotonic_ns(&self) -> u64 {
        self.utc_ns()
    }

    fn utc_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn quality(&self) -> ClockQuality {
        ClockQuality::Synchronised
    }
}

impl TimeProvider for TestClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_nanos(
            self.utc_ns(),
        )))
    }
}

/// A directory of the test's own.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("hansard-transport-{}-{n}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A cluster: its authority and who joined.
pub(crate) struct Cluster {
    scratch: Scratch,
    pub(crate) clock: TestClock,
    pub(crate) registry: Arc<Registry>,
    authority: Arc<Authority>,
    random: Arc<dyn IdentityRandom>,
}

impl Cluster {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        let scratch = Scratch::new();
        let clock = TestClock::new();
        let source = SimRandom::new(seed);
        let random: Arc<dyn IdentityRandom> = Arc::new(move |bytes: &mut [u8]| source.fill(bytes));
        let directory = scratch.0.join("authority");
        let authority = Authority::create(&directory, name, clock.utc_ns(), &*random).unwrap();
        let authority = Arc::new(authority);
        let at = scratch.0.join("registry");
        Registry::create(&at).unwrap();
        let opened = Registry::open(&at, Arc::clone(&authority), Arc::clone(&random));
        Self {
            scratch,
            clock,
            registry: Arc::new(opened.unwrap().0),
            authority,
            random,
        }
    }

    fn keys(&self, name: &str) -> HostKeys {
        let directory = self.scratch.0.join("hosts").join(name);
        HostKeys::create(&directory, &*self.random).unwrap()
    }

    fn open(&self, name: &str) -> HostIdentity {
        let directory = self.scratch.0.join("hosts").join(name);
        HostIdentity::open(&directory).unwrap().unwrap()
    }

    /// A host that joined now.
    pub(crate) fn host(&self, name: &str) -> HostIdentity {
        let now = self.clock.utc_ns();
        let made = self
            .registry
            .create_token(JoinAs::Host, 1, HOUR, "root", now);
        let keys = self.keys(name);
        let token = made.unwrap().answer.reveal();
        let request = keys.join_request(&token, name, BTreeMap::new(), Vec::new());
        let joined = self.registry.join(&request, now).unwrap();
        keys.store(&joined.answer, &self.authority.own().der, now)
            .unwrap();
        self.open(name)
    }

    /// The service, reached as `localhost`.
    pub(crate) fn service(&self) -> HostIdentity {
        let now = self.clock.utc_ns();
        let keys = self.keys("service");
        let enrolment = Enrolment {
            name: "service".to_owned(),
            labels: BTreeMap::new(),
            server_names: vec!["localhost".to_owned()],
            tls_key: keys.tls().public(),
            recorder_key: keys.recorder().public(),
        };
        let enrolled = self.registry.enrol(&enrolment, now).unwrap();
        keys.store(&enrolled.answer, &self.authority.own().der, now)
            .unwrap();
        self.open("service")
    }

    pub(crate) fn server_config(&self, service: &HostIdentity) -> Arc<ServerConfig> {
        let time = Arc::new(self.clock.clone());
        let config = server_config(
            service.authority(),
            live(service),
            Clients::OrAnonymous,
            time,
        );
        Arc::new(config.unwrap())
    }

    /// How a host connects; without a certificate if `is_anonymous`.
    pub(crate) fn client_config(
        &self,
        host: &HostIdentity,
        is_anonymous: bool,
    ) -> Arc<ClientConfig> {
        let own = (!is_anonymous).then(|| live(host));
        let time = Arc::new(self.clock.clone());
        Arc::new(client_config(host.authority(), own, time).unwrap())
    }
}

fn live(identity: &HostIdentity) -> Arc<LiveCertificate> {
    let key = identity.keys().tls();
    let live = LiveCertificate::new(identity.tls_certificate(), identity.authority(), key);
    Arc::new(live.unwrap())
}

impl Cluster {
    /// Connects trusting what `trusting` does, with the certificate of somebody else.
    pub(crate) fn client_config_as(
        &self,
        trusting: &HostIdentity,
        shown: &HostIdentity,
    ) -> Arc<ClientConfig> {
        let time = Arc::new(self.clock.clone());
        let config = client_config(trusting.authority(), Some(live(shown)), time);
        Arc::new(config.unwrap())
    }

    /// Locks a host out.
    pub(crate) fn lock(&self, host: &HostIdentity) {
        let now = self.clock.utc_ns();
        self.registry
            .lock(host.id(), "a test", None, "root", now)
            .unwrap();
    }
}
