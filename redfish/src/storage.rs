//! `Storage`, `StorageController`, `Drive`, `Volume`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{list, object, objects, opt};
use crate::odata::{Link, Oem, Status, resource};

/// A storage subsystem: a RAID or HBA controller, a BOSS card, or the NVMe drives wired to the CPUs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Storage {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `BOSS.SL.12-1`, `RAID.SL.3-1`, `CPU.1`.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "objects")]
    pub drives: Vec<Link>,
    #[serde(deserialize_with = "object")]
    pub volumes: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub controllers: Option<Link>,
    /// The older way to list controllers, inside the storage resource.
    #[serde(deserialize_with = "objects")]
    pub storage_controllers: Vec<StorageController>,
}

resource!(Storage, StorageController, Drive, Volume);

/// What an expanded storage resource brings along, still raw: references or whole members.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", bound = "'de: 'a")]
pub(crate) struct StorageContents<'a> {
    #[serde(borrow)]
    pub(crate) drives: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(crate) controllers: Option<&'a RawValue>,
}

/// A storage controller.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct StorageController {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(rename = "Id", deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub firmware_version: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    #[serde(rename = "SupportedRAIDTypes", deserialize_with = "list")]
    pub supported_raid_types: Vec<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

/// A drive.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Drive {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `Disk.Bay.0:Enclosure.Internal.0-1`.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub capacity_bytes: Option<u64>,
    /// 0 on directly wired NVMe: never divide by it.
    #[serde(deserialize_with = "opt")]
    pub block_size_bytes: Option<u64>,
    /// `SSD`, `HDD`.
    #[serde(deserialize_with = "opt")]
    pub media_type: Option<String>,
    /// `PCIe` (also for NVMe), `SATA`, `SAS`.
    #[serde(deserialize_with = "opt")]
    pub protocol: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    /// Firmware.
    #[serde(deserialize_with = "opt")]
    pub revision: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub predicted_media_life_left_percent: Option<f64>,
    #[serde(deserialize_with = "opt")]
    pub failure_predicted: Option<bool>,
    #[serde(rename = "RotationSpeedRPM", deserialize_with = "opt")]
    pub rotation_speed_rpm: Option<f64>,
    #[serde(deserialize_with = "opt")]
    pub hotspare_type: Option<String>,
    #[serde(deserialize_with = "objects")]
    pub identifiers: Vec<Identifier>,
    #[serde(deserialize_with = "object")]
    pub physical_location: Option<PhysicalLocation>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellDriveOem>>,
}

/// A world-wide name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Identifier {
    #[serde(deserialize_with = "opt")]
    pub durable_name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub durable_name_format: Option<String>,
}

/// Where a part sits.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PhysicalLocation {
    #[serde(deserialize_with = "object")]
    pub part_location: Option<PartLocation>,
}

/// `PartLocation`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PartLocation {
    #[serde(deserialize_with = "opt")]
    pub location_ordinal_value: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub location_type: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub service_label: Option<String>,
}

/// `Oem.Dell` of a drive: one of the two, or both with the useless one full of nulls.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DellDriveOem {
    #[serde(rename = "DellPhysicalDisk", deserialize_with = "object")]
    pub physical_disk: Option<DellDrive>,
    #[serde(rename = "DellPCIeSSD", deserialize_with = "object")]
    pub pcie_ssd: Option<DellDrive>,
}

/// What `DellPhysicalDisk` and `DellPCIeSSD` have in common.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellDrive {
    /// `Online`, `Ready`, `Failed`, …
    #[serde(deserialize_with = "opt")]
    pub raid_status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub drive_form_factor: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub available_spare_percent: Option<f64>,
    #[serde(deserialize_with = "opt")]
    pub slot: Option<u32>,
}

/// A volume: a RAID volume, or a bare drive told as one.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Volume {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `Disk.Virtual.0:BOSS.SL.12-1`; the id of the drive for a bare one.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub capacity_bytes: Option<u64>,
    #[serde(rename = "RAIDType", deserialize_with = "opt")]
    pub raid_type: Option<String>,
    /// `RawDevice` for a bare drive.
    #[serde(deserialize_with = "opt")]
    pub volume_type: Option<String>,
    #[serde(deserialize_with = "objects")]
    pub identifiers: Vec<Identifier>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub links: Option<VolumeLinks>,
}

/// `Links` of a volume.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VolumeLinks {
    #[serde(deserialize_with = "objects")]
    pub drives: Vec<Link>,
}
