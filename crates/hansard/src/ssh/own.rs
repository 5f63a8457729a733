//! The own client of `hansard ssh`, for commands without a terminal: backups, pipes, copies. What it adds is room on the
//! way: OpenSSH's client takes 2 MiB for each round trip, which is 12 MB/s over 167 ms; this one takes 64 MiB.
//!
//! Everything else is ssh(1)'s: what it would do is asked of it (`resolved`), and whatever is more than the plain case,
//! or does not work out before the command has begun, is left to it. So there is one place where people configure, and
//! one that says what is wrong.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_view::escape_for_humans;
use russh::client::{self, AuthResult, DisconnectReason, Handle, Session};
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, PublicKeyOrCertificate, load_openssh_certificate, load_secret_key};
use russh::{ChannelId, Preferred, SshId, cipher};
use rustix::net::sockopt::set_socket_keepalive;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PROXY;
use super::believed::Authorities;
use super::resolved::{Line, Settings};
use super::spoken;
use crate::login::home::{CERTIFICATE, Home, KEY, KNOWN_HOSTS, SSH_CONFIG};
use crate::login::now_s;

/// Bytes that a server may send before it is told to go on.
pub(super) const WINDOW_BYTES: u32 = 64 * 1024 * 1024;

/// The longest packet that is taken.
const PACKET_BYTES: u32 = 32 * 1024;

/// How long connecting may take, each of its steps; then ssh(1) tries.
const STEP_MAX: Duration = Duration::from_secs(20);

/// Where a command is to run.
struct Destination {
    host: String,
    port: u16,
    /// What is said at the sign-in: of a host behind the proxy the account, the host and its port.
    user: String,
}

/// What the server said when it ended the connection.
pub(super) type Said = Arc<Mutex<Option<String>>>;

/// What a connection needs of its making.
pub(super) struct Hooks {
    authorities: Authorities,
    host: String,
    port: u16,
    said: Said,
    /// Nobody wants to read what is no error.
    is_quiet: bool,
}

impl client::Handler for Hooks {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(match shown {
            PublicKeyOrCertificate::Certificate(shown) => {
                let to = (self.host.as_str(), self.port);
                self.authorities.believe(shown, to, now_s())
            }
            PublicKeyOrCertificate::PublicKey { .. } => false,
        })
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), russh::Error> {
        let lines = banner.lines().filter(|_| !self.is_quiet);
        let lines = lines.map(escape_for_humans);
        lines.for_each(|line| spoken::complain(&line));
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(said) => {
                let said = escape_for_humans(&said.message).into_owned();
                let mut place = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                *place = Some(said);
                Ok(())
            }
            DisconnectReason::Error(e) => Err(e),
        }
    }

    fn adjust_window(&mut self, _: ChannelId, _: u32) -> u32 {
        WINDOW_BYTES
    }
}

