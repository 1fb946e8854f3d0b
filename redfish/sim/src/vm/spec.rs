//! What a virtual machine is: its identity, its size and where its files lie.

use std::path::PathBuf;

use super::VmError;

/// Smallest memory that takes OVMF, the deploy ramdisk (25 MB packed, 55 MB unpacked) and a write buffer, MiB.
const MEMORY_MIN_MIB: u32 = 512;
/// The deploy ramdisk passes over disks of 8 GiB and less.
const DISK_MIN_BYTES: u64 = 9 << 30;
/// NVMe serial numbers have 20 characters.
const DISK_SERIAL_MAX: usize = 20;

/// A virtual machine as it is to be.
#[derive(Debug, Clone)]
pub struct VmSpec {
    /// SMBIOS serial number: what the ramdisk and the agent identify the node by.
    pub service_tag: String,
    /// SMBIOS UUID.
    pub uuid: uuid::Uuid,
    /// SMBIOS product, e.g. `PowerEdge R660`.
    pub model: String,
    /// Address of its only network card, `52:54:00:…`.
    pub mac: String,
    /// Folder of its own; made when absent.
    pub state_dir: PathBuf,
    /// Size of its only disk (sparse), bytes.
    pub disk_size_bytes: u64,
    /// Serial number of that disk, to be joined to what Redfish says; at most 20 characters.
    pub disk_serial: String,
    pub memory_mib: u32,
    pub cpus: u32,
    /// The user that QEMU runs as; `None` is our own.
    pub user: Option<String>,
    /// Use KVM. Only when somebody knows that it boots guests here: opening `/dev/kvm` proves nothing.
    pub kvm: bool,
}

/// What a start of the machine boots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BootDevice {
    /// Its disk. A medium in the drive is not booted.
    #[default]
    Disk,
    /// This ISO file in its drive, for this start only.
    Cd(PathBuf),
}

impl VmSpec {
    pub(super) fn check(&self) -> Result<(), VmError> {
        let wrong = |why: String| Err(VmError::Spec { why });
        if self.memory_mib < MEMORY_MIN_MIB {
            return wrong(format!("{} MiB of memory are too few, {MEMORY_MIN_MIB} are needed", self.memory_mib));
        }
        if self.disk_size_bytes < DISK_MIN_BYTES {
            return wrong(format!(
                "a disk of {} bytes is too small, {DISK_MIN_BYTES} are needed",
                self.disk_size_bytes
            ));
        }
        if self.disk_serial.is_empty() || self.disk_serial.len() > DISK_SERIAL_MAX {
            return wrong(format!(
                "the disk serial `{}` must have 1 to {DISK_SERIAL_MAX} characters",
                self.disk_serial
            ));
        }
        if self.cpus == 0 {
            return wrong("a machine without processors".to_owned());
        }
        let mac = self.mac.split(':').map(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok());
        if mac.clone().count() != 6 || !mac.clone().all(|good| good) {
            return wrong(format!("`{}` is no MAC address", self.mac));
        }
        Ok(())
    }
}
