//! The one table of routes. The router lets through what it says and nothing else; the OpenAPI
//! document is written from it.

mod credentials;
mod events;
mod hosts;
mod locks;
mod passkeys;
mod people;
mod played;
mod policy;
mod saved;
mod shares;
mod sign_ins;
mod sought;
mod ssh;
mod tokens;
mod verb;

pub use played::EXPORTS;
pub use shares::OPEN_TO_LINKS;
pub use verb::Verb;

use super::role::Role;

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // each is what its route's summary says
pub enum Op {
    Status,
    OpenApi,
    Sessions,
    Session,
    Recording,
    Follow,
    Verify,
    End,
    Hold,
    Release,
    Holds,
    Events,
    EventCounts,
    Tokens,
    TokenMake,
    TokenRemove,
    CertificateMake,
    SshAuthorities,
    Hosts,
    Coverage,
    HostLock,
    HostUnlock,
    Policy,
    PolicySet,
    PolicyTest,
    Search,
    Users,
    UserMake,
    UserRemove,
    UserPassword,
    Timeline,
    Frames,
    Find,
    Transcript,
    Watch,
    Export,
    ShareMake,
    Shares,
    ShareRevoke,
    Shared,
    Passkeys,
    PasskeyChallenge,
    PasskeyMake,
    PasskeyRename,
    PasskeyRemove,
    Locks,
    LockMake,
    LockRemove,
    CertificateOwn,
    UserRoles,
    Saved,
    SavedKeep,
    SavedRemove,
    SignIns,
    SignInEnd,
    Credentials,
    CredentialMake,
    CredentialReplace,
    CredentialRemove,
    CredentialRotate,
    PersonOwn,
}

/// What stands in a path's `{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// A session's UUID.
    Session,
    /// A host's identifier.
    Host,
    /// A token's name.
    Token,
    /// The name of a user who signs in.
    User,
    /// The name of a link.
    Share,
    /// The name of a passkey.
    Passkey,
    /// The name of a lock.
    Lock,
    /// The name of a credential.
    Credential,
    /// The identifier of a saved search.
    Saved,
    /// The name of a browser in which somebody is signed in.
    SignIn,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A UTC time, RFC 3339.
    Time,
    /// A number of rows, at least 1.
    Limit,
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A session's UUID.
    Session,
    /// A version of something, from 1.
    Version,
    /// A number of milliseconds.
    Millis,
}

/// A parameter behind the question mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One JSON document of this schema.
    Json(&'static str),
    /// JSON lines of this schema, for as long as there are any.
    Lines(&'static str),
    /// A recording's bytes.
    Recording,
    /// A file in the format that its parameter names.
    File,
}

/// What is put on record before the request is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Name of the event.
    pub event: &'static str,
    /// As what a recording was looked at, unless a parameter `format` says it.
    pub format: Option<&'static str>,
    /// Whether the handler tells it, because it knows more: after everything that can be refused,
    /// and before anything is done. So does each that changes something: what is refused must not be on record
    /// as done. Refusals of a role are told by the router in any case.
    pub by_handler: bool,
    /// Whether what one caller does to one recording for a while is one look: fetching the next
    /// minute of what is being played is no other look than fetching the first.
    pub once: bool,
}

/// What of a route is open to whoever's role is below [`Route::least`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Nothing.
    Nothing,
    /// Rows with their own name as the user, and no others.
    Rows,
    /// Sessions with their own name as the user, and no others.
    Sessions,
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What it does.
    pub op: Op,
    /// How it is asked.
    pub verb: Verb,
    /// Where.
    pub path: &'static str,
    /// The lowest role that may, whatever it is about.
    pub least: Role,
    /// What of it is open to a user whose own it is.
    pub own: Own,
    /// One line about it.
    pub summary: &'static str,
    /// What else there is to know.
    pub doc: &'static str,
    /// What its `{id}` is.
    pub id: Option<Id>,
    /// Its parameters; others are refused.
    pub params: &'static [Param],
    /// Schema of the JSON document that is sent along.
    pub body: Option<&'static str>,
    /// Its answer.
    pub answer: Answer,
    /// What is put on record first.
    pub noted: Option<Noted>,
}

