//! The deploy protocol: what the ramdisk and the controller say to each other while an image is written.
//!
//! The controller patches a [`DeployBlock`] into the boot medium of one attempt; the ramdisk claims with the token in
//! it, follows [`Instruction`]s and sends [`DeployReport`]s. The ramdisk owns the write: it refuses a second order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::machine::MachineFacts;

/// Size of the block inside the boot medium, bytes. Two ISO 9660 sectors.
pub const BLOCK_SIZE: usize = 4096;
/// First bytes of the block.
pub const BLOCK_MAGIC: &[u8; 8] = b"HLXBLK01";
/// Magic (8), length (4), SHA-256 (32).
const BLOCK_HEADER: usize = 8 + 4 + 32;
/// Longest JSON document that fits into the block, bytes.
pub const BLOCK_PAYLOAD_MAX: usize = BLOCK_SIZE - BLOCK_HEADER;
/// Volume identifier of the deploy medium.
pub const VOLUME_ID: &str = "HELIXDEPLOY";
/// Name of the block's file in the root of the ISO 9660 file system.
pub const BLOCK_FILE: &str = "HELIX.BLK";

/// What is particular to one attempt on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployBlock {
    /// Base URLs of the agents listener, tried in order, e.g. `https://10.0.0.5:8444`.
    pub controller_urls: Vec<String>,
    /// SHA-256 of the DER SubjectPublicKeyInfo of the controller's certificate, lower-case hex.
    pub controller_key_sha256: String,
    /// One-time token: serves one attempt and dies at the first claim.
    pub token: String,
    /// Public id of the workflow, for the console.
    pub workflow: String,
    /// Name of the node, for the console.
    pub node_name: String,
    /// Boot network; `None` tries DHCP on every Ethernet link with carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<BootNetwork>,
}

/// How the ramdisk reaches the network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BootNetwork {
    /// MAC address of the interface to use; without it every Ethernet link with carrier is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Address with prefix length, e.g. `10.0.7.21/24`; without it DHCP is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// VLAN id, 1 to 4094.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
}

/// Why a block could not be made or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BlockError {
    #[error("the deploy block needs {size} bytes, {BLOCK_PAYLOAD_MAX} fit")]
    TooLarge { size: usize },
    #[error("this is no deploy block: its first bytes are not HLXBLK01")]
    NoMagic,
    #[error("the deploy block is empty: the medium was not prepared for a node")]
    Empty,
    #[error("the deploy block is damaged: {0}")]
    Damaged(&'static str),
    #[error("the deploy block does not parse: {0}")]
    Parse(String),
}

/// Puts a block into the bytes that lie at the block's offset of the medium.
///
/// # Errors
/// [`BlockError::TooLarge`] when the values do not fit.
pub fn encode_block(block: &DeployBlock) -> Result<[u8; BLOCK_SIZE], BlockError> {
    let json = serde_json::to_vec(block).map_err(|error| BlockError::Parse(error.to_string()))?;
    if json.len() > BLOCK_PAYLOAD_MAX {
        return Err(BlockError::TooLarge { size: json.len() });
    }
    let length = u32::try_from(json.len()).map_err(|_| BlockError::TooLarge { size: json.len() })?;
    let mut bytes = [0u8; BLOCK_SIZE];
    bytes[..8].copy_from_slice(BLOCK_MAGIC);
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes[12..BLOCK_HEADER].copy_from_slice(&Sha256::digest(&json));
    bytes[BLOCK_HEADER..BLOCK_HEADER + json.len()].copy_from_slice(&json);
    Ok(bytes)
}

/// Reads a block back.
///
/// # Errors
/// Says what is wrong with the bytes: no block, not prepared, damaged.
pub fn decode_block(bytes: &[u8]) -> Result<DeployBlock, BlockError> {
    if bytes.len() < BLOCK_HEADER || &bytes[..8] != BLOCK_MAGIC {
        return Err(BlockError::NoMagic);
    }
    let length = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
    if length == 0 {
        return Err(BlockError::Empty);
    }
    let json = bytes.get(BLOCK_HEADER..BLOCK_HEADER + length).ok_or(BlockError::Damaged("its length is wrong"))?;
    if Sha256::digest(json)[..] != bytes[12..BLOCK_HEADER] {
        return Err(BlockError::Damaged("its checksum is wrong"));
    }
    serde_json::from_slice(json).map_err(|error| BlockError::Parse(error.to_string()))
}

/// `POST /agent/v1/deploy/claim`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimRequest {
    pub token: String,
    pub machine: MachineFacts,
    /// Kernel boot id of this boot of the ramdisk.
    pub boot_id: String,
    pub agent_version: String,
    /// The machine's clock at the moment of the call.
    pub clock: DateTime<Utc>,
    /// A simulated host: said wherever the node's name stands.
    #[serde(default)]
    pub simulated: bool,
}

/// Answer to a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimResponse {
    /// Bearer secret for the other deploy calls of this attempt.
    pub session: String,
    pub workflow: String,
    pub attempt: u32,
    pub node_name: String,
    pub service_tag: String,
    /// The controller's clock, to set the machine's by.
    pub now: DateTime<Utc>,
}

