//! `PowerSubsystem` and its `PowerSupply` members.

use serde::Deserialize;

use crate::lenient::{object, opt};
use crate::odata::{Link, Status, resource};

/// `PowerSubsystem`, as far as it leads to the supplies.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct PowerSubsystem {
    #[serde(deserialize_with = "object")]
    pub(crate) power_supplies: Option<Link>,
}

/// A power supply.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PowerSupply {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `PSU.Slot.1`.
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
    /// The rating in watts.
    #[serde(deserialize_with = "opt")]
    pub power_capacity_watts: Option<f64>,
    #[serde(deserialize_with = "opt")]
    pub input_nominal_voltage_type: Option<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

resource!(PowerSupply);
