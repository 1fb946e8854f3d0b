//! Intents: what was announced before it was done, and how it ended.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One announced effect.
#[derive(Debug, Clone)]
pub struct IntentRow {
    pub id: Uuid,
    pub workflow_id: Uuid,
    pub attempt_id: Uuid,
    pub position: i32,
    pub effect: String,
    /// What was read just before the act.
    pub before: Value,
    pub params: Value,
    pub committed_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
    /// `done`, `not_done`, `refused`.
    pub outcome: Option<String>,
    pub detail: Option<Value>,
}

/// What a new intent says.
#[derive(Debug, Clone)]
pub struct NewIntent<'a> {
    pub id: Uuid,
    pub workflow_id: Uuid,
    pub attempt_id: Uuid,
    pub position: i32,
    pub effect: &'a str,
    pub before: &'a Value,
    pub params: &'a Value,
}

/// Announces an effect.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert(conn: &mut PgConnection, new: &NewIntent<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into intents (id, workflow_id, attempt_id, position, effect, before, params)
         values ($1, $2, $3, $4, $5, $6, $7)",
        new.id,
        new.workflow_id,
        new.attempt_id,
        new.position,
        new.effect,
        new.before,
        new.params
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Says how an effect ended.
///
/// # Errors
/// When the database cannot be asked.
pub async fn settle(
    conn: &mut PgConnection,
    id: Uuid,
    outcome: &str,
    detail: Option<&Value>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update intents set settled_at = now(), outcome = $2, detail = $3 where id = $1 and settled_at is null",
        id,
        outcome,
        detail
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Intents of a workflow, oldest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_workflow(conn: &mut PgConnection, workflow: Uuid) -> Result<Vec<IntentRow>, StoreError> {
    let rows = sqlx::query_as!(
        IntentRow,
        "select id, workflow_id, attempt_id, position, effect, before, params, committed_at, settled_at, outcome, detail
         from intents where workflow_id = $1 order by committed_at, id",
        workflow
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
