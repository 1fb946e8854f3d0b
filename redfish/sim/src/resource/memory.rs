//! Memory modules. Only populated sockets are members.

use serde_json::{Value, json};

use super::{CHASSIS, SYSTEM, View, collection, document, link, links};
use crate::hardware::Dimm;

/// `Memory`.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/Memory");
    let dimms = view.hardware.dimms();
    match segments {
        [] => {
            let members = dimms.iter().map(|dimm| format!("{path}/DIMM.Socket.{}", dimm.label));
            Some(collection(path.clone(), "MemoryCollection", "Memory Devices Collection", links(members)))
        }
        [id] => {
            let label = id.strip_prefix("DIMM.Socket.")?;
            dimms.iter().find(|dimm| dimm.label == label).map(|dimm| module(view, dimm))
        }
        _ => None,
    }
}

/// Links to the modules of one processor.
#[must_use]
pub fn paths_of(view: &View<'_>, socket: u32) -> Vec<String> {
    let of_socket = view.hardware.dimms().into_iter().filter(|dimm| dimm.socket == socket);
    of_socket.map(|dimm| format!("{SYSTEM}/Memory/DIMM.Socket.{}", dimm.label)).collect()
}

fn module(view: &View<'_>, dimm: &Dimm) -> Value {
    let memory = &view.model().memory;
    let id = format!("DIMM.Socket.{}", dimm.label);
    let path = format!("{SYSTEM}/Memory/{id}");
    let name = format!("DIMM {}", dimm.label);
    let cpu = format!("{SYSTEM}/Processors/CPU.Socket.{}", dimm.socket);
    document(
        path.clone(),
        "Memory",
        "v1_20_0",
        &id,
        &name,
        json!({
            "AllowedSpeedsMHz": [memory.rated_mhz],
            "AllowedSpeedsMHz@odata.count": 1,
            "BaseModuleType": "RDIMM",
            "BusWidthBits": 80,
            "CacheSizeMiB": 0,
            "CapacityMiB": memory.size_mib,
            "DataWidthBits": 64,
            "Description": name,
            "DeviceLocator": name,
            "Enabled": true,
            "ErrorCorrection": "MultiBitECC",
            "FirmwareRevision": null,
            "Links": {
                "Chassis": link(CHASSIS),
                "Oem": {"Dell": {
                    "@odata.type": "#DellOem.v1_3_0.DellOemLinks", "CPUAffinity": [link(cpu.clone())], "CPUAffinity@odata.count": 1,
                }},
                "Processors": [link(cpu)],
                "Processors@odata.count": 1,
            },
            "LogicalSizeMiB": 0,
            "Manufacturer": memory.manufacturer,
            "MaxTDPMilliWatts": [],
            "MaxTDPMilliWatts@odata.count": 0,
            "MemoryDeviceType": "DDR5",
            "MemorySubsystemControllerManufacturerID": null,
            "MemorySubsystemControllerProductID": null,
            "MemoryType": "DRAM",
            "ModuleManufacturerID": "0xad80",
            "ModuleProductID": null,
            "NonVolatileSizeMiB": 0,
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                "DellMemory": document(
                    format!("{path}/Oem/Dell/DellMemory/{id}"), "DellMemory", "v1_1_0", &id, "DellMemory",
                    json!({
                        "BankLabel": dimm.label.get(..1), "LastSystemInventoryTime": view.inventory_time(),
                        "LastUpdateTime": view.inventory_time(), "ManufactureDate": "Mon Apr 14 07:00:00 2025 UTC",
                        "MemoryTechnology": "DRAM", "Model": "DDR5 DIMM", "RemainingRatedWriteEndurancePercent": null,
                        "SystemEraseCapability": "NotSupported",
                    }),
                ),
            }},
            "OperatingMemoryModes": ["Volatile"],
            "OperatingMemoryModes@odata.count": 1,
            "OperatingSpeedMhz": memory.speed_mhz,
            "PartNumber": memory.part_number,
            "RankCount": memory.ranks,
            "SerialNumber": dimm.serial,
            "Status": {"Health": "OK", "State": "Enabled"},
            "VolatileSizeMiB": memory.size_mib,
        }),
    )
}
