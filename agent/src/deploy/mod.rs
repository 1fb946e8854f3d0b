//! Deploy mode: what the ramdisk does between its start and the power-off.
//!
//! `medium` finds the block, `network` reaches the controller, `session` claims and follows instructions, `write` holds the order of
//! the steps. Pure rules: `rule`, `conflict`. Formats: `gpt`, `signature`, `bootentry`. Effects: `host` and its real form `local`.

pub mod bootentry;
pub mod clock;
pub mod conflict;
pub mod failure;
pub mod fetch;
pub mod gpt;
pub mod host;
pub mod inside;
pub mod kernel;
pub mod loader;
pub mod local;
pub mod medium;
pub mod mode;
pub mod network;
pub mod pipeline;
pub mod progress;
pub mod rootfs;
pub mod rule;
pub mod seed;
pub mod session;
pub mod signature;
pub mod stream;
pub mod target;
pub mod write;
