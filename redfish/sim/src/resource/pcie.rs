//! PCIe devices, their functions and the slots of the board. Ids are decimal bus and device numbers, never a key of a part.

use serde_json::{Value, json};

use super::{CHASSIS, SYSTEM, View, collection, document, link, links, ok_status, put};

/// One device as PCI sees it.
struct Device {
    id: String,
    name: String,
    manufacturer: String,
    part_number: Value,
    serial: Value,
    firmware: String,
    socket: u32,
    slot: Option<u32>,
    class: &'static str,
    device_class: &'static str,
    vendor_id: String,
    device_id: String,
    subvendor_id: String,
    subdevice_id: String,
    /// FQDD of each function.
    functions: Vec<String>,
}

fn devices(view: &View<'_>) -> Vec<Device> {
    let model = view.model();
    let mut all = Vec::new();
    for gpu in view.hardware.gpus() {
        all.push(Device {
            id: gpu.pcie_id(),
            name: gpu.part.model.clone(),
            manufacturer: "NVIDIA Corporation".to_owned(),
            part_number: json!(gpu.part.part_number),
            serial: json!(view.hardware.gpu_serial(&gpu)),
            firmware: gpu.part.vbios.clone(),
            socket: gpu.place.socket,
            slot: Some(gpu.place.slot),
            class: "0x030200",
            device_class: "DisplayController",
            vendor_id: "0x10de".to_owned(),
            device_id: format!("0x{}", gpu.part.device_id.to_lowercase()),
            subvendor_id: "0x10de".to_owned(),
            subdevice_id: format!("0x{}", gpu.part.subdevice_id.to_lowercase()),
            functions: vec![gpu.fqdd()],
        });
    }
    for adapter in &model.adapters {
        let ports = view.hardware.ports_of(adapter);
        let infiniband = adapter.kind == crate::model::AdapterKind::Infiniband;
        all.push(Device {
            id: format!("{}-0", adapter.bus),
            name: adapter.product.clone(),
            manufacturer: adapter.vendor.clone(),
            part_number: Value::Null,
            // Serial numbers of cards come padded to their field.
            serial: if adapter.embedded {
                Value::Null
            } else {
                json!(format!("{:<30}", view.hardware.adapter_serial(adapter)))
            },
            firmware: adapter.firmware.clone(),
            socket: adapter.socket,
            slot: adapter.slot,
            class: if infiniband { "0x020700" } else { "0x020000" },
            device_class: "NetworkController",
            vendor_id: format!("0x{}", adapter.vendor_id),
            device_id: format!("0x{}", adapter.device_id),
            subvendor_id: format!("0x{}", adapter.subvendor_id),
            subdevice_id: format!("0x{}", adapter.subdevice_id),
            functions: ports.into_iter().map(|port| port.function).collect(),
        });
    }
    all.push(Device {
        id: format!("{}-0", model.boss.bus),
        name: "88NR2241 Non-Volatile memory controller".to_owned(),
        manufacturer: "Marvell Technology Group Ltd.".to_owned(),
        part_number: Value::Null,
        serial: json!(view.hardware.boss_serial()),
        firmware: model.boss.firmware.clone(),
        socket: 1,
        slot: None,
        class: "0x010802",
        device_class: "MassStorageController",
        vendor_id: "0x1b4b".to_owned(),
        device_id: "0x2241".to_owned(),
        subvendor_id: "0x1028".to_owned(),
        subdevice_id: "0x2151".to_owned(),
        functions: vec![model.boss.storage_id.clone()],
    });
    for bay in view.hardware.bays() {
        all.push(Device {
            id: format!("{}-0", bay.bus),
            name: model.nvme.model.clone(),
            manufacturer: model.nvme.manufacturer.clone(),
            part_number: Value::Null,
            serial: json!(bay.serial),
            firmware: model.nvme.firmware.clone(),
            socket: bay.socket,
            slot: None,
            class: "0x010802",
            device_class: "MassStorageController",
            vendor_id: "0x1e0f".to_owned(),
            device_id: "0x0013".to_owned(),
            subvendor_id: "0x1028".to_owned(),
            subdevice_id: "0x2242".to_owned(),
            functions: vec![bay.id],
        });
    }
    all
}

/// Path of a device.
#[must_use]
pub fn device_path(id: &str) -> String {
    format!("{CHASSIS}/PCIeDevices/{id}")
}

/// Path of a function.
#[must_use]
pub fn function_path(device: &str, function: &str) -> String {
    format!("{CHASSIS}/PCIeDevices/{device}/PCIeFunctions/{function}")
}

/// Paths of all devices.
#[must_use]
pub fn device_paths(view: &View<'_>) -> Vec<String> {
    devices(view).iter().map(|device| device_path(&device.id)).collect()
}

/// Paths of all functions.
#[must_use]
pub fn function_paths(view: &View<'_>) -> Vec<String> {
    devices(view)
        .iter()
        .flat_map(|device| {
            (0..device.functions.len()).map(|n| function_path(&device.id, &format!("{}-{n}", device.id)))
        })
        .collect()
}

