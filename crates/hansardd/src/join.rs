//! Joining and renewing as bytes in and bytes out: what `POST /v1/join` and `POST /v1/renew` mean,
//! without knowing how they travel.
//!
//! Both are open to who has no client certificate: a token decides about the one, the proof of the
//! recorder's key about the other.

use hansard_core::event::Body;
use hansard_identity::join::{JoinResponse, read_body};
use hansard_identity::registry::{Denied, Done};
use hansard_identity::{Failure, Peer, Registry};
use serde::Serialize;

/// What is answered, and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status: 200, 400 malformed, 401 no valid token, 403 not allowed, 409 something else is
    /// there or a bound is reached, 503 try again.
    pub status: u16,
    /// JSON: a [`JoinResponse`], or `{"error": "…"}` in words that may be shown.
    pub body: Vec<u8>,
    /// Events for the service's own recording, with the true reason. To be recorded before the
    /// answer is sent.
    pub facts: Vec<Body>,
}

/// What is answered when something was not done.
#[derive(Serialize)]
struct Refusal {
    error: String,
}

/// Answers `POST /v1/join`. A body is never read beyond
/// [`hansard_identity::limits::BODY_BYTES_MAX`]; the caller SHOULD not take in more either.
#[must_use]
pub fn join(registry: &Registry, body: &[u8], utc_ns: u64) -> Answer {
    let done = read_body(body).map_err(Denied::from);
    answer(done.and_then(|request| registry.join(&request, utc_ns)))
}

/// Answers `POST /v1/renew`. `peer` is who the connection is from, if it showed a certificate.
#[must_use]
pub fn renew(registry: &Registry, peer: Option<&Peer>, body: &[u8], utc_ns: u64) -> Answer {
    let done = read_body(body).map_err(Denied::from);
    answer(done.and_then(|request| registry.renew(peer, &request, utc_ns)))
}

fn answer(done: Result<Done<JoinResponse>, Denied>) -> Answer {
    let (status, body, facts) = match done {
        Ok(done) => (200, serde_json::to_vec(&done.answer), done.facts),
        Err(denied) => {
            let status = status(&denied.failure);
            let error = match denied.failure {
                // Inside it names files of ours; who asked can only try again.
                Failure::Retry(_) => "the service cannot do this now: try again".to_owned(),
                failure => failure.to_string(),
            };
            (status, serde_json::to_vec(&Refusal { error }), denied.facts)
        }
    };
    Answer {
        status,
        // Strings alone: there is nothing in them that JSON cannot say.
        body: body.unwrap_or_default(),
        facts,
    }
}

fn status(failure: &Failure) -> u16 {
    match failure {
        Failure::Malformed(_) => 400,
        Failure::Token => 401,
        Failure::Refused(_) => 403,
        Failure::Conflict(_) => 409,
        Failure::Retry(_) => 503,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
    use std::{env, fs, process};

    use hansard_identity::token::JoinAs;
    use hansard_identity::{Authority, HostIdentity, HostKeys};

    use super::*;

    const NOW: u64 = 1_795_248_000_000_000_000;
    const HOUR: u64 = 3_600_000_000_000;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn fill(bytes: &mut [u8]) -> std::io::Result<()> {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        bytes.fill(COUNT.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }

    fn registry() -> (Scratch, Registry) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("hansardd-join-{}-{n}", process::id()));
        let authority = Authority::create(&path.join("authority"), "prod", NOW, &fill).unwrap();
        Registry::create(&path).unwrap();
        let (registry, _) = Registry::open(&path, Arc::new(authority), Arc::new(fill)).unwrap();
        (Scratch(path), registry)
    }

    fn token(registry: &Registry) -> String {
        let made = registry.create_token(JoinAs::Host, 1, HOUR, "root", NOW);
        made.unwrap().answer.reveal()
    }

    fn request(keys: &HostKeys, token: &str) -> Vec<u8> {
        let request = keys.join_request(token, "web-1", BTreeMap::new(), Vec::new());
        serde_json::to_vec(&request).unwrap()
    }

    fn keys(at: &Path) -> HostKeys {
        HostKeys::create(at, &fill).unwrap()
    }

    #[test]
    fn join_and_renew_over_bytes_alone() {
        let (scratch, registry) = registry();
        let at = scratch.0.join("host");
        let (keys, authority) = (keys(&at), registry.authority().own().der.clone());
        let joined = join(&registry, &request(&keys, &token(&registry)), NOW);
        assert_eq!((joined.status, joined.facts.len()), (200, 3));
        keys.store(&read_body(&joined.body).unwrap(), &authority, NOW)
            .unwrap();
        let host = HostIdentity::open(&at).unwrap().unwrap();
        let body = serde_json::to_vec(&host.renew_request()).unwrap();
        let renewed = renew(&registry, Some(&host.peer()), &body, NOW + HOUR);
        assert_eq!((renewed.status, renewed.facts.len()), (200, 1));
        let before = host.peer().not_after_ns;
        let host = host
            .renewed(&read_body(&renewed.body).unwrap(), NOW + HOUR)
            .unwrap();
        assert_eq!(host.peer().not_after_ns, before + HOUR);
        registry
            .lock(host.id(), "stolen", None, "ada", NOW)
            .unwrap();
        assert_eq!(renew(&registry, None, &body, NOW).status, 403);
    }

    #[test]
    fn every_refusal_has_its_status_and_says_nothing_of_the_inside() {
        let (scratch, registry) = registry();
        let keys = keys(&scratch.0.join("host"));
        let text = |answer: &Answer| String::from_utf8(answer.body.clone()).unwrap();
        let good = request(&keys, &token(&registry));
        let unknown = String::from_utf8(good.clone()).unwrap();
        let unknown = unknown.replace("\"name\"", "\"colour\":1,\"name\"");
        for body in [
            b"".as_slice(),
            b"{}",
            b"[1]",
            b"\xff",
            unknown.as_bytes(),
            &[b'['; 100_000],
            &[b' '; 32 * 1024 + 1],
        ] {
            let (join, renew) = (
                join(&registry, body, NOW),
                renew(&registry, None, body, NOW),
            );
            assert_eq!((join.status, renew.status), (400, 400), "{}", text(&join));
            assert!(
                text(&join).starts_with("{\"error\":\"the body"),
                "{}",
                text(&join)
            );
        }
        let refused = join(&registry, &request(&keys, "hansard-join-x"), NOW);
        assert_eq!((refused.status, refused.facts.len()), (401, 1));
        assert!(!text(&refused).contains("not a token"));

        // The disk is gone: try again, and no path of ours in the answer.
        let hidden = scratch.0.join("hidden");
        fs::rename(scratch.0.join("tokens"), &hidden).unwrap();
        let retry = join(&registry, &good, NOW);
        assert_eq!(retry.status, 503);
        assert!(!text(&retry).contains("tokens") && text(&retry).contains("try again"));
        assert_eq!(retry.facts.len(), 1, "but it is told inside");
        fs::rename(hidden, scratch.0.join("tokens")).unwrap();
        assert_eq!(join(&registry, &good, NOW).status, 200);
    }
}
