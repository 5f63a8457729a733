//! Routes of the player in a browser, and of what it lets one take away.

use super::{Answer, CURSOR, Kind, LIMIT, Noted, Op, REASON, Route, of_session, p};

/// Playing: one look, however many requests it takes.
const fn played(route: Route) -> Route {
    Route {
        noted: Some(Noted {
            event: "session.recording.access",
            format: Some("player"),
            by_handler: false,
            once: true,
        }),
        doc: "Playing a recording is a look at it: the first request of these is put on record \
(`session.recording.access`, format `player`) before it is answered, and refused if that fails; those \
that follow within ten minutes for the same reason, or without one, belong to it.",
        ..route
    }
}

pub(super) const TIMELINE: Route = played(Route {
    summary: "A recording at a glance: output, idle stretches, what happened",
    ..of_session(
        Op::Timeline,
        "/v1/sessions/{id}/timeline",
        Answer::Json("Timeline"),
        "",
    )
});

pub(super) const FRAMES: Route = played(Route {
    summary: "The screen at a moment, and what changes after it",
    params: &[
        p("from_ms", Kind::Millis, "from this moment on"),
        p(
            "until_ms",
            Kind::Millis,
            "up to this one; ten minutes at most",
        ),
        REASON,
    ],
    ..of_session(
        Op::Frames,
        "/v1/sessions/{id}/frames",
        Answer::Json("Frames"),
        "",
    )
});

pub(super) const FIND: Route = played(Route {
    summary: "Where a text stood on the screen",
    params: &[
        p("text", Kind::Text, "what stood there, on one line"),
        p("from_ms", Kind::Millis, "behind this moment"),
        REASON,
    ],
    ..of_session(
        Op::Find,
        "/v1/sessions/{id}/find",
        Answer::Json("Places"),
        "",
    )
});

pub(super) const TRANSCRIPT: Route = played(Route {
    summary: "What stood on the screen, line by line",
    params: &[
        p(
            "from_ms",
            Kind::Millis,
            "lines that came from this moment on; with `order=newest`, before it",
        ),
        p(
            "order",
            Kind::Word(&["oldest", "newest"]),
            "what comes first; `oldest` unless said otherwise",
        ),
        LIMIT,
        CURSOR,
        REASON,
    ],
    ..of_session(
        Op::Transcript,
        "/v1/sessions/{id}/transcript",
        Answer::Json("Transcript"),
        "",
    )
});

pub(super) const WATCH: Route = Route {
    summary: "The session as it happens, painted: the screen as it is, then what changes",
    ..of_session(
        Op::Watch,
        "/v1/sessions/{id}/watch",
        Answer::Lines("Watched"),
        "live",
    )
};

/// Formats of one file that a recording is handed out in, besides its own.
pub const EXPORTS: &[&str] = &[
    "asciicast-v3",
    "asciicast-v2",
    "tlog",
    "ttyrec",
    "transcript",
    "raw",
    "jsonl",
    "gif",
    "mp4",
];

pub(super) const EXPORT: Route = Route {
    summary: "The recording, or a stretch of it, in another format",
    params: &[
        p("format", Kind::Word(EXPORTS), "which one"),
        p(
            "from_ms",
            Kind::Millis,
            "from this moment on; it begins with the screen as it was",
        ),
        p("until_ms", Kind::Millis, "up to this one"),
        REASON,
    ],
    doc: "This is a look at a recording: it is put on record (`session.recording.access`, with the format) \
before anything is answered, and refused if that fails. A copy in another format is no evidence: that is \
the recording itself. A film (`gif`, `mp4`) is at most 10 minutes long and 64 MiB large, stretches in which nothing \
changes are two seconds in it, and it is made before it is answered, two at a time; a stretch that does not fit is \
refused (400), and so is `mp4` (501) where the service's host lacks Debian's package ffmpeg.",
    ..of_session(
        Op::Export,
        "/v1/sessions/{id}/export",
        Answer::File,
        "asciicast-v3",
    )
};
