//! From the image file to the bytes on disk: hashing the file as it comes, unpacking, counting.
//!
//! Blocking; it works on any reader and any writer. The hash is over the file *as stored*. The whole file is read even after the
//! last raw byte, so that the hash covers all of it. Reading the disk back is [`super::readback`].

use std::io::{self, Read, Write};

use helix_api::deploy::{Compression, ImageSource};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::progress::Progress;

/// Bytes moved at once: large enough that a system call and a progress update per piece cost nothing beside hashing it.
const PIECE_BYTES: usize = 1 << 20;

/// zstd archives made with `--long=31` need a window of 2 GiB; smaller ones take what they need.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// A reader that counts and hashes what passes.
struct Witness<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Witness<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        self.hash.update(&into[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}

impl<R: Read> Witness<R> {
    /// Reads what is left, so that hash and count cover the whole file.
    fn drain(&mut self) -> io::Result<()> {
        let mut piece = vec![0u8; PIECE_BYTES];
        while self.read(&mut piece)? > 0 {}
        Ok(())
    }
}

/// Why a piece could not be moved: the file's fault or the disk's.
enum Stopped {
    Unpacking(io::Error),
    Disk(io::Error),
    TooLong,
}

/// Unpacks `source` into `disk`, checking the file's length, its checksum and the number of raw bytes.
///
/// # Errors
/// `ImageTruncated`, `ImageChecksumMismatch`, `ImageDecompression`, `ImageTooLong`, or `DiskIo` when the disk does not take it.
pub fn unpack(
    image: &ImageSource,
    source: impl Read,
    disk: &mut impl Write,
    disk_path: &std::path::Path,
    progress: &Progress,
) -> Result<(), Failure> {
    let mut witness = Witness { inner: source, hash: Sha256::new(), bytes: 0 };
    let moved = {
        let reader: &mut dyn Read = &mut witness;
        decoder(image.compression, reader)
            .map_err(Stopped::Unpacking)
            .and_then(|mut raw| copy(image, &mut raw, disk, progress))
    };
    let disk_failed = |source| Failure::DiskIo { what: "write", path: disk_path.to_owned(), source };
    let moved = match moved {
        Err(Stopped::Disk(source)) => return Err(disk_failed(source)),
        other => other,
    };
    // Whatever went wrong with unpacking, the file itself may explain it: it came in part, or it is another file.
    witness.drain().map_err(|source| Failure::ImageDecompression {
        name: image.name.clone(),
        format: "a stream",
        source,
    })?;
    if witness.bytes < image.size_bytes {
        return Err(Failure::ImageTruncated {
            name: image.name.clone(),
            received_bytes: witness.bytes,
            expected_bytes: image.size_bytes,
            of_what: "of the file came",
        });
    }
    let actual = hex::encode(witness.hash.finalize());
    if !actual.eq_ignore_ascii_case(&image.sha256) {
        return Err(Failure::ImageChecksumMismatch {
            name: image.name.clone(),
            expected: image.sha256.clone(),
            actual,
        });
    }
    match moved {
        Ok(raw_bytes) if raw_bytes < image.raw_size_bytes => Err(Failure::ImageTruncated {
            name: image.name.clone(),
            received_bytes: raw_bytes,
            expected_bytes: image.raw_size_bytes,
            of_what: "unpacked",
        }),
        Ok(_) => disk.flush().map_err(disk_failed),
        Err(Stopped::TooLong) => {
            Err(Failure::ImageTooLong { name: image.name.clone(), expected_bytes: image.raw_size_bytes })
        }
        Err(Stopped::Unpacking(source) | Stopped::Disk(source)) => Err(Failure::ImageDecompression {
            name: image.name.clone(),
            format: format_word(image.compression),
            source,
        }),
    }
}

fn copy(image: &ImageSource, raw: &mut dyn Read, disk: &mut impl Write, progress: &Progress) -> Result<u64, Stopped> {
    let mut piece = vec![0u8; PIECE_BYTES];
    let mut done = 0u64;
    loop {
        let length = match raw.read(&mut piece) {
            Ok(0) => return Ok(done),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Stopped::Unpacking(error)),
        };
        if done + length as u64 > image.raw_size_bytes {
            return Err(Stopped::TooLong);
        }
        disk.write_all(&piece[..length]).map_err(Stopped::Disk)?;
        done += length as u64;
        progress.moved(done);
    }
}

