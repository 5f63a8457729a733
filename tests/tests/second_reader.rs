//! `formats/verify.py`, the second reader, agrees with ours: on every golden recording, on fresh
//! ones, and on damaged copies of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{fs, str};

use hansard_tests::{Scratch, hansard, repository, skipped};
use serde_json::{Map, Value as Json};

/// A Python that has what the second reader needs: Debian's own, if the first one has not.
fn python() -> Option<PathBuf> {
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .map(PathBuf::from)
        .find(|python| {
            let tried = Command::new(python)
                .args(["-c", "import cryptography, zstandard"])
                .stderr(Stdio::null())
                .status();
            tried.is_ok_and(|status| status.success())
        })
}

fn second(python: &Path, command: &str, files: &[PathBuf]) -> Output {
    let script = repository().join("formats/verify.py");
    Command::new(python)
        .arg(script)
        .arg(command)
        .args(files)
        .output()
        .unwrap()
}

#[test]
fn it_runs_as_the_page_says() {
    use std::os::unix::fs::PermissionsExt as _;
    let script = repository().join("formats/verify.py");
    let mode = fs::metadata(script).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "it cannot be run");
    let page = fs::read_to_string(repository().join("docs/verify.md")).unwrap();
    for command in ["verify", "events"] {
        assert!(page.contains(&format!("\nformats/verify.py {command} FILE")));
    }
}

fn golden() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(repository().join("formats/golden/v1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "hansard"))
        .collect();
    all.sort();
    assert!(all.len() >= 8, "{all:?}");
    all
}

fn lines(text: &[u8]) -> Vec<Map<String, Json>> {
    str::from_utf8(text)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// One event in the shape both programs can be brought to: ours keeps names that stand twice as
/// pairs, puts the session into an object of its own, and leaves out what is absent.
fn normal(mut event: Map<String, Json>) -> Map<String, Json> {
    if let Some(Json::Object(session)) = event.remove("session") {
        event.extend(session);
    }
    event.remove("hansard");
    event.retain(|_, value| !value.is_null());
    for value in event.values_mut() {
        if let Json::Array(pairs) = value {
            let object = pairs
                .iter()
                .filter_map(|pair| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.clone())));
            let object: Map<_, _> = object.collect();
            *value = Json::Object(object);
        }
    }
    event
}

/// Bytes may stand as text or as base64; our program chooses by length.
fn same(a: &Map<String, Json>, b: &Map<String, Json>) -> bool {
    let plain = |m: &Map<String, Json>| {
        let mut m = m.clone();
        let bytes = [m.remove("text"), m.remove("base64")];
        (m, bytes)
    };
    let ((a, a_bytes), (b, b_bytes)) = (plain(a), plain(b));
    a == b && (a_bytes == b_bytes || a_bytes[0].is_some() != b_bytes[0].is_some())
}

