//! One import under way: receive, unpack, look inside, pack, keep.
//!
//! It owns a work folder and a row, and sees to both however it ends: `ready` in one statement, `failed` with words, or
//! dropped in the middle. The entry points are in [`super::import`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use helix_api::deploy::Compression;
use helix_api::image::ImageFacts;
use helix_inventory::id::{IdKind, PublicId};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use url::Url;
use uuid::Uuid;

use super::import::{NewImage, shown};
use super::progress::Meter;
use super::unpack::{self, MOST_RAW_BYTES, Packing, Sum};
use super::{ImageError, inspect, qcow2};
use crate::app::App;
use crate::store::{StoreError, images};

/// How often progress is written down, and a deleted import notices that it is.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// A server that sends nothing for this long is gone. Not scaled: it belongs to the network.
const FETCH_SILENCE: Duration = Duration::from_secs(60);
/// Connecting to a server in the site or on the internet takes milliseconds; two lost SYNs take 7 s.
const FETCH_CONNECT: Duration = Duration::from_secs(15);

/// One import under way.
pub(super) struct Import {
    app: Arc<App>,
    id: Uuid,
    pub(super) name: String,
    expected_sha256: Option<String>,
    folder: PathBuf,
    meter: Arc<Meter>,
    /// The row says how it ended.
    settled: AtomicBool,
}

