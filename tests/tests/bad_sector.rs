//! A recording on a disk that has lost a sector: the kernel says that it cannot be read, and what is around it can.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Stdio};

use hansard_tests::{Scratch, hansard, repository};

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
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(scratch.join("trace"))
        .arg("-P")
        .arg(&file)
        .args([
            "-e",
            "trace=pread64",
            "-e",
            "inject=pread64:error=EIO:when=1..2",
        ])
        .arg(hansard())
        .args(["verify", "--json"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let trace = std::fs::read_to_string(scratch.join("trace")).unwrap();
    assert_eq!(trace.matches("EIO").count(), 2, "{trace}");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["verdict"], "damaged");
    assert_eq!(said["damages"][0]["offset"], 0);
    // What is behind the first segment is whole.
    assert!(said["segments"].as_u64().unwrap() > 4, "{said}");
}
