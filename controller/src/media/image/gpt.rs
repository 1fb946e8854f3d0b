//! The GUID partition table of an image: both copies, with their checksums.
//!
//! Read-only, on anything that reads and seeks, with 512-byte sectors. Layout and checksums: UEFI specification 2.10,
//! chapter 5.3. An image is trusted only when both tables are good and lie inside the file: a backup table beyond the
//! end of the file is how a truncated download shows itself.

use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

/// Bytes in a logical sector of OS images.
pub(crate) const SECTOR: u64 = 512;
/// Bytes of a header that its checksum covers (UEFI 2.10, table 5.5).
const HEADER_BYTES: usize = 92;
/// Bytes of one partition entry; every tool writes 128.
const ENTRY_BYTES: usize = 128;
/// More entries than this is a damaged header, not a table: the usual number is 128.
const MOST_ENTRIES: u32 = 1024;
/// Partition type of an EFI system partition.
pub(crate) const ESP_TYPE: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// Why a table could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GptError {
    #[error("reading the partition table")]
    Read(#[source] io::Error),
    #[error("there is no GUID partition table")]
    Missing,
    #[error("the partition table reaches up to byte {needed_bytes}, the file ends at {file_bytes}")]
    BeyondTheEnd { needed_bytes: u64, file_bytes: u64 },
    #[error("the partition table is damaged: {0}")]
    Damaged(String),
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Number, from 1, as in `sda1`.
    pub(crate) number: u32,
    /// Type GUID, lower case.
    pub(crate) type_guid: String,
    /// The partition's own GUID (`PARTUUID`), lower case.
    pub(crate) guid: String,
    pub(crate) first_lba: u64,
    /// Last sector, included.
    pub(crate) last_lba: u64,
}

impl Partition {
    /// First byte in the image.
    pub(crate) fn start_bytes(&self) -> u64 {
        self.first_lba * SECTOR
    }

    /// Length, bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        (self.last_lba + 1).saturating_sub(self.first_lba) * SECTOR
    }
}

/// Reads and checks both tables of an image of `file_bytes`, and gives its partitions in the order of their numbers.
///
/// # Errors
/// Missing, damaged, or larger than the file.
pub(crate) fn read(image: &mut (impl Read + Seek), file_bytes: u64) -> Result<Vec<Partition>, GptError> {
    if file_bytes < 2 * SECTOR {
        return Err(GptError::Missing);
    }
    let primary = Header::read(image, 1, "primary", file_bytes)?;
    let backup_ends = primary.other_lba.saturating_add(1).saturating_mul(SECTOR);
    let partitions = primary.partitions(image, "primary", file_bytes)?;
    let last_used = partitions.iter().map(|partition| partition.last_lba).max().unwrap_or(0);
    let needed_bytes = backup_ends.max(last_used.saturating_add(1).saturating_mul(SECTOR));
    if needed_bytes > file_bytes {
        return Err(GptError::BeyondTheEnd { needed_bytes, file_bytes });
    }
    let backup = Header::read(image, primary.other_lba, "backup", file_bytes)?;
    if backup.partitions(image, "backup", file_bytes)? != partitions {
        return Err(GptError::Damaged("primary and backup table name different partitions".into()));
    }
    Ok(partitions)
}

struct Header {
    other_lba: u64,
    entries_lba: u64,
    count: u32,
    entries_crc: u32,
}

impl Header {
    fn read(image: &mut (impl Read + Seek), lba: u64, which: &str, file_bytes: u64) -> Result<Self, GptError> {
        let mut sector = [0u8; SECTOR as usize];
        read_at(image, lba * SECTOR, &mut sector, file_bytes)?;
        if &sector[..8] != b"EFI PART" {
            return Err(if lba == 1 {
                GptError::Missing
            } else {
                GptError::Damaged(format!("there is no {which} header in sector {lba}"))
            });
        }
        let mut header = [0u8; HEADER_BYTES];
        header.copy_from_slice(&sector[..HEADER_BYTES]);
        let stated = u32_at(&header, 16);
        header[16..20].fill(0);
        if u32_at(&header, 12) as usize != HEADER_BYTES || crc32(&header) != stated {
            return Err(GptError::Damaged(format!("the {which} header's checksum is wrong")));
        }
        let (count, size) = (u32_at(&header, 80), u32_at(&header, 84));
        if size as usize != ENTRY_BYTES || count == 0 || count > MOST_ENTRIES {
            return Err(GptError::Damaged(format!("the {which} header names {count} entries of {size} bytes")));
        }
        Ok(Self {
            other_lba: u64_at(&header, 32),
            entries_lba: u64_at(&header, 72),
            count,
            entries_crc: u32_at(&header, 88),
        })
    }

