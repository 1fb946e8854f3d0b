//! Deployment onto the disks of this machine.
//!
//! Needs root and the ramdisk's kernel for block devices; on files it can do everything but mounting. Blocking work runs on the
//! runtime's blocking threads. The order of the steps is [`super::write`]'s.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use helix_api::deploy::{ImageSource, WriteOrder};

use super::failure::Failure;
use super::gpt::{Gpt, Partition};
use super::host::DeployHost;
use super::kernel;
use super::pipeline::Pipeline;
use super::progress::Progress;
use super::rootfs::{self, Mounted};
use super::rule::Seen;
use super::signature::{self, ESP_TYPE, Kind, Signature};
use super::target::Target;
use super::{bootentry, fetch, loader, seed, stream};
use crate::machine::block::{self, Disk};
use crate::machine::root::Root;

/// Partition devices appear within milliseconds of the kernel reading the table; a busy machine may need seconds.
const PARTITION_WAIT: Duration = Duration::from_secs(20);
const PARTITION_LOOK_AGAIN: Duration = Duration::from_millis(100);

/// This machine.
#[derive(Debug, Clone)]
pub struct LocalHost {
    root: Root,
    http: reqwest::Client,
    /// Where file systems are mounted for the moment.
    work: PathBuf,
}

impl LocalHost {
    /// The machine below `root` (`/` but in tests), fetching images with `http`, mounting below `work`.
    pub fn new(root: Root, http: reqwest::Client, work: impl Into<PathBuf>) -> Self {
        Self { root, http, work: work.into() }
    }

    fn target(seen: &Seen) -> Target {
        Target::new(&seen.disk.path, seen.disk.facts.size_bytes)
    }

    /// The partition's device node, once the kernel has made it.
    async fn partition(&self, disk: &Disk, number: u32) -> PathBuf {
        let path = partition_path(&disk.path, number);
        let mut waited = Duration::ZERO;
        while !path.exists() && waited < PARTITION_WAIT {
            tokio::time::sleep(PARTITION_LOOK_AGAIN).await;
            waited += PARTITION_LOOK_AGAIN;
        }
        path
    }

    /// Takes apart what is stacked on the target: md arrays, LVM volumes.
    fn release(&self, disk: &Disk) -> Result<(), Failure> {
        for holder in &disk.stacked {
            let result = if holder.starts_with("md") {
                std::fs::write(self.root.path(format!("sys/block/{holder}/md/array_state")), "clear")
            } else {
                remove_mapping(&self.root, holder)
            };
            result.map_err(|source| Failure::DiskBusy {
                disk: disk.line(),
                holders: disk.facts.holders.join(", "),
                source,
            })?;
        }
        Ok(())
    }

    fn table(seen: &Seen, image: &str) -> Result<Gpt, Failure> {
        let mut file = Self::target(seen).open()?;
        Gpt::read(&mut file).map_err(|source| Failure::ImageNoGpt { name: image.to_owned(), source })
    }
}

/// `/dev/sda` → `/dev/sda2`, `/dev/nvme0n1` → `/dev/nvme0n1p2`.
pub fn partition_path(disk: &Path, number: u32) -> PathBuf {
    let text = disk.to_string_lossy();
    let separator = if text.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    PathBuf::from(format!("{text}{separator}{number}"))
}

