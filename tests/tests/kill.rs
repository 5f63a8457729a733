//! SIGKILL of a recorder under load: at random moments, and at every system call of the path to
//! the disk. What is older than the frame bound is there, byte for byte, and `verify` says
//! "unfinished, intact up to …".
//!
//! `make test` runs a fixed small share; `HANSARD_TORTURE=1000` gives the number of random kills.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use hansard_core::reader::{Item, Reader};
use hansard_core::{Body, Stream};
use hansard_tests::{Scratch, hansard};

/// Frames are durable 1 s after their first event; this much more is allowed for a machine that is
/// busy with the other tests.
const BOUND: Duration = Duration::from_millis(1000);
const SLACK: Duration = Duration::from_millis(250);

/// Numbers, one a line: what was shown must be the beginning of this.
fn truth(bytes: usize, newline: &str) -> Vec<u8> {
    let mut text = String::with_capacity(bytes + 32);
    let mut n = 1u64;
    while text.len() < bytes {
        text.push_str(&n.to_string());
        text.push_str(newline);
        n += 1;
    }
    text.into_bytes()
}

/// The shown bytes of a recording, as far as it is sound.
fn shown(path: &Path) -> Vec<u8> {
    let Ok(file) = fs::File::open(path) else {
        return Vec::new();
    };
    let mut reader = Reader::new(file);
    let mut out = Vec::new();
    while let Ok(item) = reader.next_item() {
        match item {
            Item::Frame(frame) => {
                for event in frame.events {
                    if let Body::Data {
                        stream: Stream::Stdout | Stream::Output,
                        bytes,
                    } = event.body
                    {
                        out.extend_from_slice(&bytes);
                    }
                }
            }
            Item::Seal(_) => {}
            Item::Damage(damage) => panic!("{}: {damage}", path.display()),
            Item::End(_) => break,
        }
    }
    out
}

/// `some` is the beginning of `truth`.
fn assert_same(truth: &[u8], some: &[u8], what: &str) {
    let at = truth.iter().zip(some).position(|(a, b)| a != b);
    if let Some(at) = at {
        let around = |bytes: &[u8]| {
            let end = (at + 40).min(bytes.len());
            String::from_utf8_lossy(&bytes[at.saturating_sub(40)..end]).into_owned()
        };
        panic!(
            "{what}, byte {at}: {:?} where {:?} was written",
            around(some),
            around(truth)
        );
    }
    assert!(some.len() <= truth.len(), "{what}: more than was written");
}

fn verify_status(path: &Path) -> (Option<i32>, String) {
    let output = Command::new(hansard())
        .arg("verify")
        .arg(path)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// As fast as it goes, over a pipe.
    Flood,
    /// A line every few milliseconds, over a pipe.
    Drip,
    /// As fast as it goes, on a terminal.
    Terminal,
}

