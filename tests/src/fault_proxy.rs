//! A TCP proxy that does on purpose what networks do by themselves: latency, cuts after so many
//! bytes, resets, half-open connections, black holes, one-way links.
//!
//! What is set holds for all connections, those there are and those to come, until something else
//! is set. Everything ends with the proxy.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a thread looks whether something else was set.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who connected to the proxy.
    Up,
    /// To who connected to the proxy.
    Down,
}

/// What happens to bytes on one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// They pass.
    Passes,
    /// They are read and vanish.
    Swallows,
    /// They are not read: the sender's window fills.
    Stalls,
}

/// The proxy.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    upstream: Mutex<SocketAddr>,
    faults: Mutex<Faults>,
    pairs: Mutex<Vec<Pair>>,
    accepted: AtomicU64,
    passed: AtomicU64,
    is_over: AtomicBool,
}

#[derive(Clone, Copy)]
struct Faults {
    up: Link,
    down: Link,
    latency: Duration,
    /// New connections are closed at once.
    refuses: bool,
    /// Bytes up after which all connections end; then it is forgotten.
    cut_after: Option<(u64, End)>,
}

/// How connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides are told that nothing comes any more.
    Closed,
    /// Both sides are told that the connection is void.
    Reset,
    /// Who connected is told; the other side hears nothing, ever.
    HalfOpen,
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
    is_cut: Arc<AtomicBool>,
}

impl FaultProxy {
    /// In front of this address, at first without any fault.
    ///
    /// # Panics
    /// When there is no port to be had.
    #[must_use]
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            faults: Mutex::new(Faults {
                up: Link::Passes,
                down: Link::Passes,
                latency: Duration::ZERO,
                refuses: false,
                cut_after: None,
            }),
            pairs: Mutex::default(),
            accepted: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &accepting));
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections go from now on.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap() = upstream;
    }

    /// What happens on one way.
    pub fn set_link(&self, way: Way, link: Link) {
        let mut faults = self.shared.faults.lock().unwrap();
        match way {
            Way::Up => faults.up = link,
            Way::Down => faults.down = link,
        }
    }

    /// Every piece that passes is held up for so long, on both ways.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.faults.lock().unwrap().latency = latency;
    }

    /// Whether new connections are closed at once.
    pub fn set_refusing(&self, refuses: bool) {
        self.shared.faults.lock().unwrap().refuses = refuses;
    }

    /// When so many more bytes have passed up, all connections end so. Once.
    pub fn cut_after(&self, bytes: u64, end: End) {
        self.shared.faults.lock().unwrap().cut_after = Some((bytes, end));
    }

    /// All connections end now.
    pub fn cut(&self, end: End) {
        self.shared.cut(end);
    }

    /// No fault any more; what was swallowed stays so.
    pub fn heal(&self) {
        let mut faults = self.shared.faults.lock().unwrap();
        (faults.up, faults.down) = (Link::Passes, Link::Passes);
        faults.latency = Duration::ZERO;
        faults.refuses = false;
        faults.cut_after = None;
    }

    /// Connections that were made through it so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Bytes that passed up so far.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.cut(End::Reset);
        self.acceptor.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn cut(&self, end: End) {
        let mut pairs = self.pairs.lock().unwrap();
        if end == End::HalfOpen {
            // The server's side is kept, so that it hears nothing: neither bytes nor an end.
            for pair in pairs.iter() {
                pair.is_cut.store(true, Ordering::SeqCst);
                let _ = pair.client.shutdown(Shutdown::Both);
            }
            return;
        }
        for pair in pairs.drain(..) {
            pair.is_cut.store(true, Ordering::SeqCst);
            for side in [&pair.client, &pair.server] {
                if end == End::Reset {
                    let _ = rustix::net::sockopt::set_socket_linger(side, Some(Duration::ZERO));
                } else {
                    let _ = side.shutdown(Shutdown::Both);
                }
            }
        }
    }

    /// Counts bytes that passed up; ends the connections if it is time.
    fn count(&self, bytes: u64) {
        self.passed.fetch_add(bytes, Ordering::SeqCst);
        let mut faults = self.faults.lock().unwrap();
        let Some((left, end)) = faults.cut_after else {
            return;
        };
        faults.cut_after = (left > bytes).then_some((left.saturating_sub(bytes), end));
        let is_due = faults.cut_after.is_none();
        drop(faults);
        if is_due {
            self.cut(end);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.is_over.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else {
            thread::sleep(LOOK_EVERY / 5);
            continue;
        };
        let refuses = shared.faults.lock().unwrap().refuses;
        let upstream = *shared.upstream.lock().unwrap();
        if refuses {
            continue;
        }
        // Where nobody listens upstream, who connected here sees its connection end.
        let Ok(server) = TcpStream::connect(upstream) else {
            continue;
        };
        let _ = pump_both(client, server, shared);
        // Whoever sees that one was accepted can cut it.
        shared.accepted.fetch_add(1, Ordering::SeqCst);
    }
}

fn pump_both(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    client.set_nonblocking(false)?;
    for side in [&client, &server] {
        side.set_nodelay(true)?;
        side.set_read_timeout(Some(LOOK_EVERY))?;
    }
    let is_cut = Arc::new(AtomicBool::new(false));
    for way in [Way::Up, Way::Down] {
        let (client, server) = (client.try_clone()?, server.try_clone()?);
        let (shared, is_cut) = (Arc::clone(shared), Arc::clone(&is_cut));
        thread::spawn(move || match way {
            Way::Up => pump(way, &client, &server, &shared, &is_cut),
            Way::Down => pump(way, &server, &client, &shared, &is_cut),
        });
    }
    shared.pairs.lock().unwrap().push(Pair {
        client,
        server,
        is_cut,
    });
    Ok(())
}

/// Passes bytes on until an end comes from one side or from the proxy.
fn pump(way: Way, from: &TcpStream, to: &TcpStream, shared: &Shared, is_cut: &AtomicBool) {
    let (mut from, mut to) = (from, to);
    let mut buf = [0u8; 4096];
    while !is_cut.load(Ordering::SeqCst) && !shared.is_over.load(Ordering::SeqCst) {
        let faults = *shared.faults.lock().unwrap();
        let link = match way {
            Way::Up => faults.up,
            Way::Down => faults.down,
        };
        if link == Link::Stalls {
            thread::sleep(LOOK_EVERY);
            continue;
        }
        let read = match from.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                continue;
            }
            Err(_) => break,
        };
        if link == Link::Swallows {
            continue;
        }
        if !faults.latency.is_zero() {
            thread::sleep(faults.latency);
        }
        let Some(bytes) = buf.get(..read) else { break };
        if is_cut.load(Ordering::SeqCst) || to.write_all(bytes).is_err() {
            break;
        }
        if way == Way::Up {
            shared.count(read as u64);
        }
    }
    if !is_cut.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Write);
    }
}
