//! A daemon that does nothing but serve the capture socket, for tests that kill it:
//! `capture_daemon DIR` keeps its spool, notes and socket in DIR, says `ready`, and serves until it
//! is killed or its standard input ends.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use hansard_capture::local::{Config, Means, Server};
use hansard_capture::shell;
use hansard_core::policy::{OnEnd, Policy, Watch};
use hansard_core::seal::SigningKey;
use hansard_core::{Decision, Fields, Gate, Login};
use hansard_record::open_sessions::this_boot;
use hansard_record::revive::revive;
use hansard_record::{Environment, OpenSessions, Spool, SpoolOptions};

/// Records every login.
struct Everybody;

impl Gate for Everybody {
    fn admit(&self, _: &Login) -> Decision {
        Decision {
            recorded: true,
            policy: Policy::default(),
            notice: String::new(),
            accept: false,
            on_end: OnEnd::Leave,
            break_glass: false,
            watch: Watch::default(),
        }
    }
}

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
    let logins = shell::Config {
        gate: Arc::new(Everybody),
        shells: BTreeMap::new(),
        shell: PathBuf::from("/bin/sh"),
        notes: dir.join("terminals"),
        utmp: dir.join("utmp"),
        tlog_conf: dir.join("tlog-rec-session.conf"),
        keeper: None,
        break_glass: dir.join("break-glass"),
    };
    let (logins, _) = shell::Logins::new(logins).unwrap();
    let config = Config::at(dir.join("capture.sock"));
    let _server = Server::start_with(config, means, Some(logins)).unwrap();
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
}
