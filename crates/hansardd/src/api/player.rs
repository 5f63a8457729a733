//! The routes of the player in a browser, and their seam: any moment of a recording as a screen, what
//! changes after it, where something stood; and how a painted screen is written.

use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::verify::Verdict;
use hansard_view::picture::{Change, Run};
use hansard_view::{Color, Style};
use serde_json::{Map, Value as Json, json};

use super::answers::{blocking, living};
use super::problem::{Problem, Trouble};
use super::router::Handler;
use super::schema::{count, list, named, object, or_null, text, truth};
use super::seams::{Listings, Verified};
use super::shared::Within;

/// Longest stretch that is answered at once, nanoseconds (10 min); of a longer one its beginning is.
const STRETCH_NS_MAX: u64 = 600 * 1_000_000_000;

/// Something that happened besides what the screen shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// When, nanoseconds since the start.
    pub at_ns: u64,
    /// Number of its event; where a recording is damaged, of the first event that cannot be read.
    pub seq: u64,
    /// In which lane it is shown: `commands`, `files`, `connections`, …
    pub lane: &'static str,
    /// What, in words.
    pub label: String,
}

/// A whole recording at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    /// Time of the last event, nanoseconds since the start.
    pub duration_ns: u64,
    /// Whether the recording's end is in it.
    pub is_whole: bool,
    /// Bytes that a viewer sees, by equal parts of the duration.
    pub output: Vec<u64>,
    /// Stretches in which nothing was shown, nanoseconds since the start.
    pub idle: Vec<(u64, u64)>,
    /// What happened, by time.
    pub happenings: Vec<Happening>,
    /// How many more happened than are listed.
    pub left_out: u64,
    /// Places that are damaged and were passed over.
    pub damages: u64,
}

/// What changes on the screen in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stretch {
    /// Times and changes; the first one names the whole screen at the beginning.
    pub frames: Vec<(u64, Change)>,
    /// Up to where this goes, nanoseconds since the start; nothing happens between the last frame
    /// and it.
    pub until_ns: u64,
    /// When the next event is behind it; `None` if there is none.
    pub next_ns: Option<u64>,
    /// Time of the recording's last event, nanoseconds since the start.
    pub duration_ns: u64,
    /// Places that are damaged and were passed over on the way.
    pub damages: u64,
}

/// A row that holds what was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// When it came to stand there, nanoseconds since the start.
    pub at_ns: u64,
    /// The row, from 0; `None` if it scrolled away at once.
    pub row: Option<u64>,
    /// The whole row.
    pub text: String,
}

/// Where a text stood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Rows that hold it, by time.
    pub findings: Vec<Finding>,
    /// Up to where was searched, nanoseconds since the start, whole milliseconds: all that came up to
    /// then is in `findings`, and nothing behind it. `None`: to the end.
    pub until_ns: Option<u64>,
    /// More rows hold it, or may, than are in `findings`: so much came within one millisecond.
    pub has_left_out: bool,
    /// Places that are damaged and were passed over: what stood there is not found.
    pub damages: u64,
}

/// What a check found wrong with a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Places that are not what was recorded; at least 1.
    pub places: u64,
    /// The first of it, in words.
    pub what: String,
}

impl Damaged {
    /// What is wrong with a recording that was checked; `None` where it is intact as far as it goes.
    pub(super) fn of(found: &Verified) -> Option<Self> {
        if found.is_intact() && found.report.verdict != Verdict::Damaged {
            return None;
        }
        let differs = found.differences.first();
        // Not with the words of the store: who has a link is told this, too.
        let differs =
            differs.map(|one| format!("segment {} is not what was archived", one.segment));
        let damage = || found.report.damages.first().map(ToString::to_string);
        let stale = || "its newest archived segment is not at its end".to_owned();
        // One segment that is not what was archived is both a difference and a damage.
        let places = found
            .report
            .damages_count
            .max(found.differences.len() as u64);
        Some(Self {
            places: places.max(1),
            what: differs.or_else(damage).unwrap_or_else(stale),
        })
    }
}

/// Recordings as they are played.
pub trait Playing: Send + Sync {
    /// Somebody checked the whole recording where it is kept. Of one that is damaged nothing that was
    /// made before MUST be shown any more, and each timeline MUST say so from now on, also after a
    /// restart, until a check finds it intact.
    fn checked(&self, session: SessionId, damaged: Option<&Damaged>);

    /// The recording at a glance. `None` MUST mean that nothing of the session is known.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn timeline(&self, session: SessionId) -> Result<Option<Arc<Timeline>>, Trouble>;

    /// What changes between these moments. What is held for an answer MUST be bounded; an answer MAY
    /// end before `until_ns`, but MUST NOT be empty.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn stretch(
        &self,
        session: SessionId,
        from_ns: u64,
        until_ns: u64,
    ) -> Result<Option<Stretch>, Trouble>;

    /// Rows that come to hold this text behind `from_ns`, and up to where it was searched.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn find(
        &self,
        session: SessionId,
        needle: &str,
        from_ns: u64,
    ) -> Result<Option<Found>, Trouble>;
}