const fn p(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, doc }
}

const FROM: Param = p("from", Kind::Time, "not before this time");
const UNTIL: Param = p("until", Kind::Time, "before this time");
const USER: Param = p("user", Kind::Text, "of this user, letter by letter");
const HOST: Param = p("host", Kind::Text, "on the host of this name");
const KIND: Param = p(
    "kind",
    Kind::Text,
    "of this kind: `terminal`, `exec`, `host`, …",
);
const ORDER: Param = p(
    "order",
    Kind::Word(&["newest", "oldest"]),
    "what comes first; `newest` unless said otherwise",
);
const LIMIT: Param = p(
    "limit",
    Kind::Limit,
    "rows of this answer at most; more than 1000 mean 1000",
);
const CURSOR: Param = p(
    "cursor",
    Kind::Text,
    "go on where an answer with the same filters ended: its `next`",
);
const REASON: Param = p(
    "reason",
    Kind::Text,
    "why you look; goes into the record of looks",
);

const LOOK: &str = "This is a look at a recording: it is put on record \
(`session.recording.access`) before anything is answered, and refused if that fails.";

const fn look(format: &'static str) -> Option<Noted> {
    Some(Noted {
        event: "session.recording.access",
        format: Some(format),
        by_handler: false,
        once: false,
    })
}

const fn by_handler(event: &'static str) -> Option<Noted> {
    Some(Noted {
        event,
        format: None,
        by_handler: true,
        once: false,
    })
}

const fn get(op: Op, path: &'static str, least: Role, answer: Answer) -> Route {
    Route {
        op,
        verb: Verb::Get,
        path,
        least,
        own: Own::Nothing,
        summary: "",
        doc: "",
        id: None,
        params: &[],
        body: None,
        answer,
        noted: None,
    }
}

const fn of_session(op: Op, path: &'static str, answer: Answer, format: &'static str) -> Route {
    Route {
        id: Some(Id::Session),
        params: &[REASON],
        noted: look(format),
        own: Own::Sessions,
        doc: LOOK,
        ..get(op, path, Role::Auditor, answer)
    }
}

const fn change(op: Op, verb: Verb, path: &'static str, event: &'static str) -> Route {
    Route {
        verb,
        noted: by_handler(event),
        ..get(op, path, Role::Admin, Answer::Json("Done"))
    }
}

