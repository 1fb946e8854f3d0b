//! The GUID partition table: reading it, checking its checksums, and moving it to a larger disk.
//!
//! Works on anything that reads, writes and seeks (a block device or an image file), with 512-byte sectors, which is what OS images
//! are made for. Layout and checksums follow the UEFI specification 2.10, chapter 5.3. It does not tell the kernel: after a change
//! the caller has the partition table read again. It makes no new tables and no new partitions.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes in a logical sector of the disks and images that are written here.
pub const SECTOR: u64 = 512;

/// Bytes of a GPT header that its checksum covers (UEFI 2.10, table 5.5); larger headers exist in the standard, none in the field.
const HEADER_BYTES: usize = 92;

/// Bytes of one partition entry. The standard allows 128 × 2ⁿ; every tool writes 128.
const ENTRY_BYTES: usize = 128;

/// More entries than this is a damaged header, not a table: the usual number is 128, and the largest seen in the field 256.
const MOST_ENTRIES: u32 = 1024;

/// A partition is grown to a multiple of this many sectors (4 KiB), the block size of every file system that is grown here.
const GROW_ALIGNMENT_SECTORS: u64 = 8;

/// Why a partition table could not be used.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// The device could not be read or written.
    #[error("cannot {what} the partition table")]
    Io {
        /// "read" or "write".
        what: &'static str,
        /// What the device answered.
        #[source]
        source: io::Error,
    },
    /// There is no GPT, or it is damaged.
    #[error("no valid GUID partition table: {0}")]
    Invalid(String),
    /// The table describes more than the disk holds.
    #[error("the partition table needs {needed_bytes} bytes and the disk has {disk_bytes}")]
    DiskTooSmall {
        /// Bytes up to the end of the last partition plus the backup table.
        needed_bytes: u64,
        /// Bytes of the disk.
        disk_bytes: u64,
    },
}

/// A partition as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number, from 1, as in `sda1`.
    pub number: u32,
    /// Type GUID in text form, lower case.
    pub type_guid: String,
    /// The partition's own GUID (`PARTUUID`) in text form, lower case.
    pub guid: String,
    /// Partition name (`PARTLABEL`).
    pub name: String,
    /// First sector.
    pub first_lba: u64,
    /// Last sector, included.
    pub last_lba: u64,
}

impl Partition {
    /// First byte on the disk.
    pub fn start_bytes(&self) -> u64 {
        self.first_lba * SECTOR
    }

    /// Length in bytes.
    pub fn size_bytes(&self) -> u64 {
        (self.last_lba + 1).saturating_sub(self.first_lba) * SECTOR
    }
}

/// What growing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// The partition that is last on the disk, after growing.
    pub partition: Partition,
    /// Bytes that it gained; 0 when there was no room.
    pub gained_bytes: u64,
}

/// A parsed table. The raw header and entries are kept, so that what is not understood here is written back as it was.
#[derive(Debug, Clone)]
pub struct Gpt {
    header: [u8; HEADER_BYTES],
    entries: Vec<u8>,
}

impl Gpt {
    /// Reads and checks the primary table (sector 1), falling back to nothing: a fresh image has a good primary table or is damaged.
    ///
    /// # Errors
    /// `Invalid` when there is none or a checksum is wrong, `Io` when the device cannot be read.
    pub fn read(device: &mut (impl Read + Seek)) -> Result<Self, GptError> {
        let mut sector = [0u8; SECTOR as usize];
        read_at(device, SECTOR, &mut sector)?;
        if &sector[0..8] != b"EFI PART" {
            return Err(GptError::Invalid("sector 1 does not begin with \"EFI PART\"".into()));
        }
        let mut header = [0u8; HEADER_BYTES];
        header.copy_from_slice(&sector[..HEADER_BYTES]);
        let stated = u32_at(&header, 16);
        if u32_at(&header, 12) as usize != HEADER_BYTES {
            return Err(GptError::Invalid(format!("header length {} instead of {HEADER_BYTES}", u32_at(&header, 12))));
        }
        if header_crc(&header) != stated {
            return Err(GptError::Invalid("the header's checksum is wrong".into()));
        }
        let (count, size) = (u32_at(&header, 80), u32_at(&header, 84));
        if size as usize != ENTRY_BYTES || count == 0 || count > MOST_ENTRIES {
            return Err(GptError::Invalid(format!("{count} entries of {size} bytes")));
        }
        let mut entries = vec![0u8; count as usize * ENTRY_BYTES];
        read_at(device, u64_at(&header, 72) * SECTOR, &mut entries)?;
        if crc32(&entries) != u32_at(&header, 88) {
            return Err(GptError::Invalid("the entries' checksum is wrong".into()));
        }
        Ok(Self { header, entries })
    }

