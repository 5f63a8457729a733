//! Who may connect at all: so many at a time, so many who have not signed in, so many of those from one
//! address. Whoever comes beyond that is closed before a byte is read, and told of once a second.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::Fields;
use rustix::event::{PollFd, PollFlags, poll};

use super::connection::{self, Wire};
use super::header::canonical;
use super::{Node, fact};
use crate::limits::{ACCEPT_PAUSE, REFUSED_EVERY};
use crate::local::Happening;

/// How many there are.
#[derive(Default)]
pub(super) struct Door {
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    unknown: usize,
    /// Those who have not signed in, by address; as many entries as there are such connections at most.
    of_address: HashMap<IpAddr, usize>,
    untold: u64,
    told_at: Option<std::time::Instant>,
}

/// A connection's place, until it is dropped.
pub(super) struct Place {
    node: Arc<Node>,
    address: IpAddr,
    is_unknown: bool,
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> usize {
        self.lock().all
    }
}

/// Whom an address stands for: of IPv6 a network, for anybody has 2^64 of its addresses.
fn budget_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Place {
    /// Takes a place, if there is one.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn take(node: &Arc<Node>, address: IpAddr) -> Result<Self, &'static str> {
        let config = &node.config;
        let address = budget_of(address);
        let mut counts = node.door.lock();
        if counts.all >= config.connections_max {
            return Err(match config.proxy {
                Some(_) => "too many connections (capture.proxy.connections_max)",
                None => "too many connections (capture.ssh.connections_max)",
            });
        }
        if counts.unknown >= config.unknown_max {
            return Err("too many connections that have not signed in");
        }
        let of_address = counts.of_address.entry(address).or_default();
        if *of_address >= config.unknown_of_address_max {
            return Err("too many connections of this address that have not signed in");
        }
        *of_address += 1;
        counts.unknown += 1;
        counts.all += 1;
        Ok(Self {
            node: Arc::clone(node),
            address,
            is_unknown: true,
        })
    }

    /// Whoever has it has signed in.
    pub(super) fn is_known(&mut self) {
        if std::mem::take(&mut self.is_unknown) {
            self.node.door.lock().forget(self.address);
        }
    }
}

impl Counts {
    fn forget(&mut self, address: IpAddr) {
        self.unknown = self.unknown.saturating_sub(1);
        if let Some(count) = self.of_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_address.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.is_known();
        let mut counts = self.node.door.lock();
        counts.all = counts.all.saturating_sub(1);
        drop(counts);
        self.node.fewer.notify_all();
    }
}

/// Takes connections until the node stops.
pub(super) fn open(node: &Arc<Node>, listener: &TcpListener, woken: &std::io::PipeReader) {
    while !node.stopping.load(Ordering::SeqCst) {
        let mut fds = [
            PollFd::new(woken, PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        // Failing (a signal came) is as good as being woken: the loop looks again.
        let _ = poll(&mut fds, None);
        match listener.accept() {
            Ok((stream, from)) => {
                if !admit(node, stream, from) {
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            // No descriptors left, or the like: those who connect wait meanwhile.
            Err(_) => std::thread::sleep(ACCEPT_PAUSE),
        }
    }
}

/// Gives a connection its thread, or turns it away; `false`: the system has no thread to be had.
fn admit(node: &Arc<Node>, stream: std::net::TcpStream, from: SocketAddr) -> bool {
    let place = match Place::take(node, from.ip()) {
        Ok(place) => place,
        Err(why) => {
            turned_away(node, from, why);
            return true;
        }
    };
    let of_thread = Arc::clone(node);
    std::thread::Builder::new()
        .name("ssh".to_owned())
        .spawn(move || connection::serve(&of_thread, Wire::Outside(stream), place))
        .is_ok()
}

fn turned_away(node: &Arc<Node>, from: SocketAddr, why: &str) {
    let mut counts = node.door.lock();
    counts.untold = counts.untold.saturating_add(1);
    if counts
        .told_at
        .is_some_and(|at| at.elapsed() < REFUSED_EVERY)
    {
        return;
    }
    counts.told_at = Some(std::time::Instant::now());
    let times = std::mem::take(&mut counts.untold);
    drop(counts);
    let fields = Fields::new()
        .with("reason", why)
        .with("times", times)
        .with("addr.remote", canonical(from).to_string());
    let body = fact::auth("session.rejected", fields.with("success", false));
    (node.machine.means.tell)(Happening::Said(body));
}