/// Runs the command, with these options more than the line has; `None`: ssh(1) is to do it, and nothing was read or
/// begun.
pub(super) fn run(home: &Home, more: &[OsString], args: &[OsString]) -> Option<u8> {
    let line = Line::read(args)?;
    let config = home.path(SSH_CONFIG);
    let settings = Settings::ask(&config, &[more, &line.options].concat())?;
    let known_hosts = home.path(KNOWN_HOSTS);
    let shipped = Settings::ask(Path::new("/dev/null"), &[PROXY.into()])?;
    let is_ours = |settings: &Settings| {
        settings.are_plain() && settings.are_as(&shipped) && settings.believe_only(&known_hosts)
    };
    if !is_ours(&settings) {
        return None;
    }
    let to = destination(&settings, || {
        Settings::ask(&config, &[PROXY.into()]).filter(is_ours)
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let said = Said::default();
    let hooks = Hooks {
        said: Arc::clone(&said),
        authorities: Authorities::of(&known_hosts)?,
        host: to.host.clone(),
        port: to.port,
        is_quiet: settings.one("loglevel") != Some("INFO"),
    };
    let library = library(&settings)?;
    let status = runtime.block_on(async {
        let handle = signed_in(home, &settings, (&to, library, hooks)).await?;
        spoken::run(handle, &line, (&settings.variables(), &said)).await
    });
    // What is left waits for nothing: a program that still reads or writes for it is another's.
    runtime.shutdown_background();
    status
}

/// Where it leads: straight to the host, or to the proxy with the host in the name.
fn destination(
    settings: &Settings,
    proxy: impl FnOnce() -> Option<Settings>,
) -> Option<Destination> {
    let word = |settings: &Settings, name| settings.one(name).map(str::to_owned);
    let port = |settings: &Settings| settings.one("port")?.parse().ok();
    let (host, user) = (word(settings, "hostname")?, word(settings, "user")?);
    match settings.one("proxyjump") {
        None | Some("none") => Some(Destination {
            host,
            port: port(settings)?,
            user,
        }),
        Some(PROXY) => {
            let via = proxy()?;
            let target: u16 = port(settings)?;
            // The separator of the three; a name that has one is left to ssh(1).
            let is_plain = ![&host, &user].iter().any(|part| part.contains('+'));
            is_plain.then_some(())?;
            Some(Destination {
                host: word(&via, "hostname")?,
                port: port(&via)?,
                user: format!("{user}+{host}+{target}"),
            })
        }
        Some(_) => None,
    }
}

/// How the library works; `None`: the configuration leaves nothing that both know.
fn library(settings: &Settings) -> Option<client::Config> {
    let named = |name: &str| -> Vec<String> {
        let all = settings.one(name).unwrap_or_default();
        all.split(',').map(str::to_owned).collect()
    };
    // Which of them is first is this client's to say. Nearly every processor helps with AES, which is several times
    // as quick then.
    let mut ciphers = vec![
        cipher::AES_128_GCM,
        cipher::AES_256_GCM,
        cipher::CHACHA20_POLY1305,
    ];
    let wanted = named("ciphers");
    ciphers.retain(|cipher| wanted.iter().any(|name| name == cipher.as_ref()));
    if ciphers.is_empty() {
        return None;
    }
    let kinds = [Algorithm::Ed25519];
    let every_s: u64 = settings.one("serveraliveinterval")?.parse().ok()?;
    let times = settings.one("serveralivecountmax")?.parse().ok()?;
    let name = concat!("SSH-2.0-Hansard_", env!("CARGO_PKG_VERSION"));
    Some(client::Config {
        client_id: SshId::Standard(name.into()),
        window_size: WINDOW_BYTES,
        maximum_packet_size: PACKET_BYTES,
        preferred: Preferred {
            cipher: ciphers.into(),
            key: kinds.to_vec().into(),
            host_key_certificates: kinds.to_vec().into(),
            ..Preferred::DEFAULT
        },
        inactivity_timeout: None,
        keepalive_interval: (every_s > 0).then(|| Duration::from_secs(every_s)),
        keepalive_max: times,
        nodelay: true,
        ..client::Config::default()
    })
}

/// Connects and signs in with the login's certificate, whose key is in its file or in the agent.
async fn signed_in(
    home: &Home,
    settings: &Settings,
    (to, library, hooks): (&Destination, client::Config, Hooks),
) -> Option<Handle<Hooks>> {
    let seconds = settings.one("connecttimeout").and_then(|s| s.parse().ok());
    let step = seconds.map_or(STEP_MAX, |s: u64| Duration::from_secs(s).min(STEP_MAX));
    let stream = timeout(step, TcpStream::connect((to.host.as_str(), to.port)));
    let stream = stream.await.ok()?.ok()?;
    stream.set_nodelay(true).ok()?;
    let is_asked = settings.one("tcpkeepalive") != Some("no");
    set_socket_keepalive(&stream, is_asked).ok()?;
    let shaking = client::connect_stream(Arc::new(library), stream, hooks);
    let mut handle = timeout(step, shaking).await.ok()?.ok()?;
    let certificate = load_openssh_certificate(home.path(CERTIFICATE)).ok()?;
    let signed = async {
        match load_secret_key(home.path(KEY), None) {
            Ok(key) => {
                let key = Arc::new(key);
                let signing = handle.authenticate_openssh_cert(&to.user, key, certificate);
                signing.await.ok()
            }
            Err(_) => {
                let mut agent = AgentClient::connect_env().await.ok()?;
                let signing =
                    handle.authenticate_certificate_with(&to.user, certificate, None, &mut agent);
                signing.await.ok()
            }
        }
    };
    match timeout(STEP_MAX, signed).await.ok()?? {
        AuthResult::Success => Some(handle),
        AuthResult::Failure { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_behind_the_proxy_is_in_the_name_that_is_said_there() {
        let read = |text: &str| Settings::read(text);
        let proxy = || Some(read("hostname gate.example.org\nport 3023\nuser anna\n"));
        let straight = read("hostname web1\nport 3022\nuser deploy\nproxyjump none\n");
        let to = destination(&straight, proxy).unwrap();
        assert_eq!((&*to.host, to.port, &*to.user), ("web1", 3022, "deploy"));
        let behind = read("hostname web1\nport 22\nuser deploy\nproxyjump hansard-proxy\n");
        let to = destination(&behind, proxy).unwrap();
        let leads = "deploy+web1+22";
        assert_eq!(
            (&*to.host, to.port, &*to.user),
            ("gate.example.org", 3023, leads)
        );
        for other in [
            "hostname web1\nport 22\nuser a+b\nproxyjump hansard-proxy\n",
            "hostname web1\nport 22\nuser deploy\nproxyjump elsewhere\n",
            "hostname web1\nport x\nuser deploy\n",
        ] {
            assert!(destination(&read(other), proxy).is_none(), "{other}");
        }
    }
}
