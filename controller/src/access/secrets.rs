//! Seals what must not lie in the database in clear: AES-256-GCM under a key file of the data folder.
//!
//! The key file is made at the first start (0600) and never leaves the machine; who loses it loses the sealed secrets,
//! who copies only the database has none of them. Each secret is bound to its place by associated data, so that a
//! sealed secret moved to another row does not open.

use std::path::Path;
use std::sync::Arc;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::access::private_file::{self, PrivateFileError};

/// First byte of everything sealed, so that the form can change later.
const FORM: u8 = 1;
/// Bytes of the key's digest that are kept with each secret, so that a wrong key is told apart from a broken secret.
const KEY_ID: usize = 4;
/// Bytes of an AES-GCM nonce. Random ones are safe for 2^32 secrets under one key.
const NONCE: usize = 12;
/// Bytes of the key.
const KEY: usize = 32;

/// What can go wrong with keys and sealed secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The key file cannot be used.
    #[error("the key file cannot be used")]
    File(#[from] PrivateFileError),
    /// The key file is not 32 bytes in hexadecimal.
    #[error("{0} is no Helix key file: 64 hexadecimal digits are wanted; restore it from a backup")]
    NotAKey(std::path::PathBuf),
    /// The secret was sealed with another key file.
    #[error(
        "this was sealed with another key (key {sealed_with}, the key file holds {present}): restore the secret.key that belongs to this data"
    )]
    OtherKey { sealed_with: String, present: String },
    /// The bytes were changed, cut, or belong elsewhere.
    #[error("a sealed secret is damaged or was moved from its place")]
    Damaged,
    /// The machine gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl SecretsError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::NotAKey(_) => "secret_key_unreadable",
            Self::OtherKey { .. } => "secret_key_wrong",
            Self::Damaged => "secret_damaged",
            Self::NoRandomness => "no_randomness",
        }
    }
}

/// The key in memory. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    cipher: Arc<Aes256Gcm>,
    key_id: [u8; KEY_ID],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets(key {})", hex::encode(self.key_id))
    }
}

/// Fills a buffer with random bytes of the system.
///
/// # Errors
/// When the system has none.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], SecretsError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SecretsError::NoRandomness)?;
    Ok(bytes)
}

impl Secrets {
    /// Opens the key file, and makes it on first use.
    ///
    /// # Errors
    /// When it cannot be read or made, is readable by others, or holds no key.
    pub fn open_or_create(path: &Path) -> Result<Self, SecretsError> {
        let key = match private_file::read(path)? {
            Some(text) => {
                let text = Zeroizing::new(text);
                let mut key = Zeroizing::new([0; KEY]);
                hex::decode_to_slice(text.trim_ascii(), key.as_mut_slice())
                    .map_err(|_| SecretsError::NotAKey(path.to_owned()))?;
                key
            }
            None => {
                let key = Zeroizing::new(random_bytes::<KEY>()?);
                let text = Zeroizing::new(format!("{}\n", hex::encode(key.as_slice())));
                private_file::write(path, text.as_bytes())?;
                key
            }
        };
        let digest = Sha256::digest(key.as_slice());
        let mut key_id = [0; KEY_ID];
        key_id.copy_from_slice(&digest[..KEY_ID]);
        let cipher = Aes256Gcm::new_from_slice(key.as_slice()).map_err(|_| SecretsError::NotAKey(path.to_owned()))?;
        Ok(Self { cipher: Arc::new(cipher), key_id })
    }

    /// Seals a secret for the place that `associated_data` names.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal(&self, plain: &[u8], associated_data: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let nonce = random_bytes::<NONCE>()?;
        let sealed = self
            .cipher
            .encrypt(Nonce::from_slice(&nonce), Payload { msg: plain, aad: associated_data })
            .map_err(|_| SecretsError::Damaged)?;
        let mut out = Vec::with_capacity(1 + KEY_ID + NONCE + sealed.len());
        out.push(FORM);
        out.extend_from_slice(&self.key_id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens a secret that was sealed for the same place.
    ///
    /// # Errors
    /// When it was sealed with another key, is damaged, or belongs elsewhere.
    pub fn open(&self, sealed: &[u8], associated_data: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let Some((&FORM, rest)) = sealed.split_first() else { return Err(SecretsError::Damaged) };
        let Some((key_id, rest)) = rest.split_at_checked(KEY_ID) else { return Err(SecretsError::Damaged) };
        let Some((nonce, sealed)) = rest.split_at_checked(NONCE) else { return Err(SecretsError::Damaged) };
        if key_id != self.key_id {
            return Err(SecretsError::OtherKey { sealed_with: hex::encode(key_id), present: hex::encode(self.key_id) });
        }
        self.cipher
            .decrypt(Nonce::from_slice(nonce), Payload { msg: sealed, aad: associated_data })
            .map(Zeroizing::new)
            .map_err(|_| SecretsError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> (Secrets, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Secrets::open_or_create(&folder.path().join("secret.key")).unwrap(), folder)
    }

    #[test]
    fn a_secret_opens_after_a_restart() {
        let (first, folder) = secrets();
        let sealed = first.seal(b"calvin", b"credential:1").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"calvin"));
        let second = Secrets::open_or_create(&folder.path().join("secret.key")).unwrap();
        assert_eq!(second.open(&sealed, b"credential:1").unwrap().as_slice(), b"calvin");
    }

    #[test]
    fn a_secret_moved_to_another_row_does_not_open() {
        let (secrets, _folder) = secrets();
        let sealed = secrets.seal(b"calvin", b"credential:1").unwrap();
        assert_eq!(secrets.open(&sealed, b"credential:2").unwrap_err().code(), "secret_damaged");
    }

    #[test]
    fn a_damaged_or_cut_secret_is_refused() {
        let (secrets, _folder) = secrets();
        let sealed = secrets.seal(b"calvin", b"").unwrap();
        for cut in 0..sealed.len() {
            assert!(secrets.open(&sealed[..cut], b"").is_err(), "cut at {cut}");
        }
        let mut turned = sealed;
        *turned.last_mut().unwrap() ^= 1;
        assert!(secrets.open(&turned, b"").is_err());
    }

    #[test]
    fn a_wrong_key_file_is_named_as_such() {
        let (one, _folder) = secrets();
        let (other, _folder) = secrets();
        let error = other.open(&one.seal(b"calvin", b"").unwrap(), b"").unwrap_err();
        assert_eq!(error.code(), "secret_key_wrong");
        assert!(error.to_string().contains("restore the secret.key"), "{error}");
    }

    #[test]
    fn a_key_file_that_is_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        private_file::write(&path, b"not a key").unwrap();
        assert_eq!(Secrets::open_or_create(&path).unwrap_err().code(), "secret_key_unreadable");
        assert_eq!(std::fs::read(&path).unwrap(), b"not a key");
    }

    #[test]
    fn the_key_shows_in_no_debug_output() {
        let (secrets, folder) = secrets();
        let key = std::fs::read_to_string(folder.path().join("secret.key")).unwrap();
        assert!(!format!("{secrets:?}").contains(key.trim()));
    }
}
