//! Whom the own client believes: hosts with a certificate of an authority that the login brought. A host that has only
//! a key is left to ssh(1), which knows all that known_hosts can say.

use std::path::Path;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::resolved::fits;

/// Longest file of authorities, bytes; of a longer one none is believed.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The mark of a line that names an authority.
const AUTHORITY: &str = "@cert-authority";

/// Keys of authorities, with the hosts of which they may say who they are.
pub(super) struct Authorities(Vec<(Vec<String>, PublicKey)>);

impl Authorities {
    /// Of a file like `known_hosts`. `None` where it says something else, too: that something is revoked, say.
    pub(super) fn of(file: &Path) -> Option<Self> {
        let is_short = std::fs::metadata(file).is_ok_and(|about| about.len() <= FILE_BYTES_MAX);
        let text = is_short.then(|| std::fs::read_to_string(file).ok())??;
        let mut all = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (hosts, key) = line.strip_prefix(AUTHORITY)?.trim_start().split_once(' ')?;
            let hosts = hosts.split(',').map(str::to_ascii_lowercase).collect();
            all.push((hosts, PublicKey::from_openssh(key.trim()).ok()?));
        }
        (!all.is_empty()).then_some(Self(all))
    }

    /// Whether a certificate is this host's, now.
    pub(super) fn believe(
        &self,
        shown: &Certificate,
        (host, port): (&str, u16),
        now_s: u64,
    ) -> bool {
        let host = host.to_ascii_lowercase();
        let with_port = format!("[{host}]:{port}");
        let signer = shown.signature_key();
        let is_signed = self.0.iter().any(|(hosts, key)| {
            let names = |name: &str| {
                hosts.iter().any(|pattern| fits(pattern, name))
                    && !hosts
                        .iter()
                        .any(|pattern| pattern.strip_prefix('!').is_some_and(|not| fits(not, name)))
            };
            key.key_data() == signer && (names(&host) || names(&with_port))
        });
        let is_named = shown
            .valid_principals()
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&host));
        is_signed
            && is_named
            && shown.cert_type() == CertType::Host
            && shown.critical_options().iter().next().is_none()
            && shown
                .validate_at(now_s, [&signer.fingerprint(HashAlg::Sha256)])
                .is_ok()
    }
}
