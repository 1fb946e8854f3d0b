//! What changed between two collections of one server, in words: "GPU 5 gone", "DIMM A3 swapped".
//!
//! Pure. A part that is missing is called gone only when its section was read without a gap: an empty or broken answer
//! is never proof that hardware left.

use serde::{Deserialize, Serialize};

use crate::hardware::Hardware;

/// What happened to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Added,
    Gone,
    /// Same slot, other serial number.
    Swapped,
    /// Same part, other version or size.
    Changed,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// Section of the hardware: `gpus`, `memory`, …
    pub section: String,
    /// The part's slot or id.
    pub part: String,
    pub kind: ChangeKind,
    /// One line for a person.
    pub summary: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// A part reduced to what a comparison needs.
struct Part {
    key: String,
    /// How a person calls it: `GPU 5`, `DIMM A3`.
    label: String,
    serial: Option<String>,
    /// Model and size, for the words.
    what: String,
    version: Option<String>,
}

fn join(parts: &[Option<&str>]) -> String {
    parts.iter().flatten().copied().collect::<Vec<_>>().join(" ")
}

fn gib(bytes: Option<u64>) -> Option<String> {
    bytes.map(|bytes| format!("{} GiB", bytes / (1 << 30)))
}

fn sections(hardware: &Hardware) -> Vec<(&'static str, Vec<Part>)> {
    let processors = hardware
        .processors
        .iter()
        .map(|p| Part {
            key: p.slot.clone(),
            label: p.slot.clone(),
            serial: p.serial.clone(),
            what: p.model.clone().unwrap_or_default(),
            version: None,
        })
        .collect();
    let memory = hardware
        .memory
        .iter()
        .map(|m| Part {
            key: m.slot.clone(),
            label: format!("DIMM {}", m.slot),
            serial: m.serial.clone(),
            what: join(&[gib(m.size_bytes).as_deref(), m.part_number.as_deref()]),
            version: None,
        })
        .collect();
    let gpus = hardware
        .gpus
        .iter()
        .map(|g| Part {
            key: g.id.clone(),
            label: g.slot.map_or_else(|| format!("GPU {}", g.index), |slot| format!("GPU in slot {slot}")),
            serial: g.serial.clone(),
            what: g.model.clone().unwrap_or_default(),
            version: g.firmware_version.clone(),
        })
        .collect();
    let ports = hardware
        .ports
        .iter()
        .map(|p| Part {
            // Adapter ids change across reboots (quirk 36): the address of the port is its identity.
            key: p.mac.clone().or_else(|| p.guid.clone()).unwrap_or_else(|| p.id.clone()),
            label: format!("port {}", p.id),
            serial: p.serial.clone(),
            what: p.model.clone().unwrap_or_default(),
            version: None,
        })
        .collect();
    let drives = hardware
        .drives
        .iter()
        .map(|d| Part {
            key: d.id.clone(),
            label: format!("drive {}", d.id),
            serial: d.serial.clone(),
            what: join(&[d.model.as_deref(), gib(d.size_bytes).as_deref()]),
            version: None,
        })
        .collect();
    let power_supplies = hardware
        .power_supplies
        .iter()
        .map(|p| Part {
            key: p.slot.clone(),
            label: format!("power supply {}", p.slot),
            serial: p.serial.clone(),
            what: p.model.clone().unwrap_or_default(),
            version: None,
        })
        .collect();
    let firmware = hardware
        .firmware
        .iter()
        .map(|f| Part {
            key: f.target.clone(),
            label: f.name.clone().unwrap_or_else(|| f.target.clone()),
            serial: None,
            what: String::new(),
            version: f.version.clone(),
        })
        .collect();
    vec![
        ("processors", processors),
        ("memory", memory),
        ("gpus", gpus),
        ("ports", ports),
        ("drives", drives),
        ("power_supplies", power_supplies),
        ("firmware", firmware),
    ]
}

/// Compares two collections of the same node. The result is in section order, then by part.
#[must_use]
pub fn diff(before: &Hardware, after: &Hardware) -> Vec<Change> {
    let mut changes = Vec::new();
    for ((section, old), (_, new)) in sections(before).into_iter().zip(sections(after)) {
        for part in &old {
            match new.iter().find(|other| other.key == part.key) {
                Some(other) => changes.extend(compare(section, part, other)),
                None if after.section_is_complete(section) => changes.push(Change {
                    section: section.into(),
                    part: part.key.clone(),
                    kind: ChangeKind::Gone,
                    summary: format!("{} gone", part.label),
                    before: Some(describe(part)),
                    after: None,
                }),
                None => {}
            }
        }
        // What an incomplete earlier read did not show is not new.
        if before.section_is_complete(section) {
            for part in new.iter().filter(|part| !old.iter().any(|other| other.key == part.key)) {
                changes.push(Change {
                    section: section.into(),
                    part: part.key.clone(),
                    kind: ChangeKind::Added,
                    summary: format!("{} added", part.label),
                    before: None,
                    after: Some(describe(part)),
                });
            }
        }
    }
    if let (Some(old), Some(new)) = (&before.system.bios_version, &after.system.bios_version)
        && old != new
        && !changes.iter().any(|change| change.section == "firmware" && change.part.contains("BIOS"))
    {
        changes.push(Change {
            section: "system".into(),
            part: "bios".into(),
            kind: ChangeKind::Changed,
            summary: format!("BIOS {old} → {new}"),
            before: Some(old.clone()),
            after: Some(new.clone()),
        });
    }
    changes
}

