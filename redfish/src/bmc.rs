//! `Manager`, as the standard calls a BMC: the BMC itself.

use serde::Deserialize;

use crate::lenient::{object, objects, opt, verbatim};
use crate::odata::{Link, Oem, Status, resource};
use crate::system::ResetAction;

/// A BMC.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Manager {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    /// `16G Monolithic` on Dell: the generation of the box, not of the BMC.
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub firmware_version: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manager_type: Option<String>,
    #[serde(rename = "UUID", deserialize_with = "opt")]
    pub uuid: Option<String>,
    /// The BMC's clock as it shows it.
    #[serde(deserialize_with = "opt")]
    pub date_time: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub date_time_local_offset: Option<String>,
    /// Factory setting of an iDRAC: `CST6CDT`.
    #[serde(deserialize_with = "opt")]
    pub time_zone_name: Option<String>,
    #[serde(deserialize_with = "verbatim")]
    pub last_reset_time: Option<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub ethernet_interfaces: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub virtual_media: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub log_services: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub links: Option<ManagerLinks>,
    #[serde(deserialize_with = "object")]
    pub actions: Option<ManagerActions>,
}

resource!(Manager);

/// `Links` of a manager.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ManagerLinks {
    #[serde(deserialize_with = "objects")]
    pub manager_for_servers: Vec<Link>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellManagerLinks>>,
}

/// Dell's entry points.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DellManagerLinks {
    #[serde(rename = "DellAttributes", deserialize_with = "objects")]
    pub attributes: Vec<Link>,
    #[serde(rename = "DellLCService", deserialize_with = "object")]
    pub lc_service: Option<Link>,
    #[serde(rename = "Jobs", deserialize_with = "object")]
    pub jobs: Option<Link>,
    #[serde(rename = "DellLicenseCollection", deserialize_with = "object")]
    pub licences: Option<Link>,
}

/// `Actions` of a manager.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ManagerActions {
    #[serde(rename = "#Manager.Reset", deserialize_with = "object")]
    pub reset: Option<ResetAction>,
}
