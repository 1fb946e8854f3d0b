//! The local host on real block devices: a loop device as the disk, file systems that are mounted and grown.
//!
//! Partitions are loop devices of their own with an offset, for not every kernel that runs tests reads partition tables. Needs root,
//! loop devices and the tools that make file systems; without them it says aloud that it was skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use helix_agent::deploy::failure::Failure;
use helix_agent::deploy::host::DeployHost;
use helix_agent::deploy::local::{self, LocalHost};
use helix_agent::deploy::progress::Progress;
use helix_agent::deploy::rule::Seen;
use helix_agent::deploy::session::{self, Claimant, Pace};
use helix_agent::deploy::signature::{Kind, Signature};
use helix_agent::machine::block::Disk;
use helix_agent::machine::root::Root;
use helix_api::deploy::{Act, Compression, DiskRule, ImageSource, Phase, SeedFile, WriteOrder};
use helix_api::machine::{DiskFacts, MachineFacts};
use sha2::{Digest, Sha256};

use crate::controller::TestController;

const TARGET_BYTES: u64 = 10 << 30;

/// Where the image's partitions lie, sectors: (first, count).
const ESP: (u64, u64) = (2048, 40 << 11);
const ROOT: (u64, u64) = (2048 + (40 << 11), 80 << 11);

/// Runs a program; its standard output.
fn tool(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A loop device; detached on drop.
struct Loop(String);

impl Loop {
    /// A part of a file, from a sector on; `sectors` 0 means up to its end.
    fn attach(file: &Path, from: u64, sectors: u64) -> Result<Self, String> {
        let (offset, limit) = ((from * 512).to_string(), (sectors * 512).to_string());
        tool("losetup", &["--find", "--show", "--offset", &offset, "--sizelimit", &limit, &file.to_string_lossy()])
            .map(Self)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Err(error) = tool("losetup", &["--detach", &self.0]) {
            eprintln!("{error}");
        }
    }
}

/// Whether this process has CAP_SYS_RESOURCE (bit 24), which containers often lack.
fn has_sys_resource() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 24) != 0
}

