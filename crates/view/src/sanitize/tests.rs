//! Every control there is, at every cut.

use proptest::prelude::*;

use super::*;
use crate::Screen;

fn whole(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sanitizer = Sanitizer::default();
    sanitizer.feed(bytes, &mut out);
    sanitizer.finish(&mut out);
    out
}

fn cut_at(bytes: &[u8], cut: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sanitizer = Sanitizer::default();
    sanitizer.feed(&bytes[..cut], &mut out);
    sanitizer.feed(&bytes[cut..], &mut out);
    sanitizer.finish(&mut out);
    out
}

/// A second, strict reading of what may come out, written apart from the filter: removes one
/// allowed thing after another and answers what is left at the first that is not.
fn forbidden(out: &[u8]) -> Option<String> {
    let text = String::from_utf8(out.to_vec()).expect("UTF-8");
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if c != '\x1b' {
            let allowed = !c.is_control() || "\x08\t\n\r\x0e\x0f".contains(c);
            if !allowed {
                return Some(rest.to_owned());
            }
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let after = &rest[1..];
        let two = ["7", "8", "D", "E", "M", "(0", "(B", ")0", ")B"];
        if let Some(sequence) = two.iter().find(|s| after.starts_with(**s)) {
            rest = &after[sequence.len()..];
            continue;
        }
        let Some(body) = after.strip_prefix('[') else {
            return Some(rest.to_owned());
        };
        let end = body
            .find(|c: char| ('@'..='~').contains(&c))
            .unwrap_or(body.len());
        let Some(last) = body[end..].chars().next() else {
            return Some(rest.to_owned());
        };
        let parameters = &body[..end];
        let numeric = parameters.chars().all(|c| c.is_ascii_digit() || c == ';');
        let private = ["?6", "?7", "?25", "?47", "?1047", "?1048", "?1049"];
        let allowed = match last {
            'm' => parameters
                .chars()
                .all(|c| c.is_ascii_digit() || c == ';' || c == ':'),
            'J' | 'K' => ["", "1", "2"].contains(&parameters),
            'h' | 'l' => private.contains(&parameters) || ["4", "20"].contains(&parameters),
            's' | 'u' => parameters.is_empty(),
            'T' => numeric && !parameters.contains(';'),
            '@'
            | 'A'..='I'
            | 'L'
            | 'M'
            | 'P'
            | 'S'
            | 'X'
            | 'Z'
            | '`'
            | 'a'
            | 'b'
            | 'd'
            | 'e'
            | 'f'
            | 'r' => numeric,
            _ => false,
        };
        if !allowed {
            return Some(rest.to_owned());
        }
        rest = &body[end + 1..];
    }
    None
}

/// Filters at every cut, checks that cuts make no difference and that all of it is allowed.
fn check(bytes: &[u8]) -> Vec<u8> {
    let out = whole(bytes);
    assert_eq!(
        forbidden(&out),
        None,
        "{:?}",
        String::from_utf8_lossy(bytes)
    );
    for cut in 0..=bytes.len() {
        assert_eq!(cut_at(bytes, cut), out, "{bytes:?} cut at {cut}");
    }
    out
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8(check(bytes)).expect("UTF-8")
}

#[test]
fn what_is_allowed_passes_as_it_is() {
    for text in [
        "plain é 界 🎉",
        "a\tb\r\nc\x08d",
        "\x0eqqq\x0f",
        "\x1b[1;31mred\x1b[m",
        "\x1b[38;5;196mx",
        "\x1b[38:2::1:2:3m\x1b[4:3mx",
        "\x1b[38;2;8;8;8mx",
        "\x1b[38;5;8mx",
        "\x1b[2J\x1b[H\x1b[3;4H",
        "\x1b[K\x1b[1K\x1b[2K\x1b[J\x1b[1J",
        "\x1b[5A\x1b[5B\x1b[5C\x1b[5D\x1b[5E\x1b[5F\x1b[5G",
        "\x1b[2;20r\x1b[3S\x1b[3T\x1b[2L\x1b[2M\x1b[2P\x1b[2@\x1b[2X\x1b[9b",
        "\x1b[?1049h\x1b[?1049l",
        "\x1b[?25l\x1b[?25h\x1b[?7l\x1b[?7h\x1b[?6h\x1b[?6l\x1b[4h\x1b[4l",
        "\x1b7\x1b8\x1b[s\x1b[u",
        "\x1b(0\x1b)B",
        "\x1bD\x1bE\x1bM",
    ] {
        assert_eq!(shown(text.as_bytes()), text);
    }
}

