//! A host: a spool and a forwarder.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hansard_core::{Part, Sink};
use hansard_identity::HostIdentity;
use hansard_record::forward::{
    Alarm, Connect, Control, Endpoint, ForwardOptions, Forwarder, Hooks, Status,
};
use hansard_record::quarantine::Quarantine;
use hansard_record::sim::{SimDisk, SimRandom};
use hansard_record::spool::{Spool, SpoolOptions};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, until};

pub(crate) struct Host {
    pub(crate) disk: SimDisk,
    pub(crate) spool: Spool,
    pub(crate) status: Arc<Status>,
    pub(crate) alarms: Arc<Mutex<Vec<Alarm>>>,
    pub(crate) controls: Arc<Mutex<Vec<Control>>>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// Tries again quickly. Silence it bears as long as by default, so that no connection is given up because the machine did
/// something else for a while.
pub(crate) fn options() -> ForwardOptions {
    let default = ForwardOptions::default();
    ForwardOptions {
        software: "a host under test".to_owned(),
        connect_max: default.connect_max,
        ping_every: Duration::from_millis(200),
        dead_after: default.dead_after,
        retry: (Duration::from_millis(10), Duration::from_millis(200)),
        window_bytes: 64 * 1024,
    }
}

/// Quick enough for tests in which silence is to be noticed; the proportions are those of the defaults.
pub(crate) fn soon_tired() -> ForwardOptions {
    ForwardOptions {
        connect_max: Duration::from_secs(5),
        dead_after: Duration::from_millis(1000),
        ..options()
    }
}

/// Where the service is, for this host.
pub(crate) fn endpoint(cluster: &Cluster, identity: &HostIdentity, at: SocketAddr) -> Endpoint {
    Endpoint {
        addresses: vec![at.to_string()],
        server_name: "localhost".try_into().unwrap(),
        tls: cluster.client_config(identity, false),
    }
}

impl Host {
    pub(crate) fn start(
        cluster: &Cluster,
        identity: &HostIdentity,
        at: SocketAddr,
        rt: &Runtime,
    ) -> Self {
        Self::start_with(
            endpoint(cluster, identity, at),
            options(),
            SimDisk::new(2),
            rt,
        )
    }

    pub(crate) fn start_with(
        endpoint: Endpoint,
        options: ForwardOptions,
        disk: SimDisk,
        runtime: &Runtime,
    ) -> Self {
        let spool_options = SpoolOptions {
            file_bytes_max: 128 * 1024,
            ..SpoolOptions::default()
        };
        let spool = Spool::open(Path::new("/spool"), Arc::new(disk.clone()), spool_options);
        let spool = spool.unwrap();
        let quarantine = Quarantine::new(Path::new("/aside"), Arc::new(disk.clone()));
        let (alarms, controls) = (Arc::default(), Arc::default());
        let connect: Connect = Arc::new(move || Ok(endpoint.clone()));
        let raised: Arc<Mutex<Vec<Alarm>>> = Arc::clone(&alarms);
        let told: Arc<Mutex<Vec<Control>>> = Arc::clone(&controls);
        let forwarder = Forwarder::new(
            &spool,
            quarantine,
            connect,
            Arc::new(SimRandom::new(7)),
            options,
            Hooks {
                control: Box::new(move |control| told.lock().unwrap().push(control)),
                alarm: Arc::new(move |alarm| raised.lock().unwrap().push(alarm)),
                live: Box::new(Vec::new),
                before_forget: Arc::new(|_, _| Ok(())),
            },
        );
        let status = forwarder.status();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = runtime.spawn(forwarder.run(async {
            let _ = stopped.await;
        }));
        Self {
            disk,
            spool,
            status,
            alarms,
            controls,
            stop: Some(stop),
            task: Some(task),
        }
    }

    pub(crate) fn put(&self, parts: &[Part]) {
        for batch in parts.chunks(3) {
            self.spool.clone().put(batch).unwrap();
        }
    }

    /// Waits until nothing is left to be sent.
    pub(crate) fn wait_until_stored(&self) {
        until("the host has forgotten what is stored", || {
            self.spool.usage().parts == 0
        });
    }

    /// Stops it and answers its disk, as a crash leaves it.
    pub(crate) fn stop(mut self, runtime: &Runtime) -> SimDisk {
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            runtime.block_on(task).unwrap();
        }
        self.disk.after_crash()
    }
}
