//! Files that the media listener hands out: one row a URL, and what was read of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// What a live URL leads to.
#[derive(Debug, Clone)]
pub struct MediaFileRow {
    /// `iso`, `image`, `agent`
    pub kind: String,
    /// The block of a deploy medium, sealed under the URL's random part.
    pub block_sealed: Option<Vec<u8>>,
    pub object_key: Option<String>,
    pub size_bytes: Option<i64>,
}

/// A new URL.
#[derive(Debug, Clone)]
pub struct NewMediaFile<'a> {
    pub random: &'a str,
    pub kind: &'a str,
    pub file_name: &'a str,
    pub workflow_id: Uuid,
    pub image_id: Option<Uuid>,
    /// Sealed under the random part.
    pub block_sealed: Option<&'a [u8]>,
    pub url: &'a str,
    pub expires_at: DateTime<Utc>,
}

/// What was read of one URL.
#[derive(Debug, Clone)]
pub struct ServedRow {
    pub kind: String,
    pub url: String,
    pub created_at: DateTime<Utc>,
    pub bytes_served: i64,
    pub requests: i64,
    pub served_at: Option<DateTime<Utc>>,
}

/// Adds a URL.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert(conn: &mut PgConnection, new: &NewMediaFile<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into media_files (random, kind, file_name, workflow_id, image_id, block_sealed, url, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        new.random,
        new.kind,
        new.file_name,
        new.workflow_id,
        new.image_id,
        new.block_sealed,
        new.url,
        new.expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What lies under `/media/<random>/<file_name>`, unless it is dead.
///
/// # Errors
/// When the database cannot be asked.
pub async fn live(
    conn: &mut PgConnection,
    random: &str,
    file_name: &str,
    now: DateTime<Utc>,
) -> Result<Option<MediaFileRow>, StoreError> {
    let row = sqlx::query_as!(
        MediaFileRow,
        r#"select f.kind, f.block_sealed, i.object_key as "object_key?", i.size_bytes as "size_bytes?"
           from media_files f left join images i on i.id = f.image_id and i.state = 'ready'
           where f.random = $1 and f.file_name = $2 and f.expires_at > $3"#,
        random,
        file_name,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// The live URL of that kind (and image) that the workflow has already.
///
/// # Errors
/// When the database cannot be asked.
pub async fn url_of(
    conn: &mut PgConnection,
    workflow_id: Uuid,
    kind: &str,
    image_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let url = sqlx::query_scalar!(
        "select url from media_files where workflow_id = $1 and kind = $2 and image_id is not distinct from $3
             and expires_at > $4 order by created_at desc limit 1",
        workflow_id,
        kind,
        image_id,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(url)
}

/// What was read of the workflow's URLs, newest first, dead ones too.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_workflow(conn: &mut PgConnection, workflow_id: Uuid) -> Result<Vec<ServedRow>, StoreError> {
    let rows = sqlx::query_as!(
        ServedRow,
        "select kind, url, created_at, bytes_served, requests, served_at from media_files
         where workflow_id = $1 order by created_at desc",
        workflow_id
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Adds what was served since the last time.
///
/// # Errors
/// When the database cannot be asked.
pub async fn add_served(
    conn: &mut PgConnection,
    randoms: &[String],
    bytes: &[i64],
    requests: &[i64],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update media_files f set bytes_served = f.bytes_served + s.bytes, requests = f.requests + s.requests,
             served_at = $4
         from unnest($1::text[], $2::bigint[], $3::bigint[]) as s (random, bytes, requests)
         where f.random = s.random",
        randoms,
        bytes,
        requests,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the workflow's URLs of these kinds and forgets their blocks, which hold tokens.
///
/// # Errors
/// When the database cannot be asked.
pub async fn expire(
    conn: &mut PgConnection,
    workflow_id: Uuid,
    kinds: &[&str],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    sqlx::query!(
        "update media_files set expires_at = least(expires_at, $3), block_sealed = null
         where workflow_id = $1 and kind = any($2)",
        workflow_id,
        &kinds,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
