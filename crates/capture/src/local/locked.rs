//! Whether an account of this machine is locked out.

use hansard_core::Lockable;

use super::Shared;

impl Shared {
    /// Why this account may have no session here, if so.
    pub(crate) fn locked_out(&self, account: &str) -> Option<String> {
        let locks = self.config.locks.as_ref()?;
        let facts = &self.means.facts;
        let own = ["server_hostname", "server_id"].map(|name| facts.text(name));
        locks.0.locked(&Lockable {
            user: account.to_owned(),
            login: account.to_owned(),
            hosts: own.into_iter().flatten().map(str::to_owned).collect(),
            ..Lockable::default()
        })
    }
}
