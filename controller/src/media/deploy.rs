//! One deploy attempt as the workflow sees it: a medium, a session with the ramdisk, an order to write, an end.
//!
//! Nothing here talks to a BMC or waits. Everything is a row, so that a step that runs again after a crash finds what
//! it did: the same attempt gives the same URL, the same order changes nothing.

use std::net::IpAddr;
use std::path::PathBuf;

use helix_api::deploy::{
    Act, BlockError, BootNetwork, Compression, DeployBlock, DiskRule, ImageSource, WriteOrder, encode_block,
};
use helix_api::image::ImageFacts;
use helix_api::machine::MachineFacts;
use helix_inventory::profile::{DiskChoice, ProvisionSpec};
use secrecy::ExposeSecret as _;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::image::ImageError;
use super::instruction;
use super::iso::{DeployIso, IsoError};
use super::seed::{self, SeedError, SeedInput};
use super::url::iso_url;
pub use super::url::{AgentSource, agent_url, agents_urls, image_url};
use crate::access::secrets::SecretsError;
use crate::access::token;
use crate::agents;
use crate::app::App;
use crate::config::advertise::AdvertiseError;
use crate::store::images::ImageRow;
use crate::store::{StoreError, deploy_sessions, images, media_files};

/// Why an attempt could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("the deploy medium cannot be used")]
    Iso(#[from] IsoError),
    #[error("no agent binary is configured (media.agent_binary)")]
    NoAgent,
    #[error("the agent binary {} cannot be read", path.display())]
    Agent {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the values for the deploy medium do not fit into it")]
    Block(#[from] BlockError),
    #[error("no address of this controller can be named to the node")]
    Advertise(#[from] AdvertiseError),
    #[error("making or sealing a secret of the attempt")]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    JoinToken(#[from] agents::JoinTokenError),
    #[error("making the seed")]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("image {name} is not the one that was planned: its checksum was {planned} then and is {present} now")]
    ImageChanged { name: String, planned: String, present: String },
    #[error("the deploy session is closed")]
    Closed,
    #[error("{what} of the deploy session cannot be read back: {why}")]
    Unreadable { what: &'static str, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeployError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Iso(error) => error.code(),
            Self::NoAgent => "agent_binary_not_configured",
            Self::Agent { .. } => "agent_binary_missing",
            Self::Block(_) => "deploy_block_too_large",
            Self::Advertise(error) => error.code(),
            Self::Secrets(error) => error.code(),
            Self::JoinToken(agents::JoinTokenError::Random(error)) => error.code(),
            Self::JoinToken(agents::JoinTokenError::Store(error)) => error.code(),
            Self::Seed(_) => "seed",
            Self::Image(error) => error.code(),
            Self::ImageChanged { .. } => "image_changed",
            Self::Closed => "deploy_session_closed",
            Self::Unreadable { .. } => "deploy_session_unreadable",
            Self::Store(error) => error.code(),
        }
    }
}

/// What an attempt is for.
#[derive(Debug, Clone)]
pub struct Prepare {
    pub workflow_id: Uuid,
    pub workflow_public_id: String,
    pub node_id: Uuid,
    pub node_name: String,
    /// Number of the attempt; a new one closes the ones before.
    pub attempt: i32,
    pub bmc_address: IpAddr,
    pub boot_network: Option<BootNetwork>,
}

/// A prepared attempt. The token stands only in the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub session_id: Uuid,
    /// What the BMC is told.
    pub media_url: String,
}

/// Makes medium and session of an attempt; the same attempt again gives the same. Call it in a transaction.
///
/// # Errors
/// When the deploy ISO is missing, no address can be named, or the database cannot be asked.
pub async fn prepare(app: &App, conn: &mut PgConnection, attempt: &Prepare) -> Result<Prepared, DeployError> {
    let now = app.clock.now();
    if let Some(session) = deploy_sessions::of_attempt(conn, attempt.workflow_id, attempt.attempt).await? {
        let url = media_files::url_of(conn, attempt.workflow_id, "iso", None, now).await?;
        return match (session.closed_at, url) {
            (None, Some(media_url)) => Ok(Prepared { session_id: session.id, media_url }),
            _ => Err(DeployError::Closed),
        };
    }
    DeployIso::open(app.config.media.deploy_iso.as_deref()).await?;
    close_at(conn, attempt.workflow_id, now).await?;
    let (secret, digest) = token::generate()?;
    let block = encode_block(&DeployBlock {
        controller_urls: agents_urls(app, attempt.bmc_address)?,
        controller_key_sha256: app.ca.agents_key_sha256().to_owned(),
        token: secret.expose_secret().to_owned(),
        workflow: attempt.workflow_public_id.clone(),
        node_name: attempt.node_name.clone(),
        network: attempt.boot_network.clone().filter(|network| *network != BootNetwork::default()),
    })?;
    let session_id = Uuid::now_v7();
    deploy_sessions::insert(conn, session_id, attempt.workflow_id, attempt.node_id, attempt.attempt, &digest).await?;
    let media_url = iso_url(app, conn, attempt.workflow_id, attempt.bmc_address, &block).await?;
    Ok(Prepared { session_id, media_url })
}

/// What an order to write is made from.
#[derive(Debug)]
pub struct OrderInput<'a> {
    pub session_id: Uuid,
    pub workflow_id: Uuid,
    pub node_id: Uuid,
    pub node_name: &'a str,
    pub bmc_address: IpAddr,
    pub boot_network: Option<&'a BootNetwork>,
    pub spec: &'a ProvisionSpec,
    /// The disk as planned, or as a person chose meanwhile.
    pub disk: &'a DiskChoice,
    pub wipe_conflicting: bool,
}

