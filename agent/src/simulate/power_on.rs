//! One power-on of a simulated machine: from the device that firmware starts to whatever ends it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use secrecy::ExposeSecret;
use tokio::sync::mpsc;

use super::event::Say;
use super::host::SimulatedHost;
use super::image::Sampler;
use super::machine::Machine;
use super::medium;
use super::memory::{Memory, Running};
use super::system::{self, RunningSystem};
use crate::controller::Controller;
use crate::deploy::session::{self, Claimant, Ending, Pace};
use crate::deploy::{clock, network};
use crate::node::credentials::Credentials;
use crate::node::run::{self, Home};

/// Kernel, drivers and DHCP of the ramdisk.
const RAMDISK_TIME: Duration = Duration::from_secs(25);
/// Kernel and services of the installed system up to the point where the agent runs.
const SYSTEM_TIME: Duration = Duration::from_secs(45);
/// A session whose controller went away is looked for again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What all simulated machines share.
#[derive(Debug, Clone)]
pub struct World {
    pub state: PathBuf,
    pub time_scale: f64,
    pub http: reqwest::Client,
    pub sampler: Sampler,
    pub say: mpsc::UnboundedSender<Say>,
}

impl World {
    fn pace(&self) -> Pace {
        Pace::scaled(self.time_scale)
    }

    fn say(&self, say: Say) {
        // The receiver ends with the process only.
        if self.say.send(say).is_err() {
            tracing::debug!("nobody listens any more");
        }
    }
}

/// Started from the virtual CD: the deploy ramdisk.
pub async fn from_medium(world: World, node: String, machine: Machine, media_url: Option<String>) {
    if let Err(error) = Memory::of(&world.state, &node).set_running(None) {
        tracing::error!(node, %error, "cannot write the node's state");
    }
    let failed = |why: String| world.say(Say::BootFailed { node: node.clone(), why });
    let Some(url) = media_url else { return failed("the boot event names no medium".into()) };
    let block = match medium::read_block(&world.http, &url).await {
        Ok(block) => block,
        Err(why) => return failed(format!("the boot medium cannot be read: {why}")),
    };
    // No "OS running": the ramdisk tells the BMC nothing, as on hardware.
    tokio::time::sleep(world.pace().wait(RAMDISK_TIME)).await;
    if let Err(why) = network::plan(&machine.nic_facts(), &block.network.clone().unwrap_or_default()) {
        tracing::warn!(node, why, "the ramdisk has no network");
        return std::future::pending().await;
    }
    if machine.ramdisk.as_deref() == Some("never_calls") || !machine.has_network() {
        tracing::info!(node, "the ramdisk does not reach the controller, as described");
        return std::future::pending().await;
    }
    let controller = match Controller::new(&block.controller_urls, &block.controller_key_sha256, None) {
        Ok(controller) => controller,
        Err(error) => return failed(error.to_string()),
    };
    match deploy(&world, &node, machine, &block.token, controller).await {
        Ending::PowerOff => world.say(Say::PowerOff { node }),
        Ending::Reboot => world.say(Say::Reset { node }),
    }
}

/// As the real ramdisk: tries until the controller says how to end. A refusal leaves the machine as it is, on and idle.
async fn deploy(world: &World, node: &str, machine: Machine, token: &str, controller: Controller) -> Ending {
    let offset = TimeDelta::seconds(machine.clock_offset_seconds);
    let boot_id = uuid::Uuid::new_v4().to_string();
    let host = Arc::new(SimulatedHost {
        memory: Memory::of(&world.state, node),
        http: controller.http().clone(),
        sampler: world.sampler.clone(),
        pace: world.pace(),
        checked: Mutex::new(None),
        machine,
    });
    let claimed = loop {
        let claimant = Claimant {
            token: token.into(),
            machine: host.machine.facts(),
            boot_id: boot_id.clone(),
            clock: Utc::now() + offset,
            simulated: true,
        };
        match session::claim(&controller, &claimant, world.pace()).await {
            Ok(claimed) => break claimed,
            Err(error) if error.transient() => {
                tracing::warn!(node, "{error}");
                tokio::time::sleep(world.pace().wait(LOOK_AGAIN)).await;
            }
            Err(error) => {
                tracing::error!(node, "{error}");
                return std::future::pending().await;
            }
        }
    };
    let message = clock::offset_words(Utc::now() + offset, claimed.now).map(|words| format!("{words}; set"));
    match session::follow(host, controller, &claimed.session, message, world.pace()).await {
        Ok(ending) => ending,
        Err(error) => {
            tracing::error!(node, "{error}");
            std::future::pending().await
        }
    }
}

/// Started from its disk: the installed system, and its agent for as long as the power is on.
pub async fn from_disk(world: World, node: String, machine: Machine) {
    let memory = Memory::of(&world.state, &node);
    let Some(mut installed) = memory.installed().filter(|installed| installed.complete) else {
        return world.say(Say::BootFailed { node, why: "no disk holds a system that can be started".into() });
    };
    // A machine that ran when this process ended ran on: it is announced anew, and that is no boot.
    let running = match memory.running() {
        Some(running) => running,
        None => {
            tokio::time::sleep(world.pace().wait(SYSTEM_TIME)).await;
            Running { boot_id: uuid::Uuid::new_v4().to_string(), since: Utc::now() }
        }
    };
    if let Err(error) = memory.set_running(Some(&running)) {
        tracing::error!(node, %error, "cannot write the node's state");
    }
    world.say(Say::OsRunning { node: node.clone() });
    let first = match system::first_boot(&installed.seed) {
        Ok(first) => first,
        Err(why) => {
            tracing::error!(node, why, "the seed sets up no agent");
            return std::future::pending().await;
        }
    };
    if !machine.has_network() {
        tracing::info!(node, "the installed system has no network, as described");
        return std::future::pending().await;
    }
    if !installed.first_boot_done {
        if let Some(url) = &first.agent_url
            && let Err(why) = agent_program_is_there(&world.http, url).await
        {
            tracing::error!(node, url, why, "the agent program cannot be fetched; this node will not join");
            return std::future::pending().await;
        }
        installed.first_boot_done = true;
        let written =
            std::fs::write(memory.token_file(), first.token.expose_secret()).and_then(|()| memory.remember(&installed));
        if let Err(error) = written {
            tracing::error!(node, %error, "cannot write the node's state");
            return std::future::pending().await;
        }
    }
    let home = Home {
        controller_urls: first.config.controller_urls.clone(),
        controller_key_sha256: first.config.controller_key_sha256.clone(),
        token_file: memory.token_file(),
        credentials: Credentials::at(memory.agent_folder()),
    };
    let mut system = RunningSystem::new(machine, &installed, &first, running, world.time_scale);
    run::forever(&home, &mut system, world.pace()).await;
}

async fn agent_program_is_there(http: &reqwest::Client, url: &str) -> Result<(), String> {
    let head = http.head(url).send().await.map_err(|error| crate::deploy::failure::chain(&error.without_url()))?;
    if head.status().is_success() { Ok(()) } else { Err(format!("the server answered {}", head.status())) }
}
