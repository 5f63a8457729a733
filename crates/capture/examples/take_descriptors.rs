//! A thief for tests: `take_descriptors PID` tries to take every descriptor of a process, and says
//! how many it got.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::os::fd::AsFd as _;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

fn main() {
    let pid = std::env::args().nth(1).and_then(|pid| pid.parse().ok());
    let pidfd = pidfd_open(pid.and_then(Pid::from_raw).unwrap(), PidfdFlags::empty()).unwrap();
    let got = (0..16)
        .filter(|fd| pidfd_getfd(pidfd.as_fd(), *fd, PidfdGetfdFlags::empty()).is_ok())
        .count();
    println!("got {got}");
}
