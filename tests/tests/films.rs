//! Recordings as films, judged by ffmpeg: how large, how long, how many pictures; what is seen is the
//! business of the painter's own tests, but that something is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hansard_tests::{Scratch, hansard, in_ci, skipped, write_program};
use serde_json::Value as Json;

/// A second, another one, a pause of a minute, a word in red.
const CAST: &str = r#"{"version": 2, "width": 40, "height": 10}
[0.5, "o", "one\r\n"]
[1.0, "o", "two\r\n"]
[61.0, "o", "\u001b[31mred\u001b[m\r\n"]
[62.0, "o", "last"]
"#;

fn convert(args: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(hansard());
    command.arg("convert").args(args).args(files);
    command.stdin(Stdio::null()).output().unwrap()
}

fn made(args: &[&str], files: &[&Path]) {
    let out = convert(args, files);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "{args:?}: {said}");
}

fn cast(scratch: &Scratch) -> PathBuf {
    let cast = scratch.join("in.cast");
    fs::write(&cast, CAST).unwrap();
    cast
}

fn has_ffmpeg() -> bool {
    let is_there = |name| Path::new("/usr/bin").join(name).exists();
    let is_whole = is_there("ffmpeg") && is_there("ffprobe");
    if !is_whole && !in_ci() {
        skipped("no ffmpeg: `make needs-test`");
    }
    is_whole || in_ci()
}

/// What ffprobe says of the picture in a file: width, height, pictures, seconds.
fn probed(film: &Path) -> (u64, u64, u64, f64) {
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_frames",
            "-show_streams",
            "-show_packets",
        ])
        .args(["-of", "json"])
        .arg(film)
        .output()
        .unwrap();
    let said: Json = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(said["streams"].as_array().unwrap().len(), 1, "{said}");
    let stream = &said["streams"][0];
    let number = |text: &Json| text.as_str().unwrap().parse::<f64>().unwrap();
    let last = said["packets"].as_array().unwrap().last().unwrap();
    let seconds = number(&last["pts_time"]) + number(&last["duration_time"]);
    (
        stream["width"].as_u64().unwrap(),
        stream["height"].as_u64().unwrap(),
        stream["nb_read_frames"].as_str().unwrap().parse().unwrap(),
        seconds,
    )
}

/// The picture of a film at a second, as red, green and blue of each of its pixels.
fn seen(film: &Path, second: &str) -> Vec<[u8; 3]> {
    let out = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(film)
        .args(["-vf", "fps=10", "-ss", second, "-frames:v", "1"])
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    let (pixels, _) = out.stdout.as_chunks::<3>();
    pixels.to_vec()
}

fn red(pixels: &[[u8; 3]]) -> usize {
    // Strokes are one pixel wide and MP4 keeps a colour for four: red is what is clearly more red.
    let is_red = |[r, g, b]: &&[u8; 3]| *r > 90 && *r - 50 > (*g).max(*b);
    pixels.iter().filter(is_red).count()
}

fn light(pixels: &[[u8; 3]]) -> usize {
    let is_light = |pixel: &&[u8; 3]| pixel.iter().all(|value| *value > 150);
    pixels.iter().filter(is_light).count()
}

