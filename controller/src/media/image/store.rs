//! Where image files lie: a folder of the data folder, or any S3 bucket, behind one interface.
//!
//! An object is written once under a new key and never changed, so that a reader of its bytes needs no lock. Which
//! object belongs to which image is the database's business (`store::images`). The work folder, where imports unpack,
//! is always local.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use tokio::io::AsyncWriteExt as _;

use super::ImageError;
use crate::config::Config;
use crate::media::file;

/// A part of a multipart upload: S3 allows 10,000 parts, so 16 MiB reach 160 GB, the size of a large packed image.
const PART_BYTES: usize = 16 << 20;

/// The image files. Cheap to clone.
#[derive(Clone)]
pub struct ImageStore {
    objects: Arc<dyn ObjectStore>,
    /// Set when objects are plain files: they are then moved and read without detours.
    folder: Option<PathBuf>,
    work: PathBuf,
    shown: String,
}

impl fmt::Debug for ImageStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageStore").field("at", &self.shown).finish_non_exhaustive()
    }
}

impl ImageStore {
    /// Opens the store that the configuration names, and makes its folders on first use.
    ///
    /// # Errors
    /// When a folder cannot be made or the URL is not understood. An S3 store is not contacted yet.
    pub fn open(config: &Config) -> Result<Self, ImageError> {
        Self::at(&config.data_dir, config.images.url.as_deref())
    }

    /// As [`ImageStore::open`], from the two values that matter.
    ///
    /// # Errors
    /// As there.
    pub fn at(data_dir: &Path, url: Option<&str>) -> Result<Self, ImageError> {
        let work = data_dir.join("import");
        make_folder(&work)?;
        match url {
            Some(url) if url.starts_with("s3://") => {
                let failed = |source| ImageError::Open { url: url.to_owned(), source };
                // Credentials, region and endpoint come from AWS_* variables, as every S3 tool takes them.
                let bucket = AmazonS3Builder::from_env().with_url(url).build().map_err(failed)?;
                let prefix = url.trim_start_matches("s3://").split_once('/').map_or("", |(_, prefix)| prefix);
                let objects: Arc<dyn ObjectStore> = if prefix.trim_matches('/').is_empty() {
                    Arc::new(bucket)
                } else {
                    Arc::new(PrefixStore::new(bucket, prefix.trim_matches('/')))
                };
                Ok(Self { objects, folder: None, work, shown: url.to_owned() })
            }
            other => {
                let folder = other.map_or_else(
                    || data_dir.join("images"),
                    |url| PathBuf::from(url.strip_prefix("file://").unwrap_or(url)),
                );
                make_folder(&folder)?;
                let shown = folder.display().to_string();
                let failed = |source| ImageError::Open { url: shown.clone(), source };
                let objects = Arc::new(LocalFileSystem::new_with_prefix(&folder).map_err(failed)?);
                Ok(Self { objects, folder: Some(folder), work, shown })
            }
        }
    }

    /// Where imports unpack.
    #[must_use]
    pub fn work_folder(&self) -> &Path {
        &self.work
    }

    /// Where the files lie, for people.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Takes a finished file of the work folder in under a new key. The file may be gone afterwards.
    ///
    /// # Errors
    /// `image_store_failed` or `image_work_folder`; no half object is left under the key.
    pub(crate) async fn take(&self, key: &str, from: &Path) -> Result<(), ImageError> {
        if let Some(folder) = &self.folder {
            let to = folder.join(key);
            match tokio::fs::rename(from, &to).await {
                Ok(()) => return file::sync_folder(folder).await.map_err(|e| ImageError::work("sync", folder, e)),
                // Another file system: copied below, which object_store does by way of a staging file.
                Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {}
                Err(error) => return Err(ImageError::work("move into the image store", from, error)),
            }
        }
        let mut source = tokio::fs::File::open(from).await.map_err(|error| ImageError::work("open", from, error))?;
        let mut upload = BufWriter::with_capacity(Arc::clone(&self.objects), Key::from(key), PART_BYTES);
        let copied = match tokio::io::copy(&mut source, &mut upload).await {
            Ok(_) => upload.shutdown().await,
            Err(error) => Err(error),
        };
        if let Err(error) = copied {
            if let Err(abort) = upload.abort().await {
                tracing::warn!(key, error = %abort, "a broken upload could not be taken back; the next start removes it");
            }
            return Err(ImageError::work("copy into the image store", from, error));
        }
        Ok(())
    }

