//! The demo, as anybody runs it, but headless: every line of it must come true.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Stdio};

use hansard_tests::{Scratch, hansard, hansardd, repository, skipped};

#[test]
fn every_line_of_the_demo_comes_true() {
    for needed in [
        "/usr/bin/python3",
        "/usr/bin/vim.tiny",
        "/usr/bin/top",
        "/usr/bin/less",
    ] {
        if !Path::new(needed).exists() {
            return skipped(&format!("{needed} is missing: scripts/needs.sh demo"));
        }
    }
    let scratch = Scratch::new("demo");
    let demo = Command::new(repository().join("scripts/demo.sh"))
        .env("DEMO_EXIT", "1")
        .env("DEMO_DIR", scratch.join("demo"))
        .env("HANSARD_BIN", hansard())
        .env("HANSARDD_BIN", hansardd())
        .env_remove("TERM")
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&demo.stdout);
    let complaint = String::from_utf8_lossy(&demo.stderr);
    assert!(
        demo.status.success(),
        "{}\n{said}\n{complaint}",
        demo.status
    );
    // One that is silently passed over is a failure too.
    let mut lines = 37;
    for (part, count, why) in [
        ("a browser", 1, "the demo's look in a browser needs one"),
        ("a login", 4, "the login of the demo needs root"),
        (
            "signing in",
            8,
            "signing in and going to hosts needs root and sshd",
        ),
        (
            "host events",
            4,
            "the kernel's part of the demo needs root and its leave",
        ),
    ] {
        if said.contains(&format!("\nskipped: {part}")) {
            lines -= count;
            skipped(why);
        }
    }
    assert_eq!(
        said.lines().filter(|l| l.starts_with("ok: ")).count(),
        lines,
        "{said}"
    );
}
