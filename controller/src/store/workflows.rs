//! Workflows: one run of a plan on one node.
//!
//! Rows as they lie in the table. Leases stand in `leases`, steps in `steps`; what states mean stands in the vocabulary.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::leases::Lease;

/// One workflow.
#[derive(Debug, Clone)]
pub struct WorkflowRow {
    pub id: Uuid,
    pub public_id: String,
    pub kind: String,
    pub node_id: Uuid,
    pub bulk_id: Option<Uuid>,
    pub mutating: bool,
    pub plan: Value,
    pub state: String,
    /// Index of the step at work, in the order of the plan.
    pub step: i32,
    pub waits_for: Option<String>,
    pub waits_since: Option<DateTime<Utc>>,
    pub waits_until: Option<DateTime<Utc>>,
    pub then_what: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub error_why: Option<String>,
    pub error_next: Value,
    /// What steps learned.
    pub memory: Value,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub cancel_now: bool,
    pub cancel_reason: Option<String>,
    pub cancelled_by: Option<String>,
    pub left_behind: Option<String>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub due_at: DateTime<Utc>,
    pub lease_owner: Option<Uuid>,
    pub lease_epoch: i64,
    pub version: i64,
    /// The database's clock when the row was read.
    pub now: DateTime<Utc>,
}

/// What a new workflow starts as.
#[derive(Debug, Clone)]
pub struct NewRow<'a> {
    pub id: Uuid,
    pub public_id: &'a str,
    pub kind: &'a str,
    pub node_id: Uuid,
    pub bulk_id: Option<Uuid>,
    pub mutating: bool,
    pub plan: &'a Value,
    pub created_by: &'a str,
}

/// What the insert met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    Yes,
    /// The node has a mutating workflow that is not finished.
    NodeBusy,
    /// The public id is taken: draw another.
    IdTaken,
}

/// Adds a workflow; the partial unique index decides whether the node is free.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert(conn: &mut PgConnection, new: &NewRow<'_>) -> Result<Inserted, StoreError> {
    let lane = new.bulk_id.unwrap_or(Uuid::nil());
    // `on conflict do nothing` without a target covers both unique indexes and leaves the caller's transaction usable.
    let done = sqlx::query!(
        "insert into workflows (id, public_id, kind, node_id, bulk_id, mutating, plan, created_by, lane)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict do nothing",
        new.id,
        new.public_id,
        new.kind,
        new.node_id,
        new.bulk_id,
        new.mutating,
        new.plan,
        new.created_by,
        lane
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Inserted::Yes);
    }
    let taken = sqlx::query_scalar!("select id from workflows where public_id = $1", new.public_id)
        .fetch_optional(conn)
        .await?;
    Ok(if taken.is_some() { Inserted::IdTaken } else { Inserted::NodeBusy })
}

macro_rules! select_workflows {
    ($tail:literal $(, $arg:expr)*) => {
        sqlx::query_as!(
            WorkflowRow,
            r#"select id, public_id, kind, node_id, bulk_id, mutating, plan, state, step, waits_for, waits_since,
                waits_until, then_what, error_code, error_message, error_why, error_next, memory, cancel_requested_at,
                cancel_now, cancel_reason, cancelled_by, left_behind, created_by, created_at, started_at, finished_at,
                due_at, lease_owner, lease_epoch, version, now() as "now!"
            from workflows "# + $tail $(, $arg)*
        )
    };
}

/// One workflow by its row id.
///
/// # Errors
/// When the database cannot be asked.
pub async fn get(conn: &mut PgConnection, id: Uuid) -> Result<Option<WorkflowRow>, StoreError> {
    Ok(select_workflows!("where id = $1", id).fetch_optional(conn).await?)
}

/// One workflow by its row id, locked until the transaction ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock(conn: &mut PgConnection, id: Uuid) -> Result<Option<WorkflowRow>, StoreError> {
    Ok(select_workflows!("where id = $1 for update", id).fetch_optional(conn).await?)
}

/// One workflow by the id that people type.
///
/// # Errors
/// When the database cannot be asked.
pub async fn by_public_id(conn: &mut PgConnection, public_id: &str) -> Result<Option<WorkflowRow>, StoreError> {
    Ok(select_workflows!("where public_id = $1", public_id).fetch_optional(conn).await?)
}

/// The mutating workflow of a node that is not finished.
///
/// # Errors
/// When the database cannot be asked.
pub async fn open_of_node(conn: &mut PgConnection, node: Uuid) -> Result<Option<WorkflowRow>, StoreError> {
    Ok(select_workflows!(
        "where node_id = $1 and mutating and state in ('queued', 'running', 'waiting', 'needs_human')",
        node
    )
    .fetch_optional(conn)
    .await?)
}

