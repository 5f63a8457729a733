//! Events of SSH, under the names that `docs/events.md` has.

use hansard_core::event::Fact;
use hansard_core::{Body, Fields};

/// An event of the channels family.
pub(super) fn channel(event: &str, fields: Fields) -> Body {
    Body::Channel(fact(event, fields))
}

/// An event of the commands family.
pub(super) fn command(event: &str, fields: Fields) -> Body {
    Body::Command(fact(event, fields))
}

/// An event of the sign-in family.
pub(super) fn auth(event: &str, fields: Fields) -> Body {
    Body::Auth(fact(event, fields))
}

/// An event of the network family.
pub(super) fn network(event: &str, fields: Fields) -> Body {
    Body::Network(fact(event, fields))
}

fn fact(event: &str, fields: Fields) -> Fact {
    Fact {
        event: event.to_owned(),
        fields,
    }
}

/// What came of something: done, or refused for this reason.
pub(super) fn outcome(fields: Fields, refused: Option<&str>) -> Fields {
    match refused {
        None => fields.with("success", true),
        Some(why) => fields.with("success", false).with("error", why),
    }
}

/// The same of a channel.
pub(super) fn of_channel(number: u32, fields: Fields, refused: Option<&str>) -> Fields {
    outcome(fields.with("channel_id", u64::from(number)), refused)
}
