//! `SoftwareInventory`: one entry per component and, on Dell, per state of it (running, rollback, available).

use serde::Deserialize;

use crate::lenient::{object, opt};
use crate::odata::{Oem, Status, resource};

/// A firmware or software entry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Firmware {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// On Dell it holds the version, so it changes with every update: never a key.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub version: Option<String>,
    /// Dell's component id in decimal; absent or 0 for third-party parts.
    #[serde(deserialize_with = "opt")]
    pub software_id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub updateable: Option<bool>,
    #[serde(deserialize_with = "opt")]
    pub release_date: Option<String>,
    #[serde(deserialize_with = "object")]
    pub status: Option<Status>,
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellFirmwareOem>>,
}

resource!(Firmware);

/// `Oem.Dell` of an entry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DellFirmwareOem {
    #[serde(rename = "DellSoftwareInventory", deserialize_with = "object")]
    pub inventory: Option<DellSoftwareInventory>,
}

/// `DellSoftwareInventory`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellSoftwareInventory {
    /// `BIOS`, `FRMW`, `APAC`, `DRVR`.
    #[serde(deserialize_with = "opt")]
    pub component_type: Option<String>,
    /// `Installed`, `AvailableForInstallation`.
    #[serde(deserialize_with = "opt")]
    pub status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub installation_date: Option<String>,
    #[serde(rename = "VendorID", deserialize_with = "opt")]
    pub vendor_id: Option<String>,
    #[serde(rename = "DeviceID", deserialize_with = "opt")]
    pub device_id: Option<String>,
    #[serde(rename = "SubVendorID", deserialize_with = "opt")]
    pub sub_vendor_id: Option<String>,
    #[serde(rename = "SubDeviceID", deserialize_with = "opt")]
    pub sub_device_id: Option<String>,
}

/// Which image of a component an entry tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FirmwareState {
    /// Running.
    Installed,
    /// The running version, kept to be installed again.
    Current,
    /// What a rollback would bring back.
    Previous,
    /// A package in the BMC's store.
    Available,
}

/// A Dell entry id taken apart: `Installed-159-1.8.2__BIOS.Setup.1-1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DellFirmwareId<'a> {
    pub state: FirmwareState,
    /// Decimal component id, `0` when the part has none.
    pub component: &'a str,
    pub version: &'a str,
    pub fqdd: &'a str,
}

impl<'a> DellFirmwareId<'a> {
    /// Takes an id apart at the first two `-` and the last `__`: versions hold `-`, device names hold `:`.
    #[must_use]
    pub fn parse(id: &'a str) -> Option<Self> {
        let (state, rest) = id.split_once('-')?;
        let (component, rest) = rest.split_once('-')?;
        let (version, fqdd) = rest.rsplit_once("__")?;
        let state = match state {
            "Installed" => FirmwareState::Installed,
            "Current" => FirmwareState::Current,
            "Previous" => FirmwareState::Previous,
            "Available" => FirmwareState::Available,
            _ => return None,
        };
        Some(Self { state, component, version, fqdd })
    }
}

impl Firmware {
    /// The Dell id taken apart; `None` on other services.
    #[must_use]
    pub fn dell_id(&self) -> Option<DellFirmwareId<'_>> {
        self.id.as_deref().and_then(DellFirmwareId::parse)
    }

    /// Whether this is what runs now. Elsewhere than on Dell every entry is.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.dell_id().is_none_or(|id| id.state == FirmwareState::Installed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firmware_id_is_taken_apart_though_versions_hold_dashes() {
        let id = DellFirmwareId::parse("Installed-0-8.8.0.0.18-26__RAID.SL.3-1").unwrap();
        assert_eq!((id.component, id.version, id.fqdd), ("0", "8.8.0.0.18-26", "RAID.SL.3-1"));
        let id = DellFirmwareId::parse("Previous-25227-7.10.70.00__iDRAC.Embedded.1-1").unwrap();
        assert_eq!((id.state, id.component), (FirmwareState::Previous, "25227"));
        assert_eq!(DellFirmwareId::parse("HGX_FW_GPU_SXM_1"), None);
    }
}
