//! The documents of a small iDRAC9 7.x.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bmc::{CHASSIS, MANAGER, SESSIONS, SYSTEM};

fn link(uri: &str) -> Value {
    json!({"@odata.id": uri})
}

/// A collection with its members, added to the documents.
pub(crate) fn collection(documents: &mut BTreeMap<String, Value>, uri: &str, members: &[(&str, Value)]) {
    let mut links = Vec::new();
    for (id, body) in members {
        let member = format!("{uri}/{id}");
        let mut body = body.clone();
        body["@odata.id"] = member.clone().into();
        body["Id"] = (*id).into();
        links.push(link(&member));
        documents.insert(member, body);
    }
    documents.insert(uri.to_owned(), json!({"@odata.id": uri, "Members@odata.count": links.len(), "Members": links}));
}

/// The documents of a small iDRAC9 7.x.
pub(crate) fn documents() -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    all.insert(
        "/redfish/v1".to_owned(),
        json!({"@odata.id": "/redfish/v1", "@odata.type": "#ServiceRoot.v1_16_0.ServiceRoot", "RedfishVersion": "1.18.0",
            "Vendor": "Dell", "Product": "Integrated Dell Remote Access Controller", "ServiceIdentification": "HLX0001",
            "Oem": {"Dell": {"ServiceTag": "HLX0001", "ManagerMACAddress": "02:00:5e:10:00:01"}},
            "ProtocolFeaturesSupported": {"ExpandQuery": {"ExpandAll": true, "Levels": true, "MaxLevels": 1}, "SelectQuery": true},
            "Systems": link("/redfish/v1/Systems"), "Managers": link("/redfish/v1/Managers"), "Chassis": link("/redfish/v1/Chassis"),
            "UpdateService": link("/redfish/v1/UpdateService"), "SessionService": link("/redfish/v1/SessionService"),
            "Links": {"Sessions": link(SESSIONS)}}),
    );
    all.insert(
        SYSTEM.to_owned(),
        json!({"@odata.id": SYSTEM, "Id": "System.Embedded.1", "SKU": "HLX0001", "SerialNumber": "CNBOARD0000001",
            "Model": "PowerEdge R760xa", "Manufacturer": "Dell Inc.", "PowerState": "On", "HostName": "",
            "LastResetTime": "2026-01-02T03:04:05-06:00", "BootProgress": {"LastState": "OSRunning"},
            "Status": {"State": "Enabled", "Health": "OK", "HealthRollup": "Warning"},
            "Boot": {"BootOrder": ["Boot0003"], "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideMode": "UEFI",
                "BootSourceOverrideTarget": "None", "BootOptions": link(&format!("{SYSTEM}/BootOptions")),
                "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Cd", "Hdd", "BiosSetup", "UefiHttp"]},
            "@Redfish.Settings": {"SettingsObject": link(&format!("{SYSTEM}/Settings")), "SupportedApplyTimes": ["OnReset"]},
            "Actions": {"#ComputerSystem.Reset": {"target": format!("{SYSTEM}/Actions/ComputerSystem.Reset"),
                "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "ForceRestart", "GracefulShutdown"]}},
            "Processors": link(&format!("{SYSTEM}/Processors")), "Memory": link(&format!("{SYSTEM}/Memory")),
            "Storage": link(&format!("{SYSTEM}/Storage")), "Bios": link(&format!("{SYSTEM}/Bios")),
            "SecureBoot": link(&format!("{SYSTEM}/SecureBoot")),
            "Oem": {"Dell": {"DellSystem": {"SystemGeneration": "16G Monolithic", "EstimatedSystemAirflowCFM": 255}}}}),
    );
    all.insert(
        format!("{SYSTEM}/Settings"),
        json!({"@odata.id": format!("{SYSTEM}/Settings"), "Boot": {"BootOrder": []}}),
    );
    all.insert(
        MANAGER.to_owned(),
        json!({"@odata.id": MANAGER, "Id": "iDRAC.Embedded.1", "Model": "16G Monolithic", "FirmwareVersion": "7.10.70.00",
            "DateTime": "2026-01-02T03:04:05-06:00", "TimeZoneName": "CST6CDT"}),
    );
    all.insert(
        format!("{MANAGER}/Oem/Dell/DellAttributes/iDRAC.Embedded.1"),
        json!({"@odata.id": format!("{MANAGER}/Oem/Dell/DellAttributes/iDRAC.Embedded.1"), "Id": "iDRACAttributes",
            "Attributes": {"RFS.1.MediaAttachState": "Detached", "Lockdown.1.SystemLockdown": "Disabled", "RFS.1.Password": null}}),
    );
    collection(
        &mut all,
        "/redfish/v1/Chassis",
        &[
            (
                "Enclosure.Internal.0-1",
                json!({"ChassisType": "StorageEnclosure", "Links": {"ComputerSystems": [link(SYSTEM)]}}),
            ),
            (
                "System.Embedded.1",
                json!({"ChassisType": "RackMount", "Links": {"ComputerSystems": [link(SYSTEM)]},
                    "NetworkAdapters": link(&format!("{CHASSIS}/NetworkAdapters"))}),
            ),
        ],
    );
    collection(
        &mut all,
        &format!("{SYSTEM}/Processors"),
        &[
            (
                "Video.Slot.21-1",
                json!({"ProcessorType": "GPU", "Model": "NVIDIA L40", "SerialNumber": "1650000000001",
                    "Status": {"State": "Enabled", "Health": "OK"}}),
            ),
            ("CPU.Socket.1", json!({"ProcessorType": "CPU", "Model": "Intel(R) Xeon(R) Gold 6442Y", "TotalCores": 24})),
        ],
    );
    collection(
        &mut all,
        &format!("{SYSTEM}/Memory"),
        &[(
            "DIMM.Socket.A1",
            json!({"CapacityMiB": 32768, "SerialNumber": "7F85E976", "Status": {"State": null, "Health": null}}),
        )],
    );
    collection(&mut all, &format!("{SYSTEM}/Storage"), &[]);
    collection(&mut all, &format!("{CHASSIS}/NetworkAdapters"), &[]);
    collection(
        &mut all,
        "/redfish/v1/UpdateService/FirmwareInventory",
        &[("Installed-159-2.3.5__BIOS.Setup.1-1", json!({"Name": "BIOS", "Version": "2.3.5", "SoftwareId": "159"}))],
    );
    all.insert(
        format!("{SYSTEM}/Bios"),
        json!({"@odata.id": format!("{SYSTEM}/Bios"), "Id": "Bios", "Attributes": {"BootMode": "Uefi", "AcPwrRcvryUserDelay": 120}}),
    );
    all.insert(
        format!("{SYSTEM}/SecureBoot"),
        json!({"@odata.id": format!("{SYSTEM}/SecureBoot"), "Id": "SecureBoot", "SecureBootEnable": false, "SecureBootCurrentBoot": "Disabled"}),
    );
    collection(
        &mut all,
        &format!("{SYSTEM}/VirtualMedia"),
        &[
            ("2", json!({"MediaTypes": ["CD", "DVD", "USBStick"], "Inserted": false})),
            ("1", json!({"MediaTypes": ["CD", "DVD", "USBStick"], "Inserted": false, "Image": null})),
        ],
    );
    all
}