    fn partitions(
        &self,
        image: &mut (impl Read + Seek),
        which: &str,
        file_bytes: u64,
    ) -> Result<Vec<Partition>, GptError> {
        let mut entries = vec![0u8; self.count as usize * ENTRY_BYTES];
        read_at(image, self.entries_lba.saturating_mul(SECTOR), &mut entries, file_bytes)?;
        if crc32(&entries) != self.entries_crc {
            return Err(GptError::Damaged(format!("the checksum of the {which} table's entries is wrong")));
        }
        let used = entries.chunks_exact(ENTRY_BYTES).zip(1u32..).filter(|(entry, _)| entry[..16] != [0u8; 16]);
        used.map(|(entry, number)| {
            let partition = Partition {
                number,
                type_guid: guid_text(&entry[..16]),
                guid: guid_text(&entry[16..32]),
                first_lba: u64_at(entry, 32),
                last_lba: u64_at(entry, 40),
            };
            // Sectors beyond 2^54 would overflow byte offsets; no disk has them.
            if partition.last_lba < partition.first_lba || partition.last_lba >> 54 != 0 {
                return Err(GptError::Damaged(format!("partition {number} ends before it begins")));
            }
            Ok(partition)
        })
        .collect()
    }
}

fn read_at(image: &mut (impl Read + Seek), at: u64, into: &mut [u8], file_bytes: u64) -> Result<(), GptError> {
    let needed_bytes = at.saturating_add(into.len() as u64);
    if needed_bytes > file_bytes {
        return Err(GptError::BeyondTheEnd { needed_bytes, file_bytes });
    }
    image.seek(SeekFrom::Start(at)).and_then(|_| image.read_exact(into)).map_err(GptError::Read)
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

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Text of a GUID: its first three groups are little-endian.
fn guid_text(bytes: &[u8]) -> String {
    let mut raw = [0u8; 16];
    raw.copy_from_slice(&bytes[..16]);
    Uuid::from_bytes_le(raw).hyphenated().to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Cursor;

    pub(crate) const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";

    /// Writes both tables around partitions given as (number, first, last, type).
    pub(crate) fn write(disk: &mut [u8], partitions: &[(u32, u64, u64, &str)]) {
        let last = disk.len() as u64 / SECTOR - 1;
        let mut entries = vec![0u8; 128 * ENTRY_BYTES];
        for (number, first_lba, last_lba, kind) in partitions {
            let entry = &mut entries[(*number as usize - 1) * ENTRY_BYTES..][..ENTRY_BYTES];
            entry[..16].copy_from_slice(&kind.parse::<Uuid>().unwrap().to_bytes_le());
            entry[16..32].copy_from_slice(&Uuid::from_u128(0xAB00 + u128::from(*number)).to_bytes_le());
            entry[32..40].copy_from_slice(&first_lba.to_le_bytes());
            entry[40..48].copy_from_slice(&last_lba.to_le_bytes());
        }
        for (own, other, table) in [(1, last, 2), (last, 1, last - 32)] {
            let mut header = [0u8; HEADER_BYTES];
            header[..8].copy_from_slice(b"EFI PART");
            header[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
            header[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
            header[24..32].copy_from_slice(&own.to_le_bytes());
            header[32..40].copy_from_slice(&other.to_le_bytes());
            header[40..48].copy_from_slice(&34u64.to_le_bytes());
            header[48..56].copy_from_slice(&(last - 33).to_le_bytes());
            header[72..80].copy_from_slice(&table.to_le_bytes());
            header[80..84].copy_from_slice(&128u32.to_le_bytes());
            header[84..88].copy_from_slice(&(ENTRY_BYTES as u32).to_le_bytes());
            header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
            let crc = crc32(&header);
            header[16..20].copy_from_slice(&crc.to_le_bytes());
            disk[(own * SECTOR) as usize..][..HEADER_BYTES].copy_from_slice(&header);
            disk[(table * SECTOR) as usize..][..entries.len()].copy_from_slice(&entries);
        }
    }

    fn disk() -> Vec<u8> {
        let mut disk = vec![0u8; 4 << 20];
        write(&mut disk, &[(1, 4096, 8000, LINUX), (15, 2048, 4095, ESP_TYPE)]);
        disk
    }

    #[test]
    fn both_tables_are_read_and_agree() {
        let partitions = read(&mut Cursor::new(disk()), 4 << 20).unwrap();
        assert_eq!(partitions.iter().map(|p| (p.number, p.first_lba)).collect::<Vec<_>>(), [(1, 4096), (15, 2048)]);
        assert_eq!(partitions[1].type_guid, ESP_TYPE);
    }

    #[test]
    fn a_file_that_ends_early_is_told_from_a_damaged_one() {
        let whole = disk();
        let half = whole[..2 << 20].to_vec();
        let error = read(&mut Cursor::new(half), 2 << 20).unwrap_err();
        assert!(
            matches!(error, GptError::BeyondTheEnd { needed_bytes: 4_194_304, file_bytes: 2_097_152 }),
            "{error:?}"
        );
    }

    #[test]
    fn a_flipped_bit_in_any_of_the_four_parts_is_found() {
        let last = (4 << 20) - 512;
        for at in [512 + 41, 1024 + 33, last + 41, last - 32 * 512 + 33] {
            let mut damaged = disk();
            damaged[at] ^= 1;
            let error = read(&mut Cursor::new(damaged), 4 << 20).unwrap_err();
            assert!(matches!(error, GptError::Damaged(_)), "byte {at}: {error:?}");
        }
    }

    #[test]
    fn a_disk_without_a_table_says_so() {
        let error = read(&mut Cursor::new(vec![0u8; 1 << 20]), 1 << 20).unwrap_err();
        assert!(matches!(error, GptError::Missing), "{error:?}");
    }
}
