//! Files that the web server's configuration names: certificates, keys, secrets. What is wrong with one
//! is told with the key that names it, by `hansardd check`, at a start and at a reload.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::config::{Config, Finding, Oidc, Tls};
use crate::failure::{plain, shown};

use super::oidc::{fetch, settings};
use super::tls;

/// Bytes of such a file. A longer one is refused; a chain of certificates has a tenth of that.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How much sooner than its end it is said that a certificate ends.
const SOON_S: u64 = 14 * 24 * 3600;

/// Everything that is wrong with them.
#[must_use]
pub fn findings(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(web) = &config.serve.web else {
        return found;
    };
    if let Some(tls) = &web.tls {
        of_tls(tls, &web.origin, &mut found);
    }
    for (i, oidc) in web.oidc.iter().enumerate() {
        of_oidc(oidc, &|key| format!("serve.web.oidc.{i}.{key}"), &mut found);
    }
    found
}

fn of_tls(files: &Tls, origin: &str, found: &mut Vec<Finding>) {
    // That one is missing is said where the keys are looked at together.
    if [&files.cert_file, &files.key_file].contains(&&std::path::PathBuf::new()) {
        return;
    }
    let now_s = tls::now_s();
    let certificate = match tls::read(files, now_s) {
        Ok(certificate) => certificate,
        Err(wrong) => {
            let key = format!("serve.web.tls.{}", wrong.key);
            found.push(Finding::error(key, wrong.what, wrong.next));
            return;
        }
    };
    let at = "serve.web.tls.cert_file";
    if certificate.until_s < now_s.saturating_add(SOON_S) {
        let days = certificate.until_s.saturating_sub(now_s) / (24 * 3600);
        let what = format!("the certificate ends in {days} days");
        found.push(Finding::warning(
            at,
            what,
            "renew it; it is read by itself when it changes",
        ));
    }
    let host = origin.strip_prefix("https://").unwrap_or("localhost");
    let host = host.trim_end_matches('/');
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|c| c.is_ascii_digit()) => host,
        _ => host,
    };
    if !certificate.is_of(host) {
        let what = format!("the certificate is not for {host}, under which browsers come");
        let next = "have one issued for that name, or set serve.web.origin to a name in it";
        found.push(Finding::warning(at, what, next));
    }
}

fn of_oidc(oidc: &Oidc, at: &dyn Fn(&str) -> String, found: &mut Vec<Finding>) {
    if let Err(what) = settings::secret(oidc) {
        let next = "write the provider's secret into it, for the daemon's user alone";
        found.push(Finding::error(at("client_secret_file"), what, next));
    }
    if let Err(what) = fetch::trusted(oidc) {
        let next = "name a file with certificates of authorities in PEM";
        found.push(Finding::error(at("ca_file"), what, next));
    }
}

/// Reads a file whole, if it is not too long.
///
/// # Errors
/// In words, with its path.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let about = |e: &std::io::Error| format!("{}: {}", shown(path), plain(e));
    let file = File::open(path).map_err(|e| about(&e))?;
    bytes(path, file)
}

/// The same of a file with a secret in it, which nobody but its owner and group may read, and nobody but its
/// owner may write.
///
/// # Errors
/// In words, with its path.
pub fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let about = |e: &std::io::Error| format!("{}: {}", shown(path), plain(e));
    let file = File::open(path).map_err(|e| about(&e))?;
    // Of what is open, and not of what has the name by now.
    let mode = file.metadata().map_err(|e| about(&e))?.mode() & 0o777;
    if mode & 0o027 != 0 {
        let at = shown(path);
        return Err(format!(
            "{at}: others than its owner and group may read it, or others than its owner write it \
             (mode {mode:04o}): chmod 0600, or 0640 with the daemon's group"
        ));
    }
    bytes(path, file)
}

fn bytes(path: &Path, file: File) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    let at = shown(path);
    let taken = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut read);
    taken.map_err(|e| format!("{at}: {}", plain(&e)))?;
    if read.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{at}: longer than {FILE_BYTES_MAX} bytes"));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_none() {
        let scratch = std::env::temp_dir().join(format!("hansardd-files-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        let path = scratch.join("secret");
        std::fs::write(&path, "s\n").unwrap();
        for (mode, is_good) in [
            (0o600, true),
            (0o640, true),
            (0o400, true),
            (0o644, false),
            (0o660, false),
            (0o604, false),
            (0o601, false),
        ] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = read_secret(&path);
            assert_eq!(read.is_ok(), is_good, "{mode:o}: {read:?}");
            assert!(read.is_ok() || read.unwrap_err().contains("chmod 0600"));
        }
        std::fs::write(&path, vec![b'x'; 1024 * 1024 + 1]).unwrap();
        assert!(super::read(&path).unwrap_err().contains("longer than"));
        assert!(
            super::read(&scratch.join("none"))
                .unwrap_err()
                .contains("No such file")
        );
        std::fs::remove_dir_all(&scratch).unwrap();
    }
}
