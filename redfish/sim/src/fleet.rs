//! A fleet of BMCs in one process: read from a file or counted out, started as a whole, asked and changed through a handle.
//! This is the library API that tests use; the program `idrac-sim` is a thin wrapper around it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::TimeScale;
use crate::host::HostProgram;
use crate::machine::counters::Counters;
use crate::machine::real::VmSettings;
use crate::machine::{Bmc, Kept};
use crate::model::Model;

/// File descriptors a BMC may need at the same time: two connections of a client, one of a second client, one image
/// request. The budget a fleet is checked against.
const DESCRIPTORS_A_BMC: u64 = 2;
/// Descriptors for the process itself: listener, control, logs, state files.
const DESCRIPTORS_OF_OUR_OWN: u64 = 200;
/// How often counters that alone changed are written to the state folder.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Why a fleet does not start.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The fleet file cannot be read.
    #[error("read the fleet file {path}")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The fleet file is not understood.
    #[error("understand the fleet file {path}")]
    Parse {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A model nobody knows.
    #[error("find the model '{name}'; known are {known}")]
    UnknownModel {
        /// The name.
        name: String,
        /// What could be meant.
        known: String,
    },
    /// An address outside 127.0.0.0/8.
    #[error("serve {0}: simulated BMCs live on loopback addresses (127.x.y.z) only")]
    NotLoopback(Ipv4Addr),
    /// The same address twice.
    #[error("serve {0}: the address is in the fleet twice")]
    Twice(Ipv4Addr),
    /// No BMC at all.
    #[error("start a fleet without BMCs: give --fleet FILE or --count N")]
    Empty,
    /// The fleet does not fit into a limit of this machine.
    #[error(
        "serve {bmcs} BMCs: they may need {needed} open files and the limit RLIMIT_NOFILE is {limit} (hard limit {hard}); raise it with `ulimit -n` or take fewer"
    )]
    TooManyFiles {
        /// Size of the fleet.
        bmcs: usize,
        /// Descriptors it may need.
        needed: u64,
        /// What is allowed now.
        limit: u64,
        /// What could be allowed.
        hard: u64,
    },
    /// The mix of models is not understood.
    #[error("understand the mix '{0}'; write it as XE9680=4,R660=2")]
    Mix(String),
    /// The listener cannot be opened.
    #[error("listen on port {port} of the loopback device")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The control address cannot be opened.
    #[error("listen for control on {address}")]
    Control {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The state folder cannot be used.
    #[error("use the state folder {path}")]
    State {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The client that fetches images cannot be built.
    #[error("build the client that fetches images")]
    Client(#[source] reqwest::Error),
    /// A virtual machine was asked for without a folder for it.
    #[error("make the virtual machine of {0}: give --vm-dir FOLDER for its disk")]
    NoVmFolder(Ipv4Addr),
    /// A virtual machine cannot be made.
    #[error("make the virtual machine of {address}")]
    Vm {
        /// The BMC.
        address: Ipv4Addr,
        /// Why.
        #[source]
        source: crate::vm::VmError,
    },
    /// The host program cannot be started.
    #[error("start the host program '{command}'")]
    Host {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// One line of a fleet file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BmcConfig {
    /// Address of the BMC, 127.x.y.z.
    pub address: Ipv4Addr,
    /// Model name.
    pub model: String,
    /// Rack, for listings.
    #[serde(default)]
    pub rack: String,
    /// Position in the rack, for listings.
    #[serde(default)]
    pub position: u32,
    /// Whether the host is a real virtual machine.
    #[serde(default)]
    pub vm: bool,
    /// Whether the host is on when the fleet is new.
    #[serde(default)]
    pub powered_on: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetFile {
    #[serde(default)]
    bmc: Vec<BmcConfig>,
}

/// Reads a fleet file.
///
/// # Errors
/// When it cannot be read or understood.
pub fn read_file(path: &std::path::Path) -> Result<Vec<BmcConfig>, FleetError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| FleetError::Read { path: shown.clone(), source })?;
    let file: FleetFile =
        toml::from_str(&text).map_err(|source| FleetError::Parse { path: shown, source: Box::new(source) })?;
    Ok(file.bmc)
}

/// Counts out a fleet: `count` BMCs from `base` upwards, models in the proportion of `mix` (`XE9680=4,R660=2`).
/// Addresses that end in .0 or .255 are left out, so that they look like addresses; racks of twelve.
///
/// # Errors
/// When the mix is not understood.
pub fn count_out(count: usize, base: Ipv4Addr, mix: &str) -> Result<Vec<BmcConfig>, FleetError> {
    let mut pattern = Vec::new();
    for part in mix.split(',').filter(|part| !part.trim().is_empty()) {
        let (name, number) = part.split_once('=').ok_or_else(|| FleetError::Mix(mix.to_owned()))?;
        let number: usize = number.trim().parse().map_err(|_| FleetError::Mix(mix.to_owned()))?;
        pattern.extend(std::iter::repeat_n(name.trim().to_owned(), number));
    }
    if pattern.is_empty() {
        return Err(FleetError::Mix(mix.to_owned()));
    }
    let addresses = (u32::from(base)..).map(Ipv4Addr::from).filter(|address| !matches!(address.octets()[3], 0 | 255));
    Ok(addresses
        .take(count)
        .enumerate()
        .map(|(number, address)| BmcConfig {
            address,
            model: pattern[number % pattern.len()].clone(),
            rack: format!("r{:02}", number / 12 + 1),
            position: u32::try_from(number % 12 * 3 + 1).unwrap_or(1),
            vm: false,
            powered_on: false,
        })
        .collect())
}

/// What all machines of a fleet share.
#[derive(Debug)]
pub struct Shared {
    /// Everything about the machines derives from it.
    pub seed: u64,
    /// Speed of the machines.
    pub scale: TimeScale,
    /// Where state is kept, if anywhere.
    pub state_dir: Option<PathBuf>,
    /// How virtual machines are made, when there are any.
    pub vm: Option<VmSettings>,
    /// Extra delay of every answer.
    pub latency: Duration,
    /// Fetches images.
    pub http: reqwest::Client,
    host: OnceLock<HostProgram>,
}

impl Shared {
    /// Whoever plays the operating systems.
    #[must_use]
    pub fn host(&self) -> Option<&HostProgram> {
        self.host.get()
    }
}

/// Builds a fleet.
#[derive(Debug, Clone, Default)]
pub struct FleetBuilder {
    bmcs: Vec<BmcConfig>,
    seed: u64,
    scale: TimeScale,
    port: u16,
    control: Option<SocketAddr>,
    state_dir: Option<PathBuf>,
    vm: Option<VmSettings>,
    host_program: Option<String>,
    latency: Duration,
}

impl FleetBuilder {
    /// Adds one BMC.
    #[must_use]
    pub fn bmc(mut self, address: &str, model: &str) -> Self {
        // An address that is none becomes 0.0.0.0, which `start` refuses with words.
        let address = address.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
        self.bmcs.push(BmcConfig {
            address,
            model: model.to_owned(),
            rack: String::new(),
            position: 0,
            vm: false,
            powered_on: false,
        });
        self
    }

    /// Adds BMCs.
    #[must_use]
    pub fn bmcs(mut self, bmcs: impl IntoIterator<Item = BmcConfig>) -> Self {
        self.bmcs.extend(bmcs);
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the time scale.
    #[must_use]
    pub fn time_scale(mut self, factor: impl Into<f64>) -> Self {
        self.scale = TimeScale::new(factor.into());
        self
    }

    /// Sets the port of all BMCs; 0 takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Opens the control API on this address.
    #[must_use]
    pub fn control(mut self, address: SocketAddr) -> Self {
        self.control = Some(address);
        self
    }

    /// Keeps state in this folder.
    #[must_use]
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(folder.into());
        self
    }

    /// Makes the hosts of BMCs with `vm = true` virtual machines of this kind.
    #[must_use]
    pub fn vms(mut self, settings: VmSettings) -> Self {
        self.vm = Some(settings);
        self
    }

    /// Lets this command play the operating systems.
    #[must_use]
    pub fn host_program(mut self, command: impl Into<String>) -> Self {
        self.host_program = Some(command.into());
        self
    }

    /// Delays every answer.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    fn check(&self) -> Result<(), FleetError> {
        if self.bmcs.is_empty() {
            return Err(FleetError::Empty);
        }
        let mut seen = std::collections::HashSet::new();
        for bmc in &self.bmcs {
            if !bmc.address.is_loopback() {
                return Err(FleetError::NotLoopback(bmc.address));
            }
            if !seen.insert(bmc.address) {
                return Err(FleetError::Twice(bmc.address));
            }
        }
        let (limit, hard) = crate::limits::raise_open_files();
        let needed = self.bmcs.len() as u64 * DESCRIPTORS_A_BMC + DESCRIPTORS_OF_OUR_OWN;
        // A fleet talks to a few hundred BMCs at a time; only a fleet whose share cannot fit at all is refused.
        let least = self.bmcs.len() as u64 / 4 + DESCRIPTORS_OF_OUR_OWN;
        if least > limit {
            return Err(FleetError::TooManyFiles { bmcs: self.bmcs.len(), needed, limit, hard });
        }
        Ok(())
    }

    /// The machines without a listener, for listings.
    ///
    /// # Errors
    /// As [`FleetBuilder::start`], without the listeners.
    pub fn build(self) -> Result<Fleet, FleetError> {
        self.check()?;
        if let Some(folder) = &self.state_dir {
            std::fs::create_dir_all(folder)
                .map_err(|source| FleetError::State { path: folder.display().to_string(), source })?;
        }
        let http = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .map_err(FleetError::Client)?;
        let shared = Arc::new(Shared {
            seed: self.seed,
            scale: self.scale,
            state_dir: self.state_dir.clone(),
            vm: self.vm.clone(),
            latency: self.latency,
            http,
            host: OnceLock::new(),
        });
        let mut order = Vec::with_capacity(self.bmcs.len());
        for config in self.bmcs {
            let model = Model::by_name(&config.model).ok_or_else(|| FleetError::UnknownModel {
                name: config.model.clone(),
                known: Model::names().join(", "),
            })?;
            let kept: Option<Kept> = match &self.state_dir {
                Some(folder) => crate::keep::read(folder, config.address).map_err(|source| FleetError::State {
                    path: crate::keep::file_of(folder, config.address).display().to_string(),
                    source,
                })?,
                None => None,
            };
            order.push(Arc::new(Bmc::new(config, model, Arc::clone(&shared), kept)));
        }
        let by_address = order.iter().map(|bmc| (bmc.address(), Arc::clone(bmc))).collect();
        Ok(Fleet { order, by_address, shared })
    }

    /// Starts the fleet.
    ///
    /// # Errors
    /// When the fleet is not sound, does not fit, or a listener cannot be opened.
    pub async fn start(self) -> Result<FleetHandle, FleetError> {
        // Only the first installation in a process counts; a second one finds the same provider there.
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("a TLS provider is installed already");
        }
        let port = self.port;
        let control = self.control;
        let host_program = self.host_program.clone();
        let fleet = Arc::new(self.build()?);
        let listener = crate::server::listen(port).await.map_err(|source| FleetError::Listen { port, source })?;
        let port = listener.local_addr().map_err(|source| FleetError::Listen { port, source })?.port();
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();

        if let Some(command) = host_program {
            let host = HostProgram::start(&command, Arc::downgrade(&fleet), stop.clone())
                .map_err(|source| FleetError::Host { command, source })?;
            if fleet.shared.host.set(host).is_err() {
                tracing::debug!("the host program was set already");
            }
        }
        for bmc in fleet.order.iter().filter(|bmc| bmc.config.vm) {
            let address = bmc.address();
            let settings = fleet.shared.vm.as_ref().ok_or(FleetError::NoVmFolder(address))?;
            bmc.attach_vm(settings, stop.clone()).await.map_err(|source| FleetError::Vm { address, source })?;
        }
        let control_address = match control {
            Some(address) => {
                let listener = tokio::net::TcpListener::bind(address)
                    .await
                    .map_err(|source| FleetError::Control { address, source })?;
                let address = listener.local_addr().map_err(|source| FleetError::Control { address, source })?;
                tasks.push(tokio::spawn(crate::control::serve(listener, Arc::clone(&fleet), port, stop.clone())));
                Some(address)
            }
            None => None,
        };
        tasks.push(tokio::spawn(crate::server::serve(listener, Arc::clone(&fleet), stop.clone())));
        tasks.push(tokio::spawn(save_now_and_then(Arc::clone(&fleet), stop.clone())));
        for bmc in &fleet.order {
            bmc.wake_up();
        }
        Ok(FleetHandle { fleet, port, control_address, stop, tasks })
    }
}

