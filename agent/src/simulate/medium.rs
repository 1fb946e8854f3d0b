//! Reading the deploy block from a medium behind a URL, by range requests, as firmware and kernel read single sectors of a virtual CD.

use helix_api::deploy::{BLOCK_SIZE, DeployBlock, decode_block};
use reqwest::StatusCode;
use reqwest::header::RANGE;

use crate::deploy::failure::chain;
use crate::deploy::medium::{self, Directory};

/// Reads the block.
///
/// # Errors
/// In words, for the console that is not there.
pub async fn read_block(http: &reqwest::Client, url: &str) -> Result<DeployBlock, String> {
    let descriptor = range(http, url, medium::DESCRIPTOR_OFFSET, medium::SECTOR).await?;
    let Directory { offset, length } = medium::root_directory(&descriptor).ok_or("it is not a Helix deploy medium")?;
    let directory = range(http, url, offset, length).await?;
    let at = medium::find_block(&directory).ok_or("it has no deploy block")?;
    let block = range(http, url, at, BLOCK_SIZE as u64).await?;
    decode_block(&block).map_err(|error| error.to_string())
}

/// Bytes of the file behind a URL.
///
/// # Errors
/// In words.
pub async fn range(http: &reqwest::Client, url: &str, at: u64, length: u64) -> Result<Vec<u8>, String> {
    let request = http.get(url).header(RANGE, format!("bytes={at}-{}", at + length - 1));
    let response = request.send().await.map_err(|error| chain(&error.without_url()))?;
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Err(format!("the server answered {} to a range request", response.status()));
    }
    let bytes = response.bytes().await.map_err(|error| chain(&error.without_url()))?;
    if bytes.len() as u64 != length {
        return Err(format!("the server sent {} of {length} bytes", bytes.len()));
    }
    Ok(bytes.to_vec())
}
