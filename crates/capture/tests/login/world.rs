//! A daemon that records logins, and a user who logs in.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use hansard_capture::host::HostEvents;
use hansard_capture::shell::{Config, Keeps, Logins};
use hansard_core::policy::{OnEnd, Policy, Watch};
use hansard_core::{Decision, Event, Gate, Login, SessionId};
use hansard_record::SpoolOptions;

use crate::outer::{Outer, Scratch};
use crate::support::{Daemon, TempDir, recordings, wait_for};

/// Nobody's number on any machine that runs tests.
pub const UID: u32 = 64_001;

/// The group of terminals.
pub const TTY: u32 = 5;

/// What is decided of every login, and who asked.
pub struct Decided {
    pub decision: Decision,
    pub asked: Mutex<Vec<Login>>,
}

impl Gate for Decided {
    fn admit(&self, who: &Login) -> Decision {
        self.asked.lock().unwrap().push(who.clone());
        self.decision.clone()
    }
}

pub fn everything() -> Decision {
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

pub struct World {
    pub daemon: Daemon,
    pub gate: Arc<Decided>,
    pub program: PathBuf,
}

/// Whether these tests can run: they log in as another user.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    let ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false");
    assert!(root || !ci, "cannot run, and CI skips nothing: not root");
    if !root {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped: not root");
    }
    root
}

impl World {
    /// None where the tests cannot run.
    pub fn new() -> Option<Self> {
        Self::deciding(everything())
    }

    pub fn deciding(decision: Decision) -> Option<Self> {
        Self::with(decision, SpoolOptions::default())
    }

    pub fn with(decision: Decision, spool: SpoolOptions) -> Option<Self> {
        Self::watched(decision, spool, None)
    }

    /// The same where the kernel tells what a login's programs do.
    pub fn watched(
        decision: Decision,
        spool: SpoolOptions,
        host: Option<HostEvents>,
    ) -> Option<Self> {
        Self::of(decision, spool, (host, None))
    }

    /// One where somebody keeps logins for the next daemon.
    pub fn kept(by: Arc<dyn Keeps>) -> Option<Self> {
        Self::of(everything(), SpoolOptions::default(), (None, Some(by)))
    }

    fn of(
        decision: Decision,
        spool: SpoolOptions,
        (host, keeper): (Option<HostEvents>, Option<Arc<dyn Keeps>>),
    ) -> Option<Self> {
        if !is_root() {
            return None;
        }
        let dir = TempDir::new();
        let open = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path(), open(0o755)).unwrap();
        let program = dir.path().join("login_shell");
        copy_program(&built("login_shell"), &program);
        // As it is installed: whoever cannot read it cannot look into its process either.
        std::fs::set_permissions(&program, open(0o711)).unwrap();
        let gate = Arc::new(Decided {
            decision,
            asked: Mutex::default(),
        });
        let config = Config {
            gate: Arc::clone(&gate) as Arc<dyn Gate>,
            shells: std::collections::BTreeMap::new(),
            shell: PathBuf::from("/bin/sh"),
            notes: dir.path().join("terminals"),
            utmp: dir.path().join("utmp"),
            tlog_conf: dir.path().join("tlog-rec-session.conf"),
            keeper,
            break_glass: dir.path().join("break-glass"),
        };
        let (logins, _) = Logins::new(config).unwrap();
        let daemon = Daemon::with_logins(dir, spool, |config| config.host = host, Some(logins));
        Some(Self {
            daemon,
            gate,
            program,
        })
    }

    /// The words that log in: as the user, with these words before and these arguments.
    pub fn words(&self, before: &[&str], args: &[&str]) -> Vec<OsString> {
        self.words_at(&self.daemon.socket(), before, args)
    }

    fn words_at(&self, socket: &Path, before: &[&str], args: &[&str]) -> Vec<OsString> {
        let user = format!("--reuid={UID}");
        let group = format!("--regid={UID}");
        let mut words: Vec<OsString> = ["setpriv", &user, &group, "--clear-groups"]
            .map(OsString::from)
            .to_vec();
        words.extend(before.iter().map(OsString::from));
        words.push(self.program.clone().into());
        words.push(socket.into());
        words.extend(args.iter().map(OsString::from));
        words
    }

    /// A login shell on a terminal of the user's.
    pub fn login(&self) -> Outer {
        self.login_as(&[], &["-sh"])
    }

    pub fn login_as(&self, before: &[&str], args: &[&str]) -> Outer {
        self.login_at(&self.daemon.socket(), before, args)
    }

    pub fn login_at(&self, socket: &Path, before: &[&str], args: &[&str]) -> Outer {
        let own = "chown \"$0\" \"$(tty)\"; chmod 620 \"$(tty)\"; exec \"$@\"";
        let mut words: Vec<OsString> = ["sh", "-c", own, &format!("{UID}:{TTY}")]
            .map(OsString::from)
            .to_vec();
        words.extend(self.words_at(socket, before, args));
        Outer::with(Scratch::new(), words, |command| {
            command.env("ENV", "/dev/null").current_dir("/");
        })
    }

    /// The same without a terminal: a command.
    pub fn command(&self, args: &[&str]) -> Command {
        let words = self.words(&[], args);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/");
        command
    }

    /// The session that goes on.
    pub fn running(&self) -> SessionId {
        let registry = self.daemon.server.registry();
        wait_for("a session", || !registry.list().is_empty());
        registry.list()[0].session
    }

    /// Waits until no session goes on any more.
    pub fn wait_for_end(&self) {
        let registry = self.daemon.server.registry();
        wait_for("the session's end", || registry.list().is_empty());
    }

    /// The events of the only recording, once it is complete.
    pub fn only(&self) -> Vec<Event> {
        wait_for("a recording", || !recordings(&self.daemon.spool).is_empty());
        let all = recordings(&self.daemon.spool);
        assert_eq!(all.len(), 1);
        self.daemon.complete(*all.keys().next().unwrap())
    }
}

/// By a process of its own: a file that this one has open to write is so, too, in a child that another
/// test is just starting, and cannot be run until that has gone on (ETXTBSY).
pub fn copy_program(from: &Path, to: &Path) {
    let done = Command::new("cp").args([from, to]).status().unwrap();
    assert!(done.success(), "cp {from:?} {to:?}: {done}");
}

pub fn built(example: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(example);
    let shown = path.display();
    assert!(
        path.exists(),
        "{shown} is built by `cargo test -p hansard-capture`"
    );
    path
}
