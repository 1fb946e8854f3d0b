//! A Redfish client for Dell iDRAC and other BMCs: sessions, pinned certificates, jobs, virtual media.
//!
//! Start with one [`Tls`] for the whole fleet, [`Client::probe`] an address, then build a [`Client`] with what is known of it:
//! certificate ([`Pin`]), [`Credentials`], and a [`LoginGate`] that counts refused logins. [`Client::collect`] reads a whole
//! machine; the other methods of [`Client`] each do one thing. Nothing here waits for a machine: who drives a long piece of work
//! polls, and survives restarts.
//!
//! It returns Redfish-shaped values and knows neither an inventory nor a database. Errors are told apart by MessageId
//! ([`RedfishError::class`]), because the HTTP status of a BMC says little.

mod address;
mod bios;
mod bmc;
mod boot;
mod boot_option;
mod chassis;
mod client;
mod collect;
pub mod dell;
mod error;
mod ethernet_interface;
mod fan;
mod firmware;
mod gate;
mod lenient;
pub mod limits;
mod log_entry;
mod memory;
pub mod message;
mod network;
mod odata;
mod operation;
mod pcie;
mod power;
mod power_supply;
mod processor;
mod profile;
mod read;
mod secure_boot;
mod service_root;
mod session;
mod settings;
mod snapshot;
mod storage;
mod system;
mod task;
mod tls;
mod transport;
mod virtual_media;

pub use address::{AddressError, BmcAddress, DEFAULT_PORT};
pub use bios::Bios;
pub use bmc::{DellManagerLinks, Manager, ManagerActions, ManagerLinks};
pub use boot::{BootOverride, BootTarget};
pub use boot_option::BootOption;
pub use chassis::{Chassis, ChassisLinks, PhysicalSecurity};
pub use client::{Client, ClientBuilder, Probe};
pub use error::{RedfishError, Refusal, Unreachable};
pub use ethernet_interface::{EthernetInterface, Ipv4Address};
pub use fan::{Fan, FanSpeed};
pub use firmware::{DellFirmwareId, DellFirmwareOem, DellSoftwareInventory, Firmware, FirmwareState};
pub use gate::{LoginGate, LoginOutcome, LoginStopped, OpenGate};
pub use lenient::{AttributeValue, Attributes};
pub use limits::Limits;
pub use log_entry::{DellLogEntry, Log, LogEntry, LogLinks};
pub use memory::{DellMemory, DellMemoryOem, Memory};
pub use message::{Class, Message};
pub use network::{
    AdapterController, ControllerLinks, DellFunctionOem, DellInfiniBandPortMetrics, DellNetworkDevice, DellPortOem,
    FunctionEthernet, FunctionInfiniBand, FunctionLinks, LldpReceive, NetworkAdapter, NetworkFunction, NetworkPort,
    PortEthernet, Transceiver,
};
pub use odata::{Issue, Link, Oem, Resource, Status, natural};
pub use operation::{Handle, LongOperation};
pub use pcie::{PcieDevice, PcieInterface, PcieSlot};
pub use power::{MachineState, ResetType};
pub use power_supply::PowerSupply;
pub use processor::{Processor, ProcessorId, ProcessorLinks};
pub use profile::{Generation, Profile};
pub use read::{Members, Read};
pub use secure_boot::SecureBoot;
pub use service_root::{DellServiceRoot, ExpandQuery, ProtocolFeatures, RootLinks, ServiceRoot};
pub use session::Credentials;
pub use settings::BootFacts;
pub use snapshot::{NetworkUnit, Part, Snapshot, StorageUnit};
pub use storage::{
    DellDrive, DellDriveOem, Drive, Identifier, PartLocation, PhysicalLocation, Storage, StorageController, Volume,
    VolumeLinks,
};
pub use system::{
    Boot, BootProgress, DellSystem, DellSystemLinks, DellSystemOem, MemorySummary, PowerState, ProcessorSummary,
    ResetAction, Settings, System, SystemActions, SystemLinks, TrustedModule,
};
pub use task::Task;
pub use tls::{Fingerprint, FingerprintError, Pin, Tls};
pub use virtual_media::{MediaSlot, MediaState, VirtualMedia};
