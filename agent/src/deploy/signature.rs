//! What lies on a disk: partition tables, file systems, members of arrays and volume groups.
//!
//! Reads a few kilobytes at known offsets of the disk and of each partition, as blkid does; offsets are from the on-disk formats'
//! own documentation. It reads through any `Read + Seek` and never writes. Formats it does not know count as "unknown" and are
//! no reason to stop.

use std::io::{self, Read, Seek, SeekFrom};

use super::gpt::{Gpt, SECTOR};

/// The type of an EFI system partition.
pub const ESP_TYPE: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// What kind of thing a signature stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Gpt,
    Mbr,
    Ext4,
    Xfs,
    Btrfs,
    Vfat,
    Iso9660,
    Swap,
    Luks,
    /// Linux software RAID member; the group is the array's UUID.
    MdMember,
    /// LVM physical volume; the group is the volume group's name and id.
    LvmMember,
    /// Intel VROC / RST member.
    ImsmMember,
}

impl Kind {
    /// The word that blkid uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gpt => "GPT",
            Self::Mbr => "MBR",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Iso9660 => "iso9660",
            Self::Swap => "swap",
            Self::Luks => "LUKS",
            Self::MdMember => "md RAID member",
            Self::LvmMember => "LVM physical volume",
            Self::ImsmMember => "VROC member",
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Partition number; `None` for the whole disk.
    pub partition: Option<u32>,
    pub kind: Kind,
    pub uuid: Option<String>,
    pub label: Option<String>,
    /// The partition's own GUID, where it has one.
    pub partition_guid: Option<String>,
    /// What the member belongs to: array UUID, volume group.
    pub group: Option<String>,
    /// It lies in an EFI system partition.
    pub esp: bool,
    /// First byte on the disk.
    pub start_bytes: u64,
    pub size_bytes: u64,
}

impl Signature {
    /// In words: `partition 2: ext4 "root" 1b2c…`.
    pub fn words(&self) -> String {
        let mut words = match self.partition {
            Some(number) => format!("partition {number}: "),
            None => String::new(),
        };
        if self.esp {
            words.push_str("ESP ");
        }
        words.push_str(self.kind.word());
        if let Some(label) = &self.label {
            words.push_str(&format!(" \"{label}\""));
        }
        if let Some(uuid) = &self.uuid {
            words.push_str(&format!(" {uuid}"));
        }
        if let Some(group) = self.group.as_ref().filter(|group| Some(*group) != self.uuid.as_ref()) {
            words.push_str(&format!(" of {group}"));
        }
        words
    }
}

/// Everything found on a disk of `size_bytes`.
///
/// # Errors
/// When the disk cannot be read at its start. Later ranges that cannot be read (a damaged disk) give no signature.
pub fn read(disk: &mut (impl Read + Seek), size_bytes: u64) -> io::Result<Vec<Signature>> {
    let mut first = [0u8; SECTOR as usize];
    if size_bytes < SECTOR {
        return Ok(Vec::new());
    }
    read_at(disk, 0, &mut first)?;
    let mut found = Vec::new();
    let whole = Place { partition: None, partition_guid: None, esp: false, start_bytes: 0, size_bytes };
    let direct = probe(disk, &whole);
    if let Ok(table) = Gpt::read(disk) {
        found.push(whole.signature(Kind::Gpt, Some(table.disk_guid()), None));
        found.extend(direct);
        for partition in table.partitions() {
            let place = Place {
                partition: Some(partition.number),
                partition_guid: Some(partition.guid.clone()),
                esp: partition.type_guid == ESP_TYPE,
                start_bytes: partition.start_bytes(),
                size_bytes: partition.size_bytes(),
            };
            found.extend(probe(disk, &place));
        }
    } else {
        // The boot sector of a FAT file system ends in 55 AA too: with one, the "partition entries" are code.
        let fat = direct.iter().any(|signature| signature.kind == Kind::Vfat);
        found.extend(direct);
        if first[510..512] == [0x55, 0xAA] && !fat {
            let places = mbr_partitions(&first);
            if !places.is_empty() {
                found.insert(0, whole.signature(Kind::Mbr, None, None));
            }
            for place in places {
                found.extend(probe(disk, &place));
            }
        }
    }
    Ok(found)
}

/// Where a signature was looked for.
struct Place {
    partition: Option<u32>,
    partition_guid: Option<String>,
    esp: bool,
    start_bytes: u64,
    size_bytes: u64,
}

