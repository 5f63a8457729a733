//! What is asked for in a channel before anything runs in it, and the start of what then does.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use hansard_core::event::Body;
use hansard_shell::{Service, Window};
use russh::Channel;
use russh::server::{Handle, Msg};

use super::account;
use super::connection::{Connection, Inside};
use super::ender::Ender;
use super::forward::Listening;
use super::header::{self, About, Opened};
use super::limits::{COMMAND_BYTES_MAX, TERM_BYTES_MAX, VARIABLE_BYTES_MAX, VARIABLES_MAX};
use super::over::Over;
use super::proxy::FarChannel;
use super::relay::{Relay, run};
use super::sftp::Sftp;
use super::x11::Display;
use crate::local::Happening;

mod early;
mod starting;

pub(super) use early::{Early, that_is_there};
use starting::{Starting, Starts, greeted};

/// The one subsystem that there is.
const SFTP: &str = "sftp";

/// Where programs look for their agent; never a client's to set.
const AGENT: &str = "SSH_AUTH_SOCK";

/// What is said where there is no channel at the target.
const NO_FAR: &str = "the channel is not open yet";

/// Where programs look for a display.
const DISPLAY: &str = "DISPLAY";

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Shell,
    Command(Vec<u8>),
    Subsystem(String),
}

/// A channel at a target that is being opened.
pub(super) type Coming = Arc<Mutex<Option<FarChannel>>>;

/// A channel in which nothing runs yet.
pub(super) struct Waiting {
    channel: Channel<Msg>,
    /// What came in it.
    early: Early,
    /// The channel at the target, where this is a proxy.
    far: Option<FarChannel>,
    /// Where that one is put, if the client is not told that its channel is open before it is there.
    coming: Option<Coming>,
    env: Vec<(OsString, OsString)>,
    terminal: Option<(String, Window)>,
    stays: Stays,
    /// When the client was about to hear that it is open.
    since: Instant,
}

/// What a channel has until what runs in it is over.
#[derive(Default)]
struct Stays {
    /// One of the connection's channels.
    place: Arc<()>,
    /// The client's display, here.
    display: Option<Listening>,
}

/// What runs, after what the certificate or key demands was heeded.
struct Runs {
    /// The command; `None`: the account's shell.
    command: Option<Vec<u8>>,
    /// What was asked for in its stead.
    original: Option<Vec<u8>>,
    /// The subsystem, which is the one there is: SFTP.
    subsystem: Option<String>,
}