    /// Size of an object, bytes.
    ///
    /// # Errors
    /// When it is not there or the store does not answer.
    pub async fn size(&self, key: &str) -> Result<u64, ImageError> {
        let meta = self.objects.head(&Key::from(key)).await;
        meta.map(|meta| meta.size).map_err(|source| ImageError::Object { what: "looking a file up", source })
    }

    /// Bytes of an object.
    ///
    /// # Errors
    /// When it is not there or the store does not answer.
    pub async fn read(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, ImageError> {
        if let Some(folder) = &self.folder {
            let path = folder.join(key);
            let stream = file::read(&path, range).await.map_err(|error| ImageError::work("open", &path, error))?;
            return Ok(stream.boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let got = self.objects.get_opts(&Key::from(key), options).await;
        let got = got.map_err(|source| ImageError::Object { what: "opening a file", source })?;
        Ok(got.into_stream().map_err(std::io::Error::other).boxed())
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// When the store refuses.
    pub(crate) async fn remove(&self, key: &str) -> Result<(), ImageError> {
        match self.objects.delete(&Key::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(ImageError::Object { what: "removing a file", source }),
        }
    }

    /// Keys of all objects.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn keys(&self) -> Result<Vec<String>, ImageError> {
        let listed: Result<Vec<_>, _> =
            self.objects.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await;
        listed.map_err(|source| ImageError::Object { what: "listing files", source })
    }
}

fn make_folder(folder: &Path) -> Result<(), ImageError> {
    std::fs::create_dir_all(folder).map_err(|error| ImageError::work("make the folder", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_taken_in_is_read_back_by_range() {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::at(folder.path(), None).unwrap();
        let from = store.work_folder().join("new");
        std::fs::write(&from, b"0123456789").unwrap();
        store.take("a.zst", &from).await.unwrap();
        assert!(!from.exists(), "it was moved, not copied");
        assert_eq!(store.size("a.zst").await.unwrap(), 10);
        let parts: Vec<Bytes> = store.read("a.zst", 3..7).await.unwrap().try_collect().await.unwrap();
        assert_eq!(parts.concat(), b"3456");
        assert_eq!(store.keys().await.unwrap(), ["a.zst"]);
        store.remove("a.zst").await.unwrap();
        store.remove("a.zst").await.unwrap();
        assert!(store.size("a.zst").await.is_err());
    }

    #[tokio::test]
    async fn a_store_that_is_no_folder_takes_files_in_by_parts_and_reads_ranges() {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore {
            objects: Arc::new(object_store::memory::InMemory::new()),
            folder: None,
            work: folder.path().to_owned(),
            shown: "memory".into(),
        };
        // Two parts and a bit.
        let content: Vec<u8> = (0..2 * PART_BYTES + 5).map(|at| (at / 1000) as u8).collect();
        let from = folder.path().join("new");
        std::fs::write(&from, &content).unwrap();
        store.take("a.zst", &from).await.unwrap();
        assert_eq!(store.size("a.zst").await.unwrap(), content.len() as u64);
        let (start, end) = (PART_BYTES - 3, PART_BYTES + 4);
        let parts: Vec<Bytes> =
            store.read("a.zst", start as u64..end as u64).await.unwrap().try_collect().await.unwrap();
        assert_eq!(parts.concat(), content[start..end]);
        store.remove("a.zst").await.unwrap();
        assert!(store.keys().await.unwrap().is_empty());
        assert!(store.take("b.zst", &folder.path().join("missing")).await.is_err());
    }

    #[test]
    fn an_s3_store_is_a_setting() {
        // As every main does; another test may have been first.
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::at(folder.path(), Some("s3://helix-images/site-a")).unwrap();
        assert_eq!(store.shown(), "s3://helix-images/site-a");
    }
}
