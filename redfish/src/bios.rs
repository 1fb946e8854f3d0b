//! `Bios` and its pending settings.

use serde::Deserialize;

use crate::lenient::{Attributes, attributes, object, opt};
use crate::odata::resource;
use crate::system::Settings;

/// BIOS settings: the present ones, or of the settings object the pending ones only.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Bios {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(rename = "@odata.etag", deserialize_with = "opt")]
    pub etag: Option<String>,
    /// `BiosAttributeRegistry.v1_0_3`.
    #[serde(deserialize_with = "opt")]
    pub attribute_registry: Option<String>,
    /// The set differs between models: no name can be relied on.
    #[serde(deserialize_with = "attributes")]
    pub attributes: Attributes,
    #[serde(rename = "@Redfish.Settings", deserialize_with = "object")]
    pub settings: Option<Settings>,
}

resource!(Bios);

impl Bios {
    /// `BootMode`: `Uefi` or `Bios`; `None` where the attribute does not exist (iDRAC10 knows UEFI only).
    #[must_use]
    pub fn boot_mode(&self) -> Option<&str> {
        self.attributes.get("BootMode")?.as_str()
    }
}
