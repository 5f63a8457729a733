//! The SSH host certificate of the node and the proxy: made at the start, and again while they serve, so that who
//! believes the cluster's authority believes them for as long as they run.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hansard_capture::ssh::{Server, Shown};
use hansard_identity::limits::{CLOCK_SKEW_S, SSH_HOST_LIFE_S};
use hansard_identity::name::check_server_name;
use hansard_identity::ssh::{KeyLine, SshAuthorities};
use hansard_record::Environment;

use super::Start;
use super::facts::Facts;
use super::opening::no_thread;
use super::recording::Recording;
use super::ssh_node::unusable;
use crate::failure::Failure;
use crate::init::keys::authority_dir;

/// How often it is looked whether another certificate is due, and tried again after one that failed.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Makes host certificates for one server of this machine.
pub(super) struct HostCertificates {
    authorities: SshAuthorities,
    environment: Environment,
    facts: Facts,
    id: String,
    key: KeyLine,
    names: Vec<String>,
    /// When the last one was made, seconds since 1970.
    made_s: u64,
}

/// Whether a certificate that was made then should be followed by another: half of its life is over, or it does
/// not hold yet, since a clock was ahead that has been set right.
fn is_due(made_s: u64, now_s: u64) -> bool {
    let is_early = now_s.saturating_add(CLOCK_SKEW_S) < made_s;
    is_early || now_s >= made_s.saturating_add(SSH_HOST_LIFE_S / 2)
}

impl HostCertificates {
    /// For the names that this machine is reached under; `None` where it has none that a certificate may have.
    ///
    /// # Errors
    /// When the authority's keys are of no use.
    pub(super) fn of(
        recording: &Recording<'_>,
        (names, key): (&[String], KeyLine),
    ) -> Result<Option<Self>, Failure> {
        let mut names = names.to_vec();
        if names.is_empty() {
            names.push(recording.start.config.node_name().to_lowercase());
            // A machine may have a name that DNS does not allow; it is reached under another.
            names.retain(|name| check_server_name(name).is_ok());
        }
        if names.is_empty() {
            return Ok(None);
        }
        let environment = recording.environment.clone();
        let random = |bytes: &mut [u8]| environment.random.fill(bytes);
        let authorities = SshAuthorities::open(&authority_dir(&recording.dir.keys()), &random);
        Ok(Some(Self {
            authorities: authorities.map_err(unusable)?,
            facts: recording.facts.clone(),
            id: recording.identity.id().to_string(),
            environment,
            key,
            names,
            made_s: 0,
        }))
    }

    fn now_s(&self) -> u64 {
        self.environment.clock.utc_ns() / 1_000_000_000
    }

    /// Another certificate, as a line.
    ///
    /// # Errors
    /// In words, when none can be made.
    pub(super) fn make(&mut self) -> Result<String, Failure> {
        let now_ns = self.environment.clock.utc_ns();
        let random = |bytes: &mut [u8]| self.environment.random.fill(bytes);
        let to = (self.id.as_str(), self.names.as_slice());
        let issued = (self.authorities).issue_host(&self.key, to, SSH_HOST_LIFE_S, now_ns, &random);
        let issued = issued.map_err(unusable)?;
        self.facts.mention(issued.fact);
        self.made_s = now_ns / 1_000_000_000;
        Ok(issued.line)
    }

    fn renew(&mut self, shown: &Shown) -> Result<(), String> {
        let line = self.make().map_err(|failure| failure.to_string())?;
        shown.certify(&line)
    }

    /// Makes another one for this server whenever that is due, until the answer is dropped.
    ///
    /// # Errors
    /// Without a thread.
    pub(super) fn follow(mut self, server: &Server, start: &Start) -> Result<Following, Failure> {
        let (shown, journal) = (server.shown(), start.journal.clone());
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("ssh-certified".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                    if !is_due(self.made_s, self.now_s()) {
                        continue;
                    }
                    match self.renew(&shown) {
                        Ok(()) => journal.notice("SSH's host certificate was renewed", &[]),
                        Err(why) => {
                            let what = "SSH's host certificate was not renewed";
                            journal.error(what, &[("error", &why)]);
                        }
                    }
                }
            })
            .map_err(no_thread)?;
        Ok(Following(Some((stop, thread))))
    }
}

/// A server's certificate is renewed as long as this lives.
pub(super) struct Following(Option<(Sender<()>, JoinHandle<()>)>);

impl Drop for Following {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_followed_by_another_before_it_ends_and_where_it_does_not_hold_yet() {
        let made = 1_800_000_000;
        for (now, due) in [
            (made, false),
            (made - CLOCK_SKEW_S, false),
            (made - CLOCK_SKEW_S - 1, true),
            (made + SSH_HOST_LIFE_S / 2 - 1, false),
            (made + SSH_HOST_LIFE_S / 2, true),
            (made + 10 * SSH_HOST_LIFE_S, true),
            (0, true),
        ] {
            assert_eq!(is_due(made, now), due, "{now}");
        }
    }
}
