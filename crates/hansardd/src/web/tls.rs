//! TLS of the web server's own (`serve.web.tls`): a certificate that is exchanged when its files change,
//! while connections go on.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hansard_core::Body as EventBody;
use hansard_identity::tls::{Unfit, WebCertificate, web_config};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::files;
use crate::api::connection::told;
use crate::api::seams::{Audit, Log};
use crate::config::Tls;
use crate::failure::shown;
use crate::run::fact;

/// How often it is looked whether the files changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is wrong with one of the two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The key that names it, behind `serve.web.tls.`.
    pub key: &'static str,
    /// What.
    pub what: String,
    /// What to do.
    pub next: String,
}

/// The wall clock, in seconds since 1970.
#[must_use]
pub fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Reads both files, as of this time.
///
/// # Errors
/// Which is of no use, why, and what to do.
pub fn read(tls: &Tls, utc_s: u64) -> Result<WebCertificate, Wrong> {
    let of_certificate = |what: String| Wrong {
        key: "cert_file",
        what,
        next: "name a file with a certificate that holds, in PEM".to_owned(),
    };
    let of_key = |what: String| Wrong {
        key: "key_file",
        what,
        next: "name the file with the certificate's own private key, in PEM".to_owned(),
    };
    let certificates = files::read(&tls.cert_file).map_err(of_certificate)?;
    let key = files::read_secret(&tls.key_file).map_err(of_key)?;
    let at = |path: &Path, why: String| format!("{}: {why}", shown(path));
    WebCertificate::read(&certificates, &key, utc_s).map_err(|unfit| match unfit {
        Unfit::Certificate(why) => of_certificate(at(&tls.cert_file, why)),
        Unfit::Key(why) => of_key(at(&tls.key_file, why)),
    })
}

/// What both files are, without reading them: their inodes, times and sizes.
type Look = [Option<(u64, i64, i64, u64)>; 2];

fn look(tls: &Tls) -> Look {
    [&tls.cert_file, &tls.key_file].map(|path| {
        let about = fs::metadata(path).ok()?;
        Some((about.ino(), about.mtime(), about.mtime_nsec(), about.size()))
    })
}

/// The certificate that is shown now.
pub struct Shown {
    files: Tls,
    seen: Look,
    current: Arc<RwLock<Arc<WebCertificate>>>,
}

impl Shown {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// As [`read`].
    pub fn open(files: &Tls) -> Result<Self, Wrong> {
        // Looked at before: what changes meanwhile is read once more.
        let seen = look(files);
        let current = Arc::new(read(files, now_s())?);
        Ok(Self {
            files: files.clone(),
            seen,
            current: Arc::new(RwLock::new(current)),
        })
    }

    /// What makes TLS of connections; each shows the certificate of its moment. Clients may show one of this
    /// authority, given in DER.
    ///
    /// # Errors
    /// In words.
    pub fn acceptor(&self, people: &[u8]) -> Result<TlsAcceptor, String> {
        let current = Arc::clone(&self.current);
        let shown = move || Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner));
        let config = web_config(Arc::new(shown), people).map_err(|e| e.to_string())?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks after the files until `stop` becomes true.
    pub async fn watch(mut self, (audit, log): (Audit, Log), mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = told(&mut stop) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let (audit, log) = (Arc::clone(&audit), Arc::clone(&log));
            let looked = tokio::task::spawn_blocking(move || {
                self.again(&audit, &log);
                self
            });
            match looked.await {
                Ok(same) => self = same,
                Err(_) => return,
            }
        }
    }

    /// Reads the files again if they changed. With a fault in them the old certificate goes on: who
    /// exchanges two files does it one after the other.
    fn again(&mut self, audit: &Audit, log: &Log) {
        let seen = look(&self.files);
        if seen == self.seen {
            return;
        }
        self.seen = seen;
        let read = read(&self.files, now_s());
        let outcome = match &read {
            Ok(_) => Ok(&[][..]),
            Err(wrong) => Err(wrong.what.as_str()),
        };
        let event: EventBody = fact::reload(&shown(&self.files.cert_file), outcome);
        if let Err(lost) = audit(event) {
            log(&format!(
                "that a certificate was read again could not be recorded: {lost}"
            ));
        }
        match read {
            Ok(new) => {
                log("the web server shows its new certificate from now on");
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(new);
            }
            Err(wrong) => {
                let Wrong { key, what, next } = wrong;
                log(&format!(
                    "serve.web.tls.{key}: {what}; {next}; the old one goes on"
                ));
            }
        }
    }
}
