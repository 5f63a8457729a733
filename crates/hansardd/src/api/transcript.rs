//! `GET /v1/sessions/{id}/transcript`: what stood on the screen, as one reads it, a page at a time.

use std::sync::Arc;

use hansard_store::index::{Line, LinePlace, Lines, Wish};
use serde_json::{Value as Json, json};

use super::answers::{blocking, living};
use super::problem::Problem;
use super::router::{Call, Handler};
use super::schema::{count, list, named, object, or_null, text, truth, uuid};
use super::seams::{Listings, Searching};

pub(super) fn transcript(listings: Arc<dyn Listings>, searching: Arc<dyn Searching>) -> Handler {
    blocking(move |call| {
        let session = living(&call, &*listings)?;
        let is_backward = call.params.text("order") == Some("newest");
        let wish = Wish {
            session,
            edge: edge(&call, is_backward)?,
            is_backward,
            limit: call.params.page(),
        };
        let found = searching.lines(&wish)?;
        Ok(document(&session.to_string(), &found))
    })
}

/// Where the page begins; backward, where it ends.
fn edge(call: &Call, is_backward: bool) -> Result<LinePlace, Problem> {
    if let Some(cursor) = call.params.text("cursor") {
        let bad = || Problem::bad("cursor: not the `next` of an answer");
        return LinePlace::of_cursor(cursor).ok_or_else(bad);
    }
    let from_ns = call.params.number("from_ms");
    let from_ns = from_ns.map(|ms| ms.saturating_mul(1_000_000));
    let default = if is_backward { u64::MAX } else { 0 };
    Ok(LinePlace::before(from_ns.unwrap_or(default)))
}

fn document(sid: &str, found: &Lines) -> Json {
    json!({
        "sid": sid,
        "lines": found.lines.iter().map(line).collect::<Vec<Json>>(),
        "complete": found.next.is_none(),
        "next": found.next.map(LinePlace::cursor),
        "index_complete": !found.is_capped,
        "indexed": found.is_whole,
        "gave_up": found.is_tired,
    })
}

fn line(line: &Line) -> Json {
    json!({
        "place": line.place.cursor(),
        "at_ns": line.place.at_ns,
        "whole_ns": line.whole_ns,
        "until_ns": line.until_ns,
        "text": line.text,
        "concealed": line.is_concealed,
        "same_colour": line.is_blended,
        "cut": line.is_cut,
    })
}

pub(super) fn schemas() -> [(&'static str, Json); 2] {
    let line = object(
        "A line that stood on the screen.",
        &[
            ("place", text(), "where it stands: of no other line"),
            (
                "at_ns",
                count(),
                "when it, or its beginning, came to be there, nanoseconds since the session's start",
            ),
            ("whole_ns", count(), "when all of it was there"),
            ("until_ns", count(), "up to when it was there"),
            (
                "text",
                text(),
                "the line, as it was recorded: not to be taken for markup",
            ),
            (
                "concealed",
                truth(),
                "some of it was printed so that it cannot be seen",
            ),
            (
                "same_colour",
                truth(),
                "some of it was printed in the colour of its ground",
            ),
            ("cut", truth(), "it is a piece of a longer line"),
        ],
    );
    let next = "give it as `cursor`, with the same `order`, to go on; `null` if this was all";
    let transcript = object(
        "What stood on the screen, line by line.",
        &[
            ("sid", uuid(), "identifier of the session"),
            (
                "lines",
                list(&named("TranscriptLine")),
                "by the moment at which they came, in the order asked for",
            ),
            ("complete", truth(), "whether this is all there is"),
            ("next", or_null(text()), next),
            (
                "index_complete",
                truth(),
                "false where some of the session's text is not kept as text, being too much",
            ),
            (
                "indexed",
                truth(),
                "false while the session goes on, or is still being read: more comes",
            ),
            (
                "gave_up",
                truth(),
                "there was too much to read at once: lines may be missing here",
            ),
        ],
    );
    [("TranscriptLine", line), ("Transcript", transcript)]
}
