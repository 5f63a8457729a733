//! What somebody gets wrong who is in a hurry: a file that is none, a stretch behind the end, a name that is
//! taken. Each is one sentence that says what is wrong, and one that says what to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use hansard_tests::{Scratch, copy_program, hansard, repository};

/// An account that nobody has.
const NOBODY: u32 = 65_534;

fn golden() -> String {
    let file = repository().join("formats/golden/v1/segments.hansard");
    file.to_string_lossy().into_owned()
}

fn ran(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output.status.code(), out, err)
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(hansard());
    command.args(args);
    ran(command)
}

/// The complaint of a command that must fail, with a next step.
fn refused(args: &[&str]) -> String {
    let (status, out, err) = run(args);
    assert_eq!((status, out.as_str()), (Some(2), ""), "{args:?}: {err}");
    assert!(err.contains("\nhint: "), "{args:?}: {err}");
    err
}

#[test]
fn a_stretch_behind_the_end_makes_no_empty_copy() {
    let scratch = Scratch::new("wrong-clip");
    let (file, out) = (golden(), scratch.join("out"));
    let target = out.to_str().unwrap();
    for format in ["raw", "asciicast-v3", "hansard", "transcript"] {
        let ask = |clip: &str, target: &str| {
            refused(&["convert", "--to", format, "--clip", clip, &file, target])
        };
        for clip in ["2:30..", "2:30..3:00"] {
            let said = ask(clip, target);
            assert!(
                said.contains("which is 2:21 long"),
                "{format} {clip}: {said}"
            );
            assert!(!out.exists(), "{format} {clip}");
            ask(clip, "-");
        }
    }
    // What there was before stays.
    fs::write(&out, "kept").unwrap();
    refused(&[
        "convert", "--force", "--to", "raw", "--clip", "2:30..", &file, target,
    ]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "kept");
    let (status, _, err) = run(&[
        "convert", "--force", "--to", "raw", "--clip", "2:20..", &file, target,
    ]);
    assert_eq!(status, Some(0), "{err}");
    assert!(fs::metadata(&out).unwrap().len() > 0);
}

#[test]
fn a_moment_behind_the_end_is_said() {
    let file = golden();
    let (status, behind, err) = run(&["screen", "--at", "9h", &file]);
    assert_eq!(status, Some(0), "{err}");
    assert!(
        err.contains("the recording is 2:21 long, and --at is 9:00:00"),
        "{err}"
    );
    let (_, end, err) = run(&["screen", "--at", "end", &file]);
    assert_eq!((behind, err.as_str()), (end, ""));
}

#[test]
fn what_is_no_recording_says_what_it_is() {
    let scratch = Scratch::new("wrong-file");
    let empty = scratch.join("empty");
    fs::write(&empty, "").unwrap();
    let (empty, missing) = (empty.to_str().unwrap().to_owned(), scratch.join("missing"));
    let directory = scratch.path().to_str().unwrap();
    let nowhere = scratch.join("nowhere/file");
    for command in [
        &["verify"][..],
        &["info"],
        &["cat"],
        &["screen"],
        &["search", "x"],
    ] {
        let of = |file: &str| refused(&[command, &[file]].concat());
        assert!(of(directory).contains(": is a directory"), "{command:?}");
        assert!(of(&empty).contains(": is empty\n"), "{command:?}");
        assert!(
            of(missing.to_str().unwrap()).contains("No such file"),
            "{command:?}"
        );
        let gone = of(nowhere.to_str().unwrap());
        assert!(
            gone.contains("there is no directory "),
            "{command:?} {gone}"
        );
    }
    let out = scratch.join("out");
    let out = out.to_str().unwrap();
    assert!(refused(&["convert", "--to", "raw", &empty, out]).contains(": is empty\n"));
    let said = refused(&[
        "convert",
        "--to",
        "raw",
        &golden(),
        nowhere.to_str().unwrap(),
    ]);
    assert!(said.contains("hint: there is no directory "), "{said}");
}

