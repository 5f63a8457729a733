//! Keeps a connection to the service, for as long as the program runs.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hansard_core::SessionId;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::forward::backoff::Backoff;
use crate::forward::endpoint::Connect;
use crate::forward::policy::PolicyPost;
use crate::forward::queue::{Alarm, Queue};
use crate::forward::status::Status;
use crate::forward::stream::Stream;
use crate::quarantine::Quarantine;
use crate::random::Random;
use crate::spool::Spool;

/// How a forwarder is bounded, in time and in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardOptions {
    /// Program and version, as told to the service.
    pub software: String,
    /// How long one address may take to answer with TCP, TLS and HTTP/2.
    pub connect_max: Duration,
    /// Time between two pings.
    pub ping_every: Duration,
    /// Silence after which the service counts as gone.
    pub dead_after: Duration,
    /// First and longest wait between two attempts; the actual one is random, at most this.
    pub retry: (Duration, Duration),
    /// Bytes that may be sent and not received; at it, sending waits.
    pub window_bytes: u64,
}

impl Default for ForwardOptions {
    fn default() -> Self {
        Self {
            software: concat!("hansard ", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_max: Duration::from_secs(10),
            ping_every: Duration::from_secs(10),
            dead_after: Duration::from_secs(30),
            retry: (Duration::from_millis(250), Duration::from_secs(30)),
            window_bytes: 8 * 1024 * 1024,
        }
    }
}

/// What the service asks of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Somebody watches a session, or does so no longer.
    Follow {
        /// The session.
        session: SessionId,
        /// Whether somebody watches.
        on: bool,
    },
    /// End a session.
    End {
        /// The session.
        session: SessionId,
        /// Why.
        reason: String,
        /// Who asked for it.
        by: String,
    },
}

/// What a forwarder calls. All MUST be quick, except `alarm`, which may wait for a disk.
pub struct Hooks {
    /// The service asks for something; called on a thread of the runtime.
    pub control: Box<dyn Fn(Control) + Send + Sync>,
    /// A session is not sent any more; called on a thread that may block.
    pub alarm: Arc<dyn Fn(Alarm) + Send + Sync>,
    /// The sessions that are being recorded here.
    pub live: Box<dyn Fn() -> Vec<SessionId> + Send + Sync>,
    /// A segment, and all before it, is in the service's archive and is about to be forgotten here;
    /// called on a thread that may block. MUST NOT answer `Ok` before whoever would have to go on
    /// with the session after a crash has noted where its chain ends. With an error it stays in the
    /// spool, and is offered and answered again on the next connection.
    pub before_forget: Arc<dyn Fn(SessionId, u32) -> std::io::Result<()> + Send + Sync>,
}

/// Sends what is in a spool to a service, and forgets what is in the service's archive.
///
/// Resuming is nothing of its own: on every connection all that is not stored is offered again, in
/// its order, and the service knows what it has.
pub struct Forwarder {
    connect: Connect,
    random: Arc<dyn Random>,
    options: ForwardOptions,
    hooks: Hooks,
    status: Arc<Status>,
    queue: Arc<Mutex<Queue>>,
    arrived: Arc<Notify>,
    policy: Option<PolicyPost>,
}

impl Forwarder {
    /// Over this spool. What is not taken is put into `quarantine`.
    #[must_use]
    pub fn new(
        spool: &Spool,
        quarantine: Quarantine,
        connect: Connect,
        random: Arc<dyn Random>,
        options: ForwardOptions,
        hooks: Hooks,
    ) -> Self {
        let status = Arc::new(Status::new(spool.clone()));
        let arrived = Arc::new(Notify::new());
        let told = (Arc::downgrade(&status), Arc::downgrade(&arrived));
        spool.listen(Arc::new(move || {
            if let (Some(status), Some(arrived)) = (told.0.upgrade(), told.1.upgrade()) {
                status.note_arrival();
                arrived.notify_one();
            }
        }));
        status.note_arrival();
        let queue = Queue::new(
            spool.clone(),
            quarantine,
            Arc::clone(&random),
            Arc::clone(&status),
            (Arc::clone(&hooks.alarm), Arc::clone(&hooks.before_forget)),
        );
        Self {
            connect,
            random,
            options,
            hooks,
            status,
            queue: Arc::new(Mutex::new(queue)),
            arrived,
            policy: None,
        }
    }

    /// Takes the service's policy, too. Without this the service is never told that one could be,
    /// and sends none.
    #[must_use]
    pub fn with_policy(mut self, post: PolicyPost) -> Self {
        self.policy = Some(post);
        self
    }

    /// What it tells about itself.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Goes on until `shutdown` is ready. What is not stored by then stays in the spool.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = shutdown => {}
            () = self.go_on() => {}
        }
    }

    async fn go_on(&self) {
        let (first, max) = self.options.retry;
        let mut backoff = Backoff::new(Arc::clone(&self.random), first, max);
        loop {
            let why = match (self.connect)() {
                Ok(endpoint) => {
                    let stream = Stream::new(
                        &self.options,
                        &self.hooks,
                        &self.status,
                        &self.queue,
                        (&self.arrived, self.policy.as_ref()),
                    );
                    let why = stream.run(&endpoint).await;
                    if stream.was_welcome() {
                        backoff.worked();
                    }
                    why.to_string()
                }
                Err(why) => why,
            };
            self.status.disconnected(&why);
            sleep(backoff.failed()).await;
        }
    }
}
