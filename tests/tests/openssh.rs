//! OpenSSH's own tests against the SSH node: the share that takes seconds. All of them: `make test-openssh`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use hansard_tests::{hansardd, repository, skipped};

#[test]
fn openssh_finds_in_the_node_what_it_expects_of_a_server() {
    if !Path::new("/usr/lib/openssh/regress").is_dir() {
        return skipped("no openssh-tests (scripts/needs.sh test)");
    }
    if !rustix::process::geteuid().is_root() {
        return skipped("not root: the node serves its own account only");
    }
    let ran = Command::new("/usr/bin/python3")
        .arg(repository().join("tests/openssh/run.py"))
        .arg("--share")
        .env("HANSARDD_BIN", hansardd())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let wrong = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{wrong}");
}
