//! Debian's tlog 12 beside ours: what `tlog-rec` recorded we read exactly and write again byte for
//! byte, and what we write `tlog-play` shows.
//!
//! `HANSARD_TORTURE` set to anything: 500 random streams each way instead of a few.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hansard_core::session::ClockQuality;
use hansard_core::{Body, Event, Fields, Policy, Session, SessionId, Stream};
use hansard_tests::{Scratch, skipped};
use hansard_view::tlog::{TlogDecoder, TlogEncoder};
use hansard_view::{Decoder as _, Encoder as _, Import};

/// Runs a command on a pseudo-terminal of 80 × 24 and writes what it shows to standard output. An
/// argument such as `0.2:100x30` before the command is a size that the terminal takes so long after the first thing shown.
const ON_TERMINAL: &str = r"
import fcntl, os, pty, select, struct, sys, termios, time
sizes, words = [], sys.argv[1:]
while words[0][0].isdigit():
    at, size = words.pop(0).split(':')
    sizes.append((float(at), [int(n) for n in size.split('x')]))
def resize(fd, cols, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))
pid, fd = pty.fork()
if pid == 0:
    resize(0, 80, 24)
    os.execvp(words[0], words)
start = None
while True:
    wait = max(0, sizes[0][0] - (time.monotonic() - start)) if sizes and start else None
    if select.select([fd], [], [], wait)[0]:
        try:
            shown = os.read(fd, 65536)
        except OSError:
            break
        if not shown:
            break
        start = start or time.monotonic()
        sys.stdout.buffer.write(shown)
    else:
        resize(fd, *sizes.pop(0)[1])
sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

fn on_terminal(sizes: &[&str], words: &[&str]) -> Vec<u8> {
    let output = Command::new("python3")
        .args(["-c", ON_TERMINAL])
        .args(sizes)
        .args(words)
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let end = said[said.len().saturating_sub(300)..].escape_ascii();
    assert!(output.status.success(), "{words:?}: {end}");
    output.stdout
}

/// Whether tlog is here.
fn tlog() -> bool {
    for program in ["/usr/bin/tlog-rec", "/usr/bin/tlog-play"] {
        if !Path::new(program).exists() {
            skipped(&format!("{program} is missing: scripts/needs.sh test"));
            return false;
        }
    }
    true
}

/// A small source of noise: the same seed, the same noise (xorshift64*).
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }

    /// Text, controls, wide characters, halves of them and plain noise.
    fn bytes(&mut self, len_max: u64) -> Vec<u8> {
        let len = self.below(len_max) as usize + 1;
        let mut bytes = Vec::new();
        while bytes.len() < len {
            match self.below(7) {
                0 => bytes.extend_from_slice("é界🎉\u{fffd}\u{10ffff}".as_bytes()),
                1 => bytes.push(self.below(256) as u8),
                2 => bytes.extend((0..self.below(20)).map(|_| self.below(256) as u8)),
                3 => bytes.extend_from_slice(&"🎉界".as_bytes()[..self.below(7) as usize]),
                4 => bytes.extend_from_slice(b"\x1b[1;31m\"quoted\\\"\r\n\0\x7f\x08\x0c\t"),
                5 => bytes.extend((0..self.below(2000)).map(|_| b'x')),
                _ => bytes.extend((0..self.below(60)).map(|_| b' ' + self.below(95) as u8)),
            }
        }
        bytes.truncate(len);
        bytes
    }
}

fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [8; 10]),
        start_utc_ns: 1_600_000_000_000_000_000,
        recorder: "hansard 0.1.0".to_owned(),
        rec: None,
    }
}

fn decode(tlog: &[u8]) -> Vec<Event> {
    let mut decoder = TlogDecoder::new(tlog, import());
    let mut events = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        events.push(event);
    }
    assert_eq!(decoder.take_notices(), Vec::<String>::new());
    events
}

fn encode(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = TlogEncoder::new(&mut out);
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder.event(event).unwrap(),
        }
    }
    encoder.end().unwrap();
    out
}

