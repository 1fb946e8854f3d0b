//! Bulk actions and their items: one row a line or node, claimed by a process for a time, with its outcome.
//!
//! Items of enrolment and power are worked on here and carry a claim; items with a workflow follow that workflow.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::store::StoreError;

/// One bulk action with its counts.
#[derive(Debug, Clone)]
pub struct BulkRow {
    pub id: Uuid,
    pub public_id: String,
    /// `enrol`, `inspect`, `provision`, `power`.
    pub kind: String,
    pub title: String,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub request: Value,
    pub total: i64,
    pub waiting: i64,
    pub running: i64,
    pub done: i64,
    pub failed: i64,
    pub refused: i64,
    pub cancelled: i64,
    pub needs_human: i64,
}

/// A bulk action to be made.
#[derive(Debug, Clone)]
pub struct NewBulk<'a> {
    pub id: Uuid,
    pub public_id: &'a str,
    pub kind: &'a str,
    pub title: &'a str,
    pub created_by: &'a str,
    pub request: &'a Value,
}

/// An item to be made.
#[derive(Debug, Clone, Default)]
pub struct NewItem {
    pub position: i32,
    pub label: String,
    pub input: Value,
    pub node_id: Option<Uuid>,
    pub workflow_id: Option<Uuid>,
    /// `waiting`, or `refused` with code and message.
    pub state: String,
    pub code: Option<String>,
    pub message: Option<String>,
    pub next: Option<String>,
}

/// An item as read.
#[derive(Debug, Clone)]
pub struct ItemRow {
    pub position: i32,
    pub label: String,
    pub node: Option<String>,
    pub workflow: Option<String>,
    pub workflow_state: Option<String>,
    pub state: String,
    pub code: Option<String>,
    pub message: Option<String>,
    pub next: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// An item that this process works on.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub bulk_id: Uuid,
    pub public_id: String,
    pub position: i32,
    pub kind: String,
    pub label: String,
    pub input: Value,
    /// What the bulk action was asked with.
    pub request: Value,
    pub created_by: String,
    /// When the person asked for it.
    pub asked_at: DateTime<Utc>,
    pub node_id: Option<Uuid>,
    /// It was begun before: by a process that died.
    pub begun_before: bool,
}

/// How an item ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `done`, `failed`, `refused`, `cancelled`; `running` when a workflow goes on with it.
    pub state: &'static str,
    pub code: Option<String>,
    pub message: Option<String>,
    pub next: Option<String>,
    pub node_id: Option<Uuid>,
    pub workflow_id: Option<Uuid>,
}

/// Adds a bulk action; `false` when the public id is taken: draw another.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: impl PgExecutor<'_>, new: &NewBulk<'_>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into bulks (id, public_id, kind, title, created_by, request) values ($1, $2, $3, $4, $5, $6)
         on conflict (public_id) do nothing",
        new.id,
        new.public_id,
        new.kind,
        new.title,
        new.created_by,
        new.request
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds items, all in one statement.
///
/// # Errors
/// When the database fails.
pub async fn insert_items(db: impl PgExecutor<'_>, bulk: Uuid, items: &[NewItem]) -> Result<(), StoreError> {
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            serde_json::json!({
                "position": item.position, "label": item.label, "input": item.input, "node_id": item.node_id,
                "workflow_id": item.workflow_id, "state": item.state, "code": item.code, "message": item.message,
                "next": item.next,
            })
        })
        .collect();
    sqlx::query!(
        "insert into bulk_items (bulk_id, position, label, input, node_id, workflow_id, state, code, message, next,
             started_at, finished_at)
         select $1, i.position, i.label, coalesce(i.input, '{}'), i.node_id, i.workflow_id, i.state, i.code, i.message, i.next,
             case when i.state = 'running' then now() end, case when i.state in ('refused', 'failed') then now() end
         from jsonb_to_recordset($2) as i(position int, label text, input jsonb, node_id uuid, workflow_id uuid, state text,
             code text, message text, next text)",
        bulk,
        Value::Array(rows)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Which bulk actions a list shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    pub id: Option<Uuid>,
    pub public_id: Option<&'a str>,
    /// Older than this one.
    pub before: Option<Uuid>,
}

