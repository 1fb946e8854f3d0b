//! Runs on the node: reports GPU and fabric telemetry, and writes the OS image from the deploy ramdisk.
//!
//! One program with several modes: `deploy` inside the ramdisk, `run` in the installed system, `simulate` for hosts that are not
//! there. It dials out only and listens on nothing. It relies on `helix-api` for everything that crosses the wire and never sees
//! the controller's code.

pub mod controller;
pub mod deploy;
pub mod machine;
pub mod node;
pub mod pin;
pub mod simulate;
pub mod source;
