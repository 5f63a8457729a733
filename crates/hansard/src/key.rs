//! Ed25519 keys in files: PEM as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`
//! write it (RFC 8410), so that no tool of ours is needed to make or check them.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hansard_core::seal::SigningKey;
use hansard_record::Environment;

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

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `hansard keygen`: a private key, readable for its owner only, and its public half beside it.
pub(crate) fn run(args: &KeygenArgs) -> Result<u8, Failure> {
    let key_seed = random_seed()?;
    let public = SigningKey::from_seed(key_seed).public();
    let mut public_path = args.file.clone().into_os_string();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
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

/// A public key of `--trust`.
pub(crate) fn public_key(path: &Path) -> Result<[u8; 32], Failure> {
    read(path, "PUBLIC KEY", &PUBLIC_DER)
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
    written.map_err(|e| Failure::about(path, &e))
}

fn read(path: &Path, label: &str, der: &[u8]) -> Result<[u8; 32], Failure> {
    let (file, _) = crate::source::open_file(path)?;
    let mut text = String::new();
    let taken = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
    taken.map_err(|e| Failure::about(path, &e))?;
    parse(&text, label, der).ok_or_else(|| {
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
    let bytes = from_base64(body)?;
    bytes.strip_prefix(der)?.try_into().ok()
}

fn pem(label: &str, der: &[u8], key: &[u8; 32]) -> String {
    let body = to_base64(&[der, key].concat());
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let index = (group >> (18 - 6 * i) & 0x3f) as usize;
            let symbol = ALPHABET.get(index).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() {
                char::from(symbol)
            } else {
                '='
            });
        }
    }
    out
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut group, mut bits) = (0u32, 0);
    for symbol in text
        .bytes()
        .filter(|b| !b.is_ascii_whitespace() && *b != b'=')
    {
        let index = ALPHABET.iter().position(|a| *a == symbol)?;
        group = (group << 6 | u32::try_from(index).ok()?) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(group >> bits & 0xff).ok()?);
        }
    }
    Some(out)
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

    #[test]
    fn base64_of_every_length() {
        for len in 0..40u8 {
            let bytes: Vec<u8> = (0..len).map(|i| i.wrapping_mul(97)).collect();
            assert_eq!(from_base64(&to_base64(&bytes)), Some(bytes));
        }
    }
}