pub(super) fn timeline(listings: Arc<dyn Listings>, playing: Arc<dyn Playing>) -> Handler {
    blocking(move |call| {
        let session = living(&call, &*listings)?;
        let found = playing.timeline(session)?.ok_or_else(Problem::not_found)?;
        let found = Within::of(&call).map_or_else(|| Arc::clone(&found), |w| w.timeline(&found));
        let idle: Vec<Json> = found.idle.iter().map(|(a, b)| json!([a, b])).collect();
        let happenings: Vec<Json> = found.happenings.iter().map(happening).collect();
        Ok(json!({
            "sid": session.to_string(),
            "duration_ns": found.duration_ns,
            "whole": found.is_whole,
            "output": found.output,
            "idle": idle,
            "happenings": happenings,
            "left_out": found.left_out,
            "damages": found.damages,
        }))
    })
}

pub(super) fn happening(one: &Happening) -> Json {
    json!({ "at_ns": one.at_ns, "ei": one.seq, "lane": one.lane, "label": one.label })
}

pub(super) fn frames(listings: Arc<dyn Listings>, playing: Arc<dyn Playing>) -> Handler {
    blocking(move |call| {
        let session = living(&call, &*listings)?;
        let ns = |name| {
            call.params
                .number(name)
                .map(|ms| ms.saturating_mul(1_000_000))
        };
        let within = Within::of(&call);
        let inside = |at_ns: u64| within.map_or(at_ns, |within| within.clamp(at_ns));
        let from_ns = inside(ns("from_ms").unwrap_or(0));
        let longest_ns = from_ns.saturating_add(STRETCH_NS_MAX);
        let until_ns = ns("until_ms").unwrap_or(from_ns).clamp(from_ns, longest_ns);
        let found = playing.stretch(session, from_ns, inside(until_ns))?;
        let found = found.ok_or_else(Problem::not_found)?;
        let found = match within {
            Some(within) => within.frames(found),
            None => found,
        };
        let frames: Vec<Json> = found.frames.iter().map(|(at, c)| frame(*at, c)).collect();
        Ok(json!({
            "frames": frames,
            "until_ns": found.until_ns,
            "next_ns": found.next_ns,
            "duration_ns": found.duration_ns,
            "damages": found.damages,
        }))
    })
}

pub(super) fn find(listings: Arc<dyn Listings>, playing: Arc<dyn Playing>) -> Handler {
    blocking(move |call| {
        let session = living(&call, &*listings)?;
        let needle = call.params.text("text").unwrap_or_default().to_owned();
        hansard_view::search::check_needle(&needle)
            .map_err(|why| Problem::bad(format!("text: {why}")))?;
        let from_ns = call.params.number("from_ms").unwrap_or(0);
        let from_ns = from_ns.saturating_mul(1_000_000);
        let within = Within::of(&call);
        let from_ns = within.map_or(from_ns, |within| within.clamp(from_ns));
        let found = playing.find(session, &needle, from_ns)?;
        let found = found.ok_or_else(Problem::not_found)?;
        let found = match within {
            Some(within) => within.found(found),
            None => found,
        };
        let row = |one: &Finding| json!({ "at_ns": one.at_ns, "row": one.row, "text": one.text });
        let findings: Vec<Json> = found.findings.iter().map(row).collect();
        Ok(json!({
            "findings": findings,
            "complete": found.until_ns.is_none(),
            "until_ns": found.until_ns,
            "more_findings": found.has_left_out,
            "damages": found.damages,
        }))
    })
}

/// A change, as small as it can be said: thousands of them are fetched.
pub(super) fn frame(at_ns: u64, change: &Change) -> Json {
    let mut object = Map::new();
    object.insert("at_ns".to_owned(), json!(at_ns));
    if let Some((cols, rows)) = change.size {
        object.insert("size".to_owned(), json!([cols, rows]));
    }
    let cursor = change.cursor.map(|(col, row)| json!([col, row]));
    object.insert("cursor".to_owned(), cursor.unwrap_or(Json::Null));
    let rows = change.rows.iter().map(|(n, runs)| {
        let runs: Vec<Json> = runs.iter().map(run).collect();
        json!([n, runs])
    });
    object.insert("rows".to_owned(), rows.collect());
    Json::Object(object)
}

/// `[column, columns, text]`, and the style where it is not the plain one.
fn run(run: &Run) -> Json {
    let mut parts = vec![json!(run.column), json!(run.columns), json!(run.text)];
    if run.style != Style::default() {
        parts.push(style(&run.style));
    }
    Json::Array(parts)
}

