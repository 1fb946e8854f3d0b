//! The server models as data. One TOML file each in `models/`, read at build time; a fleet shares one copy of every model.
//! Nothing here belongs to a single machine: serial numbers, MACs and changes are [`crate::hardware`]'s.

use std::sync::OnceLock;

use serde::Deserialize;

/// One server model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Short name, `XE9680`.
    pub name: String,
    /// Name as the system calls itself, `PowerEdge XE9680`.
    pub product: String,
    /// Generation word of the manager, `16G Monolithic`.
    pub generation: String,
    /// Dell's number of the board family.
    pub system_id: u32,
    /// Height in rack units.
    pub height_u: u32,
    /// DIMM slots on the board.
    pub dimm_slots: u32,
    /// Seconds of a cold POST in real life.
    pub post_seconds: u64,
    /// Watts of the whole box without work.
    pub system_idle_watts: u32,
    /// Watts of the whole box under load.
    pub system_load_watts: u32,
    /// Lowest power cap the box accepts, watts.
    pub power_cap_min_watts: u32,
    /// Highest power cap the box accepts, watts.
    pub power_cap_max_watts: u32,
    /// Both processors.
    pub cpu: Cpu,
    /// All memory modules.
    pub memory: Memory,
    /// Versions of what every machine has.
    pub firmware: Firmware,
    /// The boot device.
    pub boss: Boss,
    /// The power supplies.
    pub power_supply: PowerSupply,
    /// The fans.
    pub fans: Fans,
    /// What the GPUs are, when there are any.
    pub gpu_part: Option<GpuPart>,
    /// Where the GPUs sit, in CUDA order (PCI bus order).
    #[serde(default, rename = "gpu")]
    pub gpus: Vec<GpuPlace>,
    /// Network and InfiniBand adapters.
    #[serde(default, rename = "adapter")]
    pub adapters: Vec<Adapter>,
    /// NVMe drives wired to the processors.
    pub nvme: Nvme,
    /// PCIe slots of the board.
    pub pcie_slots: PcieSlots,
}

/// A processor; every socket holds the same.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields carry the names of the Redfish properties they fill")]
pub struct Cpu {
    pub model: String,
    pub cores: u32,
    pub threads: u32,
    pub speed_mhz: u32,
    pub max_speed_mhz: u32,
    pub version: String,
    pub effective_model: String,
    pub stepping: String,
    pub identification: String,
    pub microcode: String,
    pub l2_kib: u32,
    pub l3_kib: u32,
}

/// The memory modules, all alike.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields carry the names of the Redfish properties they fill")]
pub struct Memory {
    pub modules: u32,
    pub size_mib: u64,
    pub speed_mhz: u32,
    pub rated_mhz: u32,
    pub manufacturer: String,
    pub part_number: String,
    pub ranks: u32,
}

/// Versions of the parts every machine has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the version of the part it is named after")]
pub struct Firmware {
    pub idrac: String,
    pub idrac_previous: String,
    pub bios: String,
    pub bios_previous: String,
    pub bios_date: String,
    pub cpld: String,
    pub diagnostics: String,
    pub driver_pack: String,
    pub service_module: String,
    pub tpm: String,
    pub backplane: String,
}

/// The BOSS card: two M.2 drives and one RAID 1 volume over them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields carry the names of the Redfish properties they fill")]
pub struct Boss {
    pub storage_id: String,
    pub model: String,
    pub firmware: String,
    pub drive_model: String,
    pub drive_firmware: String,
    pub drive_bytes: u64,
    pub volume_bytes: u64,
    pub bus: u8,
}

/// The power supplies, all alike.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields carry the names of the Redfish properties they fill")]
pub struct PowerSupply {
    pub count: u32,
    pub watts: u32,
    pub model: String,
    pub part_number: String,
    pub firmware: String,
    pub component_id: u32,
}

/// The fans: the part of their ids after `Fan.Embedded.`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "two plain fields")]
pub struct Fans {
    pub ids: Vec<String>,
    pub idle_rpm: u32,
}

