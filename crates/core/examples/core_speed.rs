//! Measures the core on a file of raw output: writing, checking, decoding, and what is stored.
//!
//! `cargo run --release -p hansard-core --example core_speed -- FILE [ROUNDS]`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::time::Instant;

use hansard_core::event::End;
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Fields, Policy, SessionId, Stream};

fn main() {
    let mut args = std::env::args().skip(1);
    let raw = std::fs::read(args.next().unwrap()).unwrap();
    let rounds: usize = args.next().map_or(5, |n| n.parse().unwrap());
    let mut rates = [vec![], vec![], vec![]];
    let mut stored = 0;
    for _ in 0..rounds {
        let begin = Instant::now();
        let bytes = write(&raw);
        rates[0].push(mb(raw.len()) / begin.elapsed().as_secs_f64());
        stored = bytes.len();
        let begin = Instant::now();
        read(Reader::new(&bytes[..]).skip_decoding());
        rates[1].push(mb(bytes.len()) / begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        read(Reader::new(&bytes[..]));
        rates[2].push(mb(raw.len()) / begin.elapsed().as_secs_f64());
    }
    println!("raw {:.1} MB, stored {:.2} MB", mb(raw.len()), mb(stored));
    for (what, rates) in [
        "write, raw",
        "check hashes and signatures, stored",
        "check and decode, raw",
    ]
    .iter()
    .zip(&mut rates)
    {
        rates.sort_by(f64::total_cmp);
        println!(
            "{what}: median {:.0} MB/s ({:.0} to {:.0})",
            rates[rounds / 2],
            rates[0],
            rates[rounds - 1]
        );
    }
}

fn mb(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6
}

fn write(raw: &[u8]) -> Vec<u8> {
    let key = SigningKey::from_seed([1; 32]);
    let session = Session {
        id: SessionId::new_v7(1, [1; 10]),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 0,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "core_speed".into(),
    };
    let mut writer = SegmentWriter::new(session, key, Bounds::default()).unwrap();
    let mut out = Vec::new();
    let mut at = 0;
    for chunk in raw.chunks(4095) {
        at += 45_000;
        writer.push_data(at, Stream::Output, chunk).unwrap();
        for part in writer.parts() {
            out.extend_from_slice(part.bytes());
        }
    }
    writer.finish(at, &End::default()).unwrap();
    for part in writer.parts() {
        out.extend_from_slice(part.bytes());
    }
    out
}

fn read(mut reader: Reader<&[u8]>) {
    loop {
        match reader.next_item().unwrap() {
            Item::End(_) => return,
            Item::Damage(damage) => panic!("{damage}"),
            _ => {}
        }
    }
}
