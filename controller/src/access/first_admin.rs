//! The first admin: made at the first start, with a random password that is printed and kept in a file until changed.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::access::audit;
use crate::access::password::{self, PasswordError};
use crate::access::private_file::{self, PrivateFileError};
use crate::store::{self, StoreError};

/// Name of the first admin.
pub const NAME: &str = "admin";

/// What keeps the first admin from being made.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// The password file cannot be written.
    #[error("the first admin's password cannot be kept")]
    File(#[from] PrivateFileError),
    /// The password cannot be made or hashed.
    #[error("the first admin's password cannot be made")]
    Password(#[from] PasswordError),
    /// The database fails.
    #[error("the first admin cannot be stored")]
    Store(#[from] StoreError),
    /// There is no user of that name.
    #[error("there is no user \"{name}\"; there are: {known}")]
    NoSuchUser { name: String, known: String },
}

impl FirstAdminError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Password(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::NoSuchUser { .. } => "user_not_found",
        }
    }
}

/// Where the first admin's password lies until it is changed.
#[must_use]
pub fn password_file(data_dir: &Path) -> PathBuf {
    data_dir.join("admin-password")
}

/// Makes the first admin when there is no user at all; gives back the password to print.
///
/// The file is written before the user: a crash between the two leaves a file for nobody, and the next start makes both
/// anew. The other way round it would leave an admin whose password nobody knows.
///
/// # Errors
/// When the file or the user cannot be written.
pub async fn ensure(db: &sqlx::PgPool, data_dir: &Path) -> Result<Option<SecretString>, FirstAdminError> {
    if store::users::any(db).await? {
        return Ok(None);
    }
    let password = password::random().map_err(PasswordError::from)?;
    let hash = password::hash(&password).await?;
    private_file::write(&password_file(data_dir), format!("{}\n", password.expose_secret()).as_bytes())?;
    let mut transaction = db.begin().await.map_err(StoreError::from)?;
    let id = Uuid::now_v7();
    if !store::users::insert(&mut *transaction, id, NAME, &hash, "admin", true).await? {
        // Another controller on the same database was quicker, and printed its own.
        forget_file(data_dir);
        return Ok(None);
    }
    audit::record(
        &mut *transaction,
        audit::SYSTEM,
        "user.create",
        "user",
        Some(id.to_string()),
        Some(NAME),
        serde_json::json!({ "role": "admin", "why": "first start" }),
    )
    .await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Some(password))
}

/// Gives a user a new random password and a working account: the way back in for who sits at the machine.
///
/// # Errors
/// When there is no such user, or the database fails.
pub async fn reset(db: &sqlx::PgPool, data_dir: &Path, name: &str) -> Result<SecretString, FirstAdminError> {
    let Some(user) = store::users::by_name(db, name).await? else {
        let known: Vec<String> = store::users::list(db).await?.into_iter().map(|user| user.name).collect();
        return Err(FirstAdminError::NoSuchUser { name: name.to_owned(), known: known.join(", ") });
    };
    let password = password::random().map_err(PasswordError::from)?;
    let hash = password::hash(&password).await?;
    let mut transaction = db.begin().await.map_err(StoreError::from)?;
    store::users::set_password(&mut *transaction, user.id, &hash, true).await?;
    store::tokens::revoke_all(&mut *transaction, user.id, None, chrono::Utc::now()).await?;
    audit::record(
        &mut *transaction,
        audit::SYSTEM,
        "user.password",
        "user",
        Some(user.id.to_string()),
        Some(name),
        serde_json::json!({ "why": "helixd admin reset-password" }),
    )
    .await?;
    transaction.commit().await.map_err(StoreError::from)?;
    if name == NAME {
        // The old file's password works no more.
        forget_file(data_dir);
    }
    Ok(password)
}

/// Removes the password file; what it held works no more.
pub fn forget_file(data_dir: &Path) {
    let path = password_file(data_dir);
    match std::fs::remove_file(&path) {
        Ok(()) => tracing::info!(path = %path.display(), "removed the first admin's password file"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot remove the old password file; remove it by hand")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing;

    #[sqlx::test(migrations = "../migrations")]
    async fn the_first_admins_password_lies_in_a_file_until_it_is_changed(db: sqlx::PgPool) {
        let test = testing::app(db).await;
        let (app, folder) = (&test.app, test.folder.path());
        let password = ensure(&app.db, folder).await.unwrap().unwrap();
        let text = std::fs::read_to_string(password_file(folder)).unwrap();
        assert_eq!(text.trim(), password.expose_secret());
        assert!(ensure(&app.db, folder).await.unwrap().is_none(), "there is only one first start");
        let admin = store::users::by_name(&app.db, NAME).await.unwrap().unwrap();
        assert!(password::verify(&password, Some(admin.password_hash)).await.unwrap());
        password::change(app, admin.id, NAME, &"a new long password".into(), NAME, None).await.unwrap();
        assert!(!password_file(folder).exists());
        let audit = store::audit::page(&app.db, None, None, 10).await.unwrap();
        let actions: Vec<&str> = audit.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(actions, ["user.password", "user.create"]);
        assert!(!format!("{audit:?}").contains("a new long password"));
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_reset_password_works_and_the_old_tokens_do_not(db: sqlx::PgPool) {
        let test = testing::app(db).await;
        let (app, folder) = (&test.app, test.folder.path());
        ensure(&app.db, folder).await.unwrap();
        let admin = store::users::by_name(&app.db, NAME).await.unwrap().unwrap();
        let later = chrono::Utc::now() + chrono::TimeDelta::hours(1);
        store::tokens::insert(&app.db, Uuid::now_v7(), admin.id, "x", &[1; 32], later).await.unwrap();
        let password = reset(&app.db, folder, NAME).await.unwrap();
        let admin = store::users::by_name(&app.db, NAME).await.unwrap().unwrap();
        assert!(password::verify(&password, Some(admin.password_hash)).await.unwrap());
        assert!(admin.must_change_password);
        assert!(store::tokens::owner(&app.db, &[1; 32], chrono::Utc::now()).await.unwrap().is_none());
        let error = reset(&app.db, folder, "grace").await.unwrap_err();
        assert_eq!(error.to_string(), "there is no user \"grace\"; there are: admin");
    }
}
