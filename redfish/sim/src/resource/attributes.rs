//! Attributes of the iDRAC, the system and the Lifecycle Controller: the few hundredths of them that fleet software reads
//! or writes. Values set by a client are kept; some follow the machine and are read-only.

use serde_json::{Map, Value, json};

use super::{MANAGER, View, document, link};

/// Attribute registry of all three groups.
pub const REGISTRY: &str = "ManagerAttributeRegistry.v1_0_0";

static IDRAC: &[(&str, &str)] = &[
    ("IPBlocking.1.BlockEnable", "Enabled"),
    ("IPMILan.1.AlertEnable", "Disabled"),
    ("IPMILan.1.Enable", "Disabled"),
    ("IPMISOL.1.BaudRate", "115200"),
    ("IPMISOL.1.Enable", "Enabled"),
    ("NIC.1.DNSDomainName", ""),
    ("NIC.1.DNSRegister", "Disabled"),
    ("NIC.1.Enable", "Enabled"),
    ("NIC.1.Selection", "Dedicated"),
    ("NTPConfigGroup.1.NTP1", ""),
    ("NTPConfigGroup.1.NTP2", ""),
    ("NTPConfigGroup.1.NTP3", ""),
    ("NTPConfigGroup.1.NTPEnable", "Disabled"),
    ("OS-BMC.1.AdminState", "Disabled"),
    ("RFS.1.AttachMode", "Auto Attach"),
    ("RFS.1.Enable", "Enabled"),
    ("RFS.1.IgnoreCertWarning", "Yes"),
    ("RFS.1.WriteProtected", "Read Only"),
    ("RFS.2.AttachMode", "Auto Attach"),
    ("RFS.2.Enable", "Enabled"),
    ("RFS.2.IgnoreCertWarning", "Yes"),
    ("RFS.2.WriteProtected", "Read Only"),
    ("Redfish.1.BasicAuthState", "Enabled"),
    ("Redfish.1.Enable", "Enabled"),
    ("Redfish.1.NumericDynamicSegmentsEnable", "Disabled"),
    ("SSH.1.Enable", "Enabled"),
    ("SerialRedirection.1.Enable", "Enabled"),
    ("SerialRedirection.1.QuitKey", "^\\"),
    ("ServerBoot.1.BootOnce", "Enabled"),
    ("ServerBoot.1.FirstBootDevice", "Normal"),
    ("SysLog.1.SysLogEnable", "Disabled"),
    ("Time.1.Timezone", "CST6CDT"),
    ("Users.2.Enable", "Enabled"),
    ("Users.2.UserName", "root"),
    ("VirtualConsole.1.Enable", "Enabled"),
    ("VirtualConsole.1.PluginType", "eHTML5"),
    ("VirtualMedia.1.Attached", "AutoAttach"),
    ("VirtualMedia.1.BootOnce", "Disabled"),
    ("VirtualMedia.1.Enable", "Enabled"),
    ("VirtualMedia.1.EncryptEnable", "Enabled"),
    ("VirtualMedia.1.FloppyEmulation", "Disabled"),
    ("WebServer.1.HostHeaderCheck", "Disabled"),
    ("WebServer.1.HttpsRedirection", "Enabled"),
    ("WebServer.1.TLSProtocol", "TLS 1.2 and Higher"),
];

static IDRAC_NUMBERS: &[(&str, u64)] = &[
    ("IPBlocking.1.FailCount", 3),
    ("IPBlocking.1.FailWindow", 60),
    ("IPBlocking.1.PenaltyTime", 60),
    ("SSH.1.MaxSessions", 4),
    ("SSH.1.Port", 22),
    ("SSH.1.Timeout", 1800),
    ("SysInfo.1.POSTCode", 126),
    ("Users.2.Privilege", 511),
    ("VirtualConsole.1.MaxSessions", 6),
    ("VirtualConsole.1.Port", 5900),
    ("VirtualMedia.1.ActiveSessions", 0),
    ("VirtualMedia.1.MaxSessions", 1),
    ("WebServer.1.HttpsPort", 443),
    ("WebServer.1.MaxNumberOfSessions", 8),
    ("WebServer.1.Timeout", 1800),
];

static LIFECYCLE: &[(&str, &str)] = &[
    ("LCAttributes.1.AutoUpdate", "Disabled"),
    ("LCAttributes.1.BIOSRTDRequested", "False"),
    ("LCAttributes.1.CollectSystemInventoryOnRestart", "Enabled"),
    ("LCAttributes.1.LifecycleControllerState", "Enabled"),
    ("LCAttributes.1.PartConfigurationUpdate", "Apply Always"),
    ("LCAttributes.1.PartFirmwareUpdate", "Match firmware of replaced part"),
];

/// Attributes that show a state and take no value.
#[must_use]
pub fn is_read_only(name: &str) -> bool {
    name.ends_with("MediaAttachState")
        || name.ends_with(".Status")
        || matches!(
            name,
            "SysInfo.1.POSTCode"
                | "VirtualMedia.1.ActiveSessions"
                | "ServerPwr.1.PowerCapMinThres"
                | "ServerPwr.1.PowerCapMaxThres"
                | "ServerPwr.1.ActivePowerCapVal"
        )
}

