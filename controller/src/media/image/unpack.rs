//! From the file that came to the raw bytes, and from raw bytes to the file that is kept.
//!
//! Blocking: called on the blocking pool. It knows raw, gzip, zstd and xz; qcow2 is [`super::qcow2`]. Holes stay holes, so
//! that a 100 GB image with 2 GB in it takes 2 GB of the work folder.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use helix_api::deploy::Compression;
use sha2::{Digest, Sha256};

use super::ImageError;
use super::progress::Meter;

/// Bytes moved at once: large enough that a system call a piece costs nothing beside hashing it.
const PIECE_BYTES: usize = 1 << 20;
/// Granularity of holes: the block size of common file systems.
const HOLE_BYTES: usize = 4096;
/// zstd archives made with `--long=31` need a window of 2 GiB; smaller ones take what they need.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;
/// Level of the files that Helix packs itself: on two cores about 300 MB/s; higher levels save a tenth and cost thrice.
const ZSTD_LEVEL: i32 = 3;
/// Images larger than this fit no root disk (the largest BOSS volume has 960 GB); a file that unpacks to more is a
/// mistake or made to fill the disk.
pub(crate) const MOST_RAW_BYTES: u64 = 1_000_000_000_000;

/// How a file is packed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Raw,
    Qcow2,
    Packed(Compression),
}

/// Digest and length of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    /// SHA-256, lower-case hex.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// Looks at the first bytes of a file.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn detect(path: &Path) -> Result<Packing, ImageError> {
    let mut head = [0u8; 6];
    let mut file = open(path)?;
    let mut length = 0;
    while length < head.len() {
        match file.read(&mut head[length..]).map_err(|error| ImageError::work("read", path, error))? {
            0 => break,
            more => length += more,
        }
    }
    let head = &head[..length];
    Ok(if head.starts_with(b"QFI\xfb") {
        Packing::Qcow2
    } else if head.starts_with(&[0x1F, 0x8B]) {
        Packing::Packed(Compression::Gzip)
    } else if head.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        Packing::Packed(Compression::Zstd)
    } else if head.starts_with(&[0xFD, b'7', b'z', b'X', b'Z', 0x00]) {
        Packing::Packed(Compression::Xz)
    } else {
        Packing::Raw
    })
}

/// Unpacks `packed` into the new file `raw`, and sums the raw bytes up.
///
/// # Errors
/// `image_truncated` when the archive ends early, `image_unreadable` when it is damaged, `image_too_large`, or the work
/// folder's own trouble.
pub(crate) fn unpack(compression: Compression, packed: &Path, raw: &Path, meter: &Meter) -> Result<Sum, ImageError> {
    let total = packed.metadata().map_err(|error| ImageError::work("read", packed, error))?.len();
    meter.begin("unpacking", Some(total));
    let source = Counting { inner: open(packed)?, meter };
    let damaged = |error| ImageError::Unpack { compression, source: error };
    let mut reader: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(source)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(source).map_err(damaged)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(damaged)?;
            Box::new(decoder)
        }
        Compression::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(source)),
    };
    let mut out = Sparse { file: create(raw)?, length: 0 };
    let mut hash = Sha256::new();
    let mut piece = vec![0u8; PIECE_BYTES];
    loop {
        meter.check()?;
        let length = read_piece(&mut reader, &mut piece).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ImageError::Truncated(format!("the {} archive ends in the middle", word(compression)))
            }
            _ => damaged(error),
        })?;
        if length == 0 {
            break;
        }
        hash.update(&piece[..length]);
        out.write(&piece[..length]).map_err(|error| ImageError::work("write", raw, error))?;
        if out.length > MOST_RAW_BYTES {
            return Err(ImageError::TooLarge { limit_bytes: MOST_RAW_BYTES });
        }
    }
    let bytes = out.finish().map_err(|error| ImageError::work("write", raw, error))?;
    Ok(Sum { sha256: hex::encode(hash.finalize()), bytes })
}

/// Sums up a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn sum(path: &Path, what: &'static str, meter: &Meter) -> Result<Sum, ImageError> {
    let mut file = open(path)?;
    let total = file.metadata().map_err(|error| ImageError::work("read", path, error))?.len();
    meter.begin(what, Some(total));
    let mut hash = Sha256::new();
    let mut piece = vec![0u8; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        meter.check()?;
        let length = read_piece(&mut file, &mut piece).map_err(|error| ImageError::work("read", path, error))?;
        if length == 0 {
            return Ok(Sum { sha256: hex::encode(hash.finalize()), bytes });
        }
        hash.update(&piece[..length]);
        bytes += length as u64;
        meter.moved(length as u64);
    }
}

