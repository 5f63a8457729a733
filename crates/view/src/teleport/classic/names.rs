//! Names of the files of a recording: `SID-FIRST.events.gz` and the like.

use super::KERNEL_EVENTS;

/// What a file of a recording holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// JSON lines that name the other files.
    Index,
    /// Only says that the recording is complete.
    Completed,
    /// Bytes of the terminal, from this offset on.
    Chunks(u64),
    /// Events from this index on: 0 for all but those of the kernel, which have 1 to 3.
    Events(usize, u64),
}

/// The session of a file, and its role in the recording.
pub(super) fn parse(name: &str) -> Option<(&str, Role)> {
    let (sid, role) = match (name.strip_suffix(".index"), name.strip_suffix(".completed")) {
        (Some(sid), _) => (sid, Role::Index),
        (None, Some(sid)) => (sid, Role::Completed),
        (None, None) => numbered(name)?,
    };
    (!sid.is_empty()).then_some((sid, role))
}

fn numbered(name: &str) -> Option<(&str, Role)> {
    if let Some(stem) = name.strip_suffix(".chunks.gz") {
        let (sid, first) = first(stem)?;
        return Some((sid, Role::Chunks(first)));
    }
    for (i, event) in KERNEL_EVENTS.iter().enumerate() {
        if let Some(stem) = name
            .strip_suffix("-events.gz")
            .and_then(|n| n.strip_suffix(event))
        {
            let (sid, first) = first(stem.strip_suffix('.')?)?;
            return Some((sid, Role::Events(i + 1, first)));
        }
    }
    let (sid, first) = first(name.strip_suffix(".events.gz")?)?;
    Some((sid, Role::Events(0, first)))
}

fn first(stem: &str) -> Option<(&str, u64)> {
    let (sid, number) = stem.rsplit_once('-')?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Some((sid, number.parse().ok()?))).flatten()
}

/// The name of a file with this role.
pub(super) fn name(sid: &str, role: Role) -> String {
    match role {
        Role::Index => format!("{sid}.index"),
        Role::Completed => format!("{sid}.completed"),
        Role::Chunks(first) => format!("{sid}-{first}.chunks.gz"),
        Role::Events(0, first) => format!("{sid}-{first}.events.gz"),
        Role::Events(kind, first) => {
            let event = KERNEL_EVENTS.get(kind - 1).unwrap_or(&"session.command");
            format!("{sid}-{first}.{event}-events.gz")
        }
    }
}

/// What the index calls a role.
pub(super) fn kind(role: Role) -> &'static str {
    match role {
        Role::Chunks(_) => "chunks",
        Role::Events(kind @ 1.., _) => KERNEL_EVENTS.get(kind - 1).unwrap_or(&"events"),
        _ => "events",
    }
}

/// Whether a directory that holds files of these names holds such a recording.
#[must_use]
pub fn guess_names(names: &[String]) -> bool {
    let holds = |role| matches!(role, Role::Chunks(_) | Role::Events(..));
    names
        .iter()
        .any(|name| parse(name).is_some_and(|(_, role)| holds(role)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_there_and_back() {
        let sid = "9a1c1c7b-0b36-11e6-a0b3-d8cb8ae5080e";
        for role in [
            Role::Index,
            Role::Completed,
            Role::Chunks(0),
            Role::Chunks(12345),
            Role::Events(0, 7),
            Role::Events(1, 0),
            Role::Events(2, 3),
            Role::Events(3, 0),
        ] {
            let name = name(sid, role);
            assert_eq!(parse(&name), Some((sid, role)), "{name}");
            assert_eq!(
                guess_names(&[name]),
                !matches!(role, Role::Index | Role::Completed)
            );
        }
        assert_eq!(
            name(sid, Role::Events(2, 0)),
            format!("{sid}-0.session.disk-events.gz")
        );
        for other in [
            "log",
            ".index",
            "-0.events.gz",
            "a.events.gz",
            "a-x.chunks.gz",
            "a-.events.gz",
            "a-99999999999999999999.events.gz",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
