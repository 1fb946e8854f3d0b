//! The client against BMCs: one made of documents inside the test, a recorded iDRAC, and the simulator.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bmc;
mod collect;
mod documents;
mod emulator;
mod media;
mod power;
mod quirks;
mod recorded;
mod session;
mod simulator;
mod trust;
