//! Archives of classic recordings: the forms that tar has, and what hostile ones try.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::Read;
use std::sync::Arc;

use hansard_core::{Body, Event};
use hansard_view::Decoder;
use hansard_view::parts::{Directory, Inputs, Part};
use hansard_view::teleport::{ClassicDecoder, TarInputs, guess_tar};
use proptest::prelude::*;
use support::{TempDir, import};

/// A member, with a header whose sum is right.
fn member(name: &[u8], kind: u8, size: &[u8], body: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.extend_from_slice(body);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn file(name: &str, body: &[u8]) -> Vec<u8> {
    member(
        name.as_bytes(),
        b'0',
        format!("{:o}", body.len()).as_bytes(),
        body,
    )
}

fn list(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let tar = TarInputs::new(Arc::new(archive.to_vec())).map_err(|e| e.to_string())?;
    let names = tar.names().unwrap().iter();
    Ok(names
        .map(|name| {
            let mut bytes = Vec::new();
            tar.open(Part::Inside(name))
                .unwrap()
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            (name.clone(), bytes)
        })
        .collect())
}

fn named(name: &str) -> Vec<(String, Vec<u8>)> {
    vec![(name.to_owned(), b"body".to_vec())]
}

#[test]
fn every_form_of_a_name_and_a_size_is_read() {
    let long = format!("{}-0.events.gz", "s".repeat(150));
    let pax = |key: &str, value: &str| {
        let rest = format!(" {key}={value}\n");
        let len = rest.len() + 3;
        assert!((100..1000).contains(&len) || value.len() < 90);
        let text = format!("{:>}{rest}", if len >= 100 { len } else { rest.len() + 2 });
        member(
            b"pax",
            b'x',
            format!("{:o}", text.len()).as_bytes(),
            text.as_bytes(),
        )
    };
    let mut prefixed = file("s-0.events.gz", b"body");
    prefixed[345..350].copy_from_slice(b"there");
    prefixed[148..156].copy_from_slice(b"        ");
    let sum: u32 = prefixed[..512].iter().map(|b| u32::from(*b)).sum();
    prefixed[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    for (archive, name) in [
        (file("s-0.events.gz", b"body"), "s-0.events.gz"),
        (file("./s-0.events.gz", b"body"), "s-0.events.gz"),
        (
            [
                member(b"dir/", b'5', b"0", b""),
                file("dir/s-0.events.gz", b"body"),
            ]
            .concat(),
            "s-0.events.gz",
        ),
        (prefixed, "s-0.events.gz"),
        (
            [pax("path", &long), file("short", b"body")].concat(),
            long.as_str(),
        ),
        (
            [
                pax("size", "4"),
                member(b"s-0.events.gz", b'0', b"0", b"body"),
            ]
            .concat(),
            "s-0.events.gz",
        ),
        (
            [
                member(
                    b"././@LongLink",
                    b'L',
                    format!("{:o}", long.len() + 1).as_bytes(),
                    format!("{long}\0").as_bytes(),
                ),
                file("short", b"body"),
            ]
            .concat(),
            long.as_str(),
        ),
        (
            member(
                b"s-0.events.gz",
                b'0',
                b"\x80\0\0\0\0\0\0\0\0\0\0\x04",
                b"body",
            ),
            "s-0.events.gz",
        ),
        (
            [
                file("s-0.events.gz", b"body"),
                vec![0; 1024],
                b"not looked at".to_vec(),
            ]
            .concat(),
            "s-0.events.gz",
        ),
    ] {
        assert_eq!(list(&archive), Ok(named(name)), "{name}");
        assert!(guess_tar(&archive), "{name}");
    }
    assert!(!guess_tar(&file("etc/passwd", b"x")) && !guess_tar(&[7; 512]) && !guess_tar(b""));
}

#[test]
fn what_leads_elsewhere_is_refused_with_the_offset() {
    let sound = file("s-0.events.gz", b"body");
    let cases: [(Vec<u8>, &str); 12] = [
        (file("../s-0.events.gz", b""), "leads out of the archive"),
        (
            file("a/../../s-0.events.gz", b""),
            "leads out of the archive",
        ),
        (file("/etc/passwd", b""), "leads out of the archive"),
        (member(b"s-1.events.gz", b'2', b"0", b""), "a link"),
        (member(b"s-1.events.gz", b'1', b"0", b""), "a link"),
        (member(b"s-1.events.gz", b'3', b"0", b""), "no regular file"),
        (
            file("s-0.events.gz", b"other"),
            "a second member of the same name",
        ),
        (
            member(
                b"x",
                b'0',
                b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                b"",
            ),
            "size is no number",
        ),
        (
            member(
                b"x",
                b'0',
                b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
                b"",
            ),
            "absurd size",
        ),
        (
            member(b"x", b'x', b"7777777", b""),
            "an extended header of 2097151 bytes",
        ),
        (
            member(b"x", b'x', b"5", b"9 a=b"),
            "an extended header that is damaged",
        ),
        (vec![7; 512], "its sum is wrong"),
    ];
    for (hostile, wanted) in cases {
        let archive = [sound.clone(), hostile].concat();
        let error = list(&archive).unwrap_err();
        assert!(
            error.starts_with("offset 1024: ") && error.contains(wanted),
            "{error}, not {wanted}"
        );
    }
}

fn read(inputs: &dyn Inputs) -> (Vec<Event>, Option<String>, Vec<String>) {
    let mut decoder = ClassicDecoder::new(inputs, import());
    let mut events = Vec::new();
    loop {
        match decoder.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None, decoder.take_notices()),
            Err(e) => return (events, Some(e.to_string()), decoder.take_notices()),
        }
    }
}