async fn save_now_and_then(fleet: Arc<Fleet>, stop: CancellationToken) {
    if fleet.shared.state_dir.is_none() {
        return;
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SAVE_EVERY) => {}
        }
        let fleet = Arc::clone(&fleet);
        let saved = tokio::task::spawn_blocking(move || fleet.save_all()).await;
        if let Err(error) = saved {
            tracing::error!(%error, "saving the fleet was cut short");
        }
    }
}

/// The machines of a fleet.
#[derive(Debug)]
pub struct Fleet {
    order: Vec<Arc<Bmc>>,
    by_address: HashMap<Ipv4Addr, Arc<Bmc>>,
    shared: Arc<Shared>,
}

impl Fleet {
    /// Begins to describe a fleet.
    #[must_use]
    pub fn builder() -> FleetBuilder {
        FleetBuilder { seed: 1, ..FleetBuilder::default() }
    }

    /// All machines, in the order of the fleet file.
    #[must_use]
    pub fn bmcs(&self) -> &[Arc<Bmc>] {
        &self.order
    }

    /// The machine behind a BMC address.
    #[must_use]
    pub fn at(&self, address: Ipv4Addr) -> Option<&Arc<Bmc>> {
        self.by_address.get(&address)
    }

    /// The machine with this address or service tag.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Bmc>> {
        if let Ok(address) = name.parse() {
            return self.at(address);
        }
        self.order.iter().find(|bmc| {
            let state = bmc.state();
            bmc.tag(&state).eq_ignore_ascii_case(name)
        })
    }

    /// Writes the state of all machines that changed.
    pub fn save_all(&self) {
        for bmc in &self.order {
            bmc.save();
        }
    }
}