    /// The disk's own GUID in text form.
    pub fn disk_guid(&self) -> String {
        guid_text(&self.header[56..72])
    }

    /// All partitions in the order of their numbers.
    pub fn partitions(&self) -> Vec<Partition> {
        self.entries
            .chunks_exact(ENTRY_BYTES)
            .zip(1u32..)
            .filter(|(entry, _)| entry[0..16].iter().any(|byte| *byte != 0))
            .map(|(entry, number)| Partition {
                number,
                type_guid: guid_text(&entry[0..16]),
                guid: guid_text(&entry[16..32]),
                name: utf16_text(&entry[56..128]),
                first_lba: u64_at(entry, 32),
                last_lba: u64_at(entry, 40),
            })
            .collect()
    }

    /// Moves the backup table to the end of a disk of `disk_bytes`, lets the partition that is last *by position* reach up to it,
    /// and writes protective MBR, primary and backup table.
    ///
    /// # Errors
    /// `DiskTooSmall` when the partitions do not fit, `Invalid` when there is no partition, `Io`.
    pub fn grow(&mut self, device: &mut (impl Read + Write + Seek), disk_bytes: u64) -> Result<Grown, GptError> {
        let last_sector = disk_bytes / SECTOR - 1;
        let entry_sectors = (self.entries.len() as u64).div_ceil(SECTOR);
        let backup_entries = last_sector.saturating_sub(entry_sectors);
        let last_usable = backup_entries.saturating_sub(1);
        let mut last = self
            .partitions()
            .into_iter()
            .max_by_key(|partition| partition.first_lba)
            .ok_or_else(|| GptError::Invalid("it has no partition".into()))?;
        if last.last_lba > last_usable {
            let needed_bytes = (last.last_lba + 1 + entry_sectors + 1) * SECTOR;
            return Err(GptError::DiskTooSmall { needed_bytes, disk_bytes });
        }

        let length = (last_usable + 1 - last.first_lba) / GROW_ALIGNMENT_SECTORS * GROW_ALIGNMENT_SECTORS;
        let grown_last = (last.first_lba + length).saturating_sub(1).max(last.last_lba);
        let gained_bytes = (grown_last - last.last_lba) * SECTOR;
        last.last_lba = grown_last;
        let at = (last.number as usize - 1) * ENTRY_BYTES + 40;
        self.entries[at..at + 8].copy_from_slice(&grown_last.to_le_bytes());

        let old_backup = u64_at(&self.header, 32);
        self.header[32..40].copy_from_slice(&last_sector.to_le_bytes());
        self.header[48..56].copy_from_slice(&last_usable.to_le_bytes());
        let entries_crc = crc32(&self.entries);
        self.header[88..92].copy_from_slice(&entries_crc.to_le_bytes());
        seal(&mut self.header);
        let mut backup = self.header;
        backup[24..32].copy_from_slice(&last_sector.to_le_bytes());
        backup[32..40].copy_from_slice(&u64_at(&self.header, 24).to_le_bytes());
        backup[72..80].copy_from_slice(&backup_entries.to_le_bytes());
        seal(&mut backup);

        // The new backup goes first: from then on at least one good table stands on the disk, whatever happens.
        write_at(device, backup_entries * SECTOR, &self.entries)?;
        write_at(device, last_sector * SECTOR, &padded(&backup))?;
        write_at(device, u64_at(&self.header, 72) * SECTOR, &self.entries)?;
        write_at(device, u64_at(&self.header, 24) * SECTOR, &padded(&self.header))?;
        if old_backup != last_sector && old_backup != 0 && old_backup < last_sector {
            // A stale backup header in the middle of the disk would be found by repair tools.
            write_at(device, old_backup * SECTOR, &[0u8; SECTOR as usize])?;
        }
        stretch_protective_mbr(device, last_sector)?;
        device.flush().map_err(|source| GptError::Io { what: "write", source })?;
        Ok(Grown { partition: last, gained_bytes })
    }
}

