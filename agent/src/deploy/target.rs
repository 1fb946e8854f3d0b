//! The disk that is written: clearing it, writing past the cache, reading back from the medium.
//!
//! Blocking; works on a block device or, for tests and without root, on a plain file. Writes and reads use `O_DIRECT` where the
//! device takes it, so that progress means bytes on the disk and a read-back really asks the disk. It knows nothing of images.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::kernel;
use super::progress::Progress;
use super::signature::Signature;

/// `O_DIRECT` wants memory, offsets and lengths at multiples of the sector size; 4096 fits every disk.
const ALIGNMENT: usize = 4096;

/// Bytes in one request. NVMe and SAS controllers split at 128 KiB to 2 MiB, so larger requests gain nothing, and smaller ones leave
/// the queue empty between two of them.
const REQUEST_BYTES: usize = 4 << 20;

/// Cleared at both ends of the disk: partition tables (17 KiB), boot code, and superblocks that lie near the end (md, VROC: 128 KiB).
const WIPE_ENDS_BYTES: u64 = 4 << 20;

/// Cleared at both ends of each old partition: every signature that is known lies within.
const WIPE_PARTITION_BYTES: u64 = 1 << 20;

/// Memory at an address that `O_DIRECT` takes, without unsafe code: a larger vector and an offset into it.
struct Aligned {
    memory: Vec<u8>,
    offset: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let memory = vec![0u8; length + ALIGNMENT];
        let offset = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, offset }
    }

    fn bytes(&mut self, length: usize) -> &mut [u8] {
        &mut self.memory[self.offset..self.offset + length]
    }
}

/// A device path with its failures in words.
#[derive(Debug, Clone)]
pub struct Target {
    path: PathBuf,
    size_bytes: u64,
}

impl Target {
    /// A disk of known size.
    pub fn new(path: impl Into<PathBuf>, size_bytes: u64) -> Self {
        Self { path: path.into(), size_bytes }
    }

    /// The device node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the whole disk, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> Failure + '_ {
        move |source| Failure::DiskIo { what, path: self.path.clone(), source }
    }

    /// Opens the device through the cache, for small changes.
    ///
    /// # Errors
    /// `DiskIo`.
    pub fn open(&self) -> Result<File, Failure> {
        OpenOptions::new().read(true).write(true).open(&self.path).map_err(self.failed("open"))
    }

    /// Opens the device past the cache; on one that knows no `O_DIRECT`, through it.
    fn open_direct(&self, write: bool) -> Result<(File, bool), Failure> {
        let mut options = OpenOptions::new();
        options.read(true).write(write).custom_flags(libc::O_DIRECT);
        match options.open(&self.path) {
            Ok(file) => Ok((file, true)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let file = options.custom_flags(0).open(&self.path).map_err(self.failed("open"))?;
                Ok((file, false))
            }
            Err(error) => Err(self.failed("open")(error)),
        }
    }

    /// Clears partition tables and signatures at both ends of the disk and of its old partitions; with `discard`, also tells the
    /// drive that nothing on it is needed.
    ///
    /// # Errors
    /// `DiskIo`. That a drive knows no discard is no error.
    pub fn wipe(&self, old: &[Signature], discard: bool) -> Result<(), Failure> {
        let file = self.open()?;
        if discard && let Err(error) = kernel::discard(&file, 0, self.size_bytes) {
            tracing::info!(disk = %self.path.display(), %error, "the drive takes no discard");
        }
        let mut ranges = vec![(0, self.size_bytes, WIPE_ENDS_BYTES)];
        ranges.extend(
            old.iter()
                .filter(|found| found.partition.is_some())
                .map(|found| (found.start_bytes, found.size_bytes, WIPE_PARTITION_BYTES)),
        );
        let zeros = vec![0u8; usize::try_from(WIPE_ENDS_BYTES).unwrap_or(REQUEST_BYTES)];
        for (start, length, edge) in ranges {
            let end = start.saturating_add(length).min(self.size_bytes);
            let edge = edge.min(end.saturating_sub(start));
            let piece = &zeros[..usize::try_from(edge).unwrap_or(0)];
            file.write_all_at(piece, start).map_err(self.failed("wipe"))?;
            file.write_all_at(piece, end - edge).map_err(self.failed("wipe"))?;
        }
        file.sync_all().map_err(self.failed("wipe"))?;
        self.reread(&file);
        Ok(())
    }

    /// Has the kernel look at the partition table again; on a plain file there is nothing to look at.
    fn reread(&self, file: &File) {
        if let Err(error) = kernel::reread_partitions(file)
            && error.raw_os_error() != Some(libc::ENOTTY)
        {
            tracing::warn!(disk = %self.path.display(), %error, "the kernel did not read the partition table again");
        }
    }

    /// A writer from the first byte on.
    ///
    /// # Errors
    /// `DiskIo` when the device cannot be opened.
    pub fn writer(&self) -> Result<DirectWriter, Failure> {
        let (file, direct) = self.open_direct(true)?;
        Ok(DirectWriter { target: self.clone(), file, direct, buffer: Aligned::new(REQUEST_BYTES), filled: 0, at: 0 })
    }

    /// SHA-256 of the first `length` bytes as the medium gives them back.
    ///
    /// # Errors
    /// `DiskIo`, also when the disk ends early.
    pub fn read_back(&self, length: u64, progress: &Progress) -> Result<String, Failure> {
        let (file, direct) = self.open_direct(false)?;
        if !direct && let Err(error) = kernel::drop_cache(&file) {
            tracing::warn!(disk = %self.path.display(), %error, "the disk is read back through the page cache");
        }
        let mut buffer = Aligned::new(REQUEST_BYTES);
        let mut hash = Sha256::new();
        let mut at = 0u64;
        while at < length {
            let bytes = buffer.bytes(REQUEST_BYTES);
            let got = file.read_at(bytes, at).map_err(self.failed("read back"))?;
            if got == 0 {
                return Err(self.failed("read back")(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the disk ends after {at} of {length} bytes"),
                )));
            }
            let wanted = usize::try_from(length - at).unwrap_or(usize::MAX).min(got);
            hash.update(&bytes[..wanted]);
            at += wanted as u64;
            progress.moved(at);
        }
        Ok(hex::encode(hash.finalize()))
    }

    /// Drops what the kernel remembers of the disk and has it read the partition table.
    ///
    /// # Errors
    /// `DiskIo` when the device cannot be opened.
    pub fn settle(&self) -> Result<(), Failure> {
        let file = self.open()?;
        file.sync_all().map_err(self.failed("write"))?;
        self.reread(&file);
        Ok(())
    }
}

