//! The committed object is what its sources make.

use std::path::Path;
use std::process::Command;

use super::support::TempDir;

#[test]
fn the_object_is_what_its_sources_make() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if std::env::var_os("CI").is_none() && !(has("clang-19") && has("llvm-strip-19")) {
        eprintln!("skipped: clang-19 and llvm-19 are not installed");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = TempDir::new();
    let made = dir.path().join("host.bpf.o");
    let built = Command::new(root.join("scripts/ebpf.sh"))
        .arg(&made)
        .status()
        .unwrap();
    assert!(built.success());
    let committed = std::fs::read(root.join("ebpf/host.bpf.o")).unwrap();
    assert!(
        std::fs::read(made).unwrap() == committed,
        "ebpf/host.bpf.o is not what ebpf/ makes: run `make ebpf` and commit it"
    );
}
