//! Storage: controllers, drives and volumes; BOSS is recognised by id or model, as data.

use helix_inventory::hardware::{Drive, StorageController, Volume};
use redfish_client::{Snapshot, StorageUnit, natural};

use super::text::{self, clean};

/// Ids of boot-optimised storage: `BOSS.SL.12-1` (16G), and `AHCI.Slot.2-1` of the older cards, which only the model tells
/// from a plain SATA card.
const BOSS_IDS: &[&str] = &["BOSS."];
const BOSS_MODELS: &[&str] = &["BOSS"];

fn is_boss(unit: &StorageUnit) -> bool {
    let id = text::id(unit.storage.id.as_deref(), unit.storage.uri.as_deref());
    let names = unit
        .controllers
        .iter()
        .flat_map(|controller| [controller.model.as_deref(), controller.name.as_deref()])
        .chain([unit.storage.name.as_deref()]);
    BOSS_IDS.iter().any(|word| id.contains(word))
        || names.flatten().any(|name| BOSS_MODELS.iter().any(|word| name.contains(word)))
}

/// Controllers; a storage without one (NVMe wired to the CPUs) shows none.
pub(super) fn controllers(snapshot: &Snapshot) -> Vec<StorageController> {
    let mut all: Vec<_> = snapshot
        .storage
        .iter()
        .flat_map(|unit| {
            let storage = text::id(unit.storage.id.as_deref(), unit.storage.uri.as_deref());
            unit.controllers.iter().map(move |controller| StorageController {
                id: match clean(controller.id.as_deref()) {
                    Some(id) if id.len() > 1 => id,
                    _ => storage.clone(),
                },
                model: clean(controller.model.as_deref()).or_else(|| clean(controller.name.as_deref())),
                firmware_version: clean(controller.firmware_version.as_deref()),
                boss: is_boss(unit),
                health: text::health(controller.status.as_ref()),
            })
        })
        .collect();
    all.sort_by(|a, b| natural(&a.id, &b.id));
    all
}

/// Drives.
pub(super) fn drives(snapshot: &Snapshot) -> Vec<Drive> {
    let mut all: Vec<_> = snapshot.storage.iter().flat_map(of_unit).collect();
    all.sort_by(|a, b| natural(&a.id, &b.id));
    all
}

fn of_unit(unit: &StorageUnit) -> Vec<Drive> {
    let controller = text::id(unit.storage.id.as_deref(), unit.storage.uri.as_deref());
    let boss = is_boss(unit);
    unit.drives
        .iter()
        .filter(|drive| text::present(drive.status.as_ref()))
        .map(|drive| Drive {
            id: text::id(drive.id.as_deref(), drive.uri.as_deref()),
            controller: controller.clone(),
            slot: drive
                .physical_location
                .as_ref()
                .and_then(|location| location.part_location.as_ref())
                .and_then(|part| part.location_ordinal_value),
            model: clean(drive.model.as_deref()),
            serial: clean(drive.serial_number.as_deref()),
            size_bytes: drive.capacity_bytes.filter(|size| *size > 0),
            media: clean(drive.media_type.as_deref()),
            protocol: clean(drive.protocol.as_deref()),
            firmware_version: clean(drive.revision.as_deref()),
            boss,
            health: text::health(drive.status.as_ref()),
            life_left_percent: drive.predicted_media_life_left_percent.and_then(text::whole),
        })
        .collect()
}

/// RAID volumes; a bare drive that is told as a volume is none.
pub(super) fn volumes(snapshot: &Snapshot) -> Vec<Volume> {
    let mut all: Vec<_> = snapshot
        .storage
        .iter()
        .flat_map(|unit| {
            let controller = text::id(unit.storage.id.as_deref(), unit.storage.uri.as_deref());
            let boss = is_boss(unit);
            unit.volumes.iter().filter(|volume| volume.volume_type.as_deref() != Some("RawDevice")).map(move |volume| {
                Volume {
                    id: text::id(volume.id.as_deref(), volume.uri.as_deref()),
                    controller: controller.clone(),
                    name: clean(volume.name.as_deref()),
                    raid: clean(volume.raid_type.as_deref()),
                    size_bytes: volume.capacity_bytes.filter(|size| *size > 0),
                    boss,
                    health: text::health(volume.status.as_ref()),
                }
            })
        })
        .collect();
    all.sort_by(|a, b| natural(&a.id, &b.id));
    all
}
