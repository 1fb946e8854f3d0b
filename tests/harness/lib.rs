//! Starts real parts for tests and the demo: processes, the controller, the fleet, the command line.
//!
//! It relies on programs that are built already (`cargo build --workspace`) and on the deploy medium and OS image that
//! `make media` made. It holds no expectations: those stand in the tests.

pub mod controller;
pub mod crash;
pub mod ctl;
pub mod fleet;
pub mod libvirt;
pub mod place;
pub mod process;
pub mod wait;
