//! Identity of the machine: SMBIOS strings, firmware mode, processors, memory.
//!
//! Relies on `/sys/class/dmi/id` (the serial number needs root) and `/sys/firmware/efi`. Values that vendors leave as place
//! holders ("To Be Filled By O.E.M.") count as absent.

use helix_api::machine::MachineFacts;

use super::root::Root;
use super::system;

/// What firmware vendors write where nothing was set.
const PLACE_HOLDERS: [&str; 6] =
    ["not specified", "to be filled by o.e.m.", "default string", "none", "system serial number", "0123456789"];

/// The UEFI variable that says whether Secure Boot is enforced (UEFI 2.10, 3.3): four bytes of attributes, then 0 or 1.
const SECURE_BOOT: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// SMBIOS identity and fittings, without network interfaces and disks.
pub fn read(root: &Root) -> MachineFacts {
    let dmi = |name: &str| {
        root.text(format!("sys/class/dmi/id/{name}"))
            .filter(|value| !PLACE_HOLDERS.contains(&value.to_ascii_lowercase().as_str()))
    };
    MachineFacts {
        manufacturer: dmi("sys_vendor"),
        product: dmi("product_name"),
        service_tag: dmi("product_serial"),
        uuid: dmi("product_uuid").map(|uuid| uuid.to_ascii_lowercase()),
        uefi: root.path("sys/firmware/efi").is_dir(),
        secure_boot: std::fs::read(root.path(SECURE_BOOT)).ok().and_then(|bytes| bytes.get(4).map(|byte| *byte == 1)),
        bios_version: dmi("bios_version"),
        logical_processors: system::logical_processors(root),
        memory_bytes: system::memory(root).total_bytes,
        nics: Vec::new(),
        disks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &std::path::Path, path: &str, bytes: &[u8]) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_poweredge_is_known_by_its_service_tag() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "sys/class/dmi/id/sys_vendor", b"Dell Inc.\n");
        file(folder.path(), "sys/class/dmi/id/product_name", b"PowerEdge XE9680\n");
        file(folder.path(), "sys/class/dmi/id/product_serial", b"HLX0001\n");
        file(folder.path(), "sys/class/dmi/id/product_uuid", b"4C4C4544-0048-4C10-8058-B7C04F303031\n");
        file(folder.path(), SECURE_BOOT, &[6, 0, 0, 0, 1]);
        let facts = read(&Root::at(folder.path()));
        assert_eq!(facts.service_tag.as_deref(), Some("HLX0001"));
        assert_eq!(facts.uuid.as_deref(), Some("4c4c4544-0048-4c10-8058-b7c04f303031"));
        assert!(facts.uefi, "efivars are there");
        assert_eq!(facts.secure_boot, Some(true));
    }

    #[test]
    fn a_place_holder_is_no_serial_number() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "sys/class/dmi/id/product_serial", b"Not Specified\n");
        let facts = read(&Root::at(folder.path()));
        assert_eq!(facts.service_tag, None);
        assert_eq!(facts.secure_boot, None, "no firmware variable can be read");
    }
}
