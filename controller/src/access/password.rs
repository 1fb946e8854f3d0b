//! Passwords of people: hashed with argon2id, checked off the runtime's threads.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::access::audit;
use crate::access::first_admin;
use crate::access::secrets::{SecretsError, random_bytes};
use crate::app::App;
use crate::store::{self, StoreError};

/// Memory of one hash, in KiB; with two passes and one lane this is the smallest argon2id setting that OWASP's password
/// storage guide recommends (19 MiB, t=2, p=1). A few logins a day cost nothing; a stolen table costs years.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at the same time: 4 × 19 MiB is what a burst of logins may take.
const AT_ONCE: usize = 4;
static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);
/// Fewer characters are refused: with the lock after wrong tries, twelve are beyond guessing.
pub const SHORTEST: usize = 12;
/// More bytes are refused: hashing them would only cost time.
pub const LONGEST: usize = 1024;

/// What can go wrong with a password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has {SHORTEST} characters or more, and at most {LONGEST} bytes")]
    Length,
    /// The stored hash cannot be used.
    #[error("the password hash of this user cannot be read: set a new one with helixd admin reset-password")]
    Hash(#[source] argon2::password_hash::Error),
    /// A system call failed.
    #[error("the password cannot be hashed")]
    Random(#[from] SecretsError),
    /// The thread died.
    #[error("the password cannot be hashed")]
    Thread(#[from] tokio::task::JoinError),
    /// The new hash cannot be stored.
    #[error("the password cannot be stored")]
    Store(#[from] StoreError),
}

impl PasswordError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length => "password_length",
            Self::Hash(_) => "password_hash_unreadable",
            Self::Random(error) => error.code(),
            Self::Thread(_) => "password_thread",
            Self::Store(error) => error.code(),
        }
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| PasswordError::Hash(error.into()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    // The semaphore is never closed; without a permit the work would only be less bounded.
    let _permit = ROOM.acquire().await.ok();
    tokio::task::spawn_blocking(work).await?
}

/// Hashes a password for keeping: a PHC string with its parameters.
///
/// # Errors
/// When the password is too short or too long.
pub async fn hash(password: &SecretString) -> Result<String, PasswordError> {
    let text = password.expose_secret();
    if text.chars().count() < SHORTEST || text.len() > LONGEST {
        return Err(PasswordError::Length);
    }
    let password = password.clone();
    in_background(move || {
        let salt = SaltString::encode_b64(&random_bytes::<16>()?).map_err(PasswordError::Hash)?;
        let hash = argon2()?.hash_password(password.expose_secret().as_bytes(), &salt).map_err(PasswordError::Hash)?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether this is the password behind the hash. With `None` (no such user) it takes as long and says no, so that
/// nobody learns which users exist.
///
/// # Errors
/// When the hash cannot be read.
pub async fn verify(password: &SecretString, hash: Option<String>) -> Result<bool, PasswordError> {
    if password.expose_secret().len() > LONGEST {
        return Ok(false);
    }
    let password: Arc<SecretString> = Arc::new(password.clone());
    in_background(move || {
        let Some(hash) = hash else {
            let salt = SaltString::encode_b64(b"no such user....").map_err(PasswordError::Hash)?;
            argon2()?.hash_password(password.expose_secret().as_bytes(), &salt).map_err(PasswordError::Hash)?;
            return Ok(false);
        };
        let hash = PasswordHash::new(&hash).map_err(PasswordError::Hash)?;
        match argon2()?.verify_password(password.expose_secret().as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::Password) => Ok(false),
            Err(error) => Err(PasswordError::Hash(error)),
        }
    })
    .await
}

/// A random password of 144 bits that a person can type: 24 characters.
///
/// # Errors
/// When the system gives no random bytes.
pub fn random() -> Result<SecretString, SecretsError> {
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(random_bytes::<18>()?)))
}

/// Sets a user's password: the hash, the end of all other tokens, the audit line, and the end of the first admin's
/// password file, for its password works no more.
///
/// # Errors
/// When the password is too short or too long, the user is gone, or the database fails.
pub async fn change(
    app: &App,
    user: Uuid,
    name: &str,
    new: &SecretString,
    actor: &str,
    keep_token: Option<Uuid>,
) -> Result<(), PasswordError> {
    let hash = hash(new).await?;
    let mut transaction = app.db.begin().await.map_err(StoreError::from)?;
    store::users::set_password(&mut *transaction, user, &hash, false).await?;
    store::tokens::revoke_all(&mut *transaction, user, keep_token, app.clock.now()).await?;
    audit::record(
        &mut *transaction,
        actor,
        "user.password",
        "user",
        Some(user.to_string()),
        Some(name),
        serde_json::Value::Null,
    )
    .await?;
    transaction.commit().await.map_err(StoreError::from)?;
    if name == first_admin::NAME {
        first_admin::forget_file(&app.config.data_dir);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let hash = hash(&"correct horse battery".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify(&"correct horse battery".into(), Some(hash.clone())).await.unwrap());
        assert!(!verify(&"correct horse batterz".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn a_user_who_is_not_there_is_answered_no() {
        assert!(!verify(&"correct horse battery".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_short_password_is_refused_with_the_rule() {
        let error = hash(&"short".into()).await.unwrap_err();
        assert_eq!(error.code(), "password_length");
        assert!(error.to_string().contains("12 characters"), "{error}");
    }

    #[test]
    fn a_random_password_satisfies_its_own_rule() {
        assert!(random().unwrap().expose_secret().len() >= SHORTEST);
    }
}
