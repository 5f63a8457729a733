//! The screen: fed anything in any pieces it is the same, and a keyframe restores it.
#![no_main]

use hansard_core::Body;
use hansard_fuzz::{SIDE_MAX, screen, tame};
use hansard_view::Screen;
use libfuzzer_sys::fuzz_target;

fn state(screen: &Screen) -> Vec<u8> {
    screen.to_keyframe()
}

fuzz_target!(|bytes: &[u8]| {
    let Some(([a, b, at, resize], stream)) = bytes.split_first_chunk::<4>() else { return };
    let stream = tame(stream);
    let cut = usize::from(*at) * stream.len() / 256;
    let (before, after) = stream.split_at(cut);

    let mut whole = screen([*a, *b]);
    whole.feed(&stream);
    let mut singly = screen([*a, *b]);
    for byte in &stream {
        singly.feed(&[*byte]);
    }
    assert_eq!(state(&whole), state(&singly));

    // Restored in the middle, it goes on as if nothing had been.
    let mut original = screen([*a, *b]);
    original.feed(before);
    let keyframe = state(&original);
    let mut restored = Screen::from_keyframe(&keyframe).expect("a keyframe");
    assert_eq!(state(&restored), keyframe);
    for screen in [&mut original, &mut restored] {
        screen.feed(after);
    }
    assert_eq!(state(&original), state(&whole));
    assert_eq!(state(&restored), state(&whole));
    let (cols, rows) = (u16::from(*resize) % SIDE_MAX, u16::from(*a ^ *resize) % SIDE_MAX);
    for screen in [&mut original, &mut restored] {
        screen.apply(&Body::Resize { cols, rows });
        screen.feed(before);
    }
    assert_eq!(state(&restored), state(&original));

    let (cols, rows) = whole.size();
    let rows_text = whole.rows();
    assert_eq!(rows_text.len(), usize::from(rows));
    assert!(rows_text.iter().all(|row| row.chars().count() <= usize::from(cols)));
    if let Some((col, row)) = whole.cursor() {
        assert!(col <= usize::from(cols) && row < usize::from(rows));
    }
    let svg = whole.svg();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.chars().all(|c| c == '\n' || !c.is_control()));
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    let markup = svg.matches('<').count();
    assert_eq!(markup, svg.matches('>').count());
});
