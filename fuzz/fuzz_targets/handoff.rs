//! The capture socket: any bytes are messages within their bounds or an error, and a message that
//! is understood is understood the same when it is said again.
#![no_main]

use hansard_record::handoff::{FromClient, FromDaemon, OPEN_BYTES_MAX, read_message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut source, mut buffer) = (bytes, Vec::new());
    while let Ok(true) = read_message(&mut source, &mut buffer, OPEN_BYTES_MAX) {
        assert!(!buffer.is_empty() && buffer.len() <= OPEN_BYTES_MAX);
        if let Ok(message) = FromClient::decode(&buffer) {
            let mut said = Vec::new();
            message.encode(&mut said);
            assert_eq!(FromClient::decode(&said[4..]).as_ref(), Ok(&message));
        }
        if let Ok(message) = FromDaemon::decode(&buffer) {
            let mut said = Vec::new();
            message.encode(&mut said);
            assert_eq!(FromDaemon::decode(&said[4..]).as_ref(), Ok(&message));
        }
    }
});
