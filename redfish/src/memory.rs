//! `Memory`: a memory module. Only populated slots are listed.

use serde::Deserialize;

use crate::lenient::{list, object, opt};
use crate::odata::{Oem, Status, resource};

/// A memory module.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Memory {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `DIMM.Socket.A1`.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    /// `DIMM A1`.
    #[serde(deserialize_with = "opt")]
    pub device_locator: Option<String>,
    #[serde(rename = "CapacityMiB", deserialize_with = "opt")]
    pub capacity_mib: Option<u64>,
    /// `DDR5`.
    #[serde(deserialize_with = "opt")]
    pub memory_device_type: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub base_module_type: Option<String>,
    #[serde(rename = "OperatingSpeedMhz", deserialize_with = "opt")]
    pub operating_speed_mhz: Option<u32>,
    #[serde(rename = "AllowedSpeedsMHz", deserialize_with = "list")]
    pub allowed_speeds_mhz: Vec<u32>,
    #[serde(deserialize_with = "opt")]
    pub rank_count: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub error_correction: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellMemoryOem>>,
}

resource!(Memory);

/// `Oem.Dell` of a module.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DellMemoryOem {
    #[serde(rename = "DellMemory", deserialize_with = "object")]
    pub memory: Option<DellMemory>,
}

/// `DellMemory`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellMemory {
    /// Text such as `Mon Apr 19 07:00:00 2021 UTC`.
    #[serde(deserialize_with = "opt")]
    pub manufacture_date: Option<String>,
}