/// Makes the order: image URL, agent URL, join token and seed. It is sent by [`order_write`].
///
/// # Errors
/// When the image is gone or another than planned, or the agent binary is missing.
pub async fn build_order(
    app: &App,
    conn: &mut PgConnection,
    input: &OrderInput<'_>,
) -> Result<WriteOrder, DeployError> {
    let session = deploy_sessions::find(conn, input.session_id).await?.ok_or(DeployError::Closed)?;
    let nics = match session.machine {
        Some(machine) => {
            let machine: MachineFacts = serde_json::from_value(machine)
                .map_err(|error| DeployError::Unreadable { what: "the machine", why: error.to_string() })?;
            machine.nics
        }
        None => Vec::new(),
    };
    let image = planned_image(conn, input.spec).await?;
    let image_url = image_url(app, conn, input.workflow_id, &image, input.bmc_address).await?;
    let agent = agent_url(app, conn, input.workflow_id, input.bmc_address).await?;
    let join_token = agents::join_token(app, conn, input.node_id, Some(input.workflow_id)).await?;
    let seed = seed::files(&SeedInput {
        instance_id: input.workflow_id,
        node_name: input.node_name,
        network: input.boot_network,
        nics: &nics,
        ssh_keys: &input.spec.ssh_keys,
        user_data: input.spec.user_data.as_deref(),
        agent_url: &agent.url,
        agent_sha256: &agent.sha256,
        controller_urls: &agents_urls(app, input.bmc_address)?,
        controller_key_sha256: app.ca.agents_key_sha256(),
        join_token: &join_token,
    })?;
    let disk = input.disk.clone();
    Ok(WriteOrder {
        write_id: input.session_id.to_string(),
        boot_entry: format!("Helix {}", image.name),
        image: image_source(image, image_url)?,
        disk: DiskRule {
            serial: disk.serial,
            by_id: disk.by_id,
            name: disk.name,
            model: disk.model,
            min_size_bytes: disk.min_size_bytes,
            max_size_bytes: disk.max_size_bytes,
        },
        wipe_conflicting: input.wipe_conflicting,
        seed,
    })
}

/// Tells the ramdisk to write. The same order again changes nothing.
///
/// # Errors
/// [`DeployError::Closed`] when the attempt is over.
pub async fn order_write(
    app: &App,
    conn: &mut PgConnection,
    session_id: Uuid,
    order: &WriteOrder,
) -> Result<(), DeployError> {
    let session = deploy_sessions::find(conn, session_id).await?.ok_or(DeployError::Closed)?;
    if session.closed_at.is_none() && session.write_id.as_deref() == Some(order.write_id.as_str()) {
        return Ok(());
    }
    // It holds the join token: sealed at rest.
    let sealed = instruction::seal(&app.secrets, session_id, order)?;
    instruct(conn, session_id, Some(&order.write_id), &sealed).await
}