/// All routes.
pub const ROUTES: [Route; 61] = [
    Route {
        summary: "How the service is, and who you are to it",
        ..get(Op::Status, "/v1/status", Role::User, Answer::Json("Status"))
    },
    Route {
        summary: "This description",
        ..get(
            Op::OpenApi,
            "/v1/openapi.json",
            Role::User,
            Answer::Json("OpenApi"),
        )
    },
    Route {
        summary: "Sessions, by start",
        doc: "An answer that does not hold all says `complete: false` and has a `next`.",
        params: &[FROM, UNTIL, USER, HOST, KIND, ORDER, LIMIT, CURSOR],
        own: Own::Rows,
        ..get(
            Op::Sessions,
            "/v1/sessions",
            Role::Reviewer,
            Answer::Json("Sessions"),
        )
    },
    Route {
        summary: "One session, as it is listed",
        least: Role::Reviewer,
        ..of_session(
            Op::Session,
            "/v1/sessions/{id}",
            Answer::Json("Session"),
            "listing",
        )
    },
    Route {
        summary: "The recording, as a `.hansard` file",
        ..of_session(
            Op::Recording,
            "/v1/sessions/{id}/recording",
            Answer::Recording,
            "hansard",
        )
    },
    Route {
        summary: "The session as it happens: the screen so far, then every event",
        ..of_session(
            Op::Follow,
            "/v1/sessions/{id}/follow",
            Answer::Lines("Followed"),
            "live",
        )
    },
    Route {
        summary: "Checks the recording where it is kept",
        ..of_session(
            Op::Verify,
            "/v1/sessions/{id}/verify",
            Answer::Json("Verified"),
            "verify",
        )
    },
    Route {
        id: Some(Id::Session),
        summary: "Ends a session that is going on",
        doc: "Put on record before it is done. What was recorded stays.",
        body: Some("Reason"),
        ..change(Op::End, Verb::Post, "/v1/sessions/{id}/end", "session.kill")
    },
    Route {
        id: Some(Id::Session),
        summary: "Holds a session: no rule deletes it",
        doc: "Until the hold is lifted; holding it twice is holding it once.",
        body: Some("Reason"),
        ..change(
            Op::Hold,
            Verb::Post,
            "/v1/sessions/{id}/hold",
            "recording.held",
        )
    },
    Route {
        id: Some(Id::Session),
        summary: "Lifts a session's hold",
        doc: "The rules apply to it again, from their next run on.",
        params: &[REASON],
        ..change(
            Op::Release,
            Verb::Delete,
            "/v1/sessions/{id}/hold",
            "recording.released",
        )
    },
    Route {
        summary: "Sessions that are held",
        params: &[LIMIT, CURSOR],
        ..get(Op::Holds, "/v1/holds", Role::Auditor, Answer::Json("Holds"))
    },
    events::EVENTS,
    events::COUNTS,
    tokens::TOKENS,
    tokens::TOKEN_MAKE,
    tokens::TOKEN_REMOVE,
    ssh::CERTIFICATE_MAKE,
    ssh::CERTIFICATE_OWN,
    ssh::PERSON_OWN,
    ssh::AUTHORITIES,
    hosts::HOSTS,
    hosts::COVERAGE,
    hosts::HOST_LOCK,
    hosts::HOST_UNLOCK,
    policy::POLICY,
    policy::POLICY_SET,
    policy::POLICY_TEST,
    people::USERS,
    people::USER_MAKE,
    people::USER_REMOVE,
    people::USER_PASSWORD,
    people::USER_ROLES,
    played::TIMELINE,
    played::FRAMES,
    played::FIND,
    played::TRANSCRIPT,
    played::WATCH,
    played::EXPORT,
    sought::SEARCH,
    shares::SHARE_MAKE,
    shares::SHARES,
    shares::SHARE_REVOKE,
    shares::SHARED,
    passkeys::PASSKEYS,
    passkeys::MAKE,
    passkeys::CHALLENGE,
    passkeys::RENAME,
    passkeys::REMOVE,
    locks::LOCKS,
    locks::LOCK_MAKE,
    locks::LOCK_REMOVE,
    saved::LIST,
    saved::KEEP,
    saved::REMOVE,
    sign_ins::SIGN_INS,
    sign_ins::END,
    credentials::CREDENTIALS,
    credentials::MAKE,
    credentials::REPLACE,
    credentials::REMOVE,
    credentials::ROTATE,
];

/// Methods of a path, as an `Allow` header has them.
#[must_use]
pub(super) fn allowed(path: &str) -> &'static str {
    let has = |verb| ROUTES.iter().any(|r| r.path == path && r.verb == verb);
    if has(Verb::Put) && has(Verb::Delete) {
        return "PUT, DELETE";
    }
    if has(Verb::Put) {
        return if has(Verb::Get) { "GET, PUT" } else { "PUT" };
    }
    match (has(Verb::Get), has(Verb::Post), has(Verb::Delete)) {
        (true, true, _) => "GET, POST",
        (true, ..) => "GET",
        (_, true, true) => "POST, DELETE",
        (_, true, _) => "POST",
        _ => "DELETE",
    }
}
