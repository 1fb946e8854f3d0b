//! Images: what is kept, what was found inside, who uses it.
//!
//! An import writes its row once a second; a write that changes no row means that the image was deleted, and the import
//! stops. Several images may share one object; the object's key stands in each row.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One image and who uses it.
#[derive(Debug, Clone)]
pub struct ImageRow {
    pub id: Uuid,
    pub public_id: String,
    pub name: String,
    /// `importing`, `ready`, `failed`
    pub state: String,
    pub source: Option<String>,
    /// `none`, `gzip`, `zstd`, `xz`
    pub compression: String,
    pub sha256: Option<String>,
    pub size_bytes: Option<i64>,
    pub raw_sha256: Option<String>,
    pub raw_size_bytes: Option<i64>,
    pub object_key: Option<String>,
    pub facts: Value,
    pub progress: Option<Value>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    /// Nodes that run it.
    pub used_by_nodes: i64,
    /// Workflows under way that write it.
    pub used_by_workflows: i64,
}

/// A new import.
#[derive(Debug, Clone)]
pub struct NewImageRow<'a> {
    pub id: Uuid,
    pub public_id: &'a str,
    pub name: &'a str,
    pub source: &'a str,
    pub created_by: &'a str,
    pub progress: &'a Value,
}

/// What a finished import found.
#[derive(Debug, Clone)]
pub struct ReadyImage<'a> {
    pub compression: &'a str,
    pub sha256: &'a str,
    pub size_bytes: i64,
    pub raw_sha256: &'a str,
    pub raw_size_bytes: i64,
    pub object_key: &'a str,
    pub facts: &'a Value,
}

