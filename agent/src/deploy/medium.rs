//! Finding the deploy block: the 4 KiB on the boot medium that are particular to this attempt.
//!
//! Reads the ISO 9660 structures itself (ECMA-119: primary volume descriptor in sector 16, directory records), so that no mount and
//! no kernel module is needed. Looks at optical drives first, then at removable and USB disks, then at the others: BMCs show their
//! virtual media as either. It writes nothing.

use std::io::{self, Read, Seek, SeekFrom};

use helix_api::deploy::{BLOCK_FILE, BLOCK_SIZE, BlockError, DeployBlock, VOLUME_ID, decode_block};

use crate::machine::block::Disk;

/// Bytes of an ISO 9660 sector.
pub const SECTOR: u64 = 2048;

/// Where the primary volume descriptor lies, bytes.
pub const DESCRIPTOR_OFFSET: u64 = 16 * SECTOR;

/// A root directory larger than this is not ours: the deploy medium has a handful of files.
const LARGEST_DIRECTORY_BYTES: u32 = 1 << 20;

/// Why a medium gave no block.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// It cannot be read: no disc in the drive, or a broken transfer.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// Another medium.
    #[error("is not a Helix deploy medium")]
    Other,
    /// A deploy medium without the block's file.
    #[error("is a deploy medium without {BLOCK_FILE}")]
    NoBlock,
    /// The block is not usable.
    #[error("has no usable deploy block")]
    Block(#[from] BlockError),
}

/// Disks in the order in which they are looked at.
pub fn order(disks: &mut [Disk]) {
    disks.sort_by_key(|disk| {
        let likely = if disk.optical {
            0
        } else if disk.facts.removable || disk.facts.transport.as_deref() == Some("usb") {
            1
        } else {
            2
        };
        (likely, disk.facts.name.clone())
    });
}

/// Reads the block from a medium.
///
/// # Errors
/// Says what is wrong with the medium; `Other` for everything that is no deploy medium.
pub fn read_block(medium: &mut (impl Read + Seek)) -> Result<DeployBlock, MediumError> {
    let at = block_offset(medium)?;
    let mut block = vec![0u8; BLOCK_SIZE];
    read_at(medium, at, &mut block)?;
    Ok(decode_block(&block)?)
}

/// The byte offset of the block's file.
///
/// # Errors
/// As [`read_block`].
pub fn block_offset(medium: &mut (impl Read + Seek)) -> Result<u64, MediumError> {
    let mut descriptor = vec![0u8; SECTOR as usize];
    read_at(medium, DESCRIPTOR_OFFSET, &mut descriptor)?;
    let Directory { offset, length } = root_directory(&descriptor).ok_or(MediumError::Other)?;
    let mut directory = vec![0u8; usize::try_from(length).unwrap_or_default()];
    read_at(medium, offset, &mut directory)?;
    find_block(&directory).ok_or(MediumError::NoBlock)
}

/// Where a directory lies, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directory {
    pub offset: u64,
    pub length: u64,
}

/// The root directory of a deploy medium, from its primary volume descriptor; `None` for every other medium.
pub fn root_directory(descriptor: &[u8]) -> Option<Directory> {
    let descriptor = descriptor.get(..SECTOR as usize)?;
    let label = String::from_utf8_lossy(&descriptor[40..72]).trim_end().to_owned();
    if descriptor[0] != 1 || &descriptor[1..6] != b"CD001" || label != VOLUME_ID {
        return None;
    }
    // The root directory's record stands in the descriptor at 156: extent at +2, length at +10, both little-endian first.
    let (extent, length) = (u32_at(descriptor, 158), u32_at(descriptor, 166));
    (length > 0 && length <= LARGEST_DIRECTORY_BYTES)
        .then(|| Directory { offset: u64::from(extent) * SECTOR, length: length.into() })
}

/// The byte offset of the block's file, from the root directory.
pub fn find_block(directory: &[u8]) -> Option<u64> {
    find(directory, BLOCK_FILE)
}

