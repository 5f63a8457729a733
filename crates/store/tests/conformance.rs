//! Every implementation of a trait through the one suite for it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::sync::Arc;

use hansard_store::blob::fs::FsBlobs;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::blob::{self, BlobName};
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::catalog::sqlite::SqliteCatalog;
use hansard_store::catalog::{self};
use support::TempDir;

#[test]
fn blobs_in_memory() {
    blob::conformance::check(|| Arc::new(MemoryBlobs::default())).unwrap();
}

#[test]
fn blobs_in_files() {
    let dir = TempDir::new("blobs");
    let mut number = 0;
    blob::conformance::check(|| {
        number += 1;
        Arc::new(FsBlobs::open(&dir.path().join(number.to_string()), "test").unwrap())
    })
    .unwrap();
}

#[test]
fn a_catalog_in_memory() {
    catalog::conformance::check(|| Arc::new(MemoryCatalog::default())).unwrap();
}

#[test]
fn a_catalog_in_sqlite() {
    let dir = TempDir::new("catalog");
    let mut number = 0;
    catalog::conformance::check(|| {
        number += 1;
        let dir = dir.path().join(number.to_string());
        std::fs::create_dir(&dir).unwrap();
        Arc::new(SqliteCatalog::open(&dir, "test").unwrap())
    })
    .unwrap();
}

#[test]
fn names_that_climb_hide_or_differ_by_case_are_none() {
    let long = format!("pack/{}", "a".repeat(121));
    for bad in [
        "",
        "pack",
        "pack/",
        "pack/a",
        "/aa",
        "pack/../../etc/passwd",
        "pack/..",
        "pack/.aa",
        "pack/-aa",
        "Pack/aa",
        "pack/AA",
        "pack/a b",
        "pack/a\0",
        "pack/aa/bb",
        "pack/a\u{e4}a",
        "pack\\aa",
        "averyverylongfamily/aa",
        &long,
        "pack/aa\n",
        "..%2f/aa",
    ] {
        assert!(BlobName::parse(bad).is_err(), "{bad:?}");
    }
    assert!(BlobName::parse("pack/00.idx").is_ok());
}
