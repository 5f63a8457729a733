//! The route of full text.

use super::{Answer, CURSOR, HOST, KIND, Kind, LIMIT, Op, Own, Param, REASON, Route, USER};
use super::{by_handler, get, p};
use crate::api::role::Role;
use crate::indexing::SEARCH_EVENT;

const PARAMS: &[Param] = &[
    p("q", Kind::Text, "what is looked for"),
    p(
        "since",
        Kind::Text,
        "not before: RFC 3339, a day, or so long ago (`7d`)",
    ),
    p("until", Kind::Text, "before: as `since`"),
    USER,
    HOST,
    KIND,
    LIMIT,
    CURSOR,
    REASON,
];

pub(super) const SEARCH: Route = Route {
    summary: "Full text: what was shown, typed, run and told of, with its moments",
    doc: "Answers by session, those that began last first; `docs/search.md` has the language of `q`. \
The filters may stand in `q`, too. Own sessions only, for a user. What was shown five seconds ago is \
found. Put on record first, as `session.search` with the question.",
    params: PARAMS,
    own: Own::Rows,
    noted: by_handler(SEARCH_EVENT),
    ..get(
        Op::Search,
        "/v1/search",
        Role::Auditor,
        Answer::Json("Found"),
    )
};
