//! Logs that are cut off, damaged, or made to take memory.

use std::io::{self, Read};

use super::*;
use crate::limits::{CONTAINERSSH_FACT_BYTES_MAX, CONTAINERSSH_MESSAGE_BYTES_MAX};

#[test]
fn a_log_cut_off_anywhere_gives_all_whole_messages_and_no_end() {
    let whole = encode(&decode(&log(2, &all_types(5))).0);
    let (events, _) = decode(&whole);
    let mut seen = 0;
    for cut in 0..whole.len() {
        let (some, error) = decode(&whole[..cut]);
        match cut {
            0..=49 => assert!(error.is_some() && some.len() == 2, "{cut}: {error:?}"),
            _ => {
                assert_eq!(error, None, "at {cut}");
                let bodies = some.iter().zip(&events).skip(1).take_while(|(a, b)| a == b);
                assert!(bodies.count() + 1 >= some.len(), "at {cut}");
                let rest = some.last().is_some_and(|e| matches!(e.body, Body::End(_)));
                assert!(!rest || some.len() == events.len());
            }
        }
        seen = seen.max(some.len());
    }
    assert_eq!(seen, events.len());
    let said = (1..200).map(|n| notices(&whole[..whole.len() - n]).concat());
    let said: Vec<_> = said.filter(|said| said.contains("cut off")).collect();
    assert!(said.len() > 20 && said.iter().all(|said| said.contains("no disconnect")));
}

#[test]
fn a_damaged_byte_anywhere_is_an_error_with_an_offset_or_another_log() {
    let whole = log(2, &all_types(7));
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            let (events, error) = decode(&damaged);
            let Some(error) = error else { continue };
            assert!(error.starts_with("offset "), "{at}: {error}");
            assert!(matches!(events.last().unwrap().body, Body::Gap(_)));
            // And what was read of it is a log again.
            let again = decode(&encode(&events));
            assert_eq!(again.1, None, "{at}");
        }
    }
}

#[test]
fn what_is_no_log_is_refused_and_says_why() {
    for (file, why) in [
        (b"".to_vec(), "offset 0: the file ends after 0 bytes"),
        (
            b"ContainerSSH-Auditlog".to_vec(),
            "offset 0: the file ends after 21",
        ),
        (vec![b'x'; 100], "offset 0: not a ContainerSSH log"),
        (header(3), "offset 32: the log is of version 3"),
        (header(0), "offset 32: the log is of version 0"),
        (
            header(2)[..40].to_vec(),
            "offset 40: the file ends before the first compressed",
        ),
        (
            [&header(2)[..40], b"not gzip at all"].concat(),
            "offset 40: no gzip member",
        ),
        (
            [&header(2)[..], &[7; 9]].concat(),
            "compressed data is damaged here",
        ),
        (log(2, &[0x9f]), "a message was to begin here"),
        (log(2, b"\xa1\x64type\xff"), "a break where no item can end"),
        (
            log(2, b"\xa1\x64type\x1c"),
            "a length that CBOR does not have",
        ),
        (log(2, b"\xbf\x7f\x41x\xff"), "a piece of another type"),
        (
            log(2, &[&[0xa1][..], &[0x81; 40]].concat()),
            "nested deeper than 32",
        ),
        (
            log(2, b"\xa1\x5b\xff\xff\xff\xff\xff\xff\xff\xff"),
            "longer than the limit",
        ),
        (
            log(2, b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"),
            "longer than the limit",
        ),
        (
            log(2, b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"),
            "map of CBOR",
        ),
    ] {
        let error = decode(&file).1.unwrap_or_else(|| panic!("{why}"));
        assert!(error.contains(why), "{error}\nwanted: {why}");
    }
    assert!(crate::containerssh::guess(&header(2)));
    assert!(!crate::containerssh::guess(b"ContainerSSH"));
}

/// Deflated bytes without an end: stored blocks of a pattern.
struct Endless {
    block: Vec<u8>,
    at: usize,
    given: u64,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.block[self.at..];
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.at = (self.at + n) % self.block.len();
        self.given += n as u64;
        assert!(self.given < 64 << 20, "reads on for ever");
        Ok(n)
    }
}

fn endless(begin: &[u8], pattern: &[u8]) -> (Vec<Event>, Option<String>) {
    let stored = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap();
        [
            &[0][..],
            &length.to_le_bytes(),
            &(!length).to_le_bytes(),
            bytes,
        ]
        .concat()
    };
    let block = stored(&pattern.repeat(60_000 / pattern.len()));
    let first = [header(2), stored(begin)].concat();
    let endless = Endless {
        block,
        at: 0,
        given: 0,
    };
    let src = io::Cursor::new(first).chain(endless);
    read_all(&mut ContainerSshDecoder::new(src, import()))
}

