//! Hosts that are not there: one process plays the operating systems of a whole simulated fleet.
//!
//! A BMC simulator says on standard input which machine boots from what, and hears on standard output what became of it (JSON lines,
//! [`event`]). Each machine is the real deploy and agent code over a disk that is only remembered ([`host`], [`memory`]) and readings
//! that are replayed. Everything it tells the controller is marked as simulated. Waits are divided by a time scale.

pub mod event;
pub mod fleet;
pub mod host;
pub mod image;
pub mod machine;
pub mod medium;
pub mod memory;
pub mod power_on;
pub mod system;
