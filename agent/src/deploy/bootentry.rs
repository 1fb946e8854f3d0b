//! The firmware's boot entries, through efivarfs.
//!
//! Old entries whose name begins with `Helix` are removed before the new one is added and put first, so that a node that is
//! provisioned a hundred times has one. Formats: UEFI 2.10, 3.1.3 (load options) and 10.3.5 (media device paths). A variable file
//! is four bytes of attributes and the data, written by one call. Machines without efivarfs get no entry and boot by the fallback
//! path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::gpt::Partition;
use super::kernel;
use super::loader::FALLBACK;

/// The vendor GUID of UEFI's own variables.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Non-volatile, visible at boot and at run time.
const ATTRIBUTES: u32 = 7;

/// Load option attribute: the entry is tried.
const ACTIVE: u32 = 1;

/// Entries whose name begins with this are ours to remove.
const OURS: &str = "Helix";

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// `Boot0003`
    pub name: String,
    /// Entries removed.
    pub removed: Vec<String>,
}

/// Replaces our boot entries by one for the loader on this ESP and puts it first. `None` without UEFI variables.
///
/// # Errors
/// `BootEntry`.
pub fn replace(efivars: &Path, label: &str, esp: &Partition) -> Result<Option<Added>, Failure> {
    if !efivars.is_dir() || fs::read_dir(efivars).map_or(true, |mut entries| entries.next().is_none()) {
        return Ok(None);
    }
    let failed = |what| move |source| Failure::BootEntry { what, source };
    let entries = entries(efivars);
    let mut removed = Vec::new();
    for (number, description) in &entries {
        if description.starts_with(OURS) {
            remove(&variable(efivars, &boot_name(*number))).map_err(failed("remove the old entry before adding"))?;
            removed.push(format!("{} \"{description}\"", boot_name(*number)));
        }
    }
    let left: Vec<u16> =
        entries.iter().filter(|(_, description)| !description.starts_with(OURS)).map(|(number, _)| *number).collect();
    let number = (0..=u16::MAX).find(|number| !left.contains(number)).unwrap_or(0);
    // An entry that the firmware lists in its order but does not have would be overwritten by it later: the order is made anew from
    // what exists.
    let order_path = variable(efivars, "BootOrder");
    let mut order = vec![number];
    order.extend(read_order(&order_path).into_iter().filter(|old| left.contains(old)));
    write(&variable(efivars, &boot_name(number)), &load_option(label, esp)).map_err(failed("write"))?;
    let order: Vec<u8> = order.iter().flat_map(|number| number.to_le_bytes()).collect();
    write(&order_path, &order).map_err(failed("put first"))?;
    Ok(Some(Added { name: boot_name(number), removed }))
}

fn boot_name(number: u16) -> String {
    format!("Boot{number:04X}")
}

fn variable(efivars: &Path, name: &str) -> PathBuf {
    efivars.join(format!("{name}-{GLOBAL}"))
}

/// All `Boot####` with their descriptions.
fn entries(efivars: &Path) -> Vec<(u16, String)> {
    crate::machine::root::names(efivars)
        .into_iter()
        .filter_map(|name| {
            let digits = name.strip_prefix("Boot")?.strip_suffix(GLOBAL)?.strip_suffix('-')?;
            let number = (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok())??;
            let data = fs::read(efivars.join(&name)).ok()?;
            Some((number, description(data.get(4..)?)?))
        })
        .collect()
}

/// The description of a load option: UTF-16 after attributes and path length.
fn description(option: &[u8]) -> Option<String> {
    let units: Vec<u16> = option
        .get(6..)?
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    Some(String::from_utf16_lossy(&units))
}