fn taken<T>(coming: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    coming.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the channel at the target to where it is used, if one comes. Until it is there it stays one that comes:
/// who asks once more hears the same.
fn came<T>(coming: &mut Option<Arc<Mutex<Option<T>>>>, far: &mut Option<T>) -> Result<(), String> {
    if let Some(awaited) = coming {
        let there = taken(awaited).take();
        *far = Some(there.ok_or(NO_FAR)?);
        *coming = None;
    }
    Ok(())
}

impl Waiting {
    pub(super) fn new(channel: Channel<Msg>, far: Option<FarChannel>) -> Self {
        Self {
            channel,
            early: Early::default(),
            far,
            coming: None,
            env: Vec::new(),
            terminal: None,
            stays: Stays::default(),
            since: Instant::now(),
        }
    }

    /// One whose channel at the target is put there before the client hears that its own is open.
    pub(super) fn for_one_that_comes(channel: Channel<Msg>, coming: Coming) -> Self {
        Self {
            coming: Some(coming),
            ..Self::new(channel, None)
        }
    }

    /// Takes what came in the channel, for what will run in it.
    ///
    /// # Errors
    /// It is too much.
    pub(super) fn takes_what_came(&mut self) -> Result<(), Over> {
        self.early.take(&mut self.channel)
    }

    /// Whether the channel at the target never came, and the client was refused its own.
    pub(super) fn is_forsaken(&self) -> bool {
        let coming = self.coming.as_ref();
        coming.is_some_and(|coming| Arc::strong_count(coming) == 1 && taken(coming).is_none())
    }

    /// The channel at the target, where there is one.
    fn far(&mut self) -> Result<Option<&mut FarChannel>, String> {
        came(&mut self.coming, &mut self.far)?;
        Ok(self.far.as_mut())
    }

    /// Its place among the connection's channels, for as long as it has one.
    pub(super) fn place(&self) -> Weak<()> {
        Arc::downgrade(&self.stays.place)
    }

    /// Sets a variable, if a client may.
    pub(super) async fn set(
        &mut self,
        name: &str,
        value: &str,
        patterns: &[String],
    ) -> Result<(), String> {
        if !account::may_set(name, patterns) {
            return Err("clients may not set it (capture.ssh.accept_env)".to_owned());
        }
        if name.len() + value.len() > VARIABLE_BYTES_MAX || value.contains('\0') {
            return Err(format!(
                "longer than {VARIABLE_BYTES_MAX} bytes, or no text"
            ));
        }
        self.env.retain(|(known, _)| known != name);
        if self.env.len() >= VARIABLES_MAX {
            return Err(format!("{VARIABLES_MAX} variables are set, no more may be"));
        }
        if let Some(far) = self.far()? {
            far.set(name, value).await?;
        }
        self.env.push((name.into(), value.into()));
        Ok(())
    }

    /// What is to run gets a terminal.
    pub(super) async fn terminal(
        &mut self,
        term: &str,
        size: [u32; 4],
        modes: Vec<(u8, u32)>,
    ) -> Result<(), String> {
        if self.terminal.is_some() {
            return Err("the channel has a terminal already".to_owned());
        }
        if term.len() > TERM_BYTES_MAX || term.contains('\0') {
            return Err(format!(
                "a terminal's type has at most {TERM_BYTES_MAX} bytes"
            ));
        }
        if let Some(far) = self.far()? {
            far.terminal(term, size, &modes).await?;
        }
        let size = sizes(size);
        self.terminal = Some((term.to_owned(), Window { size, modes }));
        Ok(())
    }

    /// Programs find the client's agent, where they run elsewhere.
    ///
    /// # Errors
    /// The target does not allow it.
    pub(super) async fn lends_agent(&mut self) -> Result<(), String> {
        match self.far()? {
            Some(far) => far.agent().await,
            None => Err("nothing runs elsewhere".to_owned()),
        }
    }

    /// Programs open windows at the client, where they run elsewhere.
    ///
    /// # Errors
    /// The target does not allow it.
    pub(super) async fn lends_display(&mut self, asked: &Display) -> Result<(), String> {
        match self.far()? {
            Some(far) => far.display(asked).await,
            None => Err("nothing runs elsewhere".to_owned()),
        }
    }

    /// Programs find the client's display here, for as long as they run.
    pub(super) fn has_display(&mut self, name: String, display: Listening) {
        self.env.retain(|(known, _)| known != DISPLAY);
        self.env.push((DISPLAY.into(), name.into()));
        self.stays.display = Some(display);
    }

    /// Whether they do.
    pub(super) fn is_shown(&self) -> bool {
        self.stays.display.is_some()
    }

    /// Programs find the client's agent here.
    pub(super) fn has_agent(&mut self, path: &Path) {
        self.env.retain(|(known, _)| known != AGENT);
        self.env.push((AGENT.into(), path.into()));
    }

    /// How long ago the client was told that it is open.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether what is asked for would run on this machine.
    pub(super) fn is_here(&self) -> bool {
        self.far.is_none() && self.coming.is_none()
    }

    /// Starts it. When this returns its recording is open and durable; an error means that nothing runs.
    pub(super) async fn start(
        mut self,
        asked: &Asked,
        connection: &Arc<Connection>,
        inside: &Inside,
        handle: Handle,
    ) -> Result<(), String> {
        let runs = heeded(asked, inside.allowed.command.as_deref())?;
        let number = self.channel.id().number();
        let machine = connection.machine();
        self.far()?;
        let far = self.far.take();
        if far.is_some() && runs.subsystem.is_some() && self.terminal.is_some() {
            return Err("a terminal would change what passes".to_owned());
        }
        let starts = match far {
            Some(far) => Starts::There(far),
            // Never on the proxy itself, whatever became of the channel.
            None if connection.node.leads.is_some() => return Err(NO_FAR.to_owned()),
            None => Starts::Here(Box::new(self.service(&runs, inside, connection))),
        };
        let about = self.about(&runs, &starts, (inside, number));
        let opened = header::open(machine, &inside.who, about)?;
        let id = opened.session.id;
        let window = starts.window(self.terminal.as_ref());
        let starting = Starting::new(machine, &opened);
        let (served, ends, watched) = match starts.start(&runs, machine, &opened).await {
            Ok(started) => started,
            Err(why) => return Err(starting.nothing_ran(why)),
        };
        starting.done();
        if let Some(window) = window {
            let [cols, rows, ..] = window.size;
            let sized = opened.recorder.event(Body::Resize { cols, rows });
            // Nothing was read from it yet: its terminal is hung up when it is dropped.
            sized.map_err(|lost| lost.to_string())?;
        }
        let (listed, greeting) = greeted(&served, connection, inside, runs.command.is_some());
        let ender = Arc::new(Ender::default());
        let uid = inside.who.account.uid;
        let Opened {
            session,
            recorder,
            notice,
            on_end,
            ..
        } = opened;
        let (registry, line) = (&machine.registry, Arc::<Ender>::clone(&ender));
        registry.begin(&session, (uid, served.pid()), recorder.clone(), line);
        (machine.means.tell)(Happening::Began { session: id, uid });
        let relay = Relay {
            channel: (self.channel, self.early),
            handle,
            served,
            ends,
            recorder,
            session,
            notice,
            greeting,
            listed,
            on_end,
            ender,
            watched,
            connection: Arc::clone(connection),
            sftp: runs.subsystem.as_ref().map(|_| Sftp::default()),
            unread: connection.is_read(number),
        };
        connection.keep(tokio::spawn(run_to_its_end(run(relay), self.stays)));
        Ok(())
    }

    fn about(&self, runs: &Runs, starts: &Starts, (inside, number): (&Inside, u32)) -> About {
        let shown = |text: &OsString| text.to_string_lossy().into_owned();
        let argv = match starts {
            Starts::Here(service) => service.argv.as_slice(),
            Starts::There(_) => &[],
        };
        let command = match &runs.command {
            Some(command) => Some(String::from_utf8_lossy(command).into_owned()),
            None => argv.first().map(shown),
        };
        About {
            kind: match (&runs.subsystem, starts.window(self.terminal.as_ref())) {
                (Some(_), _) => "sftp",
                (None, Some(_)) => "terminal",
                (None, None) => "exec",
            },
            parent: Some(inside.session),
            channel: Some(number),
            term: self.terminal.as_ref().map(|(term, _)| term.clone()),
            command,
            argv: argv.iter().map(shown).collect(),
            subsystem: runs.subsystem.clone(),
            addr: None,
            reached: match starts {
                Starts::Here(_) => None,
                Starts::There(far) => Some(far.at()),
            },
        }
    }

    fn service(&self, runs: &Runs, inside: &Inside, connection: &Connection) -> Service {
        let account = &inside.who.account;
        let mut started = account::started(account, runs.command.as_deref());
        if runs.subsystem.is_some() {
            // Not through the account's shell: what that prints would be no SFTP.
            started.argv = vec![connection.node.config.sftp_server.clone().into()];
            started.arg0 = "sftp-server".into();
        }
        let mut env = account::environment(account);
        env.extend(self.env.iter().cloned());
        let (remote, local) = (inside.who.remote, inside.who.local);
        let client = format!(
            "{} {} {}",
            remote.ip().to_canonical(),
            remote.port(),
            local.port()
        );
        env.push(("SSH_CLIENT".into(), client.into()));
        env.push(("SSH_CONNECTION".into(), inside.who.connection().into()));
        if let Some(original) = &runs.original {
            let original = OsString::from_vec(original.clone());
            env.push(("SSH_ORIGINAL_COMMAND".into(), original));
        }
        if let Some((term, _)) = &self.terminal {
            env.push(("TERM".into(), term.into()));
        }
        Service {
            account: account.clone(),
            argv: started.argv,
            arg0: started.arg0,
            env,
            home: account.home.clone(),
            // SFTP is no text: a terminal would change it.
            terminal: self
                .terminal
                .as_ref()
                .filter(|_| runs.subsystem.is_none())
                .map(|(_, window)| window.clone()),
            keeper: connection.keeper(),
        }
    }
}

/// Runs it, and gives back what the channel had.
async fn run_to_its_end(running: impl Future<Output = ()>, _stays: Stays) {
    running.await;
}

/// What runs in the end: what is asked for, or what the certificate or key demands in its stead.
fn heeded(asked: &Asked, forced: Option<&str>) -> Result<Runs, String> {
    if let Asked::Command(command) = asked
        && (command.len() > COMMAND_BYTES_MAX || command.contains(&0))
    {
        return Err(format!(
            "a command has at most {COMMAND_BYTES_MAX} bytes, none of them zero"
        ));
    }
    let original = match asked {
        Asked::Shell => None,
        Asked::Command(command) => Some(command.clone()),
        Asked::Subsystem(name) => Some(name.clone().into_bytes()),
    };
    if let Some(forced) = forced {
        return Ok(Runs {
            command: Some(forced.as_bytes().to_vec()),
            original,
            subsystem: None,
        });
    }
    match asked {
        Asked::Subsystem(name) if name == SFTP => Ok(Runs {
            command: None,
            original: None,
            subsystem: Some(name.clone()),
        }),
        Asked::Subsystem(name) => Err(format!("there is no subsystem {name:?} here")),
        _ => Ok(Runs {
            command: original,
            original: None,
            subsystem: None,
        }),
    }
}

/// A size as terminals have it; one that is larger than any is the largest.
pub(super) fn sizes(size: [u32; 4]) -> [u16; 4] {
    size.map(|n| u16::try_from(n).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_before_the_channel_is_there_hears_so_until_it_is() {
        let place = Arc::new(Mutex::new(None));
        let (mut coming, mut far) = (Some(Arc::clone(&place)), None);
        for _ in 0..2 {
            assert_eq!(came(&mut coming, &mut far).unwrap_err(), NO_FAR);
            assert!(coming.is_some() && far.is_none());
        }
        *taken(&place) = Some("far");
        for _ in 0..2 {
            came(&mut coming, &mut far).unwrap();
            assert!(coming.is_none() && far == Some("far"));
        }
    }

    #[test]
    fn a_forced_command_runs_whatever_is_asked_for() {
        for asked in [
            Asked::Shell,
            Asked::Command(b"id".to_vec()),
            Asked::Subsystem("sftp".into()),
        ] {
            let runs = heeded(&asked, Some("uptime")).unwrap();
            assert_eq!(runs.command.as_deref(), Some(b"uptime".as_slice()));
            assert_eq!(runs.subsystem, None);
        }
        let runs = heeded(&Asked::Command(b"id".to_vec()), Some("uptime")).unwrap();
        assert_eq!(runs.original.as_deref(), Some(b"id".as_slice()));
        assert!(heeded(&Asked::Subsystem("x".into()), None).is_err());
        assert!(heeded(&Asked::Command(b"a\0b".to_vec()), None).is_err());
        let long = Asked::Command(vec![b'a'; COMMAND_BYTES_MAX + 1]);
        assert!(heeded(&long, None).is_err());
    }
}
