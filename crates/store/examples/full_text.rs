//! What full text costs: `full_text rate CAST…`, `full_text fill DIR HOURS` and `full_text find DIR HOURS`.
//! One line of JSON on standard output; `bench/search.py` runs them.
//!
//! `rate` reads recordings (asciicast v2, or text as it is written to a terminal) and goes through them in
//! turn, five times: emulator alone, texts, and everything up to a committed index. `fill` makes session-hours of synthetic
//! work; `find` asks for words (200 unless said otherwise, and up to twice as many phrases) of as many, which are there already.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hansard_core::{Body, Event, SessionId, Stream};
use hansard_store::index::{BlockWriter, Index as _, Limits, TantivyIndex, Whose, search};
use hansard_view::cast::{CastDecoder, CastVersion};
use hansard_view::codec::Decoder as _;
use hansard_view::question::Question;
use hansard_view::text::Texts;
use hansard_view::{Import, Screen};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("rate") => rate(&args[1..]),
        Some("fill") => fill_hours(Path::new(&args[1]), args[2].parse().unwrap()),
        Some("find") => {
            let questions = args.get(3).map_or(200, |n| n.parse().unwrap());
            find(Path::new(&args[1]), args[2].parse().unwrap(), questions);
        }
        _ => panic!("full_text rate CAST… | fill DIR HOURS | find DIR HOURS [QUESTIONS]"),
    }
}

/// Times that everything is done; the middle one counts.
const ROUNDS: usize = 5;

fn whose(n: u64) -> Whose {
    Whose {
        session: SessionId::new_v7(n + 1, [9; 10]),
        user: format!("user{}", n % 40),
        host: format!("host{}", n % 100),
        kind: "terminal".to_owned(),
        start_utc_ns: 1_795_248_000_000_000_000 + n * 60_000_000_000,
    }
}

/// Puts a session's texts into the index.
fn fill(index: &TantivyIndex, n: u64, events: &[Event]) {
    let mut texts = Texts::new();
    let mut writer = BlockWriter::new(whose(n));
    let mut ready = Vec::new();
    for event in events {
        texts.turn(event, &mut ready);
        for text in ready.drain(..) {
            if let Some(full) = writer.push(text) {
                index.put(full).unwrap();
            }
        }
    }
    texts.finish(&mut ready);
    for text in ready.drain(..) {
        if let Some(full) = writer.push(text) {
            index.put(full).unwrap();
        }
    }
    index.put(writer.finish()).unwrap();
}

fn raw_bytes(events: &[Event]) -> u64 {
    let bytes = |event: &Event| match &event.body {
        Body::Data { bytes, .. } => bytes.len() as u64,
        _ => 0,
    };
    events.iter().map(bytes).sum()
}

