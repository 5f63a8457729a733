//! Ed25519 keys in files: PEM as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`
//! write it (RFC 8410), so that no tool of ours is needed to make or check them.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hansard_core::seal::SigningKey;
use hansard_record::Environment;
use hansard_view::jsonl::base64;

use crate::cli::KeygenArgs;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};

/// DER of a PKCS#8 Ed25519 private key before the 32-byte seed (RFC 8410 §7).
const PRIVATE_DER: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// DER of an Ed25519 SubjectPublicKeyInfo before the 32-byte key (RFC 8410 §4).
const PUBLIC_DER: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A PEM file of one key is far shorter.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// `hansard keygen`: a private key, readable for its owner only, and its public half beside it.
pub(crate) fn run(args: &KeygenArgs) -> Result<u8, Failure> {
    let key_seed = random_seed()?;
    let public = SigningKey::from_seed(key_seed).public();
    let mut public_path = args.file.clone().into_os_string();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    // Before anything is written: a private key without its public half would be left behind.
    if public_path.symlink_metadata().is_ok() && args.file.symlink_metadata().is_err() {
        let what = format!(
            "{}: is there already, without its private key",
            shown(&public_path)
        );
        return Err(Failure::new(STATUS_WRONG_USE, what)
            .hint("choose another name; or move it away, if nobody verifies with it any more"));
    }
    write_new(
        &args.file,
        0o600,
        &pem("PRIVATE KEY", &PRIVATE_DER, &key_seed),
    )?;
    write_new(
        &public_path,
        0o644,
        &pem("PUBLIC KEY", &PUBLIC_DER, &public),
    )?;
    writeln!(
        std::io::stdout(),
        "private key {} (keep it), public key {} (give it to who verifies)\nsigner {}",
        shown(&args.file),
        shown(&public_path),
        hex(&public)
    )?;
    Ok(0)
}

/// The key of `--key`, or one made for this recording.
pub(crate) fn signing_key(path: Option<&Path>) -> Result<SigningKey, Failure> {
    let seed = match path {
        Some(path) => read(path, "PRIVATE KEY", &PRIVATE_DER)?,
        None => random_seed()?,
    };
    Ok(SigningKey::from_seed(seed))
}

/// A public key of `--trust`, in the text of that file.
pub(crate) fn public_key(path: &Path, text: &str) -> Result<[u8; 32], Failure> {
    parsed(path, text, "PUBLIC KEY", &PUBLIC_DER)
}

/// Lower-case hexadecimal, as a signer is shown.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random_seed() -> Result<[u8; 32], Failure> {
    let mut seed = [0u8; 32];
    let filled = Environment::real().random.fill(&mut seed);
    filled.map_err(|e| Failure::new(STATUS_WRONG_USE, format!("no randomness for a key: {e}")))?;
    Ok(seed)
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => {
            let what = format!(
                "{}: is there already, and a key is never replaced",
                shown(path)
            );
            Failure::new(STATUS_WRONG_USE, what)
                .hint("choose another name; or move it away, if nothing is signed with it any more")
        }
        _ => Failure::about(path, &e),
    })
}

fn read(path: &Path, label: &str, der: &[u8]) -> Result<[u8; 32], Failure> {
    let (file, _) = crate::source::open_file(path)?;
    let mut bytes = Vec::new();
    let taken = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    taken.map_err(|e| Failure::about(path, &e))?;
    parsed(path, &String::from_utf8_lossy(&bytes), label, der)
}

fn parsed(path: &Path, text: &str, label: &str, der: &[u8]) -> Result<[u8; 32], Failure> {
    parse(text, label, der).ok_or_else(|| {
        let what = label.to_lowercase();
        Failure::new(
            STATUS_WRONG_USE,
            format!("{}: not an Ed25519 {what} in PEM", shown(path)),
        )
        .hint("make a pair with `hansard keygen FILE`; --key takes FILE, --trust takes FILE.pub")
    })
}

fn parse(text: &str, label: &str, der: &[u8]) -> Option<[u8; 32]> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let body = text.split_once(&begin)?.1.split_once(&end)?.0;
    let bytes = base64::decode(&body.split_ascii_whitespace().collect::<String>())?;
    bytes.strip_prefix(der)?.try_into().ok()
}

fn pem(label: &str, der: &[u8], key: &[u8; 32]) -> String {
    let body = base64::encode(&[der, key].concat());
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl genpkey -algorithm ed25519` wrote, and `openssl pkey -pubout` made of it
    /// (RFC 8410 §10.3).
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn keys_as_openssl_writes_them() {
        let seed = parse(PRIVATE, "PRIVATE KEY", &PRIVATE_DER).unwrap();
        let public = parse(PUBLIC, "PUBLIC KEY", &PUBLIC_DER).unwrap();
        assert_eq!(SigningKey::from_seed(seed).public(), public);
        assert_eq!(pem("PRIVATE KEY", &PRIVATE_DER, &seed), PRIVATE);
        assert_eq!(pem("PUBLIC KEY", &PUBLIC_DER, &public), PUBLIC);
        assert_eq!(parse(PUBLIC, "PRIVATE KEY", &PRIVATE_DER), None);
        assert_eq!(
            parse(&PUBLIC.replace('M', "N"), "PUBLIC KEY", &PUBLIC_DER),
            None
        );
    }
}
