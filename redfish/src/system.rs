//! `ComputerSystem`: the machine itself, its power and boot settings and where its parts are.

use std::fmt;

use serde::Deserialize;

use crate::lenient::{object, objects, opt, texts, verbatim};
use crate::odata::{Link, Oem, Status, resource};

/// A system.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct System {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(rename = "@odata.etag", deserialize_with = "opt")]
    pub etag: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    /// `PowerEdge XE9680`.
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    /// Service tag on Dell: the identity of the machine.
    #[serde(rename = "SKU", deserialize_with = "opt")]
    pub sku: Option<String>,
    /// On Dell the serial number of the *board*, not of the machine.
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    /// The UUID of the SMBIOS table.
    #[serde(rename = "UUID", deserialize_with = "opt")]
    pub uuid: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub host_name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub asset_tag: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub bios_version: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub power_state: Option<PowerState>,
    /// As the BMC writes it, zeros included: only ever compared with an earlier reading of the same BMC.
    #[serde(deserialize_with = "verbatim")]
    pub last_reset_time: Option<String>,
    #[serde(deserialize_with = "object")]
    pub boot_progress: Option<BootProgress>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub boot: Option<Boot>,
    #[serde(deserialize_with = "object")]
    pub processor_summary: Option<ProcessorSummary>,
    #[serde(deserialize_with = "object")]
    pub memory_summary: Option<MemorySummary>,
    #[serde(deserialize_with = "objects")]
    pub trusted_modules: Vec<TrustedModule>,
    #[serde(deserialize_with = "opt")]
    pub location_indicator_active: Option<bool>,
    #[serde(deserialize_with = "object")]
    pub processors: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub memory: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub storage: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub ethernet_interfaces: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub bios: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub secure_boot: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub virtual_media: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub log_services: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub links: Option<SystemLinks>,
    #[serde(deserialize_with = "object")]
    pub actions: Option<SystemActions>,
    /// Where changes are to be sent on newer services.
    #[serde(rename = "@Redfish.Settings", deserialize_with = "object")]
    pub settings: Option<Settings>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellSystemOem>>,
}

resource!(System);

impl System {
    /// Dell's part, when there is one.
    #[must_use]
    pub fn dell(&self) -> Option<&DellSystem> {
        self.oem.as_ref()?.dell.as_ref()?.system.as_ref()
    }

    /// What identifies the machine: the service tag on Dell, the serial number elsewhere, and the UUID of what has neither
    /// (virtual machines).
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        let dell = self.oem.as_ref().is_some_and(|oem| oem.dell.is_some())
            || self.manufacturer.as_deref().is_some_and(|name| name.starts_with("Dell"));
        let (first, second) = if dell { (&self.sku, &None) } else { (&self.serial_number, &self.sku) };
        first.as_deref().or(second.as_deref()).or(self.uuid.as_deref().filter(|_| !dell))
    }
}

/// `PowerState`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PowerState {
    On,
    Off,
    PoweringOn,
    PoweringOff,
    /// A word that no schema has.
    Other(String),
}

impl PowerState {
    /// On, or on its way there.
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On | Self::PoweringOn)
    }

    /// Off, or on its way there.
    #[must_use]
    pub fn is_off(&self) -> bool {
        matches!(self, Self::Off | Self::PoweringOff)
    }
}

impl From<&str> for PowerState {
    fn from(word: &str) -> Self {
        match word {
            "On" => Self::On,
            "Off" => Self::Off,
            "PoweringOn" => Self::PoweringOn,
            "PoweringOff" => Self::PoweringOff,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "On",
            Self::Off => "Off",
            Self::PoweringOn => "PoweringOn",
            Self::PoweringOff => "PoweringOff",
            Self::Other(word) => word,
        })
    }
}

impl crate::lenient::Scalar for PowerState {
    const WANTED: &'static str = "a power state";

    fn from_text(text: &str) -> crate::lenient::Reading<Self> {
        use crate::lenient::Reading;
        match String::from_text(text) {
            Reading::Value(word) => Reading::Value(Self::from(word.as_str())),
            Reading::Absent => Reading::Absent,
            Reading::Wrong => Reading::Wrong,
        }
    }
}

/// `BootProgress`; absent on iDRAC9 before 7.x.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BootProgress {
    /// `None`, `MemoryInitializationStarted`, …, `OSBootStarted`, `OSRunning`.
    #[serde(deserialize_with = "verbatim")]
    pub last_state: Option<String>,
}

