//! Every bound of this crate, and what happens at it.

/// Bytes of a host's or service's name. A longer one is refused (X.509 has no room for more in a
/// common name).
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of a cluster's name. A longer one is refused.
pub const CLUSTER_BYTES_MAX: usize = 63;

/// Bytes of a certificate in DER. A longer one is refused unread; ours have less than 1 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a certificate's serial number (RFC 5280 §4.1.2.2). A longer one is refused.
pub const SERIAL_BYTES_MAX: usize = 20;

/// Extensions of a certificate. One with more is refused; ours have six.
pub const EXTENSIONS_MAX: usize = 16;

/// DNS names and addresses in a service's certificate. More are refused.
pub const SERVER_NAMES_MAX: usize = 32;

/// Bytes of one DNS name (RFC 1035). A longer one is refused.
pub const SERVER_NAME_BYTES_MAX: usize = 253;

/// Names of users, and of groups, that are given one role. More are refused.
pub const ROLE_NAMES_MAX: usize = 1000;

/// How long a host's or service's TLS certificate holds, seconds (24 h). It renews itself from half
/// of that on; once it has expired, the host needs its recorder key to get another.
pub const TLS_LIFE_S: u64 = 24 * 3600;

/// How long a recorder key's certificate holds, seconds (10 years), or until the authority's end.
/// After half of it a renewal brings a new one.
pub const RECORDER_LIFE_S: u64 = 10 * 365 * 24 * 3600;

/// How long an authority holds, seconds (20 years). At its end nothing is issued any more.
pub const AUTHORITY_LIFE_S: u64 = 20 * 365 * 24 * 3600;

/// How much earlier than now a certificate begins, seconds (1 h): clocks differ. A token is taken
/// as long as the clock is not further than this before the token's making.
pub const CLOCK_SKEW_S: u64 = 3600;

/// Seconds after which no certificate is issued (2200-01-01): a clock beyond is broken.
pub const UTC_S_MAX: u64 = 7_258_118_400;

/// Bytes of one file of the registry or of an identity. A longer one is refused unread.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Bytes of a body of join or renew. A longer one is refused unread.
pub const BODY_BYTES_MAX: usize = 32 * 1024;

/// Labels of a host. More are refused.
pub const LABELS_MAX: usize = 32;

/// Bytes of a label's name. A longer one is refused.
pub const LABEL_NAME_BYTES_MAX: usize = 64;

/// Bytes of a label's value. A longer one is refused.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;

/// Bytes of a reason, or of the name of who did something. A longer one is refused.
pub const REASON_BYTES_MAX: usize = 512;

/// Hosts and services in one registry. At the limit nobody joins any more, and the refusal says so.
pub const HOSTS_MAX: usize = 20_000;

/// Tokens in one registry. At the limit none is made until old ones are removed.
pub const TOKENS_MAX: usize = 10_000;

/// How often one token may be used at most. A higher number is refused.
pub const TOKEN_USES_MAX: u32 = 1000;

/// How long a token may hold at most, nanoseconds (30 days). A longer time is refused.
pub const TOKEN_LIFE_NS_MAX: u64 = 30 * 24 * 3600 * 1_000_000_000;

/// How long an expired token is kept for people to look at, nanoseconds (30 days); then its file is
/// removed when the next token is made.
pub const TOKEN_KEPT_NS: u64 = 30 * 24 * 3600 * 1_000_000_000;

/// Rows in one page of a listing. A larger page is answered with this many and a cursor.
pub const PAGE_ROWS_MAX: usize = 1000;

/// Longest life of a user's SSH certificate, seconds: a week. A longer one is refused.
pub const SSH_LIFE_S_MAX: u64 = 7 * 24 * 3600;

/// Life of the certificate with which the SSH proxy signs in to a target, seconds: it is used at once, and a
/// target's clock may be off by some.
pub const SSH_TARGET_LIFE_S: u64 = 300;

/// Life of a host's SSH certificate, seconds: 90 days. The host has a new one made at every start.
pub const SSH_HOST_LIFE_S: u64 = 90 * 24 * 3600;

/// Longest life of a person's X.509 certificate, seconds: a day. A longer one is refused.
pub const PERSON_LIFE_S_MAX: u64 = 24 * 3600;

/// Most logins, host names or networks in an SSH certificate; more are refused.
pub const SSH_PRINCIPALS_MAX: usize = 64;

/// Longest command that an SSH certificate forces, bytes; a longer one is refused.
pub const SSH_COMMAND_BYTES_MAX: usize = 4096;

/// Longest public key of SSH, characters of base64; a longer one is refused.
pub const SSH_KEY_BYTES_MAX: usize = 1024;

/// Locks of one service that hold at a time. At the limit none is made until another is lifted or over.
pub const LOCKS_MAX: usize = 10_000;

/// Of those, kept for root at the service's own machine: whatever others lock, root can lock somebody out.
pub const LOCKS_KEPT: usize = 1000;

/// Of those, made by one and the same, but for root. At the limit they make none until one of theirs is lifted or over.
pub const LOCKS_OF_ONE_MAX: usize = 2000;

/// Files of locks that are read: those that are over lie there until others are made. A service with more does not start.
pub const LOCK_FILES_MAX: usize = 2 * LOCKS_MAX;

