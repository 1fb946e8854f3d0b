//! Steps of workflows: how far each is and what it says.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One step of one workflow.
#[derive(Debug, Clone)]
pub struct StepRow {
    pub workflow_id: Uuid,
    pub position: i32,
    pub kind: String,
    pub title: String,
    pub state: String,
    pub attempts: i32,
    /// Attempts since a person last answered: that number is held against the budget.
    pub attempts_since_person: i32,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Last sign of progress, and what it was.
    pub progress_at: Option<DateTime<Utc>>,
    pub progress_mark: Option<String>,
    pub progress: Option<Value>,
    pub message: Option<String>,
}

/// Adds the steps of a plan in one statement.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert_all(
    conn: &mut PgConnection,
    workflow: Uuid,
    kinds: &[String],
    titles: &[String],
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into workflow_steps (workflow_id, position, kind, title)
         select $1, (s.ordinality - 1)::int, s.kind, s.title
         from unnest($2::text[], $3::text[]) with ordinality as s(kind, title, ordinality)",
        workflow,
        kinds,
        titles
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All steps of a workflow in order.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_workflow(conn: &mut PgConnection, workflow: Uuid) -> Result<Vec<StepRow>, StoreError> {
    let rows = sqlx::query_as!(
        StepRow,
        "select workflow_id, position, kind, title, state, attempts, attempts_since_person, started_at, finished_at,
             progress_at, progress_mark, progress, message
         from workflow_steps where workflow_id = $1 order by position",
        workflow
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Begins an attempt; answers its number.
///
/// # Errors
/// When the database cannot be asked.
pub async fn begin(conn: &mut PgConnection, workflow: Uuid, position: i32) -> Result<i32, StoreError> {
    let number = sqlx::query_scalar!(
        "update workflow_steps
         set state = 'running', attempts = attempts + 1, attempts_since_person = attempts_since_person + 1,
             started_at = case when attempts_since_person = 0 then now() else coalesce(started_at, now()) end,
             finished_at = null, progress_at = now(), progress_mark = null, progress = null, message = null
         where workflow_id = $1 and position = $2
         returning attempts",
        workflow,
        position
    )
    .fetch_one(conn)
    .await?;
    Ok(number)
}

/// What a waiting step shows. The clock of progress restarts when the mark is another one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn wait(
    conn: &mut PgConnection,
    workflow: Uuid,
    position: i32,
    mark: &str,
    progress: Option<&Value>,
    message: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update workflow_steps
         set state = 'waiting', message = $5, progress = coalesce($4, progress),
             progress_at = case when progress_mark is not distinct from $3 then progress_at else now() end,
             progress_mark = $3
         where workflow_id = $1 and position = $2",
        workflow,
        position,
        mark,
        progress,
        message
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets state and line of a step: `done`, `skipped`, `failed`, `needs_human`, or `waiting` for its next attempt.
///
/// # Errors
/// When the database cannot be asked.
pub async fn set(
    conn: &mut PgConnection,
    workflow: Uuid,
    position: i32,
    state: &str,
    message: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update workflow_steps
         set state = $3, message = coalesce($4, message),
             finished_at = case when $3 in ('done', 'skipped', 'failed') then now() else null end
         where workflow_id = $1 and position = $2",
        workflow,
        position,
        state,
        message
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A person answered: everything from `position` on is to be done, with a fresh budget.
///
/// # Errors
/// When the database cannot be asked.
pub async fn reset_from(conn: &mut PgConnection, workflow: Uuid, position: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "update workflow_steps
         set state = 'pending', attempts_since_person = 0, started_at = null, finished_at = null, progress_at = null,
             progress_mark = null, progress = null, message = null
         where workflow_id = $1 and position >= $2",
        workflow,
        position
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A new attempt starts at an earlier step: everything from there on is to be done again. Budgets go on counting.
///
/// # Errors
/// When the database cannot be asked.
pub async fn rewind(conn: &mut PgConnection, workflow: Uuid, position: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "update workflow_steps
         set state = 'pending', finished_at = null, progress_at = null, progress_mark = null, progress = null
         where workflow_id = $1 and position >= $2",
        workflow,
        position
    )
    .execute(conn)
    .await?;
    Ok(())
}
