//! Logins that no recorder holds: of Debian's own `sshd`, on a port of the loopback, and of `login`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{free_port, in_ci, skipped};
use serde_json::Value as Json;

use crate::outer::PATIENCE;
use crate::place::{ANNA, CARL, Place};

const HOST: &str = "{}\n  host: {enabled: true, logins: true}";

/// A machine whose kernel tells host events; `None` where none does.
pub(crate) fn watching(name: &str, shell: &str) -> Option<Place> {
    if let Err(why) = hansard_capture::host::support() {
        assert!(!in_ci(), "{why}: {}", why.next);
        skipped(&why.to_string());
        return None;
    }
    Place::with(name, "", shell)
}

/// The same, where logins without a recorder are sessions, too.
pub(crate) fn place(name: &str) -> Option<Place> {
    let place = watching(name, HOST)?;
    // As it is where nobody has set anything up.
    let conf = fs::read_to_string(place.scratch.join("sshd.conf")).unwrap();
    let plain = conf.split("Match User").next().unwrap();
    fs::write(place.scratch.join("plain.conf"), plain).unwrap();
    Some(place)
}

/// One connection to `sshd` on the loopback.
pub(crate) struct Connection {
    server: Child,
    client: Child,
    /// As `sshd` tells programs of it, its beginning: the client's address and port.
    from: String,
}

impl Connection {
    pub(crate) fn new(place: &Place, flags: &[&str], user: &str, command: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = place.ssh_options().into_iter().skip_while(|o| o != "-i");
        let options = options.map(|option| match option.starts_with("ProxyCommand") {
            true => format!("Port={port}"),
            false => option,
        });
        let client = Command::new("ssh")
            .args(["-F", "none"])
            .args(options)
            .args(flags)
            .arg(format!("{user}@127.0.0.1"))
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let stream = OwnedFd::from(stream);
        let conf = place.scratch.join("plain.conf");
        let server = place
            .run(&["/usr/sbin/sshd", "-i", "-f", conf.to_str().unwrap()])
            .stdin(stream.try_clone().unwrap())
            .stdout(stream)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            server,
            client,
            from: format!("{} {} ", peer.ip(), peer.port()),
        }
    }

    /// What the client has said, and its status.
    pub(crate) fn over(mut self) -> (String, Option<i32>, String) {
        drop(self.client.stdin.take());
        let out = self.client.wait_with_output().unwrap();
        self.server.wait().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        (said, out.status.code(), self.from)
    }
}

