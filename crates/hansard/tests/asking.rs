//! Asking for secrets at a terminal: nothing of them is shown, and the terminal is left as it was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod viewer;

use viewer::{Scratch, Viewer};

/// Somebody signs in at an address at which nobody answers.
fn login(scratch: &Scratch) -> Viewer {
    let home = scratch.path("home");
    let program = env!("CARGO_BIN_EXE_hansard");
    let words = ["login", "--server", "http://127.0.0.1:1", "--user", "anna"];
    let args = std::iter::once(program).chain(words).map(Into::into);
    let args: Vec<_> = args.collect();
    let mut viewer = Viewer::run(scratch, 80, 10, &args, |command| {
        command.env("HANSARD_HOME", home);
    });
    viewer.sees("Password for anna:");
    viewer
}

#[test]
fn a_terminal_shows_again_what_is_typed_whatever_key_ends_the_question() {
    for (typed, status) in [
        ("correct horse\x03", 130),
        ("\x1c", 130),
        ("\x04", 2),
        ("correct horse\r\x03", 130),
        ("correct horse\r123456\r", 2),
    ] {
        let scratch = Scratch::new();
        let mut viewer = login(&scratch);
        assert!(!viewer.has_its_modes());
        viewer.keys(typed);
        assert_eq!(viewer.ends(), status, "{typed:?}");
        assert!(viewer.has_its_modes(), "{typed:?}");
        let sent = String::from_utf8_lossy(&viewer.sent).into_owned();
        assert!(!sent.contains("horse") && !sent.contains("123"), "{sent}");
    }
}
