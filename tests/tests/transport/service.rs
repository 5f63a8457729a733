//! A service: ingest over a spool, and a keeper as small as can be, which archives whole segments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hansard_core::frame::{Part, Sound};
use hansard_core::seal::Digest;
use hansard_core::{Receipt, SessionId, Sink, SinkError};
use hansard_identity::{HostIdentity, Peer};
use hansard_record::forward::wire;
use hansard_record::order::Spot;
use hansard_record::sim::SimDisk;
use hansard_record::spool::{Pending, Spool, SpoolOptions};
use hansardd::ingest::{
    Answer, Cause, Connections, Depot, Figures, Ingest, KeyGate, Note, Parts, RegistryAdmission,
    Witness,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, until};

/// What is in the archive of a session.
#[derive(Default, Clone)]
pub(crate) struct Stored {
    pub(crate) parts: Vec<Part>,
    pub(crate) digests: Vec<Digest>,
    pub(crate) key: Option<[u8; 32]>,
}

/// The archive, which outlives the service.
#[derive(Clone, Default)]
pub(crate) struct Archive(Arc<Mutex<BTreeMap<SessionId, Stored>>>);

impl Archive {
    pub(crate) fn of(&self, session: SessionId) -> Stored {
        self.0
            .lock()
            .unwrap()
            .get(&session)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Switches of a service.
#[derive(Default)]
pub(crate) struct Switches {
    /// The keeper does nothing.
    pub(crate) keeper_rests: AtomicBool,
    /// The keeper archives and tells nobody.
    pub(crate) keeper_is_mute: AtomicBool,
    /// The catalog cannot be asked.
    pub(crate) catalog_is_down: AtomicBool,
    /// What was taken for lost.
    pub(crate) losses: Mutex<Vec<(SessionId, Spot)>>,
}

pub(crate) struct TestDepot {
    spool: Spool,
    archive: Archive,
    switches: Arc<Switches>,
    puts: Arc<Mutex<Vec<(String, usize)>>>,
}

struct TestSink {
    spool: Spool,
    host: String,
    puts: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Sink for TestSink {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        let mut puts = self.puts.lock().unwrap();
        puts.push((self.host.clone(), parts.len()));
        drop(puts);
        self.spool.put(parts)
    }
}

impl TestDepot {
    fn catalog(&self) -> Result<(), String> {
        match self.switches.catalog_is_down.load(Ordering::SeqCst) {
            true => Err("the catalog is down".to_owned()),
            false => Ok(()),
        }
    }
}

impl Depot for TestDepot {
    fn sink(&self, peer: &Peer) -> Box<dyn Sink + Send> {
        Box::new(TestSink {
            spool: self.spool.clone(),
            host: peer.name.clone(),
            puts: Arc::clone(&self.puts),
        })
    }

    fn archived(&self, session: SessionId) -> Result<Option<u32>, String> {
        self.catalog()?;
        let stored = self.archive.of(session).digests.len();
        Ok(stored.checked_sub(1).map(|n| n as u32))
    }

    fn begins_at(&self, session: SessionId, spot: Spot) {
        self.switches.losses.lock().unwrap().push((session, spot));
    }

    fn holds(&self, session: SessionId, segment: u32, digest: &Digest) -> Result<bool, String> {
        self.catalog()?;
        let stored = self.archive.of(session);
        Ok(stored.digests.get(segment as usize) == Some(digest))
    }
}

#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    pub(crate) fn all(&self) -> Vec<Note> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn alarms(&self) -> Vec<SessionId> {
        let alarm = |note| match note {
            Note::NotTaken {
                session,
                cause: Cause::Foreign | Cause::Lost,
                ..
            } => Some(session),
            _ => None,
        };
        self.all().into_iter().filter_map(alarm).collect()
    }
}

impl Witness for Notes {
    fn note(&self, note: Note) {
        self.0.lock().unwrap().push(note);
    }
}

pub(crate) struct Service {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) disk: SimDisk,
    pub(crate) archive: Archive,
    pub(crate) switches: Arc<Switches>,
    pub(crate) notes: Notes,
    pub(crate) connections: Connections,
    pub(crate) figures: Arc<Figures>,
    pub(crate) address: SocketAddr,
    pub(crate) spool: Spool,
    pub(crate) puts: Arc<Mutex<Vec<(String, usize)>>>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    keeper: Option<std::thread::JoinHandle<()>>,
    bell: Arc<(Mutex<bool>, Condvar)>,
    is_over: Arc<AtomicBool>,
}

/// What a service is made of the first time, and keeps when it is started again.
pub(crate) struct Made {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) disk: SimDisk,
    pub(crate) archive: Archive,
    pub(crate) switches: Arc<Switches>,
    pub(crate) spool_bytes_max: u64,
}

impl Made {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        Self {
            runtime: Arc::new(runtime.unwrap()),
            disk: SimDisk::new(1),
            archive: Archive::default(),
            switches: Arc::default(),
            spool_bytes_max: 1 << 30,
        }
    }
}

