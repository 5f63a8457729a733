//! Which host may write which session: the one whose certified key the session's header names.

use hansard_core::frame::Place;
use hansard_core::limits::SESSION_MEMORY_BYTES_MAX;
use hansard_core::reader::{Item, Reader};
use hansard_core::{Body, Lockable, Part, Session, SessionId};
use hansard_identity::Peer;
use hansard_record::order::Spot;

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The host may write it.
    Allowed,
    /// It cannot be known now; the host offers the session again, from its beginning.
    Retry(String),
    /// It may not, and that is nobody's fault.
    Refused(String),
    /// It may not, and an administrator has to know.
    Alarm(String),
    /// Nothing is known here of how the session began, and its sender has that no more. An
    /// administrator has to know.
    Lost(String),
}

/// Says who may write which session.
///
/// - `owner` is asked before the first part of a session on a connection is put, and MUST NOT say
///   `Allowed` unless the recorder key of the session is one that is certified for `peer`.
/// - `first` is the first part that was offered on this connection. It is sound by itself
///   ([`Part::check`]), but may stand anywhere in the session.
/// - It may block.
pub trait Gate: Send + Sync {
    /// Whether `peer` may write `session`.
    fn owner(&self, peer: &Peer, session: SessionId, first: &Part) -> Ruling;
}

/// Whether a key is certified for a host or service.
pub type IsKeyOf = Box<dyn Fn(&Peer, &[u8; 32]) -> bool + Send + Sync>;

/// The key that signed what the archive has of a session; none when it has nothing of it. The error
/// says why that cannot be known now.
pub type ArchivedKey = Box<dyn Fn(SessionId) -> Result<Option<[u8; 32]>, String> + Send + Sync>;

/// The rule: by the header where the session begins, by the archive where it goes on, and by both
/// where a session begins that is there already.
pub struct KeyGate {
    is_key_of: IsKeyOf,
    archived_key: ArchivedKey,
}

impl KeyGate {
    /// With these two to ask.
    #[must_use]
    pub fn new(is_key_of: IsKeyOf, archived_key: ArchivedKey) -> Self {
        Self {
            is_key_of,
            archived_key,
        }
    }
}

impl Gate for KeyGate {
    fn owner(&self, peer: &Peer, session: SessionId, first: &Part) -> Ruling {
        let archived = match (self.archived_key)(session) {
            Ok(key) => key,
            Err(why) => return Ruling::Retry(why),
        };
        let begun = match header(first) {
            Header::None => None,
            Header::Of(header) => {
                if let Some(why) = foreign(peer, &header) {
                    return Ruling::Alarm(why);
                }
                // What was taken before there were these bounds goes on.
                if let Some(why) = boundless(&header).filter(|_| archived.is_none()) {
                    return Ruling::Alarm(why);
                }
                Some(header.recorder_key)
            }
            Header::Unreadable(why) => return Ruling::Alarm(why),
        };
        let Some(key) = archived.or(begun) else {
            // A host forgets whole segments, and offers what it has from its beginning: of what it
            // offers from a segment's beginning it has nothing before.
            if Spot::of(first).place != Place::Frame(0) {
                return Ruling::Retry(
                    "nothing is known here of how the session began: offer it from its beginning"
                        .to_owned(),
                );
            }
            let why = "nothing is known here of how the session began, and its host has that no \
                       more: it is lost, or was deleted";
            return Ruling::Lost(why.to_owned());
        };
        if begun.is_some_and(|begun| begun != key) {
            let why = "the session is in the archive already, signed with another key";
            return Ruling::Alarm(why.to_owned());
        }
        if !(self.is_key_of)(peer, &key) {
            let why = "the session's recorder key is not certified for this host";
            return Ruling::Alarm(why.to_owned());
        }
        Ruling::Allowed
    }
}

/// Why a session that says this of where it was recorded is not this host's. Whoever reads rows and events
/// goes by `server_id`; a name may be another's, for who records in front of others names those.
fn foreign(peer: &Peer, header: &Session) -> Option<String> {
    let own = peer.principal.id()?.to_string();
    let said = header
        .target
        .iter()
        .filter(|(name, _)| *name == "server_id");
    let mut others = said.filter(|(_, id)| id.as_text() != Some(own.as_str()));
    others.next().map(|(_, id)| {
        let id = id.as_text().unwrap_or("something that is no text");
        let id: String = id.chars().take(ID_CHARS_MAX).collect();
        format!("the session says that it was recorded by {id}, which is another host")
    })
}

/// Why a header is none to be kept in memory, or to run unlocked.
fn boundless(header: &Session) -> Option<String> {
    let bytes = header.memory_bytes();
    if bytes > SESSION_MEMORY_BYTES_MAX {
        return Some(format!(
            "the session's header takes {bytes} bytes of memory, where {SESSION_MEMORY_BYTES_MAX} are the most"
        ));
    }
    Lockable::unlockable(header)
}

/// Of an identifier that is told, so many characters at most: it is whatever the host wrote.
const ID_CHARS_MAX: usize = 36;

enum Header {
    /// The part is not where a session begins.
    None,
    Of(Box<Session>),
    Unreadable(String),
}