/// Bulk actions with their counts, newest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(db: impl PgExecutor<'_>, filter: Filter<'_>, limit: i64) -> Result<Vec<BulkRow>, StoreError> {
    let rows = sqlx::query_as!(
        BulkRow,
        r#"select b.id, b.public_id, b.kind, b.title, b.created_by, b.created_at, b.cancelled_at, b.finished_at, b.request,
             i.total as "total!", i.waiting as "waiting!", i.running as "running!", i.done as "done!",
             i.failed as "failed!", i.refused as "refused!", i.cancelled as "cancelled!", i.needs_human as "needs_human!"
         from bulks b, lateral (
             select count(*) as total,
                 count(*) filter (where i.state = 'waiting') as waiting,
                 count(*) filter (where i.state = 'running') as running,
                 count(*) filter (where i.state = 'done') as done,
                 count(*) filter (where i.state = 'failed') as failed,
                 count(*) filter (where i.state = 'refused') as refused,
                 count(*) filter (where i.state = 'cancelled') as cancelled,
                 count(*) filter (where i.state = 'running' and w.state = 'needs_human') as needs_human
             from bulk_items i left join workflows w on w.id = i.workflow_id
             where i.bulk_id = b.id
         ) i
         where ($1::uuid is null or b.id = $1) and ($2::text is null or b.public_id = $2)
             and ($3::uuid is null or b.id < $3)
         order by b.id desc limit $4"#,
        filter.id,
        filter.public_id,
        filter.before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// How many bulk actions there are.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count(db: impl PgExecutor<'_>) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"select count(*) as "count!" from bulks"#).fetch_one(db).await?)
}