fn sample() -> Vec<u8> {
    let path = format!(
        "{}/tests/data/teleport/classic.tar",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(path).unwrap()
}

#[test]
fn an_archive_that_was_cut_gives_what_is_sound() {
    let whole = sample();
    let (all, ..) = read(&TarInputs::new(Arc::new(whole.clone())).unwrap());
    for cut in (0..whole.len()).step_by(64) {
        let Ok(tar) = TarInputs::new(Arc::new(whole[..cut].to_vec())) else {
            continue;
        };
        let (events, error, notices) = read(&tar);
        let sound = |event: &Event| {
            let body = |event: &Event| {
                matches!(event.body, Body::Gap(_) | Body::End(_))
                    || all.iter().any(|e| e.body == event.body)
            };
            // The last bytes of the terminal can be fewer.
            body(event) || matches!(&event.body, Body::Data { .. })
        };
        assert!(events.iter().skip(1).all(sound), "cut at {cut}");
        // What is missing is said, unless only the archive's own padding is.
        let told = error.is_some() || !notices.is_empty();
        assert!(told || events == all, "cut at {cut}: nothing was said");
    }
}

#[test]
fn a_directory_is_read_and_leads_nowhere_else() {
    let dir = TempDir::new("teleport-dir");
    for (name, bytes) in list(&sample()).unwrap() {
        std::fs::write(dir.path(&name), bytes).unwrap();
    }
    let (events, error, notices) = read(&Directory::open(&dir.path("")).unwrap());
    assert_eq!((error, notices), (None, vec![]));
    assert_eq!(events, read(&TarInputs::new(Arc::new(sample())).unwrap()).0);
    // An index that names files elsewhere, and a link in the place of a file.
    let sid = "6f1c0a52-9d0b-4c8e-8f8f-0e6a5c1b2d3e";
    let index = dir.path(&format!("{sid}.index"));
    for name in ["../x-0.events.gz", "/etc/passwd", "other-0.events.gz", ""] {
        std::fs::write(
            &index,
            format!("{{\"file_name\":{name:?},\"type\":\"events\"}}\n"),
        )
        .unwrap();
        let (events, error, _) = read(&Directory::open(&dir.path("")).unwrap());
        let error = error.unwrap();
        assert!(
            events.is_empty()
                && error.starts_with("line 1 (offset 0): ")
                && error.contains("refused"),
            "{error}"
        );
    }
    std::fs::remove_file(&index).unwrap();
    let chunks = dir.path(&format!("{sid}-0.chunks.gz"));
    std::fs::remove_file(&chunks).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &chunks).unwrap();
    assert!(read(&Directory::open(&dir.path("")).unwrap()).1.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_archive_is_read_or_refused(at in 0usize..10_240, byte in any::<u8>()) {
        let mut archive = sample();
        archive[at] = byte;
        match TarInputs::new(Arc::new(archive)) {
            Ok(tar) => {
                let (_, error, _) = read(&tar);
                prop_assert!(error.is_none_or(|e| e.contains("offset ")));
            }
            Err(e) => prop_assert!(e.to_string().starts_with("offset ")),
        }
    }
}