/// An image as a distribution ships it: an ESP, and last on the disk an ext4 root with an os-release.
fn image(folder: &Path) -> Result<Vec<u8>, String> {
    let file = folder.join("image.raw");
    std::fs::File::create(&file).unwrap().set_len(128 << 20).unwrap();
    let place = |number: u32, (first, count): (u64, u64)| format!("--new={number}:{first}:{}", first + count - 1);
    let (new_esp, new_root) = (place(15, ESP), place(1, ROOT));
    tool("sgdisk", &[&new_esp, "--typecode=15:ef00", &new_root, "--typecode=1:8300", &file.to_string_lossy()])?;
    let (esp_device, root_device) = (Loop::attach(&file, ESP.0, ESP.1)?, Loop::attach(&file, ROOT.0, ROOT.1)?);
    let (esp, root) = (PathBuf::from(&esp_device.0), PathBuf::from(&root_device.0));
    tool("mkfs.vfat", &["-F", "32", &esp.to_string_lossy()])?;
    tool("mkfs.ext4", &["-q", "-L", "cloudroot", &root.to_string_lossy()])?;
    let at = folder.join("mnt");
    std::fs::create_dir_all(&at).unwrap();
    let mounted = |device: &Path, files: &[(&str, &str)]| -> Result<(), String> {
        tool("mount", &[&device.to_string_lossy(), &at.to_string_lossy()])?;
        for (path, text) in files {
            let path = at.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        tool("umount", &[&at.to_string_lossy()]).map(drop)
    };
    mounted(
        &root,
        &[("etc/os-release", "ID=debian\n"), ("etc/machine-id", "0123\n"), ("etc/ssh/ssh_host_rsa_key", "x")],
    )?;
    drop((esp_device, root_device));
    Ok(std::fs::read(file).unwrap())
}

/// The local host, told of one loop device: sysfs lists those as no disks.
struct OneDisk {
    local: LocalHost,
    device: PathBuf,
}

impl DeployHost for OneDisk {
    async fn inspect(&self) -> Result<Vec<Seen>, Failure> {
        let facts = DiskFacts {
            name: "loop".into(),
            serial: Some("L1".into()),
            size_bytes: TARGET_BYTES,
            ..DiskFacts::default()
        };
        Ok(local::look(vec![Disk { facts, path: self.device.clone(), sector_bytes: 512, ..Disk::default() }]))
    }

    async fn image_is_there(&self, image: &ImageSource) -> Result<(), Failure> {
        self.local.image_is_there(image).await
    }

    async fn wipe(&self, target: &Seen) -> Result<(), Failure> {
        self.local.wipe(target).await
    }

    async fn wipe_others(&self, conflicting: &[Seen]) -> Result<(), Failure> {
        self.local.wipe_others(conflicting).await
    }

    async fn write(&self, target: &Seen, image: &ImageSource, progress: &Arc<Progress>) -> Result<(), Failure> {
        self.local.write(target, image, progress).await
    }

    async fn read_back(&self, target: &Seen, image: &ImageSource, progress: &Arc<Progress>) -> Result<String, Failure> {
        self.local.read_back(target, image, progress).await
    }

    async fn signatures(&self, target: &Seen) -> Result<Vec<Signature>, Failure> {
        self.local.signatures(target).await
    }

    async fn grow(&self, target: &Seen, image: &ImageSource) -> Result<Option<String>, Failure> {
        self.local.grow(target, image).await
    }

    async fn seed(&self, target: &Seen, order: &WriteOrder) -> Result<(), Failure> {
        self.local.seed(target, order).await
    }

    /// Left to the virtual machine tests: not every kernel that runs tests mounts FAT.
    async fn boot_entry(&self, _target: &Seen, _order: &WriteOrder) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_block_device_the_root_grows_with_the_disk_and_is_seeded() {
    let folder = tempfile::tempdir().unwrap();
    let raw = match image(folder.path()) {
        Ok(raw) => raw,
        Err(why) => {
            eprintln!(
                "SKIPPED: no image can be made here (root, loop devices and sgdisk, mkfs.vfat, mkfs.ext4 are needed): {why}"
            );
            return;
        }
    };
    let file = folder.path().join("disk");
    std::fs::File::create(&file).unwrap().set_len(TARGET_BYTES).unwrap();
    let device = Loop::attach(&file, 0, 0).unwrap();
    let (esp, root) = (Loop::attach(&file, ESP.0, ESP.1).unwrap(), Loop::attach(&file, ROOT.0, 0).unwrap());
    // Partition nodes stand beside their disk's: here all three are links.
    let disk = folder.path().join("vda");
    let part = |number| local::partition_path(&disk, number);
    for (link, to) in [(disk.clone(), &device), (part(1), &root), (part(15), &esp)] {
        std::os::unix::fs::symlink(&to.0, link).unwrap();
    }

    let controller = TestController::start().await;
    let client = controller.client();
    let work = folder.path().join("work");
    let local = LocalHost::new(Root::at(folder.path().join("no-firmware")), client.http().clone(), &work);
    let host = Arc::new(OneDisk { local, device: disk });
    let claimant = Claimant {
        token: "deploy-token".into(),
        machine: MachineFacts::default(),
        boot_id: "boot-1".into(),
        clock: chrono::Utc::now(),
        simulated: false,
    };
    let claimed = session::claim(&client, &claimant, Pace::default()).await.unwrap();
    let session =
        tokio::spawn(async move { session::follow(host, client, &claimed.session, None, Pace::scaled(10.0)).await });
    let packed = zstd::encode_all(raw.as_slice(), 1).unwrap();
    controller.instruct(Act::Write(Box::new(WriteOrder {
        write_id: "w1".into(),
        image: ImageSource {
            name: "debian-12".into(),
            compression: Compression::Zstd,
            sha256: hex::encode(Sha256::digest(&packed)),
            size_bytes: packed.len() as u64,
            raw_sha256: hex::encode(Sha256::digest(&raw)),
            raw_size_bytes: raw.len() as u64,
            url: controller.serve("r/image.zst", packed, None),
            identifiers: vec!["cloudroot".into()],
        },
        disk: DiskRule::default(),
        wipe_conflicting: false,
        seed: vec![SeedFile {
            path: "/var/lib/cloud/seed/nocloud/meta-data".into(),
            text: "instance-id: wf-1\n".into(),
            mode: 0o600,
        }],
        boot_entry: "Helix debian-12".into(),
    })));
    let end = controller.end().await;
    assert_eq!(end.phase, Phase::Written, "{:?}", end.error);
    let may_resize = has_sys_resource();
    if may_resize {
        assert_eq!(end.message, None, "nothing was left undone");
    } else {
        eprintln!("SKIPPED in part: without CAP_SYS_RESOURCE the kernel grows no ext4 file system");
        assert!(end.message.unwrap().contains("was not grown"), "what was left undone is said");
    }
    controller.instruct(Act::PowerOff);
    session.await.unwrap().unwrap();

    tool("sgdisk", &["--verify", &device.0]).unwrap();
    tool("e2fsck", &["-fn", &root.0]).unwrap();
    let at = folder.path().join("check");
    std::fs::create_dir_all(&at).unwrap();
    tool("mount", &["-o", "ro", &root.0, &at.to_string_lossy()]).unwrap();
    let (free, seed, machine_id, key) = (
        nix::sys::statvfs::statvfs(&at).map(|stat| stat.blocks() * stat.fragment_size()).unwrap(),
        std::fs::read_to_string(at.join("var/lib/cloud/seed/nocloud/meta-data")),
        std::fs::read_to_string(at.join("etc/machine-id")),
        at.join("etc/ssh/ssh_host_rsa_key").exists(),
    );
    tool("umount", &[&at.to_string_lossy()]).unwrap();
    assert!(!may_resize || free > TARGET_BYTES * 9 / 10, "the file system fills the disk: {free}");
    assert_eq!(seed.unwrap(), "instance-id: wf-1\n");
    assert_eq!(machine_id.unwrap(), "");
    assert!(!key, "host keys are gone");
    let found =
        helix_agent::deploy::signature::read(&mut std::fs::File::open(&device.0).unwrap(), TARGET_BYTES).unwrap();
    assert!(
        found.iter().any(|found| found.kind == Kind::Ext4 && found.label.as_deref() == Some("cloudroot")),
        "{found:?}"
    );
}
