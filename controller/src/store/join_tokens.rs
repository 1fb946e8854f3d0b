//! Join tokens: one-time, one node, looked up by digest.
//!
//! The key that joined is kept with the token, so that an agent whose answer was lost may ask again with the same key,
//! and nobody else may.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One token.
#[derive(Debug, Clone)]
pub struct JoinTokenRow {
    pub node_id: Uuid,
    pub workflow_id: Option<Uuid>,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
    /// Digest of the public key that joined with it.
    pub key_sha256: Option<Vec<u8>>,
}

/// Adds a token.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert(
    conn: &mut PgConnection,
    token_sha256: &[u8],
    node_id: Uuid,
    workflow_id: Option<Uuid>,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into join_tokens (token_sha256, node_id, workflow_id, expires_at) values ($1, $2, $3, $4)",
        token_sha256,
        node_id,
        workflow_id,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Looks a token up.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(conn: &mut PgConnection, token_sha256: &[u8]) -> Result<Option<JoinTokenRow>, StoreError> {
    let row = sqlx::query_as!(
        JoinTokenRow,
        "select node_id, workflow_id, expires_at, used_at, key_sha256 from join_tokens where token_sha256 = $1",
        token_sha256
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Uses a token up for a key. `false` when another key was faster or it has expired.
///
/// # Errors
/// When the database cannot be asked.
pub async fn redeem(
    conn: &mut PgConnection,
    token_sha256: &[u8],
    key_sha256: &[u8],
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update join_tokens set used_at = coalesce(used_at, $3), key_sha256 = $2
         where token_sha256 = $1 and (used_at is null or key_sha256 = $2) and expires_at > $3",
        token_sha256,
        key_sha256,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends what is left of a workflow's tokens.
///
/// # Errors
/// When the database cannot be asked.
pub async fn expire(conn: &mut PgConnection, workflow_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("update join_tokens set expires_at = least(expires_at, $2) where workflow_id = $1", workflow_id, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends all tokens of a node: it joined anew, or is removed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn expire_of_node(conn: &mut PgConnection, node_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("update join_tokens set expires_at = least(expires_at, $2) where node_id = $1", node_id, now)
        .execute(conn)
        .await?;
    Ok(())
}
