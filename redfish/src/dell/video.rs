//! `DellVideo`: what the standard's GPU lacks (VBIOS version, bus address, board part number).

use serde::Deserialize;

use crate::lenient::opt;
use crate::odata::resource;

/// A GPU as the iDRAC's own inventory sees it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Video {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `Video.Slot.21-1`: the id of the processor.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    /// `GPU Controller in Slot 2 of Instance 1`.
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub marketing_name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub board_part_number: Option<String>,
    #[serde(rename = "GPUPartNumber", deserialize_with = "opt")]
    pub gpu_part_number: Option<String>,
    /// VBIOS.
    #[serde(deserialize_with = "opt")]
    pub firmware_version: Option<String>,
    /// 32 hexadecimal digits, of which some firmware loses a leading zero: compare serial numbers instead.
    #[serde(rename = "GPUGUID", deserialize_with = "opt")]
    pub gpu_guid: Option<String>,
    /// `OK`, `Degraded`, `Critical`.
    #[serde(rename = "GPUHealth", deserialize_with = "opt")]
    pub gpu_health: Option<String>,
    #[serde(rename = "GPUState", deserialize_with = "opt")]
    pub gpu_state: Option<String>,
    /// PCI bus, decimal.
    #[serde(deserialize_with = "opt")]
    pub bus_number: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub device_number: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub function_number: Option<u32>,
    /// Hexadecimal without prefix.
    #[serde(rename = "PCIVendorID", deserialize_with = "opt")]
    pub pci_vendor_id: Option<String>,
    #[serde(rename = "PCIDeviceID", deserialize_with = "opt")]
    pub pci_device_id: Option<String>,
    #[serde(rename = "PCISubVendorID", deserialize_with = "opt")]
    pub pci_sub_vendor_id: Option<String>,
    #[serde(rename = "PCISubDeviceID", deserialize_with = "opt")]
    pub pci_sub_device_id: Option<String>,
}

resource!(Video);
