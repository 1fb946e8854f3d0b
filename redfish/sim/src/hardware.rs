//! The parts of one machine: the model's data joined with the identity of the machine and with what a test or a demo did
//! to it (a GPU pulled, a module swapped, a link dropped, a supply failed). Computed when asked for, never stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::model::{Adapter, AdapterKind, GpuPart, GpuPlace, Model};

/// What differs from the factory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartChanges {
    /// Slots whose GPU is gone.
    pub pulled_gpus: BTreeSet<u32>,
    /// DIMM label (`A3`) to the number of swaps it saw.
    pub swapped_dimms: BTreeMap<String, u32>,
    /// Port FQDDs without link.
    pub dropped_links: BTreeSet<String>,
    /// Numbers of the supplies without input.
    pub failed_supplies: BTreeSet<u32>,
}

/// A view of the parts of one machine.
#[derive(Debug, Clone, Copy)]
pub struct Hardware<'a> {
    /// The model's data.
    pub model: &'static Model,
    /// Who the machine is.
    pub identity: Identity,
    /// What was done to it.
    pub changes: &'a PartChanges,
    /// Bytes of the BOSS volume.
    pub volume_bytes: u64,
}

/// A GPU that is there.
#[derive(Debug, Clone, Copy)]
pub struct Gpu {
    /// Place on the board.
    pub place: GpuPlace,
    /// What it is.
    pub part: &'static GpuPart,
    /// Position in CUDA order on a machine with all its GPUs.
    pub index: usize,
}

impl Gpu {
    /// `Video.Slot.21-1`.
    #[must_use]
    pub fn fqdd(&self) -> String {
        format!("Video.Slot.{}-1", self.place.slot)
    }

    /// Decimal `<bus>-<device>`, the id of the PCIe device.
    #[must_use]
    pub fn pcie_id(&self) -> String {
        format!("{}-0", self.place.bus)
    }
}

/// One memory module.
#[derive(Debug, Clone)]
pub struct Dimm {
    /// `A3`.
    pub label: String,
    /// Processor socket it belongs to.
    pub socket: u32,
    /// Serial number, eight hexadecimal digits.
    pub serial: String,
}

/// One port of an adapter with its function.
#[derive(Debug, Clone)]
pub struct Port {
    /// The adapter it belongs to.
    pub adapter: &'static Adapter,
    /// Number on the adapter, from 1.
    pub number: u32,
    /// Port FQDD.
    pub id: String,
    /// FQDD of its function.
    pub function: String,
    /// MAC address, upper case.
    pub mac: String,
    /// InfiniBand GUID (`0x…`), empty for Ethernet.
    pub guid: String,
    /// Whether a link is up (cable there, not dropped by a test).
    pub link_up: bool,
}

impl Port {
    /// Id of the PCIe device of the port's card.
    #[must_use]
    pub fn pcie_id(&self) -> String {
        format!("{}-0", self.adapter.bus)
    }

    /// Id of the PCIe function of the port.
    #[must_use]
    pub fn pcie_function(&self) -> String {
        format!("{}-0-{}", self.adapter.bus, self.number - 1)
    }
}

/// One NVMe drive in a front bay.
#[derive(Debug, Clone)]
pub struct Bay {
    /// Number of the bay, from 0.
    pub number: u32,
    /// FQDD, which is the id of the drive and of its raw volume.
    pub id: String,
    /// Serial number.
    pub serial: String,
    /// PCI bus.
    pub bus: u8,
    /// Processor it is wired to.
    pub socket: u32,
}

/// One M.2 drive of the BOSS card.
#[derive(Debug, Clone)]
pub struct BossDrive {
    /// 0 or 1.
    pub number: u32,
    /// FQDD.
    pub id: String,
    /// Serial number.
    pub serial: String,
}

/// One power supply.
#[derive(Debug, Clone)]
pub struct Supply {
    /// From 1.
    pub number: u32,
    /// `PSU.Slot.1`.
    pub id: String,
    /// Serial number.
    pub serial: String,
    /// Has no input.
    pub failed: bool,
}

