//! Whether a client is still there that the library does not listen to. It does one thing after the other: while it
//! waits for room for what came in, or for the client to take what goes out, it reads nothing, asks nobody whether
//! they are there, and sees no end. So the socket is watched beside it.
//!
//! What is watched costs nothing while all is well: the kernel tells of a hangup, and whether the library is at
//! work is a number that it counts up as it goes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::sockopt;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::sleep;

use super::limits::{ALIVE_EVERY, ALIVE_MAX, HANGUP_IDLE_MAX, HANGUP_READ_MAX};
use super::sys::watched;

/// What the library does with a connection. One thread writes it, so that counting is no more than adding.
#[derive(Default)]
pub(super) struct Pulse {
    reads: AtomicU64,
    writes: AtomicU64,
    /// Something is to be sent, and the socket takes nothing.
    is_full: AtomicBool,
}

/// The connection's bytes, counted call by call.
pub(super) struct Felt<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Felt<S> {
    pub(super) fn new(stream: S, pulse: &Arc<Pulse>) -> Self {
        Self {
            stream,
            pulse: Arc::clone(pulse),
        }
    }
}

fn count(calls: &AtomicU64) {
    calls.store(calls.load(Relaxed).wrapping_add(1), Relaxed);
}

impl<S: AsyncRead + Unpin> AsyncRead for Felt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            count(&self.pulse.reads);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Felt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            count(&self.pulse.writes);
        }
        self.pulse.is_full.store(written.is_pending(), Relaxed);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How long somebody may take for what.
#[derive(Clone, Copy)]
struct Patience {
    /// After a hangup, for the library to read anything.
    idle: Duration,
    /// After a hangup, for it to come to the end.
    read: Duration,
    /// How often it is looked after a client that takes nothing.
    look: Duration,
}

const PATIENCE: Patience = Patience {
    idle: HANGUP_IDLE_MAX,
    read: HANGUP_READ_MAX,
    look: ALIVE_EVERY,
};

/// A connection's socket, watched.
pub(super) struct Watch {
    /// Readable when the other side has hung up.
    hangup: AsyncFd<OwnedFd>,
    pulse: Arc<Pulse>,
}

impl Watch {
    /// Watches this socket until it is closed.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new(socket: impl AsFd, pulse: &Arc<Pulse>) -> io::Result<Self> {
        let hangup = epoll::create(CreateFlags::CLOEXEC)?;
        // Nothing else that happens to the socket wakes anybody by this.
        epoll::add(&hangup, socket, EventData::new_u64(0), EventFlags::RDHUP)?;
        Ok(Self {
            hangup: watched(hangup, Interest::READABLE)?,
            pulse: Arc::clone(pulse),
        })
    }

    /// Returns when the client is gone and the library does not find out: it has hung up, or it takes nothing.
    pub(super) async fn gone(&self) -> Gone {
        self.gone_for(PATIENCE).await
    }

    async fn gone_for(&self, patience: Patience) -> Gone {
        tokio::select! {
            () = self.hung_up(patience) => Gone::HungUp,
            () = self.stuck(patience.look) => Gone::TakesNothing,
        }
    }

    /// The other side has hung up, and what it sent before that is read no more.
    async fn hung_up(&self, patience: Patience) {
        // An error: nobody can be told of a hangup.
        if self.hangup.readable().await.is_err() {
            return std::future::pending().await;
        }
        let looked = async {
            let mut reads = self.pulse.reads.load(Relaxed);
            loop {
                sleep(patience.idle).await;
                let now = self.pulse.reads.load(Relaxed);
                if now == reads {
                    return;
                }
                reads = now;
            }
        };
        // One that has not come to the end by then waits for a program that takes next to nothing.
        let _ = tokio::time::timeout(patience.read, looked).await;
    }

    /// The other side takes nothing as often as it may leave a question unanswered.
    async fn stuck(&self, look: Duration) {
        let (mut since, mut times) = (None, 0);
        loop {
            sleep(look).await;
            let writes = self.pulse.writes.load(Relaxed);
            let is_full = self.pulse.is_full.load(Relaxed);
            times = match since {
                Some(before) if is_full && before == writes => times + 1,
                _ => 0,
            };
            if times > ALIVE_MAX {
                return;
            }
            since = is_full.then_some(writes);
        }
    }
}

