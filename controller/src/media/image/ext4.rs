//! A read-only look into an ext2/3/4 file system inside an image file: does a path exist, and what is in a small file.
//!
//! It mounts nothing and needs no rights or tools. Layout: the kernel's `Documentation/filesystems/ext4`. Directories are
//! walked entry by entry (an indexed directory reads the same way). What it does not understand (inline data, block
//! groups gathered by meta_bg, encryption) it says, so that the caller can say "could not be checked".

use std::io::{self, Read, Seek, SeekFrom};

const ROOT_INODE: u32 = 2;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_EXTENTS: u32 = 0x40;
const INCOMPAT_64BIT: u32 = 0x80;
const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_INLINE_DATA: u32 = 0x1000_0000;
const FLAG_ENCRYPT: u32 = 0x800;
const TYPE_DIRECTORY: u16 = 0x4000;
const TYPE_LINK: u16 = 0xA000;
const TYPE_FILE: u16 = 0x8000;
/// Directories on the way to what is looked for (`/`, `/usr`, `/usr/bin`, `/etc/cloud`) stay far below this.
const MOST_DIRECTORY_BYTES: u64 = 16 << 20;
/// Symbolic links followed before it is a loop; the kernel stops at 40.
const MOST_LINKS: u32 = 16;
/// Extent trees have at most five levels by the format.
const MOST_DEPTH: u16 = 5;
/// Pieces of one file; the files looked at have one or two. A tree that has more was made to keep the reader busy.
const MOST_RUNS: usize = 65_536;

