//! Ports for programs that must be told beforehand which one is theirs.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, process};

/// The lowest that is given; below stand those of well-known programs, and some that browsers do not open.
const FIRST: u32 = 12_000;

/// So many there are at least, wherever those begin that the system gives.
const COUNT_MIN: u32 = 4_000;

/// A port of the loopback that nobody listens at, nor anybody will before it is used: not one of those that the system
/// gives whoever asks for any, and of each process another one each time. (One that was bound and let go is given again:
/// to another test's listener, or to a connection, before the program that was told of it has started.)
///
/// # Panics
/// If none is free.
#[must_use]
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let given_from = range.split_whitespace().next().map(str::parse::<u32>);
    let given_from = given_from.and_then(Result::ok).unwrap_or(32_768);
    let count = given_from.saturating_sub(FIRST).max(COUNT_MIN);
    // Tests of other programs run at the same time, here and there: each process begins elsewhere.
    let begin = process::id().wrapping_mul(97);
    for _ in 0..count {
        let n = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + begin.wrapping_add(n) % count).expect("a port");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_given_once_and_the_system_gives_it_to_nobody() {
        let ours = [(); 50].map(|()| free_port());
        let mut each = ours.to_vec();
        each.sort_unstable();
        each.dedup();
        assert_eq!(each.len(), ours.len(), "{ours:?}");
        let others: Vec<_> = (0..500)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let lowest = others.iter().map(|o| o.local_addr().unwrap().port()).min();
        assert!(
            ours.iter().all(|port| Some(*port) < lowest),
            "{ours:?} {lowest:?}"
        );
    }
}
