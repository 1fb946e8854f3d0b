//! Who did what, and when. Rows are added, never changed.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::store::StoreError;

/// One line of the audit, to be written.
#[derive(Debug, Clone)]
pub struct NewAudit<'a> {
    /// A user's name, `system`, or `agent:NODE`.
    pub actor: &'a str,
    /// A verb and its object, e.g. `node.trust`.
    pub action: &'a str,
    pub object_kind: &'a str,
    pub object_id: Option<String>,
    pub object_name: Option<String>,
    /// `done`, `refused`, or `failed`.
    pub outcome: &'a str,
    /// Anything that explains it; never a secret.
    pub detail: serde_json::Value,
    pub request_id: Option<String>,
}

/// One line of the audit, as read.
#[derive(Debug, Clone)]
pub struct Audit {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub object_kind: String,
    pub object_id: Option<String>,
    pub object_name: Option<String>,
    pub outcome: String,
    pub detail: serde_json::Value,
    pub request_id: Option<String>,
}

/// Adds a line; in the same transaction as what it tells of.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: impl PgExecutor<'_>, line: &NewAudit<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into audit (actor, action, object_kind, object_id, object_name, outcome, detail, request_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        line.actor,
        line.action,
        line.object_kind,
        line.object_id,
        line.object_name,
        line.outcome,
        line.detail,
        line.request_id
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Lines older than `before` (an id), newest first; `object` limits them to one object.
///
/// # Errors
/// When the database fails.
pub async fn page(
    db: impl PgExecutor<'_>,
    object: Option<(&str, &str)>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Audit>, StoreError> {
    let (kind, id) = object.unzip();
    Ok(sqlx::query_as!(
        Audit,
        "select * from audit
         where ($1::text is null or (object_kind = $1 and object_id = $2)) and ($3::bigint is null or id < $3)
         order by id desc limit $4",
        kind,
        id,
        before,
        limit
    )
    .fetch_all(db)
    .await?)
}
