//! Dell's own collections below the system: GPUs as video devices, GPU sensors, slots, rollups, boot sources. Their members
//! come inside the collection, in pages of fifty.

use serde_json::{Value, json};

use super::{SYSTEM, View, collection, document, processor};

/// `Systems/…/Oem/Dell` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/Oem/Dell");
    let inline = |name: &str, members: Vec<Value>| {
        let schema = name.trim_end_matches('s');
        collection(format!("{path}/{name}"), &format!("{schema}Collection"), &format!("{schema}Collection"), members)
    };
    match segments {
        ["DellVideo"] => {
            Some(collection(format!("{path}/DellVideo"), "DellVideoCollection", "DellVideoCollection", videos(view)))
        }
        ["DellVideo", id] => videos(view).into_iter().find(|video| video["Id"] == *id),
        ["DellVideoNetwork"] => Some(collection(
            format!("{path}/DellVideoNetwork"),
            "DellVideoNetworkCollection",
            "DellVideoNetworkCollection",
            vec![],
        )),
        ["DellGPUSensors"] => Some(inline("DellGPUSensors", gpu_sensors(view))),
        ["DellGPUSensors", id] => gpu_sensors(view).into_iter().find(|sensor| sensor["Id"] == *id),
        ["DellSlots"] => Some(inline("DellSlots", slots(view))),
        ["DellSlots", id] => slots(view).into_iter().find(|slot| slot["Id"] == *id),
        ["DellRollupStatus"] => Some(collection(
            format!("{path}/DellRollupStatus"),
            "DellRollupStatusCollection",
            "DellRollupStatusCollection",
            rollups(view),
        )),
        ["DellRollupStatus", id] => rollups(view).into_iter().find(|rollup| rollup["Id"] == *id),
        ["DellSystem", "System.Embedded.1"] => Some(super::system::dell_system(view)),
        ["DellBootSources"] => Some(boot_sources(view)),
        _ => None,
    }
}

fn videos(view: &View<'_>) -> Vec<Value> {
    view.hardware
        .gpus()
        .map(|gpu| {
            let id = gpu.fqdd();
            let guid: String = view.hardware.gpu_uuid(&gpu).chars().filter(|c| *c != '-').collect();
            document(
                format!("{SYSTEM}/Oem/Dell/DellVideo/{id}"),
                "DellVideo",
                "v1_3_0",
                &id,
                &format!("GPU Controller in Slot {} of Instance 1", gpu.place.slot),
                json!({
                    "BoardPartNumber": gpu.part.part_number,
                    "BuildDate": "22-10-2024",
                    "BusNumber": gpu.place.bus,
                    "DataBusWidth": "16XOrX16",
                    "Description": "DellVideo provides Video specific data which includes supported GPU properties if supported.",
                    "DeviceNumber": 0,
                    "FQDD": id,
                    "FirmwareVersion": gpu.part.vbios,
                    "FunctionNumber": 0,
                    "GPUGUID": guid,
                    "GPUHealth": "OK",
                    "GPUPartNumber": gpu.part.gpu_part_number,
                    "GPUState": "Available",
                    "InstanceID": id,
                    "LastSystemInventoryTime": view.inventory_time(),
                    "LastUpdateTime": view.inventory_time(),
                    "Manufacturer": "NVIDIA Corporation",
                    "MarketingName": gpu.part.model,
                    "OEMInfo": "Not Applicable",
                    "PCIDeviceID": gpu.part.device_id,
                    "PCISubDeviceID": gpu.part.subdevice_id,
                    "PCISubVendorID": "10DE",
                    "PCIVendorID": "10DE",
                    "SerialNumber": view.hardware.gpu_serial(&gpu),
                    "SlotLength": "LongLength",
                    "SlotType": format!("PCIExpress{}", gpu.part.pcie),
                }),
            )
        })
        .collect()
}

fn gpu_sensors(view: &View<'_>) -> Vec<Value> {
    let on = view.state.kept.power_on;
    view.hardware
        .gpus()
        .filter_map(|gpu| processor::gpu_called(view, &gpu.fqdd()))
        .map(|gpu| {
            let id = gpu.fqdd();
            document(
                format!("{SYSTEM}/Oem/Dell/DellGPUSensors/{id}"),
                "DellGPUSensor",
                "v1_2_0",
                &id,
                "DellGPUSensor",
                json!({
                    "BoardTemperatureCelsius": null,
                    "Description": "This resource shall represents a Graphical Processor sensor",
                    "DeviceID": id,
                    "MemoryTemperatureCelsius": on.then_some(40),
                    // Milliwatts.
                    "PowerConsumptionmW": on.then_some(gpu.part.idle_watts * 1000),
                    "PrimaryGPUTemperatureCelsius": on.then_some(32),
                    "SecondaryGPUTemperatureCelsius": null,
                }),
            )
        })
        .collect()
}

