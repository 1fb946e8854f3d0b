//! `DellSlots`: every slot with what is in it, empty ones too.

use serde::Deserialize;

use crate::lenient::opt;
use crate::odata::resource;

/// A slot.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Slot {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    /// `DIMM`, `Fan`, `PCI-E`, `PhysicalDisk`, `Processor`, `PowerSupply`.
    #[serde(deserialize_with = "opt")]
    pub connector_layout: Option<String>,
    /// Of a card with two functions the last one.
    #[serde(rename = "DeviceFQDD", deserialize_with = "opt")]
    pub device_fqdd: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub empty_slot: Option<bool>,
    #[serde(deserialize_with = "opt")]
    pub number: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub number_description: Option<String>,
}

resource!(Slot);
