//! Seeking equals replaying from the beginning, whatever was recorded.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::ops::ControlFlow;
use std::sync::Arc;

use hansard_core::event::Gap;
use hansard_core::writer::Bounds;
use hansard_core::{Body, Stream};
use hansard_view::index::{Index, PointKind, build, extend, index_path};
use hansard_view::source::Source;
use hansard_view::{Indexed, Replay, Screen};
use proptest::prelude::*;
use support::{Noise, TempDir, output, recording, recording_with};

fn go(_: hansard_view::index::Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn indexed(bytes: &[u8]) -> Indexed {
    Indexed::in_memory(Arc::new(bytes.to_vec()), &mut go).expect("index")
}

/// Everything that tells two screens apart.
fn state(screen: &Screen) -> Vec<u8> {
    screen.to_keyframe()
}

fn assert_seeks_like_replay(indexed: &mut Indexed, moments: &[u64]) {
    for &at_ns in moments {
        let mut from_zero = Replay::new(indexed.recording().clone());
        from_zero.advance_to(at_ns).unwrap();
        let mut sought = indexed.seek(at_ns).unwrap();
        assert_eq!(
            state(sought.screen()),
            state(from_zero.screen()),
            "at {at_ns}"
        );
        assert_eq!(sought.next_seq(), from_zero.next_seq(), "at {at_ns}");
        // And the rest of the recording is the same from there.
        for _ in 0..5 {
            assert_eq!(sought.advance().unwrap(), from_zero.advance().unwrap());
        }
        assert_eq!(
            state(sought.screen()),
            state(from_zero.screen()),
            "behind {at_ns}"
        );
    }
}

#[test]
fn a_long_noisy_session_is_the_same_from_anywhere() {
    let mut noise = Noise::new(1);
    let mut events = vec![(0, Body::Resize { cols: 80, rows: 24 })];
    let mut at_ns = 0;
    for i in 0..3000 {
        at_ns += noise.below(60_000_000);
        events.push((at_ns, output(&noise.terminal_bytes(700))));
        if i % 97 == 0 {
            let (cols, rows) = (noise.below(150) as u16, noise.below(60) as u16);
            events.push((at_ns, Body::Resize { cols, rows }));
        }
        if i % 500 == 0 {
            at_ns += 20_000_000_000;
            events.push((
                at_ns,
                Body::Mark {
                    label: format!("mark {i}"),
                },
            ));
        }
    }
    let bytes = recording(&events);
    let mut indexed = indexed(&bytes);
    assert!(
        indexed.index().entries() > 8,
        "{}",
        indexed.index().entries()
    );
    let moments: Vec<_> = (0..60)
        .map(|_| noise.below(at_ns + at_ns / 10))
        .chain([0, at_ns, u64::MAX])
        .collect();
    assert_seeks_like_replay(&mut indexed, &moments);
}

#[test]
fn a_stream_cut_inside_characters_and_sequences_is_the_same_from_anywhere() {
    let text = "\x1b[1;31mé界🎉\x1b[8mhidden\x1b[28m\x1b]0;title\x07\x1b(0lqk\x1b(B\r\n\x1b[?1049h\x1b[5;5Hx\x1b[?1049l";
    let mut events = vec![(0, Body::Resize { cols: 20, rows: 5 })];
    for (i, byte) in text.bytes().cycle().take(3000).enumerate() {
        // Eleven seconds between bytes: a keyframe after every one of them.
        events.push((i as u64 * 11_000_000_000, output(&[byte])));
    }
    let mut indexed = indexed(&recording(&events));
    assert!(indexed.index().entries() > 2900);
    let moments: Vec<_> = (0..300).map(|i| i * 110_000_000_000 / 3).collect();
    assert_seeks_like_replay(&mut indexed, &moments);
}

#[test]
fn keyframes_are_never_farther_apart_than_promised() {
    let mut noise = Noise::new(2);
    let mut events = vec![(0, Body::Resize { cols: 80, rows: 24 })];
    for i in 0..600 {
        events.push((i * 1_000_000, output(&noise.terminal_bytes(8192))));
    }
    for i in 600..900 {
        events.push((i * 1_000_000_000, output(b"tick ")));
    }
    let indexed = indexed(&recording(&events));
    let index = indexed.index();
    let entries: Vec<_> = (0..index.entries())
        .map(|n| index.entry(n).unwrap())
        .collect();
    for pair in entries.windows(2) {
        let (bytes, ns) = (
            pair[1].output_bytes - pair[0].output_bytes,
            pair[1].at_ns - pair[0].at_ns,
        );
        assert!(bytes <= 256 * 1024 + 8192, "{bytes} bytes apart");
        assert!(bytes < 256 * 1024 || ns <= 11_000_000_000 || pair[0].next_seq < 700);
    }
    let last = entries.last().unwrap();
    assert!(index.last_ns() - last.at_ns <= 11_000_000_000);
}

#[test]
fn marks_gaps_and_concealed_text_are_listed() {
    let events = vec![
        (0, Body::Resize { cols: 80, rows: 24 }),
        (1, output(b"$ \x1b[8msecret\x1b[0m")),
        (
            2,
            Body::Mark {
                label: "x".repeat(1000),
            },
        ),
        (
            3,
            Body::Gap(Gap {
                cause: "disk full".into(),
                bytes: Some(7),
                ..Gap::default()
            }),
        ),
    ];
    let indexed = indexed(&recording(&events));
    let points = indexed.index().points().unwrap();
    let kinds: Vec<_> = points.iter().map(|p| (p.kind, p.at_ns, p.seq)).collect();
    assert_eq!(
        kinds,
        [
            (PointKind::Resize, 0, 1),
            (PointKind::Concealed, 1, 2),
            (PointKind::Mark, 2, 3),
            (PointKind::Gap, 3, 4)
        ]
    );
    assert_eq!(points[1].label, "secret");
    assert_eq!(points[2].label.len(), 256);
    assert!(
        points[3].label.contains("7 bytes missing (disk full)"),
        "{}",
        points[3].label
    );
    assert_eq!(
        (indexed.index().gaps(), indexed.index().concealed_chars()),
        (1, 6)
    );
}

#[test]
fn programs_without_a_terminal_are_shown_like_on_one() {
    let data = |stream, text: &str| Body::Data {
        stream,
        bytes: text.as_bytes().to_vec(),
    };
    let events = vec![
        (1, data(Stream::Stdout, "one\ntwo\n")),
        (2, data(Stream::Stdin, "not shown")),
        (3, data(Stream::Stderr, "three\n")),
    ];
    let mut indexed = indexed(&recording(&events));
    assert_eq!(indexed.seek(2).unwrap().screen().text(), "one\ntwo\n");
    assert_eq!(
        indexed.seek(3).unwrap().screen().text(),
        "one\ntwo\nthree\n"
    );
}

#[test]
fn a_growing_recording_is_gone_on_with() {
    let mut noise = Noise::new(3);
    let mut events = vec![(0, Body::Resize { cols: 80, rows: 24 })];
    for i in 0..400 {
        events.push((i * 100_000_000, output(&noise.terminal_bytes(3000))));
        if i % 50 == 0 {
            events.push((
                i * 100_000_000,
                Body::Mark {
                    label: format!("mark {i}"),
                },
            ));
        }
    }
    let (whole, ends) = recording_with(&events, Bounds::default(), true);
    let source: Source = Arc::new(whole.clone());
    let mut fresh = Vec::new();
    build(&source, &mut fresh, &mut go).unwrap();
    let fresh = Index::open(Arc::new(fresh)).unwrap();
    // Cut at part boundaries and in the middle of parts.
    for cut in ends
        .iter()
        .flat_map(|end| [*end, end.saturating_sub(5)])
        .step_by(7)
    {
        if cut < 3000 || cut == whole.len() {
            continue;
        }
        let short: Source = Arc::new(whole[..cut].to_vec());
        let mut first = Vec::new();
        build(&short, &mut first, &mut go).unwrap();
        let first = Index::open(Arc::new(first)).unwrap();
        assert!(!first.covers(source.as_ref()).unwrap());
        let mut second = Vec::new();
        extend(&source, &first, &mut second, &mut go).unwrap();
        let second = Index::open(Arc::new(second)).unwrap();
        assert!(second.covers(source.as_ref()).unwrap());
        assert_eq!(
            second.points().unwrap(),
            fresh.points().unwrap(),
            "cut at {cut}"
        );
        assert_eq!(
            (
                second.events(),
                second.last_ns(),
                second.output_bytes(),
                second.is_complete()
            ),
            (fresh.events(), fresh.last_ns(), fresh.output_bytes(), true)
        );
        let (_, entry) = second.entry_at(u64::MAX).unwrap();
        let mut replay = Replay::new(source.clone());
        while replay.next_seq() < entry.next_seq {
            replay.advance().unwrap();
        }
        assert_eq!(
            state(&second.keyframe(&entry).unwrap()),
            state(replay.screen())
        );
    }
}

#[test]
fn the_file_beside_a_recording_is_made_kept_extended_and_made_again() {
    let dir = TempDir::new("idx");
    let path = dir.path("session.hansard");
    let mut noise = Noise::new(4);
    let mut events = vec![(0, Body::Resize { cols: 80, rows: 24 })];
    for i in 0..200 {
        events.push((i * 100_000_000, output(&noise.terminal_bytes(4000))));
    }
    let (whole, ends) = recording_with(&events, Bounds::default(), true);
    let half = ends[ends.len() / 2];
    std::fs::write(&path, &whole[..half]).unwrap();

    let mut calls = 0;
    let mut counted = |progress: hansard_view::index::Progress| {
        assert!(progress.bytes <= progress.total);
        calls += 1;
        ControlFlow::Continue(())
    };
    let first = Indexed::open(&path, &mut counted).unwrap();
    assert!(!first.index().is_complete() && calls > 1);
    let made = std::fs::read(index_path(&path)).unwrap();

    // A second opening uses it as it is.
    let mut never = |_| -> ControlFlow<()> { panic!("made again without need") };
    Indexed::open(&path, &mut never).unwrap();
    assert_eq!(std::fs::read(index_path(&path)).unwrap(), made);

    // Grown: gone on with.
    std::fs::write(&path, &whole).unwrap();
    let mut grown = Indexed::open(&path, &mut go).unwrap();
    assert!(grown.index().is_complete());
    assert_seeks_like_replay(&mut grown, &[0, 5_000_000_000, 19_000_000_000]);

    // Damaged anywhere: never wrong, made again as needed.
    let sound = std::fs::read(index_path(&path)).unwrap();
    for at in (0..sound.len()).step_by(sound.len() / 40) {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x10;
        std::fs::write(index_path(&path), &damaged).unwrap();
        let mut again = Indexed::open(&path, &mut go).unwrap();
        assert_seeks_like_replay(&mut again, &[5_000_000_000, 19_000_000_000]);
    }
    for len in [0, 10, 199, 200, sound.len() / 2, sound.len() - 1] {
        std::fs::write(index_path(&path), &sound[..len]).unwrap();
        let mut again = Indexed::open(&path, &mut go).unwrap();
        assert_seeks_like_replay(&mut again, &[5_000_000_000]);
    }

    // Of another recording: made again.
    let other = recording(&[
        (0, Body::Resize { cols: 10, rows: 4 }),
        (1, output(b"other")),
    ]);
    std::fs::write(&path, &other).unwrap();
    let mut other = Indexed::open(&path, &mut go).unwrap();
    assert_eq!(other.seek(1).unwrap().screen().text(), "other\n");
    assert_eq!(dir.names(), ["session.hansard", "session.hansard.idx"]);
}

#[test]
fn no_room_for_the_file_is_no_reason_not_to_seek() {
    let dir = TempDir::new("unsaved");
    let path = dir.path("r.hansard");
    std::fs::write(&path, recording(&[(1, output(b"hello"))])).unwrap();
    // A directory in the index's place can be neither read nor replaced.
    std::fs::create_dir_all(index_path(&path).join("in the way")).unwrap();
    let mut indexed = Indexed::open(&path, &mut go).unwrap();
    assert!(indexed.unsaved().is_some());
    assert_eq!(indexed.seek(1).unwrap().screen().text(), "hello\n");
    assert_eq!(dir.names(), ["r.hansard", "r.hansard.idx"]);
}

#[test]
fn breaking_off_leaves_nothing_behind() {
    let dir = TempDir::new("broken-off");
    let path = dir.path("r.hansard");
    std::fs::write(&path, recording(&[(1, output(b"hello"))])).unwrap();
    let error = Indexed::open(&path, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert_eq!(error.to_string(), "broken off");
    assert_eq!(dir.names(), ["r.hansard"]);
}

#[test]
fn what_is_no_recording_has_no_index() {
    for bytes in [&b""[..], b"hello", &[0; 10_000]] {
        let error = Indexed::in_memory(Arc::new(bytes.to_vec()), &mut go).unwrap_err();
        assert!(error.to_string().contains("recording"), "{error}");
    }
}

#[test]
fn a_screen_that_no_keyframe_can_say_has_none() {
    // On the alternate screen a cursor is saved in origin mode, and restored outside of the margins that were set meanwhile;
    // on the other screen none was saved in that mode.
    let outside = b"\x1b[?1047h\x1b[?6h\x1b[1;10H\x1b7\x1b[5;8r\x1b[u\x1b[?1047l";
    let mut events = vec![(0, output(outside))];
    let seconds = |n: u64| n * 1_000_000_000;
    events.extend((1..6).map(|n| (seconds(12 * n), output(b"."))));
    // From the margin, or from the top.
    events.push((seconds(70), output(b"\x1b[1;1Hhere")));
    events.push((seconds(71), output(b"\x1b[?6l\x1b[r")));
    events.extend((6..9).map(|n| (seconds(12 * n), output(b"."))));
    let mut indexed = indexed(&recording(&events));
    let moments: Vec<_> = (0..9).map(|n| seconds(12 * n) + 1).collect();
    assert_seeks_like_replay(&mut indexed, &moments);
    let mut before = indexed.seek(seconds(70)).unwrap();
    assert_eq!(
        before.screen().rows()[4],
        "here",
        "{:?}",
        before.screen().rows()
    );
    assert_eq!(
        before.advance().unwrap().map(|event| event.at_ns),
        Some(seconds(71))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn seek_equals_replay(seed in any::<u64>(), frame_events in 1usize..40) {
        let mut noise = Noise::new(seed);
        let mut events = Vec::new();
        let mut at_ns = 0;
        for _ in 0..noise.below(300) {
            at_ns += [0, 1, 1_000_000, 3_000_000_000, 12_000_000_000][noise.below(5) as usize];
            let body = match noise.below(12) {
                0 => Body::Resize { cols: noise.below(70) as u16, rows: noise.below(30) as u16 },
                1 => Body::Mark { label: String::new() },
                2 => Body::Data { stream: Stream::Keystrokes, bytes: b"k".to_vec() },
                _ => { let len = noise.below(400) as usize; output(&noise.terminal_bytes(len)) }
            };
            events.push((at_ns, body));
        }
        let bounds = Bounds { frame_events, segment_bytes: 2000, ..Bounds::default() };
        let (bytes, _) = recording_with(&events, bounds, seed % 2 == 0);
        let mut indexed = indexed(&bytes);
        let moments: Vec<_> = (0..10).map(|_| noise.below(at_ns + 2)).collect();
        assert_seeks_like_replay(&mut indexed, &moments);
    }
}

/// What real programs sent a terminal, and the size it had.
const REAL: [(&[u8], u16, u16); 4] = [
    (include_bytes!("data/editor.raw"), 80, 24),
    (include_bytes!("data/pager.raw"), 80, 24),
    (include_bytes!("data/listing.raw"), 80, 24),
    (include_bytes!("data/top.raw"), 100, 20),
];

#[test]
fn real_programs_are_the_same_from_anywhere() {
    let mut noise = Noise::new(7);
    for (bytes, cols, rows) in REAL {
        let mut events = vec![(0, Body::Resize { cols, rows })];
        let (mut at_ns, mut rest) = (0, bytes);
        while !rest.is_empty() {
            let (piece, more) = rest.split_at((1 + noise.below(150) as usize).min(rest.len()));
            events.push((at_ns, output(piece)));
            at_ns += noise.below(8_000_000_000);
            rest = more;
        }
        let mut indexed = indexed(&recording(&events));
        assert!(indexed.index().entries() > 8);
        let moments: Vec<_> = (0..40).map(|_| noise.below(at_ns)).collect();
        assert_seeks_like_replay(&mut indexed, &moments);
    }
}

#[test]
fn real_programs_look_the_same_through_the_sanitizer() {
    for (bytes, cols, rows) in REAL {
        let (mut original, mut filtered) = (Screen::new(cols, rows), Screen::new(cols, rows));
        let mut sanitizer = hansard_view::Sanitizer::default();
        for piece in bytes.chunks(61) {
            let mut out = Vec::new();
            sanitizer.feed(piece, &mut out);
            original.feed(piece);
            filtered.feed(&out);
            assert_eq!(filtered.rows(), original.rows());
            assert_eq!(filtered.cursor(), original.cursor());
        }
    }
}
