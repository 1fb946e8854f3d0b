//! End-to-end tests: the real programs, on loopback. One binary, so that it is linked once.
//!
//! Each test starts what it needs on ports of its own. A test that needs what cannot be had says so and passes.

mod bad_bmc;
mod bad_host;
mod bad_image;
mod crash;
mod foreign_client;
mod site;
mod sushy;
mod virtual_machine;
