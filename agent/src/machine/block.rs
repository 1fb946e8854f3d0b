//! Whole disks as sysfs shows them.
//!
//! Relies on `/sys/block`. Loop, RAM, floppy, md and device-mapper devices are no disks and are left out; optical drives are listed
//! (a disc in one can disturb cloud-init) and marked. What lies *on* a disk is read by [`crate::deploy::signature`].

use std::path::{Path, PathBuf};

use helix_api::machine::DiskFacts;

use super::root::{self, Root};

/// Kernel names of block devices that are not disks.
const NO_DISK: [&str; 10] = ["loop", "ram", "zram", "dm-", "md", "fd", "nbd", "mtdblock", "rbd", "drbd"];

/// PCI ids (vendor, device) of Dell's BOSS controllers: BOSS-N1 (Marvell 88NR2241), BOSS-S1 and S2 (Marvell 88SE9230).
const BOSS_PCI_IDS: [(&str, &str); 2] = [("0x1b4b", "0x2241"), ("0x1b4b", "0x9230")];

/// A disk and what the deploy rules need beyond [`DiskFacts`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disk {
    /// What is reported.
    pub facts: DiskFacts,
    /// Device node.
    pub path: PathBuf,
    /// Every stable name that udev would give, `facts.by_id` first.
    pub by_ids: Vec<String>,
    /// Logical sector size, bytes.
    pub sector_bytes: u32,
    /// A CD or DVD drive, virtual ones among them.
    pub optical: bool,
    /// The model string itself says BOSS: a volume of the controller and not a bare M.2 behind it.
    pub boss_volume: bool,
    /// Member of a multipath map.
    pub multipath: bool,
    /// Kernel names of active md arrays and device-mapper devices on the disk or its partitions.
    pub stacked: Vec<String>,
}

impl Disk {
    /// One line for a person: `nvme0n1 (Dell BOSS-N1, serial X, 480.1 GB)`.
    pub fn line(&self) -> String {
        line(&self.facts)
    }
}

/// One line for a person: name, model, serial, size.
pub fn line(facts: &DiskFacts) -> String {
    format!(
        "{} ({}, serial {}, {})",
        facts.name,
        facts.model.as_deref().unwrap_or("no model"),
        facts.serial.as_deref().unwrap_or("unknown"),
        size(facts.size_bytes)
    )
}

/// Bytes as disk makers print them: `480.1 GB`.
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000_000_000 => (1_000_000, "MB"),
        1_000_000_000..1_000_000_000_000 => (1_000_000_000, "GB"),
        _ => (1_000_000_000_000, "TB"),
    };
    let tenths = bytes / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// All disks, by name.
pub fn read(root: &Root) -> Vec<Disk> {
    let class = root.path("sys/block");
    root::names(&class)
        .into_iter()
        .filter(|name| !NO_DISK.iter().any(|prefix| name.starts_with(prefix)))
        // NVMe multipath shows each path as a hidden device beside the one to use.
        .filter(|name| root::text(&class.join(name).join("hidden")).as_deref() != Some("1"))
        .filter_map(|name| disk(root, &class.join(&name), name))
        .collect()
}

fn disk(root: &Root, folder: &Path, name: String) -> Option<Disk> {
    let size_bytes = root::number(&folder.join("size"))? * 512;
    let device = std::fs::canonicalize(folder.join("device")).ok();
    let in_device = |file: &str| device.as_ref().and_then(|device| root::text(&device.join(file)));
    let optical = name.starts_with("sr");
    let transport = transport(&name, device.as_deref());
    let vendor = in_device("vendor").filter(|vendor| !vendor.starts_with("0x") && vendor != "ATA");
    let model = match (vendor, in_device("model")) {
        (Some(vendor), Some(model)) if !model.starts_with(&vendor) => Some(format!("{vendor} {model}")),
        (_, model) => model,
    };
    let serial = in_device("serial")
        .or_else(|| root::text(&folder.join("serial")))
        .or_else(|| device.as_ref().and_then(|device| vpd_serial(device)));
    let wwid = root::text(&folder.join("wwid")).or_else(|| in_device("wwid"));
    let mut by_ids = links_to(root, &name);
    for id in made_ids(&transport, model.as_deref(), serial.as_deref(), wwid.as_deref()) {
        if !by_ids.contains(&id) {
            by_ids.push(id);
        }
    }
    let boss_volume = model.as_deref().is_some_and(|model| model.to_ascii_uppercase().contains("BOSS"));
    let (holders, stacked, multipath) = holders(root, folder);
    Some(Disk {
        facts: DiskFacts {
            by_id: by_ids.first().cloned(),
            model,
            serial,
            size_bytes,
            transport: Some(transport),
            removable: root::text(&folder.join("removable")).as_deref() == Some("1"),
            read_only: root::text(&folder.join("ro")).as_deref() == Some("1"),
            boss: boss_volume || device.as_deref().is_some_and(behind_boss),
            holders,
            content: Vec::new(),
            name: name.clone(),
        },
        path: root.path("dev").join(&name),
        by_ids,
        sector_bytes: root::number(&folder.join("queue/logical_block_size"))
            .and_then(|size| u32::try_from(size).ok())
            .unwrap_or(512),
        optical,
        boss_volume,
        multipath,
        stacked,
    })
}

