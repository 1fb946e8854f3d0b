//! A stateful fleet of simulated iDRACs.

pub mod vm;