/// What a list of workflows is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub node_id: Option<Uuid>,
    pub bulk_id: Option<Uuid>,
    /// Only these states; empty means all.
    pub states: Vec<String>,
    pub kind: Option<String>,
    /// Only rows made before this one (paging: the last row of the page before).
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// Workflows, newest first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(conn: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<WorkflowRow>, StoreError> {
    let (before_at, before_id) = filter.before.unzip();
    Ok(select_workflows!(
        "where ($1::uuid is null or node_id = $1) and ($2::uuid is null or bulk_id = $2)
            and (cardinality($3::text[]) = 0 or state = any($3)) and ($4::text is null or kind = $4)
            and ($5::timestamptz is null or (created_at, id) < ($5, $6::uuid))
        order by created_at desc, id desc limit $7",
        filter.node_id,
        filter.bulk_id,
        &filter.states,
        filter.kind,
        before_at,
        before_id,
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// Work past its deadline that nobody was told of, and how much is open in all. The first is 0 or something is wrong.
///
/// # Errors
/// When the database cannot be asked.
pub async fn overdue(conn: &mut PgConnection) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query!(
        r#"select count(*) filter (where state = 'waiting' and waits_until < now() - interval '1 minute'
               and due_at < now() - interval '1 minute') as "overdue!", count(*) as "open!"
           from workflows where state in ('queued', 'running', 'waiting', 'needs_human')"#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.overdue, row.open))
}

/// There is news for a workflow (a claim, a report, an answer of a person): it is looked at again at once. When a driver
/// is at work on it, it looks again when it is through.
///
/// # Errors
/// When the database cannot be asked.
pub async fn wake(conn: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update workflows set woken = true, due_at = case when lease_until > now() then due_at else now() end
         where id = $1 and state in ('queued', 'running', 'waiting')",
        id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Wakes the open workflow of a node, if there is one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn wake_node(conn: &mut PgConnection, node: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update workflows set woken = true, due_at = case when lease_until > now() then due_at else now() end
         where node_id = $1 and mutating and state in ('queued', 'running', 'waiting')",
        node
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A wait, as it is stored.
#[derive(Debug, Clone)]
pub struct WaitRow<'a> {
    pub waits_for: &'a str,
    /// Seconds from now after which the wait has run out.
    pub until_seconds: Option<f64>,
    pub then_what: &'a str,
    /// Seconds from now after which to look again.
    pub look_again_seconds: f64,
}

/// Puts a workflow to waiting and gives the lease back. `false`: the lease was lost.
///
/// # Errors
/// When the database cannot be asked.
pub async fn wait(conn: &mut PgConnection, lease: Lease, wait: &WaitRow<'_>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows
         set waits_since = case when state = 'waiting' and waits_for = $4 then waits_since else now() end,
             state = 'waiting', waits_for = $4, waits_until = now() + make_interval(secs => $5), then_what = $6,
             due_at = case when woken then now() else now() + make_interval(secs => $7) end, woken = false,
             error_code = null, error_message = null, error_why = null, error_next = '[]',
             lease_owner = null, lease_until = null, version = version + 1
         where id = $1 and lease_epoch = $2 and lease_owner = $3",
        lease.workflow,
        lease.epoch,
        lease.owner,
        wait.waits_for,
        wait.until_seconds,
        wait.then_what,
        wait.look_again_seconds
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The step at work and that it is being worked on. `false`: the lease was lost.
///
/// # Errors
/// When the database cannot be asked.
pub async fn running(conn: &mut PgConnection, lease: Lease, step: i32) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows
         set state = 'running', step = $4, started_at = coalesce(started_at, now()), waits_for = null,
             waits_since = null, waits_until = null, then_what = null, error_code = null, error_message = null,
             error_why = null, error_next = '[]', version = version + 1
         where id = $1 and lease_epoch = $2 and lease_owner = $3",
        lease.workflow,
        lease.epoch,
        lease.owner,
        step
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What went wrong, as it is stored.
#[derive(Debug, Clone, Default)]
pub struct ErrorRow<'a> {
    pub code: Option<&'a str>,
    pub message: Option<&'a str>,
    pub why: Option<&'a str>,
    pub next: Value,
}

/// A person is needed: nothing is due until one answers, unless the answer is there already: a cancel that was asked for
/// meanwhile. Gives the lease back. `false`: the lease was lost.
///
/// # Errors
/// When the database cannot be asked.
pub async fn needs_human(conn: &mut PgConnection, lease: Lease, error: &ErrorRow<'_>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows
         set state = case when cancel_requested_at is null then 'needs_human' else 'waiting' end,
             waits_for = case when cancel_requested_at is null then 'a decision' else 'the cancel to be carried out' end,
             waits_since = now(), waits_until = null,
             then_what = case when cancel_requested_at is null then 'nothing happens until somebody answers'
                 else 'the node is brought to a safe state' end,
             error_code = $4, error_message = $5, error_why = $6, error_next = $7, due_at = now(), lease_owner = null,
             lease_until = null, woken = false, version = version + 1
         where id = $1 and lease_epoch = $2 and lease_owner = $3",
        lease.workflow,
        lease.epoch,
        lease.owner,
        error.code,
        error.message,
        error.why,
        error.next
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The end: `succeeded`, `failed` or `cancelled`. Gives the lease back. `false`: the lease was lost.
///
/// # Errors
/// When the database cannot be asked.
pub async fn finish(
    conn: &mut PgConnection,
    lease: Lease,
    state: &str,
    error: &ErrorRow<'_>,
    left_behind: Option<&str>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows
         set state = $4, finished_at = now(), waits_for = null, waits_since = null, waits_until = null, then_what = null,
             error_code = $5, error_message = $6, error_why = $7, error_next = $8, left_behind = $9,
             lease_owner = null, lease_until = null, woken = false, version = version + 1
         where id = $1 and lease_epoch = $2 and lease_owner = $3",
        lease.workflow,
        lease.epoch,
        lease.owner,
        state,
        error.code,
        error.message,
        error.why,
        error.next,
        left_behind
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds to what the workflow knows. `false`: the lease was lost.
///
/// # Errors
/// When the database cannot be asked.
pub async fn remember(conn: &mut PgConnection, lease: Lease, learned: &Value) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows set memory = memory || $4, version = version + 1
         where id = $1 and lease_epoch = $2 and lease_owner = $3",
        lease.workflow,
        lease.epoch,
        lease.owner,
        learned
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A person asks for the end at the next safe point. Also wakes one that waits for a person.
///
/// # Errors
/// When the database cannot be asked.
pub async fn request_cancel(
    conn: &mut PgConnection,
    id: Uuid,
    by: &str,
    reason: Option<&str>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows
         set cancel_requested_at = coalesce(cancel_requested_at, now()), cancelled_by = $2, cancel_reason = $3,
             state = case when state = 'needs_human' then 'waiting' else state end,
             waits_for = case when state = 'needs_human' then 'the cancel to be carried out' else waits_for end,
             then_what = case when state = 'needs_human' then 'the node is brought to a safe state' else then_what end,
             lane = '00000000-0000-0000-0000-000000000000', woken = true,
             due_at = case when lease_until > now() then due_at else now() end, version = version + 1
         where id = $1 and state in ('queued', 'running', 'waiting', 'needs_human')",
        id,
        by,
        reason
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A person ends it now: the epoch grows, so that a driver at work can write nothing more.
///
/// # Errors
/// When the database cannot be asked.
pub async fn abandon(
    conn: &mut PgConnection,
    id: Uuid,
    by: &str,
    reason: Option<&str>,
    left_behind: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows
         set state = 'cancelled', cancel_requested_at = coalesce(cancel_requested_at, now()), cancel_now = true,
             cancelled_by = $2, cancel_reason = $3, left_behind = $4, finished_at = now(), waits_for = null,
             waits_since = null, waits_until = null, then_what = null, lease_owner = null, lease_until = null,
             lease_epoch = lease_epoch + 1, version = version + 1
         where id = $1 and state in ('queued', 'running', 'waiting', 'needs_human')",
        id,
        by,
        reason,
        left_behind
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A person answered: it goes on at `step`, in the lane of single work. The plan may have been changed by the answer.
///
/// # Errors
/// When the database cannot be asked.
pub async fn resume(conn: &mut PgConnection, id: Uuid, step: i32, plan: &Value) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows
         set state = 'queued', step = $2, plan = $3, waits_for = null, waits_since = null, waits_until = null,
             then_what = null, error_code = null, error_message = null, error_why = null, error_next = '[]',
             lane = '00000000-0000-0000-0000-000000000000', due_at = now(), woken = false, version = version + 1
         where id = $1 and (lease_until is null or lease_until <= now())
             and state in ('queued', 'waiting', 'needs_human')",
        id,
        step,
        plan
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
