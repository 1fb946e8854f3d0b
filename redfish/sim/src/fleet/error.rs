//! Why a fleet does not start: each limit and each refusal says what to do about it.

use std::net::{Ipv4Addr, SocketAddr};

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
    /// The state folder belongs to another fleet.
    #[error(
        "take up the state of {address}: it was an {was} and would be an {now}; use the old seed and model, or another folder"
    )]
    OtherFleet {
        /// The BMC.
        address: Ipv4Addr,
        /// What the folder remembers.
        was: String,
        /// What was asked for.
        now: String,
    },
    /// The client that fetches images cannot be built.
    #[error("build the client that fetches images")]
    Client(#[source] reqwest::Error),
    /// A BMC was named that is not in the fleet.
    #[error("find the BMC {0}: it is not in the fleet")]
    NotInFleet(Ipv4Addr),
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

impl FleetError {
    /// Stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "fleet_read",
            Self::Parse { .. } => "fleet_parse",
            Self::UnknownModel { .. } => "fleet_model_unknown",
            Self::NotLoopback(_) => "fleet_not_loopback",
            Self::Twice(_) => "fleet_address_twice",
            Self::Empty => "fleet_empty",
            Self::TooManyFiles { .. } => "fleet_too_many_files",
            Self::Mix(_) => "fleet_mix",
            Self::Listen { .. } => "fleet_listen",
            Self::Control { .. } => "fleet_control",
            Self::State { .. } => "fleet_state",
            Self::OtherFleet { .. } => "fleet_other_state",
            Self::Client(_) => "fleet_client",
            Self::NotInFleet(_) => "fleet_address_unknown",
            Self::NoVmFolder(_) => "fleet_vm_folder",
            Self::Vm { .. } => "fleet_vm",
            Self::Host { .. } => "fleet_host_program",
        }
    }
}
