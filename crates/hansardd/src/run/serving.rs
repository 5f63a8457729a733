//! What is served over sockets and networks, on one runtime.

use std::sync::Arc;
use std::time::Duration;

use hansard_capture::Registry as Recorded;
use hansard_identity::{Authority, HostIdentity, Registry};
use hansard_record::Environment;
use hansard_record::diary::Diary;
use hansard_record::spool::Spool;
use tokio::runtime::Handle;

use super::keeping::no_thread;
use super::minder::Facts;
use super::opening::Opened;
use super::{Closer, Start, asking};
use crate::data_dir::{DataDir, Held};
use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY};
use crate::init::keys::{authority_dir, registry_dir};
use crate::metrics::Metrics;
use crate::metrics::serve::{Health, serve};

/// Threads of the runtime that serves connections.
const RUNTIME_THREADS: usize = 2;

/// How long connections have to end by themselves when the daemon does.
const CONNECTIONS_END: Duration = Duration::from_secs(2);

/// What is served, over sockets and networks.
pub(super) struct Serving<'a> {
    pub(super) start: &'a Start,
    pub(super) held: &'a Held,
    pub(super) environment: &'a Environment,
    pub(super) spool: &'a Spool,
    pub(super) diary: &'a Diary,
    pub(super) identity: &'a HostIdentity,
    pub(super) recorded: Option<Recorded>,
}

impl Serving<'_> {
    /// Starts the runtime, and everything on it.
    pub(super) fn open(
        self,
        opened: &Opened,
        metrics: Metrics,
        health: Arc<Health>,
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("serving")
            .enable_all()
            .build()
            .map_err(no_thread)?;
        let handle = runtime.handle().clone();
        let stop = move || runtime.shutdown_timeout(CONNECTIONS_END);
        closers.push(("serving", Box::new(stop)));
        let config = &self.start.config;
        if let Some(kept) = &opened.kept {
            let registry = registry(&self.held.dir, self.environment, &opened.facts)?;
            if config.serve.admin.is_some() {
                let asking = asking::Opening {
                    config,
                    environment: self.environment,
                    journal: &self.start.journal,
                    spool: self.spool,
                    diary: self.diary,
                    facts: &opened.facts,
                    kept,
                    registry,
                    recorded: self.recorded,
                    in_force: &opened.in_force,
                    presence: Arc::new(|_| (false, None)),
                    there: Arc::new(|_, _, _, _| false),
                    id: self.identity.id(),
                    cluster: self.identity.cluster(),
                };
                asking.open(&handle, closers)?;
            }
        }
        if let Some(serving) = &config.serve.metrics {
            let listener = listen(&handle, "serve.metrics.listen", serving.listen)?;
            // Where the kernel chose the port, only this says which.
            let address = listener.local_addr().unwrap_or(serving.listen);
            handle.spawn(serve(listener, Arc::new(metrics.finish()), health));
            let journal = &self.start.journal;
            journal.info("metrics", &[("listen", &address)]);
        }
        Ok(())
    }
}

/// Hosts and tokens of this service's cluster.
fn registry(
    dir: &DataDir,
    environment: &Environment,
    facts: &Facts,
) -> Result<Arc<Registry>, Failure> {
    let keys = dir.keys();
    let failed = |e: hansard_identity::Failure| {
        let what = e.to_string();
        let what = hansard_view::escape_for_humans(&what);
        Failure::new(
            STATUS_NOT_READY,
            what,
            "bring the keys back from where they went",
        )
    };
    let authority = Authority::open(&authority_dir(&keys)).map_err(failed)?;
    let source = environment.random.clone();
    let random = Arc::new(move |bytes: &mut [u8]| source.fill(bytes));
    let opened = Registry::open(&registry_dir(&keys), Arc::new(authority), random);
    let (registry, found) = opened.map_err(failed)?;
    found.into_iter().for_each(|fact| facts.tell(fact));
    Ok(Arc::new(registry))
}

/// Binds an address of the configuration.
fn listen(
    runtime: &Handle,
    key: &str,
    address: std::net::SocketAddr,
) -> Result<tokio::net::TcpListener, Failure> {
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address));
    listener.map_err(|e| {
        let what = format!("{key}: {address}: {}", crate::failure::plain(&e));
        Failure::new(STATUS_FAILED, what, "see who has it: ss -tlnp")
    })
}