#[test]
fn messages_without_end_are_refused_at_the_limit() {
    for (begin, pattern) in [
        (&b"\xa1\x64data\x5f"[..], &b"\x41x"[..]),
        (b"\xbf", b"\x01\x02"),
        (b"\xa1\x64type\x9f", b"\xa0"),
        (b"\xa1\x5a\x00\x3f\xff\x00", b"x"),
        (b"\xa1\x64type\x9f\x9f\x9f", b"\x9f\xff"),
    ] {
        let (events, error) = endless(begin, pattern);
        let error = error.unwrap_or_else(|| panic!("{begin:?} ends"));
        assert!(
            error.contains("longer than the limit")
                || error.contains("to begin here")
                || error.contains("break"),
            "{error}"
        );
        assert!(events.len() < 4);
    }
}

#[test]
fn a_bomb_takes_no_memory() {
    // 4,000 messages of a megabyte of nothing each, in four megabytes of file.
    let mut deflate = flate2::write::DeflateEncoder::new(header(2), Compression::fast());
    let one = io(START, 1, &vec![0; 1_000_000], 0);
    for _ in 0..200 {
        deflate.write_all(&one).unwrap();
    }
    let file = deflate.finish().unwrap();
    assert!(file.len() < 3_000_000);
    let mut decoder = ContainerSshDecoder::new(&file[..], import());
    let mut bytes = 0;
    while let Some(event) = decoder.next_event().unwrap() {
        if let Body::Data { bytes: data, .. } = event.body {
            bytes += data.len();
        }
        assert!(decoder.held_bytes() < 8 << 20, "{}", decoder.held_bytes());
    }
    assert_eq!(bytes, 200_000_000);
    // A gzip header that has no end.
    let mut file = header(2);
    file[43] = 8;
    let src = io::Cursor::new(file).chain(io::repeat(b'n'));
    let error = read_all(&mut ContainerSshDecoder::new(src, import()))
        .1
        .unwrap();
    assert_eq!(error, "offset 40: the gzip header has no end");
}

#[test]
fn long_data_is_split_and_joined_again_and_any_other_long_message_is_passed_over() {
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7) as u8).collect();
    let long = exec(START + 1, &vec![b'x'; CONTAINERSSH_FACT_BYTES_MAX]);
    let fits = exec(
        START + 2,
        &vec![b'\xff'; CONTAINERSSH_FACT_BYTES_MAX / 3 - 200],
    );
    let content_of_log = [&io(START, 1, &data, 0)[..], &long, &fits].concat();
    let (events, error) = decode(&log(2, &content_of_log));
    assert_eq!(error, None);
    let bytes: Vec<u8> = events
        .iter()
        .flat_map(|event| match &event.body {
            Body::Data { bytes, .. } => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(bytes, data);
    let gap = |event: &Event| matches!(&event.body, Body::Gap(gap) if gap.events == Some(1));
    assert_eq!(events.iter().filter(|event| gap(event)).count(), 1);
    let last = &events.last().unwrap().body;
    assert!(matches!(last, Body::Command(_)), "{last:.300?}");
    // The pieces are one message again.
    let written = content(&encode(&through_hansard(&events)));
    assert!(written.starts_with(&io(START, 1, &data, 0)));
    let (back, error) = decode(&encode(&events));
    assert_eq!(error, None);
    assert!(matches!(&back.last().unwrap().body, Body::Command(_)));
    let over = io(START, 1, &vec![0; CONTAINERSSH_MESSAGE_BYTES_MAX], 0);
    assert!(
        decode(&log(2, &over))
            .1
            .unwrap()
            .contains("longer than the limit")
    );
}

#[test]
fn a_trailer_is_checked_and_told() {
    let content_of_log = all_types(1);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&content_of_log).unwrap();
    let member = gzip.finish().unwrap();
    let file = [&header(2)[..40], &member].concat();
    let (events, error) = decode(&file);
    assert_eq!((error, notices(&file)), (None, vec![]));
    assert!(matches!(events.last().unwrap().body, Body::End(_)));
    // Their decoder ends such a log with an error; the log itself is the same without it.
    assert!(json(&events).ends_with("{\"error\":\"failed to decode messages (EOF)\"}\n"));
    assert_eq!(content(&encode(&events)), content_of_log);
    for (end, why) in [
        (file.len() - 3, "inside the gzip trailer"),
        (file.len(), "checksum"),
    ] {
        let mut damaged = file[..end].to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        let said = notices(&damaged);
        assert!(said[0].contains(why), "{said:?}");
    }
    // Two members are one log; anything else behind it is passed over.
    let twice = [&file[..], &member].concat();
    assert_eq!(decode(&twice).1, None);
    assert!(decode(&twice).0.len() > 80);
    let said = notices(&[&file[..], b"something else"].concat());
    assert!(said[0].contains("more behind the end"), "{said:?}");
}
