//! What a machine says of itself: the facts that the ramdisk and the agent read in band.
//!
//! Shared by the deploy and the agent protocol. Filled by `helix-agent`; never trusted for identity alone (a token is
//! always needed as well).

use serde::{Deserialize, Serialize};

/// Identity and fittings of a machine as its own kernel shows them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MachineFacts {
    /// SMBIOS type 1 manufacturer, e.g. `Dell Inc.`.
    pub manufacturer: Option<String>,
    /// SMBIOS type 1 product name, e.g. `PowerEdge XE9680`.
    pub product: Option<String>,
    /// SMBIOS type 1 serial number: on a PowerEdge the service tag.
    pub service_tag: Option<String>,
    /// SMBIOS system UUID, lower case with dashes.
    pub uuid: Option<String>,
    /// Whether the machine was started by UEFI firmware.
    pub uefi: bool,
    /// Whether Secure Boot is enforced; `None` when it cannot be read.
    pub secure_boot: Option<bool>,
    /// BIOS version string.
    pub bios_version: Option<String>,
    /// Online logical processors.
    pub logical_processors: u32,
    /// Installed memory as the kernel sees it, bytes.
    pub memory_bytes: u64,
    /// Ethernet and InfiniBand network interfaces.
    #[serde(default)]
    pub nics: Vec<NicFacts>,
    /// Block devices that are whole disks.
    #[serde(default)]
    pub disks: Vec<DiskFacts>,
}

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NicFacts {
    /// Kernel name, e.g. `eno1`. Never a key: names change with the kernel and the slot.
    pub name: String,
    /// Permanent MAC address, lower case with colons.
    pub mac: String,
    /// Whether a link partner is seen; `None` when the interface is down.
    pub carrier: Option<bool>,
    /// Kernel driver, e.g. `mlx5_core`.
    pub driver: Option<String>,
    /// PCI address, e.g. `0000:1a:00.0`.
    pub pci_address: Option<String>,
    /// Link speed, megabits a second.
    pub speed_mbps: Option<u32>,
    /// Addresses with prefix length, e.g. `10.0.7.21/24`.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// One whole disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiskFacts {
    /// Kernel name without `/dev/`, e.g. `nvme0n1`.
    pub name: String,
    /// Stable link below `/dev/disk/by-id/`, when there is one.
    pub by_id: Option<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    /// Capacity, bytes.
    pub size_bytes: u64,
    /// `nvme`, `sata`, `sas`, `virtio`, `usb`, …
    pub transport: Option<String>,
    pub removable: bool,
    pub read_only: bool,
    /// The device is Dell's boot-optimised storage (BOSS), by PCI id or model string.
    pub boss: bool,
    /// What holds the device: member of md, multipath, device mapper …
    #[serde(default)]
    pub holders: Vec<String>,
    /// What lies on it, in words: `GPT: ESP (vfat 7A1B-2C3D), ext4 "root"`.
    #[serde(default)]
    pub content: Vec<String>,
}
