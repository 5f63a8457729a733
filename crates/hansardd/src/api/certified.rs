//! What is open to somebody who comes with a certificate of `hansard login`, and not with what a password, code or
//! passkey gave them now.
//!
//! Its key is a file without a passphrase, and holds for hours: so it looks, and changes nothing that would be there
//! when it is over, be it what somebody signs in with, a role, a token, a link or a credential. Whoever reads the file
//! has those hours and no more.

use super::problem::Problem;
use super::table::{Op, Route, Verb};

/// Changes that are open to it all the same: what stops somebody, what keeps a recording, and a list of one's own.
pub const OPEN_TO_CERTIFICATES: [Op; 7] = [
    Op::End,
    Op::Hold,
    Op::HostLock,
    Op::LockMake,
    Op::PolicyTest,
    Op::SavedKeep,
    Op::SavedRemove,
];

/// Whether a route is open to it, for an owner whose role is enough.
///
/// # Errors
/// What to tell them where it is not.
pub(super) fn opens(route: &Route) -> Result<(), Problem> {
    if route.verb == Verb::Get || OPEN_TO_CERTIFICATES.contains(&route.op) {
        return Ok(());
    }
    Err(Problem {
        next_step: "sign in with a password, in a browser or by `hansard login`".to_owned(),
        ..Problem::forbidden("a certificate changes nothing that outlasts it, and gets no other")
    })
}
