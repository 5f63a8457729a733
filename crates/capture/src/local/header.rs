//! A session's header: what the system and this host say of it, and, kept apart, what its program
//! claims.

use hansard_core::fields::{Fields, Value};
use hansard_core::limits::{FIELDS_MAX, SESSION_MEMORY_BYTES_MAX};
use hansard_core::policy::Policy;
use hansard_core::{Session, SessionId};

use crate::local::peer::Peer;
use crate::local::{Means, Wishes};

/// What a program may say of what it runs under the field's own name: it describes what is to be
/// seen in the recording anyway. Everything else it says stands under `claimed.`.
const TOLD_OF_TARGET: [&str; 6] = ["argv", "argv_truncated", "command", "cwd", "shell", "title"];

/// The same of where it comes from: which terminal's language its output speaks.
const TOLD_OF_ORIGIN: [&str; 1] = ["term"];

/// Kinds of session that are handed over.
const KINDS: [&str; 2] = ["terminal", "exec"];

/// The policy in force: what is configured, and of the wishes those that are granted.
pub(super) fn in_force(configured: &Policy, granted: Wishes, wished: &Policy) -> Policy {
    Policy {
        keystrokes: configured.keystrokes || granted.keystrokes && wished.keystrokes,
        stdin: configured.stdin || granted.stdin && wished.stdin,
        strict: configured.strict || granted.strict && wished.strict,
        ..configured.clone()
    }
}

/// The header of a session, or why there is none.
pub(crate) fn session(
    claims: Session,
    peer: &Peer,
    means: &Means,
    policy: Policy,
) -> Result<Session, String> {
    if !KINDS.contains(&claims.kind.as_str()) {
        return Err("a session is handed over as `terminal` or `exec`".to_owned());
    }
    let start_utc_ns = means.env.clock.utc_ns();
    let mut random = [0; 10];
    let filled = means.env.random.fill(&mut random);
    filled.map_err(|e| format!("no randomness for an id: {e}"))?;
    let mut origin = Fields::new();
    let verified = |(name, value): &(&str, &Value)| peer.subject.get(name) == Some(*value);
    for (name, value) in claims.subject.iter().filter(|claim| !verified(claim)) {
        origin.push(claimed(name), value.clone());
    }
    add(&mut origin, &claims.origin, &TOLD_OF_ORIGIN);
    if let Some(pid) = peer.pid.and_then(|pid| u64::try_from(pid).ok()) {
        origin.push("pid", pid);
    }
    let mut target = means.facts.clone();
    add(&mut target, &claims.target, &TOLD_OF_TARGET);
    let fields = origin.len().max(target.len());
    if fields > FIELDS_MAX {
        return Err(format!(
            "a session with {fields} fields, where at most {FIELDS_MAX} fit"
        ));
    }
    let session = Session {
        id: SessionId::new_v7(start_utc_ns / 1_000_000, random),
        parent: None,
        kind: claims.kind,
        subject: peer.subject.clone(),
        origin,
        target,
        start_utc_ns,
        clock: means.env.clock.quality(),
        policy,
        recorder_key: means.key.public(),
        recorder: means.recorder.clone(),
    };
    let bytes = session.memory_bytes();
    if bytes > SESSION_MEMORY_BYTES_MAX {
        return Err(format!(
            "a session whose header takes {bytes} bytes of memory, where at most {SESSION_MEMORY_BYTES_MAX} fit"
        ));
    }
    Ok(session)
}

fn claimed(name: &str) -> String {
    format!("claimed.{name}")
}

/// Adds claims. What is there already was said by somebody who knows, and is not said again.
fn add(to: &mut Fields, claims: &Fields, told: &[&str]) {
    for (name, value) in claims.iter() {
        if to.get(name) == Some(value) {
            continue;
        }
        let is_told = told.contains(&name) && to.get(name).is_none();
        let name = if is_told {
            name.to_owned()
        } else {
            claimed(name)
        };
        to.push(name, value.clone());
    }
}

/// What the user is told before anything else.
pub(crate) fn notice(session: &Session) -> String {
    let policy = &session.policy;
    let kept = match (session.kind.as_str(), policy.keystrokes, policy.stdin) {
        ("terminal", true, _) => "what it shows and what you type (hidden input is not)",
        ("terminal", false, _) => "what it shows (what you type is not)",
        (_, _, true) => "its input, output and errors",
        (_, _, false) => "its output and errors (its input is not)",
    };
    format!(
        "this session is recorded on this machine as {}: {kept}",
        session.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_only_adds_and_only_what_is_granted() {
        let configured = Policy {
            stdin: false,
            keystrokes: true,
            ..Policy::default()
        };
        let wished = Policy {
            stdin: true,
            keystrokes: false,
            stdout: false,
            strict: true,
            hold_ms_max: 1,
            ..Policy::default()
        };
        let all = in_force(&configured, Wishes::default(), &wished);
        let expected = Policy {
            stdin: true,
            strict: true,
            ..configured.clone()
        };
        assert_eq!(all, expected);
        let none = Wishes {
            keystrokes: false,
            stdin: false,
            strict: false,
        };
        assert_eq!(in_force(&configured, none, &wished), configured);
    }

    #[test]
    fn claims_never_take_the_place_of_facts() {
        let mut target = Fields::new().with("server_hostname", "web1");
        let claims = Fields::new()
            .with("server_hostname", "db1")
            .with("server_hostname", "web1")
            .with("command", "vi")
            .with("command", "emacs")
            .with("server_id", "x");
        add(&mut target, &claims, &TOLD_OF_TARGET);
        let said: Vec<_> = target.iter().map(|(n, v)| (n, v.as_text())).collect();
        let expected = [
            ("server_hostname", Some("web1")),
            ("claimed.server_hostname", Some("db1")),
            ("command", Some("vi")),
            ("claimed.command", Some("emacs")),
            ("claimed.server_id", Some("x")),
        ];
        assert_eq!(said, expected);
    }
}
