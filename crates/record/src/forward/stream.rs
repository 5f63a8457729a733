//! One connection: three loops that end together. One sends, one hears, one acts on what was heard.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::forward::endpoint::{Endpoint, Link, request};
use crate::forward::flow::Flow;
use crate::forward::forwarder::{Control, ForwardOptions, Hooks};
use crate::forward::outgoing::{Outgoing, Pieces, outgoing};
use crate::forward::policy::PolicyPost;
use crate::forward::queue::{Batch, Queue};
use crate::forward::status::Status;
use crate::forward::wire::up::encode_part;
use crate::forward::wire::{Assembly, BODY_BYTES_MAX, Decoder, Down, Hello, Up};

/// Pieces of the stream that wait between this loop and HTTP/2.
const PIECES_WAITING: usize = 2;

/// Bytes at which a piece is handed to HTTP/2.
const PIECE_BYTES: usize = 32 * 1024;

/// Longest pause that a service may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

type Body = Outgoing;

/// What the loops of a connection share.
pub(super) struct Stream<'a> {
    pub(super) options: &'a ForwardOptions,
    pub(super) hooks: &'a Hooks,
    pub(super) status: &'a Status,
    pub(super) queue: &'a Arc<Mutex<Queue>>,
    /// Something new is in the spool.
    pub(super) arrived: &'a Notify,
    /// Where the service's policy goes, if anybody here wants it.
    pub(super) policy: Option<&'a PolicyPost>,
    flow: Flow,
}

/// Works with the queue away from the runtime's threads: it reads files, and syncs them.
async fn with_queue<T: Send + 'static>(
    queue: &Arc<Mutex<Queue>>,
    work: impl FnOnce(&mut Queue) -> T + Send + 'static,
) -> io::Result<T> {
    let queue = Arc::clone(queue);
    tokio::task::spawn_blocking(move || {
        work(&mut queue.lock().unwrap_or_else(PoisonError::into_inner))
    })
    .await
    .map_err(io::Error::other)
}

impl<'a> Stream<'a> {
    pub(super) fn new(
        options: &'a ForwardOptions,
        hooks: &'a Hooks,
        status: &'a Status,
        queue: &'a Arc<Mutex<Queue>>,
        (arrived, policy): (&'a Notify, Option<&'a PolicyPost>),
    ) -> Self {
        Self {
            options,
            hooks,
            status,
            queue,
            arrived,
            policy,
            flow: Flow::default(),
        }
    }

    /// Connects and goes on until the connection ends; answers why it did. Whether the service
    /// answered at all is told by [`Stream::was_welcome`].
    pub(super) async fn run(&self, endpoint: &Endpoint) -> io::Error {
        let (sender, body) = outgoing(PIECES_WAITING);
        let answered = async {
            let mut link: Link<Body> = endpoint.open(self.options.connect_max).await?;
            let request = request(&link.authority, "/v1/stream", body)?;
            let response = link.requests.send_request(request);
            let response = timeout(self.options.dead_after, response)
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer to the request"))?
                .map_err(io::Error::other)?;
            let status = response.status();
            let mut body = response.into_body();
            if !status.is_success() {
                let why = first_words(&mut body).await;
                return Err(io::Error::other(format!(
                    "the service answers {status}: {why}"
                )));
            }
            Ok((link, body))
        };
        let (_link, body) = match answered.await {
            Ok(answered) => answered,
            Err(e) => return e,
        };
        if let Err(e) = with_queue(self.queue, Queue::rewind).await {
            return e;
        }
        tokio::select! {
            ended = self.hear(body) => ended.err(),
            ended = self.send(sender) => ended.err(),
            ended = self.act() => ended.err(),
        }
        .unwrap_or_else(|| io::Error::other("the connection ended"))
    }

    pub(super) fn was_welcome(&self) -> bool {
        self.flow.is_welcome()
    }

    /// Sends what the queue gives, as far as the service keeps up, and a ping now and then.
    async fn send(&self, mut sender: Pieces) -> io::Result<()> {
        let mut piece = BytesMut::new();
        let hello = Hello::new(&self.options.software, (self.hooks.live)());
        self.append(&mut piece, &Up::Hello(hello));
        self.append_in_force(&mut piece);
        flush(&mut sender, &mut piece).await?;
        let mut pings = 0u64;
        let mut ping_at = Instant::now() + self.options.ping_every;
        let mut again_at: Option<Instant> = None;
        let mut has_more = true;
        loop {
            if Instant::now() >= ping_at {
                pings = pings.saturating_add(1);
                ping_at = Instant::now() + self.options.ping_every;
                self.append(&mut piece, &Up::Ping(pings));
                flush(&mut sender, &mut piece).await?;
            }
            let paused_until = self.flow.paused_until().filter(|at| *at > Instant::now());
            let may_send = self.flow.is_welcome()
                && paused_until.is_none()
                && self.flow.has_room(self.options.window_bytes);
            if !(has_more && may_send) {
                let due = again_at.filter(|_| may_send);
                let wake = [Some(ping_at), paused_until, due];
                let wake = wake.into_iter().flatten().min().unwrap_or(ping_at);
                tokio::select! {
                    () = self.arrived.notified() => has_more = true,
                    () = self.flow.eased.notified() => {}
                    () = changed(self.policy) => {
                        self.append_in_force(&mut piece);
                        flush(&mut sender, &mut piece).await?;
                    }
                    () = sleep_until(wake) => {
                        has_more |= again_at.is_some_and(|at| at <= Instant::now());
                    }
                }
                continue;
            }
            let now = Instant::now().into_std();
            let batch: Batch = with_queue(self.queue, move |queue| queue.next(now)).await?;
            has_more = !batch.parts.is_empty();
            again_at = batch.again_at.map(Instant::from_std);
            self.send_batch(&mut sender, &mut piece, batch).await?;
        }
    }