impl Service {
    pub(crate) fn start(cluster: &Cluster, identity: &HostIdentity, made: Made) -> Self {
        let options = SpoolOptions {
            bytes_max: made.spool_bytes_max,
            file_bytes_max: 256 * 1024,
            ..SpoolOptions::default()
        };
        let disk = Arc::new(made.disk.clone());
        let spool = Spool::open(Path::new("/spool"), disk, options).unwrap();
        let connections = Connections::new();
        let notes = Notes::default();
        let puts = Arc::default();
        let depot = Arc::new(TestDepot {
            spool: spool.clone(),
            archive: made.archive.clone(),
            switches: Arc::clone(&made.switches),
            puts: Arc::clone(&puts),
        });
        let (registry, known) = (Arc::clone(&cluster.registry), made.archive.clone());
        let gate = KeyGate::new(
            Box::new(move |peer, key| {
                let id = peer.principal.id();
                id.is_some_and(|id| registry.has_recorder_key(id, key))
            }),
            Box::new({
                let depot = Arc::clone(&depot);
                move |session| depot.catalog().map(|()| known.of(session).key)
            }),
        );
        let clock = Arc::new(cluster.clock.clone());
        let admission = RegistryAdmission::new(Arc::clone(&cluster.registry), clock);
        let echo: Answer = Arc::new(|(peer, _), body| {
            let who = peer.map_or("nobody".to_owned(), |peer| peer.name);
            (200, [who.as_bytes(), b": ", &body].concat())
        });
        let ingest = Ingest::new(Parts {
            tls: cluster.server_config(identity),
            admission: Arc::new(admission),
            gate: Arc::new(gate),
            depot,
            witness: Arc::new(notes.clone()),
            join: Arc::clone(&echo),
            renew: echo,
            connections: connections.clone(),
            hosts_max: 64,
            software: "a service under test".to_owned(),
        });
        let figures = ingest.figures();
        let listener = made.runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = made.runtime.spawn(ingest.run(listener, async {
            let _ = stopped.await;
        }));
        let mut service = Self {
            runtime: made.runtime,
            disk: made.disk,
            archive: made.archive,
            switches: made.switches,
            notes,
            connections,
            figures,
            address,
            spool,
            puts,
            stop: Some(stop),
            task: Some(task),
            keeper: None,
            bell: Arc::default(),
            is_over: Arc::default(),
        };
        service.keep();
        service
    }

    /// Starts the keeper.
    fn keep(&mut self) {
        let bell = Arc::clone(&self.bell);
        self.spool.listen(Arc::new(move || {
            *bell.0.lock().unwrap() = true;
            bell.1.notify_one();
        }));
        let mut keeper = Keeper {
            spool: self.spool.clone(),
            archive: self.archive.clone(),
            connections: self.connections.clone(),
            switches: Arc::clone(&self.switches),
            cursor: None,
            open: BTreeMap::new(),
        };
        let (bell, is_over) = (Arc::clone(&self.bell), Arc::clone(&self.is_over));
        self.keeper = Some(std::thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                keeper.step();
                let rung = bell.0.lock().unwrap();
                let wait = Duration::from_millis(20);
                let (mut rung, _) = bell.1.wait_timeout_while(rung, wait, |r| !*r).unwrap();
                *rung = false;
            }
        }));
    }

    /// Stops it; what it is made of can be started again.
    pub(crate) fn stop(mut self) -> Made {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(keeper) = self.keeper.take() {
            keeper.join().unwrap();
        }
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            self.runtime.block_on(task).unwrap();
        }
        // Threads that put hold the spool a moment longer.
        let made = Made {
            runtime: Arc::clone(&self.runtime),
            disk: self.disk.after_crash(),
            archive: self.archive.clone(),
            switches: Arc::clone(&self.switches),
            spool_bytes_max: 1 << 30,
        };
        drop(self);
        made
    }

    /// Waits until exactly this is in the archive.
    pub(crate) fn wait_for(&self, parts: &[Part]) {
        let session = parts[0].session();
        until("the session is in the archive", || {
            self.archive.of(session).parts.len() >= parts.len()
        });
        let spots: Vec<Spot> = self
            .archive
            .of(session)
            .parts
            .iter()
            .map(Spot::of)
            .collect();
        let expected: Vec<Spot> = parts.iter().map(Spot::of).collect();
        assert_eq!(spots, expected);
        assert!(self.archive.of(session).parts == parts, "other bytes");
    }
}

struct Keeper {
    spool: Spool,
    archive: Archive,
    connections: Connections,
    switches: Arc<Switches>,
    cursor: Option<Pending>,
    open: BTreeMap<SessionId, Vec<Part>>,
}

impl Keeper {
    fn step(&mut self) {
        while !self.switches.keeper_rests.load(Ordering::SeqCst) {
            let pending = self.spool.pending(self.cursor.as_ref(), 50);
            let Some(last) = pending.last() else { return };
            self.cursor = Some(*last);
            for pending in &pending {
                let part = self.spool.read(pending).unwrap();
                let session = part.session();
                let open = self.open.entry(session).or_default();
                open.push(part.clone());
                if let Ok(Sound::Seal(seal)) = part.check() {
                    let parts = std::mem::take(open);
                    self.archive(session, seal.segment, seal.digest, seal.key, &parts);
                }
            }
        }
    }

    fn archive(&self, id: SessionId, n: u32, digest: Digest, key: [u8; 32], parts: &[Part]) {
        let mut sessions = self.archive.0.lock().unwrap();
        let stored = sessions.entry(id).or_default();
        match stored.digests.get(n as usize) {
            // A repeat: what was archived before stands.
            Some(there) => assert_eq!(*there, digest, "another segment {n} of {id}"),
            None => {
                assert_eq!(stored.digests.len(), n as usize, "a hole in {id}");
                stored.digests.push(digest);
                stored.key = Some(key);
                stored.parts.extend_from_slice(parts);
            }
        }
        drop(sessions);
        let names: Vec<_> = parts.iter().map(|p| (p.session(), Spot::of(p))).collect();
        self.spool.forget(&names);
        if !self.switches.keeper_is_mute.load(Ordering::SeqCst) {
            self.connections.stored(wire::Stored::new(id, n, digest));
        }
    }
}
