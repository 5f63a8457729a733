//! Hosts that sessions name: what is listed of each.

use super::SessionRow;

/// Sessions of one host that are counted, the newest; of one with more it is said that there are more.
pub const HOST_SESSIONS_MAX: usize = 5_000;

/// Sessions of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OfKind {
    /// The kind.
    pub kind: String,
    /// How many.
    pub sessions: u64,
    /// Gaps in them.
    pub gaps: u64,
    /// When the last of them began, UTC nanoseconds since 1970.
    pub start_ns: u64,
    /// Time of the last event of any of them, UTC nanoseconds since 1970.
    pub last_ns: u64,
}

/// What the sessions of a host come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostSessions {
    /// The host, as sessions name it; never empty.
    pub host: String,
    /// By kind, in order.
    pub kinds: Vec<OfKind>,
    /// Whether there are more sessions than were counted.
    pub has_more: bool,
}

impl HostSessions {
    /// What these rows, which are all of one host and the newest first, come to.
    pub(super) fn of<'r>(host: &str, rows: impl Iterator<Item = &'r SessionRow>) -> Self {
        let mut found = Self {
            host: host.to_owned(),
            ..Self::default()
        };
        for (number, row) in rows.enumerate() {
            if number >= HOST_SESSIONS_MAX {
                found.has_more = true;
                break;
            }
            found.add(row);
        }
        found.kinds.sort_by(|a, b| a.kind.cmp(&b.kind));
        found
    }

    fn add(&mut self, row: &SessionRow) {
        let start = &row.start;
        let place = self.kinds.iter().position(|of| of.kind == start.kind);
        let place = place.unwrap_or_else(|| {
            self.kinds.push(OfKind {
                kind: start.kind.clone(),
                ..OfKind::default()
            });
            self.kinds.len() - 1
        });
        if let Some(of) = self.kinds.get_mut(place) {
            of.sessions += 1;
            of.gaps = of.gaps.saturating_add(row.gaps);
            of.start_ns = of.start_ns.max(start.start_utc_ns);
            of.last_ns = of.last_ns.max(start.utc_ns(row.last_ns));
        }
    }
}
