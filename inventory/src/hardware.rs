//! Hardware as found: what one collection over Redfish read of one server.
//!
//! Partial is normal: every field may be missing, and what could not be read stands in `issues` beside what could. A part
//! is recognised by its serial number and slot, never by its place in a list or by a Redfish id alone.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One collection.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Hardware {
    /// When the collection ended, by the controller's clock.
    pub collected_at: Option<DateTime<Utc>>,
    pub system: System,
    pub bmc: BmcFacts,
    pub boot: BootFacts,
    pub processors: Vec<Processor>,
    pub memory: Vec<MemoryModule>,
    pub gpus: Vec<Gpu>,
    pub ports: Vec<NetworkPort>,
    pub controllers: Vec<StorageController>,
    pub drives: Vec<Drive>,
    pub volumes: Vec<Volume>,
    pub power_supplies: Vec<PowerSupply>,
    pub fans: Vec<Fan>,
    pub firmware: Vec<FirmwareComponent>,
    /// What could not be read, or was unusable.
    pub issues: Vec<CollectionIssue>,
    /// What a person should know about the node's settings (wrong time zone, lockdown on), with the way to mend it.
    pub findings: Vec<Finding>,
    /// What the collection cost.
    pub cost: CollectionCost,
}

/// The server as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct System {
    pub manufacturer: Option<String>,
    /// As the BMC says it, e.g. `PowerEdge XE9680`.
    pub model: Option<String>,
    pub service_tag: Option<String>,
    /// Board serial number: not the service tag.
    pub board_serial: Option<String>,
    pub uuid: Option<String>,
    pub bios_version: Option<String>,
    pub memory_bytes: Option<u64>,
    /// `OK`, `Warning`, `Critical` as the BMC rolls it up.
    pub health: Option<String>,
    /// Server generation in Dell's words, e.g. `16G Monolithic`.
    pub generation: Option<String>,
}

/// The BMC itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct BmcFacts {
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub firmware_version: Option<String>,
    pub redfish_version: Option<String>,
    pub mac: Option<String>,
    pub time_zone: Option<String>,
    /// `Enterprise`, `Datacenter`, … when it is known.
    pub licence: Option<String>,
}

/// How the host boots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct BootFacts {
    /// `uefi` or `legacy`; `None` when the BMC does not say.
    pub mode: Option<BootMode>,
    pub secure_boot: Option<bool>,
}

