//! The routes that are streams: a recording's bytes, a session as it happens, the event log as it is
//! written.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use hansard_view::jsonl::event_json;
use serde_json::{Value as Json, json};

use super::answers::{listed, living};
use super::limits::{BATCH_MAX, HEARTBEAT, WAIT_MAX};
use super::problem::Problem;
use super::router::{Call, Handler};
use super::rows;
use super::seams::{EventLog, Following, Listings, Log, Recordings, Seen, Since, Watch};
use super::stream::{Gone, Pieces, Streams, copy};
use super::time;

/// Media type of a recording.
pub(super) const RECORDING: &str = "application/vnd.hansard.recording";
/// Media type of JSON lines.
pub(super) const LINES: &str = "application/jsonl";

type Open = dyn Fn(&Call) -> Result<Option<Source>, Problem> + Send + Sync;

/// What a stream is made of, and what its head says besides.
struct Source {
    said: HeaderMap,
    make: Box<dyn FnOnce(Pieces) + Send>,
}

impl Source {
    fn new(make: impl FnOnce(Pieces) + Send + 'static) -> Self {
        Self {
            said: HeaderMap::new(),
            make: Box::new(make),
        }
    }
}

/// A handler whose answer is a stream, which is opened before the first byte of it is answered.
fn streaming(streams: Streams, media: &'static str, open: Arc<Open>) -> Handler {
    Arc::new(move |call| {
        let (streams, open) = (streams.clone(), Arc::clone(&open));
        Box::pin(async move {
            let place = streams.place(&call.caller)?;
            let Source { said, make } = opened(move || open(&call)).await?;
            let mut answer = streams.answer(place, media, make)?;
            answer.headers_mut().extend(said);
            Ok(answer)
        })
    })
}

/// What a stream is made of, which may wait for a store.
pub(super) async fn opened<T: Send + 'static>(
    open: impl FnOnce() -> Result<Option<T>, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let opened = tokio::task::spawn_blocking(open).await;
    let fault = |_| Problem::unavailable("the handler has a fault");
    opened.map_err(fault)??.ok_or_else(Problem::not_found)
}

/// A recording that is read from its beginning.
type Bytes = Box<dyn Read + Send>;

/// Sends what is made of a recording. An error is why it was cut.
pub(super) struct Sending {
    /// What the answer's head says about it.
    pub(super) said: HeaderMap,
    pub(super) send: Box<dyn FnOnce(Bytes, Pieces) -> Result<(), String> + Send>,
}

/// Opens a recording for who reads it before it is sent.
pub(super) type Again<'a> = &'a dyn Fn() -> Result<Option<Bytes>, Problem>;