/// Begins an import under a free name; a failed image of that name makes room. `false` when the name is taken.
///
/// # Errors
/// When the database cannot be asked.
pub async fn begin(conn: &mut PgConnection, new: &NewImageRow<'_>) -> Result<bool, StoreError> {
    sqlx::query!("delete from images where name = $1 and state = 'failed'", new.name).execute(&mut *conn).await?;
    let done = sqlx::query!(
        "insert into images (id, public_id, name, state, source, created_by, progress)
         values ($1, $2, $3, 'importing', $4, $5, $6) on conflict (name) do nothing",
        new.id,
        new.public_id,
        new.name,
        new.source,
        new.created_by,
        new.progress
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes how far an import is. `false` when it is no longer wanted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note_progress(conn: &mut PgConnection, id: Uuid, progress: &Value) -> Result<bool, StoreError> {
    let done = sqlx::query!("update images set progress = $2 where id = $1 and state = 'importing'", id, progress)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends an import with an object of its own. `false` when it is no longer wanted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn ready(conn: &mut PgConnection, id: Uuid, found: &ReadyImage<'_>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update images set state = 'ready', compression = $2, sha256 = $3, size_bytes = $4, raw_sha256 = $5,
             raw_size_bytes = $6, object_key = $7, facts = $8, progress = null, version = version + 1
         where id = $1 and state = 'importing'",
        id,
        found.compression,
        found.sha256,
        found.size_bytes,
        found.raw_sha256,
        found.raw_size_bytes,
        found.object_key,
        found.facts
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends an import with the object of another image that has the same raw bytes. `false` when there is none.
///
/// The other row is locked while its key is copied: it is either still there afterwards, or was deleted before and not found.
///
/// # Errors
/// When the database cannot be asked.
pub async fn share(conn: &mut PgConnection, id: Uuid, raw_sha256: &str, facts: &Value) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update images set state = 'ready', compression = other.compression, sha256 = other.sha256,
             size_bytes = other.size_bytes, raw_sha256 = other.raw_sha256, raw_size_bytes = other.raw_size_bytes,
             object_key = other.object_key, facts = $3, progress = null, version = images.version + 1
         from (select * from images where raw_sha256 = $2 and state = 'ready' and object_key is not null
               order by created_at limit 1 for share) other
         where images.id = $1 and images.state = 'importing'",
        id,
        raw_sha256,
        facts
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends an import with words.
///
/// # Errors
/// When the database cannot be asked.
pub async fn fail(conn: &mut PgConnection, id: Uuid, code: &str, message: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "update images set state = 'failed', error_code = $2, error_message = $3, progress = null, version = version + 1
         where id = $1 and state = 'importing'",
        id,
        code,
        message
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Imports that were under way in a process that is gone: of this instance (it has just started), or silent since `before`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn abandoned(
    conn: &mut PgConnection,
    instance: Uuid,
    before: DateTime<Utc>,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let rows = sqlx::query!(
        "select id, name from images where state = 'importing'
             and (progress ->> 'instance' = $1::text or coalesce((progress ->> 'at')::timestamptz, created_at) < $2)",
        instance.to_string(),
        before
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Imports under way anywhere.
///
/// # Errors
/// When the database cannot be asked.
pub async fn importing(conn: &mut PgConnection) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!("select id from images where state = 'importing'").fetch_all(conn).await?)
}

/// Keys of all objects in use.
///
/// # Errors
/// When the database cannot be asked.
pub async fn object_keys(conn: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let keys =
        sqlx::query_scalar!(r#"select distinct object_key as "object_key!" from images where object_key is not null"#);
    Ok(keys.fetch_all(conn).await?)
}

/// All images, by name.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<ImageRow>, StoreError> {
    let rows = sqlx::query_as!(
        ImageRow,
        r#"select id, public_id, name, state, source, compression, sha256, size_bytes, raw_sha256, raw_size_bytes,
               object_key, facts, progress, error_code, error_message, created_by, created_at,
               (select count(*) from nodes where nodes.image_name = images.name and nodes.image_sha256 = images.sha256)
                   as "used_by_nodes!",
               (select count(*) from workflows where workflows.state in ('queued', 'running', 'waiting', 'needs_human')
                    and workflows.plan #>> '{spec,image}' = images.name
                    and workflows.plan #>> '{spec,image_sha256}' = images.sha256) as "used_by_workflows!"
           from images order by name"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// One image by name, public id or row id.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(conn: &mut PgConnection, reference: &str) -> Result<Option<ImageRow>, StoreError> {
    let row = sqlx::query_as!(
        ImageRow,
        r#"select id, public_id, name, state, source, compression, sha256, size_bytes, raw_sha256, raw_size_bytes,
               object_key, facts, progress, error_code, error_message, created_by, created_at,
               (select count(*) from nodes where nodes.image_name = images.name and nodes.image_sha256 = images.sha256)
                   as "used_by_nodes!",
               (select count(*) from workflows where workflows.state in ('queued', 'running', 'waiting', 'needs_human')
                    and workflows.plan #>> '{spec,image}' = images.name
                    and workflows.plan #>> '{spec,image_sha256}' = images.sha256) as "used_by_workflows!"
           from images where name = $1 or public_id = $1 or id::text = $1
           order by (name = $1) desc limit 1"#,
        reference
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Deletes an image that no workflow under way writes; gives the key of its object. `None` when nothing was deleted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn delete(conn: &mut PgConnection, id: Uuid) -> Result<Option<Option<String>>, StoreError> {
    let row = sqlx::query!(
        "delete from images where id = $1 and not exists (
             select 1 from workflows where workflows.state in ('queued', 'running', 'waiting', 'needs_human')
                 and workflows.plan #>> '{spec,image}' = images.name
                 and workflows.plan #>> '{spec,image_sha256}' = images.sha256)
         returning object_key",
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| row.object_key))
}

/// Whether an image still needs the object.
///
/// # Errors
/// When the database cannot be asked.
pub async fn needs_object(conn: &mut PgConnection, key: &str) -> Result<bool, StoreError> {
    let needed = sqlx::query_scalar!(r#"select exists (select 1 from images where object_key = $1) as "needed!""#, key);
    Ok(needed.fetch_one(conn).await?)
}
