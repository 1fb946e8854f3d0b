//! A stateful fleet of simulated iDRACs: what a BMC *does*, over HTTPS, with every BMC on its own loopback address.
//! Start with [`Fleet::builder`]. The crate shares nothing with the Redfish client it is used to test: a misunderstanding
//! must not stand at both ends.

pub mod certificate;
pub mod clock;
pub mod control;
pub mod fault;
pub mod fleet;
pub mod hardware;
pub mod host;
pub mod identity;
mod keep;
mod limits;
pub mod machine;
pub mod message;
pub mod model;
pub mod protocol;
pub mod resource;
mod server;
pub mod vm;

pub use fault::Faults;
pub use fleet::{BmcConfig, Fleet, FleetBuilder, FleetControl, FleetError, FleetHandle};
pub use machine::counters::Counters;
