//! Programs that are watched, and what was told of them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use hansard_capture::host::{Config, HostEvents, Tell, Watched};
use hansard_core::event::{Body, End, Event, Fact};
use hansard_core::fields::Value;
use hansard_core::policy::{Policy, Watch};
use hansard_core::session::ClockQuality;
use hansard_core::{Fields, Session, SessionId, Sink};
use hansard_record::{Environment, FileSink, Options, Recorder};

use super::support::{TempDir, events, key};

/// The programs in the kernel, loaded once for all tests. `None` where they cannot be; in CI that is
/// a failure.
pub fn host() -> Option<&'static HostEvents> {
    static HOST: OnceLock<Option<HostEvents>> = OnceLock::new();
    let host = HOST.get_or_init(|| match HostEvents::start(Config::default(), tell()) {
        Ok(host) => Some(host),
        Err(why) if must() => panic!("{why}: {}", why.next),
        Err(why) => {
            eprintln!("skipped: {why}: {}", why.next);
            None
        }
    });
    host.as_ref()
}

/// Nothing is skipped where it is decided, and under a kernel that is known to be able to.
fn must() -> bool {
    ["CI", "HANSARD_OTHER_KERNEL"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

/// What ended sessions did, of all tests.
pub static AFTERWARDS: Mutex<Vec<Body>> = Mutex::new(Vec::new());

pub fn tell() -> Tell {
    Box::new(|body| AFTERWARDS.lock().unwrap().push(body))
}

/// Of all sessions here.
pub const ID: SessionId = SessionId::from_bytes([1; 16]);

/// A session that is watched: a shell that waits, and what it starts once it may.
pub struct World {
    pub dir: TempDir,
    pub recorder: Recorder,
    watched: Option<Watched>,
    holder: Child,
}

impl World {
    /// `script` is what a shell of the session runs; `$DIR` is a directory of this test.
    pub fn new(host: &HostEvents, script: &str) -> Self {
        let mut world = Self::waiting(host, script, |sink| Box::new(sink));
        world.go();
        world
    }

    /// The same with a policy that says something of it.
    pub fn under(host: &HostEvents, script: &str, policy: Watch) -> Self {
        let mut world = Self::made((host, policy), script, |sink| Box::new(sink));
        world.go();
        world
    }

    /// The same with a recorder over another sink, and nothing runs before [`World::go`].
    pub fn waiting(
        host: &HostEvents,
        script: &str,
        sink: impl FnOnce(FileSink) -> Box<dyn Sink + Send>,
    ) -> Self {
        Self::made((host, Watch::default()), script, sink)
    }

    fn made(
        (host, policy): (&HostEvents, Watch),
        script: &str,
        sink: impl FnOnce(FileSink) -> Box<dyn Sink + Send>,
    ) -> Self {
        let dir = TempDir::new();
        let path = dir.path().join("script");
        std::fs::write(&path, script).unwrap();
        let recorder = recorder(dir.path(), sink);
        // The waiting shell holds the session; what it starts is in it.
        let holder = Command::new("/bin/sh")
            .args(["-c", "read go; /bin/sh $DIR/script; exit 0"])
            .env("DIR", dir.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .current_dir(dir.path())
            .spawn()
            .unwrap();
        let pid = i32::try_from(holder.id()).unwrap();
        let watched = host
            .watch((0, Some(pid)), (ID, recorder.clone()), policy)
            .unwrap();
        Self {
            dir,
            recorder,
            watched: Some(watched),
            holder,
        }
    }

    /// The script may begin.
    pub fn go(&mut self) {
        let mut line = self.holder.stdin.take().unwrap();
        line.write_all(b"go\n").unwrap();
    }

    /// Waits for the script's end, whatever was told of it.
    pub fn wait(&mut self) {
        assert!(self.holder.wait().unwrap().success());
    }

    /// Waits for the script's end, ends the session, and answers what its recording says.
    pub fn told(mut self) -> Told {
        self.wait();
        let watched = self.watched.take().unwrap();
        ended(&self.dir, watched, &self.recorder)
    }
}

/// A session that a process of another one opens, and holds.
pub struct Within {
    dir: TempDir,
    recorder: Recorder,
    watched: Watched,
}

impl Within {
    pub fn held_by(host: &HostEvents, pid: &str, policy: Watch) -> Self {
        let dir = TempDir::new();
        let recorder = recorder(dir.path(), |sink| Box::new(sink));
        let pid = pid.trim().parse().unwrap();
        let watched = host
            .watch((0, Some(pid)), (ID, recorder.clone()), policy)
            .unwrap();
        Self {
            dir,
            recorder,
            watched,
        }
    }

    /// Ends it, and answers what its recording says.
    pub fn told(self) -> Told {
        ended(&self.dir, self.watched, &self.recorder)
    }
}

fn ended(dir: &TempDir, watched: Watched, recorder: &Recorder) -> Told {
    watched.end();
    let end = End {
        reason: "exited".into(),
        ..End::default()
    };
    recorder.close(end).unwrap();
    let bytes = std::fs::read(dir.path().join("r.hansard")).unwrap();
    Told {
        dir: dir.path().to_owned(),
        events: events(&bytes),
    }
}

fn recorder(dir: &Path, over: impl FnOnce(FileSink) -> Box<dyn Sink + Send>) -> Recorder {
    let env = Environment::real();
    let sink = FileSink::create(&dir.join("r.hansard"), &*env.disk).unwrap();
    let session = Session {
        id: ID,
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 1,
        clock: ClockQuality::Synchronised,
        policy: Policy {
            hold_ms_max: 600_000,
            ..Policy::default()
        },
        recorder_key: key().public(),
        recorder: "test".into(),
    };
    Recorder::open(session, key(), over(sink), &env, Options::default()).unwrap()
}

/// What a recording says.
pub struct Told {
    pub dir: PathBuf,
    pub events: Vec<Event>,
}

impl Told {
    /// Facts of this name.
    pub fn facts(&self, name: &str) -> Vec<&Fact> {
        let facts = self.events.iter().filter_map(|event| match &event.body {
            Body::Command(fact) | Body::File(fact) | Body::Network(fact) | Body::Process(fact) => {
                Some(fact)
            }
            _ => None,
        });
        facts.filter(|fact| fact.event == name).collect()
    }

    /// The only fact of this name for which this holds, or the first of several.
    pub fn one(&self, name: &str, is_it: impl Fn(&Fields) -> bool) -> &Fields {
        let all = self.facts(name);
        match all.iter().find(|fact| is_it(&fact.fields)) {
            Some(fact) => &fact.fields,
            None => panic!("no such {name} among {all:#?}"),
        }
    }

    /// Every program that ran, as one line.
    pub fn commands(&self) -> Vec<String> {
        let all = self.facts("session.command");
        let ran = all
            .iter()
            .filter(|fact| int(&fact.fields, "return_code") == Some(0));
        ran.map(|fact| {
            let mut line = vec![text(&fact.fields, "path")];
            line.extend(argv(&fact.fields));
            line.join(" ")
        })
        .collect()
    }

    /// Whether `printf WORD` was started.
    pub fn printed(&self, word: &str) -> bool {
        let all = self.facts("session.command");
        all.iter()
            .any(|fact| argv(&fact.fields) == ["printf", word])
    }

    /// Whether a file of this name was touched.
    pub fn touched(&self, name: &str) -> bool {
        let all = self.facts("session.disk");
        let paths = all.iter().map(|fact| text(&fact.fields, "path"));
        paths.into_iter().any(|path| path.ends_with(name))
    }

    /// The command whose arguments are these.
    pub fn command(&self, arguments: &[&str]) -> &Fields {
        self.one("session.command", |fields| argv(fields) == arguments)
    }

    /// A file was touched by this call, at this path.
    pub fn file(&self, call: &str, path: &str) -> &Fields {
        self.one("session.disk", |fields| {
            text(fields, "call") == call && text(fields, "path") == path
        })
    }

    /// A path in the test's directory.
    pub fn at(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }
}

pub fn text(fields: &Fields, name: &str) -> String {
    match fields.get(name) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

pub fn int(fields: &Fields, name: &str) -> Option<i64> {
    match fields.get(name) {
        Some(Value::Int(number)) => Some(*number),
        Some(Value::Uint(number)) => i64::try_from(*number).ok(),
        _ => None,
    }
}

pub fn argv(fields: &Fields) -> Vec<String> {
    list(fields, "argv")
}

pub fn list(fields: &Fields, name: &str) -> Vec<String> {
    match fields.get(name) {
        Some(Value::List(list)) => list
            .iter()
            .map(|value| match value {
                Value::Text(text) => text.clone(),
                Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                other => panic!("{other:?}"),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Programs that go around what others look at, compiled once: `tricks.c`.
pub fn tricks() -> &'static Path {
    static TRICKS: OnceLock<PathBuf> = OnceLock::new();
    TRICKS.get_or_init(|| {
        // In the build's own directory: nothing is left behind that the next run does not use.
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = dir.join(format!("tricks-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/tricks.c");
        let built = Command::new("cc")
            .args(["-O1", "-o"])
            .args([&made, &source])
            .status()
            .unwrap();
        assert!(built.success());
        let path = dir.join("tricks");
        std::fs::rename(made, &path).unwrap();
        path
    })
}