/// `Boot`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Boot {
    #[serde(rename = "BootOrder", deserialize_with = "texts")]
    pub order: Vec<String>,
    #[serde(rename = "BootOptions", deserialize_with = "object")]
    pub options: Option<Link>,
    /// `Disabled`, `Once`, `Continuous`.
    #[serde(rename = "BootSourceOverrideEnabled", deserialize_with = "verbatim")]
    pub override_enabled: Option<String>,
    /// `UEFI`, `Legacy`. Read only for us: writing it, even unchanged, makes a BIOS job.
    #[serde(rename = "BootSourceOverrideMode", deserialize_with = "opt")]
    pub override_mode: Option<String>,
    /// `None` at rest.
    #[serde(rename = "BootSourceOverrideTarget", deserialize_with = "verbatim")]
    pub override_target: Option<String>,
    /// Which targets may be set here. A resource without this list does not take them.
    #[serde(rename = "BootSourceOverrideTarget@Redfish.AllowableValues", deserialize_with = "texts")]
    pub allowable_targets: Vec<String>,
    #[serde(rename = "BootSourceOverrideEnabled@Redfish.AllowableValues", deserialize_with = "texts")]
    pub allowable_enabled: Vec<String>,
}

/// `ProcessorSummary`: CPUs only, GPUs are not counted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ProcessorSummary {
    #[serde(deserialize_with = "opt")]
    pub count: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub core_count: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub logical_processor_count: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

/// `MemorySummary`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct MemorySummary {
    #[serde(rename = "TotalSystemMemoryGiB", deserialize_with = "opt")]
    pub total_gib: Option<f64>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

/// A TPM.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TrustedModule {
    #[serde(deserialize_with = "opt")]
    pub firmware_version: Option<String>,
    /// `TPM2_0`.
    #[serde(deserialize_with = "opt")]
    pub interface_type: Option<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

/// `Links` of a system.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SystemLinks {
    #[serde(deserialize_with = "objects")]
    pub chassis: Vec<Link>,
    #[serde(deserialize_with = "objects")]
    pub managed_by: Vec<Link>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellSystemLinks>>,
}

/// Dell's entry points to what the standard lacks.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DellSystemLinks {
    #[serde(rename = "DellVideoCollection", deserialize_with = "object")]
    pub video: Option<Link>,
    #[serde(rename = "DellSlotCollection", deserialize_with = "object")]
    pub slots: Option<Link>,
}

/// `Actions` of a system.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SystemActions {
    #[serde(rename = "#ComputerSystem.Reset", deserialize_with = "object")]
    pub reset: Option<ResetAction>,
}

/// An action that takes a `ResetType`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ResetAction {
    #[serde(deserialize_with = "opt")]
    pub target: Option<String>,
    #[serde(rename = "ResetType@Redfish.AllowableValues", deserialize_with = "texts")]
    pub allowable: Vec<String>,
}

/// `@Redfish.Settings`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Settings {
    #[serde(deserialize_with = "object")]
    pub settings_object: Option<Link>,
    #[serde(deserialize_with = "texts")]
    pub supported_apply_times: Vec<String>,
}

/// `Oem.Dell` of a system.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DellSystemOem {
    #[serde(rename = "DellSystem", deserialize_with = "object")]
    pub system: Option<DellSystem>,
}

/// `DellSystem`, as far as Helix reads it. Rollups are `OK`, `Degraded`, `Error` or nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellSystem {
    /// `16G Monolithic`.
    #[serde(deserialize_with = "opt")]
    pub system_generation: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub express_service_code: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub chassis_service_tag: Option<String>,
    #[serde(rename = "NodeID", deserialize_with = "opt")]
    pub node_id: Option<String>,
    /// The number that Dell's catalogues know the model by.
    #[serde(rename = "SystemID", deserialize_with = "opt")]
    pub system_id: Option<u32>,
    /// Height in rack units.
    #[serde(deserialize_with = "opt")]
    pub chassis_system_height_unit: Option<u32>,
    #[serde(rename = "MaxCPUSockets", deserialize_with = "opt")]
    pub max_cpu_sockets: Option<u32>,
    #[serde(rename = "MaxDIMMSlots", deserialize_with = "opt")]
    pub max_dimm_slots: Option<u32>,
    #[serde(rename = "PopulatedDIMMSlots", deserialize_with = "opt")]
    pub populated_dimm_slots: Option<u32>,
    #[serde(rename = "MaxPCIeSlots", deserialize_with = "opt")]
    pub max_pcie_slots: Option<u32>,
    #[serde(rename = "PopulatedPCIeSlots", deserialize_with = "opt")]
    pub populated_pcie_slots: Option<u32>,
    /// `Enabled` or `Disabled`: whether a power cap holds.
    #[serde(deserialize_with = "opt")]
    pub power_cap_enabled_state: Option<String>,
    /// Changes at each POST: when it moves, the inventory is worth reading again.
    #[serde(deserialize_with = "verbatim")]
    pub last_system_inventory_time: Option<String>,
    #[serde(rename = "CPURollupStatus", deserialize_with = "opt")]
    pub cpu_rollup_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub fan_rollup_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub intrusion_rollup_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub licensing_rollup_status: Option<String>,
    #[serde(rename = "PSRollupStatus", deserialize_with = "opt")]
    pub ps_rollup_status: Option<String>,
    #[serde(rename = "SELRollupStatus", deserialize_with = "opt")]
    pub sel_rollup_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub storage_rollup_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub sys_mem_primary_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub temp_rollup_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub volt_rollup_status: Option<String>,
}
