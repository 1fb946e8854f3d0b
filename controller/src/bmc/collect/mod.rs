//! What a BMC said, as `Hardware`: a pure translation of one reading.
//!
//! Partial is normal: what could not be read stands in `issues`, by section, and an empty list there is never "none".
//! Parts are sorted by slot; texts that stand for "nothing" become nothing.

mod finding;
mod gpu;
mod network;
mod storage;
mod text;

use chrono::{DateTime, Utc};
use helix_inventory::hardware::{
    BmcFacts, BootFacts, BootMode, CollectionCost, CollectionIssue, Fan, FirmwareComponent, Hardware, MemoryModule,
    PowerSupply, Processor, System,
};
use redfish_client::{Issue, Part, Snapshot, natural};

use self::text::clean;

/// Translates one reading.
#[must_use]
pub fn hardware(snapshot: &Snapshot, collected_at: DateTime<Utc>) -> Hardware {
    let mut hardware = Hardware {
        collected_at: Some(collected_at),
        system: system(snapshot),
        bmc: bmc(snapshot),
        boot: boot(snapshot),
        processors: processors(snapshot),
        memory: memory(snapshot),
        gpus: gpu::gpus(snapshot),
        ports: network::ports(snapshot),
        controllers: storage::controllers(snapshot),
        drives: storage::drives(snapshot),
        volumes: storage::volumes(snapshot),
        power_supplies: power_supplies(snapshot),
        fans: fans(snapshot),
        firmware: firmware(snapshot),
        issues: issues(snapshot),
        findings: finding::findings(snapshot),
        cost: CollectionCost {
            requests: u32::try_from(snapshot.requests).unwrap_or(u32::MAX),
            bytes: snapshot.bytes,
            duration_ms: u64::try_from(snapshot.duration.as_millis()).unwrap_or(u64::MAX),
        },
    };
    hardware.power_supplies.sort_by(|a, b| natural(&a.slot, &b.slot));
    hardware.fans.sort_by(|a, b| natural(&a.slot, &b.slot));
    hardware
}

fn system(snapshot: &Snapshot) -> System {
    let system = &snapshot.system;
    let dell = system.dell();
    let memory = system.memory_summary.as_ref().and_then(|memory| memory.total_gib);
    System {
        manufacturer: clean(system.manufacturer.as_deref()),
        model: clean(system.model.as_deref()),
        service_tag: clean(system.identity()).map(|tag| tag.to_ascii_uppercase()),
        board_serial: clean(system.serial_number.as_deref()).filter(|_| snapshot.profile.is_dell()),
        uuid: clean(system.uuid.as_deref()).map(|uuid| uuid.to_ascii_lowercase()),
        bios_version: clean(system.bios_version.as_deref()),
        memory_bytes: memory.filter(|gib| *gib >= 0.0).map(text::gib_to_bytes),
        health: system.status.as_ref().and_then(|status| status.health_rollup.clone().or(status.health.clone())),
        generation: dell
            .and_then(|dell| clean(dell.system_generation.as_deref()))
            .or_else(|| snapshot.manager.as_ref().and_then(|manager| clean(manager.model.as_deref())))
            .filter(|_| snapshot.profile.is_dell()),
    }
}

fn bmc(snapshot: &Snapshot) -> BmcFacts {
    let manager = snapshot.manager.as_ref();
    let interface = snapshot.manager_interfaces.first();
    let attributes = snapshot.idrac_attributes.as_ref();
    BmcFacts {
        vendor: clean(snapshot.root.vendor.as_deref()),
        product: clean(snapshot.root.product.as_deref()),
        firmware_version: manager.and_then(|manager| clean(manager.firmware_version.as_deref())),
        redfish_version: clean(snapshot.root.redfish_version.as_deref()),
        mac: interface
            .and_then(|nic| nic.permanent_mac_address.as_deref().or(nic.mac_address.as_deref()))
            .and_then(text::mac),
        time_zone: attributes
            .and_then(|attributes| attributes.time_zone())
            .or(manager.and_then(|manager| manager.time_zone_name.as_deref()))
            .map(str::to_owned),
        licence: licence(snapshot),
    }
}

