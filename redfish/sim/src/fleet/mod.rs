//! A fleet of BMCs in one process: read from a file or counted out, started as a whole, asked and changed through a handle.
//! This is the library API that tests use; the program `idrac-sim` is a thin wrapper around it.

mod builder;
mod config;
mod error;
mod handle;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use builder::FleetBuilder;
pub use config::{BmcConfig, count_out, read_file};
pub use error::FleetError;
pub use handle::{FleetControl, FleetHandle, NoSuchBmc};

use crate::clock::TimeScale;
use crate::host::HostProgram;
use crate::machine::Bmc;
use crate::machine::real::VmSettings;

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
        FleetBuilder::default().seed(1)
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
