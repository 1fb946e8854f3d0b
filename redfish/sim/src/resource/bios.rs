//! BIOS attributes, their pending values and registry, and Secure Boot.

use serde_json::{Value, json};

use super::{MANAGER, SYSTEM, View, document, link};
use crate::machine::bios;

/// Name under which the attribute registry is found.
pub const REGISTRY: &str = "BiosAttributeRegistry.v1_0_0";

/// `Bios`, `Bios/Settings`, `Bios/BiosRegistry`.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/Bios");
    match segments {
        [] => Some(document(
            path.clone(),
            "Bios",
            "v1_2_3",
            "Bios",
            "BIOS Configuration Current Settings",
            json!({
                "@Redfish.Settings": {
                    "@odata.context": "/redfish/v1/$metadata#Settings.Settings",
                    "@odata.type": "#Settings.v1_3_5.Settings",
                    "SettingsObject": link(format!("{path}/Settings")),
                    "SupportedApplyTimes": ["OnReset", "AtMaintenanceWindowStart", "InMaintenanceWindowOnReset"],
                },
                "Actions": {"#Bios.ResetBios": {"target": format!("{path}/Actions/Bios.ResetBios")}},
                "AttributeRegistry": REGISTRY,
                "Attributes": bios::current(view.state, &view.hardware, &view.tag),
                "Description": "BIOS Configuration Current Settings",
                "Links": {"ActiveSoftwareImage": link(super::firmware::installed_bios(view))},
                "ResetBiosToDefaultsPending": false,
            }),
        )),
        ["Settings"] => {
            let mut pending = view.state.kept.bios_pending.clone();
            if let Some(order) = &view.state.kept.boot_order_pending {
                pending.insert("SetBootOrderEn".to_owned(), json!(order.join(",")));
            }
            Some(document(
                format!("{path}/Settings"),
                "Bios",
                "v1_2_3",
                "Settings",
                "BIOS Configuration Pending Settings",
                json!({
                    "Actions": {"Oem": {"#DellManager.ClearPending": {
                        "target": format!("{path}/Settings/Actions/Oem/DellManager.ClearPending"),
                    }}},
                    "AttributeRegistry": REGISTRY,
                    "Attributes": pending,
                    "Description": "BIOS Configuration Pending Settings. These settings will be applied on next system reboot.",
                    "Oem": {"Dell": {
                        "@odata.context": "/redfish/v1/$metadata#DellManager.DellManager",
                        "@odata.type": "#DellManager.v1_3_0.DellManager",
                        "Jobs": link(format!("{MANAGER}/Oem/Dell/Jobs")),
                    }},
                }),
            ))
        }
        ["BiosRegistry"] => Some(document(
            format!("{path}/BiosRegistry"),
            "AttributeRegistry",
            "v1_3_3",
            REGISTRY,
            "BIOS Attribute Registry",
            json!({
                "Description": "This registry defines a representation of BIOS Attribute instances",
                "Language": "en",
                "OwningEntity": "Dell Inc.",
                "RegistryEntries": {
                    "Attributes": bios::registry(&bios::current(view.state, &view.hardware, &view.tag)),
                    "Dependencies": [],
                    "Menus": [{"DisplayName": "System BIOS Settings", "DisplayOrder": 0, "Hidden": false, "MenuName": "SetupMain", "MenuPath": "./", "ReadOnly": false}],
                },
                "RegistryVersion": "v1_0_0",
                "SupportedSystems": [{
                    "FirmwareVersion": view.model().firmware.bios, "ProductName": view.model().product, "SystemId": view.tag,
                }],
            }),
        )),
        _ => None,
    }
}

/// `SecureBoot`.
#[must_use]
pub fn secure_boot(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    if !segments.is_empty() {
        return None;
    }
    let enabled = bios::value_of(view.state, "SecureBoot") == "Enabled";
    let wanted = view.state.kept.bios_pending.get("SecureBoot").map_or(enabled, |value| value == "Enabled");
    Some(document(
        format!("{SYSTEM}/SecureBoot"),
        "SecureBoot",
        "v1_1_2",
        "SecureBoot",
        "UEFI Secure Boot",
        json!({
            "Description": "UEFI Secure Boot",
            "SecureBootCurrentBoot": if enabled { "Enabled" } else { "Disabled" },
            "SecureBootEnable": wanted,
            "SecureBootMode": "DeployedMode",
        }),
    ))
}
