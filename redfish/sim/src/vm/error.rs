//! What can go wrong with a virtual machine, in words and with a stable code.

use std::path::PathBuf;

/// Why something could not be done with a virtual machine.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    #[error("no virtual machine can run here: {missing}")]
    Unavailable { missing: String },
    #[error("the virtual machine's settings are wrong: {why}")]
    Spec { why: String },
    #[error("the virtual machine's folder {} cannot be used", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the virtual machine's folder {} is in use by another simulator", path.display())]
    InUse { path: PathBuf },
    #[error("QEMU could not be started")]
    Spawn { source: std::io::Error },
    #[error("QEMU ended at its start; it said: {said}")]
    Start { said: String, source: Box<VmError> },
    #[error("QEMU did not answer `{command}` within {seconds} s")]
    Silent { command: String, seconds: u64 },
    #[error("QEMU ended before it answered `{command}`")]
    Gone { command: String },
    #[error("QEMU refused `{command}`: {said}")]
    Refused { command: String, said: String },
    #[error("the machine has power already")]
    AlreadyOn,
    #[error("the machine has no power")]
    Off,
}

impl VmError {
    /// Stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "vm_unavailable",
            Self::Spec { .. } => "vm_settings",
            Self::Folder { .. } => "vm_folder",
            Self::InUse { .. } => "vm_in_use",
            Self::Spawn { .. } | Self::Start { .. } => "vm_start",
            Self::Silent { .. } => "vm_silent",
            Self::Gone { .. } => "vm_gone",
            Self::Refused { .. } => "vm_refused",
            Self::AlreadyOn => "vm_already_on",
            Self::Off => "vm_off",
        }
    }
}