fn slots(view: &View<'_>) -> Vec<Value> {
    let model = view.model();
    let mut all = Vec::new();
    let mut add = |layout: &str, fqdd: Option<String>, tag: String, name: &str, number: usize, description: String| {
        let id = format!("{}_0x23_Slot", tag.replace('|', "_0x7c_"));
        let empty = fqdd.is_none();
        all.push(document(
            format!("{SYSTEM}/Oem/Dell/DellSlots/{id}"),
            "DellSlot",
            "v1_0_0",
            &id,
            name,
            json!({
                "ConnectorLayout": layout,
                "Description": "DellSlot provides slot occupancy and device correlation information.",
                "DeviceFQDD": fqdd,
                "EmptySlot": empty,
                "Number": number,
                "NumberDescription": description,
                "SlotEnabledState": "Enabled",
                "Tag": format!("{tag}#Slot"),
            }),
        ));
    };
    for (index, id) in model.fans.ids.iter().enumerate() {
        let fqdd = format!("Fan.Embedded.{id}");
        add("Fan", Some(fqdd.clone()), fqdd, "Fan Slot", index + 1, id.clone());
    }
    for socket in 1..=2 {
        let fqdd = format!("CPU.Socket.{socket}");
        add("Processor", Some(fqdd.clone()), fqdd, "Processor Slot", socket, socket.to_string());
    }
    let populated: Vec<String> = view.hardware.dimms().into_iter().map(|dimm| dimm.label).collect();
    for n in 0..model.dimm_slots {
        let half = model.dimm_slots / 2;
        let label = format!("{}{}", if n < half { 'A' } else { 'B' }, n % half + 1);
        let fqdd = format!("DIMM.Socket.{label}");
        let there = populated.contains(&label).then(|| fqdd.clone());
        add("DIMM", there, fqdd, "DIMM Slot", n as usize + 1, label);
    }
    for supply in view.hardware.supplies() {
        add(
            "PowerSupply",
            Some(supply.id.clone()),
            supply.id,
            "Power Supply Slot",
            supply.number as usize,
            supply.number.to_string(),
        );
    }
    let ports = view.hardware.ports();
    let gpus: Vec<_> = view.hardware.gpus().collect();
    let mut numbers = model.pcie_slots.numbers.clone();
    for place in &model.gpus {
        if !numbers.contains(&place.slot) {
            numbers.push(place.slot);
        }
    }
    numbers.sort_unstable();
    for number in numbers {
        let gpu = gpus.iter().find(|gpu| gpu.place.slot == number).map(|gpu| gpu.fqdd());
        // A card with two functions is named by its last one.
        let card = ports.iter().rev().find(|port| port.adapter.slot == Some(number)).map(|port| port.function.clone());
        add("PCI-E", gpu.or(card), format!("PCIe.Slot.{number}"), "PCI Slot", number as usize, number.to_string());
    }
    let bays = view.hardware.bays();
    for number in 0..model.nvme.bays {
        let fqdd = format!("Disk.Bay.{number}:Enclosure.Internal.0-1");
        let there = bays.iter().any(|bay| bay.number == number).then(|| fqdd.clone());
        let tag = format!("{number:03}|C|Enclosure.Internal.0-1:Disk.Slot.{number}");
        add("PhysicalDisk", there, tag, "Physical Disk Slot", number as usize, number.to_string());
    }
    all
}

fn rollups(view: &View<'_>) -> Vec<Value> {
    let failed = !view.hardware.changes.failed_supplies.is_empty();
    ["Temperature", "Voltage", "Fan", "PowerSupply", "Storage", "Memory", "CPU", "Battery", "Intrusion", "SEL"]
        .iter()
        .map(|name| {
            let id = format!("iDRAC.Embedded.1_0x23_SubSystem.1_0x23_{name}");
            // This collection spells `Ok` where the system spells `OK`.
            let status = if *name == "PowerSupply" && failed { "Error" } else { "Ok" };
            document(
                format!("{SYSTEM}/Oem/Dell/DellRollupStatus/{id}"),
                "DellRollupStatus",
                "v1_0_0",
                &id,
                "DellRollupStatus",
                json!({
                    "CollectionName": format!("{name}RollupStatus"),
                    "Description": "Represents the subcomponent roll-up statuses.",
                    "InstanceID": format!("iDRAC.Embedded.1#SubSystem.1#{name}"),
                    "RollupStatus": status,
                    "SubSystem": name,
                }),
            )
        })
        .collect()
}

fn boot_sources(view: &View<'_>) -> Value {
    let boss = &view.model().boss.storage_id;
    let names =
        [format!("Disk.Virtual.0:{boss}"), "NIC.PxeDevice.1-1".to_owned(), "Optical.iDRACVirtual.1-1".to_owned()];
    let order = super::system::boot_order(view);
    let sequence: Vec<Value> = order
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let number: usize = entry.trim_start_matches("Boot").parse().unwrap_or(1);
            let name = names.get(number.saturating_sub(1)).cloned().unwrap_or_default();
            let hash = view.hardware.identity.hex_serial(&name, 32).to_lowercase();
            json!({"Enabled": true, "Id": format!("BIOS.Setup.1-1#UefiBootSeq#{name}#{hash}"), "Index": index, "Name": name})
        })
        .collect();
    document(
        format!("{SYSTEM}/Oem/Dell/DellBootSources"),
        "DellBootSources",
        "v1_1_0",
        "BootSources",
        "Boot Sources Configuration",
        json!({
            "Attributes": {"UefiBootSeq": sequence},
            "Description": "Boot Sources Configuration Current Settings",
        }),
    )
}
