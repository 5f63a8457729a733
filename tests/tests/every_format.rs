//! A recording in every format: the program knows each by its content, and shows the same of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hansard_tests::{Scratch, hansard};

/// Everything that is read and written, and whether it keeps bytes that are no text.
const FORMATS: [(&str, bool); 9] = [
    ("hansard", true),
    ("jsonl", true),
    ("asciicast-v2", false),
    ("asciicast-v3", false),
    ("tlog", true),
    ("containerssh", true),
    ("typescript", true),
    ("ttyrec", true),
    ("teleport", true),
];

/// Text of every difficult kind: colours, wide and combining characters, broken UTF-8, controls.
const PROGRAM: &str = r#"
printf '\033[1;31mred\033[0m \346\227\245\346\234\254 e\314\201 \360\237\230\200\r\n'
printf 'broken \377\303( nul \000 tab\there "quoted" back\\slash\r\n'
seq 1 3000
printf 'half \342\202'; sleep 0.05; printf '\254 euro\r\n'
exit 3
"#;

fn run(args: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(hansard());
    command.args(args).args(files).stdin(Stdio::null());
    command.output().unwrap()
}

fn sound(args: &[&str], files: &[&Path]) -> Vec<u8> {
    let out = run(args, files);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?} {files:?}: {said}");
    assert_eq!(said, "", "{args:?} {files:?}");
    out.stdout
}

/// A terminal session, recorded under script(1), which brings the terminal.
fn recording(scratch: &Scratch) -> PathBuf {
    let file = scratch.join("r.hansard");
    let program = scratch.join("program");
    std::fs::write(&program, PROGRAM).unwrap();
    let line = format!(
        "stty cols 100 rows 30; {} rec --quiet --out {} -- sh {}",
        hansard().display(),
        file.display(),
        program.display()
    );
    let status = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .env("TERM", "xterm-256color")
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
    file
}

#[test]
fn every_format_is_known_by_its_content_and_shows_the_same() {
    let scratch = Scratch::new("every-format");
    let ours = recording(&scratch);
    let shown = sound(&["cat", "--raw"], &[&ours]);
    let screen = sound(&["screen"], &[&ours]);
    let found = sound(&["search", "2999"], &[&ours]);
    assert!(shown.len() > 10_000 && !screen.is_empty() && !found.is_empty());
    for (format, keeps_bytes) in FORMATS {
        // A name that says nothing: the content decides.
        let file = scratch.join(&format!("recording of {format}"));
        sound(&["convert", "--to", format], &[&ours, &file]);
        let info: serde_json::Value =
            serde_json::from_slice(&sound(&["info", "--json"], &[&file])).unwrap();
        assert_eq!(info["format"], format, "{info}");
        let again = sound(&["cat", "--raw"], &[&file]);
        if keeps_bytes {
            assert_eq!(again, shown, "{format}");
        } else {
            let text = String::from_utf8_lossy(&shown).into_owned();
            assert_eq!(String::from_utf8(again).unwrap(), text, "{format}");
        }
        // ttyrec does not say how large the terminal was, so fewer rows are seen of the same.
        let seen = sound(&["screen"], &[&file]);
        let same = if format == "ttyrec" {
            seen.len() > 100 && screen.ends_with(&seen)
        } else {
            seen == screen
        };
        assert!(same, "{format}: {}", String::from_utf8_lossy(&seen));
        let rows = |out: Vec<u8>| {
            let text = String::from_utf8(out).unwrap();
            let rows = text
                .lines()
                .map(|line| line.rsplit_once('\t').unwrap().1.to_owned());
            rows.collect::<Vec<_>>()
        };
        let found_there = sound(&["search", "2999"], &[&file]);
        assert_eq!(rows(found_there), rows(found.clone()), "{format}");
        // And back: what is shown is the same again.
        let back = scratch.join("back.hansard");
        sound(&["convert", "--force", "--to", "hansard"], &[&file, &back]);
        assert_eq!(sound(&["screen"], &[&back]), seen, "{format}");
    }
}