impl Load {
    fn newline(self) -> &'static str {
        if matches!(self, Self::Terminal) {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// The recorder, with its own pid left in a file.
    fn command(self, out: &Path, pid: &Path) -> Command {
        let program = match self {
            Self::Flood | Self::Terminal => "seq 1 900000000",
            Self::Drip => "sh -c 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.002; done'",
        };
        let recorder = format!(
            "echo $$ >{pid}; exec {hansard} rec --quiet --out {out} -- {program}",
            pid = pid.display(),
            hansard = hansard().display(),
            out = out.display()
        );
        let mut command = match self {
            Self::Terminal => Command::new("script"),
            _ => Command::new("sh"),
        };
        if matches!(self, Self::Terminal) {
            command.args(["-qefc", &recorder, "/dev/null"]);
        } else {
            command.args(["-c", &recorder]);
        }
        // An end of input would reach the recorded terminal as a character, and be echoed.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }
}

/// How long the machine lets a program wait that writes and syncs: no recorder can be faster than
/// the disk it writes to, so a time in which the disk stood still is not the recorder's.
struct Stalls {
    rounds: Mutex<Vec<(Instant, Instant)>>,
    over: AtomicBool,
}

impl Stalls {
    const PAUSE: Duration = Duration::from_millis(20);

    /// Syncs a file of its own until it is told that all is over.
    fn watch(&self, file: &Path) {
        let mut file = fs::File::create(file).unwrap();
        while !self.over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            self.rounds.lock().unwrap().push((begun, begun));
            thread::sleep(Self::PAUSE);
            file.write_all(b".").unwrap();
            file.sync_data().unwrap();
            self.rounds.lock().unwrap().last_mut().unwrap().1 = Instant::now();
        }
    }

    /// The longest round that was under way in the last time before this moment, beyond its pause.
    fn longest(&self, before: Instant) -> Duration {
        let since = before.checked_sub(4 * BOUND).unwrap_or(before);
        let rounds = self.rounds.lock().unwrap();
        let lasted = rounds.iter().filter_map(|(begun, ended)| {
            // The one that is not over has no end yet.
            let ended = if ended == begun { before } else { *ended };
            (ended >= since && *begun <= before).then(|| ended.saturating_duration_since(*begun))
        });
        lasted.max().unwrap_or_default().saturating_sub(Self::PAUSE)
    }
}

/// One kill; answers the bytes that had been shown and were not recorded.
fn kill_once(scratch: &Path, n: u64, load: Load, after: Duration, stalls: &Stalls) -> u64 {
    let out = scratch.join(format!("{n}.hansard"));
    let pid_file = scratch.join(format!("{n}.pid"));
    let mut child = load.command(&out, &pid_file).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let _stdin = child.stdin.take();
    // What had been seen when: the reader notes it every few milliseconds.
    let reader = thread::spawn(move || {
        let (mut total, mut seen) = (0u64, Vec::new());
        let mut buffer = vec![0u8; 1 << 16];
        let mut all = Vec::new();
        while let Ok(len @ 1..) = pipe.read(&mut buffer) {
            total += len as u64;
            all.extend_from_slice(&buffer[..len]);
            seen.push((Instant::now(), total));
        }
        (seen, all)
    });
    thread::sleep(after);
    let pid = fs::read_to_string(&pid_file).unwrap_or_default();
    let killed_at = Instant::now();
    match pid.trim() {
        "" => child.kill().unwrap(),
        pid => assert!(
            Command::new("kill")
                .args(["-KILL", pid])
                .status()
                .unwrap()
                .success()
        ),
    }
    let stalled = stalls.longest(killed_at);
    let _ = child.wait();
    let (seen, all) = reader.join().unwrap();
    let newline = load.newline();
    let recorded = shown(&out);
    let truth = truth(recorded.len().max(all.len()), newline);
    assert_same(&truth, &recorded, &format!("{load:?} {n}: recorded"));
    assert!(
        truth.starts_with(&all),
        "{load:?} {n}: showed something else than was written"
    );
    let due = seen
        .iter()
        .take_while(|(at, _)| *at + BOUND + SLACK + stalled < killed_at)
        .map(|(_, total)| *total)
        .last();
    let due = due.unwrap_or(0);
    assert!(
        recorded.len() as u64 >= due,
        "{load:?} {n}: killed after {after:?}; {due} bytes were older than the bound and {stalled:?}, \
         {} are recorded",
        recorded.len()
    );
    let (status, text) = verify_status(&out);
    let begun = fs::metadata(&out).is_ok_and(|m| m.len() > 0);
    if begun || !all.is_empty() {
        assert_eq!(status, Some(1), "{load:?} {n}: {text}");
        assert!(text.contains("unfinished, intact up to"), "{text}");
    }
    let _ = fs::remove_file(&out);
    let _ = fs::remove_file(&pid_file);
    (all.len() as u64).saturating_sub(recorded.len() as u64)
}

#[test]
fn killed_at_random_moments() {
    let count: u64 = std::env::var("HANSARD_TORTURE")
        .ok()
        .map_or(24, |n| n.parse().unwrap());
    let scratch = Scratch::new("kill");
    let (next, worst) = (AtomicU64::new(0), AtomicU64::new(0));
    let stalls = Stalls {
        rounds: Mutex::default(),
        over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        scope.spawn(|| stalls.watch(&scratch.path().join("stalls")));
        let kill = || {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return;
                }
                let load = [Load::Flood, Load::Drip, Load::Terminal][n as usize % 3];
                // Moments from 5 ms to 2.5 s, spread without a pattern but the same every run.
                let after = 5 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 2500;
                let after = Duration::from_millis(after);
                let lost = kill_once(scratch.path(), n, load, after, &stalls);
                worst.fetch_max(lost, Ordering::Relaxed);
            }
        };
        let killers = [(); 3].map(|()| scope.spawn(kill));
        let all: Vec<_> = killers.into_iter().map(|killer| killer.join()).collect();
        stalls.over.store(true, Ordering::Relaxed);
        for one in all {
            one.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let rounds = stalls.rounds.into_inner().unwrap();
    let slow = |(begun, ended): &&(Instant, Instant)| *ended > *begun + Stalls::PAUSE + SLACK;
    println!(
        "{count} kills; at most {} shown bytes were not recorded; of {} syncs beside them {} took longer than {SLACK:?}",
        worst.load(Ordering::Relaxed),
        rounds.len(),
        rounds.iter().filter(slow).count()
    );
}

/// What the recorder in [`under_strace`] is given to show.
fn three_times() -> Vec<u8> {
    let once: String = (1..=30000).map(|i| format!("{i}\n")).collect();
    once.repeat(3).into_bytes()
}

/// Records [`three_times`] with strace looking at what touches the recording or its directory.
fn under_strace(directory: &Path, out: &Path, trace: &Path, inject: Option<String>) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(trace);
    command.arg("-P").arg(out).arg("-P").arg(directory);
    command.args(["-e", "trace=all"]);
    if let Some(inject) = inject {
        command.args(["-e", &inject]);
    }
    command.arg(hansard()).args(["rec", "--quiet", "--out"]);
    // Longer apart than frames wait to share an fsync, so that each is written by itself.
    let shows = "for i in 1 2 3; do seq 1 30000; sleep 0.1; done";
    command.arg(out).args(["--", "sh", "-c", shows]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command.output().unwrap()
}

/// The names of the system calls in what strace wrote, each once.
fn names_of(trace: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(trace).unwrap();
    let calls = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    calls
        .filter_map(|call| call.split_once('('))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Whether the recorder was killed; what it left is what it must be.
fn stands(call: &str, out: &Path, output: &Output) -> bool {
    let truth = three_times();
    let (recorded, shown_bytes) = (shown(out), output.stdout.len());
    assert!(
        truth.starts_with(&recorded),
        "{call}: recorded something else than was written"
    );
    let (status, text) = verify_status(out);
    if output.status.success() {
        assert_eq!(
            (status, recorded.len(), shown_bytes),
            (Some(0), truth.len(), truth.len()),
            "{call}: {text}"
        );
        return false;
    }
    match status {
        // Nothing was promised yet, so nothing was shown either.
        Some(2) => assert_eq!(shown_bytes, 0, "{call}: {text}"),
        // The last calls come after the final seal.
        Some(0) => assert_eq!(recorded.len(), truth.len(), "{call}: {text}"),
        Some(1) => assert!(text.contains("intact up to"), "{call}: {text}"),
        _ => panic!("{call}: {status:?} {text}"),
    }
    true
}

#[test]
fn killed_at_every_system_call_on_the_way_to_the_disk() {
    if Command::new("strace").arg("-V").output().is_err() {
        return hansard_tests::skipped("strace is not installed");
    }
    let scratch = Scratch::new("syscalls");
    let trace = scratch.path().join("trace");
    let out = scratch.path().join("whole.hansard");
    let whole = under_strace(scratch.path(), &out, &trace, None);
    assert!(!stands("none", &out, &whole), "killed by nobody");
    let names = names_of(&trace);
    for name in ["pwrite64", "fdatasync", "fsync"] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let mut kills = 0;
    // strace counts each name by itself, and each thread.
    for name in &names {
        for n in 1.. {
            let call = format!("{name} {n}");
            let out = scratch.path().join(format!("{name}.{n}.hansard"));
            let inject = format!("inject={name}:signal=SIGKILL:when={n}");
            let output = under_strace(scratch.path(), &out, &trace, Some(inject));
            if !stands(&call, &out, &output) {
                break;
            }
            kills += 1;
            let _ = fs::remove_file(&out);
        }
    }
    // The header, each time something is shown, and the end: each written, and made durable.
    assert!(kills >= 10, "{kills} kills only, of {names:?}");
    println!("killed at each of {kills} system calls on the recording and its directory");
}
