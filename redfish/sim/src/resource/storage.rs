//! Storage: the BOSS card with its two M.2 drives and one RAID 1 volume, and the NVMe drives wired to the processors,
//! which have neither a controller nor a block size.

use serde_json::{Value, json};

use super::{CHASSIS, SYSTEM, View, collection, document, link, links, ok_status, pcie, put};
use crate::hardware::{Bay, BossDrive};

/// One lane of PCIe Gen4, which is what an iDRAC shows as speed of an NVMe drive, Gb/s.
const GEN4_LANE_GBPS: f64 = 15.753_846_153_846_155;
/// One lane of PCIe Gen3.
const GEN3_LANE_GBPS: f64 = 7.876_923_076_923_077;
/// Storage of the direct NVMe drives.
const DIRECT: &str = "CPU.1";

/// `Storage` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/Storage");
    let boss = view.model().boss.storage_id.as_str();
    match segments {
        [] => Some(collection(path, "StorageCollection", "Storage Collection", links(paths(view)))),
        [id] if *id == DIRECT => Some(direct(view)),
        [id] if *id == boss => Some(boss_storage(view)),
        [id, "Controllers"] if *id == boss => Some(collection(
            format!("{path}/{boss}/Controllers"),
            "StorageControllerCollection",
            "Storage Controller Collection",
            links([format!("{path}/{boss}/Controllers/{boss}")]),
        )),
        [id, "Controllers", controller] if *id == boss && *controller == boss => Some(boss_controller(view)),
        [id, "Drives", drive] if *id == boss => {
            view.hardware.boss_drives().iter().find(|found| found.id == *drive).map(|drive| boss_drive(view, drive))
        }
        [id, "Drives", drive] if *id == DIRECT => {
            view.hardware.bays().iter().find(|found| found.id == *drive).map(|bay| bay_drive(view, bay))
        }
        [id, "Volumes"] if *id == boss => Some(volumes(boss, vec![view.hardware.boss_volume()])),
        [id, "Volumes"] if *id == DIRECT => {
            Some(volumes(DIRECT, view.hardware.bays().into_iter().map(|bay| bay.id).collect()))
        }
        [id, "Volumes", volume] if *id == boss && *volume == view.hardware.boss_volume() => Some(boss_volume(view)),
        [id, "Volumes", volume] if *id == DIRECT => {
            view.hardware.bays().iter().find(|found| found.id == *volume).map(|bay| raw_volume(view, bay))
        }
        _ => None,
    }
}

/// Links to all storages.
#[must_use]
pub fn paths(view: &View<'_>) -> Vec<String> {
    let mut ids = vec![view.model().boss.storage_id.clone()];
    if view.model().nvme.populated > 0 {
        ids.insert(0, DIRECT.to_owned());
    }
    ids.into_iter().map(|id| format!("{SYSTEM}/Storage/{id}")).collect()
}

/// Links to the drives of the backplane.
#[must_use]
pub fn bay_paths(view: &View<'_>) -> Vec<String> {
    view.hardware.bays().into_iter().map(|bay| format!("{SYSTEM}/Storage/{DIRECT}/Drives/{}", bay.id)).collect()
}

/// Links to the drives of the BOSS card.
#[must_use]
pub fn boss_paths(view: &View<'_>) -> Vec<String> {
    let boss = &view.model().boss.storage_id;
    view.hardware
        .boss_drives()
        .into_iter()
        .map(|drive| format!("{SYSTEM}/Storage/{boss}/Drives/{}", drive.id))
        .collect()
}

fn direct(view: &View<'_>) -> Value {
    let path = format!("{SYSTEM}/Storage/{DIRECT}");
    let mut body = json!({
        "Description": DIRECT,
        "Links": {
            "Enclosures": [link("/redfish/v1/Chassis/Enclosure.Internal.0-1"), link(CHASSIS)],
            "Enclosures@odata.count": 2,
            "Oem": {"Dell": {"@odata.type": "#DellOem.v1_3_0.DellOemLinks", "CPUAffinity": [], "CPUAffinity@odata.count": 0}},
        },
        "Status": ok_status(),
        "Volumes": link(format!("{path}/Volumes")),
    });
    put(&mut body, "Drives", links(bay_paths(view)));
    document(path, "Storage", "v1_16_0", DIRECT, DIRECT, body)
}