    async fn send_batch(
        &self,
        sender: &mut Pieces,
        piece: &mut BytesMut,
        batch: Batch,
    ) -> io::Result<()> {
        let mut message = Vec::new();
        for (pending, part) in batch.parts {
            message.clear();
            encode_part(&mut message, &part);
            self.flow.sends(pending, message.len());
            let bytes = message.len() as u64;
            self.status.count(|c| {
                c.parts_sent = c.parts_sent.saturating_add(1);
                c.bytes_sent = c.bytes_sent.saturating_add(bytes);
            });
            piece.extend_from_slice(&message);
            if piece.len() >= PIECE_BYTES {
                flush(sender, piece).await?;
            }
        }
        flush(sender, piece).await
    }

    /// Says which policy decides here, to a service that may have another one.
    fn append_in_force(&self, piece: &mut BytesMut) {
        if let Some(post) = self.policy {
            self.append(piece, &Up::InForce(post.in_force()));
        }
    }

    fn append(&self, piece: &mut BytesMut, message: &Up) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        piece.extend_from_slice(&bytes);
    }

    /// Hears what the service says. Silence means that it is not there any more: it answers pings,
    /// and says so when it is busy.
    async fn hear(&self, mut body: Incoming) -> io::Result<()> {
        let mut decoder = Decoder::<Down>::new();
        let mut assembly = Assembly::default();
        loop {
            let Ok(frame) = timeout(self.options.dead_after, body.frame()).await else {
                let silence = self.options.dead_after;
                let why = format!("the service has said nothing for {silence:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            };
            let Some(frame) = frame else {
                return Err(io::Error::other("the service ended the stream"));
            };
            let frame = frame.map_err(io::Error::other)?;
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            decoder.push(&bytes);
            while let Some(message) = decoder.next_message().map_err(io::Error::other)? {
                if let Down::Policy(piece) = message {
                    let whole = assembly.take(piece).map_err(io::Error::other)?;
                    if let (Some(whole), Some(post)) = (whole, self.policy) {
                        post.deliver(whole);
                    }
                } else if !self.hear_one(message)? {
                    self.flow.done.notified().await;
                }
            }
            if decoder.wanted_bytes() > BODY_BYTES_MAX.saturating_mul(2) {
                return Err(io::Error::other("the service says too much at once"));
            }
        }
    }

    /// Answers whether more may be heard at once.
    fn hear_one(&self, message: Down) -> io::Result<bool> {
        let may_go_on = match message {
            Down::Welcome { .. } => {
                message.check().map_err(io::Error::other)?;
                self.flow.welcome();
                self.status.connected();
                true
            }
            Down::Received { ordinal } => {
                let passed = self.flow.received(ordinal).map_err(io::Error::other)?;
                passed.iter().for_each(|last| self.status.pass(last));
                self.status.lock().busy = None;
                true
            }
            Down::Stored(stored) => self.flow.say(|inbox| inbox.note(stored)),
            Down::Problem(problem) => self.flow.say(|inbox| inbox.problems.push(problem)),
            Down::Busy { pause_ms, why } => {
                let pause = Duration::from_millis(pause_ms).min(PAUSE_MAX);
                self.flow.pause(Instant::now() + pause);
                self.status.lock().busy = Some(why);
                true
            }
            Down::Follow { session, on } => {
                (self.hooks.control)(Control::Follow { session, on });
                true
            }
            Down::End {
                session,
                reason,
                by,
            } => {
                (self.hooks.control)(Control::End {
                    session,
                    reason,
                    by,
                });
                true
            }
            // Pieces of a policy are put together before this.
            Down::Pong(_) | Down::Policy(_) => true,
            Down::Bye { why } => {
                let why = format!("the service ended the connection: {why}");
                return Err(io::Error::other(why));
            }
        };
        Ok(may_go_on)
    }

    /// Forgets what is stored, and puts aside or holds back what is not taken.
    async fn act(&self) -> io::Result<()> {
        loop {
            if self.flow.is_inbox_empty() {
                self.flow.done.notify_one();
                self.flow.said.notified().await;
                continue;
            }
            let inbox = self.flow.take_inbox();
            let now = Instant::now().into_std();
            let can_go_on = with_queue(self.queue, move |queue| {
                for stored in inbox.stored.values() {
                    queue.stored(stored, now);
                }
                let mut problems = inbox.problems.iter();
                problems.all(|problem| queue.problem(problem, now))
            });
            if !can_go_on.await? {
                return Err(io::Error::other(
                    "the service asked for too many sessions to be offered again",
                ));
            }
            self.arrived.notify_one();
        }
    }
}

/// Ready when another policy is in force; never where there is none.
async fn changed(policy: Option<&PolicyPost>) {
    match policy {
        Some(post) => post.changed().await,
        None => std::future::pending().await,
    }
}

/// Hands what was gathered to HTTP/2, which waits for the service's window.
async fn flush(sender: &mut Pieces, piece: &mut BytesMut) -> io::Result<()> {
    if piece.is_empty() {
        return Ok(());
    }
    let bytes = piece.split().freeze();
    let sent = sender.put(bytes).await;
    sent.map_err(|_| io::Error::other("the connection was lost while sending"))
}

/// The beginning of an error's body, for people.
async fn first_words(body: &mut Incoming) -> String {
    let frame = timeout(Duration::from_secs(1), body.frame()).await;
    let bytes = match frame {
        Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    };
    let words = bytes.get(..bytes.len().min(400)).unwrap_or_default();
    String::from_utf8_lossy(words).into_owned()
}
