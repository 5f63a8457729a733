//! A daemon that does nothing but serve the capture socket, for tests that kill it:
//! `capture_daemon DIR` keeps its spool, notes and socket in DIR, says `ready`, and serves until it
//! is killed or its standard input ends.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use hansard_capture::local::{Config, Means, Server};
use hansard_core::Fields;
use hansard_core::seal::SigningKey;
use hansard_record::open_sessions::this_boot;
use hansard_record::revive::revive;
use hansard_record::{Environment, OpenSessions, Spool, SpoolOptions};

fn main() {
    let dir = PathBuf::from(std::env::args_os().nth(1).unwrap());
    let env = Environment::real();
    let disk = Arc::clone(&env.disk);
    let spool = Spool::open(
        &dir.join("spool"),
        Arc::clone(&disk),
        SpoolOptions::default(),
    );
    let spool = spool.unwrap();
    let boot = this_boot(&env).unwrap();
    let open = OpenSessions::open(&dir.join("open"), disk, boot).unwrap();
    let key = SigningKey::from_seed([7; 32]);
    let revival = revive(&spool, &mut spool.clone(), &key, &open).unwrap();
    revival.done(&open).unwrap();
    let means = Means {
        key,
        facts: Fields::new().with("server_id", "h1"),
        recorder: "hansardd test".to_owned(),
        sinks: Box::new(move || Box::new(spool.clone())),
        env,
        open,
        tell: Box::new(|_| {}),
    };
    let _server = Server::start(Config::at(dir.join("capture.sock")), means).unwrap();
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
}
