//! Puts a `.hansard` file into the spool of a service that is stopped, part by part, as its recorder would
//! have: at its next start the daemon keeps it as it keeps everything.
//!
//! `cargo run --release -p hansardd --example spooled -- FILE DATA_DIR`
//!
//! Prints the session and how many parts it is of. For benches, which want a recording of a day and do not
//! want to wait for one.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use hansard_core::frame::{Frame, Part};
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::Seal;
use hansard_core::{SessionId, Sink};
use hansard_record::real_disk::RealDisk;
use hansard_record::{Spool, SpoolOptions};
use hansard_view::source::ReadAt;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes that the spool may hold, more than a host's: a whole recording waits in it.
const BYTES_MAX: u64 = 8 << 30;

/// Parts that become durable together.
const TOGETHER: usize = 64;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, data_dir] = args.as_slice() else {
        return Err("usage: spooled FILE DATA_DIR".into());
    };
    let (session, parts) = put_all(&File::open(file)?, &Path::new(data_dir).join("spool"))?;
    println!("{session} {parts}");
    Ok(())
}

fn put_all(file: &File, dir: &Path) -> Outcome<(SessionId, usize)> {
    let options = SpoolOptions {
        bytes_max: BYTES_MAX,
        ..SpoolOptions::default()
    };
    let mut spool = Spool::open(dir, Arc::new(RealDisk), options)?;
    let mut reader = Reader::new(File::try_clone(file)?).skip_decoding();
    let (mut waiting, mut count, mut of) = (Vec::new(), 0, None);
    loop {
        let item = reader.next_item()?;
        let session = of.or(reader.session()).ok_or("it names no session")?;
        of = Some(session);
        let part = match item {
            Item::Frame(frame) => Part::Frame(Frame {
                session,
                segment: frame.segment,
                index: frame.index,
                bytes: cut(file, frame.offset, frame.stored_bytes)?,
            }),
            Item::Seal(seal) => Part::Seal(Seal {
                session,
                segment: seal.segment,
                bytes: cut(file, seal.offset, seal.end.saturating_sub(seal.offset))?,
            }),
            Item::Damage(damage) => return Err(damage.to_string().into()),
            Item::End(_) => break,
        };
        waiting.push(part);
        count += 1;
        if waiting.len() >= TOGETHER {
            spool.put(&waiting)?;
            waiting.clear();
        }
    }
    spool.put(&waiting)?;
    Ok((of.ok_or("it is empty")?, count))
}

fn cut(file: &File, offset: u64, len: u64) -> Outcome<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len)?];
    let mut done = 0;
    while done < bytes.len() {
        let rest = bytes.get_mut(done..).unwrap_or_default();
        match file.read_at(rest, offset.saturating_add(u64::try_from(done)?))? {
            0 => return Err("it ends before its end".into()),
            read => done += read,
        }
    }
    Ok(bytes)
}