/// A recording, or a text as a terminal delivers it: pieces of at most 4 KiB, a fast program's.
fn read(path: &str, n: u64) -> Vec<Event> {
    if !path.ends_with(".cast") {
        let text = std::fs::read(path).unwrap();
        let piece = |(at, bytes): (u64, &[u8])| Event {
            seq: at,
            at_ns: at * 200_000,
            body: Body::Data {
                stream: Stream::Output,
                bytes: bytes.to_vec(),
            },
        };
        return (0..).zip(text.chunks(4096)).map(piece).collect();
    }
    let import = Import {
        id: SessionId::new_v7(n + 1, [9; 10]),
        start_utc_ns: 0,
        recorder: "bench".to_owned(),
        rec: None,
    };
    let mut decoder = CastDecoder::new(File::open(path).unwrap(), CastVersion::V2, import);
    std::iter::from_fn(|| decoder.next_event().unwrap()).collect()
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("hansard-bench-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn rate(paths: &[String]) {
    let recordings: Vec<Vec<Event>> = (0u64..).zip(paths).map(|(n, path)| read(path, n)).collect();
    let raw: u64 = recordings.iter().map(|events| raw_bytes(events)).sum();
    // In turn, so that what else the machine does meets all of them.
    let (mut alone, mut texts_only, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bytes, mut parts) = (0, String::new());
    for round in 0..ROUNDS {
        let began = Instant::now();
        for events in &recordings {
            let mut screen = Screen::default();
            for event in events {
                screen.apply(&event.body);
            }
            std::hint::black_box(screen.size());
        }
        alone.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        for events in &recordings {
            let (mut texts, mut ready) = (Texts::new(), Vec::new());
            for event in events {
                texts.turn(event, &mut ready);
                ready.clear();
            }
            std::hint::black_box(texts.at_ns());
        }
        texts_only.push(began.elapsed().as_secs_f64());
        let dir = scratch(&format!("rate{round}"));
        let (index, _) = TantivyIndex::open(&dir).unwrap();
        let began = Instant::now();
        for (n, events) in (0u64..).zip(&recordings) {
            fill(&index, n, events);
        }
        index.commit().unwrap();
        whole.push(began.elapsed().as_secs_f64());
        bytes = index.size().bytes;
        parts = parts_of(&dir);
        drop(index);
        std::fs::remove_dir_all(&dir).unwrap();
    }
    let mut ratios: Vec<f64> = alone.iter().zip(&whole).map(|(a, w)| a / w).collect();
    println!(
        "{{\"raw_bytes\": {raw}, \"emulator_s\": {:.4}, \"texts_s\": {:.4}, \
         \"index_s\": {:.4}, \"rate_of_emulator\": {:.3}, \"index_bytes\": {bytes}, \
         \"index_share\": {:.4}, \"parts\": {{{parts}}}}}",
        share(&mut alone, 50),
        share(&mut texts_only, 50),
        share(&mut whole, 50),
        share(&mut ratios, 50),
        bytes as f64 / raw as f64
    );
}

/// Bytes of the index by what they are, as fields of JSON: `term` the dictionary, `idx` the lists of blocks,
/// `store` the blocks, `fast` numbers by block.
fn parts_of(dir: &Path) -> String {
    let mut parts = std::collections::BTreeMap::<String, u64>::new();
    for version in std::fs::read_dir(dir).unwrap() {
        for file in std::fs::read_dir(version.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let path = file.path();
            let kind = path
                .extension()
                .map_or("else".into(), |kind| kind.to_string_lossy());
            *parts.entry(kind.into_owned()).or_default() += file.metadata().unwrap().len();
        }
    }
    let parts = parts
        .iter()
        .map(|(kind, bytes)| format!("\"{kind}\": {bytes}"));
    parts.collect::<Vec<_>>().join(", ")
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// Of so many words few are used often: the square of an even draw.
    fn word(&mut self, n: u64) -> String {
        let draw = self.below(n) * self.below(n) / n;
        let mut word = String::new();
        let mut rest = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        for _ in 0..3 + draw % 6 {
            word.push(char::from(b'a' + (rest % 26) as u8));
            rest /= 26;
        }
        word
    }
}

/// An hour at a shell: a hundred and twenty commands with some dozen lines of output each.
fn hour(n: u64) -> Vec<Event> {
    let mut dice = Dice(n.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    let mut events = Vec::new();
    let mut at_ns = 0;
    let mut say = |at_ns: &mut u64, pause_ns: u64, text: &str| {
        *at_ns += pause_ns;
        events.push(Event {
            seq: events.len() as u64,
            at_ns: *at_ns,
            body: Body::Data {
                stream: Stream::Output,
                bytes: text.as_bytes().to_vec(),
            },
        });
    };
    for _ in 0..120 {
        say(
            &mut at_ns,
            28_000_000_000,
            "\x1b[1;32muser@host\x1b[0m:\x1b[1;34m~\x1b[0m$ ",
        );
        let command = format!(
            "{} -{} {}",
            dice.word(400),
            dice.word(30),
            dice.word(20_000)
        );
        for c in command.chars() {
            say(&mut at_ns, 90_000_000, &c.to_string());
        }
        say(&mut at_ns, 300_000_000, "\r\n");
        let mut output = String::new();
        for _ in 0..dice.below(24) {
            for _ in 0..2 + dice.below(9) {
                output.push_str(&dice.word(20_000));
                output.push(' ');
            }
            output.push_str(&format!("{}\r\n", dice.below(100_000)));
        }
        say(&mut at_ns, 20_000_000, &output);
    }
    events
}

fn fill_hours(dir: &Path, hours: u64) {
    let (index, _) = TantivyIndex::open(dir).unwrap();
    let (mut raw, began) = (0, Instant::now());
    for n in 0..hours {
        let events = hour(n);
        raw += raw_bytes(&events);
        fill(&index, n, &events);
        if n % 200 == 199 {
            index.commit().unwrap();
        }
    }
    index.commit().unwrap();
    let (filled_s, size) = (began.elapsed().as_secs_f64(), index.size());
    println!(
        "{{\"session_hours\": {hours}, \"raw_bytes\": {raw}, \"fill_s\": {filled_s:.1}, \
         \"index_bytes\": {}, \"index_share\": {:.4}, \"blocks\": {}}}",
        size.bytes,
        size.bytes as f64 / raw as f64,
        size.blocks,
    );
}

fn find(dir: &Path, hours: u64, questions: u32) {
    let (index, _) = TantivyIndex::open(dir).unwrap();
    let mut dice = Dice(77);
    let mut words = Vec::new();
    let mut phrases = Vec::new();
    for _ in 0..questions {
        words.push(time(&index, &dice.word(20_000)));
        let phrase = format!("\"{} {}\"", dice.word(20_000), dice.word(20_000));
        phrases.push(time(&index, &phrase));
        // One that is there: two words of an hour's output.
        let events = hour(dice.below(hours));
        let line = events.iter().find_map(|event| match &event.body {
            Body::Data { bytes, .. } if bytes.len() > 200 => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => None,
        });
        let line = line.unwrap_or_default();
        let two: Vec<&str> = line.split(' ').take(2).collect();
        if two.len() == 2 && !two[1].contains('\r') {
            phrases.push(time(&index, &format!("\"{}\"", two.join(" "))));
        }
    }
    println!(
        "{{\"words\": {}, \
         \"word_p50_ms\": {:.2}, \"word_p95_ms\": {:.2}, \"phrases\": {}, \
         \"phrase_p50_ms\": {:.2}, \"phrase_p95_ms\": {:.2}, \"phrase_max_ms\": {:.2}}}",
        words.len(),
        share(&mut words, 50),
        share(&mut words, 95),
        phrases.len(),
        share(&mut phrases, 50),
        share(&mut phrases, 95),
        share(&mut phrases, 100),
    );
}

/// Milliseconds until the first page of an answer.
fn time(index: &TantivyIndex, text: &str) -> f64 {
    let question = Question::parse(text, 0).unwrap();
    let began = Instant::now();
    let found = search(index, &question, None, (None, Limits::default()), &|| false);
    std::hint::black_box(found.unwrap());
    began.elapsed().as_secs_f64() * 1000.0
}

fn share(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = (times.len() * percent / 100).min(times.len() - 1);
    times[at]
}
