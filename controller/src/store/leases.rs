//! Leases: the right of one process to drive one workflow until a time, with an epoch that only grows.
//!
//! The database's clock is the only one here: controllers' clocks may differ. Every write of the engine goes through
//! [`hold`] or names the epoch itself; a write that changes no row means that the lease was lost.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub workflow: Uuid,
    pub owner: Uuid,
    pub epoch: i64,
}

/// Lanes that have open work, in order; the lane of zeros (single nodes) comes first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lanes(conn: &mut PgConnection) -> Result<Vec<Uuid>, StoreError> {
    // A loose index scan: one probe a lane, however many rows wait in it.
    let lanes = sqlx::query_scalar!(
        r#"with recursive lanes as (
               (select lane from workflows where state in ('queued', 'running', 'waiting') order by lane limit 1)
               union all
               select (select w.lane from workflows w
                       where w.state in ('queued', 'running', 'waiting') and w.lane > l.lane
                       order by w.lane limit 1)
               from lanes l where l.lane is not null)
           select lane as "lane!" from lanes where lane is not null"#
    )
    .fetch_all(conn)
    .await?;
    Ok(lanes)
}

/// Takes up to `limit` due workflows of one lane, oldest first, each under a new epoch. Rows that another process is
/// taking are passed over.
///
/// # Errors
/// When the database cannot be asked.
pub async fn claim(
    conn: &mut PgConnection,
    owner: Uuid,
    lane: Uuid,
    limit: i64,
    lease_seconds: f64,
) -> Result<Vec<Lease>, StoreError> {
    let leases = sqlx::query_as!(
        Lease,
        r#"with due as (
               select id from workflows
               where lane = $1 and state in ('queued', 'running', 'waiting') and due_at <= now()
                   and (lease_until is null or lease_until <= now())
               order by due_at
               limit $2
               for update skip locked)
           update workflows w
           set lease_owner = $3, lease_epoch = w.lease_epoch + 1, lease_until = now() + make_interval(secs => $4),
               due_at = now() + make_interval(secs => $4), woken = false
           from due
           where w.id = due.id
           returning w.id as "workflow!", $3::uuid as "owner!", w.lease_epoch as "epoch!""#,
        lane,
        limit,
        owner,
        lease_seconds
    )
    .fetch_all(conn)
    .await?;
    Ok(leases)
}

/// Seconds until the next row is due, at most `at_most`; 0 when one is due now.
///
/// # Errors
/// When the database cannot be asked.
pub async fn next_due_in(conn: &mut PgConnection, lanes: &[Uuid], at_most: f64) -> Result<f64, StoreError> {
    let seconds = sqlx::query_scalar!(
        r#"select min(extract(epoch from (d.due_at - now())))::float8
           from unnest($1::uuid[]) as l(lane)
           cross join lateral (
               select due_at from workflows w
               where w.lane = l.lane and w.state in ('queued', 'running', 'waiting')
               order by due_at limit 1) d"#,
        lanes
    )
    .fetch_one(conn)
    .await?;
    Ok(seconds.unwrap_or(at_most).clamp(0.0, at_most))
}

/// Prolongs leases, all in one statement, and answers those that are still held. One that is missing was lost.
///
/// # Errors
/// When the database cannot be asked.
pub async fn heartbeat(
    conn: &mut PgConnection,
    owner: Uuid,
    leases: &[Lease],
    lease_seconds: f64,
) -> Result<Vec<Uuid>, StoreError> {
    let ids: Vec<_> = leases.iter().map(|lease| lease.workflow).collect();
    let epochs: Vec<_> = leases.iter().map(|lease| lease.epoch).collect();
    let held = sqlx::query_scalar!(
        r#"update workflows w
           set lease_until = now() + make_interval(secs => $4), due_at = now() + make_interval(secs => $4)
           from unnest($1::uuid[], $2::bigint[]) as l(id, epoch)
           where w.id = l.id and w.lease_epoch = l.epoch and w.lease_owner = $3
           returning w.id"#,
        &ids,
        &epochs,
        owner,
        lease_seconds
    )
    .fetch_all(conn)
    .await?;
    Ok(held)
}

/// Whether the lease is still held; locks the row until the transaction ends, so that what follows in it is fenced.
///
/// # Errors
/// When the database cannot be asked.
pub async fn hold(conn: &mut PgConnection, lease: Lease) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar!(
        "update workflows set version = version + 1 where id = $1 and lease_epoch = $2 and lease_owner = $3 returning id",
        lease.workflow,
        lease.epoch,
        lease.owner
    )
    .fetch_optional(conn)
    .await?;
    Ok(held.is_some())
}

/// A process that starts again under the same instance id takes its own leases back: what it held is due at once. The
/// epoch grows, so that a remnant of the old process can write nothing more.
///
/// # Errors
/// When the database cannot be asked.
pub async fn take_back(conn: &mut PgConnection, owner: Uuid) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update workflows set lease_owner = null, lease_until = null, lease_epoch = lease_epoch + 1, due_at = now()
         where lease_owner = $1 and state in ('queued', 'running', 'waiting')",
        owner
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Gives a lease up without an outcome: the workflow is due at once for whoever comes next. Used at shutdown.
///
/// # Errors
/// When the database cannot be asked.
pub async fn give_up(conn: &mut PgConnection, lease: Lease) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update workflows set lease_owner = null, lease_until = null, due_at = now()
         where id = $1 and lease_epoch = $2 and lease_owner = $3",
        lease.workflow,
        lease.epoch,
        lease.owner
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
