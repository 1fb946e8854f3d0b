//! What lies in a partition: file system, UUID and label, by a few bytes at known offsets, as blkid does.
//!
//! Offsets are from each format's own documentation. It mounts nothing, needs no rights, and never writes.

use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

/// Bytes from the start of a partition that hold every signature looked for; btrfs lies farthest, at 64 KiB.
const PROBE_BYTES: usize = 68 << 10;

/// Kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ext2, ext3 or ext4: one on-disk format with more or fewer features.
    Ext4,
    Xfs,
    Btrfs,
    Vfat,
    Swap,
    Luks,
    Lvm,
    MdMember,
    Squashfs,
    Erofs,
    Ntfs,
}

impl Kind {
    /// The word that blkid uses, or a person would.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Swap => "swap",
            Self::Luks => "LUKS (encrypted)",
            Self::Lvm => "LVM physical volume",
            Self::MdMember => "md RAID member",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
            Self::Ntfs => "ntfs",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) uuid: Option<String>,
    pub(crate) label: Option<String>,
}

/// Looks at the partition that begins at `start_bytes`; `None` when nothing known lies there.
///
/// # Errors
/// When the image cannot be read.
pub(crate) fn probe(
    image: &mut (impl Read + Seek),
    start_bytes: u64,
    size_bytes: u64,
) -> Result<Option<Found>, io::Error> {
    let length = PROBE_BYTES.min(usize::try_from(size_bytes).unwrap_or(PROBE_BYTES));
    let mut start = vec![0u8; length];
    image.seek(SeekFrom::Start(start_bytes))?;
    image.read_exact(&mut start)?;
    Ok(look(&start))
}

fn look(start: &[u8]) -> Option<Found> {
    let found = |kind, uuid, label: Option<String>| Some(Found { kind, uuid, label: label.filter(|l| !l.is_empty()) });
    // Members first: what lies inside an array or volume group is the group's.
    if has(start, 4096, &[0xFC, 0x4E, 0x2B, 0xA9]) || has(start, 0, &[0xFC, 0x4E, 0x2B, 0xA9]) {
        return found(Kind::MdMember, None, None);
    }
    if (0..4).any(|sector| has(start, sector * 512, b"LABELONE") && has(start, sector * 512 + 24, b"LVM2 001")) {
        return found(Kind::Lvm, None, None);
    }
    if has(start, 0, b"LUKS\xba\xbe") {
        return found(Kind::Luks, text(start, 168, 40), None);
    }
    if has(start, 1024 + 0x38, &[0x53, 0xEF]) {
        return found(Kind::Ext4, uuid(start, 1024 + 0x68), text(start, 1024 + 0x78, 16));
    }
    if has(start, 0, b"XFSB") {
        return found(Kind::Xfs, uuid(start, 32), text(start, 108, 12));
    }
    if has(start, 0x1_0040, b"_BHRfS_M") {
        return found(Kind::Btrfs, uuid(start, 0x1_0020), text(start, 0x1_012B, 256));
    }
    if has(start, 4086, b"SWAPSPACE2") {
        return found(Kind::Swap, uuid(start, 1024 + 12), text(start, 1024 + 28, 16));
    }
    if has(start, 0, b"hsqs") {
        return found(Kind::Squashfs, None, None);
    }
    if has(start, 1024, &[0xE2, 0xE1, 0xF5, 0xE0]) {
        return found(Kind::Erofs, None, None);
    }
    if has(start, 3, b"NTFS    ") {
        return found(Kind::Ntfs, None, None);
    }
    if has(start, 510, &[0x55, 0xAA]) {
        if has(start, 82, b"FAT32   ") {
            return found(Kind::Vfat, serial(start, 67), fat_label(start, 71));
        }
        if has(start, 54, b"FAT1") {
            return found(Kind::Vfat, serial(start, 39), fat_label(start, 43));
        }
    }
    None
}

fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    bytes.get(at..at + magic.len()) == Some(magic)
}

fn uuid(bytes: &[u8], at: usize) -> Option<String> {
    let raw: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    (raw != [0; 16]).then(|| Uuid::from_bytes(raw).hyphenated().to_string())
}

fn text(bytes: &[u8], at: usize, length: usize) -> Option<String> {
    let raw = bytes.get(at..at + length)?;
    let end = raw.iter().position(|byte| *byte == 0).unwrap_or(length);
    Some(String::from_utf8_lossy(&raw[..end]).trim().to_owned())
}

/// A FAT serial number as blkid and fstab write it: `7A1B-2C3D`.
fn serial(bytes: &[u8], at: usize) -> Option<String> {
    let raw = bytes.get(at..at + 4)?;
    Some(format!("{:02X}{:02X}-{:02X}{:02X}", raw[3], raw[2], raw[1], raw[0]))
}

fn fat_label(bytes: &[u8], at: usize) -> Option<String> {
    text(bytes, at, 11).filter(|label| label != "NO NAME")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lvm_volume_is_seen_before_what_lies_inside() {
        let mut start = vec![0u8; PROBE_BYTES];
        start[512..520].copy_from_slice(b"LABELONE");
        start[536..544].copy_from_slice(b"LVM2 001");
        start[1024 + 0x38..1024 + 0x3A].copy_from_slice(&[0x53, 0xEF]);
        assert_eq!(look(&start).unwrap().kind, Kind::Lvm);
    }

    #[test]
    fn an_xfs_root_gives_its_label_and_uuid() {
        let mut start = vec![0u8; PROBE_BYTES];
        start[..4].copy_from_slice(b"XFSB");
        start[32..48].copy_from_slice(&[0x11; 16]);
        start[108..112].copy_from_slice(b"root");
        assert_eq!(
            look(&start).unwrap(),
            Found {
                kind: Kind::Xfs,
                uuid: Some("11111111-1111-1111-1111-111111111111".into()),
                label: Some("root".into())
            }
        );
    }

    #[test]
    fn an_empty_or_tiny_partition_is_nothing_known() {
        assert_eq!(look(&[0u8; PROBE_BYTES]), None);
        assert_eq!(look(&[0u8; 512]), None);
    }
}