fn decoder<'a>(compression: Compression, source: &'a mut dyn Read) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(source)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        Compression::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(source)),
    })
}

fn format_word(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "a raw image",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
        Compression::Xz => "xz",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An image description that fits a packed file and its raw bytes.
    pub(crate) fn source(packed: &[u8], raw: &[u8], compression: Compression) -> ImageSource {
        ImageSource {
            name: "debian-12".into(),
            url: String::new(),
            compression,
            sha256: hex::encode(Sha256::digest(packed)),
            size_bytes: packed.len() as u64,
            raw_sha256: hex::encode(Sha256::digest(raw)),
            raw_size_bytes: raw.len() as u64,
            identifiers: Vec::new(),
        }
    }

    fn raw() -> Vec<u8> {
        (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    pub(crate) fn gzip(raw: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(raw).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(raw: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(raw).unwrap();
        encoder.finish().unwrap()
    }

    fn run(image: &ImageSource, file: &[u8]) -> (Result<(), Failure>, Vec<u8>) {
        let mut disk = Vec::new();
        let result = unpack(image, file, &mut disk, std::path::Path::new("/dev/sda"), &Progress::default());
        (result, disk)
    }

    #[test]
    fn every_format_gives_the_same_bytes() {
        let raw = raw();
        for (compression, packed) in [
            (Compression::None, raw.clone()),
            (Compression::Gzip, gzip(&raw)),
            (Compression::Zstd, zstd::encode_all(raw.as_slice(), 1).unwrap()),
            (Compression::Xz, xz(&raw)),
        ] {
            let (result, disk) = run(&source(&packed, &raw, compression), &packed);
            result.unwrap();
            assert!(disk == raw, "{compression:?}");
        }
    }

    #[test]
    fn a_truncated_file_is_called_truncated_in_every_format() {
        let raw = raw();
        for (compression, packed) in [
            (Compression::None, raw.clone()),
            (Compression::Gzip, gzip(&raw)),
            (Compression::Zstd, zstd::encode_all(raw.as_slice(), 1).unwrap()),
            (Compression::Xz, xz(&raw)),
        ] {
            let image = source(&packed, &raw, compression);
            let failure = run(&image, &packed[..packed.len() / 2]).0.unwrap_err();
            assert_eq!(failure.code(), "image_truncated", "{compression:?}: {failure}");
        }
    }

    #[test]
    fn a_damaged_file_is_a_wrong_checksum_even_when_it_does_not_unpack() {
        let raw = raw();
        let packed = gzip(&raw);
        let image = source(&packed, &raw, Compression::Gzip);
        let mut damaged = packed;
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        let failure = run(&image, &damaged).0.unwrap_err();
        assert_eq!(failure.code(), "image_checksum_mismatch");
        assert!(failure.to_string().contains(&image.sha256), "it names the checksum expected: {failure}");
    }

    #[test]
    fn a_file_of_another_format_than_said_cannot_be_unpacked() {
        let raw = raw();
        let packed = gzip(&raw);
        let failure = run(&source(&packed, &raw, Compression::Zstd), &packed).0.unwrap_err();
        assert_eq!(failure.code(), "image_decompression_failed");
    }

    #[test]
    fn raw_bytes_beyond_or_below_the_size_imported_are_refused() {
        let raw = raw();
        let packed = gzip(&raw);
        let mut image = source(&packed, &raw, Compression::Gzip);
        image.raw_size_bytes -= 1;
        assert_eq!(run(&image, &packed).0.unwrap_err().code(), "image_size_mismatch");
        image.raw_size_bytes += 2;
        assert_eq!(run(&image, &packed).0.unwrap_err().code(), "image_truncated");
    }
}
