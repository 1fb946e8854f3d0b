//! OS images: lists, import from a URL, upload of a file with progress.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use reqwest::Method;
use tokio::io::AsyncReadExt;

use super::{ApiError, Client};
use crate::image::{Image, ImageImport};
use crate::page::Page;

/// 64 GiB over a line of 25 Mbit/s; more is no upload but a mistake.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// Large enough that reading costs nothing, small enough that a progress bar moves on a slow line.
const CHUNK_BYTES: usize = 256 * 1024;

impl Client {
    /// Every image.
    ///
    /// # Errors
    /// As every call.
    pub async fn images(&self) -> Result<Page<Image>, ApiError> {
        self.get(&["images"]).answer().await
    }

    /// One image by name or id.
    ///
    /// # Errors
    /// 404 `image_unknown`; as every call.
    pub async fn image(&self, name: &str) -> Result<Image, ApiError> {
        self.get(&["images", name]).answer().await
    }

    /// Lets the controller fetch an image from a URL.
    ///
    /// # Errors
    /// 409 `image_exists`; as every call. What goes wrong later stands in the image.
    pub async fn import_image(&self, import: &ImageImport) -> Result<Image, ApiError> {
        self.post(&["images"]).json(import)?.answer().await
    }

    /// Uploads an image file; `progress` is called with bytes sent and bytes in all.
    ///
    /// # Errors
    /// [`ApiError::File`] when the file cannot be read; 409 `image_exists`; as every call.
    pub async fn upload_image(
        &self,
        name: &str,
        sha256: Option<&str>,
        path: &Path,
        progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<Image, ApiError> {
        let unreadable =
            |error: &std::io::Error| ApiError::File { path: path.display().to_string(), reason: error.to_string() };
        let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(&error))?;
        let total = file.metadata().await.map_err(|error| unreadable(&error))?.len();
        progress(0, total);
        let progress = Arc::new(progress);
        // Told when a piece is handed over: the connection asks for no more than `total`, so there is no call after the last.
        let chunks = stream::try_unfold((file, 0_u64), move |(mut file, sent)| {
            let progress = Arc::clone(&progress);
            async move {
                let mut buffer = Vec::with_capacity(CHUNK_BYTES);
                let count = (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut buffer).await?;
                if count == 0 {
                    return Ok::<_, std::io::Error>(None);
                }
                let sent = sent + count as u64;
                progress(sent, total);
                Ok(Some((Bytes::from(buffer), (file, sent))))
            }
        });
        let call = self
            .post(&["images"])
            .query("name", name)
            .query_opt("sha256", sha256)
            .query_opt("file", path.file_name().map(|file| file.to_string_lossy()))
            .timeout(UPLOAD_TIMEOUT);
        let response = call
            .request()
            .header("content-type", "application/octet-stream")
            .header("content-length", total)
            .body(reqwest::Body::wrap_stream(chunks))
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        self.note_version(&response);
        if response.status().is_success() {
            self.decode(response, call.name()).await
        } else {
            Err(self.refusal(response, call.name()).await)
        }
    }

    /// Deletes an image that no workflow under way writes.
    ///
    /// # Errors
    /// 409 `image_in_use`; as every call.
    pub async fn delete_image(&self, name: &str) -> Result<(), ApiError> {
        self.call(Method::DELETE, &["images", name]).done().await
    }
}
