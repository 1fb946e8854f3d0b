//! Answers that were given, so that a repeated POST gets the same one and does nothing twice.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::store::StoreError;

/// What is known of a key.
#[derive(Debug, Clone)]
pub struct Kept {
    pub request_sha256: Vec<u8>,
    /// HTTP status; absent while the first request is still at work, or when it died on the way.
    pub status: Option<i32>,
    pub response: Option<serde_json::Value>,
    pub created_at: DateTime<Utc>,
}

/// Takes a key for a request; `None` when it was free and now belongs to the caller, else what is known of it. A key
/// whose first request gave no answer within `stale_before` is taken over: its process died.
///
/// # Errors
/// When the database fails.
pub async fn begin(
    db: &sqlx::PgPool,
    actor: &str,
    key: &str,
    request_sha256: &[u8; 32],
    now: DateTime<Utc>,
    stale_before: DateTime<Utc>,
) -> Result<Option<Kept>, StoreError> {
    let taken = sqlx::query!(
        "insert into idempotency_keys as k (actor, key, request_sha256, created_at) values ($1, $2, $3, $4)
         on conflict (actor, key) do update set request_sha256 = $3, created_at = $4
         where k.status is null and k.created_at < $5",
        actor,
        key,
        request_sha256.as_slice(),
        now,
        stale_before
    )
    .execute(db)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(None);
    }
    Ok(sqlx::query_as!(
        Kept,
        "select request_sha256, status, response, created_at from idempotency_keys where actor = $1 and key = $2",
        actor,
        key
    )
    .fetch_optional(db)
    .await?)
}

/// Keeps the answer. In the transaction of the work itself where there is one.
///
/// # Errors
/// When the database fails.
pub async fn finish(
    db: impl PgExecutor<'_>,
    actor: &str,
    key: &str,
    status: i32,
    response: &serde_json::Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update idempotency_keys set status = $3, response = $4 where actor = $1 and key = $2",
        actor,
        key,
        status,
        response
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives a key back: the request failed before it did anything.
///
/// # Errors
/// When the database fails.
pub async fn forget(db: impl PgExecutor<'_>, actor: &str, key: &str) -> Result<(), StoreError> {
    sqlx::query!("delete from idempotency_keys where actor = $1 and key = $2 and status is null", actor, key)
        .execute(db)
        .await?;
    Ok(())
}

/// Drops keys older than `before`; says how many.
///
/// # Errors
/// When the database fails.
pub async fn prune(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(sqlx::query!("delete from idempotency_keys where created_at < $1", before).execute(db).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[sqlx::test(migrations = "../migrations")]
    async fn a_repeated_request_finds_the_first_ones_answer(db: sqlx::PgPool) {
        let (now, digest) = (Utc::now(), [7; 32]);
        let begin = async |now| begin(&db, "ada", "k", &digest, now, now - TimeDelta::minutes(5)).await.unwrap();
        assert!(begin(now).await.is_none(), "the first one does the work");
        assert_eq!(begin(now).await.unwrap().status, None, "the second one learns that it is under way");
        finish(&db, "ada", "k", 201, &serde_json::json!({ "id": 1 })).await.unwrap();
        let kept = begin(now).await.unwrap();
        assert_eq!((kept.status, kept.response), (Some(201), Some(serde_json::json!({ "id": 1 }))));
        assert_eq!(prune(&db, now + TimeDelta::hours(1)).await.unwrap(), 1);
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_key_whose_process_died_is_taken_over_and_a_failed_one_is_free_again(db: sqlx::PgPool) {
        let (now, digest) = (Utc::now(), [7; 32]);
        let begin = async |now| begin(&db, "ada", "k", &digest, now, now - TimeDelta::minutes(5)).await.unwrap();
        assert!(begin(now).await.is_none());
        assert!(begin(now + TimeDelta::minutes(6)).await.is_none());
        forget(&db, "ada", "k").await.unwrap();
        assert!(begin(now).await.is_none());
    }
}
