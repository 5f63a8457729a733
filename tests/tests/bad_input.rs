//! Not a recording, another version, damaged, truncated, hostile: one clear sentence naming file,
//! offset and what was salvaged, the right exit status, no panic, bounded memory.
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

use hansard_tests::{Scratch, hansard, repository, write_program};

/// Runs under a limit on the address space, so that an allocation of what a file merely claims
/// fails the test. The limit is 256 MiB of memory; addresses also hold the program.
fn run(args: &[&str], file: &Path) -> (Option<i32>, String, String) {
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 524288; exec \"$@\"", "sh"])
        .arg(hansard())
        .args(args)
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        !err.contains("panicked"),
        "{args:?} {}: {err}",
        file.display()
    );
    (output.status.code(), out, err)
}

fn golden(name: &str) -> PathBuf {
    repository().join("formats/golden/v1").join(name)
}

fn write(scratch: &Scratch, name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn what_is_no_recording_is_said_in_one_sentence_and_status_2() {
    let scratch = Scratch::new("bad-none");
    let files = [
        write(&scratch, "empty", b""),
        write(&scratch, "text", b"Scripted on 2026-11-21\n"),
        write(&scratch, "zeros", &[0; 70_000]),
        write(&scratch, "elf", &fs::read("/bin/true").unwrap()),
        scratch.path().to_owned(),
        scratch.join("missing"),
    ];
    for file in &files {
        for command in [
            &["verify"][..],
            &["info"],
            &["cat"],
            &["screen"],
            &["search", "x"],
        ] {
            let (status, out, err) = run(command, file);
            assert_eq!(
                status,
                Some(2),
                "{command:?} {}: {out}{err}",
                file.display()
            );
            assert_eq!(out, "", "{command:?} {}", file.display());
            let sentences = err
                .lines()
                .filter(|line| line.starts_with("hansard: "))
                .count();
            assert_eq!(sentences, 1, "{command:?}: {err}");
            assert!(err.contains(&*file.to_string_lossy()), "{command:?}: {err}");
        }
    }
}

#[test]
fn another_version_is_named() {
    let scratch = Scratch::new("bad-version");
    // The prefix of a segment of version 9, whose check fits (formats/segment.md, 3.1).
    let bytes = [
        0x89, 0x48, 0x4e, 0x53, 0x44, 0x0d, 0x0a, 0x1a, 0x09, 0x40, 0x00,
    ];
    let check = prefix_check(&bytes);
    let file = write(
        &scratch,
        "version9",
        &[&bytes[..], &check, &[7; 100]].concat(),
    );
    for command in [&["verify"][..], &["info"], &["cat"], &["screen"]] {
        let (status, _, err) = run(command, &file);
        assert_eq!(status, Some(2), "{command:?} {err}");
        assert!(err.contains("version 9"), "{command:?} {err}");
    }
}

/// The first two bytes of the digest, by Debian's own program.
fn prefix_check(bytes: &[u8]) -> [u8; 2] {
    use std::io::Write as _;
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hansard prefix\0").unwrap();
    stdin.write_all(bytes).unwrap();
    drop(stdin);
    let hex = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    [0, 2].map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
}

#[test]
fn damage_is_named_and_what_is_sound_is_shown() {
    let file = golden("damaged.hansard");
    let (status, out, _) = run(&["verify"], &file);
    assert_eq!(status, Some(3));
    assert!(
        out.contains("damaged at byte 3330 (segment 3, frame 4)"),
        "{out}"
    );
    assert!(out.contains("sound again from byte 3978"), "{out}");
    for command in [&["cat"][..], &["info"], &["convert", "--to", "raw"]] {
        let (status, out, err) = match command {
            ["convert", ..] => {
                let output = Command::new(hansard())
                    .args(command)
                    .arg(&file)
                    .arg("-")
                    .output()
                    .unwrap();
                let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                (
                    output.status.code(),
                    text(&output.stdout),
                    text(&output.stderr),
                )
            }
            _ => run(command, &file),
        };
        assert_eq!(status, Some(3), "{command:?} {err}");
        assert!(err.contains("3330"), "{command:?} {err}");
        assert!(
            out.len() > 500,
            "{command:?}: what is sound is shown: {out}"
        );
    }
    // Formats that have no room for it in the file.
    for format in ["raw", "ttyrec", "transcript", "gif"] {
        for (name, status, words) in [
            ("damaged", 3, "damaged at byte 3330 (segment 3, frame 4)"),
            ("torn", 0, "the recording has no end: it was cut off"),
            ("unfinished", 0, "the recording has no end"),
        ] {
            let output = Command::new(hansard())
                .args(["convert", "--to", format])
                .arg(golden(&format!("{name}.hansard")))
                .arg("-")
                .output()
                .unwrap();
            let err = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{format} {name}: {err}");
            assert!(err.contains(words), "{format} {name}: {err}");
            assert!(!output.stdout.is_empty(), "{format} {name}");
        }
    }
    let (_, first, _) = run(&["screen", "--at", "10"], &file);
    assert!(first.contains("load"), "{first}");
}

#[test]
fn whoever_seeks_says_what_is_damaged_and_what_is_missing() {
    let scratch = Scratch::new("bad-seek");
    let copy = |name: &str| write(&scratch, name, &fs::read(golden(name)).unwrap());
    let seeking = [
        (&["screen"][..], 0),
        (&["search", "load"], 0),
        (&["search", "no such word"], 1),
    ];
    let damaged = copy("damaged.hansard");
    // The first makes an index, the others find it.
    for (command, _) in seeking {
        let (status, _, err) = run(command, &damaged);
        assert_eq!(status, Some(3), "{command:?} {err}");
        let place = "damaged at byte 3330 (segment 3, frame 4)";
        assert!(err.contains(place), "{command:?} {err}");
    }
    for name in ["torn.hansard", "unfinished.hansard", "segments.hansard"] {
        let file = copy(name);
        for (command, expected) in seeking {
            let (status, _, err) = run(command, &file);
            assert_eq!(status, Some(expected), "{name} {command:?} {err}");
            let missing = err.contains("no end");
            assert_eq!(missing, !name.starts_with("segments"), "{command:?} {err}");
        }
    }
    // Bytes that change behind an index that was made before.
    let file = copy("bulk.hansard");
    assert_eq!(run(&["screen"], &file).0, Some(0));
    let mut bytes = fs::read(&file).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (status, _, err) = run(&["search", "no such word"], &file);
    assert_eq!(status, Some(3), "{err}");
    assert!(err.contains("damaged at byte"), "{err}");
}

#[test]
fn a_tail_that_breaks_off_is_unfinished() {
    for (name, words) in [
        ("torn.hansard", "breaks off"),
        ("unfinished.hansard", "not sealed"),
    ] {
        let (status, out, _) = run(&["verify"], &golden(name));
        assert_eq!(status, Some(1), "{out}");
        assert!(
            out.contains("unfinished, intact up to") && out.contains(words),
            "{out}"
        );
        let (status, out, _) = run(&["cat"], &golden(name));
        assert_eq!(status, Some(0));
        assert!(out.contains("up 190 min"), "{out}");
    }
}

#[test]
fn hostile_names_do_not_reach_the_terminal() {
    let scratch = Scratch::new("bad-names");
    let evil = scratch.join("evil\x1b]0;owned\x07\n.hansard");
    fs::write(&evil, b"no recording").unwrap();
    for command in [&["verify"][..], &["info"], &["cat"], &["screen"]] {
        let (_, out, err) = run(command, &evil);
        assert!(
            !err.contains('\x1b') && !err.contains('\x07') && !out.contains('\x1b'),
            "{err:?}"
        );
    }
    // The same in what a recording says about itself.
    let cast = "{\"version\":2,\"width\":80,\"height\":24,\"title\":\"a\\u001b]52;c;ZXZpbA==\\u0007b\",\"command\":\"\\u001b[2J\\u202eevil\"}\n[1.0,\"m\",\"\\u001bPq\\u001b\\\\mark\"]\n[2.0,\"o\",\"\\u001b]0;t\\u0007shown\"]\n";
    let file = write(&scratch, "evil.cast", cast.as_bytes());
    for command in [&["info"][..], &["screen"], &["search", "shown"]] {
        let (status, out, err) = run(command, &file);
        assert_eq!(status, Some(0), "{err}");
        assert!(
            !out.contains('\x1b') && !out.contains('\u{202e}'),
            "{command:?}: {out:?}"
        );
    }
}

#[test]
fn foreign_files_name_line_and_reason() {
    let scratch = Scratch::new("bad-foreign");
    let header = "{\"version\":2,\"width\":80,\"height\":24}\n";
    let cases = [
        format!("{header}[1.0,\"o\",\"ok\"]\n[oops\n"),
        format!("{header}[1.0,\"o\",\"ok\"]\n[1e400,\"o\",\"x\"]\n"),
        format!("{header}[1.0,\"o\",\"ok\"]\n[-1,\"o\",\"x\"]\n"),
        format!("{header}[1.0,\"o\",\"ok\"]\n{}\n", "[".repeat(100_000)),
    ];
    for (n, text) in cases.iter().enumerate() {
        let file = write(&scratch, &format!("{n}.cast"), text.as_bytes());
        let (status, out, err) = run(&["cat"], &file);
        assert!(
            status == Some(3) || status == Some(0),
            "{n}: {status:?} {err}"
        );
        assert_eq!(out, "ok", "{n}: what came before is shown");
        if status == Some(3) {
            assert!(err.contains("line 3"), "{n}: {err}");
        }
    }
    let file = write(
        &scratch,
        "long.cast",
        format!("{header}[1.0,\"o\",\"{}\"]\n", "x".repeat(40 << 20)).as_bytes(),
    );
    let (status, _, err) = run(&["cat"], &file);
    assert_eq!(status, Some(3), "{err}");
    assert!(err.contains("line 2"), "{err}");
    let file = write(&scratch, "huge.cast", b"{\"version\":2,\"width\":4294967295,\"height\":65535}\n[1,\"o\",\"x\"]\n[2,\"r\",\"65535x65535\"]\n[3,\"o\",\"y\"]\n");
    let (status, out, err) = run(&["screen", "--json"], &file);
    assert!(matches!(status, Some(0 | 2 | 3)), "{out} {err}");
}

#[test]
fn whoever_seeks_in_a_broken_foreign_file_gets_what_is_sound() {
    let scratch = Scratch::new("bad-foreign-seek");
    let header = "{\"version\":2,\"width\":80,\"height\":24}\n";
    let text = format!("{header}[1.0,\"o\",\"hello\"]\n[oops\n");
    let file = write(&scratch, "broken.cast", text.as_bytes());
    for command in [&["screen"][..], &["search", "hello"]] {
        let (status, out, err) = run(command, &file);
        assert!(out.contains("hello"), "{command:?} {out} {err}");
        assert_eq!(status, Some(3), "{command:?} {err}");
        assert!(err.contains("broken.cast: line 3"), "{command:?} {err}");
    }
    let (status, _, err) = run(&["search", "no such word"], &file);
    assert_eq!(status, Some(3), "{err}");
    // Where there is nothing sound, all agree.
    let line = "{\"ver\":\"2.3\",\"host\":\"h\",\"rec\":\"r\",\"user\":\"u\",\"term\":\"t\",\"session\":1,";
    let file = write(&scratch, "cut.tlog", line.as_bytes());
    for command in [&["cat"][..], &["info"], &["screen"], &["search", "x"]] {
        let (status, out, err) = run(command, &file);
        assert_eq!((status, &*out), (Some(2), ""), "{command:?} {err}");
    }
}

#[test]
fn a_notice_in_every_line_is_told_a_thousand_times() {
    let scratch = Scratch::new("bad-notices");
    let line = "{\"ver\":\"2.3\",\"host\":\"h\",\"rec\":\"r\",\"user\":\"u\",\"term\":\"t\",\
        \"session\":1,\"id\":7,\"pos\":0,\"timing\":\"\",\"in_bin\":[],\"out_bin\":[]}\n";
    let file = write(&scratch, "same.tlog", line.repeat(5000).as_bytes());
    let (status, _, err) = run(&["info"], &file);
    assert_eq!((status, err.lines().count()), (Some(0), 1001));
    assert!(err.ends_with("4000 more notices like these\n"), "{err}");
}

#[test]
fn a_journal_without_an_entry_is_said_with_what_to_do() {
    let scratch = Scratch::new("bad-journal");
    write_program(&scratch.join("journalctl"), "#!/bin/sh\nexit 0\n");
    for words in [&["cat"][..], &["screen"]] {
        let done = Command::new(hansard())
            .args(words)
            .args(["--reader", "journal", "journal"])
            .env("PATH", scratch.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains("no entry of tlog"), "{said}");
        assert!(
            said.contains("hint: ") && said.contains("systemd-journal"),
            "{said}"
        );
    }
}

#[test]
fn a_next_step_can_be_given_to_a_shell_as_it_stands() {
    let scratch = Scratch::new("bad-words");
    for (name, quoted) in [("a b", true), ("it's", true), ("plain-1.hansard", false)] {
        let file = scratch.join(name);
        let done = Command::new(hansard())
            .args(["rec", "--out"])
            .arg(&file)
            .args(["--", "true"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        let next = said.split("`hansard play ").nth(1).unwrap();
        let word = next.split("` ").next().unwrap();
        assert_eq!(word.starts_with('\''), quoted, "{said}");
        let line = format!("printf %s {word}");
        let meant = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(
            String::from_utf8(meant.stdout).unwrap(),
            file.to_str().unwrap()
        );
    }
}

#[test]
fn what_was_to_be_kept_is_said() {
    let (status, out, err) = run(&["info"], &golden("hello.hansard"));
    assert_eq!(status, Some(0), "{err}");
    let line = out.lines().find(|line| line.starts_with("  policy"));
    let line = line.unwrap_or_else(|| panic!("{out}"));
    assert!(
        line.contains("stdout, stderr") && line.contains("on_loss"),
        "{line}"
    );
}

#[test]
fn nothing_is_ever_written_over() {
    let scratch = Scratch::new("bad-over");
    let file = write(&scratch, "mine", b"precious");
    let recorded = Command::new(hansard())
        .args(["rec", "--quiet", "--out"])
        .arg(&file)
        .args(["--", "true"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(recorded.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&recorded.stderr).contains("never written over"));
    let converted = Command::new(hansard())
        .args(["convert", "--to", "raw"])
        .arg(golden("hello.hansard"))
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(converted.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&converted.stderr).contains("--force"));
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    // A conversion that fails leaves neither half a file nor a draft, also where the input only
    // seems to be of a format.
    for precious in [&b"precious"[..], b"{\"version\":2,\n"] {
        fs::write(&file, precious).unwrap();
        let failed = Command::new(hansard())
            .args(["convert", "--to", "raw"])
            .arg(&file)
            .arg(scratch.join("out"))
            .output()
            .unwrap();
        assert_eq!(failed.status.code(), Some(2));
    }
    let names: Vec<_> = fs::read_dir(scratch.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["mine"], "{names:?}");
}

#[test]
fn a_full_disk_under_the_output_is_said_and_is_no_success() {
    let scratch = Scratch::new("bad-output");
    let file = scratch.join("rec");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let recorded = Command::new(hansard())
        .args(["rec", "--quiet", "--out"])
        .arg(&file)
        .args(["--", "sh", "-c", "echo precious"])
        .stdin(Stdio::null())
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&recorded.stderr).into_owned();
    assert_eq!(recorded.status.code(), Some(125), "{said}");
    assert!(
        said.contains("hansard: standard output: No space left"),
        "{said}"
    );
    // Nothing is missing in the recording, which says what the program said and what happened.
    assert_eq!(run(&["verify"], &file).0, Some(0));
    assert_eq!(run(&["cat"], &file).1, "precious\n");
    let (_, info, _) = run(&["info"], &file);
    assert!(
        info.contains("exited; standard output: No space left"),
        "{info}"
    );
}

#[test]
fn a_recording_without_its_header_shows_what_is_sound() {
    let scratch = Scratch::new("bad-header");
    let sound = fs::read(golden("segments.hansard")).unwrap();
    let (_, shown, _) = run(&["cat"], &golden("segments.hansard"));
    let mut bytes = sound.clone();
    bytes[20] ^= 1;
    let file = write(&scratch, "headless.hansard", &bytes);
    let (status, out, err) = run(&["cat"], &file);
    assert_eq!(status, Some(3), "{err}");
    assert!(err.contains("header is lost"), "{err}");
    assert!(out.len() > 100 && shown.ends_with(&out), "{out}");
    let (status, info, err) = run(&["info"], &file);
    assert_eq!(status, Some(3), "{err}");
    for said in ["lost with the recording's header", "1 gap"] {
        assert!(info.contains(said), "{said}: {info}");
    }
    // A copy is written, and says what the original lacks.
    let copy = scratch.join("copy.hansard");
    let converted = Command::new(hansard())
        .args(["convert", "--to", "hansard"])
        .args([&file, &copy])
        .output()
        .unwrap();
    assert_eq!(converted.status.code(), Some(3));
    assert_eq!(run(&["verify"], &copy).0, Some(0));
    assert_eq!(run(&["cat"], &copy).1, out);
    assert_eq!(run(&["verify"], &file).0, Some(3));
}