fn read_order(path: &Path) -> Vec<u16> {
    let data = fs::read(path).unwrap_or_default();
    data.get(4..).unwrap_or_default().chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// A load option for the fallback loader on a GPT partition.
fn load_option(label: &str, esp: &Partition) -> Vec<u8> {
    let mut path = Vec::new();
    // Media device path, hard drive: partition number, start, length in sectors, signature, "GPT", "the signature is a GUID".
    path.extend([0x04, 0x01, 42, 0]);
    path.extend(esp.number.to_le_bytes());
    path.extend(esp.first_lba.to_le_bytes());
    path.extend((esp.last_lba + 1 - esp.first_lba).to_le_bytes());
    path.extend(esp.guid.parse::<uuid::Uuid>().unwrap_or_default().to_bytes_le());
    path.extend([0x02, 0x02]);
    let file = utf16(FALLBACK);
    path.extend([0x04, 0x04]);
    path.extend(u16::try_from(file.len() + 4).unwrap_or(u16::MAX).to_le_bytes());
    path.extend(file);
    path.extend([0x7F, 0xFF, 4, 0]);

    let mut option = ACTIVE.to_le_bytes().to_vec();
    option.extend(u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
    option.extend(utf16(label));
    option.extend(path);
    option
}

/// UTF-16, little-endian, ended by zero.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn write(path: &Path, data: &[u8]) -> io::Result<()> {
    unlock(path);
    let mut bytes = ATTRIBUTES.to_le_bytes().to_vec();
    bytes.extend(data);
    fs::write(path, bytes)
}

fn remove(path: &Path) -> io::Result<()> {
    unlock(path);
    fs::remove_file(path)
}

/// efivarfs protects what it does not know by the immutable flag. Without the flag, or elsewhere, there is nothing to take off.
fn unlock(path: &Path) {
    if let Ok(file) = fs::File::open(path)
        && let Err(error) = kernel::make_mutable(&file)
    {
        tracing::debug!(path = %path.display(), %error, "no immutable flag to take off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esp() -> Partition {
        Partition {
            number: 15,
            type_guid: super::super::signature::ESP_TYPE.into(),
            guid: "00000000-0000-0000-0000-00000000000f".into(),
            name: String::new(),
            first_lba: 2048,
            last_lba: 6143,
        }
    }

    fn firmware(entries: &[(u16, &str)], order: &[u16]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (number, label) in entries {
            write(&variable(folder.path(), &boot_name(*number)), &load_option(label, &esp())).unwrap();
        }
        let order: Vec<u8> = order.iter().flat_map(|number| number.to_le_bytes()).collect();
        write(&variable(folder.path(), "BootOrder"), &order).unwrap();
        folder
    }

    #[test]
    fn the_new_entry_is_first_and_the_old_ones_of_ours_are_gone() {
        let firmware =
            firmware(&[(0, "PXE Device 1"), (3, "Helix ubuntu-22.04"), (7, "Helix debian-12")], &[3, 0, 7, 9]);
        let added = replace(firmware.path(), "Helix debian-13", &esp()).unwrap().unwrap();
        assert_eq!(added.removed.len(), 2);
        assert_eq!(added.name, "Boot0001");
        let names: Vec<String> = entries(firmware.path()).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["PXE Device 1", "Helix debian-13"]);
        assert_eq!(read_order(&variable(firmware.path(), "BootOrder")), [1, 0], "ours first, the firmware's own kept");
    }

    #[test]
    fn twice_provisioned_has_one_entry() {
        let firmware = firmware(&[(0, "Windows Boot Manager")], &[0]);
        replace(firmware.path(), "Helix debian-12", &esp()).unwrap();
        replace(firmware.path(), "Helix debian-12", &esp()).unwrap();
        assert_eq!(entries(firmware.path()).len(), 2);
    }

    #[test]
    fn the_load_option_names_partition_and_loader_as_the_specification_lays_out() {
        let option = load_option("Helix", &esp());
        assert_eq!(&option[..4], [1, 0, 0, 0]);
        let path_length = usize::from(u16::from_le_bytes([option[4], option[5]]));
        let path = &option[option.len() - path_length..];
        assert_eq!(&path[..8], [4, 1, 42, 0, 15, 0, 0, 0], "hard drive node, partition 15");
        assert_eq!(u64::from_le_bytes(path[8..16].try_into().unwrap()), 2048);
        assert_eq!(u64::from_le_bytes(path[16..24].try_into().unwrap()), 4096);
        assert_eq!(&path[40..42], [2, 2]);
        assert_eq!(&path[path.len() - 4..], [0x7F, 0xFF, 4, 0]);
    }

    #[test]
    fn a_machine_without_uefi_variables_gets_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(replace(&folder.path().join("efivars"), "Helix", &esp()).unwrap(), None);
    }
}