/// Firmware interface the host starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BootMode {
    Uefi,
    Legacy,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Processor {
    /// `CPU.Socket.1`
    pub slot: String,
    pub model: Option<String>,
    pub cores: Option<u32>,
    pub threads: Option<u32>,
    /// PPIN on new firmware.
    pub serial: Option<String>,
    pub health: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct MemoryModule {
    /// `A3`: bank letter and number as printed on the board.
    pub slot: String,
    pub size_bytes: Option<u64>,
    pub kind: Option<String>,
    pub speed_mhz: Option<u32>,
    pub manufacturer: Option<String>,
    pub part_number: Option<String>,
    pub serial: Option<String>,
    pub health: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Gpu {
    /// FQDD, e.g. `Video.Slot.28-1`.
    pub id: String,
    /// Slot number of the FQDD. Slot order is not CUDA order.
    pub slot: Option<u32>,
    /// Position by slot number, from 0. A name for people; never used to join with NVML (quirk 82).
    pub index: u32,
    pub model: Option<String>,
    pub manufacturer: Option<String>,
    pub serial: Option<String>,
    pub part_number: Option<String>,
    /// VBIOS version.
    pub firmware_version: Option<String>,
    /// PCI address of the GPU in hexadecimal, e.g. `0000:19:00.0`, when the BMC shows its bus.
    pub pci_address: Option<String>,
    pub health: Option<String>,
}

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PortKind {
    #[default]
    Ethernet,
    InfiniBand,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct NetworkPort {
    /// FQDD of the function or port, e.g. `InfiniBand.Slot.38-1`.
    pub id: String,
    /// FQDD of the adapter.
    pub adapter: String,
    pub kind: PortKind,
    pub model: Option<String>,
    /// Lower case with colons; leading zeros restored (quirk 57).
    pub mac: Option<String>,
    pub guid: Option<String>,
    pub link_up: Option<bool>,
    pub speed_gbps: Option<u32>,
    pub serial: Option<String>,
    pub firmware_version: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct StorageController {
    pub id: String,
    pub model: Option<String>,
    pub firmware_version: Option<String>,
    /// Boot-optimised storage.
    pub boss: bool,
    pub health: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Drive {
    pub id: String,
    pub controller: String,
    pub slot: Option<u32>,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub size_bytes: Option<u64>,
    /// `SSD`, `HDD`
    pub media: Option<String>,
    /// `PCIe`, `SATA`, `SAS`
    pub protocol: Option<String>,
    pub firmware_version: Option<String>,
    pub boss: bool,
    pub health: Option<String>,
    pub life_left_percent: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Volume {
    pub id: String,
    pub controller: String,
    pub name: Option<String>,
    pub raid: Option<String>,
    pub size_bytes: Option<u64>,
    pub boss: bool,
    pub health: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct PowerSupply {
    pub slot: String,
    pub model: Option<String>,
    pub serial: Option<String>,
    /// Rated output.
    pub capacity_watts: Option<u32>,
    pub firmware_version: Option<String>,
    pub health: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Fan {
    pub slot: String,
    pub health: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct FirmwareComponent {
    /// FQDD of the part, or the Redfish id where there is none.
    pub target: String,
    pub name: Option<String>,
    pub version: Option<String>,
    /// Dell's component id; `None` when the part has none (Redfish says 0).
    pub component_id: Option<u32>,
    pub updateable: bool,
}

/// One thing that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CollectionIssue {
    /// Which part of the hardware is incomplete because of it, e.g. `gpus`, `memory`.
    pub section: String,
    /// Redfish path.
    pub resource: String,
    /// Field, when a single one was unusable.
    pub field: Option<String>,
    pub problem: String,
}

/// One thing about the node's settings that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// Stable code, e.g. `bmc_time_zone_not_utc`.
    pub code: String,
    pub message: String,
    /// What mends it.
    pub next: String,
}

/// What a collection cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CollectionCost {
    pub requests: u32,
    pub bytes: u64,
    pub duration_ms: u64,
}

impl Hardware {
    /// Whether a section was read without a gap: only then may a missing part be called gone.
    #[must_use]
    pub fn section_is_complete(&self, section: &str) -> bool {
        !self.issues.iter().any(|issue| issue.field.is_none() && (issue.section == section || issue.section == "all"))
    }

    /// GPUs in words for a table: `8× NVIDIA H100 80GB HBM3`, or nothing when there are none.
    #[must_use]
    pub fn gpu_summary(&self) -> Option<String> {
        let first = self.gpus.first()?;
        let model = first.model.clone().unwrap_or_else(|| "GPU".to_owned());
        Some(format!("{}× {model}", self.gpus.len()))
    }

    /// Digest over the facts that a provision plan rests on: identity, boot mode, where the root disk can be. Two
    /// collections with the same digest lead to the same plan.
    #[must_use]
    pub fn provision_digest(&self) -> String {
        let mut drives: Vec<_> = self.drives.iter().map(|d| (&d.id, &d.serial, d.size_bytes, d.boss)).collect();
        drives.sort();
        let mut volumes: Vec<_> = self.volumes.iter().map(|v| (&v.id, v.size_bytes, v.boss)).collect();
        volumes.sort();
        let facts = (&self.system.service_tag, &self.system.model, &self.boot, drives, volumes);
        let text = serde_json::to_string(&facts).unwrap_or_default();
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_unusable_field_does_not_make_a_section_incomplete() {
        let mut hardware = Hardware::default();
        let issue = |field: Option<&str>| CollectionIssue {
            section: "gpus".into(),
            resource: "/redfish/v1/Systems/System.Embedded.1/Processors".into(),
            field: field.map(Into::into),
            problem: "number expected".into(),
        };
        hardware.issues.push(issue(Some("SerialNumber")));
        assert!(hardware.section_is_complete("gpus"));
        hardware.issues.push(issue(None));
        assert!(!hardware.section_is_complete("gpus"));
        assert!(hardware.section_is_complete("memory"));
    }

    #[test]
    fn the_order_of_drives_does_not_change_the_plan_digest() {
        let drive = |id: &str| Drive { id: id.into(), serial: Some(id.into()), ..Drive::default() };
        let one = Hardware { drives: vec![drive("a"), drive("b")], ..Hardware::default() };
        let two = Hardware { drives: vec![drive("b"), drive("a")], ..Hardware::default() };
        let three = Hardware { drives: vec![drive("b")], ..Hardware::default() };
        assert_eq!(one.provision_digest(), two.provision_digest());
        assert_ne!(one.provision_digest(), three.provision_digest());
    }
}
