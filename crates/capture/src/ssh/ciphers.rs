//! Which ciphers are spoken, in the order of preference. Whose order counts is the client's (RFC 4253 §7.1): ours does
//! towards a proxy's targets.

use russh::{Preferred, cipher};

/// Authenticated ones first. With the processor's help AES is several times as quick as ChaCha20; without it, it is
/// the other way about, and slower where it is to tell nothing by its time.
const WITH_AES: [cipher::Name; 6] = [
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

const WITHOUT_AES: [cipher::Name; 6] = [
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// The library's preferences, with ours among ciphers.
pub(super) fn preferred() -> Preferred {
    Preferred {
        cipher: if has_aes() { &WITH_AES } else { &WITHOUT_AES }
            .as_slice()
            .into(),
        ..Preferred::DEFAULT
    }
}

/// Whether the processor knows AES.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}
