//! The wire contract of Helix and a typed client for it.
//!
//! Everything that crosses a socket between Helix's own programs is defined here once: the HTTP API under `/api/v1`
//! (used by `helixctl` and the dashboard), the deploy protocol (ramdisk to controller) and the agent protocol.
//! It relies on `helix-inventory` for the values themselves and holds no logic of the controller.

pub mod access;
pub mod agent;
pub mod bulk;
#[cfg(feature = "client")]
pub mod client;
pub mod deploy;
pub mod enrol;
pub mod image;
pub mod machine;
pub mod node;
pub mod page;
pub mod problem;
pub mod select;
pub mod stream;
pub mod workflow;

/// Header of every answer of the API: the controller's version.
pub const VERSION_HEADER: &str = "helix-version";
