//! GPUs: the standard's processors joined with what only `DellVideo` knows (VBIOS, bus address).
//!
//! Sorted by slot number; the index that follows from it is a name for people and never joins with NVML (quirk 82).

use helix_inventory::hardware::Gpu;
use redfish_client::{Processor, Snapshot, dell::video::Video, natural};

use super::text::{self, clean};

/// All GPUs.
pub(super) fn gpus(snapshot: &Snapshot) -> Vec<Gpu> {
    let mut all: Vec<_> = snapshot
        .accelerators()
        .filter(|processor| text::present(processor.status.as_ref()))
        .map(|processor| gpu(processor, snapshot))
        .collect();
    all.sort_by(|a, b| a.slot.unwrap_or(u32::MAX).cmp(&b.slot.unwrap_or(u32::MAX)).then_with(|| natural(&a.id, &b.id)));
    for (index, gpu) in (0..).zip(&mut all) {
        gpu.index = index;
    }
    all
}

fn gpu(processor: &Processor, snapshot: &Snapshot) -> Gpu {
    let id = text::id(processor.id.as_deref(), processor.uri.as_deref());
    let video = snapshot.video.iter().find(|video| video.id.as_deref() == Some(&id));
    let serial = clean(processor.serial_number.as_deref())
        .or_else(|| video.and_then(|video| clean(video.serial_number.as_deref())));
    let model =
        clean(processor.model.as_deref()).or_else(|| video.and_then(|video| clean(video.marketing_name.as_deref())));
    Gpu {
        slot: slot(&id),
        index: 0,
        model,
        manufacturer: clean(processor.manufacturer.as_deref()),
        serial,
        part_number: clean(processor.part_number.as_deref())
            .or_else(|| video.and_then(|video| clean(video.board_part_number.as_deref()))),
        firmware_version: video
            .and_then(|video| clean(video.firmware_version.as_deref()))
            .or_else(|| clean(processor.firmware_version.as_deref())),
        pci_address: video.and_then(pci_address),
        health: text::health(processor.status.as_ref()),
        id,
    }
}

/// `Video.Slot.28-1` → 28.
fn slot(id: &str) -> Option<u32> {
    let rest = id.split_once("Slot.")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn pci_address(video: &Video) -> Option<String> {
    let bus = video.bus_number.filter(|bus| (1..=255).contains(bus))?;
    let device = video.device_number.unwrap_or(0);
    let function = video.function_number.unwrap_or(0);
    Some(format!("0000:{bus:02x}:{device:02x}.{function:x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_gpu_stands_in_its_name() {
        assert_eq!(slot("Video.Slot.28-1"), Some(28));
        assert_eq!(slot("ProcAccelerator.Slot.21-1"), Some(21));
        assert_eq!(slot("Video.Embedded.1-1"), None);
    }

    #[test]
    fn a_bus_number_in_decimal_becomes_an_address_in_hexadecimal() {
        let video = Video { bus_number: Some(25), device_number: Some(0), ..Video::default() };
        assert_eq!(pci_address(&video).as_deref(), Some("0000:19:00.0"));
        assert_eq!(pci_address(&Video::default()), None);
    }
}