fn header(part: &Part) -> Header {
    let is_first = matches!(part, Part::Frame(f) if f.segment == 0 && f.index == 0);
    if !is_first {
        return Header::None;
    }
    let frame = match Reader::new(part.bytes()).next_item() {
        Ok(Item::Frame(frame)) => frame,
        Ok(_) => return Header::Unreadable("the first frame cannot be read".to_owned()),
        Err(e) => return Header::Unreadable(format!("the first frame cannot be read: {e}")),
    };
    match frame.events.into_iter().next().map(|event| event.body) {
        Some(Body::Start(session)) if session.id == part.session() => Header::Of(session),
        _ => Header::Unreadable("the session does not begin with its own header".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hansard_core::Fields;
    use hansard_core::event::End;
    use hansard_core::seal::SigningKey;
    use hansard_core::writer::{Bounds, SegmentWriter};
    use hansard_identity::{HostId, Principal};
    use hansard_record::conformance::sample_parts;

    fn peer() -> Peer {
        Peer {
            cluster: "test".into(),
            principal: Principal::Host(HostId::new_v7(1, [1; 10])),
            name: "web-1".into(),
            serial: "01".into(),
            not_after_ns: u64::MAX,
        }
    }

    /// Sessions of [`sample_parts`] are signed with the key of their number.
    fn key(n: u8) -> [u8; 32] {
        SigningKey::from_seed([n; 32]).public()
    }

    fn rule(archived: Result<Option<[u8; 32]>, String>, first: &Part) -> Ruling {
        let gate = KeyGate::new(
            Box::new(|_, asked| *asked == key(1)),
            Box::new(move |_| archived.clone()),
        );
        gate.owner(&peer(), first.session(), first)
    }

    /// The first part of a session of the host's own key that says this of its place.
    fn placed(ids: &[&str]) -> Part {
        begun(|header| {
            for id in ids {
                header.target.push("server_id", *id);
            }
        })
    }

    fn begun(change: impl FnOnce(&mut Session)) -> Part {
        let key = SigningKey::from_seed([1; 32]);
        let Header::Of(mut header) = header(&sample_parts(1).unwrap()[0]) else {
            panic!("a sample begins with a header");
        };
        change(&mut header);
        let mut writer = SegmentWriter::new(*header, key, Bounds::default()).unwrap();
        writer.finish(1, &End::default()).unwrap();
        writer.parts().remove(0)
    }

    #[test]
    fn a_header_that_is_larger_than_it_looks_is_not_taken() {
        let long = "a".repeat(1_000_000);
        let user = begun(|header| header.subject = Fields::new().with("user", long.as_str()));
        let unnamed = begun(|header| header.origin.push("x", long.as_str()));
        assert!(user.bytes().len() < 1000, "{}", user.bytes().len());
        for first in [&user, &unnamed] {
            let ruling = rule(Ok(None), first);
            assert!(matches!(ruling, Ruling::Alarm(_)), "{ruling:?}");
            // What a version before this one took is brought to its end.
            assert_eq!(rule(Ok(Some(key(1))), first), Ruling::Allowed);
        }
        let name = "a".repeat(300);
        let evading = begun(|header| header.subject = Fields::new().with("user", name.as_str()));
        assert!(matches!(rule(Ok(None), &evading), Ruling::Alarm(_)));
        let argv = begun(|header| header.target.push("command", "a".repeat(128 * 1024)));
        assert_eq!(rule(Ok(None), &argv), Ruling::Allowed);
    }

    #[test]
    fn a_host_writes_in_the_name_of_no_other() {
        let own = peer().principal.id().unwrap().to_string();
        let other = HostId::new_v7(1, [2; 10]).to_string();
        assert_eq!(rule(Ok(None), &placed(&[&own])), Ruling::Allowed);
        assert_eq!(rule(Ok(None), &placed(&[])), Ruling::Allowed);
        for ids in [
            &[other.as_str()][..],
            &[&own, &other],
            &[&other, &own],
            &[""],
            &["db1\u{1b}[2J"],
        ] {
            let ruling = rule(Ok(None), &placed(ids));
            assert!(matches!(ruling, Ruling::Alarm(_)), "{ids:?}: {ruling:?}");
        }
    }

    #[test]
    fn a_host_writes_sessions_of_its_own_key_and_no_others() {
        let (mine, theirs) = (sample_parts(1).unwrap(), sample_parts(2).unwrap());
        assert_eq!(rule(Ok(None), &mine[0]), Ruling::Allowed);
        assert_eq!(rule(Ok(Some(key(1))), &mine[0]), Ruling::Allowed);
        assert_eq!(rule(Ok(Some(key(1))), &mine[9]), Ruling::Allowed);
        let is_later = |part: &&Part| part.segment() > 0 && part.place() == Place::Frame(0);
        let later = mine.iter().find(is_later).unwrap();
        assert!(matches!(rule(Ok(None), later), Ruling::Lost(_)));
        let inside = mine.iter().find(|part| part.place() == Place::Frame(1));
        assert!(matches!(rule(Ok(None), inside.unwrap()), Ruling::Retry(_)));
        let down = Err("the catalog is down".to_owned());
        assert!(matches!(rule(down, &mine[0]), Ruling::Retry(_)));
        for (archived, first) in [
            (None, &theirs[0]),         // another host's session
            (Some(key(2)), &mine[0]),   // a session of this name is there, another's
            (Some(key(2)), &mine[9]),   // the same, from the middle
            (Some(key(2)), &theirs[9]), // another host's, from the middle
            (Some(key(1)), &theirs[0]), // begun anew with another key
        ] {
            let ruling = rule(Ok(archived), first);
            assert!(matches!(ruling, Ruling::Alarm(_)), "{ruling:?}");
        }
    }
}
