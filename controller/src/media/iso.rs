//! The deploy ISO: one file for all nodes, with a 4 KiB block in it that is particular to an attempt.
//!
//! The ISO and the JSON beside it are built by `agent/ramdisk/build.sh`. They are checked before a plan relies on them;
//! a controller without them starts all the same, and says so in every plan. The block is laid over the file's bytes
//! while they stream; the file itself is never written.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use helix_api::deploy::{BLOCK_MAGIC, BLOCK_SIZE};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::file;

/// Layout of the description that this controller understands.
const FORMAT: u32 = 1;

/// Why the deploy ISO cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    #[error("no deploy ISO is configured (media.deploy_iso)")]
    NotConfigured,
    #[error("the deploy ISO {} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the description of the deploy ISO, {}, cannot be understood: {why}", path.display())]
    Description { path: PathBuf, why: String },
    #[error("the deploy ISO {} has {found} bytes, its description says {expected}; one of the two is from another build", path.display())]
    OtherBuild { path: PathBuf, found: u64, expected: u64 },
    #[error("the deploy ISO {} has no deploy block at byte {offset}", path.display())]
    NoBlock { path: PathBuf, offset: u64 },
}

impl IsoError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "deploy_iso_not_configured",
            Self::Read { .. } => "deploy_iso_missing",
            Self::Description { .. } | Self::OtherBuild { .. } | Self::NoBlock { .. } => "deploy_iso_unusable",
        }
    }
}

/// `helix-deploy.json`.
#[derive(Debug, Clone, Deserialize)]
struct Description {
    format: u32,
    size_bytes: u64,
    block_offset: u64,
    block_size: u64,
    #[serde(default)]
    agent_version: Option<String>,
    #[serde(default)]
    kernel: Option<String>,
}

/// A deploy ISO that was checked.
#[derive(Debug, Clone)]
pub struct DeployIso {
    path: PathBuf,
    size: u64,
    block: Range<u64>,
    words: String,
}

impl DeployIso {
    /// Reads the description and looks whether the file is what it describes.
    ///
    /// # Errors
    /// When one of them is missing, unreadable or of another build.
    pub async fn open(path: Option<&Path>) -> Result<Self, IsoError> {
        let path = path.ok_or(IsoError::NotConfigured)?;
        let beside = path.with_extension("json");
        let text = tokio::fs::read(&beside).await;
        let text = text.map_err(|source| IsoError::Read { path: beside.clone(), source })?;
        let not_understood = |why: String| IsoError::Description { path: beside.clone(), why };
        let description: Description =
            serde_json::from_slice(&text).map_err(|error| not_understood(error.to_string()))?;
        if description.format != FORMAT {
            return Err(not_understood(format!("it has format {}, this helixd reads {FORMAT}", description.format)));
        }
        if description.block_size != BLOCK_SIZE as u64 {
            return Err(not_understood(format!("its block has {} bytes, not {BLOCK_SIZE}", description.block_size)));
        }
        let reading = |source| IsoError::Read { path: path.to_owned(), source };
        let mut iso = tokio::fs::File::open(path).await.map_err(reading)?;
        let size = iso.metadata().await.map_err(reading)?.len();
        if size != description.size_bytes {
            return Err(IsoError::OtherBuild { path: path.to_owned(), found: size, expected: description.size_bytes });
        }
        let offset = description.block_offset;
        let no_block = || IsoError::NoBlock { path: path.to_owned(), offset };
        let end = offset.checked_add(BLOCK_SIZE as u64).filter(|end| *end <= size).ok_or_else(no_block)?;
        let mut magic = [0u8; BLOCK_MAGIC.len()];
        iso.seek(io::SeekFrom::Start(offset)).await.map_err(reading)?;
        iso.read_exact(&mut magic).await.map_err(reading)?;
        if &magic != BLOCK_MAGIC {
            return Err(no_block());
        }
        let words = format!(
            "{}: {} MiB, kernel {}, agent {}",
            path.display(),
            size >> 20,
            description.kernel.as_deref().unwrap_or("unknown"),
            description.agent_version.as_deref().unwrap_or("unknown")
        );
        Ok(Self { path: path.to_owned(), size, block: offset..end, words })
    }

