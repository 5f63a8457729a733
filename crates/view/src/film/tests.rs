//! Films, decoded again: size, moments, and what is seen at each.

use hansard_core::event::Stream;
use hansard_core::seal::SigningKey;
use hansard_core::{Body, Event, Fields, Policy, Session, SessionId};

use super::canvas::{Canvas, TRANSPARENT};
use super::*;

const SECOND: u64 = SECOND_NS;

fn header() -> Session {
    Session {
        id: SessionId::from_bytes([1; 16]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 0,
        clock: hansard_core::session::ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder: "test".to_owned(),
        recorder_key: SigningKey::from_seed([7; 32]).public(),
    }
}

fn output(at_ns: u64, text: &str) -> (u64, Body) {
    let bytes = text.as_bytes().to_vec();
    let stream = Stream::Output;
    (at_ns, Body::Data { stream, bytes })
}

fn resize(at_ns: u64, cols: u16, rows: u16) -> (u64, Body) {
    (at_ns, Body::Resize { cols, rows })
}

fn filmed(bodies: Vec<(u64, Body)>, kind: Kind) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let mut film = FilmEncoder::new(&mut out, kind);
    film.begin(&header())?;
    for (seq, (at_ns, body)) in (1..).zip(bodies) {
        film.event(&Event { seq, at_ns, body })?;
    }
    film.end()?;
    Ok(out)
}

/// A screen of 20 columns and three rows on which this is shown.
fn shown(texts: &[(u64, &str)]) -> Vec<(u64, Body)> {
    let texts = texts.iter().map(|(at_ns, text)| output(*at_ns, text));
    std::iter::once(resize(0, 20, 3)).chain(texts).collect()
}

/// One picture as a reader of GIFs has it: for how long, hundredths of a second, and all its pixels.
struct Shown {
    hundredths: u16,
    pixels: Vec<u8>,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// LZW, as the specification of GIF89a tells it to a reader.
fn unpack(packed: &[u8]) -> Vec<u8> {
    let (mut out, mut table): (Vec<u8>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    let reset = |table: &mut Vec<Vec<u8>>| {
        *table = (0..=255u8).map(|n| vec![n]).collect();
        table.extend([Vec::new(), Vec::new()]);
    };
    reset(&mut table);
    let (mut size, mut at, mut last): (usize, usize, Option<usize>) = (9, 0, None);
    loop {
        let code = (0..size).fold(0usize, |code, bit| {
            let place = at + bit;
            code | (usize::from(packed[place / 8] >> (place % 8) & 1) << bit)
        });
        at += size;
        match (code, last) {
            (257, _) => return out,
            (256, _) => {
                reset(&mut table);
                (size, last) = (9, None);
                continue;
            }
            (code, None) => out.extend(&table[code]),
            (code, Some(before)) => {
                let mut entry = table[before].clone();
                let first = table.get(code).map_or(entry[0], |known| known[0]);
                entry.push(first);
                if table.len() < 4096 {
                    table.push(entry.clone());
                }
                let known = table.get(code).cloned().unwrap_or(entry);
                out.extend(known);
            }
        }
        last = Some(code);
        if table.len() == 1 << size && size < 12 {
            size += 1;
        }
    }
}

fn blocks(gif: &[u8], at: &mut usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while gif[*at] != 0 {
        let end = *at + 1 + usize::from(gif[*at]);
        bytes.extend(&gif[*at + 1..end]);
        *at = end;
    }
    *at += 1;
    bytes
}

fn decode(gif: &[u8]) -> ((u16, u16), Vec<Shown>) {
    assert_eq!(&gif[..6], b"GIF89a");
    let (width, height) = (u16_at(gif, 6), u16_at(gif, 8));
    let wide = usize::from(width);
    let mut pixels = vec![TRANSPARENT; wide * usize::from(height)];
    let (mut at, mut hundredths, mut all) = (13 + 3 * 256, 0, Vec::new());
    loop {
        match gif[at] {
            0x3b => {
                assert_eq!(at + 1, gif.len());
                return ((width, height), all);
            }
            0x21 => {
                let kind = gif[at + 1];
                at += 2;
                let bytes = blocks(gif, &mut at);
                if kind == 0xf9 {
                    assert_eq!((bytes[0], bytes[3]), (5, TRANSPARENT));
                    hundredths = u16_at(&bytes, 1);
                }
            }
            0x2c => {
                let [x, y, w, h] = [1, 3, 5, 7].map(|n| usize::from(u16_at(gif, at + n)));
                assert_eq!(gif[at + 10], 8);
                at += 11;
                let part = unpack(&blocks(gif, &mut at));
                assert_eq!(part.len(), w * h);
                for (n, row) in part.chunks(w).enumerate() {
                    let from = (y + n) * wide + x;
                    let there = &mut pixels[from..from + w];
                    for (there, pixel) in there.iter_mut().zip(row) {
                        if *pixel != TRANSPARENT {
                            *there = *pixel;
                        }
                    }
                }
                let pixels = pixels.clone();
                all.push(Shown { hundredths, pixels });
            }
            other => panic!("{other:#x} at {at}"),
        }
    }
}

/// The pixels of a screen on which this is shown.
fn painted(cols: u16, rows: u16, text: &str) -> Vec<u8> {
    let mut screen = Screen::new(cols, rows);
    screen.feed(text.as_bytes());
    let mut canvas = Canvas::default();
    canvas.paint(&Picture::default().change(&screen).unwrap());
    canvas.since(&Canvas::default()).unwrap().1
}

#[test]
fn a_film_shows_each_screen_for_as_long_as_it_stood() {
    // Two in one picture, one by itself, and one after a pause that is shortened.
    let all = shown(&[
        (SECOND, "one"),
        (SECOND + 20_000_000, " two"),
        (3 * SECOND / 2, "\r\nthree"),
        (60 * SECOND, "\r\n\x1b[31mfour"),
    ]);
    let (size, all) = decode(&filmed(all, Kind::Gif).unwrap());
    assert_eq!(size, (20 * 8, 3 * 16));
    let times: Vec<u16> = all.iter().map(|one| one.hundredths).collect();
    assert_eq!(times, [100, 50, 200, 200]);
    let texts = [
        "",
        "one two",
        "one two\r\nthree",
        "one two\r\nthree\r\n\x1b[31mfour",
    ];
    for (one, text) in all.iter().zip(texts) {
        assert!(one.pixels == painted(20, 3, text), "{text}");
    }
    // Red is on the last one only.
    let red = |one: &Shown| one.pixels.iter().filter(|p| **p == 1).count();
    let counts: Vec<usize> = all.iter().map(red).collect();
    assert!(counts[..3] == [0; 3] && counts[3] > 20, "{counts:?}");
}

#[test]
fn what_fills_the_dictionary_comes_back_as_it_was() {
    let mut noise = String::new();
    let mut state = 1u32;
    for _ in 0..1000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (color, c) = (state >> 24, char::from(33 + (state >> 16 & 63) as u8));
        noise.push_str(&format!("\x1b[48;5;{color}m\x1b[38;5;{}m{c}", 255 - color));
    }
    let shown = vec![resize(0, 50, 20), output(0, &noise)];
    let (_, all) = decode(&filmed(shown, Kind::Gif).unwrap());
    assert_eq!(all.len(), 1);
    assert!(all[0].pixels == painted(50, 20, &noise));
}

#[test]
fn a_screen_that_grows_and_shrinks_is_seen_whole() {
    let all = vec![
        resize(0, 10, 2),
        output(SECOND, "small"),
        resize(2 * SECOND, 30, 4),
        output(3 * SECOND, "\r\nlarge"),
        resize(4 * SECOND, 12, 3),
    ];
    let (size, all) = decode(&filmed(all, Kind::Gif).unwrap());
    assert_eq!(size, (30 * 8, 4 * 16));
    // Ground first, where the larger one will be; nothing is ever left as it came.
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|one| !one.pixels.contains(&TRANSPARENT)));
    assert!(all[4].pixels == painted(30, 4, "small\r\nlarge"));
    let lit = |one: &Shown, from: usize| one.pixels.iter().skip(from).any(|p| *p == 231);
    assert!(
        lit(&all[4], 0) && !lit(&all[5], 30 * 8 * 48),
        "ground outside"
    );
}

