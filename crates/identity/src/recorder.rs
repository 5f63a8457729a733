//! Whether a recording's key is one that an authority has certified.

use crate::certificate::{BadCertificate, Certificate, Purpose, bad};
use crate::peer::Peer;

/// Where a recording's header carries the certificate of the key that signs it: a field of
/// [`hansard_core::Session::target`], bytes, DER.
pub const CERTIFICATE_FIELD: &str = "recorder_certificate";

/// Checks that `authority_der`'s authority has certified `recorder_key` for recordings that began
/// at `at_ns` (UTC nanoseconds since 1970), and answers whose key it is. `certificate_der` comes
/// from the recording itself: nothing in it is believed before its signature fits.
///
/// # Errors
/// Why the key is not certified: another authority, another key, another purpose, another time.
pub fn check_recorder(
    certificate_der: &[u8],
    authority_der: &[u8],
    recorder_key: &[u8; 32],
    at_ns: u64,
) -> Result<Peer, BadCertificate> {
    let authority = Certificate::read(authority_der)?;
    let certificate = Certificate::read(certificate_der)?;
    certificate.is_issued_by(&authority)?;
    if certificate.purpose != Purpose::Recorder {
        return bad("it is not one for signing recordings");
    }
    if certificate.key != *recorder_key {
        return bad("it is about another key than the one that signed");
    }
    authority.is_valid_at(at_ns)?;
    certificate.is_valid_at(at_ns)?;
    Ok(certificate.peer())
}
