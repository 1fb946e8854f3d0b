//! URLs of the media listener: made, found again, and for whom.
//!
//! A URL is a row with a random part of 128 bits. The same workflow gets the same URL again, so that a step that runs
//! twice tells a BMC or a ramdisk one address. The deploy medium is dialled by the BMC, image and agent by the node.

use std::net::IpAddr;
use std::path::Path;

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::deploy::DeployError;
use crate::access::secrets::random_bytes;
use crate::app::App;
use crate::store::images::ImageRow;
use crate::store::media_files;

/// URLs die with their attempt or workflow; this is only the backstop for one that was never closed. The longest attempt
/// (30 min of POST, some 40 min for 100 GB over 1 Gbit/s with reading back) ends in far less.
const URL_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// File names in media URLs: lower case, as iDRACs want them.
const ISO_FILE: &str = "helix.iso";
const AGENT_FILE: &str = "helix-agent";

/// A new URL for a deploy medium with this block in it.
///
/// # Errors
/// When no address can be named, the block cannot be sealed, or the database cannot be asked.
pub(super) async fn iso_url(
    app: &App,
    conn: &mut PgConnection,
    workflow_id: Uuid,
    bmc_address: IpAddr,
    block: &[u8],
) -> Result<String, DeployError> {
    let new = NewUrl { kind: "iso", file_name: ISO_FILE, image_id: None, block: Some(block) };
    new_url(app, conn, workflow_id, bmc_address, new).await
}

/// A URL for the image, alive until the attempt or the workflow ends; the same one when there is one.
///
/// # Errors
/// When no address can be named or the database cannot be asked.
pub async fn image_url(
    app: &App,
    conn: &mut PgConnection,
    workflow_id: Uuid,
    image: &ImageRow,
    bmc_address: IpAddr,
) -> Result<String, DeployError> {
    if let Some(url) = media_files::url_of(conn, workflow_id, "image", Some(image.id), app.clock.now()).await? {
        return Ok(url);
    }
    let file_name = match image.compression.as_str() {
        "gzip" => "image.raw.gz",
        "xz" => "image.raw.xz",
        "none" => "image.raw",
        _ => "image.raw.zst",
    };
    let new = NewUrl { kind: "image", file_name, image_id: Some(image.id), block: None };
    new_url(app, conn, workflow_id, bmc_address, new).await
}

/// Where a node fetches its agent, and what it must be.
#[derive(Debug, Clone)]
pub struct AgentSource {
    pub url: String,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// A URL for the agent binary, alive until the workflow ends; the same one when there is one.
///
/// # Errors
/// When the binary is missing, no address can be named, or the database cannot be asked.
pub async fn agent_url(
    app: &App,
    conn: &mut PgConnection,
    workflow_id: Uuid,
    bmc_address: IpAddr,
) -> Result<AgentSource, DeployError> {
    let path = app.config.media.agent_binary.clone().ok_or(DeployError::NoAgent)?;
    let sha256 = digest_of_file(&path).await?;
    let url = match media_files::url_of(conn, workflow_id, "agent", None, app.clock.now()).await? {
        Some(url) => url,
        None => {
            let new = NewUrl { kind: "agent", file_name: AGENT_FILE, image_id: None, block: None };
            new_url(app, conn, workflow_id, bmc_address, new).await?
        }
    };
    Ok(AgentSource { url, sha256 })
}

async fn digest_of_file(path: &Path) -> Result<String, DeployError> {
    let owned = path.to_owned();
    // About 10 MB: 10 ms, beside an attempt of minutes.
    let summed = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(&owned)?;
        let mut hash = <sha2::Sha256 as sha2::Digest>::new();
        let mut piece = vec![0u8; 1 << 20];
        loop {
            match std::io::Read::read(&mut file, &mut piece)? {
                0 => return Ok(hex::encode(sha2::Digest::finalize(hash))),
                length => sha2::Digest::update(&mut hash, &piece[..length]),
            }
        }
    });
    let summed: std::io::Result<String> = summed.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    summed.map_err(|source| DeployError::Agent { path: path.to_owned(), source })
}

/// URLs of the agents listener for the node behind this BMC.
///
/// # Errors
/// When no address can be named.
pub fn agents_urls(app: &App, bmc_address: IpAddr) -> Result<Vec<String>, DeployError> {
    let addresses = app.advertise.agents_for(bmc_address)?;
    Ok(addresses.into_iter().map(|address| format!("https://{address}")).collect())
}

struct NewUrl<'a> {
    kind: &'a str,
    file_name: &'a str,
    image_id: Option<Uuid>,
    block: Option<&'a [u8]>,
}

async fn new_url(
    app: &App,
    conn: &mut PgConnection,
    workflow_id: Uuid,
    bmc_address: IpAddr,
    new: NewUrl<'_>,
) -> Result<String, DeployError> {
    // 128 bits: nobody guesses a URL that lives for an hour.
    let random = hex::encode(random_bytes::<16>()?);
    let sealed = match new.block {
        Some(block) => Some(app.secrets.seal(block, &block_context(&random))?),
        None => None,
    };
    // The medium is dialled by the BMC; image and agent by the node.
    let host = match new.kind {
        "iso" => app.advertise.media_for(bmc_address)?,
        _ => app.advertise.node_media_for(bmc_address)?,
    };
    let url = format!("http://{host}/media/{random}/{}", new.file_name);
    let row = media_files::NewMediaFile {
        random: &random,
        kind: new.kind,
        file_name: new.file_name,
        workflow_id,
        image_id: new.image_id,
        block_sealed: sealed.as_deref(),
        url: &url,
        expires_at: app.clock.now() + URL_LIFETIME,
    };
    media_files::insert(conn, &row).await?;
    Ok(url)
}

/// Binds a sealed block to its URL: it opens under no other.
pub(crate) fn block_context(random: &str) -> Vec<u8> {
    format!("media_files.block:{random}").into_bytes()
}