/// The byte offset of a file in a directory; names carry a version (`HELIX.BLK;1`).
fn find(directory: &[u8], name: &str) -> Option<u64> {
    let mut at = 0usize;
    while at < directory.len() {
        let length = usize::from(directory[at]);
        if length < 34 {
            // Records do not cross sectors: zeros fill the rest of this one.
            at = (at / SECTOR as usize + 1) * SECTOR as usize;
            continue;
        }
        let record = directory.get(at..at + length)?;
        let name_length = usize::from(record[32]);
        let found = record.get(33..33 + name_length)?;
        let found = String::from_utf8_lossy(found);
        if found.split(';').next().is_some_and(|bare| bare.eq_ignore_ascii_case(name)) {
            return Some(u64::from(u32_at(record, 2)) * SECTOR);
        }
        at += length;
    }
    None
}

fn read_at(medium: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> io::Result<()> {
    medium.seek(SeekFrom::Start(at))?;
    medium.read_exact(into)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use helix_api::deploy::encode_block;
    use std::io::Cursor;

    pub(crate) fn block() -> DeployBlock {
        DeployBlock {
            controller_urls: vec!["https://192.0.2.5:8444".into()],
            controller_key_sha256: "ab".repeat(32),
            token: "t0k3n".into(),
            workflow: "wf-7Q2M4K".into(),
            node_name: "r01u05".into(),
            network: None,
        }
    }

    /// A minimal ISO with one file in its root directory, and the offset of that file.
    pub(crate) fn iso(label: &str, name: &str, content: &[u8]) -> (Vec<u8>, u64) {
        let mut iso = vec![0u8; 24 * SECTOR as usize];
        let descriptor = 16 * SECTOR as usize;
        iso[descriptor] = 1;
        iso[descriptor + 1..descriptor + 6].copy_from_slice(b"CD001");
        iso[descriptor + 40..descriptor + 72].copy_from_slice(format!("{label:<32}").as_bytes());
        iso[descriptor + 158..descriptor + 162].copy_from_slice(&18u32.to_le_bytes());
        iso[descriptor + 166..descriptor + 170].copy_from_slice(&2048u32.to_le_bytes());
        let mut at = 18 * SECTOR as usize;
        for (name, extent) in [("\0", 18u32), ("\u{1}", 18), (name, 20)] {
            let length = 33 + name.len() + (33 + name.len()) % 2;
            iso[at] = length as u8;
            iso[at + 2..at + 6].copy_from_slice(&extent.to_le_bytes());
            iso[at + 32] = name.len() as u8;
            iso[at + 33..at + 33 + name.len()].copy_from_slice(name.as_bytes());
            at += length;
        }
        let offset = 20 * SECTOR as usize;
        iso[offset..offset + content.len()].copy_from_slice(content);
        (iso, offset as u64)
    }

    #[test]
    fn the_block_is_found_by_its_name_in_the_root_directory() {
        let (iso, offset) = iso("HELIXDEPLOY", "HELIX.BLK;1", &encode_block(&block()).unwrap());
        assert_eq!(block_offset(&mut Cursor::new(&iso)).unwrap(), offset);
        assert_eq!(read_block(&mut Cursor::new(&iso)).unwrap(), block());
    }

    #[test]
    fn another_medium_is_passed_over_and_an_unprepared_one_says_so() {
        let (other, _) = iso("Ubuntu 24.04", "HELIX.BLK;1", &[]);
        assert!(matches!(read_block(&mut Cursor::new(&other)), Err(MediumError::Other)));
        let (bare, _) = iso("HELIXDEPLOY", "HELIX.BLK;1", b"HLXBLK01");
        assert!(matches!(read_block(&mut Cursor::new(&bare)), Err(MediumError::Block(BlockError::Empty))));
        let (without, _) = iso("HELIXDEPLOY", "README;1", &[]);
        assert!(matches!(read_block(&mut Cursor::new(&without)), Err(MediumError::NoBlock)));
    }

    #[test]
    fn optical_drives_come_first_then_removable_disks() {
        let named = |name: &str, optical: bool, removable: bool| {
            let mut disk = Disk { optical, ..Disk::default() };
            disk.facts.name = name.into();
            disk.facts.removable = removable;
            disk
        };
        let mut disks = vec![named("nvme0n1", false, false), named("sda", false, true), named("sr0", true, true)];
        order(&mut disks);
        let names: Vec<&str> = disks.iter().map(|disk| disk.facts.name.as_str()).collect();
        assert_eq!(names, ["sr0", "sda", "nvme0n1"]);
    }
}