#[test]
fn what_is_not_allowed_leaves_nothing_behind() {
    for (text, left) in [
        ("a\x1b]0;PWNED\x07b", "ab"),
        ("a\x1b]2;PWNED\x1b\\b", "ab"),
        ("a\u{9d}0;PWNED\u{9c}b", "ab"),
        ("a\x1b]52;c;PWNED\x07b", "ab"),
        ("\x1b]8;;http://PWNED\x07link\x1b]8;;\x07", "link"),
        ("a\x1b]777;notify;PWNED\x07b", "ab"),
        ("a\x1b]1337;File=:PWNED\x07b", "ab"),
        ("a\x1bPq#0PWNED\x1b\\b", "ab"),
        ("a\x1bP$qPWNED\x1b\\b", "ab"),
        ("a\x1bP+qPWNED\x1b\\b", "ab"),
        ("a\x1bPtmux;\x1b\x1b]0;PWNED\x07\x1b\\b", "ab"),
        ("a\x1b_GPWNED\x1b\\b", "ab"),
        ("a\x1b^PWNED\x1b\\b", "ab"),
        ("a\x1bXPWNED\x1b\\b", "ab"),
        ("a\u{90}PWNED\u{9c}b", "ab"),
        ("a\x1b[cb", "ab"),
        ("a\x1b[>cb", "ab"),
        ("a\x1b[=cb", "ab"),
        ("a\x1b[6nb", "ab"),
        ("a\x1b[?6nb", "ab"),
        ("a\x1b[>qb", "ab"),
        ("a\x1b[?1$pb", "ab"),
        ("a\x1bZb", "ab"),
        ("a\x05b", "ab"),
        ("a\x07b", "ab"),
        ("a\x1b[21tb", "ab"),
        ("a\x1b[8;1;1tb", "ab"),
        ("a\x1b[5ib", "ab"),
        ("a\x1b[?5ib", "ab"),
        ("a\x1b[3Jb", "ab"),
        ("a\x1b[?3hb", "ab"),
        (
            "a\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1004h\x1b[?1hb",
            "ab",
        ),
        ("a\x1b[>4;2mb", "ab"),
        ("a\x1b[1;2;3;4;5Tb", "ab"),
        ("a\x1b[=1u\x1b[>1u\x1b[?ub", "ab"),
        ("a\x1b[ qb", "ab"),
        ("a\x1b#8b", "ab"),
        ("a\x1b%Gb", "ab"),
        ("a\x1b*0b", "ab"),
        ("a\x1bnb", "ab"),
        ("a\x1b=b\x1b>c", "abc"),
        ("a\x1bHb\x1b[gc", "abc"),
        ("a\x7fb\0c", "abc"),
        ("\x1b[8mhidden\x1b[28m", "hidden\x1b[28m"),
        ("\x1b[1;8;31mhidden", "\x1b[1;31mhidden"),
        ("\u{9b}31mred\u{85}x", "\x1b[31mred\x1bEx"),
        ("a\x0bb\x0cc", "a\nb\nc"),
        ("\x1b[?25;1000;1049h", "\x1b[?25h\x1b[?1049h"),
        ("\x1b[4;12h", "\x1b[4h"),
        ("\x1b[8;:8mx", "x"),
        ("\x1b[3\n1mx", "\n\x1b[31mx"),
        ("\x1b[3\x181mx", "1mx"),
        ("\x1b(Ax", "\x1b(Bx"),
    ] {
        assert_eq!(shown(text.as_bytes()), left, "{text:?}");
    }
    // Bytes that are no UTF-8, such as bare C1 controls.
    assert_eq!(
        shown(b"a\x9b31mb\x9d0;x\x07c\xff"),
        "a\u{fffd}31mb\u{fffd}0;xc\u{fffd}"
    );
}

#[test]
fn every_control_at_every_cut() {
    for c0 in 0..0x20u8 {
        check(&[b'a', c0, b'b', 0x1b, b'[', b'3', c0, b'1', b'm', b'c']);
        check(&[b'a', 0x1b, b']', b'0', c0, b';', b'x', 0x07, b'c']);
    }
    for c1 in 0x80..0xa0u8 {
        check(&[b'a', c1, b'0', b';', b'x', 0x07, b'b', 0xc2, 0x9c, b'c']);
        check(&[
            b'a', 0xc2, c1, b'0', b';', b'x', 0x07, b'b', 0xc2, 0x9c, b'c',
        ]);
    }
    for end in 0x20..0x7fu8 {
        for between in [
            "", " ", "!", "#", "$", "%", "(", ")", "*", "+", "(%", ")\"", "-", ".", "/",
        ] {
            let mut bytes = b"a\x1b".to_vec();
            bytes.extend_from_slice(between.as_bytes());
            bytes.extend_from_slice(&[end, b'b', 0x1b, b'\\', b'c']);
            check(&bytes);
        }
        for marker in ["", "?", ">", "=", "<"] {
            for parameters in [
                "",
                "0",
                "1",
                "3",
                "5;1",
                "1;2;3;4;5",
                "1049",
                ";;",
                "4:3",
                "99999999999",
            ] {
                for between in ["", " ", "!", "\"", "$", "'", "*", "+"] {
                    let mut bytes = format!("a\x1b[{marker}{parameters}{between}").into_bytes();
                    bytes.extend_from_slice(&[end, b'b']);
                    check(&bytes);
                }
            }
        }
    }
}