/// Files of locks that are over, removed when another is made: so many, so that it is not long in coming.
pub const LOCKS_OVER_AT_ONCE: usize = 64;

/// Bytes of what somebody is told who is locked. A longer message is refused.
pub const LOCK_MESSAGE_BYTES_MAX: usize = 512;

/// Roles of one user besides the one that says what the user may at the service. More are refused.
pub const USER_ROLES_MAX: usize = 32;

/// Bytes of the name of a user who signs in. A longer one is refused.
pub const USER_NAME_BYTES_MAX: usize = 64;

/// Characters of a password at least. A shorter one is refused when it is set.
pub const PASSWORD_CHARS_MIN: usize = 12;

/// Bytes of a password. A longer one is refused, when it is set and when somebody signs in with it.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Users of one service. At the limit none is added until another is removed.
pub const USERS_MAX: usize = 10_000;

/// How long it is remembered from where a user signed in, seconds (30 days).
pub const PLACE_LIFE_S: u64 = 30 * 24 * 3600;

/// How long that somebody signed in at a place once more is not written anew, seconds (a day).
pub const PLACE_KEPT_S: u64 = 24 * 3600;

/// Such places of one user; for a further one the oldest of theirs is forgotten.
pub const PLACES_OF_ONE_MAX: usize = 16;

/// Users of whom places are remembered; for a further one those of who signed in longest ago are forgotten.
pub const PLACES_USERS_MAX: usize = USERS_MAX;

/// How long a browser is known in which somebody signed in, seconds (180 days).
pub const DEVICE_LIFE_S: u64 = 180 * 24 * 3600;

/// Links to sessions of one service, those included that expired lately. At the limit none is made
/// until old ones are gone.
pub const SHARES_MAX: usize = 10_000;

/// How long a link to a session may hold, nanoseconds (90 days). A longer time is refused.
pub const SHARE_LIFE_NS_MAX: u64 = 90 * 24 * 3600 * 1_000_000_000;

/// How long a link that expired is kept for people to look at, nanoseconds (30 days); then its file
/// is removed when the next link is made.
pub const SHARE_KEPT_NS: u64 = 30 * 24 * 3600 * 1_000_000_000;

/// Bytes of the name of who a link is for. A longer one is refused.
pub const VIEWER_BYTES_MAX: usize = 128;

/// Bytes of a passkey's identifier (Web Authentication §4). A longer one is refused.
pub const CREDENTIAL_BYTES_MAX: usize = 1023;

/// Passkeys of one user. At the limit none is added until another is removed.
pub const PASSKEYS_MAX: usize = 16;

/// Bytes of what a user calls a passkey. A longer text is refused.
pub const PASSKEY_NAME_BYTES_MAX: usize = 64;

/// Bytes of a document of an OpenID provider: what it says of itself, its keys. A longer one is refused.
pub const OIDC_DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Longest address in such a document, bytes; one with a longer address is refused.
pub const OIDC_ADDRESS_BYTES_MAX: usize = 2048;

/// Keys of an OpenID provider. A document with more is refused.
pub const OIDC_KEYS_MAX: usize = 64;

/// Bytes of an ID token. A longer one is refused unread.
pub const OIDC_TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How much a provider's clock may differ from ours, seconds. A token beyond is refused.
pub const OIDC_SKEW_S: u64 = 60;

/// For how many an ID token may be at once. One for more is refused.
pub const OIDC_AUDIENCES_MAX: usize = 16;

/// Bytes of who an ID token is about (OpenID Connect Core 1.0 §2). One with more is refused.
pub const OIDC_SUBJECT_BYTES_MAX: usize = 255;

/// Searches that one user keeps. At the limit none is kept until one is removed. All of them fit into
/// [`FILE_BYTES_MAX`].
pub const SAVED_MAX: usize = 50;

/// Users who keep searches. At the limit no further one can.
pub const SAVED_USERS_MAX: usize = 10_000;

/// Characters of the name of a search; a longer one is refused.
pub const SAVED_NAME_CHARS_MAX: usize = 80;

/// Bytes of a search, as an address has it; a longer one is refused.
pub const SAVED_QUERY_BYTES_MAX: usize = 2000;

/// Bytes of a code that an OpenID provider gives a browser. A longer one is refused unsent.
pub const OIDC_CODE_BYTES_MAX: usize = 4096;

/// Bytes of the word by which an OpenID provider says why not. A longer one is told of as unreadable.
pub const OIDC_ERROR_BYTES_MAX: usize = 64;

/// Bytes of the name of somebody whom an OpenID provider vouches for. Who has a longer one is refused.
pub const OUTSIDE_NAME_BYTES_MAX: usize = 128;

/// Certificates in the file that the web server shows browsers. One with more is refused.
pub const WEB_CHAIN_MAX: usize = 16;

/// Credentials for targets of one service. At the limit none is added until another is removed.
pub const CREDENTIALS_MAX: usize = 10_000;

/// Bytes of a credential's secret: a private key or a password. A longer one is refused.
pub const CREDENTIAL_SECRET_BYTES_MAX: usize = 8 * 1024;

/// Bytes of the rule that says which targets a credential is for. A longer one is refused.
pub const CREDENTIAL_TARGET_BYTES_MAX: usize = 300;