#[test]
fn a_copy_is_its_owner_s_alone_and_never_takes_the_place_of_what_it_is_of() {
    let scratch = Scratch::new("every-copy");
    let ours = recording(&scratch);
    let mode = |name: &str| {
        let metadata = std::fs::metadata(scratch.join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    for (format, name) in [("hansard", "h"), ("typescript", "t"), ("teleport", "d")] {
        sound(&["convert", "--to", format], &[&ours, &scratch.join(name)]);
    }
    let inside = std::fs::read_dir(scratch.join("d")).unwrap();
    let mut names: Vec<String> = inside
        .map(|entry| format!("d/{}", entry.unwrap().file_name().display()))
        .collect();
    assert!(!names.is_empty());
    names.extend(["h", "t", "t.timing"].map(str::to_owned));
    assert_eq!(mode("d"), 0o700);
    for name in &names {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    // Under whatever name it stands, and whichever of its files it is.
    std::os::unix::fs::symlink(&ours, scratch.join("link")).unwrap();
    std::fs::hard_link(&ours, scratch.join("hard")).unwrap();
    std::fs::hard_link(&ours, scratch.join("x.timing")).unwrap();
    let (t, d) = (scratch.join("t"), scratch.join("d"));
    let file = scratch.join(&names[0]);
    let cases: [(&str, &Path, &Path); 7] = [
        ("hansard", &ours, &ours),
        ("jsonl", &ours, &scratch.join("link")),
        ("jsonl", &ours, &scratch.join("hard")),
        ("typescript", &ours, &scratch.join("x")),
        ("raw", &t, &scratch.join("t.timing")),
        ("typescript", &t, &t),
        ("raw", &d, &file),
    ];
    let all = [&ours, &t, &scratch.join("t.timing"), &file].map(Clone::clone);
    let before = all.clone().map(|file| std::fs::read(file).unwrap());
    for force in [&["--force"][..], &[]] {
        for (format, from, to) in cases {
            let args = [&["convert", "--to", format], force].concat();
            let out = run(&args, &[from, to]);
            assert_eq!(out.status.code(), Some(2), "{} {out:?}", to.display());
            let said = String::from_utf8(out.stderr).unwrap();
            assert!(said.contains("is what is converted"), "{said}");
            assert!(!said.contains("--force replaces"), "{said}");
        }
    }
    let out = Command::new(hansard())
        .args(["convert", "--force", "--to", "hansard", "-"])
        .arg(&ours)
        .stdin(std::fs::File::open(&ours).unwrap())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    assert_eq!(all.map(|file| std::fs::read(file).unwrap()), before);
}

#[test]
fn formats_of_several_files_are_written_whole_or_not_at_all() {
    let scratch = Scratch::new("every-format");
    let ours = recording(&scratch);
    let names = || {
        let entries = std::fs::read_dir(scratch.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    // The file beside it is in the way.
    std::fs::write(scratch.join("t.timing"), "mine").unwrap();
    let before = names();
    let out = run(
        &["convert", "--to", "typescript"],
        &[&ours, &scratch.join("t")],
    );
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("t.timing: exists already"), "{said}");
    assert_eq!(names(), before);
    assert_eq!(std::fs::read(scratch.join("t.timing")).unwrap(), b"mine");
    // A directory is never replaced, and a pipe is no directory.
    std::fs::create_dir(scratch.join("d")).unwrap();
    let before = names();
    let to_directory = ["convert", "--force", "--to", "teleport"];
    let out = run(&to_directory, &[&ours, &scratch.join("d")]);
    assert_eq!(out.status.code(), Some(2));
    let out = run(&["convert", "--to", "typescript"], &[&ours, Path::new("-")]);
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(names(), before);
    // What was typed in a recording that is replaced is not taken for part of this one.
    let typed = |name: &str| std::fs::write(scratch.join(name), "typed").unwrap();
    typed("v.input");
    let out = run(
        &["convert", "--to", "typescript"],
        &[&ours, &scratch.join("v")],
    );
    assert_eq!(out.status.code(), Some(2));
    let forced = ["convert", "--force", "--to", "typescript"];
    sound(&forced, &[&ours, &scratch.join("v")]);
    assert!(!scratch.join("v.input").exists());
    // A pipe, also behind a link, keeps its name whatever is asked for.
    let made = Command::new("mkfifo").arg(scratch.join("pipe")).status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink("pipe", scratch.join("to-pipe")).unwrap();
    let before = names();
    for name in ["pipe", "to-pipe"] {
        let out = run(
            &["convert", "--force", "--to", "raw"],
            &[&ours, &scratch.join(name)],
        );
        assert_eq!(out.status.code(), Some(2));
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(said.contains("is not a regular file"), "{said}");
    }
    assert_eq!(names(), before);
    // With other names both are whole.
    sound(
        &["convert", "--to", "typescript"],
        &[&ours, &scratch.join("u")],
    );
    assert!(scratch.join("u.timing").is_file());
    sound(
        &["convert", "--to", "teleport"],
        &[&ours, &scratch.join("e/")],
    );
    let tar = sound(&["convert", "--to", "teleport"], &[&ours, Path::new("-")]);
    std::fs::write(scratch.join("e.tar"), tar).unwrap();
    let shown = sound(&["cat", "--raw"], &[&ours]);
    for file in ["u", "e", "e.tar"] {
        assert_eq!(
            sound(&["cat", "--raw"], &[&scratch.join(file)]),
            shown,
            "{file}"
        );
    }
}