/// What kind of GPU the model carries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields carry the names of the Redfish properties they fill")]
pub struct GpuPart {
    pub model: String,
    pub nvml_name: String,
    pub part_number: String,
    pub gpu_part_number: String,
    pub device_id: String,
    pub subdevice_id: String,
    pub vbios: String,
    pub memory_bytes: u64,
    pub idle_watts: u32,
    pub limit_watts: u32,
    pub pcie: String,
    pub class_code: String,
}

/// One place for a GPU.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "three plain numbers")]
pub struct GpuPlace {
    pub slot: u32,
    pub bus: u8,
    pub socket: u32,
}

/// What a network adapter speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterKind {
    /// Ethernet.
    Ethernet,
    /// InfiniBand.
    Infiniband,
}

/// One network adapter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields carry the names of the Redfish properties they fill")]
pub struct Adapter {
    pub kind: AdapterKind,
    pub id: String,
    #[serde(default)]
    pub embedded: bool,
    #[serde(default)]
    pub integrated: bool,
    /// Slot number of a card in a PCIe slot.
    pub slot: Option<u32>,
    /// Cards without partitions have no partition part in the ids of their functions.
    #[serde(default)]
    pub single_function: bool,
    pub ports: u32,
    pub bus: u8,
    pub socket: u32,
    pub vendor: String,
    pub product: String,
    pub vendor_id: String,
    pub device_id: String,
    pub subvendor_id: String,
    pub subdevice_id: String,
    pub firmware: String,
    pub component_id: u32,
    pub speed_mbps: u64,
    /// How many of the ports have a cable, counted from the first.
    pub linked_ports: u32,
    pub media: String,
}

/// NVMe drives in front bays, wired to the processors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields carry the names of the Redfish properties they fill")]
pub struct Nvme {
    pub bays: u32,
    pub populated: u32,
    pub bytes: u64,
    pub model: String,
    pub manufacturer: String,
    pub firmware: String,
    pub buses: Vec<u8>,
    pub sockets: Vec<u32>,
}

/// PCIe slots of the board.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "one plain list")]
pub struct PcieSlots {
    pub numbers: Vec<u32>,
}

/// The text of a model file and, once somebody asked for it, what it says.
struct Source {
    name: &'static str,
    text: &'static str,
    read: OnceLock<Result<Model, String>>,
}

static SOURCES: [Source; 4] = [
    Source { name: "XE9680", text: include_str!("../models/xe9680.toml"), read: OnceLock::new() },
    Source { name: "XE8640", text: include_str!("../models/xe8640.toml"), read: OnceLock::new() },
    Source { name: "R760xa", text: include_str!("../models/r760xa.toml"), read: OnceLock::new() },
    Source { name: "R660", text: include_str!("../models/r660.toml"), read: OnceLock::new() },
];

impl Model {
    /// The names that [`Model::by_name`] knows.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        SOURCES.iter().map(|source| source.name).collect()
    }

    /// The model with this name, case does not matter and a leading `PowerEdge ` is allowed.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Model> {
        let wanted = name.trim().trim_start_matches("PowerEdge ");
        let source = SOURCES.iter().find(|source| source.name.eq_ignore_ascii_case(wanted))?;
        source.read.get_or_init(|| toml::from_str(source.text).map_err(|e| e.to_string())).as_ref().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_file_is_sound() {
        for source in &SOURCES {
            let model: Model = toml::from_str(source.text).unwrap_or_else(|error| panic!("{}: {error}", source.name));
            assert_eq!(model.name, source.name);
            assert_eq!(model.gpus.is_empty(), model.gpu_part.is_none(), "{}", source.name);
            assert_eq!(model.nvme.buses.len(), model.nvme.populated as usize, "{}", source.name);
            assert_eq!(model.nvme.sockets.len(), model.nvme.populated as usize, "{}", source.name);
            let mut buses: Vec<u8> = model.gpus.iter().map(|gpu| gpu.bus).collect();
            buses.extend(model.adapters.iter().map(|adapter| adapter.bus));
            buses.extend(&model.nvme.buses);
            buses.push(model.boss.bus);
            let count = buses.len();
            buses.sort_unstable();
            buses.dedup();
            assert_eq!(buses.len(), count, "two parts of {} share a bus", source.name);
        }
    }
}
