//! The event log as the keeper's tap.

use hansard_core::Event;
use hansard_store::project::unknown_header;

use super::EventLog;
use crate::keeper::{Tap, TapTrouble, Told};

impl Tap for EventLog {
    fn events(&mut self, told: &Told<'_>, events: &[Event]) -> Result<(), TapTrouble> {
        let unknown;
        let header = match told.header {
            Some(header) => header,
            // As in the rows that are made of it.
            None => {
                unknown = unknown_header(told.session);
                &unknown
            }
        };
        let taken = EventLog::events(self, header, events);
        taken.map_err(|e| TapTrouble(e.to_string()))
    }

    fn sync(&mut self) -> Result<(), TapTrouble> {
        EventLog::sync(self).map_err(|e| TapTrouble(e.to_string()))
    }
}
