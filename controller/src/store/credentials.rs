//! BMC credentials. The password is sealed before it comes here and opened by who uses it.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::store::StoreError;

/// One credential, its secret sealed.
#[derive(Debug, Clone)]
pub struct Credential {
    pub id: Uuid,
    pub name: String,
    pub username: String,
    /// Sealed with [`associated_data`] of `id`.
    pub secret_sealed: Vec<u8>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What a credential's secret is bound to when it is sealed: moved to another row it does not open.
#[must_use]
pub fn associated_data(id: Uuid) -> Vec<u8> {
    format!("credential:{id}").into_bytes()
}

/// Adds a credential.
///
/// # Errors
/// [`StoreError::Conflict`] with `credentials_name_key` when the name is taken, or when the database fails.
pub async fn insert(
    db: impl PgExecutor<'_>,
    id: Uuid,
    name: &str,
    username: &str,
    secret_sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into credentials (id, name, username, secret_sealed) values ($1, $2, $3, $4)",
        id,
        name,
        username,
        secret_sealed
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Replaces user name and secret. The version grows, which lets BMCs stopped by a wrong password be tried again.
///
/// # Errors
/// [`StoreError::NotFound`], or when the database fails.
pub async fn replace(
    db: impl PgExecutor<'_>,
    id: Uuid,
    username: &str,
    secret_sealed: &[u8],
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        "update credentials set username = $2, secret_sealed = $3, version = version + 1, updated_at = now()
         where id = $1 returning version",
        id,
        username,
        secret_sealed
    )
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::NotFound { what: "credential" })
}

/// The credential of this name.
///
/// # Errors
/// When the database fails.
pub async fn by_name(db: impl PgExecutor<'_>, name: &str) -> Result<Option<Credential>, StoreError> {
    Ok(sqlx::query_as!(Credential, "select * from credentials where name = $1", name).fetch_optional(db).await?)
}

/// The credential of this id.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Credential>, StoreError> {
    Ok(sqlx::query_as!(Credential, "select * from credentials where id = $1", id).fetch_optional(db).await?)
}

/// All credentials by name.
///
/// # Errors
/// When the database fails.
pub async fn list(db: impl PgExecutor<'_>) -> Result<Vec<Credential>, StoreError> {
    Ok(sqlx::query_as!(Credential, "select * from credentials order by name").fetch_all(db).await?)
}

/// Removes a credential; `false` when there is none.
///
/// # Errors
/// [`StoreError::Conflict`] with `bmcs_credential_id_fkey` while a BMC uses it, or when the database fails.
pub async fn delete(db: impl PgExecutor<'_>, id: Uuid) -> Result<bool, StoreError> {
    let done = sqlx::query!("delete from credentials where id = $1", id).execute(db).await?;
    Ok(done.rows_affected() == 1)
}
