//! A simulated machine as the BMC simulator describes it, translated into what the deploy and agent code reads on a real one.
//!
//! Fields that change how it behaves are optional: `ramdisk = "never_calls"`, `network = "none"`, `clock_offset_seconds`, and on a disk
//! `read_only`, `removable`, `label`, `esp`, `corrupt`.

use helix_api::agent::{GpuReading, InfinibandReading};
use helix_api::machine::{DiskFacts, MachineFacts, NicFacts};
use serde::Deserialize;

use crate::deploy::rule::Seen;
use crate::deploy::signature::{Kind, Signature};
use crate::machine::block::Disk;
use crate::source::replay::Overlay;

/// The machine in a boot event.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Machine {
    pub manufacturer: Option<String>,
    pub product: Option<String>,
    pub service_tag: Option<String>,
    pub uuid: Option<String>,
    pub bios_version: Option<String>,
    pub memory_bytes: Option<u64>,
    pub logical_processors: Option<u32>,
    pub nics: Vec<Nic>,
    pub disks: Vec<SimulatedDisk>,
    pub gpus: Vec<Gpu>,
    pub infiniband: Vec<Infiniband>,
    /// `never_calls`: the ramdisk hangs before it reaches the controller.
    pub ramdisk: Option<String>,
    /// `none`: neither ramdisk nor installed system has a network.
    pub network: Option<String>,
    /// The machine's clock less the true time, seconds.
    pub clock_offset_seconds: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Nic {
    pub name: String,
    pub mac: String,
    pub carrier: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SimulatedDisk {
    pub name: String,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub size_bytes: u64,
    pub boss: bool,
    pub removable: bool,
    pub read_only: bool,
    pub transport: Option<String>,
    /// Label of a file system that lies on it from an earlier life.
    pub label: Option<String>,
    /// It carries a bootable EFI system partition.
    pub esp: bool,
    /// It gives back other bytes than were written.
    pub corrupt: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Gpu {
    pub index: u32,
    pub name: String,
    pub uuid: String,
    pub serial: Option<String>,
    pub pci_bus_id: String,
    pub memory_total_bytes: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Infiniband {
    pub device: String,
    pub guid: Option<String>,
    pub rate_gbps: Option<f64>,
    pub pci_bus_id: Option<String>,
}

/// Memory and logical processors of usual orders of each model, where the simulator does not say: (product, GiB, processors).
const USUAL: [(&str, u64, u32); 4] =
    [("XE9680", 2048, 224), ("XE8640", 1024, 128), ("R760xa", 512, 128), ("R660", 512, 128)];

impl Machine {
    /// Whether it has a network at all.
    pub fn has_network(&self) -> bool {
        self.network.as_deref() != Some("none")
    }

    /// What it says of itself.
    pub fn facts(&self) -> MachineFacts {
        let product = self.product.clone().unwrap_or_default();
        let usual = USUAL.iter().find(|(name, ..)| product.contains(name));
        MachineFacts {
            manufacturer: self.manufacturer.clone(),
            product: self.product.clone(),
            service_tag: self.service_tag.clone(),
            uuid: self.uuid.clone(),
            uefi: true,
            secure_boot: Some(false),
            bios_version: self.bios_version.clone(),
            logical_processors: self.logical_processors.or(usual.map(|usual| usual.2)).unwrap_or(1),
            memory_bytes: self.memory_bytes.or(usual.map(|usual| usual.1 << 30)).unwrap_or(1 << 30),
            nics: self.nic_facts(),
            disks: self.disks.iter().map(SimulatedDisk::facts).collect(),
        }
    }

    /// Its network interfaces.
    pub fn nic_facts(&self) -> Vec<NicFacts> {
        self.nics
            .iter()
            .map(|nic| NicFacts {
                name: nic.name.clone(),
                mac: nic.mac.to_ascii_lowercase(),
                carrier: Some(nic.carrier),
                speed_mbps: nic.carrier.then_some(1000),
                ..NicFacts::default()
            })
            .collect()
    }

    /// Its disks with what lies on them; `installed` is the serial number of the disk that holds a system.
    pub fn seen(&self, installed: Option<&str>) -> Vec<Seen> {
        self.disks.iter().map(|disk| disk.seen(installed.is_some() && disk.serial.as_deref() == installed)).collect()
    }

    /// Its GPUs and InfiniBand ports, for laying a recording over them.
    pub fn overlay(&self) -> Overlay {
        Overlay {
            gpus: self
                .gpus
                .iter()
                .map(|gpu| GpuReading {
                    index: gpu.index,
                    name: gpu.name.clone(),
                    uuid: gpu.uuid.clone(),
                    serial: gpu.serial.clone(),
                    pci_bus_id: gpu.pci_bus_id.clone(),
                    memory_total_bytes: gpu.memory_total_bytes,
                    ..GpuReading::default()
                })
                .collect(),
            infiniband: self
                .infiniband
                .iter()
                .map(|port| InfinibandReading {
                    device: port.device.clone(),
                    port: 1,
                    node_guid: port.guid.clone(),
                    rate_gbps: port.rate_gbps,
                    pci_address: port.pci_bus_id.clone(),
                    ..InfinibandReading::default()
                })
                .collect(),
        }
    }
}

impl SimulatedDisk {
    fn facts(&self) -> DiskFacts {
        let transport = self
            .transport
            .clone()
            .unwrap_or_else(|| if self.name.starts_with("nvme") { "nvme" } else { "sata" }.to_owned());
        let by_id = self.model.as_ref().zip(self.serial.as_ref()).map(|(model, serial)| {
            let prefix = if transport == "nvme" { "nvme" } else { "ata" };
            format!("{prefix}-{}_{serial}", model.replace(' ', "_"))
        });
        DiskFacts {
            name: self.name.clone(),
            by_id,
            model: self.model.clone(),
            serial: self.serial.clone(),
            size_bytes: self.size_bytes,
            transport: Some(transport),
            removable: self.removable,
            read_only: self.read_only,
            boss: self.boss,
            holders: Vec::new(),
            content: Vec::new(),
        }
    }

    fn seen(&self, installed: bool) -> Seen {
        let facts = self.facts();
        let disk = Disk {
            path: format!("/dev/{}", self.name).into(),
            by_ids: facts.by_id.iter().cloned().collect(),
            sector_bytes: 512,
            boss_volume: self.boss,
            facts,
            ..Disk::default()
        };
        let mut signatures = Vec::new();
        if installed || self.esp {
            signatures.push(Signature { esp: true, label: Some("EFI".into()), ..signature(1, Kind::Vfat) });
        }
        if installed {
            signatures.push(Signature { label: Some("root".into()), ..signature(2, Kind::Ext4) });
        }
        if let Some(label) = &self.label {
            signatures.push(Signature { label: Some(label.clone()), ..signature(3, Kind::Ext4) });
        }
        Seen { disk, signatures }
    }
}

fn signature(partition: u32, kind: Kind) -> Signature {
    Signature {
        partition: Some(partition),
        kind,
        uuid: None,
        label: None,
        partition_guid: None,
        group: None,
        esp: false,
        start_bytes: 0,
        size_bytes: 0,
    }
}
