//! Describes a fleet, checks that it can be, and starts it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::handle::FleetHandle;
use super::{BmcConfig, Fleet, FleetError, Shared};
use crate::clock::TimeScale;
use crate::host::HostProgram;
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
            let wanted = (self.seed, model.name.clone());
            if let Some(was) = kept.as_ref().and_then(|kept| kept.made_for.clone())
                && was != wanted
            {
                return Err(FleetError::OtherFleet {
                    address: config.address,
                    was: format!("{} of seed {}", was.1, was.0),
                    now: format!("{} of seed {}", wanted.1, wanted.0),
                });
            }
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
