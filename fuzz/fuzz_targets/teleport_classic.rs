//! Teleport's classic recordings, as an archive and as what is inside their files: what was read
//! is written, reads the same, and is written the same again.
#![no_main]

use std::sync::Arc;

use hansard_fuzz::teleport::{Files, classic, stored_gzip};
use hansard_fuzz::{import, read_all};
use hansard_view::parts::Inputs;
use hansard_view::teleport::{ClassicDecoder, TarInputs, guess_tar};
use libfuzzer_sys::fuzz_target;

fn check(inputs: &dyn Inputs) {
    let (events, _) = read_all(&mut ClassicDecoder::new(inputs, import()));
    if events.is_empty() {
        return;
    }
    let first = classic(&events);
    let (events, sound) = read_all(&mut ClassicDecoder::new(&first, import()));
    assert!(sound || events.is_empty(), "what was written is not sound");
    if sound {
        // But for the order in which the index lists the files.
        let mut files = [classic(&events).all(), first.all()];
        for files in &mut files {
            files.retain(|name, _| name.ends_with(".gz"));
        }
        assert_eq!(files[0], files[1]);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = guess_tar(bytes);
    if let Ok(tar) = TarInputs::new(Arc::new(bytes.to_vec())) {
        check(&tar);
    }
    // The fuzzer cannot make gzip: here its bytes are what is inside the files.
    let names = [
        "s-0.events.gz",
        "s-0.chunks.gz",
        "s-0.session.command-events.gz",
        "s-0.session.disk-events.gz",
    ];
    let mut files = Files::default();
    for (name, inside) in names.iter().zip(bytes.split(|byte| *byte == 0)) {
        files.add(name, &stored_gzip(inside));
    }
    check(&files);
});