impl Place {
    fn signature(&self, kind: Kind, uuid: Option<String>, label: Option<String>) -> Signature {
        Signature {
            partition: self.partition,
            kind,
            uuid,
            label: label.filter(|label| !label.is_empty()),
            partition_guid: self.partition_guid.clone(),
            group: None,
            esp: self.esp,
            start_bytes: self.start_bytes,
            size_bytes: self.size_bytes,
        }
    }
}

/// Primary partitions of an MBR. Logical ones inside an extended partition are not followed: no installer of servers makes them.
fn mbr_partitions(sector: &[u8; SECTOR as usize]) -> Vec<Place> {
    (0u32..4)
        .filter_map(|index| {
            let entry = &sector[446 + 16 * index as usize..462 + 16 * index as usize];
            let (kind, first, count) = (entry[4], u32_le(entry, 8), u32_le(entry, 12));
            (kind != 0 && kind != 0xEE && count > 0).then(|| Place {
                partition: Some(index + 1),
                partition_guid: None,
                esp: kind == 0xEF,
                start_bytes: u64::from(first) * SECTOR,
                size_bytes: u64::from(count) * SECTOR,
            })
        })
        .collect()
}

fn probe(disk: &mut (impl Read + Seek), place: &Place) -> Vec<Signature> {
    // 68 KiB cover every signature that lies at the start (btrfs is the farthest, at 64 KiB).
    let mut start = vec![0u8; 68 << 10];
    let length = usize::try_from(place.size_bytes).unwrap_or(usize::MAX).min(start.len());
    start.truncate(length);
    if read_at(disk, place.start_bytes, &mut start).is_err() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let Some(signature) = md_member(disk, place, &start) {
        // Everything inside an array is the array's, not the member's.
        return vec![signature];
    }
    if has(&start, 0, b"LABELONE")
        || has(&start, 512, b"LABELONE")
        || has(&start, 1024, b"LABELONE")
        || has(&start, 1536, b"LABELONE")
    {
        found.extend(lvm_member(disk, place, &start));
    }
    if has(&start, 1024 + 0x38, &[0x53, 0xEF]) {
        found.push(place.signature(Kind::Ext4, uuid(&start, 1024 + 0x68), text(&start, 1024 + 0x78, 16)));
    }
    if has(&start, 0, b"XFSB") {
        found.push(place.signature(Kind::Xfs, uuid(&start, 32), text(&start, 108, 12)));
    }
    if has(&start, 0x1_0040, b"_BHRfS_M") {
        found.push(place.signature(Kind::Btrfs, uuid(&start, 0x1_0020), text(&start, 0x1_012B, 256)));
    }
    if has(&start, 0x8001, b"CD001") {
        found.push(place.signature(Kind::Iso9660, None, text(&start, 0x8028, 32)));
    }
    if has(&start, 510, &[0x55, 0xAA]) {
        if has(&start, 82, b"FAT32   ") {
            found.push(place.signature(Kind::Vfat, serial(&start, 67), fat_label(&start, 71)));
        } else if has(&start, 54, b"FAT1") {
            found.push(place.signature(Kind::Vfat, serial(&start, 39), fat_label(&start, 43)));
        }
    }
    if has(&start, 4086, b"SWAPSPACE2") {
        found.push(place.signature(Kind::Swap, uuid(&start, 0x40C), text(&start, 0x41C, 16)));
    }
    if has(&start, 0, b"LUKS\xba\xbe") {
        found.push(place.signature(
            Kind::Luks,
            text(&start, 168, 40),
            text(&start, 24, 48).filter(|_| has(&start, 6, &[0, 2])),
        ));
    }
    if place.partition.is_none() && imsm_member(disk, place) {
        found.push(place.signature(Kind::ImsmMember, None, None));
    }
    found
}

