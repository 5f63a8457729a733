//! A recording on a disk that has lost a sector: the kernel says that it cannot be read, and what is around it can.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use hansard_tests::{Scratch, hansard, repository};

/// What `verify` says of a file of which the system gives nothing in these calls.
fn verified(scratch: &Scratch, file: &Path, calls: &str) -> Output {
    Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(scratch.join("trace"))
        .arg("-P")
        .arg(file)
        .args(["-e", "trace=pread64", "-e"])
        .arg(format!("inject=pread64:error=EIO:when={calls}"))
        .arg(hansard())
        .args(["verify", "--json"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_sector_that_cannot_be_read_is_damage_and_not_the_end() {
    if Command::new("strace").arg("-V").output().is_err() {
        return hansard_tests::skipped("strace is not installed");
    }
    let scratch = Scratch::new("bad-sector");
    let file = scratch.join("session.hansard");
    std::fs::copy(
        repository().join("formats/golden/v1/segments.hansard"),
        &file,
    )
    .unwrap();
    // The first call asks for all of it, the second for the first sector alone.
    let output = verified(&scratch, &file, "1..2");
    let trace = std::fs::read_to_string(scratch.join("trace")).unwrap();
    assert_eq!(trace.matches("EIO").count(), 2, "{trace}");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["verdict"], "damaged");
    assert_eq!(said["damages"][0]["offset"], 0);
    // What is behind the first segment is whole.
    assert!(said["segments"].as_u64().unwrap() > 4, "{said}");
}

/// Zeros at the end are what a loss of power leaves of what nobody was promised; this was there.
#[test]
fn an_end_that_cannot_be_read_is_damage_and_no_torn_tail() {
    if Command::new("strace").arg("-V").output().is_err() {
        return hansard_tests::skipped("strace is not installed");
    }
    let scratch = Scratch::new("bad-end");
    let file = scratch.join("session.hansard");
    let recorded = Command::new(hansard())
        .args(["rec", "--quiet", "--out"])
        .arg(&file)
        .args(["--", "head", "-c", "600000", "/dev/urandom"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(recorded.status.success(), "{recorded:?}");
    // The first call gives 256 KiB, and no other gives anything.
    let output = verified(&scratch, &file, "2+");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["verdict"], "damaged", "{said}");
    assert_eq!(output.status.code(), Some(3));
    let intact = said["intact_bytes"].as_u64().unwrap();
    assert!((1..=256 * 1024).contains(&intact), "{said}");
}
