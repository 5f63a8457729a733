//! The messages between host and service: any bytes are messages or an error, whatever pieces they
//! come in; what was read is written as the same message; and nothing is held that has no bound.
#![no_main]

use hansard_record::forward::wire::{BODY_BYTES_MAX, Decoder, Down, Message, PART_BYTES_MAX, Up};
use libfuzzer_sys::fuzz_target;

/// Everything that is read, and whether it ended in an error.
fn read<M: Message>(bytes: &[u8], piece: usize) -> (Vec<M>, bool) {
    let mut decoder = Decoder::<M>::new();
    let mut out = Vec::new();
    for chunk in bytes.chunks(piece) {
        decoder.push(chunk);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => out.push(message),
                Ok(None) => break,
                Err(_) => return (out, true),
            }
        }
        assert!(decoder.wanted_bytes() <= PART_BYTES_MAX + BODY_BYTES_MAX);
    }
    (out, false)
}

fn check<M: Message + PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    piece: usize,
    write: impl Fn(&M, &mut Vec<u8>),
) {
    let whole = read::<M>(bytes, bytes.len().max(1));
    assert_eq!(whole, read::<M>(bytes, piece));
    let mut written = Vec::new();
    whole.0.iter().for_each(|message| write(message, &mut written));
    let again = read::<M>(&written, piece);
    assert!(!again.1);
    let mut twice = Vec::new();
    again.0.iter().for_each(|message| write(message, &mut twice));
    assert_eq!(written, twice);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let piece = usize::from(*piece).max(1);
    check::<Up>(bytes, piece, |message, out| message.encode(out));
    check::<Down>(bytes, piece, |message, out| message.encode(out));
});
