//! `PCIeDevice`. Its link figures are the slot's, not the card's, and bus numbers change with settings and cards.

use serde::Deserialize;

use crate::lenient::{object, opt};
use crate::odata::{Status, resource};
use crate::storage::PhysicalLocation;

/// A PCIe device.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PcieDevice {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `<bus>-<device>` decimal on iDRAC9, `<segment>-<bus>-<device>` on iDRAC10.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub firmware_version: Option<String>,
    #[serde(deserialize_with = "object")]
    pub slot: Option<PcieSlot>,
    #[serde(rename = "PCIeInterface", deserialize_with = "object")]
    pub interface: Option<PcieInterface>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

resource!(PcieDevice);

/// `Slot`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PcieSlot {
    #[serde(rename = "Lanes", deserialize_with = "opt")]
    pub lanes: Option<u32>,
    #[serde(rename = "PCIeType", deserialize_with = "opt")]
    pub pcie_type: Option<String>,
    #[serde(rename = "SlotType", deserialize_with = "opt")]
    pub slot_type: Option<String>,
    #[serde(rename = "Location", deserialize_with = "object")]
    pub location: Option<PhysicalLocation>,
}

/// `PCIeInterface`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PcieInterface {
    #[serde(rename = "PCIeType", deserialize_with = "opt")]
    pub pcie_type: Option<String>,
    #[serde(rename = "MaxPCIeType", deserialize_with = "opt")]
    pub max_pcie_type: Option<String>,
    #[serde(rename = "LanesInUse", deserialize_with = "opt")]
    pub lanes_in_use: Option<u32>,
    #[serde(rename = "MaxLanes", deserialize_with = "opt")]
    pub max_lanes: Option<u32>,
}