/// Packs `raw` with zstd into the new file `packed`, and sums the packed bytes up.
///
/// # Errors
/// The work folder's trouble.
pub(crate) fn pack(raw: &Path, packed: &Path, meter: &Meter) -> Result<Sum, ImageError> {
    let total = raw.metadata().map_err(|error| ImageError::work("read", raw, error))?.len();
    meter.begin("packing", Some(total));
    let writing = |error| ImageError::work("write", packed, error);
    let mut source = open(raw)?;
    let witness = Witness { file: create(packed)?, hash: Sha256::new(), bytes: 0 };
    let mut encoder = zstd::stream::write::Encoder::new(witness, ZSTD_LEVEL).map_err(writing)?;
    // The ramdisk sees a damaged transfer at once, not only at the end.
    encoder.include_checksum(true).map_err(writing)?;
    encoder.set_pledged_src_size(Some(total)).map_err(writing)?;
    let mut piece = vec![0u8; PIECE_BYTES];
    loop {
        meter.check()?;
        let length = read_piece(&mut source, &mut piece).map_err(|error| ImageError::work("read", raw, error))?;
        if length == 0 {
            break;
        }
        encoder.write_all(&piece[..length]).map_err(writing)?;
        meter.moved(length as u64);
    }
    let witness = encoder.finish().map_err(writing)?;
    witness.file.sync_all().map_err(writing)?;
    Ok(Sum { sha256: hex::encode(witness.hash.finalize()), bytes: witness.bytes })
}

/// The word for a compression in sentences.
pub(crate) fn word(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "raw",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
        Compression::Xz => "xz",
    }
}

fn open(path: &Path) -> Result<File, ImageError> {
    File::open(path).map_err(|error| ImageError::work("open", path, error))
}

fn create(path: &Path) -> Result<File, ImageError> {
    File::create(path).map_err(|error| ImageError::work("create", path, error))
}

/// Fills the buffer as far as the source goes.
fn read_piece(source: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match source.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Counts what is read from the packed file: the honest measure of how far unpacking is.
struct Counting<'a> {
    inner: File,
    meter: &'a Meter,
}

impl Read for Counting<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        self.meter.moved(length as u64);
        Ok(length)
    }
}

/// Hashes and counts what is written.
struct Witness {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Witness {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a file and leaves holes where there are only zeros.
struct Sparse {
    file: File,
    length: u64,
}

impl Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(HOLE_BYTES) {
            if part.iter().any(|byte| *byte != 0) {
                self.file.seek(SeekFrom::Start(self.length))?;
                self.file.write_all(part)?;
            }
            self.length += part.len() as u64;
        }
        Ok(())
    }

    fn finish(self) -> io::Result<u64> {
        self.file.set_len(self.length)?;
        self.file.sync_all()?;
        Ok(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    /// 3 MiB with something at both ends and nothing in the middle.
    fn raw() -> Vec<u8> {
        let mut raw = vec![0u8; 3 << 20];
        raw[..5].copy_from_slice(b"begin");
        let end = raw.len() - 3;
        raw[end..].copy_from_slice(b"end");
        raw
    }

    fn packed(compression: Compression, raw: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => raw.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(raw).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(raw, 1).unwrap(),
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(raw).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    #[test]
    fn every_packing_is_known_by_its_first_bytes_and_unpacks_to_the_same_digest() {
        let folder = tempfile::tempdir().unwrap();
        let expected = hex::encode(Sha256::digest(raw()));
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
            let (from, to) = (folder.path().join("packed"), folder.path().join("raw"));
            fs::write(&from, packed(compression, &raw())).unwrap();
            assert_eq!(detect(&from).unwrap(), Packing::Packed(compression));
            let sum = unpack(compression, &from, &to, &Meter::new()).unwrap();
            assert_eq!(sum, Sum { sha256: expected.clone(), bytes: 3 << 20 });
            assert_eq!(fs::read(&to).unwrap(), raw());
            assert!(to.metadata().unwrap().blocks() * 512 < 1 << 20, "zeros take no room in the work folder");
        }
    }

    #[test]
    fn an_archive_cut_in_the_middle_is_called_truncated() {
        let folder = tempfile::tempdir().unwrap();
        // Bytes that do not compress, so that the cut falls into the middle of the data.
        let noise: Vec<u8> = (0..200_000u32).flat_map(|n| Sha256::digest(n.to_le_bytes())[..4].to_vec()).collect();
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
            let from = folder.path().join("cut");
            let whole = packed(compression, &noise);
            fs::write(&from, &whole[..whole.len() / 2]).unwrap();
            let error = unpack(compression, &from, &folder.path().join("raw"), &Meter::new()).unwrap_err();
            assert_eq!(error.code(), "image_truncated", "{compression:?}: {error}");
        }
    }

    #[test]
    fn a_damaged_archive_is_called_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
            let from = folder.path().join("damaged");
            let mut bytes = packed(compression, &raw());
            let middle = bytes.len() / 2;
            bytes[middle..middle + 8].fill(0xFF);
            fs::write(&from, bytes).unwrap();
            let error = unpack(compression, &from, &folder.path().join("raw"), &Meter::new()).unwrap_err();
            assert!(["image_unreadable", "image_truncated"].contains(&error.code()), "{compression:?}: {error}");
        }
    }

    #[test]
    fn what_helix_packs_unpacks_to_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, back) = (folder.path().join("raw"), folder.path().join("zst"), folder.path().join("back"));
        fs::write(&from, raw()).unwrap();
        let sum = pack(&from, &to, &Meter::new()).unwrap();
        assert_eq!(sum.sha256, hex::encode(Sha256::digest(fs::read(&to).unwrap())));
        unpack(Compression::Zstd, &to, &back, &Meter::new()).unwrap();
        assert_eq!(fs::read(&back).unwrap(), raw());
    }
}
