//! What this machine is, as its own kernel shows it: identity, disks, network interfaces, InfiniBand, temperatures, system.
//!
//! Reads sysfs and procfs only, through [`root::Root`]; changes nothing. GPUs are a matter of [`crate::source`].

pub mod block;
pub mod identity;
pub mod infiniband;
pub mod nic;
pub mod root;
pub mod system;
pub mod thermal;

use helix_api::machine::MachineFacts;

use root::Root;

/// Everything that the deploy ramdisk and the agent say of the machine they run on.
pub fn facts(root: &Root) -> MachineFacts {
    MachineFacts {
        nics: nic::read(root),
        disks: block::read(root).into_iter().map(|disk| disk.facts).collect(),
        ..identity::read(root)
    }
}
