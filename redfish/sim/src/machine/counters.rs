//! What was done to a machine, counted. Tests prove with these that a step happened once and not twice; they survive a
//! restart of the simulator with a state folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counters of one BMC. Each counts accepted operations unless its name says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// HTTP requests of any kind that reached the service.
    pub requests: u64,
    /// Accepted writes: POST, PATCH and DELETE that changed something, sessions and read-only actions left out.
    pub writes: u64,
    /// Sessions made.
    pub logins: u64,
    /// Sessions ended by their owner.
    pub logouts: u64,
    /// Refused credentials: session requests and basic authentication.
    pub logins_refused: u64,
    /// Times the address of a caller was locked out.
    pub lockouts: u64,
    /// Reset actions accepted, of every type.
    pub resets: u64,
    /// The same by type (`On`, `ForceOff`, …).
    pub resets_by_type: BTreeMap<String, u64>,
    /// Reset actions refused.
    pub resets_refused: u64,
    /// Transitions from off to on.
    pub power_ons: u64,
    /// Transitions from on to off.
    pub power_offs: u64,
    /// POST passes that were finished.
    pub posts: u64,
    /// Boots from virtual media.
    pub boots_from_media: u64,
    /// Boots from the disk.
    pub boots_from_disk: u64,
    /// Images inserted.
    pub inserts: u64,
    /// Inserts refused.
    pub inserts_refused: u64,
    /// Images ejected.
    pub ejects: u64,
    /// Boot overrides armed.
    pub boot_overrides: u64,
    /// Jobs made.
    pub jobs: u64,
    /// Jobs run to an end.
    pub jobs_finished: u64,
    /// Changes of BIOS attributes accepted.
    pub bios_changes: u64,
    /// Changes of iDRAC attributes accepted.
    pub attribute_changes: u64,
    /// Restarts of the iDRAC itself.
    pub bmc_resets: u64,
    /// Requests made to image servers.
    pub image_requests: u64,
    /// Bytes read from image servers.
    pub image_bytes: u64,
}
