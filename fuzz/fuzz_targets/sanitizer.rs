//! The sanitizer: nothing but the allowed comes out, wherever the stream is cut.
#![no_main]

use hansard_view::Sanitizer;
use hansard_view::sanitize::Options;
use libfuzzer_sys::fuzz_target;

fn filter(pieces: &[&[u8]], options: Options) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sanitizer = Sanitizer::new(options);
    for piece in pieces {
        sanitizer.feed(piece, &mut out);
    }
    sanitizer.finish(&mut out);
    check(sanitizer.restore().as_bytes());
    out
}

/// Panics at the first thing that may not reach a viewer's terminal. Written apart from the
/// filter, as a list of what is allowed.
fn check(out: &[u8]) {
    let text = std::str::from_utf8(out).expect("UTF-8");
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\x1b' {
            assert!(!c.is_control() || "\x08\t\n\r\x0e\x0f".contains(c), "{c:?} came out");
            continue;
        }
        let short = ["7", "8", "D", "E", "M", "(0", "(B", ")0", ")B"];
        if let Some(found) = short.iter().find(|s| rest.starts_with(**s)) {
            rest = &rest[found.len()..];
            continue;
        }
        let body = rest.strip_prefix('[').expect("an escape sequence that is not allowed");
        let end = body.find(|c: char| ('@'..='~').contains(&c)).expect("an unfinished sequence");
        let (parameters, last) = (&body[..end], &body[end..=end]);
        let numeric = parameters.chars().all(|c| c.is_ascii_digit() || c == ';');
        let allowed = match last {
            "m" => parameters.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':'),
            "J" | "K" => ["", "1", "2"].contains(&parameters),
            "h" | "l" => ["?6", "?7", "?25", "?47", "?1047", "?1048", "?1049", "4", "20"]
                .contains(&parameters),
            "s" | "u" => parameters.is_empty(),
            "T" => numeric && !parameters.contains(';'),
            _ => numeric && "@ABCDEFGHILMPSXZ`abdefr".contains(last),
        };
        assert!(allowed, "CSI {parameters} {last}");
        rest = &body[end + 1..];
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let cut = usize::from(*cut) * stream.len() / 256;
    for options in [Options::default(), Options { reveal: false, bell: false }] {
        let out = filter(&[stream], options);
        check(&out);
        assert_eq!(filter(&[&stream[..cut], &stream[cut..]], options), out);
        let singly: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(filter(&singly, options), out);
        // What is allowed passes the filter as it is.
        assert_eq!(filter(&[&out], options), out);
        // A reset becomes a few dozen bytes; nothing else grows much.
        assert!(out.len() <= 40 * stream.len() + 8);
    }
});