/// Why the file system could not be looked into.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ext4Error {
    #[error("reading the root file system")]
    Read(#[source] io::Error),
    #[error("the root file system is damaged: {0}")]
    Damaged(&'static str),
    #[error("the root file system uses {0}, which is not read here")]
    Unknown(&'static str),
}

/// An open file system.
pub(crate) struct Ext4<'a, R> {
    image: &'a mut R,
    start: u64,
    block: u64,
    inode_bytes: u64,
    inodes_per_group: u32,
    descriptor_bytes: u64,
    first_block: u64,
    wide: bool,
    extents: bool,
}

struct Inode {
    mode: u16,
    flags: u32,
    size: u64,
    map: [u8; 60],
}

impl Inode {
    fn is(&self, kind: u16) -> bool {
        self.mode & 0xF000 == kind
    }
}

impl<'a, R: Read + Seek> Ext4<'a, R> {
    /// Opens the file system that begins at byte `start` of `image`.
    ///
    /// # Errors
    /// When it is no ext file system, damaged, or has features that are not read here.
    pub(crate) fn open(image: &'a mut R, start: u64) -> Result<Self, Ext4Error> {
        let mut superblock = [0u8; 1024];
        read_at(image, start + 1024, &mut superblock)?;
        if superblock[0x38..0x3A] != [0x53, 0xEF] {
            return Err(Ext4Error::Damaged("no superblock"));
        }
        let incompat = u32_at(&superblock, 0x60);
        if incompat & INCOMPAT_META_BG != 0 {
            return Err(Ext4Error::Unknown("meta_bg"));
        }
        let shift = u32_at(&superblock, 0x18);
        let revision = u32_at(&superblock, 0x4C);
        let inode_bytes = if revision == 0 { 128 } else { u64::from(u16_at(&superblock, 0x58)) };
        let inodes_per_group = u32_at(&superblock, 0x28);
        if shift > 6 || inodes_per_group == 0 || !(128..=65_536).contains(&inode_bytes) {
            return Err(Ext4Error::Damaged("its superblock makes no sense"));
        }
        let wide = incompat & INCOMPAT_64BIT != 0;
        let descriptor_bytes = if wide { u64::from(u16_at(&superblock, 0xFE)).max(32) } else { 32 };
        Ok(Self {
            image,
            start,
            block: 1024 << shift,
            inode_bytes,
            inodes_per_group,
            descriptor_bytes,
            first_block: u64::from(u32_at(&superblock, 0x14)),
            wide: wide && descriptor_bytes >= 64,
            extents: incompat & INCOMPAT_EXTENTS != 0,
        })
    }

    /// Whether something lies at the absolute `path`; symbolic links are followed inside the file system.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(crate) fn exists(&mut self, path: &str) -> Result<bool, Ext4Error> {
        Ok(self.find(path)?.is_some())
    }

    /// The content of a small file as text, at most `limit` bytes of it; `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read_text(&mut self, path: &str, limit: u64) -> Result<Option<String>, Ext4Error> {
        let Some(inode) = self.find(path)?.filter(|inode| inode.is(TYPE_FILE)) else { return Ok(None) };
        let bytes = self.content(&inode, limit)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn find(&mut self, path: &str) -> Result<Option<Inode>, Ext4Error> {
        // The parts still to walk, last first; the directories passed, for "..".
        let mut ahead: Vec<String> = parts(path).rev().collect();
        let mut behind = vec![ROOT_INODE];
        let mut links = 0;
        let mut at = self.inode(ROOT_INODE)?;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                if behind.len() > 1 {
                    behind.pop();
                }
                at = self.inode(behind.last().copied().unwrap_or(ROOT_INODE))?;
                continue;
            }
            if !at.is(TYPE_DIRECTORY) {
                return Ok(None);
            }
            let Some(number) = self.entry(&at, part.as_bytes())? else { return Ok(None) };
            let next = self.inode(number)?;
            if next.is(TYPE_LINK) {
                links += 1;
                if links > MOST_LINKS {
                    return Ok(None);
                }
                let target = self.link(&next)?;
                if target.starts_with('/') {
                    behind.truncate(1);
                }
                ahead.extend(parts(&target).rev());
                at = self.inode(behind.last().copied().unwrap_or(ROOT_INODE))?;
                continue;
            }
            behind.push(number);
            at = next;
        }
        Ok(Some(at))
    }

    fn inode(&mut self, number: u32) -> Result<Inode, Ext4Error> {
        let index = number.checked_sub(1).ok_or(Ext4Error::Damaged("an entry without an inode"))?;
        let group = u64::from(index / self.inodes_per_group);
        let mut descriptor = [0u8; 64];
        let length = if self.wide { 64 } else { 32 };
        let table_at = (self.first_block + 1) * self.block + group * self.descriptor_bytes;
        read_at(self.image, self.start + table_at, &mut descriptor[..length])?;
        let high = if self.wide { u64::from(u32_at(&descriptor, 0x28)) } else { 0 };
        let table = high << 32 | u64::from(u32_at(&descriptor, 8));
        let offset = u64::from(index % self.inodes_per_group) * self.inode_bytes;
        let mut raw = [0u8; 128];
        read_at(self.image, self.offset(table)? + offset, &mut raw)?;
        let mut map = [0u8; 60];
        map.copy_from_slice(&raw[0x28..0x28 + 60]);
        let mode = u16_at(&raw, 0);
        let high = if mode & 0xF000 == TYPE_FILE { u64::from(u32_at(&raw, 0x6C)) } else { 0 };
        Ok(Inode { mode, flags: u32_at(&raw, 0x20), size: high << 32 | u64::from(u32_at(&raw, 4)), map })
    }

    fn link(&mut self, inode: &Inode) -> Result<String, Ext4Error> {
        let bytes = if inode.size < 60 && inode.flags & FLAG_EXTENTS == 0 {
            inode.map[..inode.size as usize].to_vec()
        } else {
            self.content(inode, 4096)?
        };
        String::from_utf8(bytes).map_err(|_| Ext4Error::Damaged("a symbolic link that is no text"))
    }

    fn entry(&mut self, directory: &Inode, name: &[u8]) -> Result<Option<u32>, Ext4Error> {
        let bytes = self.content(directory, MOST_DIRECTORY_BYTES)?;
        for block in bytes.chunks(self.block as usize) {
            let mut at = 0;
            while at + 8 <= block.len() {
                let number = u32_at(block, at);
                let length = usize::from(u16_at(block, at + 4));
                let name_length = usize::from(block[at + 6]);
                if length < 8 {
                    // 0 and 65535 stand for a whole block of 64 KiB; anything else is damage. Either way the block ends.
                    break;
                }
                if number != 0 && block.get(at + 8..at + 8 + name_length) == Some(name) {
                    return Ok(Some(number));
                }
                at += length;
            }
        }
        Ok(None)
    }

    fn content(&mut self, inode: &Inode, limit: u64) -> Result<Vec<u8>, Ext4Error> {
        if inode.flags & FLAG_INLINE_DATA != 0 {
            return Err(Ext4Error::Unknown("inline data"));
        }
        if inode.flags & FLAG_ENCRYPT != 0 {
            return Err(Ext4Error::Unknown("encryption"));
        }
        let size = inode.size.min(limit);
        let mut bytes = vec![0u8; usize::try_from(size).map_err(|_| Ext4Error::Damaged("a file without end"))?];
        let blocks = size.div_ceil(self.block);
        let mut runs = Vec::new();
        if inode.flags & FLAG_EXTENTS != 0 {
            if !self.extents {
                return Err(Ext4Error::Damaged("extents without the feature"));
            }
            self.extent_runs(&inode.map, MOST_DEPTH, &mut runs)?;
        } else {
            self.mapped_runs(&inode.map, blocks, &mut runs)?;
        }
        for (logical, count, physical) in runs {
            for index in 0..count {
                let at = (logical + index) * self.block;
                if at >= size {
                    break;
                }
                let end = (at + self.block).min(size);
                let place = self.offset(physical + index)?;
                read_at(self.image, place, &mut bytes[at as usize..end as usize])?;
            }
        }
        Ok(bytes)
    }

    fn extent_runs(&mut self, node: &[u8], depth_left: u16, runs: &mut Vec<(u64, u64, u64)>) -> Result<(), Ext4Error> {
        if u16_at(node, 0) != 0xF30A {
            return Err(Ext4Error::Damaged("an extent node without its mark"));
        }
        let (count, depth) = (usize::from(u16_at(node, 2)), u16_at(node, 6));
        if depth > depth_left || 12 + count * 12 > node.len() || runs.len() > MOST_RUNS {
            return Err(Ext4Error::Damaged("an extent tree that makes no sense"));
        }
        for entry in node[12..12 + count * 12].chunks_exact(12) {
            let logical = u64::from(u32_at(entry, 0));
            if depth == 0 {
                let length = u16_at(entry, 4);
                let physical = u64::from(u16_at(entry, 6)) << 32 | u64::from(u32_at(entry, 8));
                // Longer than 32768 means allocated and not written: reads as zeros, which the buffer holds already.
                if length <= 32_768 {
                    runs.push((logical, u64::from(length), physical));
                }
            } else {
                let child = u64::from(u16_at(entry, 8)) << 32 | u64::from(u32_at(entry, 4));
                let mut block = vec![0u8; self.block as usize];
                let place = self.offset(child)?;
                read_at(self.image, place, &mut block)?;
                self.extent_runs(&block, depth - 1, runs)?;
            }
        }
        Ok(())
    }

    /// The older block map of ext2 and ext3: twelve direct blocks, one level and two levels of indirection.
    fn mapped_runs(&mut self, map: &[u8; 60], blocks: u64, runs: &mut Vec<(u64, u64, u64)>) -> Result<(), Ext4Error> {
        let per_block = self.block / 4;
        if blocks > 12 + per_block + per_block * per_block {
            return Err(Ext4Error::Unknown("a block map of three levels"));
        }
        let mut physical: Vec<u32> = (0..12).map(|index| u32_at(map, index * 4)).collect();
        if blocks > 12 {
            physical.extend(self.pointers(u32_at(map, 48))?);
        }
        if blocks > 12 + per_block {
            for middle in self.pointers(u32_at(map, 52))? {
                if physical.len() as u64 >= blocks {
                    break;
                }
                physical.extend(self.pointers(middle)?);
            }
        }
        let used = physical.into_iter().zip(0u64..blocks).filter(|(block, _)| *block != 0);
        runs.extend(used.map(|(block, logical)| (logical, 1, u64::from(block))));
        Ok(())
    }

    fn pointers(&mut self, block: u32) -> Result<Vec<u32>, Ext4Error> {
        let mut raw = vec![0u8; self.block as usize];
        if block != 0 {
            let place = self.offset(u64::from(block))?;
            read_at(self.image, place, &mut raw)?;
        }
        Ok(raw.chunks_exact(4).map(|word| u32_at(word, 0)).collect())
    }

    fn offset(&self, block: u64) -> Result<u64, Ext4Error> {
        block
            .checked_mul(self.block)
            .and_then(|bytes| bytes.checked_add(self.start))
            .ok_or(Ext4Error::Damaged("a block number beyond any disk"))
    }
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned)
}

fn read_at(image: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> Result<(), Ext4Error> {
    image.seek(SeekFrom::Start(at)).and_then(|_| image.read_exact(into)).map_err(Ext4Error::Read)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