/// Tells the ramdisk anything else than to write.
///
/// # Errors
/// [`DeployError::Closed`] when the attempt is over.
pub async fn order(app: &App, conn: &mut PgConnection, session_id: Uuid, act: Act) -> Result<(), DeployError> {
    if let Act::Write(order) = &act {
        return order_write(app, conn, session_id, order).await;
    }
    let value = serde_json::to_value(&act)
        .map_err(|error| DeployError::Unreadable { what: "the instruction", why: error.to_string() })?;
    instruct(conn, session_id, None, &value).await
}

async fn instruct(
    conn: &mut PgConnection,
    session_id: Uuid,
    write_id: Option<&str>,
    value: &serde_json::Value,
) -> Result<(), DeployError> {
    let open = deploy_sessions::instruct(conn, session_id, write_id, value).await?;
    if open { Ok(()) } else { Err(DeployError::Closed) }
}

/// The attempt is over: its ISO, its image URL and its session are dead. The node may still fetch the agent and join.
///
/// # Errors
/// When the database cannot be asked.
pub async fn close(app: &App, conn: &mut PgConnection, workflow_id: Uuid) -> Result<(), DeployError> {
    Ok(close_at(conn, workflow_id, app.clock.now()).await?)
}

async fn close_at(
    conn: &mut PgConnection,
    workflow_id: Uuid,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    deploy_sessions::close(conn, workflow_id, now).await?;
    media_files::expire(conn, workflow_id, &["iso", "image"], now).await
}

/// The workflow is over: everything that it handed out is dead, also the agent's URL and a join token not yet used.
///
/// # Errors
/// When the database cannot be asked.
pub async fn end(app: &App, conn: &mut PgConnection, workflow_id: Uuid) -> Result<(), DeployError> {
    let now = app.clock.now();
    close_at(conn, workflow_id, now).await?;
    media_files::expire(conn, workflow_id, &["agent"], now).await?;
    crate::store::join_tokens::expire(conn, workflow_id, now).await?;
    Ok(())
}

/// The image of a plan, when it is still the planned one.
///
/// # Errors
/// When it is gone, not ready, or another one.
pub async fn planned_image(conn: &mut PgConnection, spec: &ProvisionSpec) -> Result<ImageRow, DeployError> {
    let image = images::find(conn, &spec.image).await?.ok_or_else(|| ImageError::NotFound(spec.image.clone()))?;
    if image.state != "ready" {
        return Err(ImageError::NotReady { name: image.name, state: image.state }.into());
    }
    let present = image.sha256.clone().unwrap_or_default();
    if !spec.image_sha256.is_empty() && present != spec.image_sha256 {
        return Err(DeployError::ImageChanged { name: image.name, planned: spec.image_sha256.clone(), present });
    }
    Ok(image)
}

/// The image as the ramdisk needs to know it.
///
/// # Errors
/// When the row is not complete.
pub fn image_source(image: ImageRow, url: String) -> Result<ImageSource, DeployError> {
    let incomplete = || ImageError::NotReady { name: image.name.clone(), state: image.state.clone() };
    let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).ok_or_else(incomplete);
    let facts: ImageFacts = serde_json::from_value(image.facts.clone())
        .map_err(|error| DeployError::Unreadable { what: "the image's facts", why: error.to_string() })?;
    Ok(ImageSource {
        url,
        compression: compression(&image.compression),
        sha256: image.sha256.clone().ok_or_else(incomplete)?,
        size_bytes: count(image.size_bytes)?,
        raw_sha256: image.raw_sha256.clone().ok_or_else(incomplete)?,
        raw_size_bytes: count(image.raw_size_bytes)?,
        identifiers: facts.uuids.into_iter().chain(facts.labels).collect(),
        name: image.name,
    })
}

/// The column's word as a value.
pub(crate) fn compression(word: &str) -> Compression {
    match word {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "xz" => Compression::Xz,
        _ => Compression::Zstd,
    }
}

/// What the start says of a write order in a row, without its secrets: for logs and pages.
#[must_use]
pub fn write_words(order: &WriteOrder) -> serde_json::Value {
    json!({ "act": "write", "write_id": order.write_id, "image": order.image.name })
}