fn bytes_of(events: &[Event], wanted: Stream) -> Vec<u8> {
    let bytes = events.iter().filter_map(|event| match &event.body {
        Body::Data { stream, bytes } if *stream == wanted => Some(bytes.as_slice()),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

fn same(ours: &[u8], theirs: &[u8], what: &str) {
    let differs = ours.iter().zip(theirs).position(|(a, b)| a != b);
    let at = differs.unwrap_or(ours.len().min(theirs.len()));
    let around = |bytes: &[u8]| {
        let (from, to) = (at.saturating_sub(60), bytes.len().min(at + 60));
        bytes[from.min(to)..to].escape_ascii().to_string()
    };
    assert!(
        ours == theirs,
        "{what}, byte {at}: ours {:?}, theirs {:?}",
        around(ours),
        around(theirs)
    );
}

/// Runs this for each number below 500, or for a few of them, four at a time.
fn many(few: u64, run: impl Fn(u64) + Sync) {
    let count = match std::env::var_os("HANSARD_TORTURE") {
        Some(_) => 500,
        None => few,
    };
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let n @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                    && n < count
                {
                    run(n);
                }
            });
        }
    });
}

/// What `tlog-rec` wrote: the file it made, once that is read and equals what we write of it.
fn check(file: &Path, input: &[u8], output: &[u8], what: &str) -> Vec<Event> {
    let theirs = fs::read(file).unwrap();
    let events = decode(&theirs);
    same(&bytes_of(&events, Stream::Output), output, what);
    same(&bytes_of(&events, Stream::Keystrokes), input, what);
    same(&encode(&events), &theirs, what);
    events
}

#[test]
fn what_tlog_rec_recorded_is_read_and_written_again() {
    if !tlog() {
        return;
    }
    let scratch = Scratch::new("tlog-rec");
    many(40, |n| {
        let mut noise = Noise::new(n + 1);
        let file = scratch.join(&format!("{n}.tlog"));
        let pieces: Vec<_> = (0..=noise.below(12)).map(|_| noise.bytes(3000)).collect();
        let all = pieces.concat();
        // With input the program gives back what it gets, and ends before its input does: at the
        // end of that tlog-rec sometimes forgets the rest of the output.
        // A shorter limit or wait than ours makes messages end where ours would not.
        let payload = match n % 4 {
            0 => 32 + noise.below(2000),
            _ => 2048,
        };
        let mut rec = Command::new("tlog-rec")
            .args(["--writer=file", "--log-input=on", "--file-path"])
            .arg(&file)
            .arg(format!("--payload={payload}"))
            .args(["--", "head", "-c", &all.len().to_string()])
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm \"é\\")
            .stdin(Stdio::piped())
            .stdout(File::create(scratch.join(&format!("{n}.out"))).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = rec.stdin.take().unwrap();
        for piece in &pieces {
            stdin.write_all(piece).unwrap();
            stdin.flush().unwrap();
            thread::sleep(Duration::from_micros(noise.below(4000)));
        }
        let rec = rec.wait_with_output().unwrap();
        drop(stdin);
        let complaint = String::from_utf8_lossy(&rec.stderr);
        assert!(rec.status.success(), "{complaint}");
        let shown = fs::read(scratch.join(&format!("{n}.out"))).unwrap();
        same(&shown, &all, "what tlog-rec passed on");
        check(&file, &all, &shown, &format!("stream {n}"));
    });
}

#[test]
fn sizes_and_waits_of_tlog_rec_are_read_and_written_again() {
    if !tlog() {
        return;
    }
    if !Path::new("/run/utmp").exists() {
        // Debian's tlog-rec refuses a terminal that it cannot log in there.
        return skipped("/run/utmp is missing: `touch /run/utmp` as root");
    }
    let scratch = Scratch::new("tlog-rec-terminal");
    let program = "stty -echo -opost; printf 'ready '; sleep 0.4; stty size; \
        for i in 1 2 3 4 5 6; do seq $i 12; sleep 0.3; done; printf 'half \\342\\202'";
    // A message waits for a second at most; our own writer would have waited for ten.
    let run = |name: &str, latency_s: u64| {
        let latency = &format!("--latency={latency_s}");
        let since = Instant::now();
        let file = scratch.join(name);
        let path = file.to_str().unwrap();
        let record = ["tlog-rec", "--writer=file", latency, "--file-path", path];
        let shown = on_terminal(
            &["0.2:100x30", "0.8:100x31", "1.5:80x24"],
            &[&record[..], &["--", "sh", "-c", program]].concat(),
        );
        // It shows one line feed more than it records.
        let shown = shown.strip_suffix(b"\n").unwrap();
        let shown = shown.strip_suffix(b"\r").unwrap_or(shown);
        let events = check(&file, b"", shown, name);
        let sizes = events.iter().filter_map(|event| match event.body {
            Body::Resize { cols, rows } => Some((cols, rows)),
            _ => None,
        });
        let sizes: Vec<_> = sizes.collect();
        assert_eq!(sizes, [(80, 24), (100, 30), (100, 31), (80, 24)]);
        let lines = fs::read(&file).unwrap();
        let lines = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        // One for each wait that is over, however long the machine takes for it, and one for the rest.
        let most = 1 + since.elapsed().as_secs() / latency_s;
        let least = if latency_s == 1 { 2 } else { 1 };
        assert!(
            (least..=most).contains(&lines),
            "{lines} messages with {latency}"
        );
        let Body::Start(session) = &events[0].body else {
            panic!("no session first");
        };
        assert_eq!(session.origin.text("term"), Some("xterm"));
        assert!(session.start_utc_ns > 1_700_000_000_000_000_000);
    };
    thread::scope(|scope| {
        scope.spawn(|| run("short", 1));
        scope.spawn(|| run("long", 10));
    });
}

