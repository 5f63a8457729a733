//! Decodes a ContainerSSH audit log to JSON lines, as ContainerSSH's own decoder prints them.
//!
//! `cargo run -p hansard-view --example containerssh_json -- FILE`

use std::fs::File;
use std::io::{self, BufWriter, Write};

use hansard_core::SessionId;
use hansard_view::containerssh::{ContainerSshDecoder, ContainerSshJsonEncoder};
use hansard_view::{Decoder, Import, copy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("which file?")?;

    // A log knows when it began. The rest is for recordings that are kept: an identity, and who
    // imported it.
    let import = Import {
        id: SessionId::from_bytes([0; 16]),
        start_utc_ns: 0,
        recorder: "containerssh_json".to_owned(),
        rec: None,
    };

    // Any decoder gives events, any encoder takes them: with `JsonlEncoder` here the same program
    // would print the events themselves.
    let mut decoder = ContainerSshDecoder::new(File::open(path)?, import);
    let mut encoder = ContainerSshJsonEncoder::new(BufWriter::new(io::stdout().lock()));

    // What was sound before an error is printed, and the error stands behind it as a line.
    let copied = copy(&mut decoder, &mut encoder);

    // What was passed over: messages of unknown types, an end that is missing.
    for notice in decoder.take_notices() {
        writeln!(io::stderr(), "{notice}")?;
    }
    copied.map_err(|e| e.to_string())?;
    Ok(())
}
