//! Deploy mode: what the ramdisk does between its start and the power-off.

pub mod conflict;
pub mod failure;
pub mod fetch;
pub mod gpt;
pub mod progress;
pub mod rule;
pub mod signature;
pub mod stream;
