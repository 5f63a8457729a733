//! Certificates renew themselves: half of a certificate's life before it ends, a little earlier or
//! later on each host.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use hansard_identity::HostIdentity;
use hansard_identity::join::{JoinResponse, RenewRequest};
use hansard_identity::tls::LiveCertificate;
use hansard_record::Environment;

use super::opening::no_thread;
use super::{Closer, Start};
use crate::failure::{Failure, STATUS_FAILED};

/// How often it is looked whether a renewal is due, and tried again after one that failed.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Asks the authority, which may be far away. The error is for people.
pub(super) type Ask = Box<dyn Fn(RenewRequest) -> Result<JoinResponse, String> + Send>;

/// This machine's identity, once more.
pub(super) fn opened(directory: &Path) -> Result<HostIdentity, Failure> {
    match HostIdentity::open(directory) {
        Ok(Some(identity)) => Ok(identity),
        _ => {
            let what = "this machine's identity cannot be opened twice";
            let next = "see the permissions of its files";
            Err(Failure::new(STATUS_FAILED, what, next))
        }
    }
}

/// Begins to renew this machine's certificate; new connections use the new one at once.
pub(super) fn renew(
    start: &Start,
    environment: &Environment,
    identity: HostIdentity,
    certificate: Arc<LiveCertificate>,
    ask: Ask,
    closers: &mut Vec<Closer>,
) -> Result<(), Failure> {
    let mut jitter = [0u8; 4];
    // Without randomness all hosts renew at the same moment of their certificates' lives.
    let _ = environment.random.fill(&mut jitter);
    let jitter = u32::from_le_bytes(jitter);
    let (journal, clock) = (start.journal.clone(), Arc::clone(&environment.clock));
    let (stop, stopped) = channel::<()>();
    let directory = identity.directory().to_owned();
    let mut identity = Some(identity);
    let thread = std::thread::Builder::new()
        .name("renewing".to_owned())
        .spawn(move || {
            loop {
                // What could not be read after a renewal that failed may be read now, and may be the new one.
                if identity.is_none() {
                    let again = read_again(&directory).and_then(|mine| used(mine, &certificate));
                    identity = again
                        .inspect_err(|why| {
                            journal.error("the certificate cannot be read", &[("error", why)]);
                        })
                        .ok();
                }
                if let Some(mine) = identity.take_if(|i| i.needs_renewal(clock.utc_ns(), jitter)) {
                    let renewed = ask(mine.renew_request())
                        .and_then(|r| mine.renewed(&r, clock.utc_ns()).map_err(|e| e.to_string()))
                        .and_then(|new| used(new, &certificate));
                    match renewed {
                        Ok(new) => {
                            let until = new.peer().not_after_ns / 1_000_000_000;
                            journal.notice("the certificate was renewed", &[("until_s", &until)]);
                            identity = Some(new);
                        }
                        Err(why) => {
                            journal.error("the certificate was not renewed", &[("error", &why)]);
                        }
                    }
                }
                if stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })
        .map_err(no_thread)?;
    let close = move || {
        drop(stop);
        let _ = thread.join();
    };
    closers.push(("renewing", Box::new(close)));
    Ok(())
}

fn read_again(directory: &Path) -> Result<HostIdentity, String> {
    let opened = HostIdentity::open(directory).map_err(|e| e.to_string())?;
    opened.ok_or_else(|| "it is not there".to_owned())
}

/// New connections use this one from here on.
fn used(mine: HostIdentity, certificate: &LiveCertificate) -> Result<HostIdentity, String> {
    let (tls, authority) = (mine.tls_certificate(), mine.authority());
    let replaced = certificate.replace(tls, authority, mine.keys().tls());
    replaced.map(|()| mine).map_err(|e| e.to_string())
}
