//! What is in a raw image: whether a node can boot it and be set up by a seed, and what it is.
//!
//! Blocking and read-only; it mounts nothing and needs no rights. An ext4 root is looked into; xfs and btrfs are
//! recognised, and that they could not be looked into is said. What is missing is refused with its name.

use std::fs::File;
use std::path::Path;

use helix_api::image::ImageFacts;

use super::ImageError;
use super::ext4::{Ext4, Ext4Error};
use super::filesystem::{self, Kind};
use super::gpt::{self, ESP_TYPE, GptError};

/// os-release files have less than 1 KiB.
const MOST_OS_RELEASE_BYTES: u64 = 64 << 10;
/// Where cloud-init shows itself: its program, or its configuration when the program lies on another file system.
const CLOUD_INIT: [&str; 2] = ["/usr/bin/cloud-init", "/etc/cloud/cloud.cfg"];

/// Looks at the raw image of `bytes`.
///
/// # Errors
/// `image_no_gpt`, `image_truncated`, `image_no_esp`, `image_root_unsupported`, `image_no_cloud_init`,
/// `image_unreadable`.
pub(crate) fn inspect(raw: &Path, bytes: u64) -> Result<ImageFacts, ImageError> {
    let mut file = File::open(raw).map_err(|error| ImageError::work("open", raw, error))?;
    let reading = |error| ImageError::work("read", raw, error);
    let partitions = gpt::read(&mut file, bytes).map_err(|error| match error {
        GptError::Missing => ImageError::NoGpt,
        GptError::BeyondTheEnd { needed_bytes, file_bytes } => ImageError::Truncated(format!(
            "its partition table describes {needed_bytes} bytes, and the image has {file_bytes}"
        )),
        GptError::Damaged(what) => ImageError::Unreadable(format!("its partition table is damaged: {what}")),
        GptError::Read(source) => reading(source),
    })?;
    let mut facts = ImageFacts::default();
    let mut esp = None;
    let mut root = None;
    for partition in &partitions {
        facts.uuids.push(partition.guid.clone());
        let found = filesystem::probe(&mut file, partition.start_bytes(), partition.size_bytes()).map_err(reading)?;
        if let Some(found) = &found {
            facts.uuids.extend(found.uuid.clone());
            facts.labels.extend(found.label.clone());
        }
        if partition.type_guid == ESP_TYPE {
            esp = Some(found.as_ref().is_some_and(|found| found.kind == Kind::Vfat));
        }
        // The root is what lies last on the disk, whatever its number: that is what grows.
        if root.as_ref().is_none_or(|(lba, _, _)| partition.first_lba > *lba) {
            root = Some((partition.first_lba, partition.number, found));
        }
    }
    match esp {
        None => return Err(ImageError::NoEsp("no partition has that type".into())),
        Some(false) => return Err(ImageError::NoEsp("the partition of that type holds no FAT file system".into())),
        Some(true) => {}
    }
    let Some((root_lba, number, Some(found))) = root else {
        return Err(ImageError::Root("nothing that is known here lies in the last partition".into()));
    };
    facts.root_filesystem = Some(found.kind.word().to_owned());
    match found.kind {
        Kind::Ext4 => {
            let start = root_lba * gpt::SECTOR;
            look_into(&mut file, start, number, &mut facts)?;
        }
        Kind::Xfs | Kind::Btrfs => facts.notes.push(format!(
            "The root file system is {}: whether cloud-init is in it could not be checked. Without it a node would \
             boot and never report.",
            found.kind.word()
        )),
        Kind::Lvm => {
            return Err(ImageError::Root(format!(
                "partition {number} is an LVM physical volume, and the ramdisk neither grows nor seeds LVM"
            )));
        }
        other => return Err(ImageError::Root(format!("partition {number} is {}", other.word()))),
    }
    Ok(facts)
}

fn look_into(file: &mut File, start: u64, number: u32, facts: &mut ImageFacts) -> Result<(), ImageError> {
    let looked = Ext4::open(file, start).and_then(|mut root| {
        let mut cloud_init = false;
        for path in CLOUD_INIT {
            cloud_init = cloud_init || root.exists(path)?;
        }
        let mut os_release = None;
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            if os_release.is_none() {
                os_release = root.read_text(path, MOST_OS_RELEASE_BYTES)?;
            }
        }
        Ok((cloud_init, os_release))
    });
    match looked {
        Ok((cloud_init, os_release)) => {
            if let Some(text) = os_release {
                facts.os_name = os_release_value(&text, "PRETTY_NAME");
                facts.os_id = os_release_value(&text, "ID");
                facts.os_version = os_release_value(&text, "VERSION_ID");
            }
            if !cloud_init {
                let what = facts.os_name.as_deref().unwrap_or("the system");
                return Err(ImageError::NoCloudInit(format!(
                    "{what} in partition {number} has neither {} nor {}",
                    CLOUD_INIT[0], CLOUD_INIT[1]
                )));
            }
            facts.cloud_init = Some(true);
        }
        Err(Ext4Error::Unknown(feature)) => facts.notes.push(format!(
            "The root file system uses {feature}: whether cloud-init is in it could not be checked. Without it a node \
             would boot and never report."
        )),
        Err(Ext4Error::Damaged(what)) => {
            return Err(ImageError::Unreadable(format!(
                "the root file system (partition {number}) is damaged: {what}"
            )));
        }
        Err(Ext4Error::Read(error)) => {
            return Err(ImageError::Unreadable(format!(
                "the root file system (partition {number}) is damaged: {error}"
            )));
        }
    }
    Ok(())
}

/// A value of os-release: `KEY=value`, `KEY="value"` or `KEY='value'`.
fn os_release_value(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (name == key && !value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let text = "# comment\nID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\nEMPTY=\n";
        assert_eq!(os_release_value(text, "ID").as_deref(), Some("debian"));
        assert_eq!(os_release_value(text, "PRETTY_NAME").as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(os_release_value(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(os_release_value(text, "EMPTY"), None);
        assert_eq!(os_release_value(text, "VERSION"), None);
    }
}
