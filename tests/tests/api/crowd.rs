//! Accounts that take whatever they get, and those who must be answered nevertheless.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use hansardd::api::limits::{CONNECTIONS_MAX, CONNECTIONS_OF_ONE_MAX, CONNECTIONS_OF_ROOT};
use hansardd::api::role::Role;

use crate::service::{Service, own_uid};

/// An account that keeps as many connections open as it gets, and says how many it did not get.
struct Crowd(Child);

impl Crowd {
    fn of(service: &Service, uid: u32, (wanted, refused): (usize, usize)) -> (Self, usize) {
        service.roles.lock().unwrap().insert(uid, Role::User);
        let mut child = Command::new("python3")
            .args(["-c", include_str!("crowd.py")])
            .arg(&service.socket)
            .args([wanted, refused].map(|n| n.to_string()))
            .uid(uid)
            .gid(uid)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut said).unwrap();
        (Self(child), said.trim().parse().unwrap())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_account_takes_all_connections_and_root_is_answered_whatever_others_do() {
    if own_uid() != 0 {
        // Only root can become others.
        return;
    }
    let service = Service::start("api-crowd");
    let lock = ["lock", "add", "user:eve", "--message", "ask the desk"];
    let (first, closed) = Crowd::of(&service, 65_001, (CONNECTIONS_OF_ONE_MAX + 36, 36));
    assert_eq!(closed, 36);
    service.ok(&lock);
    // All that others may have.
    let others = CONNECTIONS_MAX - CONNECTIONS_OF_ROOT;
    let whole = others / CONNECTIONS_OF_ONE_MAX;
    let mut crowds = vec![first];
    for n in 1..=whole {
        let uid = 65_001 + u32::try_from(n).unwrap();
        let refused = if n == whole {
            CONNECTIONS_OF_ONE_MAX - others % CONNECTIONS_OF_ONE_MAX
        } else {
            0
        };
        let (crowd, closed) = Crowd::of(&service, uid, (CONNECTIONS_OF_ONE_MAX, refused));
        assert_eq!(closed, refused, "{uid}");
        crowds.push(crowd);
    }
    service.ok(&["status"]);
    service.ok(&["lock", "ls"]);
    drop(crowds);
}