/// A handler that sends something made of a recording; `wish` says what a call asks for.
pub(super) fn made_of_recording(
    (listings, recordings): (Arc<dyn Listings>, Arc<dyn Recordings>),
    (streams, media): (Streams, &'static str),
    log: Log,
    wish: impl Fn(&Call, Again<'_>) -> Result<Sending, Problem> + Send + Sync + 'static,
) -> Handler {
    let open = move |call: &Call| {
        let session = living(call, &*listings)?;
        let Sending { said, send } = wish(call, &|| Ok(recordings.open(session)?))?;
        let log = Arc::clone(&log);
        let reader = recordings.open(session)?;
        Ok(reader.map(|reader| Source {
            said,
            make: Box::new(move |pieces| {
                if let Err(why) = send(reader, pieces) {
                    log(&format!("recording {session}: the answer was cut: {why}"));
                }
            }),
        }))
    };
    streaming(streams, media, Arc::new(open))
}

pub(super) fn recording(
    listings: Arc<dyn Listings>,
    recordings: Arc<dyn Recordings>,
    streams: Streams,
    log: Log,
) -> Handler {
    let kept = (listings, recordings);
    made_of_recording(kept, (streams, RECORDING), log, |_, _| {
        let (said, send) = (HeaderMap::new(), Box::new(copy));
        Ok(Sending { said, send })
    })
}

/// A session as it happens, in lines: every event.
pub(super) fn follow(
    listings: Arc<dyn Listings>,
    following: Arc<dyn Following>,
    streams: Streams,
    log: Log,
) -> Handler {
    let open = move |call: &Call| {
        let session = living(call, &*listings)?;
        let log = Arc::clone(&log);
        let watch = following.follow(session)?;
        Ok(watch.map(|watch| {
            Source::new(move |mut pieces| {
                let told = tell(watch, &mut pieces);
                if let Err(Some(why)) = &told {
                    log(&format!("session {session}: following was cut: {why}"));
                }
                if told.is_err() {
                    pieces.abort(std::io::ErrorKind::ConnectionAborted.into());
                }
            })
        }))
    };
    streaming(streams, LINES, Arc::new(open))
}

/// Everything that there is to see.
fn tell(mut watch: Box<dyn Watch>, pieces: &mut Pieces) -> Result<(), Option<String>> {
    let mut said = Instant::now();
    loop {
        let line = match watch.next(WAIT_MAX) {
            Ok(Seen::Event(event)) => event_json(&event),
            Ok(Seen::Screen {
                seq,
                at_ns,
                size: (cols, rows),
                dump,
            }) => json!({
                "seq": seq, "at_ns": at_ns, "family": "screen",
                "cols": cols, "rows": rows, "text": dump,
            }),
            Ok(Seen::Lost { segment, what }) => json!({
                "family": "lost", "segment": segment, "reason": what,
            }),
            Ok(Seen::Over(why)) => {
                let over = json!({ "family": "over", "reason": why });
                return put(pieces, &over).map_err(|Gone| None);
            }
            Ok(Seen::Nothing) if pieces.is_stopping() => return Err(None),
            Ok(Seen::Nothing) if said.elapsed() < HEARTBEAT => continue,
            Ok(Seen::Nothing) => json!({ "family": "heartbeat" }),
            Err(trouble) => return Err(Some(format!("{trouble:?}"))),
        };
        put(pieces, &line).map_err(|Gone| None)?;
        said = Instant::now();
    }
}

fn put(pieces: &mut Pieces, line: &Json) -> Result<(), Gone> {
    pieces.put(format!("{line}\n"))
}

/// Events: a listing, or what comes.
pub(super) fn events(
    listings: Arc<dyn Listings>,
    event_log: Arc<dyn EventLog>,
    streams: Streams,
    log: Log,
) -> Handler {
    let list = super::answers::blocking(move |call| {
        let page = listings.events(&call.query()?)?;
        let rows: Vec<Json> = page.rows.iter().map(rows::event).collect();
        let next = page.next.map(|next| next.to_string());
        Ok(listed("events", rows, next, Some(listings.behind()?)))
    });
    let open = move |call: &Call| {
        let tail = Tail::new(call, &event_log)?;
        let log = Arc::clone(&log);
        Ok(Some(Source::new(move |pieces| tail.run(pieces, &log))))
    };
    let follow = streaming(streams, LINES, Arc::new(open));
    Arc::new(move |call| {
        if call.params.is_set("follow") {
            follow(call)
        } else {
            list(call)
        }
    })
}

/// Somebody who follows the event log.
struct Tail {
    event_log: Arc<dyn EventLog>,
    from_ns: Option<u64>,
    cursor: Option<String>,
    /// Field of a document, and what it must be.
    wanted: Vec<(&'static str, String)>,
    first: super::seams::Batch,
}

impl Tail {
    fn new(call: &Call, event_log: &Arc<dyn EventLog>) -> Result<Self, Problem> {
        let params = &call.params;
        for name in ["until", "order", "limit"] {
            if params.text(name).is_some() {
                let message = format!("{name}: cannot be given with follow=true");
                return Err(Problem::bad(message));
            }
        }
        let fields = [
            ("user", "user"),
            ("host", "server_hostname"),
            ("kind", "kind"),
            ("event", "event"),
            ("session", "sid"),
            ("recording", "recording"),
        ];
        let wanted = fields.into_iter().filter_map(|(param, field)| {
            let own = call.only.as_deref().filter(|_| param == "user");
            let value = own.or_else(|| params.text(param))?;
            Some((field, value.to_owned()))
        });
        let mut tail = Self {
            event_log: Arc::clone(event_log),
            from_ns: params.time("from"),
            cursor: params.text("cursor").map(str::to_owned),
            wanted: wanted.collect(),
            first: super::seams::Batch::default(),
        };
        // A cursor that is none is told before the answer begins.
        tail.first = tail.read(Duration::ZERO)?;
        Ok(tail)
    }

    fn read(&self, wait: Duration) -> Result<super::seams::Batch, super::problem::Trouble> {
        let since = match (&self.cursor, self.from_ns) {
            (Some(cursor), _) => Since::Cursor(cursor),
            (None, Some(from_ns)) => Since::Time(from_ns),
            (None, None) => Since::Now,
        };
        self.event_log.read(since, BATCH_MAX, wait)
    }

    fn run(mut self, mut pieces: Pieces, log: &Log) {
        let mut batch = std::mem::take(&mut self.first);
        let mut said: Option<Instant> = None;
        loop {
            let lines = self.lines(&batch);
            let due = said.is_none_or(|at| at.elapsed() >= HEARTBEAT);
            if !lines.is_empty() || due {
                let place = json!({ "cursor": batch.cursor });
                if pieces.put(format!("{lines}{place}\n")).is_err() {
                    break;
                }
                said = Some(Instant::now());
            }
            self.cursor = Some(batch.cursor);
            if pieces.is_stopping() {
                break;
            }
            batch = match self.read(WAIT_MAX) {
                Ok(batch) => batch,
                Err(trouble) => {
                    log(&format!("following the event log was cut: {trouble:?}"));
                    break;
                }
            };
        }
        pieces.abort(std::io::ErrorKind::ConnectionAborted.into());
    }

    /// Those documents of a batch that were asked for, as lines.
    fn lines(&self, batch: &super::seams::Batch) -> String {
        let mut lines = String::new();
        for line in batch.documents.iter().filter(|line| self.wants(line)) {
            lines.push_str(line);
            lines.push('\n');
        }
        lines
    }

    fn wants(&self, line: &str) -> bool {
        if self.wanted.is_empty() && self.from_ns.is_none() {
            return true;
        }
        let Ok(document) = serde_json::from_str::<Json>(line) else {
            return false;
        };
        let text = |field: &str| document.get(field).and_then(Json::as_str);
        let recent = self.from_ns.is_none_or(|from| {
            let at = text("time").and_then(time::parse);
            at.is_none_or(|at| at >= from)
        });
        recent
            && self
                .wanted
                .iter()
                .all(|(field, value)| text(field) == Some(value))
    }
}