/// The edition stands in the description only; the best of the licences installed counts.
fn licence(snapshot: &Snapshot) -> Option<String> {
    let words = ["Datacenter", "Enterprise", "Express", "Basic"];
    let texts: Vec<_> = snapshot.licences.iter().flat_map(|licence| &licence.description).collect();
    words
        .iter()
        .find(|word| texts.iter().any(|text| text.to_ascii_lowercase().contains(&word.to_ascii_lowercase())))
        .map(|word| (*word).to_owned())
}

fn boot(snapshot: &Snapshot) -> BootFacts {
    let attribute = snapshot.bios.as_ref().and_then(|bios| bios.boot_mode());
    let shown = snapshot.system.boot.as_ref().and_then(|boot| boot.override_mode.as_deref());
    let mode = match attribute.or(shown) {
        Some("Uefi" | "UEFI") => Some(BootMode::Uefi),
        Some("Bios" | "Legacy") => Some(BootMode::Legacy),
        _ => None,
    };
    BootFacts { mode, secure_boot: snapshot.secure_boot.as_ref().and_then(|secure| secure.is_on()) }
}

fn processors(snapshot: &Snapshot) -> Vec<Processor> {
    let mut all: Vec<_> = snapshot
        .processors
        .iter()
        .filter(|processor| !processor.is_accelerator() && text::present(processor.status.as_ref()))
        .map(|processor| Processor {
            slot: text::id(processor.id.as_deref(), processor.uri.as_deref()),
            model: clean(processor.model.as_deref()),
            cores: processor.total_cores.filter(|count| *count > 0),
            threads: processor.total_threads.filter(|count| *count > 0),
            serial: clean(processor.serial_number.as_deref()).or_else(|| {
                let ids = processor.processor_id.as_ref();
                ids.and_then(|ids| clean(ids.protected_identification_number.as_deref()))
            }),
            health: text::health(processor.status.as_ref()),
        })
        .collect();
    all.sort_by(|a, b| natural(&a.slot, &b.slot));
    all
}

fn memory(snapshot: &Snapshot) -> Vec<MemoryModule> {
    let mut all: Vec<_> = snapshot
        .memory
        .iter()
        .filter(|module| text::present(module.status.as_ref()) && module.capacity_mib != Some(0))
        .map(|module| MemoryModule {
            slot: text::dimm(module.device_locator.as_deref(), module.id.as_deref()),
            size_bytes: module.capacity_mib.map(|mib| mib << 20),
            kind: clean(module.memory_device_type.as_deref()),
            speed_mhz: module.operating_speed_mhz.filter(|speed| *speed > 0),
            manufacturer: clean(module.manufacturer.as_deref()),
            part_number: clean(module.part_number.as_deref()),
            serial: clean(module.serial_number.as_deref()),
            health: text::health(module.status.as_ref()),
        })
        .collect();
    all.sort_by(|a, b| natural(&a.slot, &b.slot));
    all
}

fn power_supplies(snapshot: &Snapshot) -> Vec<PowerSupply> {
    snapshot
        .power_supplies
        .iter()
        .filter(|supply| text::present(supply.status.as_ref()))
        .map(|supply| PowerSupply {
            slot: text::id(supply.id.as_deref(), supply.uri.as_deref()),
            model: clean(supply.model.as_deref()),
            serial: clean(supply.serial_number.as_deref()),
            capacity_watts: supply.power_capacity_watts.and_then(text::whole),
            firmware_version: clean(supply.firmware_version.as_deref()),
            health: text::health(supply.status.as_ref()),
        })
        .collect()
}

fn fans(snapshot: &Snapshot) -> Vec<Fan> {
    snapshot
        .fans
        .iter()
        .filter(|fan| text::present(fan.status.as_ref()))
        .map(|fan| Fan {
            slot: text::id(fan.id.as_deref(), fan.uri.as_deref()),
            health: text::health(fan.status.as_ref()),
        })
        .collect()
}

