//! What a start found and made good, said in the own recording and in the log.

use std::sync::Arc;

use hansard_core::seal::SigningKey;
use hansard_record::revive::Revival;
use hansard_record::spool::Spool;
use hansard_store::Archive;

use super::opening::Opened;
use super::{Start, fact};
use crate::data_dir::DataDir;
use crate::failure::shown;
use crate::stores::Stores;

impl Opened {
    /// Says what the start found and made good: in the own recording, and in the log.
    pub(super) fn say_what_was_found(
        &self,
        start: &Start,
        dir: &DataDir,
        spool: &Spool,
        kept: Option<&(Stores, Arc<Archive>)>,
        revival: &Revival,
        key: &SigningKey,
    ) {
        let recovered = u64::try_from(revival.revived.len()).unwrap_or(u64::MAX);
        let hex = hansard_identity::hex::encode(&key.public());
        self.tell(fact::start(&self.roles, &hex, recovered));
        for revived in &revival.revived {
            let session = revived.session.to_string();
            let lost = revived.gap.as_ref().and_then(|gap| gap.bytes_max);
            start.journal.warning(
                "a recording was brought to an end, its recorder had died",
                &[("session", &session)],
            );
            self.tell(fact::recovered(&session, "its recorder had died", lost));
        }
        for left in &revival.left {
            let session = left.session.to_string();
            start.journal.error(
                "a recording could not be brought to an end",
                &[("session", &session), ("why", &left.why)],
            );
            self.tell(fact::alarm("unfinished", Some(&session), None, &left.why));
        }
        for rot in spool.damage() {
            let (path, offset) = (shown(&rot.path), rot.offset);
            start.journal.error(
                "the disk has damaged the spool",
                &[("path", &path), ("offset", &offset)],
            );
            let what = format!("{path}: the entry at {offset} is damaged");
            self.tell(fact::alarm("spool_damaged", None, None, &what));
        }
        if let Some((stores, _)) = kept {
            self.say_what_was_adopted(start, dir, stores);
        }
    }

    /// The same of the archive and its catalog.
    fn say_what_was_adopted(&self, start: &Start, dir: &DataDir, stores: &Stores) {
        let opened = &stores.opened;
        if let Some((why, aside)) = &opened.rebuilt {
            let path = shown(aside.as_deref().unwrap_or(&dir.catalog()));
            start.journal.error(
                "the catalog was damaged and was built anew",
                &[("why", why), ("damaged", &path)],
            );
            self.tell(fact::catalog_damaged(&path, why));
            let (adopted, projected) = (&opened.adopted, &opened.projected);
            self.tell(fact::catalog_rebuilt(
                adopted.segments,
                projected.events,
                adopted.quarantined.saturating_add(projected.quarantined),
                adopted.after_loss,
            ));
        }
        if let Some((pack, why)) = &opened.left {
            start.journal.error(
                "a pack that nothing points to cannot be deleted: it is tried again at the next start",
                &[("pack", pack), ("error", why)],
            );
        }
        for alarm in &opened.adopted.alarms {
            let session = alarm.session.to_string();
            start.journal.error(
                "a segment in the archive is not what must be there",
                &[("session", &session), ("what", &alarm.what)],
            );
            let kind = alarm.kind.as_str();
            self.tell(fact::alarm(
                kind,
                Some(&session),
                Some(alarm.segment),
                &alarm.what,
            ));
        }
    }
}
