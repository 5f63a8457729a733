//! The key that a login makes, as OpenSSH keeps and takes it (its PROTOCOL.key and PROTOCOL.certkeys). It never
//! leaves this machine: only its public half is sent.

use hansard_core::seal::SigningKey;
use hansard_view::jsonl::base64;

/// The type of the key (RFC 8709).
pub(super) const KEY_TYPE: &str = "ssh-ed25519";

/// The type of a certificate for it.
pub(super) const CERTIFICATE_TYPE: &str = "ssh-ed25519-cert-v01@openssh.com";

/// What a file with a private key begins with.
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// PKCS#8 of an Ed25519 key before its seed (RFC 8410 §7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Characters of base 64 in a line of such a file.
const LINE_CHARS: usize = 70;

/// A pair of keys.
pub(super) struct Key {
    seed: [u8; 32],
    /// The public half.
    pub(super) public: [u8; 32],
}

/// Puts strings after one another, each behind its length (RFC 4251 §5).
pub(super) fn strings<'a>(all: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for one in all {
        let len = u32::try_from(one.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(one);
    }
    out
}

impl Key {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let public = SigningKey::from_seed(seed).public();
        Self { seed, public }
    }

    /// The private half as OpenSSH keeps it: the seed, and the public half behind it.
    pub(super) fn private(&self) -> [u8; 64] {
        let mut both = [0; 64];
        let (first, second) = both.split_at_mut(32);
        first.copy_from_slice(&self.seed);
        second.copy_from_slice(&self.public);
        both
    }

    /// The public half as SSH sends it.
    pub(super) fn blob(&self) -> Vec<u8> {
        strings([KEY_TYPE.as_bytes(), &self.public])
    }

    /// As a line of a `.pub` file.
    pub(super) fn line(&self) -> String {
        format!("{KEY_TYPE} {}", base64::encode(&self.blob()))
    }

    /// The public half in hexadecimal.
    pub(super) fn hex(&self) -> String {
        self.public
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The private half as a file in PEM, as TLS keeps it (RFC 8410 §7).
    pub(super) fn pkcs8(&self) -> String {
        let der = [&PKCS8[..], &self.seed].concat();
        let text = base64::encode(&der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    /// As a file with a private key, which no passphrase guards: it is of no use when its certificate is over.
    pub(super) fn file(&self, comment: &str, check: [u8; 4]) -> String {
        let mut secret = [check, check].concat();
        secret.extend(strings([
            KEY_TYPE.as_bytes(),
            &self.public,
            &self.private(),
            comment.as_bytes(),
        ]));
        let padding = (1..).take_while(|n: &u8| *n < 8);
        for byte in padding {
            if secret.len() % 8 == 0 {
                break;
            }
            secret.push(byte);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(strings([&b"none"[..], b"none", b""]));
        bytes.extend(1u32.to_be_bytes());
        bytes.extend(strings([&self.blob()[..], &secret]));
        let text = base64::encode(&bytes);
        let mut file = "-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, behind) = rest.split_at(rest.len().min(LINE_CHARS));
            file.push_str(line);
            file.push('\n');
            rest = behind;
        }
        file.push_str("-----END OPENSSH PRIVATE KEY-----\n");
        file
    }
}

/// A certificate, as far as its holder has to know it.
pub(super) struct Certificate {
    /// As SSH sends it.
    pub(super) blob: Vec<u8>,
    /// Until when it holds, seconds since 1970.
    pub(super) until_s: u64,
}

impl Certificate {
    /// Reads a line of a `-cert.pub` file; `None` unless it is a certificate for this key.
    pub(super) fn read(line: &str, key: &Key) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (kind, text) = (words.next()?, words.next()?);
        let blob = base64::decode(text).filter(|_| kind == CERTIFICATE_TYPE)?;
        let mut rest = blob.as_slice();
        let (named, _nonce, public) = (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
        let is_ours = named == kind.as_bytes() && public == key.public;
        let (_serial, _type) = (take::<8>(&mut rest)?, take::<4>(&mut rest)?);
        let (_id, _principals) = (string(&mut rest)?, string(&mut rest)?);
        let (_from, until) = (take::<8>(&mut rest)?, take::<8>(&mut rest)?);
        is_ours.then(|| Self {
            until_s: u64::from_be_bytes(until),
            blob: blob.clone(),
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

fn string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(u32::from_be_bytes(take(bytes)?)).ok()?;
    let (string, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(string)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn ssh_keygen_reads_what_is_written_and_certifies_it() {
        let dir = std::env::temp_dir().join(format!("hansard-login-key-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        let run = |args: &[&str]| {
            let done = Command::new("ssh-keygen")
                .args(args)
                .current_dir(&dir)
                .output();
            let done = match done {
                Ok(done) => done,
                Err(_) if std::env::var_os("CI").is_none() => return None,
                Err(e) => panic!("ssh-keygen: {e}"),
            };
            assert!(done.status.success(), "{done:?}");
            Some(String::from_utf8(done.stdout).unwrap())
        };
        for (n, comment) in ["", "a", "hansard anna", "12345678"]
            .into_iter()
            .enumerate()
        {
            let key = Key::new([u8::try_from(n).unwrap() + 3; 32]);
            let path = dir.join(format!("k{n}"));
            std::fs::write(&path, key.file(comment, [1, 2, 3, 4])).unwrap();
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let Some(public) = run(&["-y", "-f", &format!("k{n}")]) else {
                return eprintln!("skipped: no ssh-keygen");
            };
            assert!(public.starts_with(&key.line()), "{public}");
            std::fs::write(dir.join(format!("k{n}.pub")), key.line()).unwrap();
            let pub_file = format!("k{n}.pub");
            let args = [
                "-q",
                "-s",
                "k0",
                "-I",
                "anna",
                "-n",
                "a,b",
                "-V",
                "20300101:20300102",
            ];
            run(&[&args[..], &[&pub_file]].concat());
            let line = std::fs::read_to_string(dir.join(format!("k{n}-cert.pub"))).unwrap();
            let read = Certificate::read(&line, &key).unwrap();
            let days = (19_722..=22_000).map(|day| day * 86_400);
            assert!(
                days.into_iter()
                    .any(|at| read.until_s.abs_diff(at) <= 86_400),
                "{}",
                read.until_s
            );
            let other = Key::new([9; 32]);
            assert!(Certificate::read(&line, &other).is_none());
            for end in 0..line.trim_end().len() {
                // Cut anywhere, it is none, or the same one without its last bytes, which ssh refuses.
                if let Some(cut) = Certificate::read(line.get(..end).unwrap_or_default(), &key) {
                    assert_eq!(cut.until_s, read.until_s);
                }
            }
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
