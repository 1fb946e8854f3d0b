//! The site's identity and the controllers that have run here.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::store::StoreError;

/// The site's id; made by whoever asks first.
///
/// # Errors
/// When the database fails.
pub async fn id(db: &sqlx::PgPool) -> Result<Uuid, StoreError> {
    sqlx::query!("insert into site (id) values ($1) on conflict do nothing", Uuid::now_v7()).execute(db).await?;
    Ok(sqlx::query_scalar!("select id from site").fetch_one(db).await?)
}

/// Notes that a controller started.
///
/// # Errors
/// When the database fails.
pub async fn controller_started(
    db: impl PgExecutor<'_>,
    instance: Uuid,
    hostname: &str,
    version: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into controllers (id, hostname, version, started_at, seen_at) values ($1, $2, $3, $4, $4)
         on conflict (id) do update set hostname = $2, version = $3, started_at = $4, seen_at = $4",
        instance,
        hostname,
        version,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a controller is alive.
///
/// # Errors
/// When the database fails.
pub async fn controller_seen(db: impl PgExecutor<'_>, instance: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("update controllers set seen_at = $2 where id = $1", instance, now).execute(db).await?;
    Ok(())
}
