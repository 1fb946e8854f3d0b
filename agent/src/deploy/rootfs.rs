//! Which partition of a written image is the root file system: by what lies in it, not by its number.
//!
//! Candidates are tried in order: the partition that the table marks as an x86-64 root, then Linux file systems by size. The first
//! with an `os-release` wins. Mounts are undone when a [`Mounted`] is dropped. Mounting needs root and the kernel's file systems.

use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};

use super::failure::Failure;
use super::gpt::Partition;
use super::inside::Inside;
use super::signature::{Kind, Signature};

/// The Discoverable Partitions Specification's type for an x86-64 root.
const ROOT_TYPE: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

/// Names that distributions give to the btrfs subvolume with the root, besides the default one.
const SUBVOLUMES: [&str; 4] = ["root", "@", "@rootfs", "@/.snapshots/1/snapshot"];

/// A mounted file system; unmounted on drop.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
    also: Vec<PathBuf>,
}

impl Mounted {
    /// Mounts a device.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn new(device: &Path, at: &Path, kind: Kind, options: Option<&str>) -> io::Result<Self> {
        std::fs::create_dir_all(at)?;
        let flags = MsFlags::MS_NOATIME | MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
        nix::mount::mount(Some(device), at, Some(kind.word()), flags, options)?;
        Ok(Self { path: at.to_owned(), also: Vec::new() })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Mounts another device below this one.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn below(&mut self, device: &Path, at: PathBuf, kind: Kind, options: Option<&str>) -> io::Result<()> {
        let flags = MsFlags::MS_NOATIME | MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
        nix::mount::mount(Some(device), &at, Some(kind.word()), flags, options)?;
        self.also.push(at);
        Ok(())
    }

    /// Unmounts and says when that fails, because then something may not be on the disk.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn finish(mut self) -> io::Result<()> {
        self.unmount()
    }

    fn unmount(&mut self) -> io::Result<()> {
        for path in self.also.drain(..).rev() {
            nix::mount::umount2(&path, MntFlags::empty())?;
        }
        if !self.path.as_os_str().is_empty() {
            nix::mount::umount2(&self.path, MntFlags::empty())?;
            self.path = PathBuf::new();
        }
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            tracing::warn!(path = %self.path.display(), %error, "could not unmount");
        }
    }
}

/// Signatures that may be the root, best first.
pub fn candidates<'a>(signatures: &'a [Signature], partitions: &[Partition]) -> Vec<&'a Signature> {
    let is_root = |signature: &Signature| {
        partitions
            .iter()
            .any(|partition| Some(partition.number) == signature.partition && partition.type_guid == ROOT_TYPE)
    };
    let mut found: Vec<&Signature> =
        signatures.iter().filter(|signature| matches!(signature.kind, Kind::Ext4 | Kind::Xfs | Kind::Btrfs)).collect();
    found.sort_by_key(|signature| (!is_root(signature), std::cmp::Reverse(signature.size_bytes)));
    found
}

/// Why there is no root among the candidates, in words.
pub fn unsupported(signatures: &[Signature]) -> String {
    let stands_in = |kind: Kind| signatures.iter().find(|signature| signature.kind == kind);
    if let Some(lvm) = stands_in(Kind::LvmMember) {
        return format!("it lies in LVM ({})", lvm.words());
    }
    if let Some(luks) = stands_in(Kind::Luks) {
        return format!("it is encrypted ({})", luks.words());
    }
    let found: Vec<String> = signatures.iter().map(Signature::words).collect();
    if found.is_empty() {
        "no file system was found".into()
    } else {
        format!("none of its file systems holds an os-release; found: {}", found.join(", "))
    }
}

/// Mounts the root file system of a written image at `at`; `device_of` gives the device node of a partition number.
///
/// # Errors
/// `RootUnsupported`, with the reason.
pub fn mount(
    image: &str,
    signatures: &[Signature],
    partitions: &[Partition],
    at: &Path,
    device_of: impl Fn(u32) -> PathBuf,
) -> Result<Mounted, Failure> {
    let mut refused = Vec::new();
    for candidate in candidates(signatures, partitions) {
        let Some(number) = candidate.partition else { continue };
        let device = device_of(number);
        let mut options: Vec<Option<String>> = vec![None];
        if candidate.kind == Kind::Btrfs {
            options.extend(SUBVOLUMES.iter().map(|name| Some(format!("subvol={name}"))));
        }
        for option in options {
            match Mounted::new(&device, at, candidate.kind, option.as_deref()) {
                Ok(mounted) if has_system(mounted.path()) => {
                    let mut mounted = mounted;
                    mount_parts(&mut mounted, signatures, &device_of);
                    return Ok(mounted);
                }
                Ok(_) => {}
                Err(error) if option.is_none() => {
                    refused.push(format!("{} does not mount: {error}", candidate.words()))
                }
                Err(_) => {}
            }
        }
    }
    let why = if refused.is_empty() { unsupported(signatures) } else { refused.join("; ") };
    Err(Failure::RootUnsupported { name: image.to_owned(), why })
}

