//! Why a write stopped: one variant for each thing that an admin would handle differently.
//!
//! Each has a stable code that goes to the controller, and a message with the values seen. The message never repeats its source:
//! [`Failure::wire`] joins the chain.

use std::path::PathBuf;

use helix_api::deploy::DeployError;

use super::gpt::GptError;
use crate::machine::block::size;

/// What stopped a write.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The profile's rule fits no disk.
    #[error("no disk matches {rule}. Disks found: {found}")]
    DiskNoneMatches { rule: String, found: String },
    /// More than one disk fits, and choosing is not Helix's to do.
    #[error("{why}: {candidates}. Name one in the profile by serial number or by-id. All disks found: {found}")]
    DiskAmbiguous { why: String, candidates: String, found: String },
    /// The disk that fits cannot hold the image.
    #[error("the image needs {} and {disk} has {}", size(*.needed_bytes), size(*.disk_bytes))]
    DiskTooSmall { disk: String, needed_bytes: u64, disk_bytes: u64 },
    /// Partition tables of images count sectors of 512 bytes.
    #[error(
        "{disk} has logical sectors of {sector_bytes} bytes and the image's partition table is made for 512: reformat the drive to 512-byte sectors or choose another"
    )]
    DiskSectorSize { disk: String, sector_bytes: u32 },
    /// Another disk would be mistaken for the one that is written.
    #[error("{}", conflict_words(.conflicts))]
    DiskConflict { conflicts: Vec<String> },
    /// The same, found only when the image's own identifiers lay on the target.
    #[error(
        "the image was written to {target}, and it shares identifiers with another disk: {}. The system is not finished and not \
         startable. Remove or clear the disk, or provision again with --wipe-conflicting",
        .conflicts.join("; ")
    )]
    LateConflict { target: String, conflicts: Vec<String> },
    /// A disk could not be looked at, cleared, written or read back.
    #[error("cannot {what} {path}")]
    DiskIo {
        /// "open", "read", "write", "wipe" …
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Something still holds the target.
    #[error("{disk} is in use by {holders} and could not be released")]
    DiskBusy {
        disk: String,
        holders: String,
        #[source]
        source: std::io::Error,
    },
    /// The image server does not give the file. Found before anything was wiped.
    #[error("the image {name} cannot be fetched from {url}: {reason}. Nothing was written")]
    ImageUnreachable { name: String, url: String, reason: String },
    /// The image server stopped answering for too long while the disk was written.
    #[error(
        "the image {name} could not be fetched from {url}: {attempts} attempts without progress, {received_bytes} of {size_bytes} bytes received; last: {last}"
    )]
    ImageTransfer { name: String, url: String, attempts: u32, received_bytes: u64, size_bytes: u64, last: String },
    /// The file ended early.
    #[error("the image {name} is truncated: {received_bytes} of {expected_bytes} bytes {of_what}")]
    ImageTruncated {
        name: String,
        received_bytes: u64,
        expected_bytes: u64,
        /// "of the file came" or "unpacked".
        of_what: &'static str,
    },
    /// The file is not the one that was imported.
    #[error(
        "the image {name} has the wrong checksum: expected sha256 {expected}, received {actual}. Nothing boots from this disk now; import the image again"
    )]
    ImageChecksumMismatch { name: String, expected: String, actual: String },
    /// The file is what was imported and cannot be unpacked.
    #[error("the image {name} cannot be unpacked as {format}")]
    ImageDecompression {
        name: String,
        format: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// More bytes came out than were announced.
    #[error("the image {name} unpacks to more than the {expected_bytes} bytes it was imported with")]
    ImageTooLong { name: String, expected_bytes: u64 },
    /// What the disk gives back is not what was written.
    #[error(
        "{disk} gives back other bytes than were written: expected sha256 {expected}, read {actual}. The drive or its controller is faulty"
    )]
    ReadbackMismatch { disk: String, expected: String, actual: String },
    /// The image has no GUID partition table.
    #[error("the image {name} cannot be used")]
    ImageNoGpt {
        name: String,
        #[source]
        source: GptError,
    },
    /// The image has no EFI system partition.
    #[error("the image {name} has no EFI system partition: UEFI firmware cannot start it. Partitions: {partitions}")]
    ImageNoEsp { name: String, partitions: String },
    /// The ESP holds no boot loader.
    #[error("the EFI system partition of the image {name} holds no x86-64 boot loader (looked for {looked_for})")]
    ImageNoLoader { name: String, looked_for: String },
    /// The partition table could not be moved and grown.
    #[error("the partition table on {disk} could not be grown to the disk")]
    PartitionGrow {
        disk: String,
        #[source]
        source: GptError,
    },
    /// The root file system cannot be mounted here.
    #[error(
        "the root file system of the image {name} is not supported: {why}. Supported are ext4, xfs and btrfs on a plain partition"
    )]
    RootUnsupported { name: String, why: String },
    /// A file could not be written into the installed system.
    #[error("cannot {what} {path} in the installed system")]
    Seed {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The firmware's boot entry could not be made.
    #[error("cannot {what} the UEFI boot entry")]
    BootEntry {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// The controller took the order back.
    #[error("the controller stopped this deployment: {0}")]
    Aborted(String),
    /// A bug: a part of the agent ended without an answer.
    #[error("{part} ended without an answer; this is a bug in helix-agent")]
    Internal { part: &'static str },
}

impl Failure {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DiskNoneMatches { .. } => "disk_none_matches",
            Self::DiskAmbiguous { .. } => "disk_ambiguous",
            Self::DiskTooSmall { .. } => "disk_too_small",
            Self::DiskSectorSize { .. } => "disk_sector_size",
            Self::DiskConflict { .. } => "provision_disk_conflict",
            Self::LateConflict { .. } => "provision_disk_conflict_late",
            Self::DiskIo { .. } => "disk_io",
            Self::DiskBusy { .. } => "disk_busy",
            Self::ImageUnreachable { .. } => "image_unreachable",
            Self::ImageTransfer { .. } => "image_transfer_broken",
            Self::ImageTruncated { .. } => "image_truncated",
            Self::ImageChecksumMismatch { .. } => "image_checksum_mismatch",
            Self::ImageDecompression { .. } => "image_decompression_failed",
            Self::ImageTooLong { .. } => "image_size_mismatch",
            Self::ReadbackMismatch { .. } => "readback_mismatch",
            Self::ImageNoGpt { .. } => "image_no_gpt",
            Self::ImageNoEsp { .. } => "image_no_esp",
            Self::ImageNoLoader { .. } => "image_no_boot_loader",
            Self::PartitionGrow { .. } => "partition_grow_failed",
            Self::RootUnsupported { .. } => "root_filesystem_unsupported",
            Self::Seed { .. } => "seed_write_failed",
            Self::BootEntry { .. } => "boot_entry_failed",
            Self::Aborted(_) => "deploy_aborted",
            Self::Internal { .. } => "agent_internal",
        }
    }

    /// Whether the same order may succeed when it is simply tried again.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::ImageUnreachable { .. }
                | Self::ImageTransfer { .. }
                | Self::ImageTruncated { .. }
                | Self::Internal { .. }
        )
    }

    /// The form that the controller gets: the message with its causes.
    pub fn wire(&self) -> DeployError {
        DeployError { code: self.code().to_owned(), message: chain(self), retryable: self.retryable() }
    }
}

/// An error with its sources, joined by colons.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn conflict_words(conflicts: &[String]) -> String {
    format!(
        "the installed system could start from or be confused by another disk: {}. Nothing was written. Remove or clear the disk, \
         or provision with --wipe-conflicting, which clears the signatures of these disks only",
        conflicts.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_gets_code_message_and_cause() {
        let failure = Failure::DiskIo {
            what: "write",
            path: "/dev/nvme0n1".into(),
            source: std::io::Error::other("critical medium error"),
        };
        let wire = failure.wire();
        assert_eq!(wire.code, "disk_io");
        assert_eq!(wire.message, "cannot write /dev/nvme0n1: critical medium error");
        assert!(!wire.retryable, "a broken disk stays broken");
    }

    #[test]
    fn a_broken_transfer_may_be_tried_again_and_a_wrong_file_may_not() {
        let truncated = Failure::ImageTruncated {
            name: "debian-12".into(),
            received_bytes: 10,
            expected_bytes: 20,
            of_what: "of the file came",
        };
        assert!(truncated.wire().retryable);
        let wrong =
            Failure::ImageChecksumMismatch { name: "debian-12".into(), expected: "a".into(), actual: "b".into() };
        assert!(!wrong.wire().retryable);
    }
}
