//! Recordings that are made just then: vim, less, top, tmux, git, psql, apt, a shell and others, each with
//! other contents, keys and another size of the terminal (`programs.py`).
//!
//! `HANSARD_TORTURE` says how many, and is 12 where nobody says so.

use std::process::{Command, Stdio};

use serde_json::Value as Json;

use super::{Candidate, Finder, What};
use super::{Dice, Recording, asked, draw, index, must_be_found, question, read};

/// Phrases that are taken of each.
const PHRASES_EACH: usize = 5;

/// What stands on a screen at once, or has stood there: whether the plain scan sees it.
fn is_seen(recording: &Recording, phrase: &str) -> bool {
    let question = question(phrase);
    let mut finder = Finder::new(&question);
    let rows = recording.frames.iter().flat_map(|(_, rows)| rows);
    rows.into_iter().any(|row| {
        let line = Candidate {
            what: What::Shown,
            text: row,
            is_hidden: false,
        };
        finder.find(line).is_some()
    })
}

#[test]
fn what_programs_show_now_is_found_at_its_moment() {
    let count = std::env::var("HANSARD_TORTURE").ok();
    let count: usize = count.and_then(|count| count.parse().ok()).unwrap_or(12);
    let dir = std::env::temp_dir().join(format!("hansard-recall-made-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recall/programs.py");
    let made = Command::new("/usr/bin/python3")
        .args([script, dir.to_str().unwrap(), &count.to_string(), "1"])
        .stdin(Stdio::null())
        .output()
        .expect("/usr/bin/python3: scripts/needs.sh test");
    let complaint = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{complaint}");
    let said = String::from_utf8(made.stdout).unwrap();
    let lines: Vec<Json> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (mut recordings, mut phrases, mut planted) = (0, 0, 0);
    for (n, line) in (0u64..).zip(&lines) {
        let Some(file) = line["file"].as_str() else {
            println!("lacking here: {}", line["lacking"]);
            continue;
        };
        let recording = read(1000 + n, file.as_ref());
        let recordings_of = [recording];
        let index = index(&recordings_of, &format!("made-{n}"));
        let [recording] = &recordings_of;
        recordings += 1;
        if let Some(phrase) = line["planted"].as_str().filter(|p| is_seen(recording, p)) {
            let hits = asked(&index, &recording.whose, phrase, None);
            assert!(!hits.is_empty(), "{file}: {phrase}");
            planted += 1;
        }
        let mut dice = Dice(n + 1);
        let drawn = (0..PHRASES_EACH * 20).filter_map(|_| draw(recording, &mut dice));
        for phrase in drawn.take(PHRASES_EACH) {
            must_be_found(&index, recording, &phrase);
            phrases += 1;
        }
        std::fs::remove_file(file).unwrap();
    }
    println!("{recordings} recordings, {planted} planted and {phrases} sampled phrases, all found");
    assert_eq!(recordings, count);
    assert!(
        phrases >= count * 3,
        "{phrases} phrases: programs show nothing"
    );
    assert!(
        planted >= count / 4,
        "{planted} planted phrases were on a screen"
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
