//! Random tokens: API tokens, join and deploy tokens, sessions. Only their digest is ever kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::access::secrets::{SecretsError, random_bytes};

/// What every token begins with, so that scanners for leaked secrets can know it.
pub const PREFIX: &str = "hlx_";

/// A new token of 256 random bits, and the digest to keep.
///
/// # Errors
/// When the system gives no random bytes.
pub fn generate() -> Result<(SecretString, [u8; 32]), SecretsError> {
    let token = SecretString::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>()?)));
    let digest = digest(token.expose_secret());
    Ok((token, digest))
}

/// The digest under which a token is kept. A plain hash is enough: 256 random bits cannot be guessed.
#[must_use]
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_known_by_their_digest() {
        let (one, kept) = generate().unwrap();
        let (other, _) = generate().unwrap();
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(digest(one.expose_secret()), kept);
        assert_eq!(one.expose_secret().len(), PREFIX.len() + 43);
    }
}
