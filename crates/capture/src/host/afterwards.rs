//! What a session leaves running goes on after its recording has ended: what it does then belongs into
//! the host's own recording, under the session's name.

use hansard_core::SessionId;
use hansard_core::event::{Body, Fact};
use hansard_core::fields::Fields;

use super::facts;
use super::fold::Fold;
use super::record::Record;

/// Most events of one session that are told after its end. At the bound no more are, and an alarm
/// says so.
pub const AFTERWARDS_MAX: u64 = 10_000;

/// Sessions that have ended and left something running, which is watched still. At the bound the oldest is
/// not any more, and an alarm says so. The kernel has room for as many again, and for twice as many that go
/// on.
pub(super) const OVER_MAX: usize = 4096;

/// Told of what ended sessions do, one event at a time; it should be quick.
pub type Tell = Box<dyn Fn(Body) + Send + Sync>;

/// A session that has ended.
pub(super) struct Over {
    session: SessionId,
    fold: Fold,
    told: u64,
    lost: u64,
}

impl Over {
    pub(super) fn new(session: SessionId, lost: u64) -> Self {
        Self {
            session,
            fold: Fold::default(),
            told: 0,
            lost,
        }
    }

    /// Nothing was told of it yet.
    pub(super) fn is_quiet(&self) -> bool {
        self.told == 0
    }

    /// Tells of one record; whether more may be told.
    pub(super) fn take(&mut self, record: &Record, tell: &Tell) -> bool {
        let bodies = self.fold.take(record);
        self.tell_all(bodies, tell)
    }

    /// The same of one that has waited, now.
    pub(super) fn take_late(&mut self, record: &Record, now_ns: u64, tell: &Tell) -> bool {
        let mut bodies = self.fold.take(record);
        for body in &mut bodies {
            facts::delayed(body, now_ns.saturating_sub(record.time_ns));
        }
        self.tell_all(bodies, tell)
    }

    /// Tells of what has waited for long enough; whether more may be told.
    pub(super) fn due(&mut self, now_ns: u64, tell: &Tell) -> bool {
        let bodies = self.fold.due(now_ns);
        self.tell_all(bodies, tell)
    }

    fn tell_all(&mut self, bodies: Vec<Body>, tell: &Tell) -> bool {
        for mut body in bodies {
            if self.told >= AFTERWARDS_MAX {
                return false;
            }
            self.told += 1;
            if self.told == AFTERWARDS_MAX {
                let why = format!(
                    "what it left running has done {AFTERWARDS_MAX} things since its end; no more \
                     is told"
                );
                tell(self.alarm(why));
                return false;
            }
            if let Body::Command(fact)
            | Body::File(fact)
            | Body::Network(fact)
            | Body::Process(fact) = &mut body
            {
                fact.fields.push("recording", self.session.to_string());
            }
            tell(body);
        }
        true
    }

    /// The kernel has lost so many by now, of which nobody was told.
    pub(super) fn lost(&mut self, lost: u64, tell: &Tell) {
        let more = lost.saturating_sub(self.lost);
        self.lost = lost;
        if more > 0 {
            let why = format!("{more} events of what it left running came too fast");
            tell(self.alarm(why));
        }
    }

    /// It is not watched any more, because too many others are. Whether it has left anything running is
    /// known, or it is taken for granted that it has not unless it did something.
    pub(super) fn given_up(&self, is_known_to_live: bool, tell: &Tell) {
        if is_known_to_live || self.told > 0 {
            let why = "what it left running is not watched any more: too much is";
            tell(self.alarm(why.to_owned()));
        }
    }

    fn alarm(&self, reason: String) -> Body {
        Body::Admin(Fact {
            event: "alarm".to_owned(),
            fields: Fields::new()
                .with("alarm", "host_events")
                .with("reason", reason)
                .with("recording", self.session.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::record::tests::made;
    use super::*;

    #[test]
    fn so_many_are_told_and_then_an_alarm() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let of_tell = Arc::clone(&told);
        let tell: Tell = Box::new(move |body| of_tell.lock().unwrap().push(body));
        let mut over = Over::new(SessionId::from_bytes([7; 16]), 5);
        let exit = made(3, 0, [b"", b"", b"", b""]);
        let exit = Record::parse(&exit).unwrap();
        let mut more = 0;
        while over.take(&exit, &tell) {
            more += 1;
        }
        assert_eq!(more, AFTERWARDS_MAX - 1);
        assert!(!over.take(&exit, &tell));
        over.lost(5, &tell);
        over.lost(8, &tell);
        over.given_up(false, &tell);
        let told = told.lock().unwrap();
        assert_eq!(told.len() as u64, AFTERWARDS_MAX + 2);
        let field = |body: &Body, name: &str| match body {
            Body::Process(fact) | Body::Admin(fact) => {
                fact.fields.text(name).unwrap_or_default().to_owned()
            }
            other => panic!("{other:?}"),
        };
        let session = SessionId::from_bytes([7; 16]).to_string();
        assert!(told.iter().all(|body| field(body, "recording") == session));
        assert_eq!(field(told.last().unwrap(), "alarm"), "host_events");
        assert!(field(&told[told.len() - 2], "reason").starts_with("3 events"));
    }
}