#[test]
fn no_string_control_leaks_its_content() {
    let numbers = (0..120).chain([133, 633, 777, 1337, 9999]);
    for number in numbers {
        for end in ["\x07", "\x1b\\", "\u{9c}", "\x18", "\x1a"] {
            for begin in ["\x1b]", "\u{9d}"] {
                let text = format!("a{begin}{number};PWNED{end}b");
                let out = shown(text.as_bytes());
                assert_eq!(out, "ab", "{text:?}");
            }
        }
    }
    for begin in [
        "\x1bP", "\x1bX", "\x1b^", "\x1b_", "\u{90}", "\u{98}", "\u{9e}", "\u{9f}",
    ] {
        for content in [
            "qPWNED",
            "1;2|PWNED",
            "$qm PWNED",
            "+q544e PWNED",
            "Ga=T;PWNED",
            "\x07PWNED",
        ] {
            let out = shown(format!("a{begin}{content}\x1b\\b").as_bytes());
            assert_eq!(out, "ab", "{begin:?} {content:?}");
        }
    }
}

#[test]
fn an_endless_sequence_is_dropped_and_held_in_little_memory() {
    let mut sanitizer = Sanitizer::default();
    let mut out = Vec::new();
    sanitizer.feed(b"\x1b[", &mut out);
    for _ in 0..1000 {
        sanitizer.feed(&[b'1'; 1000], &mut out);
    }
    sanitizer.feed(b"mtext\x1b]0;", &mut out);
    for _ in 0..1000 {
        sanitizer.feed(&[b'x'; 1000], &mut out);
    }
    sanitizer.feed(b"\x07", &mut out);
    assert_eq!(out, b"text");
    assert!(sanitizer.sequence.capacity() <= 2 * SEQUENCE_BYTES_MAX);
}

#[test]
fn options_choose() {
    let mut out = Vec::new();
    let mut sanitizer = Sanitizer::new(Options {
        bell: true,
        reveal: false,
    });
    sanitizer.feed(b"\x07\x1b[8mx\x1b]0;t\x07\x1b[?1049h", &mut out);
    assert_eq!(out, b"\x07\x1b[8mx\x1b[?1049h");
    assert!(sanitizer.in_alternate_screen());
    sanitizer.feed(b"\x1bc", &mut out);
    assert!(!sanitizer.in_alternate_screen());
}

#[test]
fn a_terminal_is_put_back_without_moving_its_cursor_for_nothing() {
    for (stream, moves) in [
        (
            "plain \x1b[1;31mred\x1b(0\x0e\x1b[4h\x1b[?7l\x1b[?25l",
            false,
        ),
        ("\x1b[?1049hx", false),
        ("\x1b[2;3rx\x1b[?6h", true),
        ("\x1b[?1049h\x1b[2;3r\x1b[?6;7h", true),
        ("\x1b[2;3r\x1bcx", false),
    ] {
        let mut sanitizer = Sanitizer::default();
        let mut out = b"before\r\n".to_vec();
        sanitizer.feed(stream.as_bytes(), &mut out);
        sanitizer.finish(&mut out);
        let restore = sanitizer.restore();
        assert_eq!(forbidden(restore.as_bytes()), None);
        let mut screen = Screen::new(20, 5);
        screen.feed(&out);
        let before = screen.cursor();
        screen.feed(restore.as_bytes());
        if moves {
            assert_eq!(screen.cursor(), Some((0, 4)), "{stream:?}");
        } else if let (Some(before), false) = (before, sanitizer.in_alternate_screen()) {
            assert_eq!(screen.cursor(), Some(before), "{stream:?}");
        }
        // Nothing of what the stream did has an effect on what is shown next.
        screen.feed(b"\x1b[2J\x1b[Hqqq\x1b[1;1Hab\n\n\n\n\n\n");
        let mut fresh = Screen::new(20, 5);
        fresh.feed(b"\x1b[Hqqq\x1b[1;1Hab\n\n\n\n\n\n");
        let tail = |screen: &Screen| (screen.rows(), screen.cursor());
        assert_eq!(tail(&screen), tail(&fresh), "{stream:?}");
    }
}

