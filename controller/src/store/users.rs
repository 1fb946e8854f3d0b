//! People (and programs) that may use the API.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::store::StoreError;

/// One user.
#[derive(Debug, Clone)]
pub struct User {
    pub id: Uuid,
    pub name: String,
    /// PHC string of argon2id.
    pub password_hash: String,
    /// `admin`, `operator` or `viewer`.
    pub role: String,
    pub must_change_password: bool,
    pub disabled_at: Option<DateTime<Utc>>,
    /// Wrong passwords in a row.
    pub failed_logins: i32,
    pub locked_until: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// Adds a user; `false` when the name is taken.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    db: impl PgExecutor<'_>,
    id: Uuid,
    name: &str,
    password_hash: &str,
    role: &str,
    must_change_password: bool,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into users (id, name, password_hash, role, must_change_password) values ($1, $2, $3, $4, $5)
         on conflict (name) do nothing",
        id,
        name,
        password_hash,
        role,
        must_change_password
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether anybody may log in at all.
///
/// # Errors
/// When the database fails.
pub async fn any(db: impl PgExecutor<'_>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!("select exists (select from users) as \"any!\"").fetch_one(db).await?)
}

/// The user of this name.
///
/// # Errors
/// When the database fails.
pub async fn by_name(db: impl PgExecutor<'_>, name: &str) -> Result<Option<User>, StoreError> {
    Ok(sqlx::query_as!(User, "select * from users where name = $1", name).fetch_optional(db).await?)
}

/// The user of this id.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<User>, StoreError> {
    Ok(sqlx::query_as!(User, "select * from users where id = $1", id).fetch_optional(db).await?)
}

/// All users by name.
///
/// # Errors
/// When the database fails.
pub async fn list(db: impl PgExecutor<'_>) -> Result<Vec<User>, StoreError> {
    Ok(sqlx::query_as!(User, "select * from users order by name").fetch_all(db).await?)
}

/// Sets a password; a lock from wrong passwords goes with the old one.
///
/// # Errors
/// [`StoreError::NotFound`], or when the database fails.
pub async fn set_password(
    db: impl PgExecutor<'_>,
    id: Uuid,
    password_hash: &str,
    must_change_password: bool,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update users set password_hash = $2, must_change_password = $3, failed_logins = 0, locked_until = null,
             disabled_at = null, version = version + 1 where id = $1",
        id,
        password_hash,
        must_change_password
    )
    .execute(db)
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotFound { what: "user" }) } else { Ok(()) }
}

/// Counts a login before its password is looked at, and says how many have now failed in a row: a crash between the
/// two must not give free guesses. A success clears the count with [`login_succeeded`].
///
/// # Errors
/// [`StoreError::NotFound`], or when the database fails.
pub async fn login_attempted(db: impl PgExecutor<'_>, id: Uuid) -> Result<i32, StoreError> {
    sqlx::query_scalar!("update users set failed_logins = failed_logins + 1 where id = $1 returning failed_logins", id)
        .fetch_optional(db)
        .await?
        .ok_or(StoreError::NotFound { what: "user" })
}

/// Keeps a user out until a time.
///
/// # Errors
/// When the database fails.
pub async fn lock_until(db: impl PgExecutor<'_>, id: Uuid, until: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("update users set locked_until = $2 where id = $1", id, until).execute(db).await?;
    Ok(())
}

/// Clears the count of wrong passwords.
///
/// # Errors
/// When the database fails.
pub async fn login_succeeded(db: impl PgExecutor<'_>, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("update users set failed_logins = 0, locked_until = null where id = $1", id).execute(db).await?;
    Ok(())
}
