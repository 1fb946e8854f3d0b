//! Bringing an image in: receive, unpack, look inside, pack, keep.
//!
//! Everything happens in a work folder of its own until the very end, when the file is moved into the store and the row
//! becomes `ready` in one statement. Whatever breaks it off before (a cut connection, a refused image, a deleted row, a
//! stop, a crash) leaves a row that says so in words and no file: the folder goes with the import, or at the next start.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use helix_api::image::Image;
use url::Url;
use uuid::Uuid;

use super::importing::Import;
use super::{ImageError, record};
use crate::app::App;
use crate::store::{StoreError, images};

/// An import whose process wrote nothing for this long is dead: three hundred times the interval at which it writes.
const DEAD_AFTER: TimeDelta = TimeDelta::minutes(5);

/// What is imported.
#[derive(Debug, Clone)]
pub struct NewImage {
    pub name: String,
    /// File name or URL that it came from, for people.
    pub source: String,
    /// SHA-256 of the file as it comes, when the admin gave one.
    pub expected_sha256: Option<String>,
    pub created_by: String,
}

/// Imports the bytes of `body`. It answers when they are all here and goes on in the background; `length` is what the
/// sender announced. The row tells how it ends.
///
/// # Errors
/// A refused name or checksum, `image_truncated` when the body breaks off, `image_checksum_mismatch`.
pub async fn upload<S, E>(app: &Arc<App>, new: NewImage, length: Option<u64>, body: S) -> Result<Image, ImageError>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let import = Import::begin(app, new).await?;
    let name = import.name.clone();
    let body = body.map_err(|error| {
        let error: Box<dyn std::error::Error + Send + Sync> = error.into();
        ImageError::Truncated(format!("the upload broke off: {error}"))
    });
    let received = {
        let watch = import.watch();
        tokio::select! {
            received = import.receive(length, Box::pin(body)) => received,
            stopped = watch => Err(stopped),
        }
    };
    match received {
        Ok(sum) => {
            app.tasks.spawn(import.run(async move |_: &Import| Ok(sum)));
            record::show(&app.db, &name).await
        }
        Err(error) => {
            import.fail(&error).await;
            Err(error)
        }
    }
}

/// Imports what lies at `url`, in the background.
///
/// # Errors
/// A refused name, checksum or address. What goes wrong later stands in the row.
pub async fn fetch(app: &Arc<App>, mut new: NewImage, url: &str) -> Result<Image, ImageError> {
    let url = Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| ImageError::BadUrl(url.to_owned()))?;
    // Everybody who may look at images sees where they came from.
    new.source = shown(&url);
    let import = Import::begin(app, new).await?;
    let name = import.name.clone();
    app.tasks.spawn(import.run(async move |import: &Import| import.download(url).await));
    record::show(&app.db, &name).await
}

/// Imports a file of this machine, in the background. The file stays as it is. For callers on the machine itself
/// (the demo, a command line as root): the API does not offer it.
///
/// # Errors
/// A refused name or checksum, or a file that cannot be opened.
pub async fn from_file(app: &Arc<App>, new: NewImage, path: &Path) -> Result<Image, ImageError> {
    let file = tokio::fs::File::open(path).await.map_err(|error| ImageError::work("open", path, error))?;
    let length = file.metadata().await.map_err(|error| ImageError::work("read", path, error))?.len();
    let import = Import::begin(app, new).await?;
    let name = import.name.clone();
    let stream = tokio_util::io::ReaderStream::with_capacity(file, 1 << 20);
    let path = path.to_owned();
    let body = stream.map_err(move |error| ImageError::work("read", &path, error)).boxed();
    app.tasks.spawn(import.run(async move |import: &Import| import.receive(Some(length), body).await));
    record::show(&app.db, &name).await
}

/// Clears up after imports that a crash broke off, and files that no image needs. Called once at start, before any import.
///
/// # Errors
/// When database or store cannot be asked; the next start tries again.
pub async fn clear_leftovers(app: &App) -> Result<(), ImageError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let before = app.clock.now() - DEAD_AFTER;
    for (id, name) in images::abandoned(&mut conn, app.instance, before).await? {
        let message = "The controller stopped while this import ran; nothing of it was kept. Import the image again: the \
                       name is free.";
        images::fail(&mut conn, id, "image_import_interrupted", message).await?;
        tracing::warn!(image = name, "an import was broken off by a stop of the controller; nothing of it was kept");
    }
    drop(conn);
    let work = app.images.work_folder();
    let mut entries = tokio::fs::read_dir(work).await.map_err(|error| ImageError::work("list", work, error))?;
    while let Some(entry) = entries.next_entry().await.map_err(|error| ImageError::work("list", work, error))? {
        let path = entry.path();
        // The folder belongs to this data folder alone, whose lock we hold: what lies there is from before.
        if path.is_dir() {
            tokio::fs::remove_dir_all(&path).await.map_err(|error| ImageError::work("remove", &path, error))?;
        }
    }
    // Keys first: a file exists only after its row, so what is listed without one now has none any more.
    let keys = app.images.keys().await?;
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let importing = images::importing(&mut conn).await?;
    let needed = images::object_keys(&mut conn).await?;
    drop(conn);
    for key in keys {
        // Only what an import made: `<image id>.<ending>`. Other files in the folder or bucket are somebody else's.
        let made_by = key.split('.').next().and_then(|id| Uuid::parse_str(id).ok());
        if made_by.is_some_and(|id| !importing.contains(&id)) && !needed.contains(&key) {
            app.images.remove(&key).await?;
            tracing::info!(key, "removed an image file that no image needs");
        }
    }
    Ok(())
}

/// A URL without what may be a password in it.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.set_password(None).is_err() || shown.set_username("").is_err() {
        return url.host_str().unwrap_or_default().to_owned();
    }
    shown.set_query(None);
    shown.to_string()
}
