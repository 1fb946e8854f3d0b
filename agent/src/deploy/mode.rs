//! `helix-agent deploy`: the ramdisk's program from its start to the power-off.
//!
//! Finds the block, reaches the controller, claims, sets the clock, follows instructions. Whatever does not work is said on the
//! console and tried again: a machine that gives up here would need hands. It ends only when the controller says how.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use helix_api::deploy::DeployBlock;

use super::clock;
use super::local::LocalHost;
use super::medium::{self, MediumError};
use super::network;
use super::session::{self, Claimant, Ending, Pace};
use crate::controller::{CallError, Controller};
use crate::machine;
use crate::machine::block;
use crate::machine::root::Root;
use crate::machine::system;

/// A BMC shows its virtual drive up to a minute after the machine starts; drives are looked at again this often.
const MEDIUM_LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What is not found is said again this often, so that a console opened later shows it.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// Pause before the network is tried anew.
const NETWORK_LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Runs deploy mode on this machine.
///
/// # Errors
/// Only when the program itself cannot work (no runtime, no TLS); everything else is tried again.
pub async fn run() -> anyhow::Result<Ending> {
    let root = Root::default();
    let block = find_block(&root).await;
    tracing::info!(node = block.node_name, workflow = block.workflow, "this medium was made for");
    loop {
        let network = reach(&root, &block).await;
        tracing::info!(
            interface = network.link.carries,
            mac = network.link.mac,
            addresses = network.addresses.join(", "),
            "network is up"
        );
        let controller = Controller::new(&block.controller_urls, &block.controller_key_sha256, None)?;
        match deploy(&root, &block, controller).await {
            Ok(ending) => return Ok(ending),
            Err(error @ CallError::Unreachable(_)) => {
                tracing::error!("{error}; looking at the network again");
                tokio::time::sleep(NETWORK_LOOK_AGAIN).await;
            }
            Err(error) => stay(&error, &block).await,
        }
    }
}

/// Claims and follows one session.
async fn deploy(root: &Root, block: &DeployBlock, controller: Controller) -> Result<Ending, CallError> {
    let claimant = Claimant {
        token: block.token.clone().into(),
        machine: machine::facts(root),
        boot_id: system::boot_id(root),
        clock: Utc::now(),
        simulated: false,
    };
    let claimed = session::claim(&controller, &claimant, Pace::default()).await?;
    tracing::info!(
        node = claimed.node_name,
        service_tag = claimed.service_tag,
        workflow = claimed.workflow,
        attempt = claimed.attempt,
        "claimed"
    );
    let message = clock::offset_words(Utc::now(), claimed.now).map(|words| match clock::set(claimed.now) {
        Ok(true) => format!("{words}; set"),
        Ok(false) => format!("{words}; set, the hardware clock did not follow"),
        Err(error) => format!("{words}; it could not be set: {error}"),
    });
    if let Some(words) = &message {
        tracing::warn!("{words}");
    }
    let host = LocalHost::new(root.clone(), controller.http().clone(), "/run/helix");
    session::follow(Arc::new(host), controller, &claimed.session, message, Pace::default()).await
}

/// Looks until a drive holds a usable block.
async fn find_block(root: &Root) -> DeployBlock {
    let mut said: Option<tokio::time::Instant> = None;
    loop {
        let mut disks = block::read(root);
        medium::order(&mut disks);
        let mut looked_at = Vec::new();
        for disk in disks.iter().filter(|disk| disk.facts.size_bytes > 0) {
            let found = std::fs::File::open(&disk.path)
                .map_err(MediumError::from)
                .and_then(|mut file| medium::read_block(&mut file));
            match found {
                Ok(block) => {
                    tracing::info!(medium = disk.line(), "deploy block found");
                    return block;
                }
                Err(error) => looked_at.push(format!("  {}: {}", disk.line(), crate::deploy::failure::chain(&error))),
            }
        }
        if said.is_none_or(|then| then.elapsed() >= SAY_AGAIN) {
            said = Some(tokio::time::Instant::now());
            let list = if looked_at.is_empty() { "  no drive at all".to_owned() } else { looked_at.join("\n") };
            tracing::warn!("no deploy block yet; virtual media can take a minute to appear. Looked at:\n{list}");
        }
        tokio::time::sleep(MEDIUM_LOOK_AGAIN).await;
    }
}

/// Tries until a link reaches the controller.
async fn reach(root: &Root, block: &DeployBlock) -> network::Network {
    let wanted = block.network.clone().unwrap_or_default();
    loop {
        match network::bring_up(root, &wanted, &block.controller_urls).await {
            Ok(network) => return network,
            Err(table) => {
                tracing::error!(
                    "{table}looking again in {} s; controller: {}",
                    NETWORK_LOOK_AGAIN.as_secs(),
                    block.controller_urls.join(", ")
                );
                tokio::time::sleep(NETWORK_LOOK_AGAIN).await;
            }
        }
    }
}

/// A refusal is final for this medium. The machine stays up with the words on its console until the BMC switches it off.
async fn stay(error: &CallError, block: &DeployBlock) {
    loop {
        tracing::error!(
            "{error}. Nothing was written. This medium (node {}, workflow {}) serves one attempt only; retry the workflow to get a new one",
            block.node_name,
            block.workflow
        );
        tokio::time::sleep(SAY_AGAIN).await;
    }
}
