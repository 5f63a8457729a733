//! What Debian's sudo recorded reads as what was shown and typed, and as sudoreplay plays it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod terminal;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hansard_core::{Body, Event, SessionId, Stream};
use hansard_tests::{Scratch, skipped};
use hansard_view::parts::Directory;
use hansard_view::sudo::{SudoDecoder, guess_names};
use hansard_view::{Decoder, Import};
use terminal::on_terminal;

fn is_missing() -> bool {
    let there = ["/usr/bin/sudo", "/usr/bin/sudoreplay"].map(|path| Path::new(path).exists());
    if there != [true, true] {
        skipped("Debian's sudo is not installed");
        return true;
    }
    false
}

fn read(directory: &Path) -> Vec<Event> {
    use hansard_view::parts::Inputs as _;
    let inputs = Directory::open(directory).unwrap();
    assert!(guess_names(inputs.names().unwrap()));
    let import = Import {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        start_utc_ns: 5,
        recorder: "test".to_owned(),
        rec: None,
    };
    let mut decoder = SudoDecoder::new(&inputs, import);
    let events = std::iter::from_fn(|| decoder.next_event().unwrap()).collect();
    assert_eq!(decoder.take_notices(), Vec::<String>::new());
    events
}

fn bytes(events: &[Event], wanted: &[Stream]) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        if let Body::Data { stream, bytes } = &event.body
            && wanted.contains(stream)
        {
            all.extend_from_slice(bytes);
        }
    }
    all
}

/// What sudoreplay shows of these streams, without its own first line and last line end.
fn replayed(directory: &Path, command: &str, filter: &str) -> Vec<u8> {
    let played = Command::new("/usr/bin/sudoreplay")
        .args(["-n", "-s", "1000", "-m", "0", "-f", filter])
        .arg(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        played.status.success(),
        "{}",
        String::from_utf8_lossy(&played.stderr)
    );
    let first = format!("Replaying sudo session: {command}");
    let shown = played.stdout.strip_prefix(first.as_bytes());
    let shown = shown.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&played.stdout)));
    shown.strip_suffix(b"\r\n").unwrap().to_vec()
}

/// The same for every stream and for all that were shown, against what we read.
fn compare(directory: &Path, command: &str, events: &[Event]) {
    let shown = [Stream::Stdout, Stream::Stderr, Stream::Output];
    for (filter, streams) in [
        ("stdin", &[Stream::Stdin][..]),
        ("stdout", &[Stream::Stdout]),
        ("stderr", &[Stream::Stderr]),
        ("ttyin", &[Stream::Keystrokes]),
        ("ttyout", &[Stream::Output]),
        ("stdout,stderr,ttyout", &shown),
    ] {
        let played = replayed(directory, command, filter);
        let read = bytes(events, streams);
        assert!(
            played == read,
            "{filter}: {:?} played, {:?} read",
            String::from_utf8_lossy(&played),
            String::from_utf8_lossy(&read)
        );
    }
}

/// Starts what runs sudo with settings of our own: in a mount namespace where they stand in place
/// of the machine's, which are not touched.
fn sudo(scratch: &Scratch, settings: &str) -> Option<Vec<String>> {
    let sudoers = scratch.join("sudoers");
    let logs = scratch.join("logs");
    let text = format!(
        "Defaults iolog_dir={}, iolog_file=%{{seq}}, log_output, log_input, !syslog, {settings}\n\
         root ALL=(ALL:ALL) NOPASSWD: ALL\n",
        logs.display()
    );
    fs::write(&sudoers, text).unwrap();
    fs::set_permissions(&sudoers, fs::Permissions::from_mode(0o440)).unwrap();
    let script = format!(
        "mount --bind {} /etc/sudoers && exec \"$@\"",
        sudoers.display()
    );
    let command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &script,
        "sudo",
    ];
    let works = Command::new(command[0])
        .args(&command[1..])
        .args(["sudo", "-n", "true"])
        .output();
    match works {
        Ok(output) if output.status.success() => {
            fs::remove_dir_all(&logs).unwrap();
            Some(command.map(str::to_owned).to_vec())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            skipped(&format!(
                "sudo cannot be run with settings of our own: {said}"
            ));
            None
        }
        Err(e) => {
            skipped(&format!("no unshare: {e}"));
            None
        }
    }
}

