//! `Chassis`: the box, and every backplane in it as a chassis of its own.

use serde::Deserialize;

use crate::lenient::{object, objects, opt};
use crate::odata::{Link, Status, resource};

/// A chassis.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Chassis {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    /// `RackMount`, `StorageEnclosure`, …
    #[serde(deserialize_with = "opt")]
    pub chassis_type: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub manufacturer: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub model: Option<String>,
    #[serde(rename = "SKU", deserialize_with = "opt")]
    pub sku: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub serial_number: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub part_number: Option<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub physical_security: Option<PhysicalSecurity>,
    #[serde(deserialize_with = "object")]
    pub network_adapters: Option<Link>,
    #[serde(rename = "PCIeDevices", deserialize_with = "object_or_first_list")]
    pub pcie_devices: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub power_subsystem: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub thermal_subsystem: Option<Link>,
    #[serde(deserialize_with = "object")]
    pub links: Option<ChassisLinks>,
}

resource!(Chassis);

/// `PhysicalSecurity`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PhysicalSecurity {
    /// `Normal`, `HardwareIntrusion`.
    #[serde(deserialize_with = "opt")]
    pub intrusion_sensor: Option<String>,
}

/// `Links` of a chassis.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ChassisLinks {
    #[serde(deserialize_with = "objects")]
    pub computer_systems: Vec<Link>,
}

impl Chassis {
    /// Whether this is the box of the given system. Never the first of the list: that may be a backplane.
    #[must_use]
    pub fn holds(&self, system: &str) -> bool {
        self.links.as_ref().is_some_and(|links| links.computer_systems.iter().any(|link| link.uri() == Some(system)))
            && !self.is_backplane()
    }

    /// Whether this is a backplane or an external enclosure of drives.
    #[must_use]
    pub fn is_backplane(&self) -> bool {
        self.chassis_type.as_deref() == Some("StorageEnclosure")
            || self.id.as_deref().is_some_and(|id| id.starts_with("Enclosure."))
    }
}

/// The standard has a link here; some services list the devices in its place, and then there is no collection to follow.
fn object_or_first_list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Link>, D::Error> {
    let links: Vec<Link> = objects(deserializer)?;
    Ok(if links.len() == 1 { links.into_iter().next() } else { None })
}
