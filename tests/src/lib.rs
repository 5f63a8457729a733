//! What whole-system tests share: where the tree and the built program are, a directory to work
//! in, and the one way to say that a test cannot run here.

// Everything here runs inside tests, where a panic is how a failure is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod daemon;
mod journald;
mod ports;
mod programs;
mod repeater;

pub use daemon::Daemon;
pub use journald::Journald;
pub use ports::free_port;
pub use programs::{copy_program, write_program};
pub use repeater::Repeater;

pub mod fault_proxy;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

/// The top of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
}

/// Whether this run decides if a change lands. There, a test that cannot run is a failure.
#[must_use]
pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false")
}

/// Says that the calling test cannot run here, and why; the caller returns afterwards.
///
/// Written past the test runner's capture, so that it is seen although the test passes.
///
/// # Panics
/// In CI, where nothing may be skipped.
pub fn skipped(reason: &str) {
    assert!(!in_ci(), "cannot run, and CI skips nothing: {reason}");
    let _ = writeln!(io::stderr(), "skipped: {reason}");
}

/// Recordings made by other programs, kept outside the repository (`HANSARD_PEER_DATA`), if any.
#[must_use]
pub fn peer_data() -> Option<PathBuf> {
    env::var_os("HANSARD_PEER_DATA")
        .map(PathBuf::from)
        .filter(|p| p.is_dir())
}

/// The built `hansard`: `HANSARD_BIN` if set (as the Makefile does), else built now, once for each
/// test program, in the profile the tests themselves were built in. Never a leftover of an earlier
/// build.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn hansard() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("hansard", "HANSARD_BIN"))
}

/// The built `hansardd`: `HANSARDD_BIN`, else built now, as [`hansard`].
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn hansardd() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("hansardd", "HANSARDD_BIN"))
}

/// The program that the variable names, else the package's, built now.
fn built(package: &str, variable: &str) -> PathBuf {
    match env::var_os(variable) {
        Some(path) => {
            let path = repository().join(path);
            let shown = path.display();
            assert!(path.is_file(), "{variable} names no file: {shown}");
            path
        }
        None => build(package),
    }
}

fn build(package: &str) -> PathBuf {
    // A test program runs from <target>/<profile>/deps/NAME-HASH.
    let me = env::current_exe().expect("own path");
    let profile_dir = me
        .parent()
        .and_then(Path::parent)
        .expect("a directory of the profile");
    let release = profile_dir
        .file_name()
        .is_some_and(|name| name == "release");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(repository())
        .args(["build", "--quiet", "--locked", "-p", package]);
    command
        .arg("--target-dir")
        .arg(profile_dir.parent().expect("a target directory"));
    if release {
        command.arg("--release");
    }
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "cargo build -p {package}: {status}");
    profile_dir.join(package)
}

/// A directory of its own for one test, removed when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one, with `name` in its path.
    ///
    /// # Panics
    /// If the system's directory for temporary files cannot be written.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("hansard-{name}-{}-{n}", process::id()));
        fs::create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `name` inside it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = fs::remove_dir_all(&self.0);
    }
}