#[test]
fn what_debians_sudo_recorded_on_a_terminal_reads_as_what_was_shown_and_typed() {
    if is_missing() {
        return;
    }
    for settings in ["compress_io", "!compress_io"] {
        let scratch = Scratch::new("sudo");
        let Some(sudo) = sudo(&scratch, settings) else {
            return;
        };
        let program = r#"
            printf 'name? '; read -r name; printf 'hello %s \377\303( \000 \033[1mbold\033[m\r\n' "$name"
            trap 'stty size; exit 3' WINCH
            printf 'ready\n'; while :; do sleep 0.02; done
        "#;
        let mut command: Vec<&str> = sudo.iter().map(String::as_str).collect();
        command.extend(["sudo", "-n", "sh", "-c", program]);
        let steps = [("name? ", "anna\r", None), ("ready", "", Some((101, 31)))];
        let seen = on_terminal(&command, &steps);
        assert_eq!(
            seen.status.code(),
            Some(3),
            "{}",
            String::from_utf8_lossy(&seen.stderr)
        );
        let directory = scratch.join("logs/00/00/01");
        let zipped = fs::read(directory.join("ttyout"))
            .unwrap()
            .starts_with(&[0x1f, 0x8b]);
        assert_eq!(zipped, settings == "compress_io");
        let events = read(&directory);
        let shown = bytes(&events, &[Stream::Output]);
        assert!(shown == seen.stdout, "{}", String::from_utf8_lossy(&shown));
        assert_eq!(bytes(&events, &[Stream::Keystrokes]), b"anna\r");
        let Body::Start(session) = &events[0].body else {
            panic!("no session first")
        };
        assert_eq!(
            (session.subject.text("user"), session.subject.text("login")),
            (Some("root"), Some("root"))
        );
        assert!(session.origin.text("tty").unwrap().starts_with("/dev/pts/"));
        assert_eq!(events[1].body, Body::Resize { cols: 80, rows: 24 });
        assert!(events[2..].iter().any(|event| event.body
            == Body::Resize {
                cols: 101,
                rows: 31
            }));
        assert!(matches!(events.last().unwrap().body, Body::End(_)));
    }
}

#[test]
fn a_session_that_was_suspended_reads_as_one() {
    if is_missing() {
        return;
    }
    let scratch = Scratch::new("sudo-suspend");
    let Some(sudo) = sudo(&scratch, "compress_io") else {
        return;
    };
    let mut command: Vec<&str> = sudo.iter().map(String::as_str).collect();
    command.extend(["env", "PS1=prompt% ", "bash", "--norc", "-i"]);
    let line = "sudo -n sh -c 'echo a; kill -TSTP $$; echo b'\r";
    let steps = [
        ("prompt% ", line, None),
        ("Stopped", "fg\r", None),
        ("\nb\r\n", "", None),
        ("prompt% ", "exit\r", None),
    ];
    let seen = on_terminal(&command, &steps);
    assert!(
        seen.status.success(),
        "{}",
        String::from_utf8_lossy(&seen.stderr)
    );
    let events = read(&scratch.join("logs/00/00/01"));
    let mut told = Vec::new();
    for event in &events {
        match &event.body {
            Body::Data { bytes, .. } => told.push(String::from_utf8_lossy(bytes).into_owned()),
            Body::Channel(fact) => told.push(fact.fields.text("suspend").unwrap().to_owned()),
            _ => {}
        }
    }
    assert_eq!(told, ["a\r\n", "TSTP", "CONT", "b\r\n"]);
}