/// Linux software RAID: superblock 1.1 at the start, 1.2 at 4 KiB, 1.0 and 0.90 near the end.
fn md_member(disk: &mut (impl Read + Seek), place: &Place, start: &[u8]) -> Option<Signature> {
    const MAGIC: [u8; 4] = 0xA92B_4EFC_u32.to_le_bytes();
    let member = |block: &[u8]| {
        let array = uuid(block, 16);
        Signature { group: array.clone(), ..place.signature(Kind::MdMember, array, text(block, 32, 32)) }
    };
    for at in [0usize, 4096] {
        if has(start, at, &MAGIC) && has(start, at + 4, &1u32.to_le_bytes()) {
            return Some(member(&start[at..]));
        }
    }
    let sectors = place.size_bytes / SECTOR;
    let mut block = vec![0u8; 128];
    let at = (sectors.checked_sub(16)? & !7) * SECTOR;
    if read_at(disk, place.start_bytes + at, &mut block).is_ok()
        && has(&block, 0, &MAGIC)
        && has(&block, 4, &1u32.to_le_bytes())
    {
        return Some(member(&block));
    }
    let at = (place.size_bytes & !0xFFFF).checked_sub(0x1_0000)?;
    if read_at(disk, place.start_bytes + at, &mut block).is_ok()
        && has(&block, 0, &MAGIC)
        && has(&block, 4, &0u32.to_le_bytes())
    {
        let array = format!(
            "{:08x}:{:08x}:{:08x}:{:08x}",
            u32_le(&block, 20),
            u32_le(&block, 52),
            u32_le(&block, 56),
            u32_le(&block, 60)
        );
        return Some(Signature { group: Some(array.clone()), ..place.signature(Kind::MdMember, Some(array), None) });
    }
    None
}

/// Intel's metadata lies in the last but one sector of the disk.
fn imsm_member(disk: &mut (impl Read + Seek), place: &Place) -> bool {
    let mut block = [0u8; 24];
    place.size_bytes.checked_sub(1024).is_some_and(|at| read_at(disk, at, &mut block).is_ok())
        && has(&block, 0, b"Intel Raid ISM Cfg Sig. ")
}

/// An LVM2 physical volume; the volume group's name and id stand as text in its metadata area.
fn lvm_member(disk: &mut (impl Read + Seek), place: &Place, start: &[u8]) -> Option<Signature> {
    let label = (0..4usize)
        .map(|sector| sector * 512)
        .find(|at| has(start, *at, b"LABELONE") && has(start, at + 24, b"LVM2 001"))?;
    let header = start.get(label + u32_le(start, label + 20) as usize..)?;
    let pv_uuid = text(header, 0, 32);
    // Two lists of (offset, size) follow the device size, each ended by zeros: data areas, then metadata areas.
    let mut at = 40usize;
    while u64_le(header, at)? != 0 {
        at += 16;
    }
    let area = u64_le(header, at + 16)?;
    let mut group = None;
    if area != 0 {
        let mut mda = [0u8; 512];
        if read_at(disk, place.start_bytes + area, &mut mda).is_ok() && has(&mda, 4, b" LVM2 x[5A%r0N*>") {
            let offset = u64_le(&mda, 40).unwrap_or(0);
            let mut metadata = [0u8; 512];
            if offset != 0 && read_at(disk, place.start_bytes + area + offset, &mut metadata).is_ok() {
                group = volume_group(&String::from_utf8_lossy(&metadata));
            }
        }
    }
    Some(Signature { group, ..place.signature(Kind::LvmMember, pv_uuid, None) })
}

/// `vg0 {\nid = "Xq…"` → `volume group vg0 (Xq…)`.
fn volume_group(metadata: &str) -> Option<String> {
    let (name, rest) = metadata.split_once(" {")?;
    let id = rest.split_once("id = \"")?.1.split_once('"')?.0;
    Some(format!("volume group {} ({id})", name.trim()))
}

fn read_at(disk: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> io::Result<()> {
    disk.seek(SeekFrom::Start(at))?;
    disk.read_exact(into)
}

fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    bytes.get(at..at + magic.len()) == Some(magic)
}

fn u32_le(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_le(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes)
}

fn uuid(bytes: &[u8], at: usize) -> Option<String> {
    let raw: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(uuid::Uuid::from_bytes(raw).hyphenated().to_string())
}