fn boss_storage(view: &View<'_>) -> Value {
    let boss = &view.model().boss;
    let id = &boss.storage_id;
    let path = format!("{SYSTEM}/Storage/{id}");
    let mut body = json!({
        "Controllers": link(format!("{path}/Controllers")),
        "Description": format!("BOSS in SL {}", slot_of(id)),
        "Identifiers": [{"DurableName": null, "DurableNameFormat": null}],
        "Identifiers@odata.count": 1,
        "Links": {
            "Enclosures": [link(CHASSIS)],
            "Enclosures@odata.count": 1,
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemLinks",
                "CPUAffinity": [link(format!("{SYSTEM}/Processors/CPU.Socket.1"))],
                "CPUAffinity@odata.count": 1,
            }},
        },
        "Oem": {"Dell": {
            "@odata.type": "#DellOem.v1_3_0.DellOemResources",
            "DellController": document(
                format!("{path}/Oem/Dell/DellControllers/{id}"), "DellController", "v1_4_1", id, "DellController",
                json!({
                    "ControllerFirmwareVersion": boss.firmware, "CurrentControllerMode": "NotSupported", "DriverVersion": null,
                    "EncryptionCapability": "None", "EncryptionMode": "None", "KeyID": null,
                    "LastSystemInventoryTime": view.inventory_time(), "LastUpdateTime": view.inventory_time(),
                    "PCISlot": null, "PatrolReadState": "Unknown", "RealtimeCapability": "Incapable", "RollupStatus": "OK",
                    "SecurityStatus": "EncryptionNotCapable",
                }),
            ),
        }},
        "Status": ok_status(),
        "Volumes": link(format!("{path}/Volumes")),
    });
    put(&mut body, "Drives", links(boss_paths(view)));
    document(path, "Storage", "v1_16_0", id, &boss.model, body)
}

fn slot_of(storage_id: &str) -> &str {
    storage_id.trim_start_matches("BOSS.SL.").split('-').next().unwrap_or_default()
}

fn boss_controller(view: &View<'_>) -> Value {
    let boss = &view.model().boss;
    let id = &boss.storage_id;
    document(
        format!("{SYSTEM}/Storage/{id}/Controllers/{id}"),
        "StorageController",
        "v1_7_3",
        id,
        &boss.model,
        json!({
            "CacheSummary": {"TotalCacheSizeMiB": 0},
            "ControllerRates": {"ConsistencyCheckRatePercent": null, "RebuildRatePercent": null},
            "Description": format!("BOSS in SL {}", slot_of(id)),
            "FirmwareVersion": boss.firmware,
            "Identifiers": [{"DurableName": null, "DurableNameFormat": null}],
            "Identifiers@odata.count": 1,
            "Links": {
                "PCIeFunctions": [link(pcie::function_path(&format!("{}-0", boss.bus), &format!("{}-0-0", boss.bus)))],
                "PCIeFunctions@odata.count": 1,
            },
            "Manufacturer": "DELL",
            "Model": boss.model,
            "SerialNumber": view.hardware.boss_serial(),
            "SpeedGbps": 5.0,
            "Status": ok_status(),
            "SupportedControllerProtocols": ["PCIe"],
            "SupportedControllerProtocols@odata.count": 1,
            "SupportedDeviceProtocols": ["PCIe"],
            "SupportedDeviceProtocols@odata.count": 1,
            "SupportedRAIDTypes": ["RAID1"],
            "SupportedRAIDTypes@odata.count": 1,
        }),
    )
}