/// Collects bytes into large aligned requests. Only [`Write::flush`] completes the write; it may be called once, at the end.
pub struct DirectWriter {
    target: Target,
    file: File,
    direct: bool,
    buffer: Aligned,
    filled: usize,
    at: u64,
}

impl Write for DirectWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let length = data.len().min(REQUEST_BYTES - self.filled);
        let filled = self.filled;
        self.buffer.bytes(REQUEST_BYTES)[filled..filled + length].copy_from_slice(&data[..length]);
        self.filled += length;
        if self.filled == REQUEST_BYTES {
            self.file.write_all_at(self.buffer.bytes(REQUEST_BYTES), self.at)?;
            self.at += REQUEST_BYTES as u64;
            self.filled = 0;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        let filled = self.filled;
        let whole = filled / ALIGNMENT * ALIGNMENT;
        self.file.write_all_at(self.buffer.bytes(whole), self.at)?;
        if whole < filled {
            // The odd end goes through the cache: past it only whole sectors can be written.
            let file = OpenOptions::new().write(true).open(&self.target.path)?;
            file.write_all_at(&self.buffer.bytes(filled)[whole..], self.at + whole as u64)?;
            file.sync_all()?;
        }
        self.at += filled as u64;
        self.filled = 0;
        self.file.sync_all()?;
        tracing::info!(disk = %self.target.path.display(), bytes = self.at, direct = self.direct, "written");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::signature::{self, tests::put_ext4};
    use super::*;
    use crate::deploy::gpt::tests::{LINUX, image};

    fn file(bytes: &[u8]) -> (tempfile::NamedTempFile, Target) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let target = Target::new(file.path(), bytes.len() as u64);
        (file, target)
    }

    #[test]
    fn what_was_written_is_read_back_to_the_odd_last_byte() {
        let (_file, target) = file(&vec![0xAA; 12 << 20]);
        let data: Vec<u8> = (0..9_000_001u32).map(|n| (n % 251) as u8).collect();
        let mut writer = target.writer().unwrap();
        for piece in data.chunks(777_777) {
            writer.write_all(piece).unwrap();
        }
        writer.flush().unwrap();
        let read = target.read_back(data.len() as u64, &Progress::default()).unwrap();
        assert_eq!(read, hex::encode(Sha256::digest(&data)));
        let disk = std::fs::read(target.path()).unwrap();
        assert!(disk[data.len()..].iter().all(|byte| *byte == 0xAA), "nothing behind the image was touched");
    }

    #[test]
    fn a_wiped_disk_shows_no_signature() {
        let mut bytes = image(64 << 20, &[(1, 40_960, 100_000, LINUX)]);
        put_ext4(&mut bytes, 40_960 * 512, 1, "old");
        let (_file, target) = file(&bytes);
        let size = bytes.len() as u64;
        let before = signature::read(&mut target.open().unwrap(), size).unwrap();
        assert_eq!(before.len(), 2);
        target.wipe(&before, true).unwrap();
        assert_eq!(signature::read(&mut target.open().unwrap(), size).unwrap(), []);
        let disk = std::fs::read(target.path()).unwrap();
        assert!(
            disk[40_960 * 512..40_960 * 512 + 4096].iter().all(|byte| *byte == 0),
            "the old file system's start is gone"
        );
    }

    #[test]
    fn a_disk_that_ends_early_says_where() {
        let (_file, target) = file(&vec![0u8; 1 << 20]);
        let failure = target.read_back(2 << 20, &Progress::default()).unwrap_err().wire();
        assert_eq!(failure.code, "disk_io");
        assert!(failure.message.contains("ends after 1048576 of 2097152 bytes"), "{}", failure.message);
    }
}
