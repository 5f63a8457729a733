//! When did a word stand on the screen of a cast, and where?
//!
//! ```text
//! cargo run -p hansard-view --example find_in_cast -- error demo.cast
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;

use hansard_core::{Body, SessionId};
use hansard_view::parts::SingleFile;
use hansard_view::{Import, Screen};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(word), Some(path)) = (args.next(), args.next()) else {
        return Err("usage: find_in_cast WORD FILE.cast".into());
    };
    // What a cast does not say itself: it gets an identity when it is read as a recording.
    let import = Import {
        id: SessionId::new_v7(0, [0; 10]),
        start_utc_ns: 0,
        recorder: "find_in_cast".to_owned(),
        rec: None,
    };
    // Which version it is (and any other readable format) is found out from its beginning.
    let file = SingleFile::new(Path::new(&path), None);
    let mut decoder = hansard_view::open(&file, None, import)?.decoder;

    let mut screen = Screen::default();
    let mut stands = false;
    while let Some(event) = decoder.next_event()? {
        // Only what was shown changes the screen; everything else may be passed on all the same.
        screen.apply(&event.body);
        if !matches!(event.body, Body::Data { .. } | Body::Resize { .. }) {
            continue;
        }
        let rows = screen.rows();
        let found = rows.iter().enumerate().find(|(_, row)| row.contains(&word));
        // Said once when it comes, and again only when it had gone.
        if let (Some((number, row)), false) = (found, stands) {
            let seconds = event.at_ns as f64 / 1e9;
            println!("{seconds:9.3} s  row {:2}: {}", number + 1, row.trim_end());
        }
        stands = found.is_some();
    }
    Ok(())
}
