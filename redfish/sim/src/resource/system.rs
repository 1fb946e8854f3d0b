//! The computer system with its boot settings and boot options.

use chrono::Utc;
use serde_json::{Value, json};

use super::{CHASSIS, MANAGER, SYSTEM, View, attributes, collection, document, link, links, ok_status, pcie, put};
use crate::clock;
use crate::identity::Identity;
use crate::machine::boot::TARGETS;
use crate::machine::power::RESET_TYPES;

/// `Systems/System.Embedded.1`.
#[must_use]
pub fn document_of(view: &View<'_>) -> Value {
    let model = view.model();
    let kept = &view.state.kept;
    let health = view.hardware.health();
    let cpu = &model.cpu;
    let memory_gib = u64::from(model.memory.modules) * model.memory.size_mib / 1024;
    let mut body = json!({
        "@Redfish.Settings": {
            "@odata.context": "/redfish/v1/$metadata#Settings.Settings",
            "@odata.type": "#Settings.v1_3_5.Settings",
            "SettingsObject": link(format!("{SYSTEM}/Settings")),
            "SupportedApplyTimes": ["OnReset"],
        },
        "Actions": {"#ComputerSystem.Reset": {
            "target": format!("{SYSTEM}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": RESET_TYPES,
        }},
        "AssetTag": kept.asset_tag,
        "Bios": link(format!("{SYSTEM}/Bios")),
        "BiosVersion": model.firmware.bios,
        "BootProgress": {"LastState": view.state.live.phase.boot_progress()},
        "Description": "Computer System which represents a machine (physical or virtual) and the local resources such as memory, cpu and other devices that can be accessed from that machine.",
        "EthernetInterfaces": link(format!("{SYSTEM}/EthernetInterfaces")),
        "HostName": "",
        "HostWatchdogTimer": {"FunctionEnabled": false, "Status": {"State": "Disabled"}, "TimeoutAction": "None"},
        "HostingRoles": [],
        "HostingRoles@odata.count": 0,
        "IndicatorLED": "Lit",
        "LastResetTime": kept.last_reset.filter(|_| !kept.faults.zero_reset_time).map_or_else(|| "0000-00-00T00:00:00+00:00".to_owned(), clock::with_offset),
        "LocationIndicatorActive": false,
        "Manufacturer": "Dell Inc.",
        "Memory": link(format!("{SYSTEM}/Memory")),
        "MemorySummary": {"MemoryMirroring": "System", "Status": ok_status(), "TotalSystemMemoryGiB": memory_gib},
        "Model": model.product,
        "NetworkInterfaces": link(format!("{SYSTEM}/NetworkInterfaces")),
        "PartNumber": view.hardware.board_part(),
        "PowerState": if kept.power_on { "On" } else { "Off" },
        "ProcessorSummary": {
            "Count": 2, "CoreCount": cpu.cores * 2, "LogicalProcessorCount": cpu.threads * 2, "Model": cpu.model,
            "Status": ok_status(), "ThreadingEnabled": true,
        },
        "Processors": link(format!("{SYSTEM}/Processors")),
        "SKU": view.tag,
        "SecureBoot": link(format!("{SYSTEM}/SecureBoot")),
        "SerialNumber": view.hardware.board_serial(),
        "Status": {"Health": health, "HealthRollup": health, "State": if kept.power_on { "Enabled" } else { "StandbyOffline" }},
        "Storage": link(format!("{SYSTEM}/Storage")),
        "SystemType": "Physical",
        "TrustedModules": [{"FirmwareVersion": model.firmware.tpm, "InterfaceType": "TPM2_0", "Status": {"State": "Enabled"}}],
        "TrustedModules@odata.count": 1,
        "UUID": view.hardware.identity.uuid(&view.tag),
        "VirtualMedia": link(format!("{SYSTEM}/VirtualMedia")),
        "VirtualMediaConfig": {"ServiceEnabled": true},
    });
    body["Boot"] = boot(view);
    body["Links"] = links_of(view);
    body["Oem"] = json!({"Dell": {"@odata.type": "#DellOem.v1_3_0.DellOemResources", "DellSystem": dell_system(view)}});
    put(&mut body, "PCIeDevices", links(pcie::device_paths(view)));
    put(&mut body, "PCIeFunctions", links(pcie::function_paths(view)));
    document(SYSTEM, "ComputerSystem", "v1_22_1", "System.Embedded.1", "System", body)
}

fn boot(view: &View<'_>) -> Value {
    let kept = &view.state.kept;
    let order = boot_order(view);
    json!({
        "BootOptions": link(format!("{SYSTEM}/BootOptions")),
        "Certificates": link(format!("{SYSTEM}/Boot/Certificates")),
        "BootOrder@odata.count": order.len(),
        "BootOrder": order,
        "BootSourceOverrideEnabled": kept.boot.enabled,
        "BootSourceOverrideMode": if kept.faults.legacy_boot { "Legacy" } else { "UEFI" },
        "BootSourceOverrideTarget": kept.boot.target,
        "BootSourceOverrideTarget@Redfish.AllowableValues": TARGETS,
        "StopBootOnFault": "Never",
        "UefiTargetBootSourceOverride": kept.boot.uefi_path,
    })
}

fn links_of(view: &View<'_>) -> Value {
    let mut body = json!({
        "Chassis": [link(CHASSIS)],
        "Chassis@odata.count": 1,
        "ManagedBy": [link(MANAGER)],
        "ManagedBy@odata.count": 1,
        "Oem": {"Dell": {
            "@odata.type": "#DellOem.v1_3_0.DellOemLinks",
            "DellBootSources": link(format!("{SYSTEM}/Oem/Dell/DellBootSources")),
            "DellGPUSensorCollection": link(format!("{SYSTEM}/Oem/Dell/DellGPUSensors")),
            "DellRollupStatusCollection": link(format!("{SYSTEM}/Oem/Dell/DellRollupStatus")),
            "DellSlotCollection": link(format!("{SYSTEM}/Oem/Dell/DellSlots")),
            "DellVideoCollection": link(format!("{SYSTEM}/Oem/Dell/DellVideo")),
            "DellVideoNetworkCollection": link(format!("{SYSTEM}/Oem/Dell/DellVideoNetwork")),
        }},
    });
    let fans = (0..view.model().fans.ids.len()).map(|n| format!("{CHASSIS}/Thermal#/Fans/{n}"));
    put(&mut body, "CooledBy", links(fans));
    let supplies = (0..view.model().power_supply.count).map(|n| format!("{CHASSIS}/Power#/PowerSupplies/{n}"));
    put(&mut body, "PoweredBy", links(supplies));
    body
}

/// The `DellSystem` that the system and nothing else carries.
#[must_use]
pub fn dell_system(view: &View<'_>) -> Value {
    let model = view.model();
    let identity = view.hardware.identity;
    let supplies = if view.hardware.changes.failed_supplies.is_empty() { "OK" } else { "Error" };
    let mut body = json!({
        "BIOSReleaseDate": bios_date(&model.firmware.bios_date),
        "BaseBoardChassisSlot": "NA",
        "BladeGeometry": "NotApplicable",
        "CMCIP": null,
        "ChassisModel": null,
        "ChassisName": "Main System Chassis",
        "ChassisServiceTag": view.tag,
        "ChassisSystemHeightUnit": model.height_u,
        "EstimatedExhaustTemperatureCelsius": 255,
        "EstimatedSystemAirflowCFM": 255,
        "ExpressServiceCode": Identity::express_service_code(&view.tag),
        "IDSDMRollupStatus": null,
        "IsOEMBranded": "False",
        "LastSystemInventoryTime": view.inventory_time(),
        "LastUpdateTime": view.inventory_time(),
        "ManagedSystemSize": format!("{} U", model.height_u),
        "MaxCPUSockets": 2,
        "MaxDIMMSlots": model.dimm_slots,
        "MaxPCIeSlots": model.pcie_slots.numbers.len(),
        "MaxSystemMemoryMiB": 8 * 1024 * 1024,
        "MemoryOperationMode": "OptimizerMode",
        "NodeID": view.tag,
        "PSRollupStatus": supplies,
        "PlatformGUID": identity.platform_guid(&view.tag),
        "PopulatedDIMMSlots": model.memory.modules,
        "PopulatedPCIeSlots": model.adapters.iter().filter(|adapter| adapter.slot.is_some()).count() + view.hardware.gpus().count(),
        "PowerCapEnabledState": if model.name == "XE9680" { Value::Null } else { attributes::power_cap(view).0 },
        "SDCardRollupStatus": null,
        "SELRollupStatus": "OK",
        "ServerAllocationWatts": null,
        "SysMemErrorMethodology": "Multi-bitECC",
        "SysMemFailOverState": "NotInUse",
        "SysMemLocation": "SystemBoardOrMotherboard",
        "SysMemPrimaryStatus": "OK",
        "SystemGeneration": model.generation,
        "SystemHealthRollupStatus": supplies,
        "SystemID": model.system_id,
        "SystemRevision": "I",
        "UUID": identity.uuid(&view.tag),
        "smbiosGUID": identity.smbios_guid(&view.tag),
    });
    for rollup in [
        "Battery",
        "CPU",
        "Cooling",
        "Current",
        "Fan",
        "Intrusion",
        "Licensing",
        "Storage",
        "Temp",
        "TempStatistics",
        "Volt",
    ] {
        body[format!("{rollup}RollupStatus")] = json!("OK");
    }
    document(
        format!("{SYSTEM}/Oem/Dell/DellSystem/System.Embedded.1"),
        "DellSystem",
        "v1_4_0",
        "System.Embedded.1",
        "DellSystem",
        body,
    )
}

/// `2025-11-20` as Dell writes it: `11/20/2025`.
fn bios_date(date: &str) -> String {
    let mut parts = date.split('-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(year), Some(month), Some(day)) => format!("{month}/{day}/{year}"),
        _ => date.to_owned(),
    }
}

/// `Systems/System.Embedded.1/Settings`: on an iDRAC9 it takes the boot order, not the override.
#[must_use]
pub fn settings() -> Value {
    document(
        format!("{SYSTEM}/Settings"),
        "ComputerSystem",
        "v1_22_1",
        "Settings",
        "Settings",
        json!({
            "@Redfish.SettingsApplyTime": {
                "@odata.type": "#Settings.v1_3_5.PreferredApplyTime",
                "ApplyTime": "OnReset",
                "ApplyTime@Redfish.AllowableValues": ["OnReset"],
            },
            "AssetTag": null,
            "Boot": {
                "BootOrder": [], "BootOrder@odata.count": 0, "BootSourceOverrideMode": null, "StopBootOnFault": null,
                "UefiTargetBootSourceOverride": null,
            },
            "Description": "Pending settings of the computer system",
        }),
    )
}

struct BootOption {
    id: &'static str,
    name: String,
    path: String,
}

fn options(view: &View<'_>) -> Vec<BootOption> {
    let boss = view.model().boss.storage_id.rsplit('.').next().unwrap_or("12-1");
    let slot = boss.split('-').next().unwrap_or(boss);
    vec![
        BootOption {
            id: "Boot0001",
            name: format!("BOSS in SL {slot}: EFI Fixed Disk Boot Device 1"),
            path: "PciRoot(0x0)/Pci(0x1C,0x0)/Pci(0x0,0x0)/NVMe(0x1,00-00-00-00-00-00-00-00)".to_owned(),
        },
        BootOption {
            id: "Boot0002",
            name: "PXE Device 1: Embedded NIC 1 Port 1 Partition 1".to_owned(),
            path: "VenHw(986D1755-B9D0-4F8D-A0DA-D1DB18672045)".to_owned(),
        },
        BootOption {
            id: "Boot0003",
            name: "Virtual Optical Drive".to_owned(),
            path: "PciRoot(0x0)/Pci(0x14,0x0)/USB(0xD,0x0)/USB(0x0,0x0)/USB(0x2,0x0)/Unit(0x0)".to_owned(),
        },
    ]
}

/// The boot order in force.
#[must_use]
pub fn boot_order(view: &View<'_>) -> Vec<String> {
    match &view.state.kept.boot_order {
        Some(order) => order.clone(),
        None => options(view).into_iter().map(|option| option.id.to_owned()).collect(),
    }
}

/// `BootOptions`.
#[must_use]
pub fn boot_options(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/BootOptions");
    match segments {
        [] => {
            let members = boot_order(view).into_iter().map(|id| format!("{path}/{id}"));
            Some(collection(path.clone(), "BootOptionCollection", "Boot Options Collection", links(members)))
        }
        [id] => {
            let option = options(view).into_iter().find(|option| option.id == *id)?;
            Some(document(
                format!("{path}/{id}"),
                "BootOption",
                "v1_0_4",
                id,
                "Uefi Boot Option",
                json!({
                    "BootOptionEnabled": true,
                    "BootOptionReference": id,
                    "Description": "Current settings of the UEFI Boot option",
                    "DisplayName": option.name,
                    "UefiDevicePath": option.path,
                }),
            ))
        }
        _ => None,
    }
}

/// The time now, in the zone of the iDRAC.
#[must_use]
pub fn now() -> String {
    clock::with_offset(Utc::now())
}