/// How a client is gone that the library has not missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    HungUp,
    TakesNothing,
}

/// Has the kernel ask the other machine whether it is there, as often as the library asks the client: it does so
/// also while the library does not, and after a machine that says nothing the socket hangs up.
///
/// # Errors
/// What the system says.
pub(super) fn asked_after(socket: impl AsFd) -> io::Result<()> {
    let times = u32::try_from(ALIVE_MAX).unwrap_or(u32::MAX);
    let socket = socket.as_fd();
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, ALIVE_EVERY)?;
    sockopt::set_tcp_keepintvl(socket, ALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, times)?;
    // The same of a machine that was sent something.
    let all = ALIVE_EVERY.as_millis() * (u128::from(times) + 1);
    sockopt::set_tcp_user_timeout(socket, u32::try_from(all).unwrap_or(u32::MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    const QUICK: Patience = Patience {
        idle: Duration::from_millis(100),
        read: Duration::from_millis(1500),
        look: Duration::from_millis(50),
    };

    /// Longer than anything takes.
    const LONG: Duration = Duration::from_secs(20);

    /// Both ends of a connection, the near one watched.
    async fn line() -> (TcpStream, Felt<TcpStream>, Watch) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (near, _) = listener.accept().await.unwrap();
        let far = far.unwrap();
        // Little is on its way at a time: whatever is taken there makes room here, however seldom that is.
        sockopt::set_socket_send_buffer_size(&near, 64 * 1024).unwrap();
        sockopt::set_socket_recv_buffer_size(&far, 64 * 1024).unwrap();
        asked_after(&near).unwrap();
        let pulse = Arc::default();
        let watch = Watch::new(&near, &pulse).unwrap();
        (far, Felt::new(near, &pulse), watch)
    }

    fn on_a_line<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(test());
    }

    #[test]
    fn a_client_that_hangs_up_unheard_is_missed() {
        on_a_line(|| async {
            let (mut far, near, watch) = line().await;
            far.write_all(b"unread").await.unwrap();
            // It may say nothing for as long as it likes.
            assert!(timeout(QUICK.read, watch.gone_for(QUICK)).await.is_err());
            drop(far);
            let gone = timeout(LONG, watch.gone_for(QUICK)).await;
            assert_eq!(gone.unwrap(), Gone::HungUp);
            drop(near);
        });
    }

    #[test]
    fn what_a_client_sent_before_it_hung_up_may_be_read_for_a_while() {
        on_a_line(|| async {
            let (far, near, watch) = line().await;
            drop(far);
            let since = tokio::time::Instant::now();
            let reading = async {
                loop {
                    // Whenever it is looked, however late that is, there was one since the last time.
                    count(&near.pulse.reads);
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                gone = watch.gone_for(QUICK) => assert_eq!(gone, Gone::HungUp),
                () = reading => {}
            }
            assert!(since.elapsed() >= QUICK.read);
        });
    }

    #[test]
    fn a_client_that_takes_nothing_is_missed_and_one_that_takes_little_is_not() {
        on_a_line(|| async {
            let (mut far, mut near, watch) = line().await;
            let much = vec![0; 1 << 20];
            let pouring = async { while near.write_all(&much).await.is_ok() {} };
            let taking = async {
                let mut some = vec![0; 256 * 1024];
                for _ in 0..40 {
                    tokio::io::AsyncReadExt::read(&mut far, &mut some)
                        .await
                        .unwrap();
                    sleep(QUICK.look / 2).await;
                }
            };
            let gone = watch.gone_for(QUICK);
            tokio::pin!(pouring, taking, gone);
            tokio::select! {
                () = &mut taking => {}
                () = &mut pouring => panic!("it is never done"),
                gone = &mut gone => panic!("{gone:?}, and it takes what there is"),
            }
            let missed = async {
                tokio::select! {
                    () = &mut pouring => panic!("it is never done"),
                    gone = &mut gone => gone,
                }
            };
            assert_eq!(timeout(LONG, missed).await.unwrap(), Gone::TakesNothing);
        });
    }
}