fn boss_drive(view: &View<'_>, drive: &BossDrive) -> Value {
    let boss = &view.model().boss;
    let storage = &boss.storage_id;
    let path = format!("{SYSTEM}/Storage/{storage}/Drives/{}", drive.id);
    let name = format!("SSD {}", drive.number);
    document(
        path.clone(),
        "Drive",
        "v1_19_0",
        &drive.id,
        &name,
        json!({
            "BlockSizeBytes": 512,
            "CapableSpeedGbs": GEN4_LANE_GBPS,
            "CapacityBytes": boss.drive_bytes,
            "Description": format!("Disk {} on BOSS in SL {}", drive.number, slot_of(storage)),
            "EncryptionAbility": "None",
            "EncryptionStatus": "Unencrypted",
            "FailurePredicted": false,
            "HotspareType": "None",
            "Identifiers": [{"DurableName": null, "DurableNameFormat": null}],
            "Identifiers@odata.count": 1,
            "Links": {
                "Chassis": link(CHASSIS),
                "PCIeFunctions": [],
                "PCIeFunctions@odata.count": 0,
                "Storage": link(format!("{SYSTEM}/Storage/{storage}")),
                "Volumes": [link(format!("{SYSTEM}/Storage/{storage}/Volumes/{}", view.hardware.boss_volume()))],
                "Volumes@odata.count": 1,
            },
            "Location": [],
            "LocationIndicatorActive": null,
            "Manufacturer": "SK hynix",
            "MediaType": "SSD",
            "Model": boss.drive_model,
            "NegotiatedSpeedGbs": GEN3_LANE_GBPS,
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                "DellPhysicalDisk": document(
                    format!("{path}/Oem/Dell/DellDrives/{}", drive.id), "DellPhysicalDisk", "v1_6_0", &drive.id, "DellPhysicalDisk",
                    json!({
                        "AvailableSparePercent": 100, "DriveFormFactor": "M.2", "LastSystemInventoryTime": view.inventory_time(),
                        "LastUpdateTime": view.inventory_time(), "PPID": null, "PowerStatus": "On",
                        "PredictiveFailureState": "SmartAlertAbsent", "RaidStatus": "Online", "Slot": drive.number,
                        "SystemEraseCapability": "CryptographicErasePD", "UsedSizeInBytes": view.hardware.volume_bytes,
                    }),
                ),
            }},
            "Operations": [],
            "Operations@odata.count": 0,
            "PartNumber": format!("KR-0{}-SSX00", view.hardware.identity.serial(&format!("ppid {}", drive.id), 5)),
            "PhysicalLocation": {"PartLocation": {"LocationOrdinalValue": drive.number, "LocationType": "Slot"}},
            "PredictedMediaLifeLeftPercent": 100,
            "Protocol": "PCIe",
            "Revision": boss.drive_firmware,
            "RotationSpeedRPM": null,
            "SerialNumber": drive.serial,
            "Status": ok_status(),
            "WriteCacheEnabled": false,
        }),
    )
}

fn bay_drive(view: &View<'_>, bay: &Bay) -> Value {
    let nvme = &view.model().nvme;
    let path = format!("{SYSTEM}/Storage/{DIRECT}/Drives/{}", bay.id);
    let name = format!("PCIe SSD in Slot {} in Bay 1", bay.number);
    let cpu = link(format!("{SYSTEM}/Processors/CPU.Socket.{}", bay.socket));
    document(
        path.clone(),
        "Drive",
        "v1_19_0",
        &bay.id,
        &name,
        json!({
            "BlockSizeBytes": 0,
            "CapableSpeedGbs": GEN4_LANE_GBPS,
            "CapacityBytes": nvme.bytes,
            "Description": name,
            "EncryptionAbility": "None",
            "EncryptionStatus": "Unencrypted",
            "FailurePredicted": false,
            "HotspareType": "None",
            "Identifiers": [{"DurableName": null, "DurableNameFormat": null}],
            "Identifiers@odata.count": 1,
            "Links": {
                "Chassis": link("/redfish/v1/Chassis/Enclosure.Internal.0-1"),
                "Oem": {"Dell": {"@odata.type": "#DellOem.v1_3_0.DellOemLinks", "CPUAffinity": [cpu], "CPUAffinity@odata.count": 1}},
                "PCIeFunctions": [],
                "PCIeFunctions@odata.count": 0,
                "Storage": link(format!("{SYSTEM}/Storage/{DIRECT}")),
                "Volumes": [link(format!("{SYSTEM}/Storage/{DIRECT}/Volumes/{}", bay.id))],
                "Volumes@odata.count": 1,
            },
            "Location": [],
            "LocationIndicatorActive": null,
            "Manufacturer": nvme.manufacturer,
            "MediaType": "SSD",
            "Model": nvme.model,
            "NegotiatedSpeedGbs": GEN4_LANE_GBPS,
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                "DellPCIeSSD": document(
                    format!("{path}/Oem/Dell/DellPCIeSSDs/{}", bay.id), "DellPCIeSSD", "v1_7_0", &bay.id, "DellPCIeSSD",
                    json!({
                        "AvailableSparePercent": 100, "Bus": format!("{:02X}", bay.bus), "BusProtocol": "PCIE", "Device": "0",
                        "DeviceProtocol": "NVMe 1.4", "DriveFormFactor": "2.5Inch", "DriveState": "Ready", "Function": "0",
                        "MediaType": "SolidStateDrive", "PCIeCapableLinkWidth": "x4", "PCIeNegotiatedLinkWidth": "x4",
                        "RaidStatus": null, "Slot": bay.number, "SystemEraseCapability": "CryptographicErasePD", "UsedSizeInBytes": 0,
                    }),
                ),
            }},
            "Operations": [],
            "Operations@odata.count": 0,
            "PartNumber": format!("PH-0{}-TBPKK", view.hardware.identity.serial(&format!("ppid {}", bay.id), 5)),
            "PhysicalLocation": {"PartLocation": {"LocationOrdinalValue": bay.number, "LocationType": "Slot"}},
            "PredictedMediaLifeLeftPercent": 100,
            "Protocol": "PCIe",
            "Revision": nvme.firmware,
            "RotationSpeedRPM": null,
            "SerialNumber": bay.serial,
            "Status": ok_status(),
            "WriteCacheEnabled": false,
        }),
    )
}

