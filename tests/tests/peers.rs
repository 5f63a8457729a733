//! Debian's asciinema 2.2 takes our asciicast v2, asciinema 3 our v3, and both show what was shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hansard_tests::{Scratch, hansard, repository, skipped};

/// Text of every difficult kind: colours, wide and combining characters, broken UTF-8, controls.
const PROGRAM: &str = r#"
printf '\033[1;31mred\033[0m \346\227\245\346\234\254 e\314\201 \360\237\230\200\r\n'
printf 'broken \377\303( nul \000 tab\there "quoted" back\\slash\n'
seq 1 3000
printf 'half \342\202'; sleep 0.05; printf '\254 euro\n'
"#;

fn recording(scratch: &Scratch) -> PathBuf {
    let file = scratch.join("r.hansard");
    let status = Command::new(hansard())
        .args(["rec", "--quiet", "--title", "peers \"test\"", "--out"])
        .arg(&file)
        .args(["--", "sh", "-c", PROGRAM])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    file
}

/// Converts a recording, lets the peer show it into a file, and compares.
fn check(scratch: &Scratch, format: &str, show: impl Fn(&Path, &Path) -> Command) {
    let ours = recording(scratch);
    let (cast, shown) = (scratch.join("r.cast"), scratch.join("shown"));
    let converted = Command::new(hansard())
        .args(["convert", "--force", "--to", format])
        .arg(&ours)
        .arg(&cast)
        .status()
        .unwrap();
    assert!(converted.success());
    let played = show(&cast, &shown)
        .env("HOME", scratch.path())
        .env("ASCIINEMA_CONFIG_HOME", scratch.path())
        .env("LANG", "C.UTF-8")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [played.stdout, played.stderr].concat();
    assert!(
        played.status.success(),
        "{format}: {}",
        String::from_utf8_lossy(&said)
    );
    let shown = fs::read(&shown).unwrap();
    let raw = Command::new(hansard())
        .args(["convert", "--to", "raw"])
        .arg(&ours)
        .arg("-")
        .output()
        .unwrap();
    // What is no UTF-8 is U+FFFD in a cast, and what went over a pipe gets the carriage returns
    // that a terminal would have added.
    let expected = String::from_utf8_lossy(&raw.stdout).replace('\n', "\r\n");
    // asciinema 3 begins what it shows with the size of the terminal.
    let shown = shown.strip_prefix(b"\x1b[8;24;80t").unwrap_or(&shown);
    same(&String::from_utf8_lossy(shown), &expected, format);
    // And back: what the format can hold is still there.
    let back = Command::new(hansard())
        .args(["convert", "--to", "raw"])
        .arg(&cast)
        .arg("-")
        .output()
        .unwrap();
    assert!(back.status.success());
    same(
        &String::from_utf8_lossy(&back.stdout),
        &expected,
        "and back",
    );
    let info = Command::new(hansard())
        .args(["info", "--json"])
        .arg(&cast)
        .output()
        .unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(
        info["session"]["target"]["title"], "peers \"test\"",
        "{info}"
    );
}

fn same(shown: &str, expected: &str, what: &str) {
    let differs = shown
        .chars()
        .zip(expected.chars())
        .position(|(a, b)| a != b);
    let at = differs.unwrap_or(shown.chars().count().min(expected.chars().count()));
    let around = |text: &str| {
        text.chars()
            .skip(at.saturating_sub(30))
            .take(60)
            .collect::<String>()
    };
    assert!(
        shown == expected,
        "{what}: {:?} where {:?} was recorded",
        around(shown),
        around(expected)
    );
}

#[test]
fn asciinema_2_takes_our_v2() {
    if !Path::new("/usr/bin/asciinema").exists() {
        return skipped("Debian's asciinema is not installed");
    }
    check(&Scratch::new("peer2"), "asciicast-v2", |cast, shown| {
        // It insists on a terminal, which script gives it; what it shows goes past that.
        let line = format!(
            "/usr/bin/asciinema cat {} >{}",
            cast.display(),
            shown.display()
        );
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]);
        command
    });
}

#[test]
fn asciinema_3_takes_our_v3() {
    let peer = repository().join(".peers/bin/asciinema");
    if !peer.exists() {
        return skipped("asciinema 3 is not built; `make peers` builds it");
    }
    check(&Scratch::new("peer3"), "asciicast-v3", |cast, shown| {
        let mut command = Command::new(&peer);
        command
            .args(["convert", "--output-format", "raw"])
            .args([cast, shown]);
        command
    });
}
