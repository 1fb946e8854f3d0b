//! `ThermalSubsystem` and its `Fan` members.

use serde::Deserialize;

use crate::lenient::{object, opt};
use crate::odata::{Link, Status, resource};
use crate::storage::PhysicalLocation;

/// `ThermalSubsystem`, as far as it leads to the fans.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct ThermalSubsystem {
    #[serde(deserialize_with = "object")]
    pub(crate) fans: Option<Link>,
}

/// A fan.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Fan {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `Fan.Embedded.1A`.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "object")]
    pub speed_percent: Option<FanSpeed>,
    #[serde(deserialize_with = "object")]
    pub location: Option<PhysicalLocation>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
}

resource!(Fan);

/// `SpeedPercent`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FanSpeed {
    #[serde(rename = "SpeedRPM", deserialize_with = "opt")]
    pub speed_rpm: Option<f64>,
    #[serde(rename = "Reading", deserialize_with = "opt")]
    pub percent: Option<f64>,
}
