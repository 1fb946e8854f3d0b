//! Processors: the two CPUs and, as an iDRAC lists them, the GPUs beside them.

use serde_json::{Value, json};

use super::{CHASSIS, SYSTEM, View, collection, document, link, links, memory, pcie, put};
use crate::hardware::Gpu;

/// `Processors` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{SYSTEM}/Processors");
    match segments {
        [] => Some(collection(path, "ProcessorCollection", "ProcessorsCollection", links(paths(view)))),
        [id] => match socket(id) {
            Some(socket) => Some(cpu(view, socket)),
            None => gpu_called(view, id).map(|gpu| gpu_document(view, &gpu)),
        },
        [id, "ProcessorMetrics"] => gpu_called(view, id).map(|gpu| metrics(view, &gpu)),
        _ => None,
    }
}

/// Links to all processors. The order is that of an iDRAC: GPUs first, then the sockets backwards.
#[must_use]
pub fn paths(view: &View<'_>) -> Vec<String> {
    let mut ids: Vec<String> = view.hardware.gpus().map(|gpu| gpu.fqdd()).collect();
    ids.sort();
    ids.extend(["CPU.Socket.2".to_owned(), "CPU.Socket.1".to_owned()]);
    ids.into_iter().map(|id| format!("{SYSTEM}/Processors/{id}")).collect()
}

fn socket(id: &str) -> Option<u32> {
    match id {
        "CPU.Socket.1" => Some(1),
        "CPU.Socket.2" => Some(2),
        _ => None,
    }
}

/// The GPU with this FQDD.
#[must_use]
pub fn gpu_called(view: &View<'_>, id: &str) -> Option<Gpu> {
    view.hardware.gpus().find(|gpu| gpu.fqdd() == id)
}

fn cpu(view: &View<'_>, socket: u32) -> Value {
    let cpu = &view.model().cpu;
    let id = format!("CPU.Socket.{socket}");
    let path = format!("{SYSTEM}/Processors/{id}");
    let mut oem = json!({
        "CPUFamily": "Intel(R)Xeon(TM)", "CPUStatus": "CPUEnabled", "CurrentClockSpeedMhz": cpu.speed_mhz,
        "ExternalBusClockSpeedMhz": 16000, "HyperThreadingCapable": "Yes", "HyperThreadingEnabled": "Yes",
        "LastSystemInventoryTime": view.inventory_time(), "LastUpdateTime": view.inventory_time(),
        "TurboModeCapable": "Yes", "TurboModeEnabled": "Yes", "VirtualizationTechnologyCapable": "Yes",
        "VirtualizationTechnologyEnabled": "Yes", "Volts": "1.6",
    });
    for (level, kib) in [(1, cpu.cores * 80), (2, cpu.l2_kib), (3, cpu.l3_kib)] {
        oem[format!("Cache{level}InstalledSizeKB")] = json!(kib);
        oem[format!("Cache{level}SizeKB")] = json!(kib);
        oem[format!("Cache{level}Level")] = json!(format!("L{level}"));
        oem[format!("Cache{level}Location")] = json!("Internal");
        oem[format!("Cache{level}PrimaryStatus")] = json!("OK");
        oem[format!("Cache{level}Type")] = json!("Unified");
        oem[format!("Cache{level}WritePolicy")] = json!("WriteBack");
    }
    let mut links_of = json!({"Chassis": link(CHASSIS)});
    put(&mut links_of, "Memory", links(memory::paths_of(view, socket)));
    document(
        path.clone(),
        "Processor",
        "v1_20_0",
        &id,
        &format!("CPU {socket}"),
        json!({
            "Description": "Represents the properties of a Processor attached to this System",
            "Enabled": true,
            "InstructionSet": "x86-64",
            "Links": links_of,
            "Manufacturer": "Intel",
            "MaxSpeedMHz": cpu.max_speed_mhz,
            "Model": cpu.model,
            "OperatingSpeedMHz": cpu.speed_mhz,
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                "DellProcessor": document(
                    format!("{path}/Oem/Dell/DellProcessors/{id}"), "DellProcessor", "v1_1_0", &id, "DellProcessor", oem,
                ),
            }},
            "ProcessorArchitecture": "x86",
            "ProcessorId": {
                "EffectiveFamily": "6", "EffectiveModel": cpu.effective_model, "IdentificationRegisters": cpu.identification,
                "MicrocodeInfo": cpu.microcode, "ProtectedIdentificationNumber": view.hardware.identity.hex_serial(&format!("ppin {socket}"), 16),
                "Step": cpu.stepping, "VendorId": "GenuineIntel",
            },
            "ProcessorType": "CPU",
            "Socket": id,
            "Status": {"Health": "OK", "State": "Enabled"},
            "TotalCores": cpu.cores,
            "TotalEnabledCores": cpu.cores,
            "TotalThreads": cpu.threads,
            "TurboState": "Enabled",
            "Version": cpu.version,
        }),
    )
}

fn gpu_document(view: &View<'_>, gpu: &Gpu) -> Value {
    let id = gpu.fqdd();
    let path = format!("{SYSTEM}/Processors/{id}");
    document(
        path.clone(),
        "Processor",
        "v1_20_0",
        &id,
        &id,
        json!({
            "Description": "Represents the properties of the GPU attached to this System",
            "Links": {
                "Chassis": link(CHASSIS),
                "Oem": {"Dell": {
                    "@odata.type": "#DellOem.v1_3_0.DellOemLinks",
                    "CPUAffinity": [link(format!("{SYSTEM}/Processors/CPU.Socket.{}", gpu.place.socket))],
                    "CPUAffinity@odata.count": 1,
                }},
                "PCIeDevice": link(pcie::device_path(&gpu.pcie_id())),
                "PCIeFunctions": [link(pcie::function_path(&gpu.pcie_id(), &format!("{}-0-0", gpu.place.bus)))],
                "PCIeFunctions@odata.count": 1,
            },
            "Manufacturer": "NVIDIA Corporation",
            "Metrics": link(format!("{path}/ProcessorMetrics")),
            "Model": gpu.part.model,
            "PartNumber": gpu.part.part_number,
            "ProcessorType": "GPU",
            "SerialNumber": view.hardware.gpu_serial(gpu),
            "Status": {"Health": "OK", "State": "Enabled"},
        }),
    )
}

fn metrics(view: &View<'_>, gpu: &Gpu) -> Value {
    let id = gpu.fqdd();
    let on = view.state.kept.power_on;
    document(
        format!("{SYSTEM}/Processors/{id}/ProcessorMetrics"),
        "ProcessorMetrics",
        "v1_6_1",
        &id,
        "GPU Metrics",
        json!({
            "BandwidthPercent": if on { json!(0) } else { Value::Null },
            "ConsumedPowerWatt": if on { json!(f64::from(gpu.part.idle_watts)) } else { Value::Null },
            "Description": "GPU Metrics",
            "OperatingSpeedMHz": if on { json!(345) } else { Value::Null },
            "TemperatureCelsius": if on { json!(32) } else { Value::Null },
        }),
    )
}