fn text(bytes: &[u8], at: usize, length: usize) -> Option<String> {
    let raw = bytes.get(at..at + length)?;
    let end = raw.iter().position(|byte| *byte == 0).unwrap_or(length);
    let text = String::from_utf8_lossy(&raw[..end]).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The volume serial number as blkid prints it: `7A1B-2C3D`.
fn serial(bytes: &[u8], at: usize) -> Option<String> {
    let number = u32_le(bytes, at);
    Some(format!("{:04X}-{:04X}", number >> 16, number & 0xFFFF))
}

fn fat_label(bytes: &[u8], at: usize) -> Option<String> {
    text(bytes, at, 11).filter(|label| label != "NO NAME")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::gpt::tests::{ESP, LINUX, image};
    use super::*;
    use std::io::Cursor;

    /// Writes the marks of an ext4 file system at a byte offset.
    pub(crate) fn put_ext4(disk: &mut [u8], at: usize, uuid: u128, label: &str) {
        disk[at + 1024 + 0x38..at + 1024 + 0x3A].copy_from_slice(&[0x53, 0xEF]);
        disk[at + 1024 + 0x68..at + 1024 + 0x78].copy_from_slice(uuid::Uuid::from_u128(uuid).as_bytes());
        disk[at + 1024 + 0x78..at + 1024 + 0x78 + label.len()].copy_from_slice(label.as_bytes());
    }

    /// Writes the marks of a FAT32 file system at a byte offset.
    pub(crate) fn put_vfat(disk: &mut [u8], at: usize, label: &str) {
        disk[at + 82..at + 90].copy_from_slice(b"FAT32   ");
        disk[at + 67..at + 71].copy_from_slice(&0x7A1B_2C3D_u32.to_le_bytes());
        disk[at + 71..at + 82].copy_from_slice(format!("{label:<11}").as_bytes());
        disk[at + 510..at + 512].copy_from_slice(&[0x55, 0xAA]);
    }

    fn find(disk: &[u8]) -> Vec<Signature> {
        read(&mut Cursor::new(disk), disk.len() as u64).unwrap()
    }

    #[test]
    fn a_disk_with_an_installed_system_reads_in_words() {
        let mut disk = image(8 << 20, &[(1, 6144, 16_350, LINUX), (15, 2048, 6143, ESP)]);
        put_ext4(&mut disk, 6144 * 512, 7, "root");
        put_vfat(&mut disk, 2048 * 512, "EFI");
        let words: Vec<String> = find(&disk).iter().map(Signature::words).collect();
        assert!(words[0].starts_with("GPT "), "{words:?}");
        assert_eq!(words[1], "partition 1: ext4 \"root\" 00000000-0000-0000-0000-000000000007");
        assert_eq!(words[2], "partition 15: ESP vfat \"EFI\" 7A1B-2C3D");
    }

    #[test]
    fn an_iso_with_a_cloud_init_label_is_seen_on_the_bare_device() {
        let mut disk = vec![0u8; 1 << 20];
        disk[0x8001..0x8006].copy_from_slice(b"CD001");
        disk[0x8028..0x8048].copy_from_slice(format!("{:<32}", "cidata").as_bytes());
        let found = find(&disk);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, found[0].label.as_deref()), (Kind::Iso9660, Some("cidata")));
    }

    #[test]
    fn members_of_one_md_array_carry_the_same_group() {
        let member = |at: usize| {
            let mut disk = vec![0u8; 4 << 20];
            disk[at..at + 4].copy_from_slice(&0xA92B_4EFC_u32.to_le_bytes());
            disk[at + 4..at + 8].copy_from_slice(&1u32.to_le_bytes());
            disk[at + 16..at + 32].copy_from_slice(uuid::Uuid::from_u128(5).as_bytes());
            disk[at + 32..at + 38].copy_from_slice(b"host:0");
            disk
        };
        let at_start = find(&member(4096));
        let at_end = find(&member(((4 << 20) / 512 - 16) * 512));
        assert_eq!(at_start[0].kind, Kind::MdMember);
        assert_eq!(at_start[0].group, at_end[0].group);
        assert_eq!(at_start[0].label.as_deref(), Some("host:0"));
    }

    #[test]
    fn a_physical_volume_names_its_volume_group() {
        let mut disk = vec![0u8; 4 << 20];
        disk[512..520].copy_from_slice(b"LABELONE");
        disk[532..536].copy_from_slice(&32u32.to_le_bytes());
        disk[536..544].copy_from_slice(b"LVM2 001");
        let header = 544;
        disk[header..header + 32].copy_from_slice(b"abcdefghijklmnopqrstuvwxyz012345");
        disk[header + 40..header + 48].copy_from_slice(&(1u64 << 20).to_le_bytes());
        disk[header + 72..header + 80].copy_from_slice(&4096u64.to_le_bytes());
        disk[4100..4116].copy_from_slice(b" LVM2 x[5A%r0N*>");
        disk[4136..4144].copy_from_slice(&512u64.to_le_bytes());
        disk[4608..4640].copy_from_slice(b"vg0 {\nid = \"Xq-1\"\nseqno = 1\n\0\0\0\0");
        let found = find(&disk);
        assert_eq!(found[0].kind, Kind::LvmMember);
        assert_eq!(found[0].group.as_deref(), Some("volume group vg0 (Xq-1)"));
    }

    #[test]
    fn an_empty_disk_has_no_signature() {
        assert_eq!(find(&vec![0u8; 1 << 20]), []);
    }
}
