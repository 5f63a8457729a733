//! What the recorded user tries: the session ends or is recorded, and nothing attached to the
//! terminal is ever alive and unrecorded.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::outer::{Outer, lives, number_after};
use crate::support::{end_of, recordings, shown, stream, wait_for};
use crate::terminal::{name_of, owner_of};
use crate::world::{TTY, UID, World, built, copy_program};

/// The number that the shell says of this expression.
fn ask(screen: &mut Outer, expression: &str) -> i32 {
    screen.type_in(format!("echo asked={expression}.\r").as_bytes());
    screen.expect("\nasked=");
    screen.until("an answer", |s| {
        let text = s.text();
        let last = text.rsplit("\nasked=").next().unwrap();
        last.contains(".\r\n")
    });
    // What is typed before the prompt is there is echoed before it, too.
    screen.expect("$ ");
    let text = screen.text();
    number_after(text.rsplit_once("\nasked").unwrap().1, "=")
}

/// A login on a terminal: its shell, and the process of `hansard-shell`.
fn logged_in(world: &World) -> (Outer, i32, i32) {
    let mut screen = world.login();
    screen.expect("$ ");
    let shell = ask(&mut screen, "$$");
    let stub = ask(&mut screen, "$PPID");
    (screen, shell, stub)
}

/// As the recorded user, from outside of the session.
fn as_user(script: &str) -> Output {
    Command::new("setpriv")
        .args([&format!("--reuid={UID}"), &format!("--regid={UID}")])
        .args(["--clear-groups", "sh", "-c", script])
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn killing_the_login_ends_the_session() {
    let Some(world) = World::new() else { return };
    let (mut screen, shell, stub) = logged_in(&world);
    screen.type_in(format!("echo before; kill -9 {stub}; echo after\r").as_bytes());
    assert_eq!(screen.wait(), 128 + 9);
    wait_for("the shell's end", || !lives(shell));
    world.wait_for_end();
    let events = world.only();
    assert!(text(&shown(&events)).contains("\nbefore"));
    assert_eq!(end_of(&events).reason, "the client went away");
    assert_eq!(owner_of(&screen), (UID, TTY, 0o620));
    assert!(screen.is_restored());
}

#[test]
fn a_command_without_a_terminal_ends_with_its_login() {
    let Some(world) = World::new() else { return };
    let mut command = world.command(&[
        "sh",
        "-c",
        "echo $$ $PPID; while read x; do :; done; sleep 600",
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let numbers: Vec<i32> = line
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    kill_process(Pid::from_raw(numbers[1]).unwrap(), Signal::KILL).unwrap();
    wait_for("the command's end", || !lives(numbers[0]));
    child.wait().unwrap();
    assert_eq!(end_of(&world.only()).reason, "the client went away");
}

#[test]
fn stopping_the_login_stops_no_recording() {
    let Some(world) = World::new() else { return };
    let (mut screen, _, stub) = logged_in(&world);
    screen.type_in(format!("kill -STOP {stub}; echo sti''ll\r").as_bytes());
    screen.expect("still\r\n");
    // The window changes without anybody saying so.
    screen.resize(90, 20);
    screen.type_in(b"until stty size | grep 20; do sleep 0.1; done\r");
    screen.expect("20 90");
    screen.type_in(b"echo hidden''-from-nobody\r");
    screen.expect("hidden-from-nobody\r\n");
    let id = world.running();
    wait_for("it is durable", || {
        text(&shown(&crate::support::events(&world.daemon.recording(id))))
            .contains("hidden-from-nobody")
    });
    screen.type_in(format!("kill -CONT {stub}; exit 2\r").as_bytes());
    assert_eq!(screen.wait(), 2);
    assert_eq!(end_of(&world.only()).exit_status, Some(2));
}

#[test]
fn nobody_looks_into_the_login_or_takes_its_descriptors() {
    let Some(world) = World::new() else { return };
    let (mut screen, shell, stub) = logged_in(&world);
    for path in ["mem", "fd/0", "fd/1", "environ", "maps"] {
        let done = as_user(&format!("exec 3</proc/{stub}/{path}"));
        assert!(!done.status.success(), "/proc/{stub}/{path} opened");
        // The shell itself is the user's own, so it is not the test that fails.
        let own = as_user(&format!("ls /proc/{shell}/fd"));
        assert!(own.status.success());
    }
    let listed = as_user(&format!("ls /proc/{stub}/fd"));
    assert!(!listed.status.success(), "{}", text(&listed.stdout));
    // ptrace and pidfd_getfd ask the same question of the kernel; this asks both.
    let done = as_user(&format!("strace -p {stub} -o /dev/null & wait $!"));
    assert!(
        text(&done.stderr).contains("not permitted"),
        "{}",
        text(&done.stderr)
    );
    let thief = world.daemon.dir.path().join("thief");
    copy_program(&built("take_descriptors"), &thief);
    let steal = |from: i32| text(&as_user(&format!("{} {from}", thief.display())).stdout);
    assert_eq!(steal(stub), "got 0\n");
    assert_ne!(
        steal(shell),
        "got 0\n",
        "a thief that can steal nothing proves nothing"
    );
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
}

#[test]
fn the_outer_terminal_is_nobodys_while_the_session_lasts() {
    let Some(world) = World::new() else { return };
    let (mut screen, _, _) = logged_in(&world);
    let outer = name_of(&screen);
    let path = outer.display();
    screen.type_in(format!("echo secretly > {path}; echo tried=$?.\r").as_bytes());
    screen.expect("\ntried=");
    screen.until("the status", |s| {
        s.text().rsplit("\ntried=").next().unwrap().contains('.')
    });
    assert!(!screen.text().contains("\nsecretly"));
    assert!(!screen.text().ends_with("tried=0."), "{}", screen.text());
    let done = as_user(&format!("exec 3<>{path}"));
    assert!(!done.status.success());
    let done = as_user(&format!("chmod 666 {path}"));
    assert!(!done.status.success());
    // Its own terminal, the user can open, and what comes of that is recorded.
    screen.type_in(b"echo openly > $(tty)\r");
    screen.expect("\nopenly");
    screen.type_in(b"exit\r");
    screen.wait();
    assert!(text(&shown(&world.only())).contains("\nopenly"));
}

#[test]
fn low_limits_end_the_session_or_change_nothing() {
    let Some(world) = World::new() else { return };
    for (limit, value) in [
        ("--fsize", "0:0"),
        ("--nofile", "0:0"),
        ("--nofile", "4:4"),
        ("--as", "1:1"),
        ("--as", "20000000:20000000"),
        ("--nproc", "1:1"),
        ("--cpu", "1:1"),
        ("--stack", "8192:8192"),
        ("--data", "0:0"),
        ("--memlock", "0:0"),
        ("--core", "0:0"),
    ] {
        let before = recordings(&world.daemon.spool).len();
        let words = world.words(
            &["prlimit", &format!("{limit}={value}"), "--"],
            &["sh", "-c", "echo ran"],
        );
        let done = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        world.wait_for_end();
        let all = recordings(&world.daemon.spool);
        if text(&done.stdout).contains("ran") {
            assert_eq!(all.len(), before + 1, "{limit}={value}");
            let events = world.daemon.complete(*all.keys().max().unwrap());
            assert_eq!(stream(&events, hansard_core::Stream::Stdout), b"ran\n");
        } else {
            assert!(!done.status.success(), "{limit}={value}");
        }
    }
    // What was set is what the shell has.
    let words = world.words(
        &["prlimit", "--nofile=77:99", "--fsize=4096:8192", "--"],
        &["sh", "-c", "ulimit -S -n; ulimit -H -n"],
    );
    let done = Command::new(&words[0]).args(&words[1..]).output().unwrap();
    assert_eq!(text(&done.stdout), "77\n99\n");
}

#[test]
fn the_environment_decides_nothing() {
    let Some(world) = World::new() else { return };
    let dir = world.daemon.dir.path().to_owned();
    for (name, value) in [
        ("HANSARD_RUNTIME_DIR", "/nonexistent"),
        ("SHELL", "/bin/true"),
        ("TLOG_REC_SESSION_SHELL", "/bin/true"),
        ("TLOG_REC_CONF_TEXT", "{\"writer\": \"file\"}"),
        ("PATH", "/nonexistent"),
        ("LANG", "xx_XX.UTF-99"),
        ("LC_ALL", ""),
        ("TERM", "\u{1b}]0;x\u{7}"),
        ("HOME", "/nonexistent"),
        ("SSH_ORIGINAL_COMMAND", "true"),
        ("RUST_LOG", "off"),
        ("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22"),
    ] {
        let before = recordings(&world.daemon.spool).len();
        let words = world.words(&[], &["sh", "-c", "echo \"recorded $SHELL\""]);
        let done = Command::new("/usr/bin/setpriv")
            .args(&words[1..])
            .env(name, value)
            .current_dir("/")
            .output()
            .unwrap();
        assert_eq!(
            text(&done.stdout),
            "recorded /bin/sh\n",
            "{name}: {}",
            text(&done.stderr)
        );
        world.wait_for_end();
        let all = recordings(&world.daemon.spool);
        assert_eq!(all.len(), before + 1, "{name}");
        let events = world.daemon.complete(*all.keys().max().unwrap());
        let header = crate::support::header(&events);
        // Where one came from is a claim, and says so.
        assert_eq!(header.origin.get("ssh_connection"), None);
    }
    assert!(dir.exists());
}

#[test]
fn closed_and_foreign_descriptors_lead_nowhere() {
    let Some(world) = World::new() else { return };
    for closing in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let script = format!("exec \"$@\" {closing}");
        let words = world.words(&[], &["sh", "-c", "echo x; echo y >&2; exit 3"]);
        let done = Command::new("sh")
            .args(["-c", &script, "sh"])
            .args(words)
            .output()
            .unwrap();
        assert_eq!(
            done.status.code(),
            Some(3),
            "{closing}: {}",
            text(&done.stderr)
        );
        world.wait_for_end();
    }
    // What else is open outside does not reach the shell.
    let words = world.words(&[], &["sh", "-c", "echo by >&7; exec ls -l /proc/self/fd"]);
    let mut outside = tempfile(&world);
    let done = Command::new("sh")
        .args(["-c", "exec \"$@\" 7>\"$OUT\" 8<&0 9>&1", "sh"])
        .args(words)
        .env("OUT", &outside.0)
        .stdin(Stdio::piped())
        .output()
        .unwrap();
    let listed = text(&done.stdout);
    assert_eq!(listed.matches("pipe:").count(), 3, "{listed}");
    outside.1.flush().unwrap();
    assert_eq!(fs::read(&outside.0).unwrap(), b"", "nothing went by");
}

fn tempfile(world: &World) -> (std::path::PathBuf, fs::File) {
    let path = world.daemon.dir.path().join("outside");
    let file = fs::File::create(&path).unwrap();
    let own = format!("{UID}:{UID}");
    assert!(
        Command::new("chown")
            .args([&own])
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    (path, file)
}

#[test]
fn a_full_spool_ends_the_session() {
    let mut decision = crate::world::everything();
    decision.policy.hold_ms_max = 500;
    let spool = hansard_record::SpoolOptions {
        bytes_max: 600 * 1024,
        file_bytes_max: 256 * 1024,
        ..hansard_record::SpoolOptions::default()
    };
    let Some(world) = World::with(decision, spool) else {
        return;
    };
    let (mut screen, shell, _) = logged_in(&world);
    screen.type_in(b"head -c 9000000 /dev/urandom | base64\r");
    assert_eq!(screen.wait(), 125);
    assert!(screen.text().contains("the session was ended"));
    wait_for("the shell's end", || !lives(shell));
    world.wait_for_end();
    assert!(
        world
            .daemon
            .has_told(|what| matches!(what, hansard_capture::local::Happening::Lost { .. }))
    );
    assert_eq!(owner_of(&screen), (UID, TTY, 0o620));
}

#[test]
fn a_full_process_table_begins_nothing_unrecorded() {
    let Some(world) = World::new() else { return };
    // The user's table: their limit is reached by processes that are there already.
    let crowd = format!(
        "all=; for i in 1 2 3 4 5; do sleep 600 >/dev/null 2>&1 & all=\"$all $!\"; done; prlimit --nproc=5:5 -- {} {} sh -c 'echo ran'; \
         echo status=$?; kill $all",
        world.program.display(),
        world.daemon.socket().display()
    );
    let done = as_user(&crowd);
    world.wait_for_end();
    let said = text(&done.stdout);
    assert!(!said.contains("ran"), "{said}");
    assert!(said.contains("status=12"), "{said}{}", text(&done.stderr));
}

#[test]
fn what_is_typed_at_a_stopped_login_stays_with_whoever_has_the_terminal() {
    let Some(world) = World::new() else { return };
    // As a job of a shell that is not recorded: stopped, that shell has the terminal again.
    let inner = format!(
        "exec setpriv --reuid={UID} --regid={UID} --clear-groups {} {} -sh",
        world.program.display(),
        world.daemon.socket().display()
    );
    let words = ["sh", "-i"].map(std::ffi::OsString::from).to_vec();
    let mut screen = Outer::with(crate::outer::Scratch::new(), words, |command| {
        command
            .env("PS1", "outer> ")
            .env("ENV", "/dev/null")
            .env("INNER", &inner);
    });
    screen.expect("outer> ");
    screen.type_in(b"sh -c \"$INNER\"\r");
    screen.expect("$ ");
    let stub = ask(&mut screen, "$PPID");
    kill_process(Pid::from_raw(stub).unwrap(), Signal::TSTP).unwrap();
    screen.expect("outer> ");
    screen.until("cooked again", |s| s.is_restored());
    screen.type_in(b"echo by-the-outer-$((1+1))\r");
    screen.expect("\nby-the-outer-2");
    screen.expect("outer> ");
    screen.type_in(b"fg\r");
    screen.until("raw again", Outer::is_raw);
    screen.type_in(b"echo by-the-inner-$((1+1)); exit\r");
    screen.expect("\r\nby-the-inner-2");
    screen.expect("outer> ");
    screen.type_in(b"exit\r");
    screen.wait();
    let seen = text(&shown(&world.only()));
    assert!(
        seen.contains("by-the-inner-2") && !seen.contains("by-the-outer"),
        "{seen}"
    );
}