fn transport(name: &str, device: Option<&Path>) -> String {
    let path = device.map(|device| device.to_string_lossy().into_owned()).unwrap_or_default();
    let transport = if name.starts_with("nvme") {
        "nvme"
    } else if path.contains("/usb") {
        "usb"
    } else if name.starts_with("vd") || path.contains("/virtio") {
        "virtio"
    } else if path.contains("/ata") {
        "sata"
    } else if path.contains("/end_device-") {
        "sas"
    } else if name.starts_with("mmcblk") {
        "mmc"
    } else if name.starts_with("sd") || name.starts_with("sr") {
        "scsi"
    } else {
        "other"
    };
    transport.to_owned()
}

/// The unit serial number page of a SCSI device: four bytes of header, then text (SPC-4, 7.8.15).
fn vpd_serial(device: &Path) -> Option<String> {
    let page = std::fs::read(device.join("vpd_pg80")).ok()?;
    let text =
        String::from_utf8_lossy(page.get(4..)?).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned();
    (!text.is_empty()).then_some(text)
}

/// Links below `/dev/disk/by-id` to the whole disk, where udev runs.
fn links_to(root: &Root, name: &str) -> Vec<String> {
    let folder = root.path("dev/disk/by-id");
    let mut links: Vec<String> = root::names(&folder)
        .into_iter()
        .filter(|link| {
            std::fs::read_link(folder.join(link))
                .is_ok_and(|target| target.file_name().is_some_and(|file| file.to_string_lossy() == name))
        })
        .collect();
    // Names with model and serial number say most to a person.
    links.sort_by_key(|link| {
        (link.starts_with("wwn-") || link.starts_with("nvme-eui.") || link.starts_with("scsi-3"), link.clone())
    });
    links
}

/// The names that udev's rules would give: the deploy ramdisk runs no udev.
fn made_ids(transport: &str, model: Option<&str>, serial: Option<&str>, wwid: Option<&str>) -> Vec<String> {
    let word = |text: &str| text.split_whitespace().collect::<Vec<_>>().join("_").replace('/', "_");
    let mut ids = Vec::new();
    match (transport, model, serial) {
        ("nvme", Some(model), Some(serial)) => ids.push(format!("nvme-{}_{}", word(model), word(serial))),
        ("sata", Some(model), Some(serial)) => ids.push(format!("ata-{}_{}", word(model), word(serial))),
        ("virtio", _, Some(serial)) => {
            ids.push(format!("virtio-{}", word(&serial.chars().take(20).collect::<String>())))
        }
        _ => {}
    }
    if let Some(wwid) = wwid {
        if let Some(number) = wwid.strip_prefix("naa.") {
            ids.push(format!("wwn-0x{number}"));
            ids.push(format!("scsi-3{number}"));
        } else if wwid.starts_with("eui.") || wwid.starts_with("nvme.") {
            ids.push(format!("nvme-{wwid}"));
        }
    }
    ids
}

fn behind_boss(device: &Path) -> bool {
    device.ancestors().any(|folder| {
        let id = (root::text(&folder.join("vendor")), root::text(&folder.join("device")));
        matches!(id, (Some(vendor), Some(device)) if BOSS_PCI_IDS.contains(&(vendor.as_str(), device.as_str())))
    })
}