/// `PCIeDevices` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    match segments {
        [] => Some(collection(
            format!("{CHASSIS}/PCIeDevices"),
            "PCIeDeviceCollection",
            "PCIeDevice Collection",
            links(device_paths(view)),
        )),
        [id] => devices(view).iter().find(|device| device.id == *id).map(device_document),
        [id, "PCIeFunctions"] => {
            let all = devices(view);
            let device = all.iter().find(|device| device.id == *id)?;
            let members = (0..device.functions.len()).map(|n| function_path(id, &format!("{id}-{n}")));
            Some(collection(
                format!("{}/PCIeFunctions", device_path(id)),
                "PCIeFunctionCollection",
                "PCIeFunction Collection",
                links(members),
            ))
        }
        [id, "PCIeFunctions", function] => {
            let all = devices(view);
            let device = all.iter().find(|device| device.id == *id)?;
            let number: usize = function.strip_prefix(&format!("{id}-"))?.parse().ok()?;
            device.functions.get(number).map(|fqdd| function_document(view, device, number, fqdd))
        }
        _ => None,
    }
}

fn device_document(device: &Device) -> Value {
    let mut body = json!({
        "AssetTag": null,
        "Description": device.name,
        "DeviceType": if device.functions.len() > 1 { "MultiFunction" } else { "SingleFunction" },
        "FirmwareVersion": device.firmware,
        "Links": {
            "Chassis": [link(CHASSIS)],
            "Chassis@odata.count": 1,
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemLinks",
                "CPUAffinity": [link(format!("{SYSTEM}/Processors/CPU.Socket.{}", device.socket))],
                "CPUAffinity@odata.count": 1,
            }},
        },
        "Manufacturer": device.manufacturer,
        "Model": device.name,
        "PCIeFunctions": link(format!("{}/PCIeFunctions", device_path(&device.id))),
        "PartNumber": device.part_number,
        "SKU": null,
        "SerialNumber": device.serial,
        "Status": ok_status(),
    });
    if let Some(slot) = device.slot {
        body["PCIeInterface"] = json!({"LanesInUse": 16, "MaxLanes": 16, "MaxPCIeType": "Gen5", "PCIeType": "Gen5"});
        body["Slot"] = json!({
            "Lanes": 16, "Location": {"PartLocation": {"LocationOrdinalValue": slot, "LocationType": "Slot"}},
            "PCIeType": "Gen5", "SlotType": "FullLength",
        });
    }
    let paths = (0..device.functions.len()).map(|n| function_path(&device.id, &format!("{}-{n}", device.id)));
    put(&mut body["Links"], "PCIeFunctions", links(paths));
    document(device_path(&device.id), "PCIeDevice", "v1_14_0", &device.id, &device.name, body)
}

fn function_document(view: &View<'_>, device: &Device, number: usize, fqdd: &str) -> Value {
    let id = format!("{}-{number}", device.id);
    document(
        function_path(&device.id, &id),
        "PCIeFunction",
        "v1_6_0",
        &id,
        &device.name,
        json!({
            "ClassCode": device.class,
            "Description": device.name,
            "DeviceClass": device.device_class,
            "DeviceId": device.device_id,
            "Enabled": true,
            "FunctionId": number,
            "FunctionType": "Physical",
            "Links": {
                "Drives": [], "Drives@odata.count": 0, "EthernetInterfaces": [], "EthernetInterfaces@odata.count": 0,
                "PCIeDevice": link(device_path(&device.id)), "StorageControllers": [], "StorageControllers@odata.count": 0,
            },
            "Oem": {"Dell": {
                "@odata.type": "#DellChassisPCIeFunction.v1_0_0.DellPCIeFunction",
                "DellPCIeFunction": {
                    "DataBusWidth": "16XOrX16", "Id": fqdd, "LastSystemInventoryTime": view.inventory_time(),
                    "LastUpdateTime": view.inventory_time(), "SlotLength": "LongLength", "SlotType": "PCIExpressGen5",
                },
            }},
            "RevisionId": "0xa1",
            "Status": ok_status(),
            "SubsystemId": device.subdevice_id,
            "SubsystemVendorId": device.subvendor_id,
            "VendorId": device.vendor_id,
        }),
    )
}

/// `PCIeSlots`: all slots of the board, empty ones too.
#[must_use]
pub fn slots(view: &View<'_>) -> Value {
    let all = devices(view);
    let mut numbers = view.model().pcie_slots.numbers.clone();
    for gpu in &view.model().gpus {
        if !numbers.contains(&gpu.slot) {
            numbers.push(gpu.slot);
        }
    }
    numbers.sort_unstable();
    let slots = numbers
        .into_iter()
        .map(|number| {
            let device = all.iter().find(|device| device.slot == Some(number));
            let socket = device.map_or(1, |device| device.socket);
            let mut links_of = json!({
                "Processors": [link(format!("{SYSTEM}/Processors/CPU.Socket.{socket}"))], "Processors@odata.count": 1,
            });
            put(&mut links_of, "PCIeDevice", links(device.map(|device| device_path(&device.id))));
            json!({
                "HotPluggable": false,
                "Lanes": 16,
                "Links": links_of,
                "Location": {"PartLocation": {"LocationOrdinalValue": number, "LocationType": "Slot"}},
                "Oem": {"Dell": {"@odata.type": "#DellPCIeSlots.v1_0_0.DellPCIeSlots", "SlotKey": format!("PCIe.Slot.{number}")}},
                "PCIeType": "Gen5",
                "SlotType": "FullLength",
                "Status": {"Health": if device.is_some() { json!("OK") } else { Value::Null }, "State": if device.is_some() { "Enabled" } else { "Absent" }},
            })
        })
        .collect();
    let mut body = json!({"Description": "PCIe Slot information of the chassis"});
    put(&mut body, "Slots", slots);
    document(format!("{CHASSIS}/PCIeSlots"), "PCIeSlots", "v1_6_1", "PCIeSlots", "PCIeSlots", body)
}