    /// Size, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it is, for the log.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Bytes of the ISO with `block` in its place.
    ///
    /// # Errors
    /// When the file cannot be opened; later errors come in the stream.
    pub(crate) async fn read(
        &self,
        range: Range<u64>,
        block: Bytes,
    ) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        let place = self.block.clone();
        let mut at = range.start;
        let stream = file::read(&self.path, range).await?;
        let patched = stream.map(move |piece| {
            piece.map(|piece| {
                let start = at;
                at += piece.len() as u64;
                lay_over(piece, start, &block, &place)
            })
        });
        Ok(patched.boxed())
    }
}

/// Lays the block that belongs at `place` over a piece that begins at byte `start`.
fn lay_over(piece: Bytes, start: u64, block: &Bytes, place: &Range<u64>) -> Bytes {
    let end = start + piece.len() as u64;
    let (from, to) = (start.max(place.start), end.min(place.end));
    if from >= to {
        return piece;
    }
    let mut patched = BytesMut::from(piece);
    let source = &block[(from - place.start) as usize..(to - place.start) as usize];
    patched[(from - start) as usize..(to - start) as usize].copy_from_slice(source);
    patched.freeze()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use futures::TryStreamExt as _;

    /// A file that passes for a deploy ISO: noise with an empty block in it, and its description beside it.
    pub(crate) fn write(folder: &Path, size: usize, block_offset: usize) -> (PathBuf, Vec<u8>) {
        let mut bytes: Vec<u8> = (0..size).map(|at| (at * 7 + at / 251) as u8).collect();
        bytes[block_offset..block_offset + BLOCK_SIZE].fill(0);
        bytes[block_offset..block_offset + 8].copy_from_slice(BLOCK_MAGIC);
        let path = folder.join("helix-deploy.iso");
        std::fs::write(&path, &bytes).unwrap();
        let description = serde_json::json!({"format": 1, "size_bytes": size, "sha256": "", "block_offset": block_offset,
            "block_size": BLOCK_SIZE, "agent_version": "0.1.0", "kernel": "6.1.0-40-amd64"});
        std::fs::write(folder.join("helix-deploy.json"), description.to_string()).unwrap();
        (path, bytes)
    }

    #[tokio::test]
    async fn any_range_shows_the_block_and_nothing_else_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut expected) = write(folder.path(), 1_000_000, 300_032);
        let block = Bytes::from(vec![0xB1; BLOCK_SIZE]);
        expected[300_032..300_032 + BLOCK_SIZE].fill(0xB1);
        let iso = DeployIso::open(Some(&path)).await.unwrap();
        let ranges = [
            (0, 1_000_000),
            (0, 300_032),
            (0, 300_033),
            (300_000, 300_100),
            (301_000, 301_001),
            (304_127, 304_129),
            (304_128, 999_999),
            (262_143, 524_289),
        ];
        for (from, to) in ranges {
            let pieces: Vec<Bytes> = iso.read(from..to, block.clone()).await.unwrap().try_collect().await.unwrap();
            assert_eq!(pieces.concat(), expected[from as usize..to as usize], "bytes {from} to {to}");
        }
    }

    #[tokio::test]
    async fn an_iso_of_another_build_than_its_description_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = write(folder.path(), 100_000, 50_000);
        std::fs::write(&path, &bytes[..99_999]).unwrap();
        let error = DeployIso::open(Some(&path)).await.unwrap_err();
        assert_eq!(error.code(), "deploy_iso_unusable");
        assert!(error.to_string().contains("99999"), "{error}");
        let mut moved = bytes.clone();
        moved[50_000] = 0;
        std::fs::write(&path, &moved).unwrap();
        assert!(matches!(DeployIso::open(Some(&path)).await.unwrap_err(), IsoError::NoBlock { offset: 50_000, .. }));
    }

    #[tokio::test]
    async fn a_missing_iso_is_named() {
        let error = DeployIso::open(Some(Path::new("/nonexistent/helix-deploy.iso"))).await.unwrap_err();
        assert_eq!(error.code(), "deploy_iso_missing");
        assert_eq!(DeployIso::open(None).await.unwrap_err().code(), "deploy_iso_not_configured");
    }
}