/// What is stacked on the disk or its partitions: words, kernel names, and whether multipath is among them.
fn holders(root: &Root, folder: &Path) -> (Vec<String>, Vec<String>, bool) {
    let mut folders = vec![folder.to_owned()];
    folders.extend(
        root::names(folder).into_iter().map(|name| folder.join(name)).filter(|path| path.join("partition").exists()),
    );
    let (mut words, mut stacked, mut multipath) = (Vec::new(), Vec::new(), false);
    for holder in folders.iter().flat_map(|folder| root::names(&folder.join("holders"))) {
        if stacked.contains(&holder) {
            continue;
        }
        let uuid = root.text(format!("sys/block/{holder}/dm/uuid")).unwrap_or_default();
        let name = root.text(format!("sys/block/{holder}/dm/name")).unwrap_or_default();
        words.push(if holder.starts_with("md") {
            format!("md array {holder}")
        } else if uuid.starts_with("mpath-") {
            multipath = true;
            format!("multipath map {name} ({holder})")
        } else if uuid.starts_with("LVM-") {
            format!("LVM volume {name} ({holder})")
        } else {
            format!("{holder} {name}").trim_end().to_owned()
        });
        stacked.push(holder);
    }
    (words, stacked, multipath)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of sysfs files: (path, text).
    fn sysfs(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn link(folder: &tempfile::TempDir, from: &str, to: &str) {
        std::os::unix::fs::symlink(folder.path().join(to), folder.path().join(from)).unwrap();
    }

    #[test]
    fn a_boss_volume_is_known_by_its_model_and_a_bare_m2_by_its_controller() {
        let boss = "sys/devices/pci0000:00/0000:01:00.0";
        let folder = sysfs(&[
            (&format!("{boss}/vendor"), "0x1b4b\n"),
            (&format!("{boss}/device"), "0x2241\n"),
            (&format!("{boss}/nvme/nvme0/model"), "Dell BOSS-N1\n"),
            (&format!("{boss}/nvme/nvme0/serial"), "ABC 1\n"),
            (&format!("{boss}/nvme/nvme1/model"), "KIOXIA M.2\n"),
            ("sys/block/nvme0n1/size", "937571968\n"),
            ("sys/block/nvme0n1/removable", "0\n"),
            ("sys/block/nvme1n1/size", "937571968\n"),
        ]);
        link(&folder, "sys/block/nvme0n1/device", &format!("{boss}/nvme/nvme0"));
        link(&folder, "sys/block/nvme1n1/device", &format!("{boss}/nvme/nvme1"));
        let disks = read(&Root::at(folder.path()));
        assert_eq!(disks.len(), 2);
        assert!(disks[0].facts.boss && disks[0].boss_volume);
        assert!(disks[1].facts.boss && !disks[1].boss_volume);
        assert_eq!(disks[0].facts.by_id.as_deref(), Some("nvme-Dell_BOSS-N1_ABC_1"));
        assert_eq!(disks[0].facts.size_bytes, 480_036_847_616);
        assert_eq!(disks[0].line(), "nvme0n1 (Dell BOSS-N1, serial ABC 1, 480.0 GB)");
    }

    #[test]
    fn virtual_media_are_told_by_their_bus() {
        let usb = "sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/host6/target6:0:0/6:0:0:0";
        let folder = sysfs(&[
            (&format!("{usb}/vendor"), "iDRAC\n"),
            (&format!("{usb}/model"), "Virtual CD\n"),
            ("sys/block/sr0/size", "200000\n"),
            ("sys/block/sr0/removable", "1\n"),
            ("sys/block/loop0/size", "100\n"),
        ]);
        link(&folder, "sys/block/sr0/device", usb);
        let disks = read(&Root::at(folder.path()));
        assert_eq!(disks.len(), 1, "a loop device is no disk");
        assert_eq!(disks[0].facts.transport.as_deref(), Some("usb"));
        assert_eq!(disks[0].facts.model.as_deref(), Some("iDRAC Virtual CD"));
        assert!(disks[0].optical && disks[0].facts.removable);
    }

    #[test]
    fn arrays_and_maps_on_partitions_count_as_holders_of_the_disk() {
        let folder = sysfs(&[
            ("sys/block/sda/size", "20000000\n"),
            ("sys/block/sda/sda1/partition", "1\n"),
            ("sys/block/sda/sda1/holders/md127/x", ""),
            ("sys/block/sda/holders/dm-0/x", ""),
            ("sys/block/dm-0/dm/uuid", "mpath-3600\n"),
            ("sys/block/dm-0/dm/name", "mpatha\n"),
        ]);
        let disks = read(&Root::at(folder.path()));
        assert_eq!(disks[0].facts.holders, ["multipath map mpatha (dm-0)", "md array md127"]);
        assert!(disks[0].multipath);
        assert_eq!(disks[0].stacked, ["dm-0", "md127"]);
    }

    #[test]
    fn sizes_read_as_disk_makers_print_them() {
        assert_eq!(size(480_103_981_056), "480.1 GB");
        assert_eq!(size(3_840_755_982_336), "3.8 TB");
        assert_eq!(size(8_388_608), "8.3 MB");
    }
}
