//! How fast an index is built, against the terminal emulator alone fed with the same output.
//!
//! `cargo run --release -p hansard-view --example index_vs_avt [MEGABYTES [ROUNDS]]`
//!
//! Both in one process and in turn, at least five rounds; prints one line of JSON. `ratio` is the
//! emulator's time divided by the index's: the higher the better, 0.8 is wanted.

#![allow(clippy::print_stdout, clippy::cast_possible_truncation)]

mod shared;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use hansard_view::index::build;
use hansard_view::source::Source;
use shared::{Recording, Text, median};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: usize = arguments.next().map_or(Ok(48), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(7), |text| text.parse())?;

    let raw = Text::new(1).lines(megabytes * 1_000_000);
    let text = String::from_utf8(raw)?;
    let mut recording = Recording::new(Vec::new())?;
    // As a terminal delivers it: pieces of at most 4 KiB, a fast program's.
    for (piece, i) in text.as_bytes().chunks(4096).zip(0..) {
        recording.output(i * 200_000, piece)?;
    }
    let bytes = recording.finish(text.len() as u64 / 4096 * 200_000 + 1)?;
    let stored = bytes.len();
    let recording: Source = Arc::new(bytes);

    let (mut avt_s, mut index_s) = (Vec::new(), Vec::new());
    let mut index_len = 0;
    for _ in 0..rounds.max(5) {
        let begin = Instant::now();
        let mut terminal = avt::Terminal::new(80, 24)?;
        terminal.feed(text.as_str());
        std::hint::black_box(terminal.cursor());
        avt_s.push(begin.elapsed().as_secs_f64());

        let begin = Instant::now();
        let mut index = Vec::new();
        build(&recording, &mut index, &mut |_| ControlFlow::Continue(()))?;
        index_s.push(begin.elapsed().as_secs_f64());
        index_len = index.len();
    }
    let mut ratios: Vec<_> = avt_s
        .iter()
        .zip(&index_s)
        .map(|(avt, index)| avt / index)
        .collect();
    let mb = text.len() as f64 / 1e6;
    println!(
        "{{\"what\": \"index_vs_avt\", \"rounds\": {}, \"raw_mb\": {mb:.1}, \"stored_bytes\": {stored}, \
         \"index_bytes\": {index_len}, \"avt_mb_s\": {:.1}, \"index_mb_s\": {:.1}, \
         \"ratio\": {:.3}}}",
        ratios.len(),
        mb / median(&mut avt_s),
        mb / median(&mut index_s),
        median(&mut ratios),
    );
    Ok(())
}
