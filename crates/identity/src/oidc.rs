//! Signing in at somebody else's service by OpenID Connect, as far as that needs no network: what the
//! provider says of itself, its keys, and what its tokens are worth. Everything that comes from there is
//! read strictly; what is not plainly right is refused.
//!
//! - [`provider`]: the discovery document; [`addresses`]: where it may be asked for
//! - [`keys`]: the provider's public keys; [`token`]: tokens, and what they say of somebody
//! - [`asked`]: what goes out with a browser and must come back; [`redeem`]: the code that comes back
//! - [`rule`]: who may sign in, under which name and with which role

pub mod addresses;
pub mod asked;
pub mod keys;
pub mod provider;
pub mod redeem;
pub mod rule;
#[cfg(test)]
pub(crate) mod testing;
pub mod token;

pub use asked::{Asked, Asking};
pub use keys::Keys;
pub use provider::{Provider, SecretIn};
pub use redeem::Redeem;
pub use rule::Rule;
pub use token::{Claims, Expected, Fault};