/// Items in order, of one state when given.
///
/// # Errors
/// When the database cannot be asked.
pub async fn items(db: impl PgExecutor<'_>, bulk: Uuid, state: Option<&str>) -> Result<Vec<ItemRow>, StoreError> {
    let rows = sqlx::query_as!(
        ItemRow,
        r#"select i.position, i.label, n.name as "node?", w.public_id as "workflow?", w.state as "workflow_state?",
             i.state, i.code, i.message, i.next, i.started_at, i.finished_at
         from bulk_items i
         left join nodes n on n.id = i.node_id
         left join workflows w on w.id = i.workflow_id
         where i.bulk_id = $1 and ($2::text is null or i.state = $2
             or ($2 = 'needs_human' and i.state = 'running' and w.state = 'needs_human'))
         order by i.position"#,
        bulk,
        state
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// Takes up to `limit` items of enrolment and power for this process: those that wait, and those of a process that died.
/// Item 7 of every bulk action comes before item 8 of any, so that a large one does not hold up a small one. Claims run
/// by the database's clock, which all controllers share.
///
/// # Errors
/// When the database cannot be asked.
pub async fn claim(
    db: impl PgExecutor<'_>,
    instance: Uuid,
    for_seconds: f64,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let rows = sqlx::query_as!(
        Claimed,
        r#"with due as (
             select i.bulk_id, i.position, i.state = 'running' as begun
             from bulk_items i join bulks b on b.id = i.bulk_id
             where b.kind in ('enrol', 'power') and i.workflow_id is null
                 and ((i.state = 'waiting' and b.cancelled_at is null) or (i.state = 'running' and i.claimed_until < now()))
             order by i.position, b.created_at
             limit $3
             for update of i skip locked
         )
         update bulk_items i set state = 'running', claimed_by = $1, claimed_until = now() + make_interval(secs => $2),
             started_at = coalesce(i.started_at, now())
         from due, bulks b
         where i.bulk_id = due.bulk_id and i.position = due.position and b.id = i.bulk_id
         returning i.bulk_id, b.public_id, i.position, b.kind, i.label, i.input, b.request, b.created_by,
             b.created_at as asked_at, i.node_id, due.begun as "begun_before!""#,
        instance,
        for_seconds,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// Keeps what this process has claimed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn keep_claims(db: impl PgExecutor<'_>, instance: Uuid, for_seconds: f64) -> Result<(), StoreError> {
    sqlx::query!(
        "update bulk_items set claimed_until = now() + make_interval(secs => $2)
         where claimed_by = $1 and state = 'running' and workflow_id is null",
        instance,
        for_seconds
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives back at once what this controller had claimed before it was restarted; says how many.
///
/// # Errors
/// When the database cannot be asked.
pub async fn take_back(db: impl PgExecutor<'_>, instance: Uuid) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update bulk_items set claimed_until = now() - interval '1 second'
         where claimed_by = $1 and state = 'running' and workflow_id is null",
        instance
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Writes what an item learned before it acts, so that a successor can tell whether the act happened. `false` when the
/// claim was lost.
///
/// # Errors
/// When the database cannot be asked.
pub async fn remember(
    db: impl PgExecutor<'_>,
    bulk: Uuid,
    position: i32,
    instance: Uuid,
    input: &Value,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update bulk_items set input = $4 where bulk_id = $1 and position = $2 and claimed_by = $3 and state = 'running'",
        bulk,
        position,
        instance,
        input
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends an item, or hands it to a workflow; `false` when the claim was lost and somebody else ends it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn finish(
    db: impl PgExecutor<'_>,
    bulk: Uuid,
    position: i32,
    instance: Uuid,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update bulk_items set state = $4, code = $5, message = $6, next = $7, node_id = coalesce($8, node_id),
             workflow_id = coalesce($9, workflow_id), claimed_by = null, claimed_until = null,
             finished_at = case when $4 = 'running' then null else now() end
         where bulk_id = $1 and position = $2 and claimed_by = $3 and state = 'running'",
        bulk,
        position,
        instance,
        outcome.state,
        outcome.code,
        outcome.message,
        outcome.next,
        outcome.node_id,
        outcome.workflow_id
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Brings items whose workflow is over to their end, in that workflow's words.
///
/// # Errors
/// When the database cannot be asked.
pub async fn follow_workflows(db: impl PgExecutor<'_>) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update bulk_items i set
             state = case w.state when 'succeeded' then 'done' when 'failed' then 'failed' else 'cancelled' end,
             code = w.error_code,
             message = case
                 when w.state = 'succeeded' then i.message
                 when w.state = 'failed' then coalesce(w.error_message, 'The workflow failed.')
                 else coalesce('Cancelled: ' || w.cancel_reason, 'Cancelled.') end,
             next = w.error_next ->> 0,
             finished_at = coalesce(w.finished_at, now())
         from workflows w
         where i.workflow_id = w.id and i.state in ('waiting', 'running')
             and w.state in ('succeeded', 'failed', 'cancelled')"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Ends items whose workflow went away with its node.
///
/// # Errors
/// When the database cannot be asked.
pub async fn end_orphans(db: impl PgExecutor<'_>) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update bulk_items i set state = 'cancelled', code = 'node_removed', message = 'The node was removed.',
             finished_at = now()
         where i.state in ('waiting', 'running') and i.workflow_id is not null
             and not exists (select from workflows w where w.id = i.workflow_id)"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Ends bulk actions that have no open item any more.
///
/// # Errors
/// When the database cannot be asked.
pub async fn finish_complete(db: impl PgExecutor<'_>) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update bulks b set finished_at = now()
         where b.finished_at is null
             and not exists (select from bulk_items i where i.bulk_id = b.id and i.state in ('waiting', 'running'))"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Whether any bulk action is open: then workflows are followed more often.
///
/// # Errors
/// When the database cannot be asked.
pub async fn any_open(db: impl PgExecutor<'_>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"select exists (select from bulks where finished_at is null) as "open!""#)
        .fetch_one(db)
        .await?)
}

/// Cancels a bulk action: items that wait end at once. Answers the workflows that are still open, for the caller to ask.
///
/// # Errors
/// [`StoreError::Stale`] when it is over already; when the database fails.
pub async fn cancel(conn: &mut PgConnection, bulk: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let done = sqlx::query!(
        "update bulks set cancelled_at = coalesce(cancelled_at, now()) where id = $1 and finished_at is null",
        bulk
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Stale { what: "bulk action" });
    }
    sqlx::query!(
        "update bulk_items set state = 'cancelled', code = 'bulk_cancelled', message = 'Cancelled before it began.',
             finished_at = now()
         where bulk_id = $1 and state = 'waiting'",
        bulk
    )
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query_scalar!(
        "select w.id from bulk_items i join workflows w on w.id = i.workflow_id
         where i.bulk_id = $1 and i.state = 'running' and w.state in ('queued', 'running', 'waiting', 'needs_human')",
        bulk
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(rows)
}

/// Nodes whose bulk item of this kind is still open: they are not acted on twice at once.
///
/// # Errors
/// When the database cannot be asked.
pub async fn open_power_nodes(db: impl PgExecutor<'_>, nodes: &[Uuid]) -> Result<Vec<(Uuid, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"select i.node_id as "node_id!", b.public_id from bulk_items i join bulks b on b.id = i.bulk_id
         where b.kind = 'power' and i.state in ('waiting', 'running') and i.node_id = any($1)"#,
        nodes
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.node_id, row.public_id)).collect())
}

/// Removes bulk actions that ended before a time; says how many.
///
/// # Errors
/// When the database cannot be asked.
pub async fn prune(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(sqlx::query!("delete from bulks where finished_at < $1", before).execute(db).await?.rows_affected())
}
