//! `hansard screen`: the screen as it was at one moment.

use std::io::{self, Write as _};

use hansard_view::Screen;
use serde_json::json;

use crate::cli::ScreenArgs;
use crate::failure::Failure;
use crate::moment;
use crate::source::Source;

/// Shows it as text, as JSON or as a picture.
pub(crate) fn run(args: &ScreenArgs) -> Result<u8, Failure> {
    let mut source = Source::open(&args.file, args.from, "reading")?;
    let until_ns = args.at.at_ns();
    let mut screen = Screen::new(80, 24);
    let mut at_ns = 0;
    while let Some(event) = source.next_event()? {
        if event.at_ns > until_ns {
            break;
        }
        at_ns = event.at_ns;
        screen.apply(&event.body);
    }
    let mut out = io::stdout().lock();
    if args.svg {
        write!(out, "{}", screen.text())?;
    } else if args.json {
        writeln!(out, "{}", as_json(&screen, at_ns))?;
    } else {
        writeln!(out, "{}", screen.text())?;
    }
    Ok(source.finish())
}

fn as_json(screen: &Screen, at_ns: u64) -> serde_json::Value {
    let (cols, rows) = screen.size();
    json!({
        "at_ns": at_ns,
        "at": moment::show(at_ns),
        "cols": cols,
        "rows": rows,
        "cursor": screen.cursor().map(|(col, row)| json!({ "col": col, "row": row })),
        "lines": screen.rows(),
        "concealed_chars": screen.concealed_chars(),
    })
}
