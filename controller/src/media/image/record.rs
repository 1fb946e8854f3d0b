//! Images as the API shows them: list, show, delete.

use helix_api::image::{Image, ImageFacts};
use sqlx::PgPool;

use super::ImageError;
use crate::app::App;
use crate::media::deploy::compression;
use crate::store::StoreError;
use crate::store::images::{self, ImageRow};

/// All images, by name.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(db: &PgPool) -> Result<Vec<Image>, ImageError> {
    let mut conn = db.acquire().await.map_err(StoreError::from)?;
    Ok(images::list(&mut conn).await?.into_iter().map(shown).collect())
}

/// One image by name, public id or row id.
///
/// # Errors
/// `image_not_found`.
pub async fn show(db: &PgPool, reference: &str) -> Result<Image, ImageError> {
    Ok(shown(row(db, reference).await?))
}

/// Deletes an image; an import under way is stopped by it. Its file goes when no other image shares it. Nodes that run the
/// image keep running it.
///
/// # Errors
/// `image_in_use` while a workflow writes it, `image_not_found`.
pub async fn delete(app: &App, reference: &str) -> Result<Image, ImageError> {
    let image = row(&app.db, reference).await?;
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let Some(key) = images::delete(&mut conn, image.id).await? else {
        let now = row(&app.db, reference).await?;
        return Err(ImageError::InUse { name: now.name, workflows: count(now.used_by_workflows) });
    };
    if let Some(key) = key
        && !images::needs_object(&mut conn, &key).await?
    {
        drop(conn);
        if let Err(error) = app.images.remove(&key).await {
            // The image is gone for everybody; the file is found and removed at the next start.
            tracing::warn!(key, error = %error.in_words(), "the file of a deleted image could not be removed yet");
        }
    }
    Ok(shown(image))
}

async fn row(db: &PgPool, reference: &str) -> Result<ImageRow, ImageError> {
    let mut conn = db.acquire().await.map_err(StoreError::from)?;
    images::find(&mut conn, reference).await?.ok_or_else(|| ImageError::NotFound(reference.to_owned()))
}

/// A row as the API shows it.
pub(super) fn shown(row: ImageRow) -> Image {
    let size = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let facts = serde_json::from_value(row.facts).unwrap_or_else(|error| {
        let note = format!("What the import found cannot be read by this version: {error}.");
        ImageFacts { notes: vec![note], ..ImageFacts::default() }
    });
    Image {
        id: row.public_id,
        name: row.name,
        state: row.state,
        source: row.source,
        compression: compression(&row.compression),
        sha256: row.sha256,
        size_bytes: size(row.size_bytes),
        raw_sha256: row.raw_sha256,
        raw_size_bytes: size(row.raw_size_bytes),
        facts,
        progress: row.progress.and_then(|value| serde_json::from_value(value).ok()),
        error_code: row.error_code,
        error_message: row.error_message,
        used_by_nodes: count(row.used_by_nodes),
        used_by_workflows: count(row.used_by_workflows),
        created_by: row.created_by,
        created_at: row.created_at,
    }
}

fn count(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
