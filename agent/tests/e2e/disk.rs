//! A machine whose disks are files: real reading, writing and growing, with mounts replaced by folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use helix_agent::deploy::failure::Failure;
use helix_agent::deploy::gpt::Gpt;
use helix_agent::deploy::host::DeployHost;
use helix_agent::deploy::local::LocalHost;
use helix_agent::deploy::progress::Progress;
use helix_agent::deploy::rule::Seen;
use helix_agent::deploy::signature::Signature;
use helix_agent::deploy::{bootentry, loader, seed};
use helix_agent::machine::root::Root;
use helix_api::deploy::{ImageSource, WriteOrder};

/// Bytes of a GPT partition entry.
const ENTRY_BYTES: usize = 128;

/// A raw image as an installer would make it: ESP and root, the root last.
pub(crate) fn image(size_bytes: usize) -> Vec<u8> {
    let mut disk = vec![0u8; size_bytes];
    // Bytes that do not pack well, so that a file of this image has many packets.
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for word in disk[2048 * 512..].chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    let last_sector = (size_bytes / 512 - 1) as u64;
    let mut entries = vec![0u8; 128 * ENTRY_BYTES];
    let partitions = [
        (0usize, 6144u64, last_sector - 40, "0fc63daf-8483-4772-8e79-3d69d8477de4"),
        (14, 2048, 6143, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
    ];
    for (index, first, last, kind) in partitions {
        let entry = &mut entries[index * ENTRY_BYTES..(index + 1) * ENTRY_BYTES];
        entry[0..16].copy_from_slice(&kind.parse::<uuid::Uuid>().unwrap().to_bytes_le());
        entry[16..32].copy_from_slice(&uuid::Uuid::from_u128(index as u128 + 77).to_bytes_le());
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    }
    let header = |own: u64, other: u64, table: u64| {
        let mut header = [0u8; 512];
        header[0..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
        header[12..16].copy_from_slice(&92u32.to_le_bytes());
        header[24..32].copy_from_slice(&own.to_le_bytes());
        header[32..40].copy_from_slice(&other.to_le_bytes());
        header[40..48].copy_from_slice(&34u64.to_le_bytes());
        header[48..56].copy_from_slice(&(last_sector - 33).to_le_bytes());
        header[72..80].copy_from_slice(&table.to_le_bytes());
        header[80..84].copy_from_slice(&128u32.to_le_bytes());
        header[84..88].copy_from_slice(&128u32.to_le_bytes());
        header[88..92].copy_from_slice(&helix_agent::deploy::gpt::crc32(&entries).to_le_bytes());
        let crc = helix_agent::deploy::gpt::crc32(&header[..92]);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header
    };
    disk[446 + 4] = 0xEE;
    disk[510..512].copy_from_slice(&[0x55, 0xAA]);
    disk[512..1024].copy_from_slice(&header(1, last_sector, 2));
    disk[1024..1024 + entries.len()].copy_from_slice(&entries);
    let backup = (last_sector as usize - 32) * 512;
    disk[backup..backup + entries.len()].copy_from_slice(&entries);
    disk[last_sector as usize * 512..].copy_from_slice(&header(last_sector, 1, last_sector - 32));
    disk
}

/// The machine.
#[derive(Clone)]
pub(crate) struct FileMachine {
    folder: Arc<tempfile::TempDir>,
    local: LocalHost,
}

impl FileMachine {
    /// A machine with disks of these names and sizes, which exist as sparse files.
    pub(crate) fn new(disks: &[(&str, u64)], http: reqwest::Client) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, size_bytes) in disks {
            let block = folder.path().join("sys/block").join(name);
            let device = folder.path().join("sys/devices").join(name);
            std::fs::create_dir_all(&block).unwrap();
            std::fs::create_dir_all(&device).unwrap();
            std::os::unix::fs::symlink(&device, block.join("device")).unwrap();
            std::fs::write(block.join("size"), format!("{}\n", size_bytes / 512)).unwrap();
            std::fs::write(device.join("serial"), format!("S-{name}\n")).unwrap();
            std::fs::write(device.join("model"), "Test disk\n").unwrap();
            let dev = folder.path().join("dev");
            std::fs::create_dir_all(&dev).unwrap();
            std::fs::File::create(dev.join(name)).unwrap().set_len(*size_bytes).unwrap();
        }
        for path in
            ["esp/EFI/debian/grubx64.efi", "sys/firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c"]
        {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, [7, 0, 0, 0]).unwrap();
        }
        let local = LocalHost::new(Root::at(folder.path()), http, folder.path().join("work"));
        Self { folder: Arc::new(folder), local }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn disk(&self, name: &str) -> PathBuf {
        self.path("dev").join(name)
    }

    /// Overwrites bytes of a disk.
    pub(crate) fn put(&self, name: &str, at: u64, bytes: &[u8]) {
        use std::os::unix::fs::FileExt;
        std::fs::OpenOptions::new().write(true).open(self.disk(name)).unwrap().write_all_at(bytes, at).unwrap();
    }

    /// The first bytes of a disk.
    pub(crate) fn first_bytes(&self, name: &str, length: usize) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0u8; length];
        std::fs::File::open(self.disk(name)).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    pub(crate) fn table(&self, name: &str) -> Gpt {
        Gpt::read(&mut std::fs::File::open(self.disk(name)).unwrap()).unwrap()
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }
}

impl DeployHost for FileMachine {
    async fn inspect(&self) -> Result<Vec<Seen>, Failure> {
        self.local.inspect().await
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

    async fn seed(&self, _target: &Seen, order: &WriteOrder) -> Result<(), Failure> {
        seed::plant(&self.root().join("root"), &order.seed)
    }

    async fn boot_entry(&self, target: &Seen, order: &WriteOrder) -> Result<Option<String>, Failure> {
        let esp = self
            .table(&target.disk.facts.name)
            .partitions()
            .into_iter()
            .find(|partition| partition.number == 15)
            .unwrap();
        loader::ensure_fallback(&self.root().join("esp"), &order.image.name)?;
        bootentry::replace(&self.root().join("sys/firmware/efi/efivars"), &order.boot_entry, &esp)?;
        Ok(None)
    }
}