pub(crate) fn events(place: &Place, more: &[&str]) -> Vec<Json> {
    let args = ["events", "--oldest", "--all", "--json"];
    let done = place.hansard(&[&args, more].concat());
    let said = String::from_utf8(done.stdout).unwrap();
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The session that begins like this, and its events once it has its end.
pub(crate) fn session(place: &Place, begins: impl Fn(&Json) -> bool) -> (Json, Vec<Json>) {
    let since = Instant::now();
    loop {
        let starts = events(place, &["--event", "session.start"]);
        if let Some(start) = starts.iter().find(|start| begins(start)) {
            let all = events(place, &["--session", start["sid"].as_str().unwrap()]);
            if all.iter().any(|event| event["event"] == "session.end") {
                return (start.clone(), all);
            }
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{starts:#?}\n{}",
            place.daemon.said()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn is_from(start: &Json, from: &str) -> bool {
    // Of one that a recorder holds it is that program's word.
    ["ssh_connection", "claimed.ssh_connection"]
        .iter()
        .any(|name| start[*name].as_str().unwrap_or_default().starts_with(from))
}

pub(crate) fn end(all: &[Json]) -> &Json {
    all.iter()
        .find(|event| event["event"] == "session.end")
        .unwrap()
}

/// The programs that ran, by their arguments.
pub(crate) fn commands(all: &[Json]) -> Vec<Vec<String>> {
    let ran = all
        .iter()
        .filter(|event| event["event"] == "session.command");
    ran.map(|event| serde_json::from_value(event["argv"].clone()).unwrap())
        .collect()
}

#[test]
fn a_command_over_sshd_is_a_session_without_content() {
    let Some(place) = place("found-exec") else {
        return;
    };
    let hidden = "echo Y2F0IC9ldGMvcGFzc3dkID4vZGV2L251bGwK | base64 -d | sh; \
                  (setsid sleep 0.2 & ) ; exit 3";
    let (_, status, from) = Connection::new(&place, &["-T"], CARL, hidden).over();
    assert_eq!(status, Some(3));
    let (start, all) = session(&place, |start| is_from(start, &from));
    assert_eq!(start["login"], CARL);
    assert_eq!(start["kept"], serde_json::json!([]));
    assert!(
        start["reason"]
            .as_str()
            .unwrap()
            .contains("host events alone")
    );
    let door = start["login_program"].as_str().unwrap();
    assert!(door.contains("/sshd"), "{door}");
    let remote = start["addr.remote"].as_str().unwrap();
    assert_eq!(remote.replace(':', " ") + " ", from);
    assert_eq!(start["initial_command"][2], hidden);
    // From the first program on, and what came out of the pipe.
    let ran = commands(&all);
    assert_eq!(ran[0], ["-c", hidden], "{ran:?}");
    assert!(ran.contains(&vec!["/etc/passwd".to_owned()]), "{ran:?}");
    let opened = all
        .iter()
        .find(|e| e["event"] == "session.disk" && e["path"] == "/etc/passwd");
    assert!(opened.is_some(), "{all:#?}");
    let end = end(&all);
    assert_eq!(end["enhanced_recording"], true);
    assert_eq!(end["exit_status"], 3, "{end:#?}");
    let content = all.iter().find(|event| event["event"] == "print");
    assert_eq!(content, None);
}

#[test]
fn a_terminal_over_sshd_and_a_login_of_the_console_are_sessions() {
    let Some(place) = place("found-tty") else {
        return;
    };
    let tty = "test -t 0 && /usr/bin/env printf on-a-terminal";
    let (said, status, from) = Connection::new(&place, &["-tt"], CARL, tty).over();
    assert_eq!((said.as_str(), status), ("on-a-terminal", Some(0)));
    let (start, all) = session(&place, |start| is_from(start, &from));
    let device = start["tty"].as_str().unwrap();
    assert!(device.starts_with("/dev/pts/"), "{device}");
    let wanted = ["printf", "on-a-terminal"].map(str::to_owned).to_vec();
    assert!(commands(&all).contains(&wanted), "{all:#?}");

    let console = place.run(&["/bin/login", "-f", CARL]);
    let mut console = place.on_terminal(&console);
    let mark = format!("console-{}", std::process::id());
    console.type_in(format!("/usr/bin/env printf {mark}; exit 5\n").as_bytes());
    console.wait();
    let wanted = ["printf", &mark].map(str::to_owned).to_vec();
    let (start, all) = session(&place, |start| {
        let door = start["login_program"].as_str().unwrap_or_default();
        let id = start["sid"].as_str().unwrap();
        door.ends_with("/login") && commands(&events(&place, &["--session", id])).contains(&wanted)
    });
    assert_eq!(
        (&start["login"], &start["ssh_connection"]),
        (&CARL.into(), &Json::Null)
    );
    assert_eq!(end(&all)["exit_status"], 5);
}

#[test]
fn a_login_that_a_recorder_holds_is_not_recorded_twice() {
    let Some(place) = place("found-once") else {
        return;
    };
    let script = "/usr/bin/env printf once";
    let (said, _, from) = Connection::new(&place, &["-T"], ANNA, script).over();
    assert_eq!(said, "once");
    let (held, all) = session(&place, |start| is_from(start, &from));
    assert_eq!(held["login_program"], Json::Null);
    let wanted = ["printf", "once"].map(str::to_owned).to_vec();
    assert!(commands(&all).contains(&wanted), "{all:#?}");
    // Another login, after which nothing of the first can be on its way any more.
    let (_, _, later) = Connection::new(&place, &["-T"], CARL, "true").over();
    session(&place, |start| is_from(start, &later));
    let starts = events(&place, &["--event", "session.start"]);
    let of_first: Vec<_> = starts.iter().filter(|s| is_from(s, &from)).collect();
    assert_eq!(of_first.len(), 1, "{of_first:#?}");
    // And what waited for the first one to settle is gone.
    let since = Instant::now();
    while threads(&place, "found-login") > 0 {
        assert!(since.elapsed() < PATIENCE, "{}", place.daemon.said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many threads of the daemon have this name: `found-login` follows a login, or waits for it to settle.
pub(crate) fn threads(place: &Place, called: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", place.daemon.pid().unwrap())).unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == called).count()
}

/// The session in which a program ran with these arguments.
fn session_of(place: &Place, words: [&str; 2]) -> (Json, Vec<Json>) {
    let wanted = words.map(str::to_owned).to_vec();
    session(place, |start| {
        let id = start["sid"].as_str().unwrap();
        commands(&events(place, &["--session", id])).contains(&wanted)
    })
}

#[test]
fn what_sshd_runs_for_somebody_before_the_shell_is_followed() {
    let Some(place) = place("found-rc") else {
        return;
    };
    let ssh = place.home(CARL).join(".ssh");
    fs::create_dir(&ssh).unwrap();
    let rc = "/usr/bin/env printf in-the-rc >/dev/null\n";
    fs::write(ssh.join("rc"), rc).unwrap();
    // Variables of the client's own do not push out what sshd says.
    let long = format!("SetEnv=LC_A={}", "x".repeat(20_000));
    let script = "/usr/bin/env printf in-the-shell";
    let (said, _, from) = Connection::new(&place, &["-T", "-o", &long], CARL, script).over();
    assert_eq!(said, "in-the-shell");
    let (before, _) = session_of(&place, ["printf", "in-the-rc"]);
    let (shell, _) = session_of(&place, ["printf", "in-the-shell"]);
    assert_ne!(before["sid"], shell["sid"]);
    for start in [before, shell] {
        assert_eq!(start["login"], CARL);
        assert!(is_from(&start, &from), "{start:#?}");
    }
}

#[test]
fn a_login_through_an_sshd_that_somebody_started_by_hand_is_its_own_session() {
    let Some(place) = place("found-hand") else {
        return;
    };
    let port = free_port();
    let mut root = place.on_terminal(&place.run(&["/bin/login", "-f", "root"]));
    let conf = place.scratch.join("plain.conf").display().to_string();
    let server = format!("/usr/sbin/sshd -D -f {conf} -p {port} -o ListenAddress=127.0.0.1\n");
    root.type_in(server.as_bytes());
    let options = place.ssh_options().into_iter().skip_while(|o| o != "-i");
    let options = options.map(|option| match option.starts_with("ProxyCommand") {
        true => format!("Port={port}"),
        false => option,
    });
    let mut said = Vec::new();
    let since = Instant::now();
    // Until it listens.
    while said != b"by-hand" {
        assert!(since.elapsed() < PATIENCE, "{}", root.text());
        let mut client = Command::new("ssh");
        client.args(["-F", "none"]).args(options.clone());
        client.arg(format!("{CARL}@127.0.0.1"));
        client.arg("/usr/bin/env printf by-hand");
        said = client.stdin(Stdio::null()).output().unwrap().stdout;
    }
    let (start, _) = session_of(&place, ["printf", "by-hand"]);
    // Whose shell it is; who logged in first the kernel may know from the outer login.
    assert_eq!(start["user_uid"], 64_013, "{start:#?}");
    root.type_in(b"\x03");
    root.type_in(b"exit\n");
    root.wait();
    let outer = start["parent_sid"].as_str();
    assert!(outer.is_some(), "{start:#?}");
}

#[test]
fn a_process_that_is_made_the_doors_child_stays_in_its_login() {
    let Some(place) = place("found-cloned") else {
        return;
    };
    // CLONE_PARENT: its parent is sshd then. A session of the system by itself, and another program.
    let cloned = "import ctypes, os, time\n\
        if ctypes.CDLL(None).syscall(56, 0x8011, 0, 0, 0, 0) == 0:\n\
        \x20   os.setsid()\n\
        \x20   os.environ['SSH_CONNECTION'] = '203.0.113.9 4444 203.0.113.1 22'\n\
        \x20   os.execv('/usr/bin/env', ['env', 'printf', 'cloned'])\n\
        time.sleep(1)\n";
    let command = format!("exec /usr/bin/python3 -c \"{cloned}\"");
    let (_, status, from) = Connection::new(&place, &["-T"], CARL, &command).over();
    assert_eq!(status, Some(0));
    let (start, all) = session_of(&place, ["printf", "cloned"]);
    assert!(is_from(&start, &from), "{start:#?}");
    let python = |words: &Vec<String>| words.iter().any(|word| word.contains("python3"));
    assert!(commands(&all).iter().any(python), "{all:#?}");
}

#[test]
fn one_that_takes_no_notice_of_its_end_is_killed() {
    let Some(place) = place("found-kill") else {
        return;
    };
    let script = "trap '' HUP; sleep 600 & echo $!; setsid sleep 600 & echo $!; echo $$; read x";
    let mut connection = Connection::new(&place, &["-T"], CARL, script);
    let stdout = connection.client.stdout.as_mut().unwrap();
    let said = BufReader::new(stdout).lines().take(3);
    let pids: Vec<u32> = said.map(|line| line.unwrap().parse().unwrap()).collect();
    let since = Instant::now();
    let is_it = |start: &Json| is_from(start, &connection.from);
    let start = loop {
        let starts = events(&place, &["--event", "session.start"]);
        if let Some(start) = starts.into_iter().find(is_it) {
            break start;
        }
        assert!(since.elapsed() < PATIENCE, "{}", place.daemon.said());
    };
    let sid = start["sid"].as_str().unwrap();
    let done = place.hansard(&["kill", sid, "--reason", "out you go"]);
    assert!(done.status.success(), "{done:?}");
    let (_, all) = session(&place, is_it);
    // Once the recording has its end, nothing of it is there.
    let is_there = |pid: &&u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert_eq!(pids.iter().find(is_there), None);
    let end = end(&all);
    let reason = end["reason"].as_str().unwrap();
    assert!(reason.contains("out you go"), "{end:#?}");
    assert_eq!(end["signal"], "KILL", "{end:#?}");
    connection.over();
}