/// A running fleet.
#[derive(Debug)]
pub struct FleetHandle {
    fleet: Arc<Fleet>,
    port: u16,
    control_address: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl FleetHandle {
    /// Port of all BMCs.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the control API listens, when it was asked for.
    #[must_use]
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// What tests and demos may ask and change.
    #[must_use]
    pub fn control(&self) -> FleetControl<'_> {
        FleetControl { fleet: &self.fleet }
    }

    /// The machines.
    #[must_use]
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Stops the listeners and the host program and writes all state.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Some(host) = self.fleet.shared.host() {
            host.stopped().await;
        }
        for bmc in self.fleet.order.iter().filter(|bmc| bmc.config.vm) {
            bmc.vm_cut_power().await;
        }
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the simulator ended badly");
            }
        }
        self.fleet.save_all();
    }
}

/// Questions to and changes of a running fleet, in-process.
#[derive(Debug, Clone, Copy)]
pub struct FleetControl<'a> {
    fleet: &'a Fleet,
}

/// No BMC has this address or service tag.
#[derive(Debug, thiserror::Error)]
#[error("find a BMC called '{0}'")]
pub struct NoSuchBmc(pub String);

impl FleetControl<'_> {
    fn find(&self, name: &str) -> Result<&Arc<Bmc>, NoSuchBmc> {
        self.fleet.find(name).ok_or_else(|| NoSuchBmc(name.to_owned()))
    }

    /// Counters of a BMC, by address or service tag.
    ///
    /// # Errors
    /// When there is no such BMC.
    pub fn counters(&self, name: &str) -> Result<Counters, NoSuchBmc> {
        Ok(self.find(name)?.state().kept.counters.clone())
    }

    /// Service tag that a BMC shows.
    ///
    /// # Errors
    /// When there is no such BMC.
    pub fn service_tag(&self, name: &str) -> Result<String, NoSuchBmc> {
        let bmc = self.find(name)?;
        let state = bmc.state();
        Ok(bmc.tag(&state))
    }

    /// Changes the faults of a BMC.
    ///
    /// # Errors
    /// When there is no such BMC.
    pub fn faults(&self, name: &str, change: impl FnOnce(&mut crate::fault::Faults)) -> Result<(), NoSuchBmc> {
        let bmc = self.find(name)?;
        {
            let mut state = bmc.state();
            change(&mut state.kept.faults);
            state.live.dirty = true;
        }
        bmc.save();
        Ok(())
    }

    /// Runs one of the actions of the control API (`pull_gpu`, `new_certificate`, …).
    ///
    /// # Errors
    /// When there is no such BMC or the action or its argument is not known.
    pub fn act(&self, name: &str, action: &str, argument: &serde_json::Value) -> anyhow::Result<()> {
        crate::control::act(self.find(name)?, action, argument)
    }
}
