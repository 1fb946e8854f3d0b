//! Plan sets as they were shown, so that what was confirmed is what is run.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::store::StoreError;

/// One plan set.
#[derive(Debug, Clone)]
pub struct PlanRow {
    pub id: Uuid,
    pub public_id: String,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
    pub kind: String,
    pub request: Value,
    pub nodes: Value,
}

/// Keeps a plan set.
///
/// # Errors
/// [`StoreError::Conflict`] with `plans_public_id_key` on the rare collision; when the database fails.
pub async fn insert(db: impl PgExecutor<'_>, plan: &PlanRow) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into plans (id, public_id, created_by, created_at, expires_at, kind, request, nodes)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        plan.id,
        plan.public_id,
        plan.created_by,
        plan.created_at,
        plan.expires_at,
        plan.kind,
        plan.request,
        plan.nodes
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The plan set of a public id.
///
/// # Errors
/// When the database cannot be asked.
pub async fn by_public_id(db: impl PgExecutor<'_>, public_id: &str) -> Result<Option<PlanRow>, StoreError> {
    Ok(sqlx::query_as!(
        PlanRow,
        "select id, public_id, created_by, created_at, expires_at, used_at, kind, request, nodes
         from plans where public_id = $1",
        public_id
    )
    .fetch_optional(db)
    .await?)
}

/// Takes a plan set for a run; `false` when somebody was faster or it is too old.
///
/// # Errors
/// When the database cannot be asked.
pub async fn take(db: impl PgExecutor<'_>, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done =
        sqlx::query!("update plans set used_at = $2 where id = $1 and used_at is null and expires_at > $2", id, now)
            .execute(db)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Drops plan sets that ended before a time; says how many.
///
/// # Errors
/// When the database cannot be asked.
pub async fn prune(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(sqlx::query!("delete from plans where expires_at < $1", before).execute(db).await?.rows_affected())
}