#[test]
fn characters_of_the_world_are_drawn_and_what_the_font_lacks_is_marked() {
    let ink = |text: &str| {
        let pixels = painted(8, 1, text);
        pixels.iter().filter(|p| **p == 231).count()
    };
    let cursor = ink("");
    for text in ["a", "ж", "λ", "界", "│", "█", "é", "😀"] {
        assert!(ink(text) > cursor, "{text}");
    }
    assert!(
        painted(8, 1, "😀") == painted(8, 1, "🙈"),
        "no such letters"
    );
    assert!(ink("\x1b[1ma") > ink("a"), "bold");
    // Lines of two cells meet.
    let line = painted(4, 1, "──\x1b[?25l");
    let row = line.chunks(32).find(|row| row[0] == 231).unwrap();
    assert!(row[..16].iter().all(|p| *p == 231), "{row:?}");
}

#[test]
fn a_film_has_an_end_and_nothing_is_no_film() {
    let long: Vec<(u64, String)> = (0..700)
        .map(|n| (2 * n * SECOND, format!("\r\n{n}")))
        .collect();
    let long: Vec<(u64, &str)> = long.iter().map(|(at, text)| (*at, &**text)).collect();
    let refused = filmed(shown(&long), Kind::Gif).unwrap_err().to_string();
    assert!(refused.contains("10 minutes"), "{refused}");
    let refused = filmed(Vec::new(), Kind::Gif).unwrap_err().to_string();
    assert!(refused.contains("nothing on a screen"), "{refused}");
    // However large a screen says that it is.
    let shown = vec![resize(0, 10_000, 10_000), output(0, "x")];
    let (size, _) = decode(&filmed(shown, Kind::Gif).unwrap());
    assert_eq!(size, (COLS_MAX * 8, ROWS_MAX * 16));
}
