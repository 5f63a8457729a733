//! `hansard screen`: the screen as it was at one moment.

use std::io::{self, Write as _};

use hansard_view::{Screen, escape_shown};
use serde_json::json;

use crate::cli::ScreenArgs;
use crate::failure::Failure;
use crate::moment::Moment;
use crate::source::say;
use crate::{moment, seekable};

const MS_NS: u64 = 1_000_000;

/// Shows it as text, as JSON or as a picture.
pub(crate) fn run(args: &ScreenArgs) -> Result<u8, Failure> {
    let (mut indexed, remains) = seekable::open(&args.file, &args.read)?;
    let replay = indexed
        .seek(args.at.at_ns())
        .map_err(|e| seekable::failure(&args.file, &e))?;
    let screen = replay.screen();
    let mut out = io::stdout().lock();
    if args.svg {
        write!(out, "{}", screen.svg())?;
    } else if args.json {
        writeln!(out, "{}", as_json(screen, replay.at_ns()))?;
    } else {
        for row in trimmed(screen.rows()) {
            writeln!(out, "{}", escape_shown(row.trim_end()))?;
        }
    }
    out.flush()?;
    let end_ns = indexed.index().last_ns();
    // Somebody may believe that it was so then. What was there at the very end is told as the next millisecond.
    if let Moment::At(at_ns) = args.at
        && at_ns > end_ns.div_ceil(MS_NS).saturating_mul(MS_NS)
    {
        let (at, end) = (moment::show_from(at_ns), moment::show_from(end_ns));
        say(
            &args.file,
            &format!("the recording is {end} long, and --at is {at}: this is its last screen"),
        );
    }
    remains.finish(&indexed, replay.damages_count() > 0)
}

/// Without the empty rows below the last text.
fn trimmed(mut rows: Vec<String>) -> Vec<String> {
    while rows.last().is_some_and(|row| row.trim_end().is_empty()) {
        rows.pop();
    }
    rows
}

fn as_json(screen: &Screen, at_ns: u64) -> serde_json::Value {
    let (cols, rows) = screen.size();
    json!({
        "at_ns": at_ns,
        "at": moment::show_from(at_ns),
        "cols": cols,
        "rows": rows,
        "cursor": screen.cursor().map(|(col, row)| json!({ "col": col, "row": row })),
        "lines": screen.rows(),
        "concealed_chars": screen.concealed_chars(),
    })
}