#[test]
fn what_debians_sudo_recorded_of_pipes_reads_as_sudoreplay_plays_it() {
    if is_missing() {
        return;
    }
    for settings in ["compress_io", "!compress_io"] {
        let scratch = Scratch::new("sudo-pipes");
        let Some(sudo) = sudo(&scratch, settings) else {
            return;
        };
        let program =
            "cat; sleep 0.05; echo error >&2; sleep 0.05; printf '\\377\\303( \\000'; seq 1 3000";
        let mut child = Command::new(&sudo[0])
            .args(&sudo[1..])
            .args(["sudo", "-n", "sh", "-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(b"one\ntwo\n")
            .unwrap();
        let printed = child.wait_with_output().unwrap();
        assert!(printed.status.success());
        let directory = scratch.join("logs/00/00/01");
        let events = read(&directory);
        assert!(bytes(&events, &[Stream::Stdout]) == printed.stdout);
        assert_eq!(bytes(&events, &[Stream::Stderr]), b"error\n");
        assert_eq!(bytes(&events, &[Stream::Stdin]), b"one\ntwo\n");
        let Body::Start(session) = &events[0].body else {
            panic!("no session first")
        };
        assert_eq!(session.kind, "exec");
        compare(&directory, &format!("/usr/bin/sh -c {program}"), &events);
    }
}

#[test]
fn gzip_that_a_program_printed_is_not_unpacked() {
    if is_missing() {
        return;
    }
    // Beside plain timing, sudoreplay takes it for sudo's own and plays what was in it.
    for settings in ["compress_io", "!compress_io"] {
        let scratch = Scratch::new("sudo-gzip");
        let Some(sudo) = sudo(&scratch, settings) else {
            return;
        };
        let printed = Command::new(&sudo[0])
            .args(&sudo[1..])
            .args(["sudo", "-n", "gzip", "-nc", "/etc/services"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(printed.status.success() && printed.stdout.starts_with(&[0x1f, 0x8b]));
        let events = read(&scratch.join("logs/00/00/01"));
        assert!(bytes(&events, &[Stream::Stdout]) == printed.stdout);
    }
}

/// A session as older and newer versions of sudo write it.
fn written(scratch: &Scratch, json: bool, zipped: bool, shifted: bool) -> PathBuf {
    let directory = scratch.join(&format!("{json}-{zipped}-{shifted}"));
    fs::create_dir_all(&directory).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).unwrap();
        if zipped && !name.starts_with("log") {
            assert!(
                Command::new("gzip")
                    .arg("-n")
                    .arg(&path)
                    .status()
                    .unwrap()
                    .success()
            );
            fs::rename(path.with_extension("gz"), &path).unwrap();
        }
    };
    put(
        "log",
        b"1795240063:anna:root::/dev/pts/2:24:80\n/home/anna\n/usr/bin/top -b\n",
    );
    if json {
        put(
            "log.json",
            br#"{ "timestamp": { "seconds": 1795240063, "nanoseconds": 5 }, "submituser": "anna",
            "command": "/usr/bin/top", "runuser": "root", "ttyname": "/dev/pts/2",
            "submithost": "vm", "submitcwd": "/home/anna", "columns": 80, "lines": 24,
            "runargv": [ "top", "-b" ] }"#,
        );
    }
    let mut timing = String::new();
    let mut files = vec![Vec::new(); 5];
    let mut noise = 7u64;
    for i in 0..400usize {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let file = if i == 0 {
            4
        } else {
            (noise >> 60) as usize % 6
        };
        // Sudo 1.8.7 wrote other numbers, and had neither sizes nor suspensions.
        let kind = if shifted { file + 2 } else { file };
        if let Some(bytes) = files.get_mut(file) {
            let count = 1 + i * 7 % 900;
            bytes.extend((0..count).map(|j| (j * i) as u8));
            timing += &format!("{kind} 0.000{:06} {count}\n", noise % 1_000_000);
        } else if !shifted {
            timing += &format!("5 0.000001000 {} {}\n", i % 100, i % 200);
        }
        if i % 100 == 50 && !shifted {
            timing += "7 0.000500000 TSTP\n7 0.000500000 CONT\n";
        }
    }
    put("timing", timing.as_bytes());
    for (name, bytes) in ["stdin", "stdout", "stderr", "ttyin", "ttyout"]
        .into_iter()
        .zip(&files)
    {
        put(name, bytes);
    }
    directory
}

#[test]
fn sessions_of_older_and_newer_versions_read_as_sudoreplay_plays_them() {
    if is_missing() {
        return;
    }
    let scratch = Scratch::new("sudo-written");
    for case in 0..8 {
        let (json, zipped, shifted) = (case & 1 > 0, case & 2 > 0, case & 4 > 0);
        let directory = written(&scratch, json, zipped, shifted);
        let events = read(&directory);
        compare(&directory, "/usr/bin/top -b", &events);
        let Body::Start(session) = &events[0].body else {
            panic!("no session first")
        };
        assert_eq!(session.subject.text("user"), Some("anna"));
        let suspended = events
            .iter()
            .filter(|event| matches!(event.body, Body::Channel(_)))
            .count();
        assert_eq!(suspended, if shifted { 0 } else { 8 });
    }
}
