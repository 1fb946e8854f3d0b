//! Attempts: each run of a step, kept.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One attempt of one step.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    pub id: Uuid,
    pub workflow_id: Uuid,
    pub position: i32,
    pub number: i32,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
}

/// The attempt of a step that has not ended.
///
/// # Errors
/// When the database cannot be asked.
pub async fn open(conn: &mut PgConnection, workflow: Uuid, position: i32) -> Result<Option<AttemptRow>, StoreError> {
    let row = sqlx::query_as!(
        AttemptRow,
        "select id, workflow_id, position, number, started_at, finished_at, outcome, error_code, error_message
         from attempts where workflow_id = $1 and position = $2 and finished_at is null order by number desc limit 1",
        workflow,
        position
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Adds an attempt.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    workflow: Uuid,
    position: i32,
    number: i32,
) -> Result<AttemptRow, StoreError> {
    let row = sqlx::query_as!(
        AttemptRow,
        "insert into attempts (id, workflow_id, position, number) values ($1, $2, $3, $4)
         returning id, workflow_id, position, number, started_at, finished_at, outcome, error_code, error_message",
        id,
        workflow,
        position,
        number
    )
    .fetch_one(conn)
    .await?;
    Ok(row)
}

/// Ends the open attempts of a step (there is one at most).
///
/// # Errors
/// When the database cannot be asked.
pub async fn end(
    conn: &mut PgConnection,
    workflow: Uuid,
    position: i32,
    outcome: &str,
    error: Option<(&str, &str)>,
) -> Result<(), StoreError> {
    let (code, message) = error.unzip();
    sqlx::query!(
        "update attempts set finished_at = now(), outcome = $3, error_code = $4, error_message = $5
         where workflow_id = $1 and position = $2 and finished_at is null",
        workflow,
        position,
        outcome,
        code,
        message
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All attempts of a workflow in order.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_workflow(conn: &mut PgConnection, workflow: Uuid) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = sqlx::query_as!(
        AttemptRow,
        "select id, workflow_id, position, number, started_at, finished_at, outcome, error_code, error_message
         from attempts where workflow_id = $1 order by position, number",
        workflow
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