impl Import {
    pub(super) async fn begin(app: &Arc<App>, new: NewImage) -> Result<Self, ImageError> {
        check_name(&new.name)?;
        let expected_sha256 = new.expected_sha256.as_deref().map(check_sum).transpose()?;
        let id = Uuid::now_v7();
        let folder = app.images.work_folder().join(id.to_string());
        tokio::fs::create_dir(&folder).await.map_err(|error| ImageError::work("make the folder", &folder, error))?;
        let import = Self {
            app: Arc::clone(app),
            id,
            name: new.name,
            expected_sha256,
            folder,
            meter: Arc::new(Meter::new()),
            settled: AtomicBool::new(false),
        };
        match import.insert(&new.source, &new.created_by).await {
            Ok(()) => Ok(import),
            Err(error) => {
                import.settled.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    async fn insert(&self, source: &str, created_by: &str) -> Result<(), ImageError> {
        let public_id = PublicId::random(IdKind::Image, &mut rand::rng());
        let mut tx = self.app.db.begin().await.map_err(StoreError::from)?;
        let new = images::NewImageRow {
            id: self.id,
            public_id: public_id.as_str(),
            name: &self.name,
            source,
            created_by,
            progress: &self.note(),
        };
        if !images::begin(&mut tx, &new).await? {
            let state = images::find(&mut tx, &self.name).await?.map_or_else(|| "ready".to_owned(), |row| row.state);
            return Err(ImageError::NameTaken { name: self.name.clone(), state });
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    fn note(&self) -> Value {
        let mut note = serde_json::to_value(self.meter.read()).unwrap_or_else(|_| json!({}));
        note["instance"] = json!(self.app.instance);
        note["at"] = json!(self.app.clock.now());
        note
    }

    /// Writes progress down until the import is no longer wanted; then says why.
    pub(super) async fn watch(&self) -> ImageError {
        let mut tick = tokio::time::interval(NOTE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.app.shutdown.cancelled() => return ImageError::Stopped,
                _ = tick.tick() => {}
            }
            let noted = async {
                let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
                images::note_progress(&mut conn, self.id, &self.note()).await
            };
            match noted.await {
                Ok(true) => {}
                Ok(false) => return ImageError::Stopped,
                // The database may be back in a second; the import itself does not need it before its end.
                Err(error) => tracing::warn!(image = self.name, error = %error, "import progress was not written down"),
            }
        }
    }

    /// Runs the rest of an import whose bytes come from `receive`.
    pub(super) async fn run(self, receive: impl AsyncFnOnce(&Self) -> Result<Sum, ImageError>) {
        let done = {
            let work = async { self.finish(receive(&self).await?).await };
            tokio::select! {
                done = work => done,
                stopped = self.watch() => Err(stopped),
            }
        };
        match done {
            Ok(()) => {
                self.settled.store(true, Ordering::Relaxed);
                tracing::info!(image = self.name, "image imported");
            }
            Err(error) => self.fail(&error).await,
        }
    }

    fn incoming(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    /// Writes the bytes down as they come, and checks length and checksum.
    pub(super) async fn receive(
        &self,
        length: Option<u64>,
        mut body: impl Stream<Item = Result<Bytes, ImageError>> + Unpin,
    ) -> Result<Sum, ImageError> {
        self.meter.begin("receiving", length);
        let path = self.incoming();
        let failed = |error| ImageError::work("write", &path, error);
        let mut file = tokio::fs::File::create(&path).await.map_err(failed)?;
        let mut hash = Sha256::new();
        let mut bytes = 0u64;
        while let Some(piece) = body.try_next().await? {
            hash.update(&piece);
            bytes += piece.len() as u64;
            if bytes > MOST_RAW_BYTES {
                return Err(ImageError::TooLarge { limit_bytes: MOST_RAW_BYTES });
            }
            file.write_all(&piece).await.map_err(failed)?;
            self.meter.moved(piece.len() as u64);
        }
        file.sync_all().await.map_err(failed)?;
        if let Some(length) = length.filter(|length| *length != bytes) {
            return Err(ImageError::Truncated(format!("{bytes} of {length} bytes came")));
        }
        if bytes == 0 {
            return Err(ImageError::Truncated("the file is empty".into()));
        }
        let found = hex::encode(hash.finalize());
        if let Some(expected) = self.expected_sha256.as_ref().filter(|expected| **expected != found) {
            return Err(ImageError::ChecksumMismatch { expected: expected.clone(), found, bytes });
        }
        Ok(Sum { sha256: found, bytes })
    }

    pub(super) async fn download(&self, url: Url) -> Result<Sum, ImageError> {
        let shown = shown(&url);
        let failed = |source: reqwest::Error| ImageError::Fetch { url: shown.clone(), source: source.without_url() };
        let client = reqwest::Client::builder()
            .connect_timeout(FETCH_CONNECT)
            .read_timeout(FETCH_SILENCE)
            .build()
            .map_err(failed)?;
        self.meter.begin("connecting", None);
        let answer = client.get(url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(ImageError::FetchRefused { url: shown.clone(), status: answer.status().as_u16() });
        }
        let length = answer.content_length();
        let mut bytes = 0u64;
        let body = answer.bytes_stream().map(move |piece| match piece {
            Ok(piece) => {
                bytes += piece.len() as u64;
                Ok(piece)
            }
            Err(error) => Err(ImageError::Truncated(match length {
                Some(length) => format!("the server stopped after {bytes} of {length} bytes: {}", error.without_url()),
                None => format!("the server stopped after {bytes} bytes: {}", error.without_url()),
            })),
        });
        self.receive(length, body).await
    }

    /// From the file that came to a row that is ready.
    async fn finish(&self, incoming: Sum) -> Result<(), ImageError> {
        let (raw_path, raw, packed) = self.to_raw(incoming).await?;
        self.meter.begin("looking inside", None);
        let bytes = raw.bytes;
        let path = raw_path.clone();
        let facts = self.blocking(move |_| inspect::inspect(&path, bytes)).await?;
        let facts = serde_json::to_value(facts).unwrap_or_else(|_| json!(ImageFacts::default()));
        let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
        if images::share(&mut conn, self.id, &raw.sha256, &facts).await? {
            return Ok(());
        }
        drop(conn);
        let (compression, path, stored) = match packed {
            Some((compression, stored)) => (compression, self.incoming(), stored),
            None => {
                let packed = self.folder.join("packed");
                let to = packed.clone();
                let stored = self.blocking(move |meter| unpack::pack(&raw_path, &to, meter)).await?;
                (Compression::Zstd, packed, stored)
            }
        };
        self.meter.begin("keeping", Some(stored.bytes));
        let (word, ending) = match compression {
            Compression::None => ("none", "raw"),
            Compression::Gzip => ("gzip", "gz"),
            Compression::Zstd => ("zstd", "zst"),
            Compression::Xz => ("xz", "xz"),
        };
        let key = format!("{}.{ending}", self.id);
        self.app.images.take(&key, &path).await?;
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let found = images::ReadyImage {
            compression: word,
            sha256: &stored.sha256,
            size_bytes: signed(stored.bytes),
            raw_sha256: &raw.sha256,
            raw_size_bytes: signed(raw.bytes),
            object_key: &key,
            facts: &facts,
        };
        let kept = async {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            images::ready(&mut conn, self.id, &found).await
        };
        match kept.await {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.app.images.remove(&key).await?;
                Err(ImageError::Stopped)
            }
            // Whether the row was written is not known: the next start finds the file needed, or removes it.
            Err(error) => Err(error.into()),
        }
    }

    /// The raw file and its sum; and the file that came, when it is kept as it is.
    async fn to_raw(&self, incoming: Sum) -> Result<(PathBuf, Sum, Option<(Compression, Sum)>), ImageError> {
        let from = self.incoming();
        let detected = {
            let from = from.clone();
            self.blocking(move |_| unpack::detect(&from)).await?
        };
        let (path, raw, packed) = match detected {
            Packing::Raw => return Ok((from, incoming, None)),
            Packing::Qcow2 => return self.converted(&from).await,
            Packing::Packed(compression) => {
                let path = self.folder.join("raw");
                let (source, to) = (from, path.clone());
                let raw = self.blocking(move |meter| unpack::unpack(compression, &source, &to, meter)).await?;
                (path, raw, Some((compression, incoming)))
            }
        };
        let inner = path.clone();
        match self.blocking(move |_| unpack::detect(&inner)).await? {
            // A qcow2 in an archive: what is kept is packed anew.
            Packing::Qcow2 => self.converted(&path).await,
            Packing::Packed(compression) => Err(ImageError::Unreadable(format!(
                "inside the archive lies another archive ({}); unpack it once and import that",
                unpack::word(compression)
            ))),
            Packing::Raw => Ok((path, raw, packed)),
        }
    }

    async fn converted(&self, from: &Path) -> Result<(PathBuf, Sum, Option<(Compression, Sum)>), ImageError> {
        let path = self.folder.join("converted");
        qcow2::to_raw(from, &path, &self.meter).await?;
        let summed = path.clone();
        let raw = self.blocking(move |meter| unpack::sum(&summed, "reading the image", meter)).await?;
        Ok((path, raw, None))
    }

    /// Runs a step on the blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Meter) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let meter = Arc::clone(&self.meter);
        let done = tokio::task::spawn_blocking(move || step(&meter)).await;
        done.unwrap_or_else(|error| Err(ImageError::work("work in", &self.folder, std::io::Error::other(error))))
    }

    /// Ends the import with words, and leaves nothing else.
    pub(super) async fn fail(&self, error: &ImageError) {
        self.meter.stop();
        // A client that went away takes this call along while it waits for the database: then `drop` notes it.
        note_failure(&self.app, self.id, &self.name, error).await;
        self.settled.store(true, Ordering::Relaxed);
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        self.meter.stop();
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "the folder of an import stays behind until the next start");
        }
        if self.settled.load(Ordering::Relaxed) {
            return;
        }
        // Dropped in the middle: the client went away during its upload.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (app, id, name) = (Arc::clone(&self.app), self.id, self.name.clone());
        let error = ImageError::Truncated("the upload broke off".into());
        let noting = app.tasks.track_future({
            let app = Arc::clone(&app);
            async move { note_failure(&app, id, &name, &error).await }
        });
        runtime.spawn(noting);
    }
}

fn check_name(name: &str) -> Result<(), ImageError> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if first && name.len() <= 127 && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(ImageError::BadName(name.to_owned()))
    }
}

fn check_sum(text: &str) -> Result<String, ImageError> {
    let clean = text.trim().to_ascii_lowercase();
    let clean = clean.strip_prefix("sha256:").unwrap_or(&clean).to_owned();
    if clean.len() == 64 && clean.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(clean)
    } else {
        Err(ImageError::BadChecksum(text.to_owned()))
    }
}

async fn note_failure(app: &App, id: Uuid, name: &str, error: &ImageError) {
    let mut words = error.in_words();
    if let Some(next) = error.next() {
        words.push_str(". ");
        words.push_str(&next);
    }
    tracing::warn!(image = name, code = error.code(), error = words, "an image was not imported");
    let noted = async {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        images::fail(&mut conn, id, error.code(), &words).await
    };
    if let Err(error) = noted.await {
        tracing::warn!(image = name, %error, "the failed import could not be noted; the next start does it");
    }
}
