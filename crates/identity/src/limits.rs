//! Every bound of this crate, and what happens at it.

/// Bytes of a host's or service's name. A longer one is refused (X.509 has no room for more in a
/// common name).
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of a cluster's name. A longer one is refused.
pub const CLUSTER_BYTES_MAX: usize = 63;

/// Bytes of a certificate in DER. A longer one is refused unread; ours have less than 1 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;

/// DNS names and addresses in a service's certificate. More are refused.
pub const SERVER_NAMES_MAX: usize = 32;

/// Bytes of one DNS name (RFC 1035). A longer one is refused.
pub const SERVER_NAME_BYTES_MAX: usize = 253;

/// Names of users, and of groups, that are given one role. More are refused.
pub const ROLE_NAMES_MAX: usize = 1000;