#[test]
fn colours_cut_short_join_nothing() {
    for (text, left) in [
        ("\x1b[38;38;8;5mx", "\x1b[5mx"),
        ("\x1b[38;8;5mx", "\x1b[5mx"),
        ("\x1b[48;8;2;1;2;3mx", "\x1b[2;1;2;3mx"),
        ("\x1b[38;5mx", "x"),
        ("\x1b[38;2;1;4mx", "\x1b[1;4mx"),
        ("\x1b[38;2;48;5;9mx", "\x1b[38;2;48;5;9mx"),
        ("\x1b[38;5:1;1mx", "\x1b[1mx"),
        ("\x1b[65574;8;5mx", "\x1b[5mx"),
    ] {
        assert_eq!(shown(text.as_bytes()), left, "{text:?}");
        let (mut original, mut filtered) = (Screen::new(1, 1), Screen::new(1, 1));
        original.feed(text.as_bytes());
        filtered.feed(left.as_bytes());
        assert_eq!(original.dump(), filtered.dump(), "{text:?}");
    }
    // The emulator does not know the colour of underlines.
    assert_eq!(shown(b"\x1b[58;5;8mx"), "\x1b[58:5:8mx");
    assert_eq!(shown(b"\x1b[58;2;8;9;8mx"), "\x1b[58:2:8:9:8mx");
}

/// Pieces of a stream that the filter passes on without change of meaning.
fn allowed_piece() -> impl Strategy<Value = String> {
    let n = 0u16..30;
    prop_oneof![
        "[a-zA-Z0-9 é界🎉]{1,12}",
        prop::sample::select(vec![
            "\r\n", "\n", "\r", "\t", "\x08", "\x0b", "\x0c", "\x0e", "\x0f"
        ])
        .prop_map(str::to_owned),
        (
            n.clone(),
            prop::sample::select("@ABCDEFGILMPSTXZ`abde".chars().collect::<Vec<_>>())
        )
            .prop_map(|(n, end)| format!("\x1b[{n}{end}")),
        (
            n.clone(),
            n.clone(),
            prop::sample::select(vec!['H', 'f', 'r'])
        )
            .prop_map(|(a, b, end)| format!("\x1b[{a};{b}{end}")),
        (0u16..3, prop::sample::select(vec!['J', 'K']))
            .prop_map(|(n, end)| format!("\x1b[{n}{end}")),
        prop::collection::vec(
            prop_oneof![
                prop_oneof![
                    0u16..10,
                    20u16..50,
                    90u16..108,
                    Just(38u16),
                    Just(5u16),
                    Just(2u16)
                ]
                .prop_map(|n| n.to_string()),
                "(0|4|8|38|48)(:[0-9]{0,3}){1,5}",
            ],
            0..12
        )
        .prop_map(|p| { format!("\x1b[{}m", p.join(";")) }),
        (
            prop::sample::select(vec![6, 7, 25, 47, 1047, 1048, 1049]),
            any::<bool>()
        )
            .prop_map(|(mode, on)| format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' })),
        prop::sample::select(vec![
            "\x1b7", "\x1b8", "\x1bD", "\x1bE", "\x1bM", "\x1b(0", "\x1b(B", "\x1b)0", "\x1b)B",
            "\x1b[s", "\x1b[u", "\x1b[4h", "\x1b[4l", "\u{84}", "\u{85}", "\u{8d}", "\u{9b}5C",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_screen_is_the_same(
        pieces in prop::collection::vec(allowed_piece(), 0..60),
        cols in 1u16..40, rows in 1u16..12,
    ) {
        let text = pieces.concat();
        let (mut original, mut filtered) = (Screen::new(cols, rows), Screen::new(cols, rows));
        original.feed(text.as_bytes());
        filtered.feed(&whole(text.as_bytes()));
        prop_assert_eq!(original.dump(), filtered.dump(), "{:?}", text);
    }

    #[test]
    fn anything_comes_out_allowed(
        bytes in prop::collection::vec(prop_oneof![
            any::<u8>(), Just(0x1b), Just(b'['), Just(b']'), Just(b';'), Just(b'?'), Just(0xc2),
            0x80..0xa0u8, b'0'..=b'9', Just(7u8), Just(b'm'), Just(b'h')], 0..200),
        cut in 0usize..200,
    ) {
        let out = whole(&bytes);
        prop_assert_eq!(forbidden(&out), None);
        prop_assert_eq!(cut_at(&bytes, cut.min(bytes.len())), out);
    }
}

#[test]
fn what_came_out_passes_again_as_it_is() {
    for text in [
        format!("\x1b[4:{};58;2;1;1;1mx", "3".repeat(242)),
        format!("\x1b[4:{};38;5;mx", "3".repeat(248)),
    ] {
        let out = whole(text.as_bytes());
        assert_eq!(whole(&out), out, "{}", text.len());
    }
}