/// `GET /agent/v1/deploy/next?after=SEQ`: the newest instruction with a number above `after`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instruction {
    pub seq: u64,
    #[serde(flatten)]
    pub act: Act,
}

/// What the ramdisk is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Nothing yet; ask again.
    Wait,
    Write(Box<WriteOrder>),
    PowerOff,
    Reboot,
    Abort {
        reason: String,
    },
}

/// Order to write one image to one disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteOrder {
    /// Names this order: a second order with another id is refused once writing began.
    pub write_id: String,
    pub image: ImageSource,
    pub disk: DiskRule,
    /// Clear signatures on the disks that conflict, and on those only.
    pub wipe_conflicting: bool,
    pub seed: Vec<SeedFile>,
    /// Label of the UEFI boot entry, e.g. `Helix debian-12`.
    pub boot_entry: String,
}

/// Where the image comes from and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    pub name: String,
    pub url: String,
    pub compression: Compression,
    /// SHA-256 of the file as stored, lower-case hex.
    pub sha256: String,
    /// Size of the file as stored, bytes.
    pub size_bytes: u64,
    /// SHA-256 of the bytes on disk, lower-case hex.
    pub raw_sha256: String,
    /// Number of bytes on disk.
    pub raw_size_bytes: u64,
    /// UUIDs and labels of file systems and partitions in the image, as far as the import read them: another disk that
    /// carries one of them conflicts. The ramdisk compares again with what it wrote, so an empty list only finds out later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<String>,
}

/// How an image file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Xz,
}

/// Which disk to take. All given conditions must hold; with none the rule order of the design applies
/// (BOSS volume, then the only candidate).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiskRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_id: Option<String>,
    /// Kernel name, e.g. `nvme0n1`: only from a person who looks at the node now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Part of the model string, case-insensitive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size_bytes: Option<u64>,
}

/// One file of the NoCloud seed, written below the root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedFile {
    /// Absolute path in the installed system.
    pub path: String,
    pub text: String,
    /// Permission bits, e.g. `0o600`.
    pub mode: u32,
}

/// How far the ramdisk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Claimed,
    InspectingDisks,
    DiskChosen,
    Wiping,
    Writing,
    Verifying,
    Growing,
    Seeding,
    BootEntry,
    Written,
    Failed,
}

/// `POST /agent/v1/deploy/report`: at each change of phase, and every two seconds while bytes move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployReport {
    /// The order being carried out; absent before there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_id: Option<String>,
    pub phase: Phase,
    /// The disk chosen, from the moment it is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<crate::machine::DiskFacts>,
    /// Bytes of the present phase done and in all (raw bytes when writing and verifying).
    pub bytes_done: u64,
    pub bytes_total: u64,
    pub bytes_per_second: u64,
    /// SHA-256 read back from the disk, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// All disks seen, with their content, when a decision about disks failed or was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<crate::machine::DiskFacts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<DeployError>,
    /// One line for a person, e.g. `clock was 9 years, 364 days behind; set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Why the ramdisk stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeployError {
    /// Stable code, e.g. `image_checksum_mismatch`.
    pub code: String,
    /// What happened, with the values seen.
    pub message: String,
    /// Whether trying again from the start may help (a broken transfer) or a person must decide (two disks match).
    pub retryable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> DeployBlock {
        DeployBlock {
            controller_urls: vec!["https://192.0.2.5:8444".into()],
            controller_key_sha256: "ab".repeat(32),
            token: "t0k3n".into(),
            workflow: "wf-7Q2M4K".into(),
            node_name: "r01u05".into(),
            network: None,
        }
    }

    #[test]
    fn a_block_comes_back_as_it_went_in() {
        let bytes = encode_block(&block()).unwrap();
        assert_eq!(decode_block(&bytes).unwrap(), block());
    }

    #[test]
    fn a_flipped_bit_in_the_block_is_noticed() {
        let mut bytes = encode_block(&block()).unwrap();
        bytes[60] ^= 1;
        assert_eq!(decode_block(&bytes), Err(BlockError::Damaged("its checksum is wrong")));
    }

    #[test]
    fn an_unprepared_medium_says_so() {
        let mut bytes = [0u8; BLOCK_SIZE];
        assert_eq!(decode_block(&bytes), Err(BlockError::NoMagic));
        bytes[..8].copy_from_slice(BLOCK_MAGIC);
        assert_eq!(decode_block(&bytes), Err(BlockError::Empty));
    }

    #[test]
    fn a_block_with_too_many_addresses_is_refused() {
        let mut big = block();
        big.controller_urls = vec!["https://192.0.2.5:8444".into(); 300];
        assert!(matches!(encode_block(&big), Err(BlockError::TooLarge { .. })));
    }

    #[test]
    fn an_instruction_reads_as_flat_json() {
        let text = serde_json::to_string(&Instruction { seq: 3, act: Act::PowerOff }).unwrap();
        assert_eq!(text, r#"{"seq":3,"act":"power_off"}"#);
    }
}