/// The wait for ten seconds runs out in the midst of output that never stops.
#[test]
fn a_busy_program_of_tlog_rec_is_read_and_written_again() {
    if std::env::var_os("HANSARD_TORTURE").is_none() || !tlog() {
        return;
    }
    let scratch = Scratch::new("tlog-rec-busy");
    let busy = "timeout 25 sh -c 'while :; do seq 1 20; sleep 0.002; done'; true";
    let (file, out) = (scratch.join("busy.tlog"), scratch.join("busy.out"));
    let status = Command::new("tlog-rec")
        .args(["--writer=file", "--file-path"])
        .arg(&file)
        .args(["--", "sh", "-c", busy])
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    check(&file, b"", &fs::read(&out).unwrap(), "busy");
}

fn session(noise: &mut Noise) -> Session {
    Session {
        id: SessionId::new_v7(1_700_000_000_000, [noise.below(256) as u8; 10]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "r\u{f6}\"ot\\"),
        origin: Fields::new().with("term", "xterm-256color"),
        target: Fields::new().with("server_hostname", "h\u{7f}\n"),
        start_utc_ns: 1_700_000_000_000_000_000 + noise.below(2_000_000_000),
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: "hansard 0.1.0".to_owned(),
    }
}

/// A recording of anything, within a fraction of a second: what was shown of it, too.
fn recording(noise: &mut Noise) -> (Vec<Event>, Vec<u8>) {
    let mut bodies = vec![(0, Body::Start(Box::new(session(noise))))];
    let (mut at_ns, mut shown) = (0, Vec::new());
    for _ in 0..noise.below(40) + 1 {
        at_ns += [0, 300_000, 1_000_000, 7_654_321][noise.below(4) as usize];
        let body = match noise.below(8) {
            0 => Body::Resize {
                cols: noise.below(65536) as u16,
                rows: noise.below(300) as u16,
            },
            1 => Body::Data {
                stream: [Stream::Keystrokes, Stream::Stdin][noise.below(2) as usize],
                bytes: noise.bytes(300),
            },
            2 => Body::Mark {
                label: "not for tlog".to_owned(),
            },
            _ => {
                let bytes = noise.bytes(2500);
                shown.extend_from_slice(&bytes);
                let streams = [Stream::Output, Stream::Stdout, Stream::Stderr];
                let stream = streams[noise.below(3) as usize];
                Body::Data { stream, bytes }
            }
        };
        bodies.push((at_ns, body));
    }
    let numbered = bodies.into_iter().zip(0..);
    let events = numbered.map(|((at_ns, body), seq)| Event { seq, at_ns, body });
    (events.collect(), shown)
}

#[test]
fn tlog_play_shows_what_we_wrote() {
    if !tlog() {
        return;
    }
    let scratch = Scratch::new("tlog-play");
    many(30, |n| {
        let mut noise = Noise::new(n + 1000);
        let (events, expected) = recording(&mut noise);
        let file = scratch.join(&format!("{n}.tlog"));
        fs::write(&file, encode(&events)).unwrap();
        let path = file.to_str().unwrap();
        let played = on_terminal(&[], &["tlog-play", "--reader=file", "--file-path", path]);
        // What it adds when it ends: plain, a cursor, a new line and a zero.
        let played = played.strip_suffix(b"\x1b[0m\x1b[?25h\r\n\0").unwrap();
        same(played, &expected, &format!("stream {n}"));
    });
}
