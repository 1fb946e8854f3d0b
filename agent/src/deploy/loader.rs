//! The boot loader on the EFI system partition.
//!
//! Firmware without a boot entry starts `\EFI\BOOT\BOOTX64.EFI`, and so does every firmware whose variables were lost; an image that
//! lacks it gets a copy of its own loader there. Works on the mounted ESP; names on FAT are found whatever their case.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// The path that the UEFI specification gives to removable media (2.10, 3.5.1.1), for x86-64.
pub const FALLBACK: &str = "\\EFI\\BOOT\\BOOTX64.EFI";

/// Loaders in the order of preference. The shim comes first: it is the one that Secure Boot accepts, and it starts GRUB beside it.
const LOADERS: [&str; 3] = ["shimx64.efi", "grubx64.efi", "systemd-bootx64.efi"];

/// What the shim needs beside itself.
const COMPANIONS: [&str; 2] = ["grubx64.efi", "mmx64.efi"];

/// Makes sure that the fallback loader is there; says from what it was made when it was absent.
///
/// # Errors
/// `ImageNoLoader` when the ESP holds no loader at all, `BootEntry` when it cannot be written.
pub fn ensure_fallback(esp: &Path, image: &str) -> Result<Option<PathBuf>, Failure> {
    if find(esp, &["EFI", "BOOT", "BOOTX64.EFI"]).is_some() {
        return Ok(None);
    }
    let found = loader(esp).ok_or_else(|| Failure::ImageNoLoader {
        name: image.to_owned(),
        looked_for: format!("{FALLBACK}, {}", LOADERS.map(|name| format!("\\EFI\\*\\{name}")).join(", ")),
    })?;
    let copy = || -> io::Result<()> {
        let efi = find(esp, &["EFI"]).unwrap_or_else(|| esp.join("EFI"));
        let boot = find(&efi, &["BOOT"]).unwrap_or_else(|| efi.join("BOOT"));
        fs::create_dir_all(&boot)?;
        fs::copy(&found, boot.join("BOOTX64.EFI"))?;
        if let Some(folder) = found.parent() {
            for name in COMPANIONS {
                if let Some(companion) = find(folder, &[name])
                    && companion != found
                {
                    fs::copy(&companion, boot.join(name))?;
                }
            }
        }
        fs::File::open(&boot)?.sync_all()
    };
    copy().map_err(|source| Failure::BootEntry { what: "write \\EFI\\BOOT\\BOOTX64.EFI for", source })?;
    Ok(Some(found))
}

/// A vendor's loader in any folder below `\EFI`.
fn loader(esp: &Path) -> Option<PathBuf> {
    let efi = find(esp, &["EFI"])?;
    let folders = crate::machine::root::names(&efi);
    LOADERS.iter().find_map(|name| folders.iter().find_map(|folder| find(&efi.join(folder), &[name])))
}

/// A path below `folder`, without regard to case.
fn find(folder: &Path, path: &[&str]) -> Option<PathBuf> {
    let mut here = folder.to_owned();
    for wanted in path {
        let name = crate::machine::root::names(&here).into_iter().find(|name| name.eq_ignore_ascii_case(wanted))?;
        here.push(name);
    }
    Some(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esp(files: &[&str]) -> tempfile::TempDir {
        let esp = tempfile::tempdir().unwrap();
        for path in files {
            let to = esp.path().join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, path).unwrap();
        }
        esp
    }

    #[test]
    fn a_fallback_that_is_there_is_left_alone() {
        let esp = esp(&["efi/boot/bootx64.efi", "efi/debian/shimx64.efi"]);
        assert_eq!(ensure_fallback(esp.path(), "debian-12").unwrap(), None);
        assert_eq!(fs::read_to_string(esp.path().join("efi/boot/bootx64.efi")).unwrap(), "efi/boot/bootx64.efi");
    }

    #[test]
    fn an_absent_fallback_is_made_from_the_shim_and_what_it_needs() {
        let esp = esp(&["EFI/debian/grubx64.efi", "EFI/debian/shimx64.efi", "EFI/debian/mmx64.efi"]);
        ensure_fallback(esp.path(), "debian-12").unwrap();
        let read = |name: &str| fs::read_to_string(esp.path().join("EFI/BOOT").join(name)).unwrap();
        assert_eq!(read("BOOTX64.EFI"), "EFI/debian/shimx64.efi");
        assert_eq!(read("grubx64.efi"), "EFI/debian/grubx64.efi");
    }

    #[test]
    fn an_esp_without_any_loader_names_what_was_looked_for() {
        let esp = esp(&["EFI/readme.txt"]);
        let failure = ensure_fallback(esp.path(), "debian-12").unwrap_err();
        assert_eq!(failure.code(), "image_no_boot_loader");
        assert!(failure.to_string().contains("shimx64.efi"), "{failure}");
    }
}