fn volumes(storage: &str, ids: Vec<String>) -> Value {
    let path = format!("{SYSTEM}/Storage/{storage}/Volumes");
    collection(
        path.clone(),
        "VolumeCollection",
        "Volume Collection",
        links(ids.into_iter().map(|id| format!("{path}/{id}"))),
    )
}

fn boss_volume(view: &View<'_>) -> Value {
    let boss = &view.model().boss;
    let id = view.hardware.boss_volume();
    let path = format!("{SYSTEM}/Storage/{}/Volumes/{id}", boss.storage_id);
    let mut drives = json!({});
    put(&mut drives, "Drives", links(boss_paths(view)));
    document(
        path.clone(),
        "Volume",
        "v1_10_0",
        &id,
        "VD_0   ",
        json!({
            "BlockSizeBytes": 512,
            "CapacityBytes": view.hardware.volume_bytes,
            "Description": "VD_0",
            "DisplayName": "VD_0",
            "Encrypted": false,
            "EncryptionTypes": ["NativeDriveEncryption"],
            "Identifiers": [],
            "Links": drives,
            "MediaSpanCount": 2,
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                "DellVirtualDisk": document(
                    format!("{path}/Oem/Dell/DellVirtualDisk/{id}"), "DellVirtualDisk", "v1_3_0", &id, "DellVirtualDisk",
                    json!({
                        "LastSystemInventoryTime": view.inventory_time(), "LastUpdateTime": view.inventory_time(),
                        "RaidStatus": "Online", "RemainingRedundancy": 1, "StripeSize": "64KB",
                    }),
                ),
            }},
            "Operations": [],
            "OptimumIOSizeBytes": 65536,
            "RAIDType": "RAID1",
            "ReadCachePolicy": "Off",
            "Status": ok_status(),
            "VolumeType": "Mirrored",
            "WriteCachePolicy": "WriteThrough",
        }),
    )
}

fn raw_volume(view: &View<'_>, bay: &Bay) -> Value {
    let name = format!("PCIe SSD in Slot {} in Bay 1", bay.number);
    document(
        format!("{SYSTEM}/Storage/{DIRECT}/Volumes/{}", bay.id),
        "Volume",
        "v1_10_0",
        &bay.id,
        &name,
        json!({
            "BlockSizeBytes": 0,
            "CapacityBytes": view.model().nvme.bytes,
            "Description": name,
            "DisplayName": null,
            "Encrypted": null,
            "EncryptionTypes": [],
            "Identifiers": [],
            "Links": {"Drives": [link(format!("{SYSTEM}/Storage/{DIRECT}/Drives/{}", bay.id))], "Drives@odata.count": 1},
            "MediaSpanCount": null,
            "Operations": [],
            "OptimumIOSizeBytes": null,
            "RAIDType": null,
            "ReadCachePolicy": null,
            "Status": ok_status(),
            "VolumeType": "RawDevice",
            "WriteCachePolicy": null,
        }),
    )
}
