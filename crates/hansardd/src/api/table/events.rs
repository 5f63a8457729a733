//! Routes of events.

use super::{Answer, CURSOR, FROM, HOST, KIND, Kind, LIMIT, ORDER, Op, Own, Param, Role, Route};
use super::{UNTIL, USER, get, p};

const EVENT: Param = p("event", Kind::Text, "of this name, such as `session.start`");
const SESSION: Param = p("session", Kind::Session, "of this session");
const RECORDING: Param = p(
    "recording",
    Kind::Session,
    "about the recording of this session: looks at it, and what was done with it",
);

pub(super) const EVENTS: Route = Route {
    summary: "Events, by time; with `follow`, those of the event log as it is written",
    doc: "With `follow=true` the answer is JSON lines, in the order of the log: documents, and \
after them lines with nothing but a `cursor`, from which a later request goes on without a hole. \
Without `cursor` it begins at `from`, or now; `until`, `order` and `limit` cannot be given then.",
    params: &[
        FROM,
        UNTIL,
        USER,
        HOST,
        KIND,
        EVENT,
        SESSION,
        RECORDING,
        ORDER,
        LIMIT,
        CURSOR,
        p("follow", Kind::Bool, "go on with what comes"),
    ],
    own: Own::Rows,
    ..get(
        Op::Events,
        "/v1/events",
        Role::Reviewer,
        Answer::Json("Events"),
    )
};

pub(super) const COUNTS: Route = Route {
    summary: "How many events there are, by time, name, user, host, kind and outcome",
    doc: "Of the events that `/v1/events` lists under the same filters. Of more than 50,000 one of so many \
is looked at, spread over all of them: `looked_at` says of how many, and the numbers by value are estimates \
then. Events that are not projected yet (`behind`) are not counted.",
    params: &[
        FROM,
        UNTIL,
        USER,
        HOST,
        KIND,
        EVENT,
        SESSION,
        RECORDING,
        p(
            "buckets",
            Kind::Limit,
            "stretches of time at most; 60 unless said otherwise, more than 200 mean 200",
        ),
    ],
    own: Own::Rows,
    ..get(
        Op::EventCounts,
        "/v1/events/counts",
        Role::Reviewer,
        Answer::Json("EventCounts"),
    )
};
