//! The role that serves SSH on this machine.

use hansard_capture::local::Server as LocalServer;
use hansard_capture::ssh::{Config as NodeConfig, Keeper, Lists, Server};
use hansard_identity::key::PrivateKey;
use hansard_identity::ssh::{KeyLine, SshAuthorities};

use super::logins::UTMP;
use super::recording::Recording;
use super::ssh_certified::{Following, HostCertificates};
use super::{Closer, Start};
use crate::cli::KEEP_SESSION;
use crate::config::Ssh;
use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY};
use crate::init::keys::authority_dir;
use crate::tlog_out::helper::OURSELVES;

/// The node's own key, among this machine's.
const NODE_KEY: &str = "ssh_node.key";

/// The directory of notes on what stands in the list of who is logged in, in `runtime_dir`.
const LISTED: &str = "ssh-listed";

/// The message of the day.
const MOTD: &str = "/etc/motd";

/// Who opens sessions: this program, in processes of its own.
fn keeper(ssh: &Ssh) -> Option<Keeper> {
    let (service, _) = ssh.pam_service()?;
    let args = vec![KEEP_SESSION.into()];
    Some(Keeper::new(OURSELVES.into(), args, service))
}

/// Listens for people.
pub(super) fn start(
    recording: &Recording<'_>,
    ssh: &Ssh,
    local: &LocalServer,
) -> Result<Serving, Failure> {
    let environment = recording.environment;
    let source = std::sync::Arc::clone(&environment.random);
    let random = move |bytes: &mut [u8]| source.fill(bytes);
    let keys = recording.dir.keys();
    let key = PrivateKey::kept_in(&keys.join(NODE_KEY), &random).map_err(unusable)?;
    let mut config = NodeConfig::at(ssh.listen, key.seed());
    config.authorities.clone_from(&ssh.user_authorities);
    config.authorized_keys = ssh.authorized_keys;
    config
        .authorized_keys_file
        .clone_from(&ssh.authorized_keys_file);
    config.roles_only = ssh.roles_only;
    config.name = recording.start.config.node_name();
    config
        .labels
        .clone_from(&recording.start.config.node.labels);
    config.accept_env.clone_from(&ssh.accept_env);
    config.forwards = ssh.forwards();
    config.motd = MOTD.into();
    if rustix::process::geteuid().is_root() {
        config.keeper = keeper(ssh);
        config.questions = ssh.keyboard_interactive;
        let notes = recording.start.config.node.runtime_dir.join(LISTED);
        config.lists = Some(Lists {
            utmp: UTMP.into(),
            wtmp: "/var/log/wtmp".into(),
            lastlog: "/var/log/lastlog".into(),
            notes,
        });
    }
    config.connections_max = usize::try_from(ssh.connections_max).unwrap_or(usize::MAX);
    config.login_grace = ssh.login_grace.0;
    let authority = authority_dir(&keys);
    let mut certificates = None;
    if recording.start.config.store.is_some() && authority.is_dir() {
        let authorities = SshAuthorities::open(&authority, &random).map_err(unusable)?;
        config.authorities.push(authorities.user_line());
        let key = KeyLine::ed25519(&key.public());
        certificates = HostCertificates::of(recording, (&ssh.names, key))?;
    }
    let what = ("capture.ssh", "serving SSH");
    begin((config, certificates, local), what, recording)
}

/// A server, and what renews its certificate.
pub(super) struct Serving {
    server: Server,
    _certified: Option<Following>,
}

/// Listens, and says so in the log.
pub(super) fn begin(
    (mut config, mut certificates, local): (NodeConfig, Option<HostCertificates>, &LocalServer),
    (section, what): (&str, &'static str),
    recording: &Recording<'_>,
) -> Result<Serving, Failure> {
    let listen = config.listen;
    let certificate = certificates.as_mut().map(HostCertificates::make);
    config.host_certificate = certificate.transpose()?;
    let server = Server::start(config, local).map_err(|e| {
        let what = format!("{section}: {listen}: {}", crate::failure::plain(&e));
        Failure::new(STATUS_FAILED, what, "see who has it: ss -tlnp")
    })?;
    let address = server.address();
    recording.start.journal.info(what, &[("listen", &address)]);
    let certified = certificates.map(|one| one.follow(&server, recording.start));
    Ok(Serving {
        _certified: certified.transpose()?,
        server,
    })
}

impl Serving {
    fn stop(self) -> usize {
        self.server.stop()
    }
}

/// Has it stopped with the daemon.
pub(super) fn close(
    (role, node): (&'static str, Serving),
    start: &Start,
    closers: &mut Vec<Closer>,
) {
    let journal = start.journal.clone();
    let stop = move || {
        let left = node.stop();
        if left > 0 {
            let what = "SSH connections are left for the next start";
            journal.warning(what, &[("connections", &left)]);
        }
    };
    closers.push((role, Box::new(stop)));
}

pub(super) fn unusable(failure: hansard_identity::Failure) -> Failure {
    keyless(
        &failure,
        "see the keys in data_dir (`hansardd doctor`), and the names of capture.ssh or capture.proxy",
    )
}

/// What is wrong with a key. One that is gone, or that others can reach, stays so until somebody mends it.
pub(super) fn keyless(failure: &hansard_identity::Failure, next: &str) -> Failure {
    let status = match failure {
        hansard_identity::Failure::Refused(_) => STATUS_NOT_READY,
        _ => STATUS_FAILED,
    };
    let what = failure.to_string();
    Failure::new(status, hansard_view::escape_for_humans(&what), next)
}
