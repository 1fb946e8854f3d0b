//! What only an iDRAC has.

pub mod attributes;
pub mod job;
pub mod licence;
pub mod lifecycle;
pub mod slot;
pub mod video;