#[test]
fn gif_and_mp4_show_what_was_shown_for_as_long() {
    if !has_ffmpeg() {
        return;
    }
    let scratch = Scratch::new("films");
    let input = cast(&scratch);
    // A GIF has a picture where something changed, an MP4 twenty in each second.
    for (name, wanted) in [("gif", 5), ("mp4", 120)] {
        let film = scratch.join(&format!("out.{name}"));
        made(&["--to", name], &[&input, &film]);
        let (width, height, pictures, seconds) = probed(&film);
        assert_eq!(
            (width, height, pictures),
            (40 * 8, 10 * 16, wanted),
            "{name}"
        );
        // Half a second before the first word, half to the second, two in place of a minute, one, and
        // two at the end.
        assert!((seconds - 6.0).abs() < 0.11, "{name}: {seconds} s");
        let pixels = seen(&film, "2.0");
        assert_eq!(pixels.len(), 320 * 160, "{name}");
        assert!(light(&pixels) > 30 && red(&pixels) == 0, "{name}");
        assert!(red(&seen(&film, "3.5")) > 20, "{name}");
    }
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_film_of_a_stretch_begins_with_the_screen_as_it_was() {
    if !has_ffmpeg() {
        return;
    }
    let scratch = Scratch::new("films-clip");
    let film = scratch.join("clip.gif");
    made(
        &["--to", "gif", "--clip", "30..61.5"],
        &[&cast(&scratch), &film],
    );
    let (_, _, pictures, seconds) = probed(&film);
    // What stood already, and the red word, two seconds later.
    assert_eq!(pictures, 2);
    assert!((seconds - 4.0).abs() < 0.11, "{seconds} s");
    assert!(light(&seen(&film, "0.1")) > 30);
}

#[test]
fn through_a_pipe_it_is_the_same_file() {
    let scratch = Scratch::new("films-pipe");
    let (input, film) = (cast(&scratch), scratch.join("out.gif"));
    made(&["--to", "gif"], &[&input, &film]);
    let piped = convert(&["--to", "gif"], &[&input, Path::new("-")]);
    assert!(piped.status.success(), "{piped:?}");
    assert!(piped.stdout == fs::read(&film).unwrap());
}

#[test]
fn what_cannot_be_filmed_is_refused_and_leaves_nothing() {
    let scratch = Scratch::new("films-refused");
    let (input, film) = (cast(&scratch), scratch.join("out.mp4"));
    let out = Command::new(hansard())
        .args(["convert", "--to", "mp4"])
        .args([&input, &film])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(
        said.contains("Debian's package ffmpeg") && said.contains("GIF"),
        "{said}"
    );
    let lines = (0..700).map(|n| format!("[{n}, \"o\", \"line {n}\\r\\n\"]\n"));
    let long = "{\"version\": 2, \"width\": 40, \"height\": 10}\n".to_owned();
    fs::write(&input, long + &lines.collect::<String>()).unwrap();
    let out = convert(&["--to", "gif"], &[&input, &film]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(
        said.contains("10 minutes") && said.contains("stretch"),
        "{said}"
    );
    // And an ffmpeg that fails is quoted.
    let fake = scratch.join("bin");
    fs::create_dir(&fake).unwrap();
    let script = "#!/bin/sh\necho 'no such encoder' >&2\nexit 7\n";
    write_program(&fake.join("ffmpeg"), script);
    fs::write(&input, CAST).unwrap();
    let out = Command::new(hansard())
        .args(["convert", "--to", "mp4"])
        .args([&input, &film])
        .env("PATH", &fake)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(
        said.contains("no such encoder") && said.contains('7'),
        "{said}"
    );
    let mut left: Vec<_> = fs::read_dir(scratch.path()).unwrap().flatten().collect();
    left.retain(|entry| entry.path() != input && entry.path() != fake);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn screens_that_are_full_make_a_film_too() {
    if !has_ffmpeg() {
        return;
    }
    let scratch = Scratch::new("film-full");
    let (input, film) = (scratch.join("full.cast"), scratch.join("full.mp4"));
    // Each picture is another one altogether, and larger than what a pipe holds.
    let mut text = "{\"version\":2,\"width\":160,\"height\":50}\n".to_owned();
    let mut state = 1_u64;
    for second in 1..=4 {
        let letters = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
        });
        let shown: String = letters.take(160 * 50).collect();
        text.push_str(&format!("[{second}.0,\"o\",\"{shown}\"]\n"));
    }
    fs::write(&input, text).unwrap();
    made(&["--to", "mp4"], &[&input, &film]);
    let (_, _, pictures, seconds) = probed(&film);
    assert!(pictures > 60 && seconds > 3.0, "{pictures} in {seconds} s");
}