fn compare(section: &str, old: &Part, new: &Part) -> Option<Change> {
    let change = |kind, summary: String, before: String, after: String| {
        Some(Change {
            section: section.to_owned(),
            part: new.key.clone(),
            kind,
            summary,
            before: Some(before),
            after: Some(after),
        })
    };
    if let (Some(a), Some(b)) = (&old.serial, &new.serial)
        && a != b
    {
        return change(ChangeKind::Swapped, format!("{} swapped", new.label), describe(old), describe(new));
    }
    if let (Some(a), Some(b)) = (&old.version, &new.version)
        && a != b
    {
        return change(ChangeKind::Changed, format!("{} {a} → {b}", new.label), a.clone(), b.clone());
    }
    if !old.what.is_empty() && !new.what.is_empty() && old.what != new.what {
        return change(ChangeKind::Changed, format!("{} changed", new.label), old.what.clone(), new.what.clone());
    }
    None
}

fn describe(part: &Part) -> String {
    let mut text = part.what.clone();
    if let Some(serial) = &part.serial {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str("serial ");
        text.push_str(serial);
    }
    if let Some(version) = &part.version {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str("version ");
        text.push_str(version);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{CollectionIssue, FirmwareComponent, Gpu, MemoryModule};

    fn gpu(slot: u32, serial: &str) -> Gpu {
        Gpu {
            id: format!("Video.Slot.{slot}-1"),
            slot: Some(slot),
            index: slot - 21,
            model: Some("NVIDIA H100 80GB HBM3".into()),
            serial: Some(serial.into()),
            ..Gpu::default()
        }
    }

    fn dimm(serial: &str) -> MemoryModule {
        MemoryModule {
            slot: "A3".into(),
            size_bytes: Some(64 << 30),
            serial: Some(serial.into()),
            ..MemoryModule::default()
        }
    }

    #[test]
    fn a_gpu_that_fell_off_the_bus_is_gone() {
        let before = Hardware { gpus: vec![gpu(25, "1"), gpu(26, "2")], ..Hardware::default() };
        let after = Hardware { gpus: vec![gpu(25, "1")], ..Hardware::default() };
        let changes = diff(&before, &after);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].summary, "GPU in slot 26 gone");
        assert_eq!(changes[0].before.as_deref(), Some("NVIDIA H100 80GB HBM3, serial 2"));
    }

    #[test]
    fn an_unreadable_collection_is_not_a_missing_gpu() {
        let before = Hardware { gpus: vec![gpu(25, "1")], ..Hardware::default() };
        let mut after = Hardware::default();
        after.issues.push(CollectionIssue {
            section: "gpus".into(),
            resource: "/redfish/v1/Systems/System.Embedded.1/Processors".into(),
            field: None,
            problem: "503 SYS518".into(),
        });
        assert_eq!(diff(&before, &after), vec![]);
        // And when it can be read again, nothing is "added".
        assert_eq!(diff(&after, &before), vec![]);
    }

    #[test]
    fn a_module_with_another_serial_number_is_swapped() {
        let before = Hardware { memory: vec![dimm("AAAA0001")], ..Hardware::default() };
        let after = Hardware { memory: vec![dimm("BBBB0002")], ..Hardware::default() };
        let changes = diff(&before, &after);
        assert_eq!(changes[0].summary, "DIMM A3 swapped");
        assert_eq!(changes[0].kind, ChangeKind::Swapped);
    }

    #[test]
    fn a_new_firmware_version_names_both() {
        let firmware = |version: &str| Hardware {
            firmware: vec![FirmwareComponent {
                target: "BIOS.Setup.1-1".into(),
                name: Some("BIOS".into()),
                version: Some(version.into()),
                ..FirmwareComponent::default()
            }],
            ..Hardware::default()
        };
        let changes = diff(&firmware("2.7.4"), &firmware("2.9.4"));
        assert_eq!(changes[0].summary, "BIOS 2.7.4 → 2.9.4");
    }

    #[test]
    fn the_same_hardware_in_another_order_has_not_changed() {
        let before = Hardware { gpus: vec![gpu(25, "1"), gpu(26, "2")], ..Hardware::default() };
        let after = Hardware { gpus: vec![gpu(26, "2"), gpu(25, "1")], ..Hardware::default() };
        assert_eq!(diff(&before, &after), vec![]);
    }
}