fn has_system(root: &Path) -> bool {
    let inside = Inside::new(root);
    inside.exists("/etc/os-release") || inside.exists("/usr/lib/os-release")
}

/// Folders that an image may keep on a file system of their own and that the seed is written into.
const PARTS: [&str; 3] = ["/etc", "/var", "/var/lib"];

/// One line of the image's fstab that matters here.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    folder: String,
    source: String,
    subvolume: Option<String>,
}

fn parts(fstab: &str) -> Vec<Part> {
    let mut found: Vec<Part> = fstab
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (source, folder, _kind, options) =
                (fields.next()?, fields.next()?, fields.next()?, fields.next().unwrap_or(""));
            let subvolume = options.split(',').find(|option| option.starts_with("subvol=")).map(str::to_owned);
            PARTS.contains(&folder).then(|| Part { folder: folder.to_owned(), source: source.to_owned(), subvolume })
        })
        .collect();
    found.sort_by_key(|part| part.folder.len());
    found
}

/// Mounts `/var` and the like where the image keeps them apart; without it the seed would be hidden below their mount point.
fn mount_parts(root: &mut Mounted, signatures: &[Signature], device_of: &impl Fn(u32) -> PathBuf) {
    let fstab = Inside::new(root.path()).text("/etc/fstab").unwrap_or_default();
    for part in parts(&fstab) {
        let Some(signature) = signatures.iter().find(|signature| names(signature, &part.source)) else { continue };
        let Some(number) = signature.partition else { continue };
        let at = root.path().join(part.folder.trim_start_matches('/'));
        if let Err(error) = root.below(&device_of(number), at, signature.kind, part.subvolume.as_deref()) {
            tracing::warn!(folder = part.folder, %error, "a part of the installed system did not mount");
        }
    }
}

/// Whether an fstab source means this file system.
fn names(signature: &Signature, source: &str) -> bool {
    let Some((tag, value)) = source.split_once('=') else { return false };
    let value = value.trim_matches('"');
    let own = match tag {
        "UUID" => &signature.uuid,
        "LABEL" => &signature.label,
        "PARTUUID" => &signature.partition_guid,
        _ => return false,
    };
    own.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(number: u32, kind: Kind, size_bytes: u64) -> Signature {
        Signature {
            partition: Some(number),
            kind,
            uuid: Some(format!("uuid-{number}")),
            label: None,
            partition_guid: None,
            group: None,
            esp: false,
            start_bytes: 0,
            size_bytes,
        }
    }

    fn partition(number: u32, type_guid: &str) -> Partition {
        Partition {
            number,
            type_guid: type_guid.into(),
            guid: String::new(),
            name: String::new(),
            first_lba: 0,
            last_lba: 0,
        }
    }

    #[test]
    fn a_partition_marked_as_root_comes_before_larger_ones() {
        let signatures = [
            signature(1, Kind::Ext4, 10),
            signature(2, Kind::Xfs, 30),
            signature(3, Kind::Ext4, 20),
            signature(4, Kind::Vfat, 99),
        ];
        let order = |partitions: &[Partition]| {
            candidates(&signatures, partitions).iter().filter_map(|found| found.partition).collect::<Vec<_>>()
        };
        assert_eq!(order(&[]), [2, 3, 1], "by size, FAT left out");
        assert_eq!(order(&[partition(1, ROOT_TYPE)]), [1, 2, 3]);
    }

    #[test]
    fn an_image_on_lvm_is_refused_in_words() {
        let mut lvm = signature(3, Kind::LvmMember, 30);
        lvm.group = Some("volume group rhel (x)".into());
        assert!(unsupported(&[lvm]).starts_with("it lies in LVM (partition 3"));
    }

    #[test]
    fn a_var_of_its_own_is_found_in_fstab() {
        let fstab = "# comment\nUUID=uuid-2 / btrfs subvol=root 0 0\nUUID=uuid-2 /var btrfs subvol=var,compress=zstd 0 0\n/dev/sr0 /media auto\n";
        let found = parts(fstab);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].folder.as_str(), found[0].subvolume.as_deref()), ("/var", Some("subvol=var")));
        assert!(names(&signature(2, Kind::Btrfs, 1), &found[0].source));
    }
}
