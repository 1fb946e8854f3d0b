//! What a server is: pure values, no input or output.
//!
//! The vocabulary (`words`), identities (`id`), hardware as found (`hardware`) and what changed in it (`diff`), the
//! life of a node (`lifecycle`), what a node should be (`profile`) and the steps that take it there (`plan`). Everything
//! here is a value or a function of values: no clock, no network, no files, no runtime.

pub mod code;
pub mod diff;
pub mod hardware;
pub mod id;
pub mod lifecycle;
pub mod message;
pub mod plan;
pub mod profile;
pub mod words;
