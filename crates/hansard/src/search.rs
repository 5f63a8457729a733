//! `hansard search`: where a text stood on the screen of a recording, or in which session of the
//! service it is found at all.

use std::io::{self, Write as _};

use hansard_view::escape_shown;
use hansard_view::search::{Match, Search, check_needle};
use serde_json::json;

use crate::cli::SearchArgs;
use crate::failure::{Failure, STATUS_UNFINISHED, STATUS_WRONG_USE};
use crate::source::say;
use crate::{moment, seekable};

mod everywhere;

/// Prints each finding: when, in which line of the screen, and that line. Like `grep`, the status
/// is 1 if there was none; 3 where not everything could be looked through.
pub(crate) fn run(args: &SearchArgs) -> Result<u8, Failure> {
    let Some(file) = &args.file else {
        return everywhere::run(args);
    };
    check_needle(&args.text).map_err(|error| Failure::new(STATUS_WRONG_USE, error.to_string()))?;
    let (indexed, remains) = seekable::open(file, &args.read)?;
    let mut search = Search::from_start(&indexed, &args.text, u64::MAX);
    let mut out = io::stdout().lock();
    let mut found = 0;
    while let Some(hit) = search
        .next_match()
        .map_err(|e| seekable::failure(file, &e))?
    {
        if found == args.limit {
            out.flush()?;
            let what = format!("stopped after {found} findings; --limit allows more");
            say(file, &what);
            break;
        }
        found += 1;
        print(&mut out, args, &hit)?;
    }
    out.flush()?;
    Ok(
        match remains.finish(&indexed, search.damages_count() > 0)? {
            0 if found == 0 => STATUS_UNFINISHED,
            status => status,
        },
    )
}

fn print(out: &mut impl io::Write, args: &SearchArgs, hit: &Match) -> io::Result<()> {
    if args.json {
        let at = moment::show_from(hit.at_ns);
        return writeln!(
            out,
            "{}",
            json!({ "at_ns": hit.at_ns, "at": at, "seq": hit.seq, "row": hit.row, "text": hit.text })
        );
    }
    let row = hit
        .row
        .map_or_else(|| "-".to_owned(), |row| (row + 1).to_string());
    writeln!(
        out,
        "{}\t{row}\t{}",
        moment::show_from(hit.at_ns),
        escape_shown(&hit.text)
    )
}
