//! Workflows in one line, joined with their node and the step at work: what lists and node pages show.
//!
//! Reads only; the engine writes through `workflows` and `steps`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::store::StoreError;

/// One workflow in one line.
#[derive(Debug, Clone)]
pub struct SummaryRow {
    pub id: Uuid,
    pub public_id: String,
    pub kind: String,
    pub node: String,
    pub state: String,
    /// Index of the step at work; the number of steps when all are done.
    pub step: i32,
    pub steps: i64,
    pub step_title: Option<String>,
    pub waits_for: Option<String>,
    pub waits_since: Option<DateTime<Utc>>,
    pub waits_until: Option<DateTime<Utc>>,
    pub then_what: Option<String>,
    pub progress: Option<Value>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub error_why: Option<String>,
    pub error_next: Value,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Which workflows a list shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    pub ids: Option<&'a [Uuid]>,
    pub node_id: Option<Uuid>,
    pub state: Option<&'a str>,
    /// Only those that are not finished.
    pub open: bool,
    /// Older than this one.
    pub before: Option<Uuid>,
}

/// Workflows, newest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(db: impl PgExecutor<'_>, filter: Filter<'_>, limit: i64) -> Result<Vec<SummaryRow>, StoreError> {
    let rows = sqlx::query_as!(
        SummaryRow,
        r#"select w.id, w.public_id, w.kind, n.name as node, w.state, w.step,
             (select count(*) from workflow_steps c where c.workflow_id = w.id) as "steps!",
             s.title as "step_title?", w.waits_for, w.waits_since, w.waits_until, w.then_what, s.progress as "progress?",
             w.error_code, w.error_message, w.error_why, w.error_next, w.created_by, w.created_at, w.started_at,
             w.finished_at
         from workflows w
         join nodes n on n.id = w.node_id
         left join workflow_steps s on s.workflow_id = w.id and s.position = least(w.step,
             (select max(m.position) from workflow_steps m where m.workflow_id = w.id))
         where ($1::uuid[] is null or w.id = any($1)) and ($2::uuid is null or w.node_id = $2)
             and ($3::text is null or w.state = $3)
             and (not $4 or w.state in ('queued', 'running', 'waiting', 'needs_human'))
             and ($5::uuid is null or w.id < $5)
         order by w.id desc limit $6"#,
        filter.ids,
        filter.node_id,
        filter.state,
        filter.open,
        filter.before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// How many a filter matches, its place in the list aside.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count(db: impl PgExecutor<'_>, filter: Filter<'_>) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from workflows w
         where ($1::uuid is null or w.node_id = $1) and ($2::text is null or w.state = $2)
             and (not $3 or w.state in ('queued', 'running', 'waiting', 'needs_human'))"#,
        filter.node_id,
        filter.state,
        filter.open
    )
    .fetch_one(db)
    .await?;
    Ok(count)
}