/// The ESP of an image.
fn esp_of(partitions: &[Partition], image: &str) -> Result<Partition, Failure> {
    partitions.iter().find(|partition| partition.type_guid == ESP_TYPE).cloned().ok_or_else(|| Failure::ImageNoEsp {
        name: image.to_owned(),
        partitions: partitions
            .iter()
            .map(|partition| format!("{} (type {})", partition.number, partition.type_guid))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// Removes a device-mapper device with the ramdisk's own tool; nothing in the ramdisk activates any, so this is rare.
fn remove_mapping(root: &Root, holder: &str) -> std::io::Result<()> {
    let name = root.text(format!("sys/block/{holder}/dm/name")).unwrap_or_else(|| holder.to_owned());
    let output = std::process::Command::new("dmsetup").args(["remove", "--retry", &name]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Runs blocking work; a panic in it is a failure like any other.
async fn blocking<T: Send + 'static>(
    part: &'static str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Failure::Internal { part }))
}

/// Reads what lies on each disk. A disk that cannot be read (an empty drive, a broken one) has no signatures, and its line says so.
pub fn look(disks: Vec<Disk>) -> Vec<Seen> {
    disks
        .into_iter()
        .filter(|disk| disk.facts.size_bytes > 0)
        .map(|disk| {
            let found =
                std::fs::File::open(&disk.path).and_then(|mut file| signature::read(&mut file, disk.facts.size_bytes));
            let signatures = found.unwrap_or_else(|error| {
                tracing::warn!(disk = disk.line(), %error, "cannot read what lies on the disk");
                Vec::new()
            });
            Seen { disk, signatures }
        })
        .collect()
}

impl DeployHost for LocalHost {
    async fn inspect(&self) -> Result<Vec<Seen>, Failure> {
        let root = self.root.clone();
        blocking("inspecting disks", move || Ok(look(block::read(&root)))).await
    }

    async fn image_is_there(&self, image: &ImageSource) -> Result<(), Failure> {
        fetch::is_there(&self.http, image).await
    }

    async fn wipe(&self, target: &Seen) -> Result<(), Failure> {
        let (host, target) = (self.clone(), target.clone());
        blocking("wiping", move || {
            host.release(&target.disk)?;
            Self::target(&target).wipe(&target.signatures, true)
        })
        .await
    }

    async fn wipe_others(&self, conflicting: &[Seen]) -> Result<(), Failure> {
        let (host, conflicting) = (self.clone(), conflicting.to_vec());
        blocking("wiping", move || {
            for seen in &conflicting {
                tracing::warn!(disk = seen.disk.line(), "clearing the signatures of a conflicting disk");
                host.release(&seen.disk)?;
                Self::target(seen).wipe(&seen.signatures, false)?;
            }
            Ok(())
        })
        .await
    }

    async fn write(&self, target: &Seen, image: &ImageSource, progress: &Arc<Progress>) -> Result<(), Failure> {
        let (download, fetching) = fetch::start(self.http.clone(), image.clone());
        // When this write is taken back, the download ends, and with it the blocking thread that feeds on it.
        let _stop = StopOnDrop(fetching.abort_handle());
        let (target, wanted) = (Self::target(target), image.clone());
        let inner = Arc::clone(progress);
        let unpacking = tokio::task::spawn_blocking(move || {
            let mut disk = Pipeline::new(target.writer()?).map_err(|source| Failure::DiskIo {
                what: "start writing to",
                path: target.path().to_owned(),
                source,
            })?;
            stream::unpack(&wanted, download, &mut disk, target.path(), &inner)
        });
        let unpacked = unpacking.await.unwrap_or(Err(Failure::Internal { part: "writing" }));
        // When the download gave up, its reason is the true one: the unpacker only saw an early end.
        let fetched = fetching.await.unwrap_or(Err(Failure::Internal { part: "the download" }));
        match (unpacked, fetched) {
            (Err(Failure::ImageTruncated { .. }), Err(reason)) => Err(reason),
            (unpacked, _) => unpacked,
        }
    }

    async fn read_back(&self, target: &Seen, image: &ImageSource, progress: &Arc<Progress>) -> Result<String, Failure> {
        let (target, length) = (Self::target(target), image.raw_size_bytes);
        let inner = Arc::clone(progress);
        let reading = tokio::task::spawn_blocking(move || target.read_back(length, &inner));
        reading.await.unwrap_or(Err(Failure::Internal { part: "reading back" }))
    }

    async fn signatures(&self, target: &Seen) -> Result<Vec<Signature>, Failure> {
        let target = Self::target(target);
        blocking("reading the disk", move || {
            let mut file = target.open()?;
            signature::read(&mut file, target.size_bytes()).map_err(|source| Failure::DiskIo {
                what: "read",
                path: target.path().to_owned(),
                source,
            })
        })
        .await
    }

    async fn grow(&self, target: &Seen, image: &ImageSource) -> Result<Option<String>, Failure> {
        let (seen, name) = (target.clone(), image.name.clone());
        let grown = blocking("growing the partition", move || {
            let disk = Self::target(&seen);
            let mut table = Self::table(&seen, &name)?;
            esp_of(&table.partitions(), &name)?;
            let grown = table
                .grow(&mut disk.open()?, disk.size_bytes())
                .map_err(|source| Failure::PartitionGrow { disk: seen.disk.line(), source })?;
            disk.settle()?;
            Ok(grown)
        })
        .await?;
        if grown.gained_bytes == 0 {
            return Ok(None);
        }
        let signatures = self.signatures(target).await?;
        let Some(found) = signatures.into_iter().find(|found| {
            found.partition == Some(grown.partition.number)
                && matches!(found.kind, Kind::Ext4 | Kind::Xfs | Kind::Btrfs)
        }) else {
            return Ok(Some(format!(
                "partition {} was grown; what lies in it is not grown here",
                grown.partition.number
            )));
        };
        let device = self.partition(&target.disk, grown.partition.number).await;
        let at = self.work.join("grow");
        let size_bytes = grown.partition.size_bytes();
        let result = tokio::task::spawn_blocking(move || grow_file_system(&device, &at, found.kind, size_bytes)).await;
        // cloud-init grows the root at the first boot as well, so this is worth a line and no failure.
        Ok(match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!(
                "the file system of partition {} was not grown ({error}); cloud-init does it at the first start",
                grown.partition.number
            )),
            Err(_) => return Err(Failure::Internal { part: "growing the file system" }),
        })
    }

    async fn seed(&self, target: &Seen, order: &WriteOrder) -> Result<(), Failure> {
        let signatures = self.signatures(target).await?;
        let partitions = Self::table(target, &order.image.name)?.partitions();
        for partition in &partitions {
            self.partition(&target.disk, partition.number).await;
        }
        let (disk, at) = (target.disk.path.clone(), self.work.join("root"));
        let (name, files) = (order.image.name.clone(), order.seed.clone());
        blocking("seeding", move || {
            let mounted = rootfs::mount(&name, &signatures, &partitions, &at, |number| partition_path(&disk, number))?;
            seed::plant(mounted.path(), &files)?;
            mounted.finish().map_err(|source| Failure::Seed { what: "unmount", path: at, source })
        })
        .await
    }

    async fn boot_entry(&self, target: &Seen, order: &WriteOrder) -> Result<Option<String>, Failure> {
        let name = order.image.name.clone();
        let esp = esp_of(&Self::table(target, &name)?.partitions(), &name)?;
        let device = self.partition(&target.disk, esp.number).await;
        let (at, efivars) = (self.work.join("esp"), self.root.path("sys/firmware/efi/efivars"));
        let (label, disk) = (order.boot_entry.clone(), Self::target(target));
        blocking("writing the boot entry", move || {
            let mounted = Mounted::new(&device, &at, Kind::Vfat, None).map_err(|source| Failure::BootEntry { what: "mount the EFI system partition for", source })?;
            let made = loader::ensure_fallback(mounted.path(), &name)?;
            mounted.finish().map_err(|source| Failure::BootEntry { what: "unmount the EFI system partition for", source })?;
            let added = bootentry::replace(&efivars, &label, &esp)?;
            disk.settle()?;
            let mut lines = Vec::new();
            if let Some(from) = made {
                let from = from.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
                lines.push(format!("\\EFI\\BOOT\\BOOTX64.EFI was absent and made from {from}"));
            }
            match added {
                Some(added) => lines.push(format!("boot entry {} \"{label}\" is first{}", added.name, if added.removed.is_empty() { String::new() } else { format!(", removed {}", added.removed.join(", ")) })),
                None => lines.push("the firmware's variables cannot be reached, so there is no boot entry; the fallback path starts the disk".to_owned()),
            }
            Ok(Some(lines.join("; ")))
        })
        .await
    }
}

/// Ends a task with its owner.
struct StopOnDrop(tokio::task::AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn grow_file_system(device: &Path, at: &Path, kind: Kind, size_bytes: u64) -> std::io::Result<()> {
    let mounted = Mounted::new(device, at, kind, None)?;
    {
        let folder = std::fs::File::open(mounted.path())?;
        match kind {
            Kind::Ext4 => {
                let block_bytes = nix::sys::statvfs::fstatvfs(&folder)?.fragment_size();
                kernel::grow_ext4(&folder, size_bytes / block_bytes.max(1024))?;
            }
            Kind::Xfs => kernel::grow_xfs(&folder, size_bytes)?,
            Kind::Btrfs => kernel::grow_btrfs(&folder)?,
            _ => {}
        }
        folder.sync_all()?;
    }
    mounted.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_nodes_follow_the_kernels_naming() {
        assert_eq!(partition_path(Path::new("/dev/sda"), 2), Path::new("/dev/sda2"));
        assert_eq!(partition_path(Path::new("/dev/nvme0n1"), 15), Path::new("/dev/nvme0n1p15"));
    }
}