#[test]
fn who_may_not_is_told_whose_it_is() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can be somebody else");
        return;
    }
    let scratch = Scratch::new("wrong-owner");
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    let file = scratch.join("file");
    fs::copy(golden(), &file).unwrap();
    // The program itself may lie where others cannot reach it.
    let program = scratch.join("hansard");
    copy_program(hansard(), &program);
    let as_nobody = |args: &[&str], path: &Path| {
        let mut command = Command::new(&program);
        command.args(args).arg(path).uid(NOBODY).gid(NOBODY);
        command.current_dir("/");
        let (status, _, err) = ran(command);
        assert_eq!(status, Some(2), "{err}");
        err
    };
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    for command in ["info", "cat", "verify", "screen"] {
        let said = as_nobody(&[command], &file);
        assert!(
            said.contains("belongs to root (mode 600), and this is "),
            "{said}"
        );
    }
    let shared = scratch.join("shared");
    fs::copy(golden(), &shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o644)).unwrap();
    let shared = shared.to_str().unwrap();
    let said = as_nobody(&["convert", "--to", "raw", shared], &scratch.join("out"));
    let directory = scratch.path().display();
    assert!(
        said.contains(&format!("{directory} belongs to root (mode 755)")),
        "{said}"
    );
}

#[test]
fn a_key_is_never_replaced_and_no_half_of_one_is_left() {
    let scratch = Scratch::new("wrong-key");
    let (key, public) = (scratch.join("key"), scratch.join("key.pub"));
    let name = key.to_str().unwrap();
    assert_eq!(run(&["keygen", name]).0, Some(0));
    let was = fs::read(&key).unwrap();
    let said = refused(&["keygen", name]);
    assert!(said.contains("a key is never replaced"), "{said}");
    assert_eq!(fs::read(&key).unwrap(), was);
    fs::remove_file(&key).unwrap();
    let said = refused(&["keygen", name]);
    assert!(said.contains("key.pub: is there already"), "{said}");
    assert!(!key.exists() && public.exists());
    let said = refused(&[
        "convert",
        "--to",
        "hansard",
        "--key",
        &golden(),
        &golden(),
        "-",
    ]);
    assert!(said.contains("not an Ed25519 private key in PEM"), "{said}");
}

#[test]
fn options_that_would_be_passed_over_are_refused() {
    let (file, scratch) = (golden(), Scratch::new("wrong-option"));
    let out = scratch.join("out");
    let out = out.to_str().unwrap();
    for command in [&["info"][..], &["cat"], &["screen"], &["search", "up"]] {
        let said = refused(&[command, &["--rec", "nope", &file]].concat());
        assert!(said.contains("and this is hansard"), "{command:?}: {said}");
        refused(&[command, &["--timing", "none", &file]].concat());
    }
    refused(&["convert", "--to", "raw", "--rec", "nope", &file, out]);
    assert!(fs::metadata(out).is_err());
    let wrong = |args: &[&str], words: &str| {
        let (status, out, err) = run(args);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    };
    wrong(&["search", "up", "--limit", "0", &file], "at least 1");
    for number in ["-1", "NaN", "inf", "x"] {
        let limit = format!("--idle-limit={number}");
        wrong(&["play", &limit, &file], "from 0 on");
    }
    for command in [
        &[
            "share",
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "--for",
            "x",
        ][..],
        &["lock", "add", "user:x"],
        &["token", "create"],
    ] {
        wrong(&[command, &["--ttl", "0s"]].concat(), "over at once");
    }
    let policy = scratch.join("policy");
    fs::write(&policy, "\n").unwrap();
    let said = refused(&["policy", "set", policy.to_str().unwrap()]);
    assert!(said.contains("there is no policy in it"), "{said}");
}

#[test]
fn what_is_no_recording_says_what_it_looks_like() {
    let scratch = Scratch::new("wrong-alike");
    let zstd = b"\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00";
    for (name, bytes, what) in [
        (
            "a.gz",
            &b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..],
            "compressed by gzip",
        ),
        ("a.zst", zstd, "compressed by zstd"),
        ("a.xz", b"\xfd7zXZ\0\0\x04", "compressed by xz"),
        (
            "a.cast",
            b"{\"version\": 1, \"stdout\": []}",
            "an asciicast of version 1",
        ),
        (
            "a.timing",
            b"0.012 42\n0.5 3\n",
            "the timing of a typescript",
        ),
        ("a.txt", b"a line\n", "plain text"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0", "a picture (PNG)"),
        ("a.elf", b"\x7fELF\x02\x01\x01", "a program (ELF)"),
    ] {
        let file = scratch.join(name);
        fs::write(&file, bytes).unwrap();
        for command in ["info", "screen", "cat", "verify"] {
            let said = refused(&[command, file.to_str().unwrap()]);
            let wanted = format!("it looks like {what}\n");
            assert!(said.contains(&wanted), "{command} {name}: {said}");
        }
    }
}