/// Makes the protective MBR's one 0xEE entry cover the disk; a hybrid MBR (other entries) is left as it is.
fn stretch_protective_mbr(device: &mut (impl Read + Write + Seek), last_sector: u64) -> Result<(), GptError> {
    let mut mbr = [0u8; SECTOR as usize];
    read_at(device, 0, &mut mbr)?;
    if mbr[446 + 4] == 0xEE && mbr[446 + 16 + 4] == 0 {
        let sectors = u32::try_from(last_sector).unwrap_or(u32::MAX);
        mbr[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
        write_at(device, 0, &mbr)?;
    }
    Ok(())
}

fn read_at(device: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> Result<(), GptError> {
    device
        .seek(SeekFrom::Start(at))
        .and_then(|_| device.read_exact(into))
        .map_err(|source| GptError::Io { what: "read", source })
}

fn write_at(device: &mut (impl Write + Seek), at: u64, data: &[u8]) -> Result<(), GptError> {
    device
        .seek(SeekFrom::Start(at))
        .and_then(|_| device.write_all(data))
        .map_err(|source| GptError::Io { what: "write", source })
}

fn padded(header: &[u8; HEADER_BYTES]) -> [u8; SECTOR as usize] {
    let mut sector = [0u8; SECTOR as usize];
    sector[..HEADER_BYTES].copy_from_slice(header);
    sector
}

fn seal(header: &mut [u8; HEADER_BYTES]) {
    let crc = header_crc(header);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
}

/// The header's checksum is taken with its own field set to zero.
fn header_crc(header: &[u8; HEADER_BYTES]) -> u32 {
    let mut copy = *header;
    copy[16..20].fill(0);
    crc32(&copy)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0u8; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// CRC-32 as zip, Ethernet and GPT have it.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A GUID in text form from its mixed-endian bytes (the first three groups are little-endian).
pub fn guid_text(bytes: &[u8]) -> String {
    let mut raw = [0u8; 16];
    raw.copy_from_slice(&bytes[..16]);
    uuid::Uuid::from_bytes_le(raw).hyphenated().to_string()
}

fn utf16_text(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Cursor;

    /// A disk image with partitions given as (number, first, last, type GUID), as sgdisk would write it.
    pub(crate) fn image(size_bytes: u64, partitions: &[(u32, u64, u64, &str)]) -> Vec<u8> {
        let mut disk = vec![0u8; size_bytes as usize];
        let last_sector = size_bytes / SECTOR - 1;
        let mut entries = vec![0u8; 128 * ENTRY_BYTES];
        for (number, first, last, kind) in partitions {
            let at = (*number as usize - 1) * ENTRY_BYTES;
            let entry = &mut entries[at..at + ENTRY_BYTES];
            entry[0..16].copy_from_slice(&kind.parse::<uuid::Uuid>().unwrap().to_bytes_le());
            entry[16..32].copy_from_slice(&uuid::Uuid::from_u128(u128::from(*number)).to_bytes_le());
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
        }
        let mut header = [0u8; HEADER_BYTES];
        header[0..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
        header[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        header[24..32].copy_from_slice(&1u64.to_le_bytes());
        header[32..40].copy_from_slice(&last_sector.to_le_bytes());
        header[40..48].copy_from_slice(&34u64.to_le_bytes());
        header[48..56].copy_from_slice(&(last_sector - 33).to_le_bytes());
        header[72..80].copy_from_slice(&2u64.to_le_bytes());
        header[80..84].copy_from_slice(&128u32.to_le_bytes());
        header[84..88].copy_from_slice(&(ENTRY_BYTES as u32).to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        seal(&mut header);
        disk[446 + 4] = 0xEE;
        disk[446 + 8] = 1;
        disk[446 + 12..446 + 16].copy_from_slice(&(last_sector as u32).to_le_bytes());
        disk[510..512].copy_from_slice(&[0x55, 0xAA]);
        disk[512..512 + HEADER_BYTES].copy_from_slice(&header);
        disk[1024..1024 + entries.len()].copy_from_slice(&entries);
        let mut backup = header;
        backup[24..32].copy_from_slice(&last_sector.to_le_bytes());
        backup[32..40].copy_from_slice(&1u64.to_le_bytes());
        backup[72..80].copy_from_slice(&(last_sector - 32).to_le_bytes());
        seal(&mut backup);
        let at = ((last_sector - 32) * SECTOR) as usize;
        disk[at..at + entries.len()].copy_from_slice(&entries);
        let at = (last_sector * SECTOR) as usize;
        disk[at..at + HEADER_BYTES].copy_from_slice(&backup);
        disk
    }

    pub(crate) const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    pub(crate) const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

    /// As Debian's cloud images: root is partition 1 but lies last, the ESP is number 15.
    fn debian_like() -> Vec<u8> {
        image(8 << 20, &[(1, 6144, 16_350, LINUX), (15, 2048, 6143, ESP)])
    }

    fn at_the_end(disk: &[u8]) -> Gpt {
        // A repair tool reads the backup: pretend that it is the primary.
        let sectors = disk.len() as u64 / SECTOR;
        let at = ((sectors - 1) * SECTOR) as usize;
        let mut header = [0u8; HEADER_BYTES];
        header.copy_from_slice(&disk[at..at + HEADER_BYTES]);
        assert_eq!(header_crc(&header), u32_at(&header, 16), "the backup header's checksum");
        let from = (u64_at(&header, 72) * SECTOR) as usize;
        let entries = disk[from..from + 128 * ENTRY_BYTES].to_vec();
        assert_eq!(crc32(&entries), u32_at(&header, 88), "the backup entries' checksum");
        Gpt { header, entries }
    }

    #[test]
    fn the_partition_that_lies_last_grows_whatever_its_number() {
        let mut disk = debian_like();
        disk.resize(32 << 20, 0);
        let mut gpt = Gpt::read(&mut Cursor::new(&disk)).unwrap();
        let grown = gpt.grow(&mut Cursor::new(&mut disk), 32 << 20).unwrap();
        assert_eq!(grown.partition.number, 1);
        let again = Gpt::read(&mut Cursor::new(&disk)).unwrap();
        let root = again.partitions().into_iter().find(|partition| partition.number == 1).unwrap();
        let esp = again.partitions().into_iter().find(|partition| partition.number == 15).unwrap();
        assert_eq!((esp.first_lba, esp.last_lba), (2048, 6143), "the ESP stays as it was");
        let end = (32u64 << 20) / SECTOR - 34;
        assert!(root.last_lba <= end && root.last_lba > end - 8, "root ends at {} of {end}", root.last_lba);
        assert_eq!(at_the_end(&disk).partitions(), again.partitions(), "the backup says the same");
    }

    #[test]
    fn the_old_backup_and_the_protective_mbr_follow() {
        let mut disk = debian_like();
        let old_backup = disk.len() - SECTOR as usize;
        disk.resize(32 << 20, 0);
        Gpt::read(&mut Cursor::new(&disk)).unwrap().grow(&mut Cursor::new(&mut disk), 32 << 20).unwrap();
        assert!(disk[old_backup..old_backup + 512].iter().all(|byte| *byte == 0), "no stale backup header is left");
        assert_eq!(u32_at(&disk, 446 + 12), (32 << 20) / 512 - 1);
    }

    #[test]
    fn a_disk_of_the_images_own_size_gains_nothing_and_stays_valid() {
        let mut disk = image(8 << 20, &[(1, 2048, 16_350, LINUX)]);
        let mut gpt = Gpt::read(&mut Cursor::new(&disk)).unwrap();
        let grown = gpt.grow(&mut Cursor::new(&mut disk), 8 << 20).unwrap();
        assert_eq!(grown.gained_bytes, 0);
        Gpt::read(&mut Cursor::new(&disk)).unwrap();
    }

    #[test]
    fn a_disk_smaller_than_the_partitions_is_refused_with_both_sizes() {
        let disk = debian_like();
        let mut small = disk[..4 << 20].to_vec();
        let error =
            Gpt::read(&mut Cursor::new(&disk)).unwrap().grow(&mut Cursor::new(&mut small), 4 << 20).unwrap_err();
        assert!(matches!(error, GptError::DiskTooSmall { disk_bytes: 4_194_304, .. }), "{error}");
        assert_eq!(small, disk[..4 << 20], "nothing was written");
    }

    #[test]
    fn a_flipped_bit_in_header_or_entries_is_found() {
        for (at, word) in [(512 + 40, "header"), (1024 + 33, "entries")] {
            let mut disk = debian_like();
            disk[at] ^= 1;
            let error = Gpt::read(&mut Cursor::new(&disk)).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