/// `[foreground, background, marks]`: a colour is a number of the 256 or `#rrggbb`; marks are letters.
fn style(style: &Style) -> Json {
    let color = |color: Option<Color>| match color {
        None => Json::Null,
        Some(Color::Indexed(n)) => json!(n),
        Some(Color::Rgb(r, g, b)) => json!(format!("#{r:02x}{g:02x}{b:02x}")),
    };
    let marks = [
        ('b', style.bold),
        ('f', style.faint),
        ('i', style.italic),
        ('u', style.underline),
        ('s', style.strikethrough),
        ('k', style.blink),
        ('v', style.inverse),
    ];
    let marks: String = marks
        .iter()
        .filter(|(_, on)| *on)
        .map(|(c, _)| *c)
        .collect();
    json!([color(style.foreground), color(style.background), marks])
}

/// Of what is painted.
fn painted() -> Vec<(&'static str, Json)> {
    let since = "nanoseconds since the start";
    let numbers = list(&count());
    let frame = [
        ("at_ns", count(), since),
        ("size?", numbers.clone(), "columns and rows from now on"),
        (
            "cursor",
            or_null(numbers.clone()),
            "column and row; `null` where it is hidden",
        ),
        (
            "rows",
            json!({ "type": "array" }),
            "`[row, runs]` of each row that changed; a run is `[column, columns, text, style]`, a \
style `[foreground, background, marks]`: colours are numbers of the 256 or `#rrggbb`, marks are of \
`b`old, `f`aint, `i`talic, `u`nderlined, `s`truck, blin`k`ing, in`v`erse",
        ),
    ];
    let mut watched = vec![(
        "family",
        text(),
        "`frame`, `happening`, `heartbeat`, `lost`, or `over`",
    )];
    watched.extend(frame.iter().map(|(name, schema, doc)| match *name {
        "at_ns" => ("at_ns?", schema.clone(), *doc),
        "cursor" => ("cursor?", schema.clone(), *doc),
        "rows" => ("rows?", schema.clone(), *doc),
        name => (name, schema.clone(), *doc),
    }));
    vec![
        ("Frame", object("What changed on the screen.", &frame)),
        ("Watched", object("One line of a stream.", &watched)),
    ]
}

/// Of what is found; of damage, these words.
fn places(passed: &'static str) -> Json {
    let finding = [
        ("at_ns", count(), "nanoseconds since the start"),
        (
            "row",
            or_null(count()),
            "from 0; `null`: it scrolled away at once",
        ),
        ("text", text(), "the whole row"),
    ];
    let finding = object("A row that holds the text.", &finding);
    let found = [
        ("findings", list(&finding), "by time"),
        ("complete", truth(), "whether the end was reached"),
        (
            "until_ns",
            or_null(count()),
            "up to where it was searched, whole milliseconds: go on from there",
        ),
        (
            "more_findings",
            truth(),
            "whether more rows hold it, or may: so much came within one millisecond",
        ),
        ("damages", count(), passed),
    ];
    object("Where a text stood.", &found)
}

pub(super) fn schemas() -> Vec<(&'static str, Json)> {
    let since = "nanoseconds since the start";
    let numbers = list(&count());
    let happening = [
        ("at_ns", count(), since),
        (
            "ei",
            count(),
            "number of the event; in `gaps` where the recording is damaged: of the first that cannot be read",
        ),
        ("lane", text(), "`commands`, `files`, `connections`, …"),
        ("label", text(), "what, in words"),
    ];
    let timeline = [
        ("sid", super::schema::uuid(), "identifier of the session"),
        ("duration_ns", count(), "time of the last event"),
        ("whole", truth(), "whether its end is recorded"),
        (
            "output",
            numbers.clone(),
            "bytes shown, by equal parts of the duration",
        ),
        (
            "idle",
            list(&numbers),
            "stretches in which nothing was shown, from and until",
        ),
        ("happenings", list(&named("Happening")), "by time"),
        ("left_out", count(), "how many more happened"),
        ("damages", count(), "places that were passed over"),
    ];
    let passed = "damaged places that were passed over on the way: what was there is not in this";
    let next = "when the next event is behind it; `null` if there is none";
    let frames = [
        ("frames", list(&named("Frame")), "by time"),
        ("until_ns", count(), "up to where this goes"),
        ("next_ns", or_null(count()), next),
        ("duration_ns", count(), "time of the last event"),
        ("damages", count(), passed),
    ];
    let mut all = painted();
    all.extend([
        ("Happening", object("Something that happened.", &happening)),
        ("Timeline", object("A recording at a glance.", &timeline)),
        ("Frames", object("What changed in a stretch.", &frames)),
        ("Places", places(passed)),
    ]);
    all
}

/// A line of a live view, which says what it is of.
pub(super) fn of_family(family: &str, mut line: Json) -> Json {
    if let Some(fields) = line.as_object_mut() {
        fields.insert("family".to_owned(), json!(family));
    }
    line
}