impl<'a> Hardware<'a> {
    /// The GPUs that are there, in CUDA order.
    pub fn gpus(&self) -> impl Iterator<Item = Gpu> + use<'a> {
        let part = self.model.gpu_part.as_ref();
        let changes = self.changes;
        self.model.gpus.iter().enumerate().filter_map(move |(index, place)| {
            let part = part?;
            (!changes.pulled_gpus.contains(&place.slot)).then_some(Gpu { place: *place, part, index })
        })
    }

    /// Serial number of a GPU: 13 digits.
    #[must_use]
    pub fn gpu_serial(&self, gpu: &Gpu) -> String {
        self.identity.digits(&format!("gpu {}", gpu.place.slot), 13)
    }

    /// UUID of a GPU as NVML prints it, without `GPU-`.
    #[must_use]
    pub fn gpu_uuid(&self, gpu: &Gpu) -> String {
        self.identity.part_uuid(&format!("gpu {}", gpu.place.slot))
    }

    /// The populated modules.
    #[must_use]
    pub fn dimms(&self) -> Vec<Dimm> {
        let per_socket = self.model.memory.modules / 2;
        (0..self.model.memory.modules)
            .map(|n| {
                let socket = n / per_socket + 1;
                let label = format!("{}{}", if socket == 1 { 'A' } else { 'B' }, n % per_socket + 1);
                let swaps = self.changes.swapped_dimms.get(&label).copied().unwrap_or(0);
                let serial = self.identity.hex_serial(&format!("dimm {label} {swaps}"), 8);
                Dimm { label, socket, serial }
            })
            .collect()
    }

    /// The ports of one adapter.
    #[must_use]
    pub fn ports_of(&self, adapter: &'static Adapter) -> Vec<Port> {
        self.ports().into_iter().filter(|port| port.adapter.id == adapter.id).collect()
    }

    /// All ports of all adapters, in the order of the model. MACs are numbered through, from 1.
    #[must_use]
    pub fn ports(&self) -> Vec<Port> {
        let mut count = 0_u8;
        let mut ports = Vec::new();
        for adapter in &self.model.adapters {
            for number in 1..=adapter.ports {
                count = count.saturating_add(1);
                let (id, function) = if adapter.embedded {
                    (format!("NIC.Embedded.{number}-1"), format!("NIC.Embedded.{number}-1-1"))
                } else if adapter.single_function || adapter.kind == AdapterKind::Infiniband {
                    (format!("{}-{number}", adapter.id), format!("{}-{number}", adapter.id))
                } else {
                    (format!("{}-{number}", adapter.id), format!("{}-{number}-1", adapter.id))
                };
                let infiniband = adapter.kind == AdapterKind::Infiniband;
                ports.push(Port {
                    adapter,
                    number,
                    link_up: number <= adapter.linked_ports && !self.changes.dropped_links.contains(&id),
                    id,
                    function,
                    mac: self.identity.mac(count),
                    guid: if infiniband { self.identity.guid(count) } else { String::new() },
                });
            }
        }
        ports
    }

    /// Serial number of an adapter.
    #[must_use]
    pub fn adapter_serial(&self, adapter: &Adapter) -> String {
        format!("MT{}", self.identity.serial(&format!("adapter {}", adapter.id), 10))
    }

    /// The NVMe drives that are there.
    #[must_use]
    pub fn bays(&self) -> Vec<Bay> {
        let nvme = &self.model.nvme;
        (0..nvme.populated)
            .zip(nvme.buses.iter().zip(&nvme.sockets))
            .map(|(number, (bus, socket))| Bay {
                number,
                id: format!("Disk.Bay.{number}:Enclosure.Internal.0-1"),
                serial: self.identity.serial(&format!("bay {number}"), 12),
                bus: *bus,
                socket: *socket,
            })
            .collect()
    }

    /// The two M.2 drives behind the BOSS card.
    #[must_use]
    pub fn boss_drives(&self) -> Vec<BossDrive> {
        (0..2)
            .map(|number| BossDrive {
                number,
                id: format!("Disk.Direct.{number}-{number}:{}", self.model.boss.storage_id),
                serial: self.identity.serial(&format!("boss drive {number}"), 14),
            })
            .collect()
    }

    /// FQDD of the BOSS volume.
    #[must_use]
    pub fn boss_volume(&self) -> String {
        format!("Disk.Virtual.0:{}", self.model.boss.storage_id)
    }

    /// Serial number of the BOSS card, which is what the operating system reads on its volume.
    #[must_use]
    pub fn boss_serial(&self) -> String {
        self.identity.serial("boss", 16)
    }

    /// The supplies.
    #[must_use]
    pub fn supplies(&self) -> Vec<Supply> {
        (1..=self.model.power_supply.count)
            .map(|number| Supply {
                number,
                id: format!("PSU.Slot.{number}"),
                serial: self.identity.serial(&format!("supply {number}"), 14),
                failed: self.changes.failed_supplies.contains(&number),
            })
            .collect()
    }

    /// Serial number of the board: not the service tag.
    #[must_use]
    pub fn board_serial(&self) -> String {
        self.identity.serial("board", 14)
    }

    /// Part number of the board with its revision.
    #[must_use]
    pub fn board_part(&self) -> String {
        format!(
            "0{}A01",
            crate::identity::Identity::new(0, std::net::Ipv4Addr::LOCALHOST, 0).serial(&self.model.name, 5)
        )
    }

    /// A part that is present but failed makes the machine critical.
    #[must_use]
    pub fn health(&self) -> &'static str {
        if self.changes.failed_supplies.is_empty() { "OK" } else { "Critical" }
    }
}
