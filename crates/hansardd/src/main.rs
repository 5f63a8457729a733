//! `hansardd`: the daemon's command line.

fn main() {}