#[test]
fn both_readers_list_the_same_events() {
    let Some(python) = python() else {
        return skipped("no Python with cryptography and zstandard");
    };
    let scratch = Scratch::new("second-events");
    let fresh = scratch.join("fresh.hansard");
    let recorded = Command::new(hansard())
        .args(["rec", "--quiet", "--out"])
        .arg(&fresh)
        .args([
            "--",
            "sh",
            "-c",
            "seq 1 60000; head -c 100000 /dev/urandom; echo oops >&2; exit 7",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(recorded.status.code(), Some(7));
    for path in golden().into_iter().chain([fresh]) {
        let ours = Command::new(hansard())
            .args(["convert", "--to", "jsonl"])
            .arg(&path)
            .arg("-")
            .output()
            .unwrap();
        // Ours says where something is missing; the second reader leaves it out.
        let is_sound = |event: &Map<String, Json>| {
            let cause = event.get("cause").and_then(Json::as_str);
            !cause.is_some_and(|cause| cause.starts_with("damaged at byte"))
        };
        let (ours, theirs) = (
            lines(&ours.stdout)
                .into_iter()
                .filter(is_sound)
                .collect::<Vec<_>>(),
            lines(&second(&python, "events", std::slice::from_ref(&path)).stdout),
        );
        assert_eq!(ours.len(), theirs.len(), "{}", path.display());
        for (ours, theirs) in ours
            .into_iter()
            .map(normal)
            .zip(theirs.into_iter().map(normal))
        {
            assert!(
                same(&ours, &theirs),
                "{}:\n{ours:?}\n{theirs:?}",
                path.display()
            );
        }
    }
}

#[test]
fn golden_events_are_as_ever() {
    for path in golden() {
        let ours = Command::new(hansard())
            .args(["convert", "--to", "jsonl"])
            .arg(&path)
            .arg("-")
            .output()
            .unwrap();
        let expected = fs::read(path.with_extension("jsonl")).unwrap();
        assert!(
            ours.stdout == expected,
            "{} is read otherwise than when it was made",
            path.display()
        );
    }
}

/// Verdict and first damaged byte, from a line of either program.
fn verdict(status: Option<i32>, text: &str) -> (Option<i32>, Option<u64>) {
    let at = text.split("damaged at byte ").nth(1);
    (
        status,
        at.and_then(|rest| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        }),
    )
}

/// A recording that nobody signed: its key is a point of small order, under which this one signature fits everything.
const UNSIGNED: &str = concat!(
    "89484e53440d0a1a013a00b31a0a10070707070707070707070707070707071000180020002a20000000000000000000",
    "000000000000000000000000000000000000000000000022a91c28b52ffd0058cc0000880100013a0a10071a04657865",
    "6352200100020040441d30028a5996aae38c50baf711d78670000001010e0a0a06657869746564100047cfb0b32965ad",
    "339ca0018f4b0a100707070707070707070707070707070710001802200228013220a215a4ae54632d3e3875a217b29e",
    "3ee21b1feb47c2908306f7d0a121252157f93a2001000000000000000000000000000000000000000000000000000000",
    "000000004001010000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "00000000000000000000000000000000000000000000",
);

#[test]
fn both_readers_refuse_a_key_under_which_one_signature_fits_everything() {
    let Some(python) = python() else {
        return skipped("no Python with cryptography and zstandard");
    };
    let scratch = Scratch::new("second-unsigned");
    let file = scratch.join("unsigned.hansard");
    let digits = UNSIGNED.as_bytes().chunks(2);
    let bytes = digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap());
    fs::write(&file, bytes.collect::<Vec<_>>()).unwrap();
    let ours = Command::new(hansard())
        .arg("verify")
        .arg(&file)
        .output()
        .unwrap();
    let theirs = second(&python, "verify", std::slice::from_ref(&file));
    for output in [ours, theirs] {
        let said = String::from_utf8_lossy(&output.stdout);
        let found = verdict(output.status.code(), &said);
        assert_eq!(found.0, Some(3), "{said}");
    }
}

#[test]
fn both_readers_come_to_the_same_verdict_on_damaged_copies() {
    let Some(python) = python() else {
        return skipped("no Python with cryptography and zstandard");
    };
    let scratch = Scratch::new("second-verdicts");
    let originals: Vec<Vec<u8>> = golden()
        .iter()
        .filter(|p| !p.ends_with("bulk.hansard"))
        .map(|p| fs::read(p).unwrap())
        .collect();
    // A step that is no multiple of anything walks over all parts of all files.
    let mut x = 12_345u64;
    let mut next = |below: usize| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (x >> 33) as usize % below
    };
    for n in 0..60 {
        let mut bytes = originals[n % originals.len()].clone();
        match n % 3 {
            0 => {
                let at = next(bytes.len());
                bytes[at] ^= 1 << next(8);
            }
            1 => {
                let len = next(bytes.len() - 20) + 20;
                bytes.truncate(len);
                if n % 2 == 0 {
                    bytes.resize(len + 5000, 0);
                }
            }
            _ => {
                let (from, to) = (next(bytes.len()), next(bytes.len()));
                let piece = bytes[from..(from + 300).min(bytes.len())].to_vec();
                bytes.splice(to..to, piece);
            }
        }
        let path = scratch.join(&format!("{n}.hansard"));
        fs::write(&path, &bytes).unwrap();
        let ours = Command::new(hansard())
            .arg("verify")
            .arg(&path)
            .output()
            .unwrap();
        let theirs = second(&python, "verify", std::slice::from_ref(&path));
        let (our_text, their_text) = (
            String::from_utf8_lossy(&ours.stdout),
            String::from_utf8_lossy(&theirs.stdout),
        );
        let (ours, theirs) = (
            verdict(ours.status.code(), &our_text),
            verdict(theirs.status.code(), &their_text),
        );
        assert_eq!(ours, theirs, "copy {n}:\n{our_text}\n{their_text}");
    }
}