fn firmware(snapshot: &Snapshot) -> Vec<FirmwareComponent> {
    let mut all: Vec<_> = snapshot
        .firmware
        .iter()
        .filter(|entry| entry.is_running())
        .map(|entry| {
            let dell = entry.dell_id();
            let component = dell.map(|id| id.component).or(entry.software_id.as_deref());
            FirmwareComponent {
                target: dell
                    .map_or_else(|| text::id(entry.id.as_deref(), entry.uri.as_deref()), |id| id.fqdd.to_owned()),
                name: clean(entry.name.as_deref()),
                version: clean(entry.version.as_deref()),
                component_id: component.and_then(|text| text.parse().ok()).filter(|id| *id != 0),
                updateable: entry.updateable.unwrap_or(false),
            }
        })
        .collect();
    all.sort_by(|a, b| natural(&a.target, &b.target).then_with(|| a.name.cmp(&b.name)));
    all
}

/// Section of `Hardware` that a part of the reading fills.
fn section(part: Part) -> &'static str {
    match part {
        Part::Processors => "processors",
        Part::Memory => "memory",
        Part::Storage => "drives",
        Part::Network | Part::EthernetInterfaces => "ports",
        Part::PowerSupplies => "power_supplies",
        Part::Fans => "fans",
        Part::Firmware => "firmware",
        Part::Video | Part::PcieDevices => "gpu_details",
        Part::Bios | Part::SecureBoot | Part::BootOptions => "boot",
        Part::Manager | Part::ManagerInterfaces | Part::Licences | Part::IdracAttributes => "bmc",
        Part::Chassis | Part::Slots => "chassis",
    }
}

/// Section by the path that a problem was met at.
fn section_of(uri: &str) -> &'static str {
    let words: &[(&str, &str)] = &[
        ("/Processors", "processors"),
        ("/Memory", "memory"),
        ("/Storage", "drives"),
        ("/NetworkAdapters", "ports"),
        ("/EthernetInterfaces", "ports"),
        ("/PowerSupplies", "power_supplies"),
        ("/Fans", "fans"),
        ("/FirmwareInventory", "firmware"),
        ("/DellVideo", "gpu_details"),
        ("/PCIeDevices", "gpu_details"),
        ("/Bios", "boot"),
        ("/SecureBoot", "boot"),
        ("/BootOptions", "boot"),
        ("/Managers", "bmc"),
        ("/Chassis", "chassis"),
    ];
    words.iter().find(|(word, _)| uri.contains(word)).map_or("system", |(_, section)| section)
}

fn issues(snapshot: &Snapshot) -> Vec<CollectionIssue> {
    let mut issues: Vec<_> = snapshot.issues.iter().map(of_issue).collect();
    // A whole part that is missing makes each section that it fills incomplete; processors carry the GPUs too.
    for part in &snapshot.unread {
        let mut sections = vec![section(*part)];
        if *part == Part::Processors {
            sections.push("gpus");
        }
        for section in sections {
            if !issues.iter().any(|issue| issue.section == section && issue.field.is_none()) {
                issues.push(CollectionIssue {
                    section: section.to_owned(),
                    resource: String::new(),
                    field: None,
                    problem: "could not be read".to_owned(),
                });
            }
        }
    }
    let gpus_too: Vec<_> = issues
        .iter()
        .filter(|issue| issue.section == "processors" && issue.field.is_none())
        .map(|issue| CollectionIssue { section: "gpus".to_owned(), ..issue.clone() })
        .collect();
    for issue in gpus_too {
        if !issues.iter().any(|other| other.section == "gpus" && other.resource == issue.resource) {
            issues.push(issue);
        }
    }
    issues
}

fn of_issue(issue: &Issue) -> CollectionIssue {
    let problem = match &issue.message_id {
        Some(id) => format!("{} ({id})", issue.what),
        None => issue.what.clone(),
    };
    CollectionIssue {
        section: section_of(&issue.uri).to_owned(),
        resource: issue.uri.clone(),
        field: issue.field.clone(),
        problem,
    }
}