/// The attributes of a group; `None` when there is no such group.
#[must_use]
pub fn current(view: &View<'_>, group: &str) -> Option<Map<String, Value>> {
    let model = view.model();
    let mut all = Map::new();
    match group {
        "iDRAC.Embedded.1" => {
            all.extend(IDRAC.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
            all.extend(IDRAC_NUMBERS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
            all.insert("NIC.1.DNSRacName".to_owned(), json!(format!("idrac-{}", view.tag)));
            all.insert("Info.1.Version".to_owned(), json!(model.firmware.idrac));
            all.insert("Info.1.ServerGen".to_owned(), json!("16G"));
            all.insert("Users.2.Password".to_owned(), Value::Null);
            for (index, slot) in view.state.kept.media.iter().enumerate() {
                let rfs = format!("RFS.{}", index + 1);
                let attached = slot.is_attached();
                all.insert(format!("{rfs}.Image"), json!(slot.image.clone().unwrap_or_default()));
                all.insert(format!("{rfs}.User"), json!(slot.user.clone().unwrap_or_default()));
                all.insert(format!("{rfs}.MediaAttachState"), json!(if attached { "Attached" } else { "Detached" }));
                let pending = slot.image.is_some() && !attached;
                all.insert(format!("{rfs}.Status"), json!(if pending { "Pending" } else { "Done" }));
            }
        }
        "System.Embedded.1" => {
            for (name, value) in [
                ("ChassisPwrState.1.ChassisLEDState", "Off"),
                ("ServerOS.1.HostName", ""),
                ("ServerOS.1.OSName", ""),
                ("ServerPwr.1.ActivePolicyName", ""),
                ("ServerPwr.1.PSRapidOn", "Enabled"),
                ("ServerPwr.1.PSRedPolicy", "Not Redundant"),
                ("ServerPwr.1.PowerCapSetting", "Disabled"),
                ("ServerTopology.1.AisleName", ""),
                ("ServerTopology.1.DataCenterName", ""),
                ("ServerTopology.1.RoomName", ""),
                ("ThermalSettings.1.ThermalProfile", "Default Thermal Profile Settings"),
            ] {
                all.insert(name.to_owned(), json!(value));
            }
            all.insert("ServerTopology.1.RackName".to_owned(), json!(view.bmc.config.rack));
            all.insert("ServerTopology.1.RackSlot".to_owned(), json!(view.bmc.config.position));
            all.insert("ServerPwr.1.PowerCapMinThres".to_owned(), json!(model.power_cap_min_watts));
            all.insert("ServerPwr.1.PowerCapMaxThres".to_owned(), json!(model.power_cap_max_watts));
            all.insert("ServerPwr.1.PowerCapValue".to_owned(), json!(model.power_cap_max_watts));
        }
        "LifecycleController.Embedded.1" => {
            all.extend(LIFECYCLE.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
            let lockdown = if view.state.kept.faults.lockdown { "Enabled" } else { "Disabled" };
            all.insert("Lockdown.1.SystemLockdown".to_owned(), json!(lockdown));
        }
        _ => return None,
    }
    let prefix = format!("{group} ");
    for (name, value) in &view.state.kept.attributes {
        if let Some(name) = name.strip_prefix(&prefix) {
            // A password is taken and never shown.
            let shown = if name.ends_with("Password") { Value::Null } else { value.clone() };
            all.insert(name.to_owned(), shown);
        }
    }
    if group == "System.Embedded.1" {
        let cap = all["ServerPwr.1.PowerCapValue"].clone();
        all.insert("ServerPwr.1.ActivePowerCapVal".to_owned(), cap);
    }
    Some(all)
}

/// The switch of the power cap and its value in watts. The value is shown whether or not the cap is on (quirk 74).
#[must_use]
pub fn power_cap(view: &View<'_>) -> (Value, Value) {
    let of = |name: &str| view.state.kept.attributes.get(&format!("System.Embedded.1 ServerPwr.1.{name}")).cloned();
    (
        of("PowerCapSetting").unwrap_or_else(|| json!("Disabled")),
        of("PowerCapValue").unwrap_or_else(|| json!(view.model().power_cap_max_watts)),
    )
}

/// One group.
#[must_use]
pub fn document_of(view: &View<'_>, group: &str) -> Option<Value> {
    let attributes = current(view, group)?;
    let path = format!("{MANAGER}/Oem/Dell/DellAttributes/{group}");
    let id = match group {
        "iDRAC.Embedded.1" => "iDRACAttributes",
        "System.Embedded.1" => "SystemAttributes",
        _ => "LCAttributes",
    };
    Some(document(
        path.clone(),
        "DellAttributes",
        "v1_0_0",
        id,
        "OEMAttributeRegistry",
        json!({
            "@Redfish.Settings": {
                "@odata.context": "/redfish/v1/$metadata#Settings.Settings",
                "@odata.type": "#Settings.v1_3_5.Settings",
                "SettingsObject": link(format!("{path}/Settings")),
                "SupportedApplyTimes": ["Immediate", "AtMaintenanceWindowStart"],
            },
            "AttributeRegistry": REGISTRY,
            "Attributes": attributes,
            "Description": "This schema provides the oem attributes",
        }),
    ))
}

/// `DellAttributes` below the manager.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    match segments {
        [group] => document_of(view, group),
        [group, "Settings"] => {
            current(view, group)?;
            Some(document(
                format!("{MANAGER}/Oem/Dell/DellAttributes/{group}/Settings"),
                "DellAttributes",
                "v1_0_0",
                "Settings",
                "OEMAttributeRegistry",
                json!({"AttributeRegistry": REGISTRY, "Attributes": {}, "Description": "Pending attributes"}),
            ))
        }
        _ => None,
    }
}
