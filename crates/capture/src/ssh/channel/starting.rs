//! The start of what runs in a channel: here, or on the target of a proxy.

use hansard_core::event::End;
use hansard_shell::{Ends, Served, Service, ShellError, Window};

use super::Runs;
use crate::host::Watched;
use crate::ssh::connection::{Connection, Inside};
use crate::ssh::greeting;
use crate::ssh::header::{OfMachine, Opened, canonical};
use crate::ssh::program::Program;
use crate::ssh::proxy::{FarChannel, Wants};
use crate::who::Listed;

/// What is about to run, and where.
pub(super) enum Starts {
    Here(Box<Service>),
    There(FarChannel),
}

/// What was started: with its ends, and what the kernel tells of it, where that is recorded.
type Started = (Program, Ends, Option<Watched>);

impl Starts {
    /// The size of its terminal, if it has one.
    pub(super) fn window(&self, asked: Option<&(String, Window)>) -> Option<Window> {
        match self {
            Self::Here(service) => service.terminal.clone(),
            Self::There(far) => {
                let asked = asked.filter(|_| far.has_terminal());
                asked.map(|(_, window)| window.clone())
            }
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// Why nothing runs.
    pub(super) async fn start(
        self,
        runs: &Runs,
        machine: &OfMachine,
        opened: &Opened,
    ) -> Result<Started, String> {
        match self {
            Self::Here(service) => {
                let started = watched_start(&service, machine, opened);
                let started = started.map_err(|e| e.to_string());
                started.map(|(served, ends, watched)| (Program::Here(served), ends, watched))
            }
            Self::There(far) => {
                let wants = match (&runs.subsystem, &runs.command) {
                    (Some(name), _) => Wants::Subsystem(name),
                    (None, Some(command)) => Wants::Command(command),
                    (None, None) => Wants::Shell,
                };
                let started = far.start(wants).await;
                started.map(|(program, ends)| (program, ends, None))
            }
        }
    }
}

/// Starts it, and where host events are recorded, not before what it does is told.
fn watched_start(
    service: &Service,
    machine: &OfMachine,
    opened: &Opened,
) -> Result<(Served, Ends, Option<Watched>), ShellError> {
    let Some(host) = &machine.config.host else {
        return service.start().map(|(served, ends)| (served, ends, None));
    };
    let (uid, session) = (service.account.uid, (opened.session.id, &opened.recorder));
    let watch = |pid| crate::host::watch(Some(host), (uid, Some(pid)), session, opened.watch);
    let started = service.start_after(watch);
    started.map(|(served, ends, watched)| (served, ends, watched.flatten()))
}

/// The recording of what is being started. Dropped before anybody says what became of it, nothing was: its
/// connection is over, and a target has not answered.
pub(super) struct Starting<'a> {
    machine: &'a OfMachine,
    opened: &'a Opened,
    is_over: bool,
}

impl<'a> Starting<'a> {
    pub(super) fn new(machine: &'a OfMachine, opened: &'a Opened) -> Self {
        Self {
            machine,
            opened,
            is_over: false,
        }
    }

    /// It was started.
    pub(super) fn done(mut self) {
        self.is_over = true;
    }

    /// It was not: its recording ends. Answers why it was not.
    pub(super) fn nothing_ran(mut self, why: String) -> String {
        self.end(&why);
        why
    }

    fn end(&mut self, why: &str) {
        self.is_over = true;
        let end = End {
            reason: format!("nothing was run: {why}"),
            ..End::default()
        };
        if self.opened.recorder.close(end).is_ok() {
            // A note that stays is found finished by the next start.
            let _ = self.machine.means.open.end(self.opened.session.id);
        }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end("the connection was over");
        }
    }
}

/// Puts a program at a terminal of this machine into the lists of logins; answers its place there, and what it
/// is to be shown.
pub(super) fn greeted(
    program: &Program,
    connection: &Connection,
    inside: &Inside,
    is_command: bool,
) -> (Option<Listed>, Vec<u8>) {
    let Program::Here(served) = program else {
        return (None, Vec::new());
    };
    let (Some(terminal), Some(pid)) = (served.terminal(), program.pid()) else {
        return (None, Vec::new());
    };
    let login = greeting::Login {
        account: &inside.who.account,
        from: canonical(connection.remote).ip(),
        terminal,
        pid,
        is_command,
    };
    let node = &connection.node;
    let motd = Some(node.config.motd.as_path()).filter(|_| node.config.keeper.is_none());
    let lists = (node.who.as_ref(), node.config.lists.as_ref());
    let (listed, shown) = greeting::begin(&login, lists, (served.shown(), motd));
    (listed, greeting::at_a_terminal(&shown))
}
