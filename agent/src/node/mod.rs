//! The agent in the installed system: joins once, then reports over mutual TLS for as long as the system runs.
//!
//! `config` is what the seed wrote, `credentials` the key and certificate on disk, `report` what is read, `run` the loop. It dials out
//! only. When the controller is away it waits and tries again; readings of that time are not kept.

pub mod config;
pub mod credentials;
pub mod report;
pub mod run;
