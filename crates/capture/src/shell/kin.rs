//! Which logins belong together: a login inside a login has it as its parent.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hansard_core::SessionId;

use super::process::{Process, Stat, audit_session, stat};
use super::terminals::Name;

/// Most ancestors that are looked at; a login deeper than that has no parent.
const ANCESTORS_MAX: usize = 64;

/// Where a login is to be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its process.
    pub(super) process: Option<Process>,
    /// The terminal that it came on.
    pub(super) outer: Option<Name>,
    /// The terminal that it was given, as long as it has that.
    pub(super) terminal: Option<Name>,
    /// Its audit session.
    pub(super) audit: Option<u32>,
    /// The login that it is inside of.
    pub(super) parent: Option<SessionId>,
}

/// The logins that go on now: as many as there may be connections.
#[derive(Debug, Default)]
pub(super) struct Kin(Mutex<HashMap<SessionId, Place>>);

impl Kin {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, session: SessionId, place: Place) {
        self.lock().insert(session, place);
    }

    /// A login's terminal is about to go: the next one of its name is not the login's. To be called before it goes.
    pub(super) fn lets_go(&self, session: SessionId) {
        if let Some(place) = self.lock().get_mut(&session) {
            place.terminal = None;
        }
    }

    pub(super) fn end(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    /// Whether another login is inside of this one, which has this terminal, is there still, and has its keys: one in the
    /// background reads none, so what is typed then is not typed in it. It came on that terminal, or on another one which
    /// somebody in the foreground of that relays to: `sudo` with `use_pty`.
    pub(super) fn is_outer(&self, (session, terminal): (SessionId, Name)) -> bool {
        let known = self.lock();
        let inside =
            |place: &&Place| place.outer == Some(terminal) || place.parent == Some(session);
        let of = known.values().filter(inside);
        let of = of.filter_map(|place| Some((place.process?, place.outer == Some(terminal))));
        let processes: Vec<_> = of.collect();
        drop(known);
        // Of that terminal: whoever leads another one has the keys of that.
        let is_of_it = |stat: &Stat| u64::try_from(stat.terminal) == Ok(terminal.1);
        let relays_to = |process: Process| {
            let above = ancestors(process).into_iter().filter_map(Process::stat);
            above.into_iter().find(is_of_it).is_some_and(leads)
        };
        let mut found = processes.into_iter();
        found.any(|(process, is_on_it)| {
            let leading = process.stat().filter(|stat| leads(*stat));
            leading.is_some_and(|stat| match is_on_it {
                true => is_of_it(&stat),
                false => relays_to(process),
            })
        })
    }

    /// The login that a new one is inside of: the one whose terminal it came on, the nearest one
    /// among its ancestors, or one of the same audit session (a terminal multiplexer leaves its
    /// ancestors, and no audit session).
    pub(super) fn parent(
        &self,
        outer: Option<Name>,
        process: Option<Process>,
    ) -> Option<SessionId> {
        let of_terminal = |known: &HashMap<SessionId, Place>| {
            let outer = outer?;
            known
                .iter()
                .find(|(_, place)| place.terminal == Some(outer))
                .map(|(session, _)| *session)
        };
        if let Some(session) = of_terminal(&self.lock()) {
            return Some(session);
        }
        let ancestors = process.map(ancestors).unwrap_or_default();
        let audit = process.and_then(|process| process.asked(audit_session)?);
        let known = self.lock();
        let by_process = |process: &Process| {
            let is_it = |(_, place): &(&SessionId, &Place)| place.process == Some(*process);
            known.iter().find(is_it).map(|(session, _)| *session)
        };
        let of_audit = || {
            let audit = audit?;
            known
                .iter()
                .filter(|(_, place)| place.audit == Some(audit))
                .map(|(session, _)| *session)
                .min()
        };
        ancestors.iter().find_map(by_process).or_else(of_audit)
    }
}

/// Whether its group has the foreground of its terminal.
fn leads(stat: Stat) -> bool {
    stat.terminal != 0 && stat.foreground == stat.group
}

