//! A machine as its BMC tells it: what `collect` returns.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::bios::Bios;
use crate::bmc::Manager;
use crate::boot_option::BootOption;
use crate::chassis::Chassis;
use crate::dell::attributes::DellAttributes;
use crate::dell::licence::Licence;
use crate::dell::slot::Slot;
use crate::dell::video::Video;
use crate::ethernet_interface::EthernetInterface;
use crate::fan::Fan;
use crate::firmware::Firmware;
use crate::memory::Memory;
use crate::network::{NetworkAdapter, NetworkFunction, NetworkPort};
use crate::odata::Issue;
use crate::pcie::PcieDevice;
use crate::power_supply::PowerSupply;
use crate::processor::Processor;
use crate::profile::Profile;
use crate::secure_boot::SecureBoot;
use crate::service_root::ServiceRoot;
use crate::storage::{Drive, Storage, StorageController, Volume};
use crate::system::System;

/// A part of the reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Manager,
    Chassis,
    Processors,
    Memory,
    Storage,
    Network,
    EthernetInterfaces,
    PcieDevices,
    PowerSupplies,
    Fans,
    Firmware,
    Bios,
    SecureBoot,
    BootOptions,
    ManagerInterfaces,
    Video,
    Slots,
    Licences,
    IdracAttributes,
}

/// A storage subsystem with what belongs to it.
#[derive(Debug, Clone, Default)]
pub struct StorageUnit {
    pub storage: Storage,
    pub controllers: Vec<StorageController>,
    pub drives: Vec<Drive>,
    pub volumes: Vec<Volume>,
}

/// A network card with what belongs to it.
#[derive(Debug, Clone, Default)]
pub struct NetworkUnit {
    pub adapter: NetworkAdapter,
    pub functions: Vec<NetworkFunction>,
    pub ports: Vec<NetworkPort>,
}

/// A machine as its BMC tells it. The default is a machine of which nothing is known.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub profile: Profile,
    pub root: ServiceRoot,
    pub system: System,
    pub manager: Option<Manager>,
    /// The box of the system first, then backplanes.
    pub chassis: Vec<Chassis>,
    /// CPUs and GPUs.
    pub processors: Vec<Processor>,
    pub memory: Vec<Memory>,
    pub storage: Vec<StorageUnit>,
    pub network: Vec<NetworkUnit>,
    pub ethernet_interfaces: Vec<EthernetInterface>,
    pub pcie_devices: Vec<PcieDevice>,
    pub power_supplies: Vec<PowerSupply>,
    pub fans: Vec<Fan>,
    /// All states of each component; [`Firmware::is_running`] tells which runs.
    pub firmware: Vec<Firmware>,
    pub bios: Option<Bios>,
    pub secure_boot: Option<SecureBoot>,
    pub boot_options: Vec<BootOption>,
    /// Of the BMC itself.
    pub manager_interfaces: Vec<EthernetInterface>,
    /// Dell: GPUs with firmware and bus address.
    pub video: Vec<Video>,
    /// Dell: all slots, empty ones too.
    pub slots: Vec<Slot>,
    /// Dell.
    pub licences: Vec<Licence>,
    /// Dell: settings of the iDRAC.
    pub idrac_attributes: Option<DellAttributes>,
    /// Parts that could not be read at all: nothing is known of them.
    pub unread: BTreeSet<Part>,
    /// What could not be read or used, part or field.
    pub issues: Vec<Issue>,
    /// HTTP requests made.
    pub requests: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    pub duration: Duration,
}

impl Snapshot {
    /// The box of the system.
    #[must_use]
    pub fn server_chassis(&self) -> Option<&Chassis> {
        self.chassis.first().filter(|chassis| !chassis.is_backplane())
    }

    /// GPUs and other accelerators.
    pub fn accelerators(&self) -> impl Iterator<Item = &Processor> {
        self.processors.iter().filter(|processor| processor.is_accelerator())
    }
}
