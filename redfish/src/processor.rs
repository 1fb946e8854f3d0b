//! `Processor`: CPUs, GPUs and other accelerators.

use serde::Deserialize;

use crate::lenient::{object, objects, opt};
use crate::odata::{Link, Status, resource};

/// A processor.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Processor {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `CPU.Socket.1`, `Video.Slot.21-1`.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    /// `CPU`, `GPU`, `Accelerator`, `FPGA`.
    #[serde(deserialize_with = "opt")]
    pub processor_type: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub socket: Option<String>,
    /// GPUs only on Dell.
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub firmware_version: Option<String>,
    #[serde(rename = "UUID", deserialize_with = "opt")]
    pub uuid: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub total_cores: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub total_enabled_cores: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub total_threads: Option<u32>,
    #[serde(rename = "MaxSpeedMHz", deserialize_with = "opt")]
    pub max_speed_mhz: Option<u32>,
    #[serde(rename = "OperatingSpeedMHz", deserialize_with = "opt")]
    pub operating_speed_mhz: Option<u32>,
    #[serde(deserialize_with = "object")]
    pub processor_id: Option<ProcessorId>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub links: Option<ProcessorLinks>,
}

resource!(Processor);

/// `ProcessorId`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ProcessorId {
    /// `0xD0003D1`.
    #[serde(deserialize_with = "opt")]
    pub microcode_info: Option<String>,
    /// The number burnt into a CPU, where the BIOS shows it.
    #[serde(deserialize_with = "opt")]
    pub protected_identification_number: Option<String>,
}

/// `Links` of a processor.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ProcessorLinks {
    #[serde(rename = "PCIeDevice", deserialize_with = "object")]
    pub pcie_device: Option<Link>,
    #[serde(rename = "PCIeFunctions", deserialize_with = "objects")]
    pub pcie_functions: Vec<Link>,
}

impl Processor {
    /// Whether this is a GPU or another accelerator. By type, and by id where the type is missing.
    #[must_use]
    pub fn is_accelerator(&self) -> bool {
        match self.processor_type.as_deref() {
            Some(kind) => matches!(kind, "GPU" | "Accelerator"),
            None => self.id.as_deref().is_some_and(|id| id.starts_with("Video.") || id.starts_with("ProcAccelerator.")),
        }
    }
}