fn ancestors(process: Process) -> Vec<Process> {
    let mut all = Vec::new();
    let mut next = process.stat().map(|stat| stat.parent);
    while let Some(pid) = next.filter(|pid| *pid > 1 && all.len() < ANCESTORS_MAX) {
        let found = stat(pid);
        all.extend(found.map(|Stat { started, .. }| Process { pid, started }));
        next = found.map(|stat| stat.parent);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

    use super::super::terminals::name_of;
    use super::*;

    fn id(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    #[test]
    fn a_login_inside_a_login_is_found_by_terminal_or_ancestor() {
        let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let parent = Process::of(own.stat().unwrap().parent).unwrap();
        let on = |device: u64| Some((20, device));
        let place = |process, device: u64| Place {
            process,
            outer: on(device + 100),
            terminal: on(device),
            audit: None,
            parent: None,
        };
        let kin = Kin::default();
        assert_eq!(kin.parent(on(7), Some(own)), None);
        kin.begin(id(1), place(Some(parent), 9));
        assert_eq!(kin.parent(None, Some(own)), Some(id(1)));
        // Who had the parent's number before is no ancestor.
        let before = Process {
            started: parent.started.wrapping_sub(1),
            ..parent
        };
        kin.begin(id(1), place(Some(before), 9));
        assert_eq!(kin.parent(None, Some(own)), None);
        kin.begin(id(2), place(None, 7));
        assert_eq!(kin.parent(on(7), Some(own)), Some(id(2)));
        // The same number in another /dev/pts is another terminal.
        assert_eq!(kin.parent(Some((21, 7)), None), None);
        kin.end(id(2));
        kin.end(id(1));
        assert_eq!(kin.parent(on(7), Some(own)), None);
    }

    #[test]
    fn who_leads_a_terminal_has_the_keys_of_that_one() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let (dev, device) = name_of(slave.as_fd()).unwrap();
        let mut child = Command::new("setsid")
            .args(["-c", "sleep", "600"])
            .stdin(slave)
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while stat(pid).is_some_and(|stat| u64::try_from(stat.terminal) != Ok(device)) {
            assert!(Instant::now() < until, "it gets its terminal");
            std::thread::yield_now();
        }
        let kin = Kin::default();
        let process = Process::of(pid);
        let on = |outer: Name, asked: Name| {
            let place = Place {
                process,
                outer: Some(outer),
                terminal: None,
                audit: None,
                parent: None,
            };
            kin.begin(id(1), place);
            kin.is_outer((id(2), asked))
        };
        let own = (dev, device);
        assert!(on(own, own));
        // In another /dev/pts; and a login that came on one terminal and leads another.
        assert!(!on(own, (dev + 1, device)));
        assert!(!on((dev, device + 1), (dev, device + 1)));
        on(own, own);
        kin.end(id(1));
        assert!(!kin.is_outer((id(2), own)));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_login_behind_a_relay_has_its_keys_while_that_has_the_foreground() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let pty = || {
            let master = openpt(flags).unwrap();
            unlockpt(&master).unwrap();
            let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
            (master, slave)
        };
        // In the foreground, and as a job in the background.
        for (script, has_keys) in [
            ("setsid -c sleep 600 <&2 & wait", true),
            ("set -m; (setsid -c sleep 600 <&2 & wait) & wait", false),
        ] {
            let ((_outer_master, outer), (_inner_master, inner)) = (pty(), pty());
            let names = [&outer, &inner].map(|fd| name_of(fd.as_fd()).unwrap());
            let mut relay = Command::new("setsid")
                .args(["-c", "bash", "-c", script])
                .stdin(outer)
                .stdout(std::process::Stdio::null())
                .stderr(inner)
                .spawn()
                .unwrap();
            let leads_inner = |pid: &i32| {
                let found = stat(*pid);
                found.is_some_and(|stat| u64::try_from(stat.terminal) == Ok(names[1].1))
            };
            let until = Instant::now() + Duration::from_secs(30);
            let login = loop {
                if let Some(pid) = super::super::process::all().into_iter().find(leads_inner) {
                    break Process::of(pid).unwrap();
                }
                assert!(Instant::now() < until, "it gets its terminal");
                std::thread::yield_now();
            };
            let place = Place {
                process: Some(login),
                outer: Some(names[1]),
                terminal: None,
                audit: None,
                parent: Some(id(2)),
            };
            let kin = Kin::default();
            kin.begin(id(1), place);
            assert_eq!(kin.is_outer((id(2), names[0])), has_keys, "{script}");
            assert!(!kin.is_outer((id(3), names[0])));
            let ended = Command::new("kill")
                .args(["-9", &login.pid.to_string()])
                .status();
            assert!(ended.unwrap().success());
            relay.kill().unwrap();
            relay.wait().unwrap();
        }
    }
}