#[test]
fn a_directory_of_sudo_logs_says_which_one_to_name() {
    let scratch = Scratch::new("wrong-sudo");
    let session = scratch.join("sud/00/00/01");
    fs::create_dir_all(&session).unwrap();
    for name in ["log", "timing", "ttyout"] {
        fs::write(session.join(name), "").unwrap();
    }
    fs::write(
        session.join("log"),
        "1795219200:anna:root::/dev/pts/1\n/\n/bin/ls\n",
    )
    .unwrap();
    let named = session.to_str().unwrap();
    for above in ["sud", "sud/00", "sud/00/00"] {
        let above = scratch.join(above);
        for command in ["info", "screen", "verify"] {
            let said = refused(&[command, above.to_str().unwrap()]);
            let wanted = format!("hint: name one session's directory, such as {named}\n");
            assert!(
                said.contains(&wanted),
                "{command} {}: {said}",
                above.display()
            );
        }
    }
    let said = refused(&["info", session.join("log").to_str().unwrap()]);
    assert!(
        said.contains(&format!("name the directory, {named}\n")),
        "{said}"
    );
}

#[test]
fn a_moment_has_no_fraction_before_a_colon() {
    for at in ["1.5:30", "-1", "-1:30"] {
        let (status, _, err) = run(&["screen", "--at", at, &golden()]);
        assert_eq!(status, Some(2), "{at}: {err}");
        assert!(err.contains("not a moment; write seconds"), "{at}: {err}");
    }
}

#[test]
fn a_key_is_for_what_is_signed() {
    let scratch = Scratch::new("wrong-key");
    let (key, out) = (scratch.join("key"), scratch.join("out"));
    let (key, out) = (key.to_str().unwrap(), out.to_str().unwrap());
    assert_eq!(run(&["keygen", key]).0, Some(0));
    let said = refused(&["convert", "--to", "raw", "--key", key, &golden(), out]);
    assert!(said.contains("raw has no signature"), "{said}");
    // A part of a recording has no end, and all of it is signed.
    let args = [
        "convert",
        "--to",
        "hansard",
        "--key",
        key,
        "--clip",
        "0..1",
        &golden(),
        out,
    ];
    let (status, _, err) = run(&args);
    assert_eq!(status, Some(0), "{err}");
    let (status, said, err) = run(&["verify", "--trust", &format!("{key}.pub"), out]);
    assert_eq!(status, Some(1), "{said}{err}");
    assert!(said.contains(": unfinished, intact"), "{said}");
    assert!(said.contains(", 0 events not sealed"), "{said}");
    assert!(said.contains("(trusted)"), "{said}");
}

#[test]
fn what_was_found_stands_at_the_moment_that_is_said() {
    let scratch = Scratch::new("found-moment");
    let (jsonl, tlog) = (scratch.join("it.jsonl"), scratch.join("it.tlog"));
    let (file, tlog) = (jsonl.to_str().unwrap(), tlog.to_str().unwrap());
    let golden = golden();
    let head = run(&["convert", "--to", "jsonl", &golden, "-"]).1;
    let mut text = format!("{}\n", head.lines().next().unwrap());
    text.push_str("{\"seq\":1,\"at_ns\":3006802856,\"family\":\"data\",\"stream\":\"output\",\"text\":\"C:\\\\temp quokka\"}\n");
    fs::write(&jsonl, text).unwrap();
    let (status, found, err) = run(&["search", "quokka", file]);
    assert_eq!(
        (status, found.as_str()),
        (Some(0), "0:03.007\t1\tC:\\temp quokka\n"),
        "{err}"
    );
    let (status, screen, err) = run(&["screen", "--at", "0:03.007", file]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert_eq!(screen, "C:\\temp quokka\n");
    // Nothing of a recording that showed nothing is in a format of what was shown.
    fs::write(&jsonl, format!("{}\n", head.lines().next().unwrap())).unwrap();
    for format in ["tlog", "ttyrec"] {
        let (status, _, err) = run(&["convert", "--force", "--to", format, file, tlog]);
        assert_eq!(status, Some(0), "{err}");
        assert!(err.contains("is empty: "), "{format}: {err}");
    }
}
