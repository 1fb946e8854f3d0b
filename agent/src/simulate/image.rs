//! How much of an image a simulated node fetches.
//!
//! A fleet of a thousand on two cores cannot hash a thousand images. The first node for each digest and one in twenty after it fetch
//! the file in full and check length and checksum; the others ask for its head and three random ranges. A failed full fetch does not
//! count, so that a wrong image fails on every try.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use helix_api::deploy::ImageSource;
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::medium;
use crate::deploy::failure::Failure;
use crate::deploy::fetch;
use crate::deploy::progress::Progress;

/// One in this many nodes fetches in full.
const FULL_EVERY: u64 = 20;

/// Random ranges that the others read.
const RANGES: u32 = 3;

/// Bytes of each.
const RANGE_BYTES: u64 = 64 << 10;

/// What the fleet has fetched of each digest.
#[derive(Debug, Clone, Default)]
pub struct Sampler {
    nodes: Arc<Mutex<HashMap<String, u64>>>,
}

/// How a node checked its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    InFull,
    Sampled,
}

impl Checked {
    /// For the report: a simulated node does not pretend to have read what it has not.
    pub fn words(self) -> &'static str {
        match self {
            Self::InFull => "simulated disk: the image was fetched and hashed in full",
            Self::Sampled => "simulated disk: of the image, head and three random ranges were fetched",
        }
    }
}

impl Sampler {
    /// Checks the image behind its URL; bytes seen go to `progress` (as raw bytes, in proportion).
    ///
    /// # Errors
    /// As a real ramdisk: `ImageTruncated`, `ImageChecksumMismatch`, `ImageUnreachable`.
    pub async fn check(
        &self,
        http: &reqwest::Client,
        image: &ImageSource,
        progress: &Arc<Progress>,
    ) -> Result<Checked, Failure> {
        if self.take_full(&image.sha256) {
            let result = in_full(http, image, progress).await;
            if result.is_err() {
                self.not_counted(&image.sha256);
            }
            result.map(|()| Checked::InFull)
        } else {
            sample(http, image).await.map(|()| Checked::Sampled)
        }
    }

    /// Counts a node and says whether it is one of those that fetch in full.
    fn take_full(&self, digest: &str) -> bool {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = nodes.entry(digest.to_owned()).or_default();
        *count += 1;
        (*count - 1).is_multiple_of(FULL_EVERY)
    }

    fn not_counted(&self, digest: &str) {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }
}

async fn in_full(http: &reqwest::Client, image: &ImageSource, progress: &Arc<Progress>) -> Result<(), Failure> {
    let (mut download, fetching) = fetch::start(http.clone(), image.clone());
    let (progress, size, raw) = (Arc::clone(progress), image.size_bytes.max(1), image.raw_size_bytes);
    let hashing = tokio::task::spawn_blocking(move || {
        let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0u64, vec![0u8; 256 << 10]);
        while let Ok(length) = download.read(&mut piece) {
            if length == 0 {
                break;
            }
            hash.update(&piece[..length]);
            bytes += length as u64;
            let share = u128::from(raw) * u128::from(bytes.min(size)) / u128::from(size);
            progress.moved(u64::try_from(share).unwrap_or(raw));
        }
        hex::encode(hash.finalize())
    });
    let actual = hashing.await.map_err(|_| Failure::Internal { part: "hashing" })?;
    fetching.await.unwrap_or(Err(Failure::Internal { part: "the download" }))?;
    if actual.eq_ignore_ascii_case(&image.sha256) {
        return Ok(());
    }
    Err(Failure::ImageChecksumMismatch { name: image.name.clone(), expected: image.sha256.clone(), actual })
}

async fn sample(http: &reqwest::Client, image: &ImageSource) -> Result<(), Failure> {
    fetch::is_there(http, image).await?;
    for _ in 0..RANGES {
        let wanted = RANGE_BYTES.min(image.size_bytes);
        let at = rand::rng().random_range(0..=image.size_bytes - wanted);
        if wanted > 0 {
            medium::range(http, &image.url, at, wanted).await.map_err(|reason| Failure::ImageUnreachable {
                name: image.name.clone(),
                url: image.url.clone(),
                reason,
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_one_in_twenty_fetch_in_full() {
        let sampler = Sampler::default();
        let full: Vec<u64> = (1..=41).filter(|_| sampler.take_full("a")).collect();
        assert_eq!(full, [1, 21, 41]);
        assert!(sampler.take_full("b"), "another image begins anew");
    }

    #[test]
    fn after_a_failed_fetch_the_next_one_is_full_again() {
        let sampler = Sampler::default();
        assert!(sampler.take_full("a"));
        sampler.not_counted("a");
        assert!(sampler.take_full("a"));
    }
}
