//! The rules of the tree that no compiler checks. Each test reads files and lists every breach.
//!
//! ARCHITECTURE.md says why the rules are as they are; this is where they bite.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crates;
mod docs;
mod source;
mod sources;
mod tree;

/// Fails with all breaches of a rule, one a line.
fn assert_none(rule: &str, breaches: &[String]) {
    assert!(
        breaches.is_empty(),
        "{rule}:\n  {}\n",
        breaches.join("\n  ")
    );
}
